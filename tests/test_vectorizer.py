"""The vectorizer: scikit-learn's conventions for estimators, held for images; pooling, norms, memory, sampling."""

import copy
import pickle
import shutil
import threading
import time
import weakref
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.random_projection import GaussianRandomProjection
from sklearn.utils import get_tags

from spm import (
    BagOfWords,
    DenseSIFT,
    ImageError,
    KernelSVC,
    LocalFeatures,
    PerClassShuffleSplit,
    PyramidVectorizer,
    SpatialPyramid,
    SpmError,
)
from spm.features.local import ExtractorMixin
from spm.images import read_image

KINDS = ("across", "down")


def picture(kind, seed=0, size=(48, 64)):
    """Stripes of one direction with noise: grey, uint8."""
    rng = np.random.default_rng(seed)
    along = np.arange(size[0])[:, None] if kind == "across" else np.arange(size[1])[None, :]
    waves = 128 + 80 * np.sin(along * 2 * np.pi / 8 + rng.uniform(0, 6)) + np.zeros(size)
    return np.clip(waves + rng.normal(0, 20, size), 0, 255).astype(np.uint8)


def pictures(n=6, **options):
    return [picture(KINDS[i % 2], seed=i, **options) for i in range(n)]


def labels(n=6):
    return np.array([KINDS[i % 2] for i in range(n)])


def saved(folder, images):
    paths = [folder / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return [str(path) for path in paths]


def vectorizer(**options):
    defaults = {
        "features": DenseSIFT(patch_size=16, step=8),
        "encoder": BagOfWords(n_words=6),
        "pyramid": SpatialPyramid(levels=(1, 2)),
        "random_state": 0,
    }
    return PyramidVectorizer(**{**defaults, **options})


def plain(**options):
    """One that pools the features themselves and leaves the sums as they are."""
    pyramid = SpatialPyramid(levels=(1, 2), pool=options.pop("pool", "sum"), weights=None)
    return vectorizer(**{"encoder": None, "pyramid": pyramid, "norm": None, **options})


@pytest.fixture(scope="module")
def fitted():
    return vectorizer().fit(pictures())


# Conventions


def test_options_are_stored_untouched():
    given = {
        "features": DenseSIFT(),
        "encoder": BagOfWords(),
        "pyramid": SpatialPyramid(),
        "reduce": PCA(),
        "append_xy": True,
        "norm": ["power", "l2"],
        "norm_over": "cell",
        "sample_size": 1234,
        "sample_per_image": 56,
        "dtype": "float16",
        "memory": Path("somewhere"),
        "n_jobs": 2,
        "verbose": True,
        "random_state": np.random.RandomState(0),
    }
    vec = PyramidVectorizer(**given)
    assert vec.get_params(deep=False).keys() == given.keys()
    for name, value in given.items():
        assert getattr(vec, name) is value
    assert [name for name in vars(vec) if name.endswith("_")] == []


def test_clone_copies_options_and_nothing_learned(fitted):
    copied = clone(fitted)
    assert repr(copied) == repr(fitted)
    assert copied.encoder is not fitted.encoder and copied.features is not fitted.features
    with pytest.raises(NotFittedError):
        copied.transform(pictures(2))


def test_nested_options_are_set_and_read_by_name():
    vec = vectorizer().set_params(encoder__n_words=4, features__step=16, pyramid__levels=(1,), pyramid__pool="max")
    options = vec.get_params()
    assert (options["encoder__n_words"], options["features__step"], options["pyramid__pool"]) == (4, 16, "max")
    assert vec.fit(pictures()).transform(pictures(2)).shape == (2, 4)
    with pytest.raises(ValueError, match="n_wrods"):
        vec.set_params(encoder__n_wrods=4)


@pytest.mark.parametrize(
    "use",
    [
        lambda vec: vec.transform(pictures(2)),
        lambda vec: vec.transform_regions(picture("down"), [[0, 0, 20, 20]]),
        lambda vec: vec.get_feature_names_out(),
    ],
)
def test_nothing_works_before_fit(use):
    with pytest.raises(NotFittedError):
        use(vectorizer())


def test_fit_returns_self_and_may_be_repeated():
    vec = vectorizer()
    assert vec.fit(pictures()) is vec
    first = vec.transform(pictures(3))
    np.testing.assert_array_equal(vec.fit(pictures()).transform(pictures(3)), first)
    np.testing.assert_array_equal(vec.fit(pictures(), labels()).transform(pictures(3)), first)
    other = vec.set_params(encoder__n_words=3).fit(pictures(), labels()).transform(pictures(3))
    assert other.shape == (3, 15)


def test_fit_transform_is_fit_then_transform(fitted):
    vectors = vectorizer().fit_transform(pictures())
    np.testing.assert_array_equal(vectors, fitted.transform(pictures()))
    assert vectors.shape == (6, fitted.n_features_out_) == (6, 30) and vectors.dtype == np.float32


def test_inputs_are_not_changed():
    images = pictures()
    before, listed = copy.deepcopy(images), list(images)
    boxes = np.array([[0.0, 0.0, 20.0, 20.0]])
    vec = vectorizer().fit(images)
    vec.transform(images)
    vec.transform_regions(images[0], boxes)
    assert all(a is b for a, b in zip(images, listed, strict=True))
    np.testing.assert_array_equal(images, before)
    assert boxes.tolist() == [[0, 0, 20, 20]]


def test_parts_that_are_given_are_never_fitted_or_changed():
    parts = {"features": DenseSIFT(), "encoder": BagOfWords(n_words=5), "pyramid": SpatialPyramid(), "reduce": PCA(4)}
    before = copy.deepcopy({name: vars(part) for name, part in parts.items()})
    vec = PyramidVectorizer(**parts, n_jobs=2, verbose=True, random_state=0).fit(pictures())
    assert {name: vars(part) for name, part in parts.items()} == before
    assert vec.encoder is parts["encoder"] and vec.encoder_ is not vec.encoder
    assert vec.pyramid_ is not vec.pyramid and vec.reduce_ is not vec.reduce


@pytest.mark.parametrize("copied", [lambda vec: pickle.loads(pickle.dumps(vec)), copy.deepcopy], ids=["pickle", "copy"])
def test_copies_of_a_fitted_one_work_alike(fitted, copied):
    np.testing.assert_array_equal(copied(fitted).transform(pictures(2)), fitted.transform(pictures(2)))


def test_shows_itself_in_notebooks(fitted):
    for vec in (vectorizer(), fitted):
        html = vec._repr_html_()
        assert all(name in html for name in ("PyramidVectorizer", "DenseSIFT", "BagOfWords", "SpatialPyramid"))


def test_tells_scikit_learn_that_it_takes_images():
    tags = get_tags(vectorizer())
    assert tags.no_validation and not tags.input_tags.two_d_array and tags.input_tags.three_d_array


def test_vectors_may_come_as_a_table(fitted):
    pandas = pytest.importorskip("pandas")
    table = clone(fitted).set_output(transform="pandas").fit_transform(pictures())
    assert isinstance(table, pandas.DataFrame)
    assert table.columns.tolist() == fitted.get_feature_names_out().tolist()
    np.testing.assert_array_equal(table.to_numpy(), fitted.transform(pictures()))


# Inside scikit-learn


def classifier(**options):
    return Pipeline([("vectorizer", vectorizer(**options)), ("classifier", KernelSVC(C=10))])


def test_in_cross_validation():
    cv = PerClassShuffleSplit(n_train=4, n_splits=2)
    scores = cross_val_score(classifier(), pictures(12), labels(12), cv=cv, scoring="balanced_accuracy")
    assert scores.tolist() == [1, 1]


class Knows(ClassifierMixin, BaseEstimator):
    """A classifier that has seen all images with their labels before: what a leak would make of any."""

    def __init__(self, seen=()):
        self.seen = seen

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        known = {image.tobytes(): label for image, label in self.seen}
        return np.array([known[image.tobytes()] for image in X])


def test_labels_that_mean_nothing_are_not_learned():
    images, n = pictures(32), 32
    meaningless = np.array(["a", "a", "b", "b"] * (n // 4))  # of either kind of picture half are a and half b
    cv = PerClassShuffleSplit(n_train=8, n_splits=10, random_state=0)

    def score(model):
        return cross_val_score(model, images, meaningless, cv=cv, scoring="balanced_accuracy").mean()

    assert score(classifier()) < 0.75
    assert score(Knows(tuple(zip(images, meaningless, strict=True)))) == 1, "the score would show a leak"


def test_in_a_grid_search_over_nested_names(tmp_path):
    grid = {"vectorizer__encoder__n_words": [1, 6], "classifier__C": [1, 10]}
    cv = PerClassShuffleSplit(n_train=3, n_splits=1)
    search = GridSearchCV(classifier(), grid, cv=cv, scoring="balanced_accuracy", error_score="raise")
    search.fit(saved(tmp_path, pictures(8)), labels(8))
    assert search.best_params_["vectorizer__encoder__n_words"] == 6 and search.best_score_ == 1
    assert search.best_estimator_[0].encoder_.words_.shape == (6, 128)
    assert search.predict(pictures(2)).tolist() == ["across", "down"]


# What it takes


def test_every_form_of_the_same_images_gives_the_same_vectors(tmp_path, fitted):
    pandas = pytest.importorskip("pandas")
    grey = np.stack(pictures())
    paths = saved(tmp_path, pictures())
    forms = {
        "paths": paths,
        "tuple": tuple(paths),
        "path objects": [Path(path) for path in paths],
        "array of paths": np.array(paths),
        "array of objects": np.array(paths, dtype=object),
        "series": pandas.Series(paths, index=range(10, 10 + len(paths))),
        "arrays": list(grey),
        "one array": grey,
        "one array in colour": np.repeat(grey[..., None], 3, axis=3),
        "Pillow": [Image.fromarray(image) for image in grey],
        "mixed": [paths[0], grey[1], Path(paths[2]), Image.fromarray(grey[3]), *grey[4:]],
    }
    for name, images in forms.items():
        np.testing.assert_array_equal(fitted.transform(images), fitted.transform(paths), err_msg=name)
        np.testing.assert_array_equal(vectorizer().fit(images).transform(paths), fitted.transform(paths), err_msg=name)


def test_images_may_be_of_different_sizes(fitted):
    images = [picture("across", 0, (48, 64)), picture("down", 1, (80, 50)), picture("across", 2, (16, 16))]
    together = fitted.transform(images)
    for image, vector in zip(images, together, strict=True):
        np.testing.assert_array_equal(fitted.transform([image])[0], vector)
    assert vectorizer().fit(images).transform(images).shape == (3, 30)


@pytest.mark.parametrize(
    "images",
    [
        "photo.jpg",
        Path("photo.jpg"),
        picture("down"),
        np.zeros((48, 64, 3), np.uint8),
        np.zeros((2, 2, 48, 64, 3), np.uint8),
        np.zeros((0, 48, 64), np.uint8),
        Image.fromarray(picture("down")),
        [],
        {"a": picture("down")},
        (picture("down") for _ in range(2)),
        None,
    ],
    ids=lambda images: type(images).__name__,
)
def test_what_is_not_several_images_gets_one_clear_error(images, fitted):
    for use in (vectorizer().fit, fitted.transform):
        with pytest.raises(SpmError, match="images"):
            use(images)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_bad_file_is_named(tmp_path, fitted, content, n_jobs):
    paths = [*saved(tmp_path, pictures(3)), str(tmp_path / "bad.png")]
    if content is not None:
        Path(paths[-1]).write_bytes(content)
    for use in (vectorizer(n_jobs=n_jobs).fit, clone(fitted).set_params(n_jobs=n_jobs).fit(pictures()).transform):
        with pytest.raises(ImageError, match=r"bad\.png") as caught:
            use(paths)
        assert caught.value.source == paths[-1]
    with pytest.raises(ImageError, match=r"bad\.png"):
        fitted.check(paths[-1])


def test_an_image_smaller_than_a_patch_is_refused(fitted):
    with pytest.raises(ImageError, match="patch"):
        fitted.transform([picture("down"), picture("down", size=(12, 40))])
    fitted.check(picture("down", size=(16, 16)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l3"}, "'l1', 'l2', 'power'"),
        ({"norm": ("power", "l3")}, "'l1', 'l2', 'power'"),
        ({"norm_over": "image"}, "'vector', 'cell'"),
        ({"sample_size": 0}, "sample_size must be a whole number at least 1, got 0"),
        ({"sample_per_image": 2.5}, "sample_per_image must be a whole number"),
        ({"memory": 3}, "memory must be a path or a joblib.Memory, got 3"),
        ({"pyramid": SpatialPyramid(levels=())}, "levels"),
        ({"pyramid": SpatialPyramid(weights="even")}, "'lazebnik'"),
        ({"pyramid": SpatialPyramid(pool="median")}, "'sum', 'mean', 'max'"),
        ({"pyramid": (1, 2, 4)}, "pyramid="),
        ({"encoder": PCA()}, r"encoder=PCA\(\) cannot be used \(it lacks encode, finish\): .* such as BagOfWords\(\)"),
        ({"encoder": BagOfWords}, "an object, not a class"),
        ({"features": "sift"}, r"features='sift' .* such as DenseSIFT\(\)"),
        ({"reduce": 64}, r"reduce=64 .* such as PCA\(\)"),
        ({"features": DenseSIFT(step=0)}, "step"),
        ({"encoder": BagOfWords(n_words=0)}, "n_words"),
        ({"encoder": BagOfWords(n_words=10_000)}, "n_words=10000 needs .*210"),
    ],
)
def test_wrong_options_are_refused_by_fit(options, message):
    with pytest.raises(SpmError, match=message):
        vectorizer(**options).fit(pictures())


# The vector


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("column", [0, 1])
def test_values_come_by_level_row_column_and_channel(row, column):
    image = np.full((64, 64), 100, np.uint8)
    top, left = 4 + 40 * row, 4 + 40 * column
    image[top : top + 16, left : left + 16] = picture("across", size=(16, 16))  # far from the other quarters' patches
    vec = plain().fit([image])
    names, vector = vec.get_feature_names_out(), vec.transform([image])[0]
    assert len(names) == len(vector) == vec.n_features_out_ == 5 * 128
    shown = {name.rpartition("_")[0] for name in names[vector != 0]}
    assert shown == {"1x1_r0c0", f"2x2_r{row}c{column}"}
    total = vec.features_.extract(image).values.sum(axis=0)
    for cell in shown:
        inside = [i for i, name in enumerate(names) if name.startswith(f"{cell}_")]
        assert [names[i] for i in inside] == [f"{cell}_x{d}" for d in range(128)]
        np.testing.assert_allclose(vector[inside], total, rtol=1e-5)


def test_names_tell_level_row_column_and_word():
    vec = vectorizer(encoder=BagOfWords(n_words=2), pyramid=SpatialPyramid(levels=(1, (1, 2)))).fit(pictures())
    cells = ["1x1_r0c0", "1x2_r0c0", "1x2_r0c1"]
    assert vec.get_feature_names_out().tolist() == [f"{cell}_word{w}" for cell in cells for w in range(2)]


def test_l1_divides_words_by_the_number_of_features():
    for weights, shares in ((None, [1, 1, 1]), ("lazebnik", [1 / 4, 1 / 4, 1 / 2]), ([3, 0, 2], [3, 0, 2])):
        pyramid = SpatialPyramid(levels=(1, 2, 4), weights=weights)
        vectors = vectorizer(pyramid=pyramid).fit_transform(pictures())
        levels = np.split(vectors, [6, 6 + 4 * 6], axis=1)
        np.testing.assert_allclose([level.sum(axis=1) for level in levels], np.outer(shares, np.ones(6)), rtol=1e-5)


def test_words_are_counted_in_their_cells(fitted):
    image = picture("across", 3)
    counts = clone(fitted).set_params(norm=None, pyramid__weights=None).fit(pictures()).transform([image])[0]
    local = DenseSIFT(patch_size=16, step=8).extract(image)
    words = ((local.values[:, None] - fitted.encoder_.words_) ** 2).sum(axis=2).argmin(axis=1)
    quarter = 2 * (local.extents[:, 1] >= 24) + (local.extents[:, 0] >= 32)
    expected = [np.bincount(words, minlength=6), *(np.bincount(words[quarter == q], minlength=6) for q in range(4))]
    np.testing.assert_array_equal(counts, np.concatenate(expected))


@pytest.mark.parametrize(("pool", "reduced"), [("sum", np.sum), ("mean", np.mean), ("max", np.max)])
def test_without_an_encoder_the_features_themselves_are_pooled(pool, reduced):
    image = picture("down", 5)
    vector = plain(pool=pool).fit(pictures()).transform([image])[0].reshape(5, 128)
    local = DenseSIFT(patch_size=16, step=8).extract(image)
    quarter = 2 * (local.extents[:, 1] >= 24) + (local.extents[:, 0] >= 32)
    np.testing.assert_allclose(vector[0], reduced(local.values, axis=0), rtol=1e-5)
    for q in range(4):
        np.testing.assert_allclose(vector[1 + q], reduced(local.values[quarter == q], axis=0), rtol=1e-5)


def test_norms_over_the_vector_or_over_each_cell():
    raw = plain().fit(pictures()).transform(pictures(2))
    roots = np.sqrt(raw)
    over_vector = plain(norm=("power", "l2")).fit(pictures()).transform(pictures(2))
    np.testing.assert_allclose(over_vector, roots / np.linalg.norm(roots, axis=1, keepdims=True), rtol=1e-5)
    over_cell = plain(norm=("power", "l2"), norm_over="cell").fit(pictures()).transform(pictures(2)).reshape(2, 5, 128)
    cells = roots.reshape(2, 5, 128)
    np.testing.assert_allclose(over_cell, cells / np.linalg.norm(cells, axis=2, keepdims=True), rtol=1e-5)
    l1 = plain(norm="l1", norm_over="cell").fit(pictures()).transform(pictures(2)).reshape(2, 5, 128)
    np.testing.assert_allclose(l1.sum(axis=2), 1, rtol=1e-5)


def test_levels_weigh_after_the_norm():
    pyramid = SpatialPyramid(levels=(1, 2), weights=(0.5, 2))
    weighted = plain(norm="l2").set_params(pyramid=pyramid).fit(pictures()).transform(pictures(2))
    even = plain(norm="l2").fit(pictures()).transform(pictures(2))
    np.testing.assert_allclose(weighted, even * np.repeat([0.5, 2], [128, 4 * 128]), rtol=1e-6)


@pytest.mark.parametrize("norm_over", ["vector", "cell"])
@pytest.mark.parametrize("norm", ["l1", "l2", ("power", "l2"), None])
def test_a_blank_image_has_a_vector_without_nan(norm, norm_over):
    blank = np.full((48, 64), 77, np.uint8)
    without_words = plain(norm=norm, norm_over=norm_over).fit(pictures()).transform([blank])
    assert not without_words.any() and not np.isnan(without_words).any()
    with_words = vectorizer(norm=norm, norm_over=norm_over).fit(pictures()).transform([blank])
    assert np.isfinite(with_words).all() and with_words.any()


def test_reduce_comes_before_the_encoder():
    vec = vectorizer(reduce=PCA(5)).fit(pictures())  # n_jobs stays None, which PCA does not have
    assert vec.reduce_.components_.shape == (5, 128) and vec.encoder_.words_.shape == (6, 5)
    assert vec.transform(pictures(2)).shape == (2, 30)
    vec = plain(reduce=PCA(5, random_state=0)).fit(pictures())
    local = DenseSIFT(patch_size=16, step=8).extract(picture("down"))
    expected = vec.reduce_.transform(local.values).sum(axis=0)
    np.testing.assert_allclose(vec.transform([picture("down")])[0, :5], expected, rtol=1e-3, atol=1e-3)


# Seeds and workers


def test_places_are_appended_after_reduce():
    image = picture("across", size=(40, 64))
    vec = PyramidVectorizer(
        features=DenseSIFT(patch_size=16, step=8),
        reduce=PCA(3),
        append_xy=True,
        pyramid=SpatialPyramid(levels=(1,), pool="max"),
        norm=None,
    ).fit([image])
    vector = vec.transform([image])[0]
    centres = vec.features_.extract(image).extents[:, :2]
    assert vector.shape == (5,) and vec.reduce_.n_features_in_ == 128
    np.testing.assert_allclose(vector[3:], centres.max(axis=0) / [64, 40] - 0.5, rtol=1e-6)
    assert len(vec.get_feature_names_out()) == 5
    words = vectorizer(append_xy=True).fit(pictures())
    assert words.encoder_.words_.shape[1] == 130 and np.abs(words.encoder_.words_[:, 128:]).max() <= 0.5


def test_vectors_in_half_the_memory(fitted):
    half = copy.deepcopy(fitted).set_params(dtype="float16").transform(pictures())
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, fitted.transform(pictures()).astype(np.float16))


def test_views_one_by_one_are_what_is_averaged(fitted):
    views = fitted.transform_views(pictures()[0])
    np.testing.assert_array_equal(views[0], fitted.transform(pictures()[:1]))
    boxes = [[0, 0, 32, 32], [16, 8, 64, 48]]
    np.testing.assert_array_equal(
        fitted.transform_views(pictures()[0], boxes)[0], fitted.transform_regions(pictures()[0], boxes)
    )


def test_descriptors_may_be_whitened_and_vectors_projected_at_random():
    features = DenseSIFT(patch_size=8, step=4)
    vec = vectorizer(features=features, reduce=PCA(6, whiten=True), encoder=BagOfWords(n_words=4)).fit(pictures())
    described = np.concatenate([vec.reduce_.transform(features.extract(image).values) for image in pictures()])
    np.testing.assert_allclose(np.cov(described, rowvar=False), np.eye(6), atol=0.05)
    short = make_pipeline(vec, GaussianRandomProjection(5, random_state=0)).fit_transform(pictures())
    assert short.shape == (len(pictures()), 5) and np.isfinite(short).all()


def test_parts_are_seeded_where_they_leave_it_open():
    vec = vectorizer(encoder=BagOfWords(n_words=3, clusterer=MiniBatchKMeans(3)), reduce=PCA(4)).fit(pictures())
    seeds = [vec.encoder_.random_state, vec.encoder_.clusterer.random_state, vec.reduce_.random_state]
    assert all(isinstance(seed, int) for seed in seeds)
    assert (vec.encoder.random_state, vec.encoder.clusterer.random_state, vec.reduce.random_state) == (None,) * 3
    assert clone(vec).fit(pictures()).encoder_.random_state == seeds[0]
    own = BagOfWords(n_words=3, clusterer=MiniBatchKMeans(3, random_state=8), random_state=7)
    vec = vectorizer(encoder=own, reduce=PCA(4, random_state=9)).fit(pictures())
    assert (vec.encoder_.random_state, vec.encoder_.clusterer.random_state, vec.reduce_.random_state) == (7, 8, 9)


def test_other_seeds_give_other_words(fitted):
    other = vectorizer(random_state=1).fit(pictures())
    assert not np.array_equal(np.sort(other.encoder_.words_, axis=0), np.sort(fitted.encoder_.words_, axis=0))


def test_workers_and_progress_are_passed_on_where_they_are_left_open():
    vec = vectorizer(n_jobs=2, verbose=True).fit(pictures())
    assert (vec.encoder_.n_jobs, vec.encoder_.verbose) == (2, True)
    vec = vectorizer(n_jobs=2, encoder=BagOfWords(n_words=3, n_jobs=1)).fit(pictures())
    assert (vec.encoder_.n_jobs, vec.encoder_.verbose) == (1, False)


def bits(images, n_jobs):
    options = {"sample_size": 300, "sample_per_image": 20, "reduce": PCA(8, svd_solver="full")}
    vec = vectorizer(n_jobs=n_jobs, encoder=BagOfWords(n_words=8), **options).fit(images)
    return vec.encoder_.words_.tobytes(), vec.transform(images).tobytes()


def test_the_same_seed_gives_the_same_bits_for_every_number_of_workers():
    one = bits(pictures(20), 1)  # several batches
    assert bits(pictures(20), None) == bits(pictures(20), 2) == bits(pictures(20), 3) == one


@pytest.mark.parametrize(
    "backend",
    [
        "threading",
        "loky",
        "multiprocessing",
    ],
)
def test_the_same_seed_gives_the_same_bits_for_every_kind_of_workers(backend, tmp_path):
    images = [*pictures(12), *saved(tmp_path, pictures(8))]
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert bits(images, None) == bits(images, 1)


class Slow(ExtractorMixin, BaseEstimator):
    """Fails at the first image, while the others are still at work."""

    at_work = 0

    def views(self, image):
        if image.max() == 0:
            time.sleep(0.05)  # till another worker has begun
            raise ImageError("first", "planned")
        Slow.at_work += 1
        time.sleep(0.3)
        Slow.at_work -= 1
        return [(DenseSIFT().extract(image),)]


def test_after_an_error_no_worker_is_left_at_work():
    images = np.stack([np.full((16, 16), i > 0, np.uint8) for i in range(24)])
    with pytest.raises(ImageError, match="planned"):
        vectorizer(features=Slow(), n_jobs=2).fit(images)
    assert Slow.at_work == 0


# Regions


def test_a_box_over_the_whole_image_has_the_images_vector(fitted):
    image = picture("across", 1)
    vectors = fitted.transform_regions(image, [[0, 0, 64, 48], [-5, -5, 100, 100]])
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, fitted.transform([image, image]))


def test_regions_come_in_the_order_of_the_boxes(fitted, tmp_path):
    image = picture("across", 1)
    boxes = np.array([[0, 0, 30, 30], [20, 8, 64, 48], [0, 0, 64, 48]])
    vectors = fitted.transform_regions(image, boxes)
    assert vectors.shape == (3, 30)
    np.testing.assert_array_equal(fitted.transform_regions(image, boxes[::-1]), vectors[::-1])
    np.testing.assert_array_equal(fitted.transform_regions(saved(tmp_path, [image])[0], boxes.tolist()), vectors)
    assert len(np.unique(vectors, axis=0)) == 3
    assert fitted.transform_regions(image, []).shape == fitted.transform_regions(image, np.empty((0, 4))).shape
    assert fitted.transform_regions(image, []).shape == (0, 30)


def test_a_region_counts_its_own_features_only():
    image = picture("across", 1)
    vec = plain().fit(pictures())
    local = vec.features_.extract(image)
    x, y = local.extents[:, 0], local.extents[:, 1]
    inside = (x >= 10) & (x < 40) & (y >= 5) & (y < 30)
    vector = vec.transform_regions(image, [[10, 5, 40, 30]])[0]
    np.testing.assert_allclose(vector[:128], local.values[inside].sum(axis=0), rtol=1e-5)
    assert not vec.transform_regions(image, [[0, 0, 3, 3]]).any()  # without a feature


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([0, 0, 10, 10], "shape"),
        ([[0, 0, 10]], "shape"),
        ([[0, 0, 10, 10], [10, 0, 5, 10]], "box 1"),
        ([[0, 0, 10, 10], [64, 0, 70, 10]], "box 1 .* outside"),
        ([[0, 0, np.nan, 10]], "finite"),
    ],
)
def test_wrong_boxes_are_refused(fitted, boxes, message):
    with pytest.raises(SpmError, match=message):
        fitted.transform_regions(picture("down"), boxes)


def test_regions_of_a_bad_image_are_refused(fitted, tmp_path):
    with pytest.raises(ImageError, match=r"none\.png"):
        fitted.transform_regions(tmp_path / "none.png", [[0, 0, 10, 10]])


# Extractors of other kinds


class Quarters(ExtractorMixin, BaseEstimator):
    """Two views, the image and its mirror image, of two layers: the quarters' means, and these with a constant."""

    def __init__(self, *, mirror=True):
        self.mirror = mirror

    def views(self, image):
        grey = read_image(image, "grey")
        return [self._layers(grey), self._layers(grey[:, ::-1])] if self.mirror else [self._layers(grey)]

    def _layers(self, grey):
        height, width = grey.shape
        points = np.array([[x, y, x, y] for y in (height / 4, 3 * height / 4) for x in (width / 4, 3 * width / 4)])
        halves = np.split(grey, 2, axis=0)
        means = np.array([[part.mean()] for half in halves for part in np.split(half, 2, axis=1)], dtype=np.float32)
        second = np.hstack([means, np.full_like(means, 7)])
        return tuple(LocalFeatures(v, points.astype(np.float32), (height, width)) for v in (means, second))


def four_tones(*tones):
    return np.repeat(np.repeat(np.array(tones, np.uint8).reshape(2, 2), 8, axis=0), 8, axis=1)


def test_layers_are_joined_and_views_averaged():
    vec = plain(features=Quarters()).fit([four_tones(0, 0, 0, 0)])
    vector = vec.transform([four_tones(10, 20, 30, 80)])[0]
    left_right = [140, 15, 15, 55, 55]  # the whole, then the quarters, averaged with those of the mirror image
    assert vector[:5].tolist() == left_right
    assert vector[5:].tolist() == [
        value for mean, n in zip(left_right, [4, 1, 1, 1, 1], strict=True) for value in (mean, 7 * n)
    ]
    cells = ["1x1_r0c0", "2x2_r0c0", "2x2_r0c1", "2x2_r1c0", "2x2_r1c1"]
    expected = [f"layer0_{cell}_x0" for cell in cells] + [f"layer1_{cell}_x{d}" for cell in cells for d in range(2)]
    assert vec.get_feature_names_out().tolist() == expected
    single = plain(features=Quarters(mirror=False)).fit([four_tones(0, 0, 0, 0)])
    assert single.transform([four_tones(10, 20, 30, 80)])[0, :5].tolist() == [140, 10, 20, 30, 80]


def test_layers_have_encoders_of_their_own():
    images = [four_tones(*np.random.RandomState(i).randint(0, 255, 4)) for i in range(8)]
    vec = vectorizer(features=Quarters(), encoder=BagOfWords(n_words=3), norm=None).fit(images)
    assert [layer.encoder.words_.shape for layer in vec.layers_] == [(3, 1), (3, 2)]
    assert vec.encoder_ is vec.layers_[0].encoder
    vectors = vec.transform(images)
    assert vectors.shape == (8, 2 * 5 * 3)
    np.testing.assert_allclose(vectors[:, :3].sum(axis=1), 0.5 * 4)  # the first level weighs half
    np.testing.assert_array_equal(vec.transform([image[:, ::-1] for image in images]), vectors)


class Blocks(ExtractorMixin, BaseEstimator):
    """A map: mean and spread of every 8 x 8 block of pixels, whose cells are whole."""

    def views(self, image):
        grey = read_image(image, "grey").astype(np.float32)
        rows, columns = grey.shape[0] // 8, grey.shape[1] // 8
        blocks = grey[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 64)
        i, j = (axis.ravel() for axis in np.mgrid[:rows, :columns])
        return [
            (
                LocalFeatures(
                    np.stack([blocks.mean(axis=1), blocks.std(axis=1)], axis=1),
                    np.stack([j, i, j + 1, i + 1], axis=1).astype(np.float32),
                    (rows, columns),
                    stride=(8.0, 8.0),
                    image_size=grey.shape,
                ),
            )
        ]


def test_maps_are_max_pooled_without_an_encoder():
    image = picture("down", 3, size=(40, 56))
    pyramid = SpatialPyramid(levels=(1, 2, 3), pool="max", weights=None)
    vec = vectorizer(features=Blocks(), encoder=None, pyramid=pyramid, norm=None).fit([image])
    cells = vec.transform([image])[0].reshape(14, 2)
    values = Blocks().extract(image).values.reshape(5, 7, 2)
    expected = [
        values[int(np.floor(i * 5 / n)) : int(np.ceil((i + 1) * 5 / n)), j * 7 // n : -(-(j + 1) * 7 // n)].max((0, 1))
        for n in (1, 2, 3)
        for i in range(n)
        for j in range(n)
    ]
    np.testing.assert_array_equal(cells, expected)
    boxes = [[0, 0, 56, 40], [9, 0, 16, 8], [9, 9, 23, 17]]
    regions = vec.transform_regions(image, boxes)
    np.testing.assert_array_equal(regions[0], cells.ravel())
    np.testing.assert_array_equal(regions[1, :2], values[0, 1])  # inside one cell
    np.testing.assert_array_equal(regions[2, :2], values[1:3, 1:3].max((0, 1)))  # rounded outward to whole cells


def test_maps_pass_through_words():
    images = pictures(6, size=(40, 56))
    vec = vectorizer(features=Blocks(), encoder=BagOfWords(n_words=4), norm=None).fit(images)
    vectors = vec.transform(images)
    assert vectors.shape == (6, 20)
    np.testing.assert_allclose(vectors[:, :4].sum(axis=1), 0.5 * 35)
    np.testing.assert_allclose(vectors[:, 4:].sum(axis=1), 0.5 * 48)  # of 5 x 7 cells the middle ones lie in two bins


# Memory on disk


class Watched(ExtractorMixin, BaseEstimator):
    """Dense SIFT that remembers what it was asked for, and how much of what it made is alive."""

    asked: list = []  # noqa: RUF012
    alive = most = 0
    lock = threading.RLock()

    def __init__(self, *, step=8):
        self.step = step

    def views(self, image):
        local = DenseSIFT(step=self.step).extract(image)
        with Watched.lock:
            Watched.asked.append(image)
            Watched.alive += 1
            Watched.most = max(Watched.most, Watched.alive)
        weakref.finalize(local, Watched.forget)
        return [(local,)]

    @staticmethod
    def forget():
        with Watched.lock:
            Watched.alive -= 1


@pytest.fixture
def watched():
    Watched.asked, Watched.alive, Watched.most = [], 0, 0
    yield Watched
    Watched.asked = []


def counted(use, *arguments):
    """Return what a call returns and for how many images it extracted features."""
    before = len(Watched.asked)
    result = use(*arguments)
    return result, len(Watched.asked) - before


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    "kind", [str, Path, lambda path: joblib.Memory(path, verbose=0)], ids=["str", "path", "Memory"]
)
def test_features_are_made_once_with_a_memory(tmp_path, watched, kind, n_jobs):
    images = saved(tmp_path, pictures(5))
    expected = vectorizer(features=Watched()).fit_transform(images)
    vec = vectorizer(features=Watched(), memory=kind(tmp_path / "memory"), n_jobs=n_jobs)
    assert counted(vec.fit, images) == (vec, 5)
    vectors, n_made = counted(vec.transform, images)
    assert n_made == 0
    np.testing.assert_array_equal(vectors, expected)
    vectors, n_made = counted(clone(vec).fit_transform, images)
    assert n_made == 0
    np.testing.assert_array_equal(vectors, expected)
    boxes, n_made = counted(vec.transform_regions, images[0], [[0, 0, 64, 48]])
    assert n_made == 0
    np.testing.assert_array_equal(boxes[0], expected[0])


def test_a_memory_is_never_stale(tmp_path, watched):
    images = saved(tmp_path, pictures(4))
    vec = vectorizer(features=Watched(), memory=tmp_path / "memory").fit(images)
    before = vec.transform(images)
    Image.fromarray(picture("down", 99)).save(images[0])  # other bytes under the same name
    vectors, n_made = counted(vec.transform, images)
    assert n_made == 1
    np.testing.assert_array_equal(vectors[1:], before[1:])
    np.testing.assert_array_equal(vectors[:1], vec.set_params(memory=None).transform([picture("down", 99)]))
    vec.set_params(memory=tmp_path / "memory", features__step=4)
    assert counted(vec.fit, images)[1] == 4
    assert counted(vec.transform, images)[1] == 0
    assert counted(vec.set_params(features__step=8).fit, images)[1] == 0


def test_a_memory_knows_images_by_their_bytes(tmp_path, watched):
    images = saved(tmp_path, pictures(2))
    vec = vectorizer(features=Watched(), memory=tmp_path / "memory").fit(images)
    vec.transform(images)
    moved = shutil.copy(images[0], tmp_path / "moved.png")
    assert counted(vec.transform, [moved])[1] == 0
    arrays = [np.array(picture("across", 50)), np.array(picture("across", 50)), np.array(picture("across", 51))]
    assert counted(vec.transform, arrays)[1] == 2
    reshaped = arrays[0].reshape(64, 48)
    assert counted(vec.transform, [reshaped])[1] == 1


class Printed(Watched):
    """One whose features depend on more than its options say, such as the content of a file."""

    content = "first"

    def fingerprint(self):
        return f"{Printed.content} {self.step}"


def test_a_memory_goes_by_the_extractors_own_fingerprint(tmp_path, watched, monkeypatch):
    vec = vectorizer(features=Printed(), memory=tmp_path / "memory").fit(pictures(3))
    assert counted(vec.transform, pictures(3))[1] == 0
    monkeypatch.setattr(Printed, "content", "second")
    assert counted(vec.transform, pictures(3))[1] == 3
    assert counted(vec.set_params(features__step=4).fit, pictures(3))[1] == 3


# Sampling and streaming


class Recorder(BagOfWords):
    """Bag of words that remembers what it was fitted on."""

    def fit(self, X, y=None):
        super().fit(X)
        self.seen_ = np.array(X)
        return self


@pytest.mark.parametrize(
    ("options", "n_opened", "n_descriptors"),
    [
        ({}, 30, 30 * 35),  # all there are
        ({"sample_size": 100}, 1, 35),  # of an image 200 descriptors are worth opening it for
        ({"sample_size": 1000}, 5, 5 * 35),
        ({"sample_size": 100, "sample_per_image": 10}, 10, 100),
        ({"sample_size": 95, "sample_per_image": 10}, 10, 95),
        ({"sample_size": 10_000, "sample_per_image": 10}, 30, 300),
        ({"sample_size": 10_000, "sample_per_image": 10, "encoder": None}, 1, None),  # there is nothing to learn
        ({"sample_size": 100, "sample_per_image": 10, "encoder": None, "reduce": PCA(3)}, 10, None),
    ],
)
def test_sampling_opens_no_more_images_than_it_needs(watched, options, n_opened, n_descriptors):
    options = {"encoder": Recorder(n_words=6), **options}
    vec = vectorizer(features=Watched(), **options).fit(pictures(30))
    assert len(watched.asked) == n_opened
    if n_descriptors is not None:
        assert vec.encoder_.seen_.shape == (n_descriptors, 128)


class Numbered(ExtractorMixin, BaseEstimator):
    """One hundred features, each with the image's number and its own."""

    def views(self, image):
        values = np.stack([np.full(100, image.max()), np.arange(100)], axis=1).astype(np.float32)
        return [(LocalFeatures(values, np.full((100, 4), 8, np.float32), image.shape),)]


def test_the_sample_is_drawn_from_all_over_each_image_and_bounded_for_each():
    images = [np.full((16, 16), i, np.uint8) for i in range(20)]
    options = {"features": Numbered(), "encoder": Recorder(n_words=2)}
    seen = vectorizer(sample_per_image=10, **options).fit(images).encoder_.seen_
    assert np.unique(seen[:, 0], return_counts=True)[1].tolist() == [10] * 20
    assert len(np.unique(seen, axis=0)) == 200  # none of them twice
    assert 30 < seen[:, 1].mean() < 70 and len(np.unique(seen[:, 1])) > 60
    seen = vectorizer(sample_per_image=10, sample_size=50, **options).fit(images).encoder_.seen_
    opened = np.unique(seen[:, 0]).astype(int)
    assert len(opened) == 5 and opened.tolist() != list(range(5))
    other = vectorizer(sample_per_image=10, sample_size=50, **options).set_params(random_state=1).fit(images).encoder_
    assert np.unique(other.seen_[:, 0]).astype(int).tolist() != opened.tolist()


@pytest.mark.parametrize(("n_jobs", "most"), [(1, 1), (2, 2)])
def test_features_are_forgotten_image_by_image(watched, n_jobs, most):
    vec = vectorizer(features=Watched(), n_jobs=n_jobs).fit(pictures(40))
    assert len(watched.asked) == 40 and watched.alive == 0 and watched.most <= most
    watched.most = 0
    vec.transform(pictures(40))
    assert watched.alive == 0 and 0 < watched.most <= most
