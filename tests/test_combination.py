"""Sums and products of kernels: what the kernels of each vectorizer by itself come to, in little memory."""

import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline

import spm
from spm.kernels import sums as combination
from spm.kernels.functions import chi2, histogram_intersection, jensen_shannon, linear
from spm.kernels.sums import KernelCombination


def pictures(n, seed=0):
    random = np.random.default_rng(seed)
    stripes = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (40, 5))
    images = [(stripes if i % 2 else stripes.T) + random.integers(0, 90, (40, 40), dtype=np.uint8) for i in range(n)]
    return images, ["down" if i % 2 else "across" for i in range(n)]


X, Y = pictures(14)
NEW, TRUTH = pictures(5, seed=1)


def roads():
    words = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=6), random_state=0)
    means = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1, 2), pool="mean"), norm="l2")
    return [("words", words), ("means", means)]


def both(kind=spm.KernelSum, kernels=("intersection", "linear"), **options):
    return kind(roads(), kernels=list(kernels), **options)


KINDS = [spm.KernelSum, spm.KernelProduct]
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def apart():
    """The vectors of each vectorizer by itself: those of the training images and those of the new ones."""
    fitted = [vectorizer.fit(X) for _, vectorizer in roads()]
    return [(vectorizer.transform(X), vectorizer.transform(NEW)) for vectorizer in fitted]


# --- what they are ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, [1, 1], [2.0, 0.5], (0, 3), np.array([0.25, 4.0])])
def test_the_sum_is_the_weighted_sum_of_the_kernels(apart, weights):
    (words, new_words), (means, new_means) = apart
    first, second = (1, 1) if weights is None else weights
    fitted = both(weights=weights).fit(X)
    expected = first * histogram_intersection(words) + second * linear(means)
    np.testing.assert_allclose(both(weights=weights).fit_transform(X), expected, rtol=1e-6)
    np.testing.assert_allclose(fitted.transform(X), expected, rtol=1e-5)
    expected = first * histogram_intersection(new_words, words) + second * linear(new_means, means)
    np.testing.assert_allclose(fitted.transform(NEW), expected, rtol=1e-5)
    assert fitted.transform(NEW).dtype == fitted.fit_transform(X).dtype == np.float32


@pytest.mark.parametrize(
    ("names", "kernels"), [(("chi2", "linear"), (chi2, linear)), ((jensen_shannon, "linear"),) * 2]
)
def test_the_product_is_the_product_of_the_kernels(apart, names, kernels):
    (words, new_words), (means, new_means) = apart
    first, second = (kernel if callable(kernel) else {"linear": linear}[kernel] for kernel in kernels)
    fitted = both(spm.KernelProduct, names).fit(X)
    np.testing.assert_allclose(fitted.fit_transform(X), first(words, words) * second(means, means), rtol=1e-5)
    expected = first(new_words, words) * second(new_means, means)
    np.testing.assert_allclose(fitted.transform(NEW), expected, rtol=1e-5)


def test_the_product_of_linear_kernels_is_that_of_all_products_of_values(apart):
    """<a, b> <c, d> is the inner product of a (x) c and b (x) d."""
    (words, _), (means, _) = apart
    products = np.einsum("ni,nj->nij", words.astype(float), means.astype(float)).reshape(len(X), -1)
    gram = both(spm.KernelProduct, ("linear", "linear")).fit_transform(X)
    np.testing.assert_allclose(gram, products @ products.T, rtol=1e-4)


@kinds
def test_of_one_vectorizer_it_is_that_kernel(kind, apart):
    alone = kind(roads()[:1], kernels=["chi2"])
    np.testing.assert_array_equal(alone.fit_transform(X), chi2(apart[0][0]))
    np.testing.assert_array_equal(alone.transform(NEW), chi2(apart[0][1], apart[0][0]))


@kinds
def test_the_kernel_of_a_set_with_itself_is_symmetric_and_no_eigenvalue_is_negative(kind):
    gram = both(kind).fit_transform(X)
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram.astype(float)).min() > -1e-6


@kinds
def test_threads_change_nothing(kind):
    one, two = (both(kind, ("intersection", "chi2"), n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(one.fit_transform(X), two.fit_transform(X))
    np.testing.assert_array_equal(one.transform(NEW), two.transform(NEW))


@kinds
def test_new_images_in_blocks_are_the_same(kind, monkeypatch):
    fitted = both(kind).fit(X)
    whole = fitted.transform(NEW)
    monkeypatch.setattr(combination, "BYTES", 1)
    monkeypatch.setattr(combination, "LEAST", 2)
    for images in (NEW, tuple(NEW), np.stack(NEW)):
        np.testing.assert_allclose(fitted.transform(images), whole, rtol=1e-5)


# --- memory -----------------------------------------------------------------------------------------------------------


class Long(TransformerMixin, BaseEstimator):
    """Stands in for a vectorizer: an image's vector is 40,000 times its first pixel, in float16."""

    def __init__(self, *, length=40_000):
        self.length = length

    def fit(self, X, y=None):
        self.n_features_out_ = self.length
        return self

    def transform(self, X):
        return np.stack([np.full(self.length, image[0, 0] / 256, np.float16) for image in X])


@kinds
def test_of_long_vectors_only_those_of_training_are_held(kind, monkeypatch):
    """400 new vectors would be 32 MB in float16, 64 MB in float32, from each of the two; 20 of training are 1.6 MB."""
    monkeypatch.setattr(combination, "BYTES", 2**22)
    images = np.full((400, 5, 5), 64, np.uint8)
    long = kind([("a", Long()), ("b", Long())], kernels=["linear", "intersection"]).fit(images[:20])
    long.transform(images[:2])
    tracemalloc.start()
    gram = long.transform(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert gram.shape == (400, 20) and peak < 16e6
    assert [vectors.dtype for vectors in long.vectors_] == [np.float16] * 2


def test_float16_of_a_vectorizer_is_kept_and_close(apart):
    small = both()
    small.set_params(words__dtype="float16", means__dtype="float16")
    gram = small.fit_transform(X)
    assert [vectors.dtype for vectors in small.vectors_] == [np.float16] * 2 and gram.dtype == np.float32
    np.testing.assert_allclose(gram, histogram_intersection(apart[0][0]) + linear(apart[1][0]), rtol=2e-3)


# --- as a part of models ----------------------------------------------------------------------------------------------


@kinds
def test_a_classifier_of_both_and_a_grid_over_their_options(kind):
    model = make_pipeline(both(kind), spm.KernelSVC(kernel="precomputed", C=10))
    name = kind.__name__.lower()
    search = GridSearchCV(model, {f"{name}__words__encoder__n_words": [4, 6], f"{name}__kernels": [["chi2", "linear"]]})
    assert search.set_params(cv=2).fit(X, Y).predict(NEW).tolist() == TRUTH


@kinds
def test_options_of_the_vectorizers_go_by_their_names(kind):
    combined = both(kind)
    assert combined.get_params()["words__encoder__n_words"] == 6
    assert combined.set_params(words__encoder__n_words=9, n_jobs=2) is combined
    assert combined.vectorizers[0][1].encoder.n_words == 9 and combined.n_jobs == 2
    other = spm.PyramidVectorizer()
    assert combined.set_params(means=other).vectorizers[1] == ("means", other)
    assert list(combined.get_params(deep=False)) == sorted(combined.get_params(deep=False))
    assert clone(combined).get_params().keys() == combined.get_params().keys()
    with pytest.raises(ValueError, match="nothing"):
        combined.set_params(nothing=1)


@kinds
def test_what_is_given_is_left_alone_and_fitting_forgets(kind):
    given = roads()
    combined = kind(given, kernels=["intersection", "linear"]).fit(X)
    assert not hasattr(given[0][1], "layers_") and combined.vectorizers_[0] is not given[0][1]
    assert combined.fit(NEW).transform(X).shape == (14, 5)


@kinds
def test_it_survives_pickling_and_saving(kind, tmp_path):
    combined = both(kind).fit(X)
    expected = combined.transform(NEW)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(combined)).transform(NEW), expected)
    np.testing.assert_array_equal(spm.load(spm.save(combined, tmp_path / "both.spm")).transform(NEW), expected)


@kinds
def test_columns_bear_the_training_images_numbers(kind):
    combined = both(kind)
    for ask in (combined.get_feature_names_out, lambda: combined.transform(NEW)):
        with pytest.raises(NotFittedError):
            ask()
    assert combined.fit(NEW).get_feature_names_out().tolist() == ["train0", "train1", "train2", "train3", "train4"]


def test_pipelines_may_stand_for_vectorizers():
    short = make_pipeline(roads()[1][1], PCA(3, random_state=0))
    combined = spm.KernelSum([("short", short), roads()[0]], kernels=["linear", "intersection"])
    assert combined.fit_transform(X).shape == (14, 14)
    combined.check(X[0])
    assert combined.vectors_[0].shape == (14, 3)


def test_a_feature_union_joins_the_vectors(apart):
    union = FeatureUnion(roads())
    vectors = union.fit_transform(X)
    np.testing.assert_array_equal(vectors, np.hstack([apart[0][0], apart[1][0]]))
    names = union.get_feature_names_out()
    assert len(names) == vectors.shape[1] and names[0].startswith("words__") and names[-1].startswith("means__")
    model = make_pipeline(FeatureUnion(roads()), spm.KernelSVC(kernel="linear", C=10)).fit(X, Y)
    assert model.predict(NEW).tolist() == TRUTH
    gram = both(kernels=("linear", "linear")).fit_transform(X)
    np.testing.assert_allclose(linear(vectors), gram, rtol=1e-5)  # the kernel of the joined is the sum of theirs


# --- what is refused --------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": ["chi2"]}, "2 vectorizers but 1 kernels"),
        ({"kernels": ["chi2", "rbf"]}, "'intersection', 'chi2', 'jensen_shannon', 'hellinger', 'linear'"),
        ({"vectorizers": [], "kernels": []}, "0 vectorizers"),
        ({"vectorizers": [*roads()[:1], *roads()[:1]]}, "not unique"),
        ({"vectorizers": [("a__b", roads()[0][1]), roads()[1]]}, "must not contain __"),
    ],
)
def test_what_does_not_fit_together_is_refused(kind, options, message):
    combined = both(kind).set_params(**options)
    with pytest.raises(ValueError, match=message):
        combined.fit(X)


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1.0], "2 vectorizers but 1 weights"), ([], "but 0 weights"), ([1, -1], "at least 0"), ([1, "2"], "at least 0")],
)
def test_wrong_weights_are_refused(weights, message):
    with pytest.raises(spm.SpmError, match=message):
        both(weights=weights).fit(X)


@kinds
def test_an_image_that_cannot_be_used_is_named(kind, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    for ask in (both(kind).check, lambda image: both(kind).fit([image])):
        with pytest.raises(spm.ImageError, match=r"broken\.jpg"):
            ask(tmp_path / "broken.jpg")
    both(kind).check(X[0])


def test_a_combination_without_a_way_to_combine_says_so():
    with pytest.raises(TypeError, match="must define _combine"):
        KernelCombination(roads(), kernels=["linear", "linear"]).fit_transform(X)
