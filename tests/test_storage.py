"""Storage: what is loaded predicts as what was saved; nothing foreign is loaded; a file is whole or the old one."""

import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import spm
from spm._tools.files import read_shipped
from spm.errors import SpmError
from spm.features.feature_map import FeatureMap
from spm.storage import FORMAT, TRUSTED, parts_of
from spm.storage._archive import seal


def picture(kind, seed, size=(40, 48)):
    rng = np.random.default_rng(seed)
    stripes = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (48, 6))
    stripes = (stripes.T if kind == "across" else stripes)[: size[0], : size[1]]
    return stripes + rng.integers(0, 90, size, dtype=np.uint8)


X = [picture(kind, seed) for seed in range(6) for kind in ("across", "down")]
Y = ["across", "down"] * 6
NEW = [picture(kind, seed) for seed in range(20, 23) for kind in ("across", "down")]


def vectorizer(**options):
    encoder = options.pop("encoder", spm.BagOfWords(n_words=5))
    return spm.PyramidVectorizer(encoder=encoder, pyramid=spm.SpatialPyramid(levels=(1, 2)), random_state=0, **options)


@pytest.fixture(scope="module")
def preset():
    return spm.presets.lazebnik2006(n_words=5, levels=(1, 2), probability=True, random_state=0).fit(X, Y)


# What comes back


def test_a_preset_comes_back_with_its_probabilities(preset, tmp_path):
    path = spm.save(preset, tmp_path / "scene.spm")
    assert path == tmp_path / "scene.spm" and os.listdir(tmp_path) == ["scene.spm"]
    loaded = spm.load(str(path))
    assert loaded.predict(NEW).tolist() == preset.predict(NEW).tolist() == ["across", "down"] * 3
    np.testing.assert_array_equal(loaded.predict_proba(NEW), preset.predict_proba(NEW))
    assert repr(loaded) == repr(preset) and loaded.classes_.tolist() == ["across", "down"]


def test_a_vectorizer_comes_back(tmp_path):
    vec = vectorizer(norm=("power", "l2")).fit(X)
    loaded = spm.load(spm.save(vec, tmp_path / "vec.spm"))
    np.testing.assert_array_equal(loaded.transform(NEW), vec.transform(NEW))
    np.testing.assert_array_equal(
        loaded.transform_regions(NEW[0], [[0, 0, 20, 30]]), vec.transform_regions(NEW[0], [[0, 0, 20, 30]])
    )
    assert loaded.get_feature_names_out().tolist() == vec.get_feature_names_out().tolist()
    np.testing.assert_array_equal(loaded.fit(X).transform(NEW), vec.transform(NEW))


def test_pipelines_with_scikit_learns_own_parts_come_back(tmp_path):
    encoder = spm.BagOfWords(n_words=4, clusterer=MiniBatchKMeans(4))
    model = make_pipeline(vectorizer(reduce=PCA(6), encoder=encoder), StandardScaler(), LinearSVC(random_state=0))
    model.fit(X, Y)
    loaded = spm.load(spm.save(model, tmp_path / "linear.spm"))
    np.testing.assert_array_equal(loaded.decision_function(NEW), model.decision_function(NEW))
    np.testing.assert_array_equal(loaded[:-1].transform(NEW), model[:-1].transform(NEW))


def test_a_model_that_is_not_fitted_comes_back(tmp_path):
    model = spm.presets.lazebnik2006(n_words=7, random_state=np.random.RandomState(3))
    loaded = spm.load(spm.save(model, tmp_path / "new.spm"))
    assert loaded[0].encoder.n_words == 7 and loaded[0].random_state.randint(99) == np.random.RandomState(3).randint(99)


def test_every_public_estimator_may_be_saved():
    public = [getattr(spm, name) for name in spm.__all__]
    kinds = [kind for kind in public if isinstance(kind, type) and issubclass(kind, BaseEstimator)]
    assert {f"{kind.__module__}.{kind.__name__}" for kind in kinds} <= set(TRUSTED)
    assert len(kinds) >= 5


def test_what_belongs_to_the_machine_stays_there(tmp_path):
    memory = joblib.Memory(tmp_path / "memory", verbose=0)
    model = spm.presets.lazebnik2006(n_words=5, levels=(1,), memory=memory, n_jobs=2, verbose=True, random_state=0)
    model.fit(X, Y)
    before = (model[0].memory, model[0].n_jobs, model[0].verbose, model[0].encoder_.n_jobs, model[1].n_jobs)
    path = spm.save(model, tmp_path / "scene.spm")
    after = (model[0].memory, model[0].n_jobs, model[0].verbose, model[0].encoder_.n_jobs, model[1].n_jobs)
    assert before == after == (memory, 2, True, 2, 2) and model[0].memory is memory
    loaded = spm.load(path)
    vec, svm = loaded
    assert (vec.memory, vec.n_jobs, vec.verbose, svm.n_jobs) == (None, None, False, None)
    assert (vec.encoder_.n_jobs, vec.encoder_.verbose, vec.layers_[0].encoder.n_jobs) == (None, False, None)
    assert loaded.predict(NEW).tolist() == model.predict(NEW).tolist()
    assert str(tmp_path).encode() not in path.read_bytes()


def test_networks_are_taken_in_from_their_files(tmp_path):
    onnx = pytest.importorskip("onnx")
    text = """<ir_version: 8, opset_import: ["": 13]>
    net (float[1, 3, H, W] image) => (float[1, 3, h, w] map) {
        map = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (image)
    }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "net.onnx")
    features = FeatureMap(str(tmp_path / "net.onnx"), layers=["map"])
    vec = spm.PyramidVectorizer(features=features, pyramid=spm.SpatialPyramid(levels=(1, 2), pool="max")).fit(X)
    before = vec.transform(NEW)
    path = spm.save(vec, tmp_path / "vec.spm")
    assert vec.features is features and features.model == str(tmp_path / "net.onnx")  # itself it stays as it was
    (tmp_path / "net.onnx").unlink()
    np.testing.assert_array_equal(spm.load(path).transform(NEW), before)


def test_a_file_holds_a_network_once(tmp_path):
    """Of a vectorizer's `features` and `features_`, and of several parts with one network."""
    pytest.importorskip("onnxruntime")
    maps = [(f"at{size}", spm.presets.spp2014(size=size)[0]) for size in (32, 48)]
    both = spm.KernelSum(maps, kernels=["linear"] * 2).fit(X)
    path = spm.save(both, tmp_path / "both.spm")
    network = len(bytes(maps[0][1].features.model))
    vectors = sum(kept.nbytes for kept in both.vectors_)
    assert network < path.stat().st_size < 1.5 * network + vectors
    loaded = spm.load(path)
    np.testing.assert_array_equal(loaded.transform(NEW), both.transform(NEW))
    assert type(loaded.vectorizers_[1].features_.model) is type(maps[0][1].features.model)


# What is refused


class Foreign(BaseEstimator):
    """An estimator that spm does not know."""

    def __init__(self, *, n=1):
        self.n = n


def own_document(**changes):
    return seal(skops.io.dumps({"format": FORMAT, "spm": "0", "model": spm.BagOfWords(), **changes}))


def test_the_own_document_used_here_is_one_that_loads(tmp_path):
    (tmp_path / "a.spm").write_bytes(own_document())
    assert isinstance(spm.load(tmp_path / "a.spm"), spm.BagOfWords)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no model saved by spm, or it is damaged"),
        (b"just text", "no model saved by spm, or it is damaged"),
        (own_document()[:-200], "no model saved by spm, or it is damaged"),
        (pickle.dumps({"format": FORMAT, "model": None}), "no model saved by spm, or it is damaged"),
        (own_document(model=Foreign()), r"holds test_storage\.Foreign, which spm does not trust"),
        (own_document(model=os.system), r"system.* which spm does not trust"),
        (own_document(format=FORMAT + 1, spm="9.8"), r"saved by spm 9\.8: upgrade spm"),
        (own_document(format="new"), "no model saved by spm.save"),
        (skops.io.dumps(np.arange(3)), "no model saved by spm.save"),
        (skops.io.dumps({"model": spm.BagOfWords()}), "no model saved by spm.save"),
    ],
    ids=["empty", "text", "truncated", "pickle", "foreign", "function", "newer", "odd format", "array", "no format"],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "model.spm"
    path.write_bytes(content)
    with pytest.raises(SpmError, match=message) as caught:
        spm.load(path)
    assert str(caught.value).startswith(str(path))


def test_a_damaged_model_is_refused(preset, tmp_path):
    path = spm.save(preset, tmp_path / "scene.spm")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SpmError, match="damaged"):
        spm.load(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(SpmError, match=r"none\.spm: the model cannot be read \(No such file"):
        spm.load(tmp_path / "none.spm")
    with pytest.raises(SpmError, match="cannot be read"):
        spm.load(tmp_path)


def histogram(A, B):
    return A @ B.T


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (spm.KernelSVC(kernel=lambda A, B: A @ B.T), "<lambda>, which load"),
        (spm.KernelSVC(kernel=histogram), r"test_storage\.histogram, which load"),
        (make_pipeline(spm.PyramidVectorizer(), Foreign()), r"test_storage\.Foreign, which load"),
        (spm.PyramidVectorizer(random_state=(i for i in range(3))), "cannot be saved"),
        (spm.PyramidVectorizer, "is no estimator"),
        ({"a": 1}, "is no estimator"),
    ],
    ids=["lambda", "function", "foreign", "generator", "class", "dict"],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, model, message):
    path = tmp_path / "model.spm"
    with pytest.raises(SpmError, match=message):
        spm.save(model, path)
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"the old one")
    with pytest.raises(SpmError, match=message):
        spm.save(model, path)
    assert os.listdir(tmp_path) == ["model.spm"] and path.read_bytes() == b"the old one"


# Writing


def test_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "model.spm"
    path.write_bytes(b"the old one")
    spm.save(spm.BagOfWords(n_words=3), path)
    assert spm.load(path).n_words == 3 and os.listdir(tmp_path) == ["model.spm"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_an_old_file_stays_until_the_new_one_is_complete(tmp_path, monkeypatch, broken):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "model.spm"
    path.write_bytes(b"the old one")
    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(SpmError, match=r"model\.spm: the model cannot be saved \(No space left"):
        spm.save(spm.BagOfWords(), path)
    assert os.listdir(tmp_path) == ["model.spm"] and path.read_bytes() == b"the old one"


def test_places_where_no_file_can_be_are_refused(tmp_path):
    with pytest.raises(SpmError, match=r"m\.spm: the model cannot be saved \(No such file or directory\)"):
        spm.save(spm.BagOfWords(), tmp_path / "none" / "m.spm")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SpmError, match="folder: the model cannot be saved"):
        spm.save(spm.BagOfWords(), tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


# Scikit-learn's models


LONG = np.random.default_rng(0).random((60, 8))
SIDES = np.where(LONG[:, 0] + LONG[:, 1] > 1, "a", "b")
CV = spm.PerClassShuffleSplit(n_train=8, n_splits=2)
GRID = {"C": [1.0, 10.0]}
USUAL = {
    "search": GridSearchCV(spm.KernelSVC(), GRID, cv=CV, scoring="balanced_accuracy"),
    "search, its own scorer": GridSearchCV(spm.KernelSVC(), GRID, cv=CV, scoring=make_scorer(balanced_accuracy_score)),
    "search, several": GridSearchCV(spm.KernelSVC(), GRID, cv=CV, scoring=["accuracy", "f1_macro"], refit="accuracy"),
    "search, folds": GridSearchCV(spm.KernelSVC(), GRID, cv=StratifiedKFold(3)),
    "random search": RandomizedSearchCV(spm.KernelSVC(), GRID, n_iter=2, cv=CV, scoring="balanced_accuracy"),
    "calibrated": CalibratedClassifierCV(spm.KernelSVC(), cv=CV),
    "calibrated, steps": CalibratedClassifierCV(LinearSVC(), cv=3, method="isotonic"),
    "voting": VotingClassifier([("a", spm.KernelSVC(probability=True)), ("b", LogisticRegression())], voting="soft"),
    "stacking": StackingClassifier([("a", spm.KernelSVC()), ("b", LogisticRegression())], cv=3),
    "stacked trees": StackingClassifier([("a", spm.KernelSVC())], RandomForestClassifier(3), cv=3, passthrough=True),
    "tree": DecisionTreeClassifier(),
    "forest": RandomForestClassifier(5),
    "extra trees": ExtraTreesClassifier(5),
    "bagging": BaggingClassifier(DecisionTreeClassifier(), 3, max_features=0.5),
    "boosting of trees": AdaBoostClassifier(n_estimators=3),
    "gradient boosting": GradientBoostingClassifier(n_estimators=3),
    "boosted histograms": HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=3),
    "perceptron": MLPClassifier((4,), max_iter=400, tol=0.1),
    "perceptron, sgd": MLPClassifier((4,), max_iter=400, tol=0.1, solver="sgd"),
    "neighbours": KNeighborsClassifier(3),
    "neighbours in balls": KNeighborsClassifier(3, algorithm="ball_tree", metric="manhattan"),
    "neighbours, minkowski": KNeighborsClassifier(3, algorithm="kd_tree", p=3),
    "neighbours by sight": KNeighborsClassifier(3, algorithm="brute", metric="cosine"),
    "neighbours in reach": RadiusNeighborsClassifier(2.0),
    "gaussian process": GaussianProcessClassifier(),
    "svc": SVC(),
}


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_models_of_scikit_learn_come_back(name, tmp_path):
    model = clone(USUAL[name]).fit(LONG, SIDES)
    loaded = spm.load(spm.save(model, tmp_path / "model.spm"))
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            np.testing.assert_array_equal(getattr(loaded, method)(LONG), getattr(model, method)(LONG))
    assert model.predict(LONG[:2]).tolist() == loaded.predict(LONG[:2]).tolist()  # the saved one is as it was
    loaded.fit(LONG, SIDES)


def test_a_search_over_images_comes_back(tmp_path):
    grid = {"classifier__C": [1.0, 10.0]}
    model = spm.presets.lazebnik2006(n_words=5, levels=(1,), random_state=0)
    search = GridSearchCV(model, grid, cv=spm.PerClassShuffleSplit(n_train=3, n_splits=1), scoring="balanced_accuracy")
    loaded = spm.load(spm.save(search.fit(X, Y), tmp_path / "search.spm"))
    assert loaded.predict(NEW).tolist() == search.predict(NEW).tolist() and loaded.best_params_ == search.best_params_


def test_networks_are_taken_in_wherever_they_are(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "net.onnx").write_bytes(read_shipped("texture_net.onnx"))
    model = CalibratedClassifierCV(spm.presets.spp2014(str(tmp_path / "net.onnx"), size=32), cv=2).fit(X, Y)
    expected = model.predict_proba(NEW)
    path = spm.save(model, tmp_path / "model.spm")
    (tmp_path / "net.onnx").unlink()
    np.testing.assert_array_equal(spm.load(path).predict_proba(NEW), expected)


def test_what_may_be_saved_instead_is_told(tmp_path):
    search = GridSearchCV(spm.KernelSVC(), GRID, cv=CV, scoring=lambda model, X, y: model.score(X, y)).fit(LONG, SIDES)
    with pytest.raises(SpmError, match=r"<lambda>, which load.*save\(search\.best_estimator_, path\)"):
        spm.save(search, tmp_path / "model.spm")
    spm.save(search.best_estimator_, tmp_path / "model.spm")


@pytest.mark.parametrize("kind", [DecisionTreeClassifier(), RandomForestClassifier(2), GradientBoostingClassifier()])
@pytest.mark.parametrize(
    ("field", "value"), [("left_child", 10**6), ("right_child", -7), ("left_child", 0), ("feature", 10**6)]
)
def test_trees_that_lead_outside_are_refused(kind, field, value, tmp_path):
    model = clone(kind).fit(LONG, SIDES)
    tree = next(part for part in parts_of(model) if type(part).__name__ == "Tree")
    state = tree.__getstate__()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    with pytest.raises(SpmError, match="decision tree in it leads outside"):
        spm.load(spm.save(model, tmp_path / "model.spm"))


@pytest.mark.parametrize(("field", "value"), [("left", 10**6), ("feature_idx", 99), ("is_categorical", 1)])
def test_boosted_trees_that_lead_outside_are_refused(field, value, tmp_path):
    model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=3).fit(LONG, SIDES)
    model._predictors[1][0].nodes[field][0] = value
    with pytest.raises(SpmError, match="decision tree in it leads outside"):
        spm.load(spm.save(model, tmp_path / "model.spm"))


def test_trees_of_other_sizes_than_their_forest_are_refused(tmp_path):
    model = RandomForestClassifier(2).fit(LONG, SIDES)
    model.n_features_in_ = 2
    with pytest.raises(SpmError, match="decision tree in it leads outside"):
        spm.load(spm.save(model, tmp_path / "model.spm"))


def test_loading_brings_no_library_that_the_model_does_not_need(tmp_path):
    path = spm.save(spm.presets.lazebnik2006(), tmp_path / "m.spm")
    code = (
        f"import sys, spm; spm.load({str(path)!r})\n"
        "print('torch' in sys.modules, any('_Refusing' in repr(finder) for finder in sys.meta_path))\n"
        "import skops.io; print('sklearn.svm._classes.SVC' in skops.io._trusted_types.SKLEARN_ESTIMATOR_TYPE_NAMES)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told == ["False", "False", "True"]


@pytest.mark.parametrize("package", ["torch", "dask.array"])
def test_what_was_left_out_is_there_for_who_asks_for_it(package):
    pytest.importorskip(package)
    pytest.importorskip(f"sklearn.externals.array_api_compat.{package}")
    code = f"import spm.storage._skops as s; s.skops_io(); import sklearn.externals.array_api_compat.{package}.linalg"
    subprocess.run([sys.executable, "-c", code], check=True)
