"""Settings of others, for the whole process, change the form of results at most: no step fails, no figure differs."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import spm
from spm import evidence, presets
from spm._tools.settings import usual_settings
from spm.datasets import make_layouts
from spm.presets.registry import TRAINED

SCENES = make_layouts(4, size=64, n_classes=2)
X, Y = list(SCENES.data), np.array(SCENES.target_names)[SCENES.target]
X_TRAIN, Y_TRAIN = X * 2, np.tile(Y, 2)
SPLIT = [(np.arange(len(X)), np.arange(len(X)))]
FRAMES = ("pandas", "polars")


@pytest.fixture(params=[*FRAMES, "numpy raises"])
def setting(request):
    """What somebody has set; every warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "'.*' deprecated - use")  # an older matplotlib with a newer pyparsing
        if request.param in FRAMES:
            pytest.importorskip(request.param)
            with sklearn.config_context(transform_output=request.param):
                yield request.param
        else:
            with np.errstate(all="raise"):
                yield request.param


def models():
    small = {name: {"random_state": 0} for name in presets.PRESETS if name not in TRAINED}
    for name in set(small) - {"spp2014"}:
        small[name]["n_words"] = 4
    found = {name: presets.make(name, **options) for name, options in small.items()}
    words = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=4), reduce=PCA(4), random_state=0)
    found["mapped"] = make_pipeline(words, spm.HomogeneousMap(), LinearSVC(random_state=0))
    plain = spm.PyramidVectorizer(reduce=PCA(4), norm="l2", random_state=0)
    found["plain"] = make_pipeline(plain, LinearSVC(random_state=0))
    both = spm.KernelSum([("scaled", make_pipeline(plain, StandardScaler())), ("words", words)], kernels=["linear"] * 2)
    found["parts"] = make_pipeline(both, spm.KernelSVC(kernel="precomputed"))
    return found


MODELS = models()


def shown(name, model):
    """Return all that a user would ask of a model."""
    model = sklearn.clone(model).fit(X_TRAIN, Y_TRAIN)
    found = {
        "decisions": model.decision_function(X),
        "labels": spm.predict(model, X).labels,
        "accuracy": spm.evaluate(model, X, Y, cv=SPLIT).accuracy,
    }
    if name != "parts":
        road = model[0].roads()[0][1]
        found["votes"] = evidence.votes(model, X[0]).layers[0].values
        found["regions"] = road.transform_regions(X[0], [[0, 0, 40, 50]])
        found["encoded"] = road.encode(X[0])[0][1].moments
    return found, model


@pytest.mark.parametrize("name", MODELS)
def test_what_others_have_set_changes_no_figure(name, setting):
    if name in ("spp2014", "hybrid"):
        pytest.importorskip("onnxruntime")
    with usual_settings():
        expected, _ = shown(name, MODELS[name])
    found, model = shown(name, MODELS[name])
    for key, value in expected.items():
        assert type(found[key]) is type(value)
        if key == "labels":
            assert value.tolist() == found[key].tolist()
        else:  # frames keep columns together: products of them may differ in the last bits
            np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-6)
    vectors = model[0].transform(X[:2])  # outer results are what was asked for
    assert isinstance(vectors, np.ndarray) or type(vectors).__module__.partition(".")[0] == setting
    assert isinstance(vectors, np.ndarray) == (setting not in FRAMES)


def test_workers_and_comparisons_too(setting, monkeypatch):
    from spm.evaluation import comparison

    monkeypatch.setattr(comparison, "BUILT_IN", {"layouts": lambda: make_layouts(6, size=64, n_classes=2)})
    options = {"presets": ("lazebnik2006", "hybrid"), "options": {"n_words": 4}}
    pytest.importorskip("onnxruntime")
    with usual_settings():
        expected = spm.compare(**options).rows
    rows = spm.compare(**options, n_jobs=2).rows
    assert [(row["error"], row["accuracy"]) for row in rows] == [(None, row["accuracy"]) for row in expected]


def test_pictures_too(setting):
    pytest.importorskip("matplotlib")
    model = sklearn.clone(MODELS["lazebnik2006"]).fit(X_TRAIN, Y_TRAIN)
    assert spm.plots.pyramid(X[0], model).shape == (2, 3)


def test_settings_come_back():
    with sklearn.config_context(transform_output="pandas"), np.errstate(all="raise"):
        with pytest.raises(KeyError), usual_settings():
            assert sklearn.get_config()["transform_output"] == "default" and np.geterr()["under"] == "ignore"
            raise KeyError
        assert sklearn.get_config()["transform_output"] == "pandas" and np.geterr()["under"] == "raise"
