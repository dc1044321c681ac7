"""Presets: the paper's values, scikit-learn Pipelines, and options that every preset takes."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from spm import KernelSVC, SpmError, presets
from spm.kernels.functions import histogram_intersection


def picture(kind, seed, size=(40, 48)):
    rng = np.random.default_rng(seed)
    stripes = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (48, 6))
    stripes = (stripes.T if kind == "across" else stripes)[: size[0], : size[1]]
    return stripes + rng.integers(0, 90, size, dtype=np.uint8)


X = [picture(kind, seed) for seed in range(6) for kind in ("across", "down")]
Y = ["across", "down"] * 6


def test_lazebnik2006_has_the_papers_values():
    options = presets.lazebnik2006().get_params()
    paper = {
        "vectorizer__features__patch_size": 16,
        "vectorizer__features__step": 8,
        "vectorizer__encoder__n_words": 200,
        "vectorizer__pyramid__levels": (1, 2, 4),
        "vectorizer__pyramid__pool": "sum",
        "vectorizer__pyramid__weights": "lazebnik",
        "vectorizer__norm": "l1",
        "classifier__kernel": "intersection",
        "classifier__multi_class": "ovr",
    }
    assert {name: options[name] for name in paper} == paper
    assert options["vectorizer__random_state"] is None and options["vectorizer__n_jobs"] is None


def test_its_kernel_is_the_weighted_sum_of_the_levels_intersections():
    model = presets.lazebnik2006(n_words=6, random_state=0)
    images = [X[0], X[2], X[1]]
    vectors = model[0].fit_transform(images)
    unweighted = clone(model[0]).set_params(pyramid__weights=None, norm=None).fit(images).transform(images)
    histograms = unweighted / unweighted[:, :6].sum(axis=1, keepdims=True)  # by the number of features
    matches = [
        np.minimum(histograms[0, part], histograms[1, part]).sum() for part in (slice(6), slice(6, 30), slice(30, None))
    ]
    expected = matches[0] / 4 + matches[1] / 4 + matches[2] / 2  # equation 3 for L = 2
    np.testing.assert_allclose(histogram_intersection(vectors[:1], vectors[1:2]), [[expected]], rtol=1e-5)
    assert 0.1 < expected < 0.99


def test_options_reach_the_parts(tmp_path):
    options = {"n_words": 7, "levels": (1, (3, 1)), "C": 3.0, "probability": True, "memory": tmp_path}
    model = presets.lazebnik2006(**options, n_jobs=2, verbose=True, random_state=5)
    vec, svm = model
    assert (vec.encoder.n_words, vec.pyramid.levels, vec.memory) == (7, (1, (3, 1)), tmp_path)
    assert (svm.C, svm.probability) == (3.0, True)
    assert (vec.n_jobs, svm.n_jobs, vec.random_state, svm.random_state, vec.verbose) == (2, 2, 5, 5, True)


def test_spp2014_has_the_papers_values():
    options = presets.spp2014("net.onnx").get_params()
    paper = {
        "vectorizer__features__model": "net.onnx",
        "vectorizer__features__policy": "full",
        "vectorizer__encoder": None,
        "vectorizer__pyramid__levels": (1, 2, 3, 6),
        "vectorizer__pyramid__pool": "max",
        "vectorizer__pyramid__weights": None,
        "vectorizer__norm": "l2",
        "classifier__kernel": "linear",
        "classifier__multi_class": "ovr",
    }
    assert {name: options[name] for name in paper} == paper


def test_hybrid_is_the_sum_of_both():
    both = presets.hybrid("net.onnx", weight=2.0, n_words=7, memory="m", n_jobs=2, random_state=3)
    words, maps = (vec for _, vec in both[0].vectorizers)
    alone = {"memory": "m", "n_jobs": 2, "random_state": 3}
    assert repr(words) == repr(presets.lazebnik2006(n_words=7, **alone)[0])
    assert repr(maps) == repr(presets.spp2014("net.onnx", **alone)[0])
    assert both[0].weights == [1.0, 2.0] and both[1].kernel == "precomputed"


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_is_a_pipeline_that_learns(name):
    if name in ("spp2014", "hybrid"):
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    model = presets.make(name, levels=(1, 2), n_jobs=1, verbose=False, random_state=0)  # what compare gives to each
    assert isinstance(model, Pipeline) and list(model.named_steps) == ["vectorizer", "classifier"]
    with pytest.raises(NotFittedError):
        model[0].transform(X)
    assert repr(clone(model)) == repr(model)
    model.set_params(
        **{option: 5 for option in model.get_params() if option.endswith("n_words") and "census" not in option}
    )
    before = repr(model)
    model.fit(X, Y)
    assert model.predict([picture("across", 50), picture("down", 51)]).tolist() == ["across", "down"]
    assert repr(model) == before


def test_presets_share_no_parts():
    first, second = presets.lazebnik2006(), presets.lazebnik2006()
    first.set_params(vectorizer__encoder__n_words=3, classifier__C=99)
    assert second[0].encoder.n_words == 200 and second[1].C != 99
    assert isinstance(second[1], KernelSVC)


def test_make_finds_presets_by_name():
    assert presets.make("lazebnik2006", n_words=9)[0].encoder.n_words == 9
    with pytest.raises(SpmError, match="preset='lazebnik' is not an option: choose one of 'lazebnik2006'"):
        presets.make("lazebnik")
    with pytest.raises(TypeError, match="n_wrods"):
        presets.make("lazebnik2006", n_wrods=9)
