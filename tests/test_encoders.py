"""Encoders: scikit-learn's own checks, any clusterer, and codes that are what transform writes out."""

import pickle

import numpy as np
import pytest
import reference
from sklearn.base import clone
from sklearn.cluster import DBSCAN, BisectingKMeans, KMeans, MeanShift, MiniBatchKMeans
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import spm
from spm import BagOfWords, SpmError
from spm.codebooks.kmeans import kmeans
from spm.encoders.base import EncoderMixin, seed_if_unset

X = np.random.default_rng(0).random((300, 5)).astype(np.float32)
FEW = X[:80]


@parametrize_with_checks([BagOfWords(n_words=2, random_state=0)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_a_descriptor_counts_one_for_its_nearest_word():
    encoder = BagOfWords(n_words=7, random_state=0).fit(X)
    counts = encoder.transform(X)
    assert counts.shape == (300, 7) and counts.dtype == np.float32
    assert np.array_equal(counts, np.eye(7)[reference.nearest_words(X, encoder.words_)])


def test_the_words_are_those_of_kmeans_by_default():
    words = BagOfWords(n_words=7, random_state=3, n_init=2, n_jobs=2).fit(X).words_
    assert np.array_equal(words, kmeans(X, 7, random_state=3, n_init=2).centers)


def test_codes_written_out_are_the_transform():
    encoder = BagOfWords(n_words=4, random_state=0).fit(X)
    codes = encoder.encode(X)
    assert codes.n_values == codes.n_words == 4
    assert np.array_equal(codes.toarray(), encoder.transform(X))
    assert encoder.encode(X[:0]).toarray().shape == (0, 4)
    assert np.array_equal(encoder.fit_transform(X), encoder.transform(X))


def test_uint8_descriptors_are_encoded_as_their_float_values():
    stored = (255 * X).astype(np.uint8)
    encoder = BagOfWords(n_words=4, random_state=0).fit(stored)
    assert np.array_equal(encoder.encode(stored).words, encoder.encode(stored.astype(np.float32)).words)


def test_statistics_are_left_as_they_are():
    statistics = np.ones((1, 5, 4), np.float32)
    assert BagOfWords().finish(statistics) is statistics


@pytest.mark.parametrize(
    "clusterer",
    [KMeans(6, n_init=1), MiniBatchKMeans(6, n_init=1), BisectingKMeans(6), MeanShift(bandwidth=0.6, bin_seeding=True)],
    ids=lambda clusterer: type(clusterer).__name__,
)
def test_any_clusterer_with_centres_gives_the_words(clusterer):
    encoder = BagOfWords(n_words=99, clusterer=clusterer, random_state=2).fit(FEW)
    own = clone(clusterer)
    if "random_state" in own.get_params():
        own.set_params(random_state=2)
    assert np.array_equal(encoder.words_, own.fit(FEW).cluster_centers_.astype(np.float32))
    assert encoder.words_.flags.c_contiguous
    assert encoder.transform(FEW).shape == (80, len(encoder.words_))
    assert not hasattr(clusterer, "cluster_centers_")  # a clone was fitted


def test_a_clusterer_without_centres_is_refused():
    with pytest.raises(SpmError, match=r"DBSCAN.* learns no cluster_centers_: .*MiniBatchKMeans"):
        BagOfWords(clusterer=DBSCAN()).fit(X)


def test_a_given_clusterers_own_seed_is_kept_and_none_is_seeded():
    own = BagOfWords(clusterer=KMeans(6, n_init=1, random_state=7), random_state=2).fit(X)
    assert np.array_equal(own.words_, KMeans(6, n_init=1, random_state=7).fit(X).cluster_centers_)
    given = KMeans(6, n_init=1)
    seeded = BagOfWords(clusterer=given, random_state=2).fit(X)
    assert np.array_equal(seeded.words_, KMeans(6, n_init=1, random_state=2).fit(X).cluster_centers_)
    assert given.random_state is None


def test_seeds_reach_nested_parts_whose_own_is_none():
    nested = make_pipeline(StandardScaler(), BagOfWords(clusterer=KMeans(), random_state=5))
    seed_if_unset(nested, 9)
    assert nested.get_params()["bagofwords__random_state"] == 5
    assert nested.get_params()["bagofwords__clusterer__random_state"] == 9


def test_names_of_features():
    encoder = BagOfWords(n_words=3, random_state=0)
    with pytest.raises(NotFittedError):
        encoder.get_feature_names_out()
    assert encoder.fit(X).get_feature_names_out().tolist() == ["word0", "word1", "word2"]


def test_output_as_a_table():
    pytest.importorskip("pandas")
    encoder = BagOfWords(n_words=3, random_state=0).set_output(transform="pandas")
    table = encoder.fit_transform(X)
    assert table.columns.tolist() == ["word0", "word1", "word2"]
    assert np.array_equal(table.to_numpy(), BagOfWords(n_words=3, random_state=0).fit_transform(X))


def test_options_are_nested_and_survive_pickling():
    encoder = BagOfWords(clusterer=KMeans(4, n_init=1), random_state=0)
    encoder.set_params(clusterer__n_clusters=5)
    copy = pickle.loads(pickle.dumps(encoder.fit(X)))
    assert copy.words_.shape == (5, 5)
    assert np.array_equal(copy.transform(X), encoder.transform(X))


@pytest.mark.parametrize(
    ("values", "n_words", "message"),
    [
        (X[:3], 4, "n_words=4 needs at least as many descriptors, got n_samples=3"),
        (np.ones((50, 3)), 2, "1 different descriptors"),
        (np.full((50, 3), np.nan), 2, "NaN"),
        (X, 0, "n_words"),
    ],
)
def test_what_gives_no_vocabulary_is_refused(values, n_words, message):
    with pytest.raises(ValueError, match=message):
        BagOfWords(n_words=n_words, random_state=0).fit(values)


def test_an_encoder_without_encode_says_so():
    with pytest.raises(TypeError, match="must define encode"):
        EncoderMixin().encode(X)


@pytest.mark.parametrize("shape", [(3, 5), (3, 3), (4,), (2, 3, 4)])
@pytest.mark.parametrize(
    "encoder",
    [
        spm.BagOfWords(n_words=2),
        spm.BagOfWords(clusterer=spm.VocabularyTree(branching=2, depth=1)),
        spm.SoftAssignment(n_words=2),
        spm.LLC(n_words=2),
        spm.VLAD(n_words=2),
        spm.FisherVector(n_words=2),
        spm.SparseCoding(n_words=2),
    ],
)
def test_descriptors_of_another_length_are_refused(encoder, shape):
    fitted = clone(encoder).fit(np.random.default_rng(0).random((20, 4)))
    assert len(fitted.encode([[0, 1, 2, 3]]).words) == 1
    with pytest.raises(spm.SpmError, match=r"was fitted to descriptors of shape \(N, 4\), got") as caught:
        fitted.encode(np.ones(shape, np.float32))
    assert type(encoder).__name__ in str(caught.value)
    with pytest.raises(NotFittedError):
        clone(encoder).encode(np.ones((3, 4), np.float32))
