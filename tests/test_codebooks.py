"""Codebooks: words where the descriptors are, as good as scikit-learn's, the same bits for every number of threads."""

import joblib
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image, make_blobs
from threadpoolctl import threadpool_limits

from spm import DenseSIFT, SpmError
from spm.codebooks import kmeans as module
from spm.codebooks.kmeans import BLOCK, kmeans
from spm.codebooks.nearest import nearest_words, short_lists


@pytest.fixture(scope="module")
def descriptors():
    """SIFT of scikit-learn's two photographs: about 14,000 rows, several blocks of work."""
    sift = DenseSIFT(patch_size=16, step=6, window="flat", norm="lazebnik")
    X = np.concatenate([sift.extract(load_sample_image(name)).values for name in ("china.jpg", "flower.jpg")])
    assert len(X) > 3 * BLOCK
    return X


def blobs(n=600, n_blobs=6, depth=5, seed=0):
    """Clusters ten standard deviations apart or more, and their middles."""
    corners = 20 * np.eye(n_blobs, depth)
    return make_blobs(n, centers=corners, cluster_std=1.0, random_state=seed)[0].astype(np.float32), corners


def squares(X, centers):
    """The sum of squared distances in float64, faster than the reference's loops."""
    return (cdist(X, centers, "sqeuclidean").min(axis=1)).sum()


# --- assignment -------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 30), n_words=st.integers(1, 12), depth=st.integers(1, 9), seed=st.integers(0, 999))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_nearest_word_is_the_nearest_and_ties_go_to_the_first(n, n_words, depth, seed):
    """Small whole numbers: exact in float32, and full of ties."""
    random = np.random.default_rng(seed)
    X = random.integers(-4, 5, (n, depth)).astype(np.float32)
    centers = random.integers(-4, 5, (n_words, depth)).astype(np.float32)
    assert np.array_equal(nearest_words(X, centers), reference.nearest_words(X, centers))


@given(n=st.integers(1, 30), n_words=st.integers(1, 40), length=st.integers(1, 16), seed=st.integers(0, 999))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_short_list_has_the_nearest_word_of_every_part_of_the_vocabulary(n, n_words, length, seed):
    random = np.random.default_rng(seed)
    X = random.integers(-4, 5, (n, 6)).astype(np.float32)
    centers = random.integers(-4, 5, (n_words, 6)).astype(np.float32)
    length = min(length, n_words)
    lists = short_lists(X, centers, length)
    parts = [reference.nearest_words(X, centers[part::length]) * length + part for part in range(length)]
    assert lists.dtype == np.uint16 and np.array_equal(lists, np.transpose(parts))


def test_short_lists_of_a_large_vocabulary_count_beyond_65536():
    centers = np.transpose(np.divmod(np.arange(2**16 + 2), 256)).astype(np.float32)
    lists = short_lists(centers[[5, -1]], centers, 16)
    assert [set(row) >= {word} for row, word in zip(lists.tolist(), (5, 2**16 + 1), strict=True)] == [True, True]


@pytest.mark.parametrize("shift", [0, 1e3, 1e5])
def test_far_from_zero_the_nearest_word_is_still_within_rounding_of_the_nearest(shift):
    """|x|^2 - 2xc + |c|^2 in float32 would be off by shift^2 / 2^24, which at 1e5 is 600 times the spread's square."""
    X = (np.random.default_rng(0).normal(size=(200, 8)) + shift).astype(np.float32)
    centers = X[:20]
    distances = reference.squared_distances(X, centers)
    chosen = distances[np.arange(len(X)), nearest_words(X, centers)]
    excess = chosen - distances.min(axis=1)
    assert excess.max() <= 1e-5 + 1e-6 * shift


# --- Lloyd ------------------------------------------------------------------------------------------------------------


def test_finds_blobs():
    X, corners = blobs()
    centers = kmeans(X, 6, random_state=0, n_init=3).centers
    assert centers.shape == (6, 5) and centers.dtype == np.float32
    distances = np.sqrt(reference.squared_distances(corners, centers))
    assert sorted(distances.argmin(axis=1)) == list(range(6))
    assert distances.min(axis=1).max() < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_ends_at_a_fixed_point_of_lloyds_algorithm(seed):
    """Over-relaxed on the way, but where it stops every word is the mean of its descriptors."""
    X = np.random.default_rng(seed).normal(size=(150, 3)).astype(np.float32)
    result = kmeans(X, 7, max_iter=500, tol=1e-10, random_state=seed)
    assert result.n_iter < 500
    np.testing.assert_allclose(reference.lloyd_step(X, result.centers), result.centers, rtol=0, atol=1e-5)
    assert result.inertia == pytest.approx(reference.inertia(X, result.centers), rel=1e-4)


def test_max_iter_bounds_the_passes_and_even_one_improves_on_the_start():
    X, _ = blobs(300)
    for n in (1, 2, 3):
        result = kmeans(X, 5, max_iter=n, tol=0, random_state=4)
        assert result.n_iter == n
        assert reference.inertia(X, result.centers) < result.inertia


def test_is_as_good_as_scikit_learns(descriptors):
    """One start each: single seeds differ by up to 1 %, their means by less."""
    X = descriptors[::2]
    ours = [squares(X, kmeans(X, 40, random_state=seed).centers) for seed in range(3)]
    with threadpool_limits(1):
        theirs = [KMeans(40, n_init=1, random_state=seed).fit(X).inertia_ for seed in range(3)]
    assert np.mean(ours) < 1.01 * np.mean(theirs)


def test_inertia_is_that_of_the_words_within_the_last_move(descriptors):
    result = kmeans(descriptors, 50, random_state=0)
    exact = squares(descriptors, result.centers)
    assert exact <= result.inertia * (1 + 1e-5)
    assert result.inertia == pytest.approx(exact, rel=0.01)
    assert 1 <= result.n_iter <= 20


def test_short_lists_cost_little_of_what_comparing_with_all_words_brings(descriptors, monkeypatch):
    few = [kmeans(descriptors, 100, random_state=seed).inertia for seed in range(3)]
    monkeypatch.setattr(module, "SHORT", 100)
    of_all = [kmeans(descriptors, 100, random_state=seed).inertia for seed in range(3)]
    assert few != of_all and np.mean(few) == pytest.approx(np.mean(of_all), rel=0.003)


def test_more_starts_are_no_worse(descriptors):
    few = descriptors[::10]
    one, five = (kmeans(few, 10, n_init=n, random_state=1).inertia for n in (1, 5))
    assert five <= one


def test_far_from_zero_it_is_as_good():
    X, _ = blobs()
    shifted = (X.astype(np.float64) + 1e4).astype(np.float32)
    near = shifted - np.float32(1e4)
    expected = squares(near, kmeans(near, 6, n_init=3, random_state=0).centers)
    assert squares(shifted, kmeans(shifted, 6, n_init=3, random_state=0).centers) == pytest.approx(expected, rel=0.01)


# --- one seed, one result ---------------------------------------------------------------------------------------------


def test_the_same_bits_for_every_number_of_threads_and_every_time(descriptors):
    one, again, two = (kmeans(descriptors, 30, random_state=5, n_jobs=n) for n in (1, 1, 2))
    for other in (again, two):
        assert np.array_equal(one.centers, other.centers)
        assert (one.inertia, one.n_iter) == (other.inertia, other.n_iter)
    assert not np.array_equal(one.centers, kmeans(descriptors, 30, random_state=6).centers)


def test_the_same_bits_in_other_processes(descriptors):
    X = descriptors[: BLOCK + 1000]
    threads = kmeans(X, 100, max_iter=2, random_state=5)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        processes = kmeans(X, 100, max_iter=2, random_state=5)
    assert np.array_equal(threads.centers, processes.centers)


def test_a_seed_may_be_a_generator_in_use():
    X, _ = blobs()
    random = np.random.RandomState(3)
    first, second = kmeans(X, 4, random_state=random), kmeans(X, 4, random_state=random)
    assert np.array_equal(first.centers, kmeans(X, 4, random_state=3).centers)
    assert not np.array_equal(first.centers, second.centers)


def test_the_input_is_left_alone():
    X, _ = blobs()
    before = X.copy()
    kmeans(X, 4, random_state=0)
    assert np.array_equal(X, before)


# --- what descriptors may be like -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int32, np.float16])
def test_takes_any_type_as_float32(dtype):
    X = np.random.default_rng(0).integers(0, 200, (300, 6)).astype(dtype)
    result = kmeans(X, 5, random_state=0)
    assert result.centers.dtype == np.float32
    assert np.array_equal(result.centers, kmeans(X.astype(np.float32), 5, random_state=0).centers)


def test_takes_lists_and_any_memory_order():
    X, _ = blobs(100)
    expected = kmeans(X, 3, random_state=0).centers
    for same in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X.tolist()):
        assert np.array_equal(kmeans(same, 3, random_state=0).centers, expected)


def test_one_word_is_the_mean():
    X, _ = blobs()
    result = kmeans(X, 1, random_state=0)
    np.testing.assert_allclose(result.centers[0], X.mean(axis=0, dtype=np.float64), rtol=1e-5)
    assert result.inertia == pytest.approx(reference.inertia(X, result.centers), rel=0.01)


def test_as_many_words_as_descriptors_are_the_descriptors():
    X = np.random.default_rng(0).normal(size=(17, 4)).astype(np.float32)
    result = kmeans(X, 17, random_state=0)
    order = np.lexsort(result.centers.T), np.lexsort(X.T)
    np.testing.assert_allclose(result.centers[order[0]], X[order[1]], rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_as_many_words_as_different_descriptors_are_these_however_often_one_occurs(seed):
    """Samples of the data hold the rare ones hardly ever: clusters stay empty until they start again there."""
    different = np.random.default_rng(1).random((12, 6)).astype(np.float32)
    X = np.repeat(different, [5000, *[2] * 11], axis=0)
    centers = kmeans(X, 12, random_state=seed).centers
    order = np.lexsort(centers.T), np.lexsort(different.T)
    np.testing.assert_allclose(centers[order[0]], different[order[1]], rtol=1e-5)


def test_one_descriptor_in_thirty_thousand_may_be_a_word():
    """It hardly moves the mean, so that Lloyd's algorithm alone would call itself done with an empty cluster."""
    X = np.zeros((30_000, 1), np.float32)
    X[12345] = 5
    for seed in range(6):
        assert sorted(kmeans(X, 2, random_state=seed).centers.ravel().tolist()) == [0, 5]


@pytest.mark.parametrize("seed", range(5))
def test_every_word_is_used_by_data_of_many_duplicates(seed):
    """Half of the descriptors are blank patches, a quarter is one logo, and the rest lies anywhere."""
    random = np.random.default_rng(seed)
    X = random.random((4000, 8)).astype(np.float32)
    X[:2000], X[2000:3000] = 0, X[2000]
    centers = kmeans(X, 40, random_state=seed).centers
    assert len(np.unique(centers, axis=0)) == 40
    assert (np.bincount(nearest_words(X, centers), minlength=40) > 0).all()


@pytest.mark.parametrize(
    ("X", "n_words", "message"),
    [
        (np.zeros((3, 2)), 4, "n_words=4 needs at least as many descriptors, got n_samples=3"),
        (np.empty((0, 2)), 1, "got n_samples=0"),
        (np.ones((500, 2)), 3, "only 1 different descriptors: are the images blank"),
        (np.repeat(np.eye(2), 300, axis=0), 3, "only 2 different descriptors"),
        ([[1.0, np.nan], [0, 0]], 1, "finite"),
        ([[1.0, np.inf], [0, 0]], 1, "finite"),
        ([1.0, 2.0], 1, "shape"),
        (np.zeros((2, 2, 2)), 1, "shape"),
        (np.eye(3), 0, "n_words"),
        (np.eye(3), 2.5, "n_words"),
    ],
)
def test_what_cannot_be_clustered_is_refused(X, n_words, message):
    with pytest.raises(SpmError, match=message):
        kmeans(X, n_words, random_state=0)


def test_a_value_that_is_not_finite_is_found_outside_the_first_sample_too():
    X = np.random.default_rng(0).random((5000, 3))
    X[4321, 1] = np.nan
    with pytest.raises(SpmError, match="finite"):
        kmeans(X, 3, random_state=0)


@pytest.mark.parametrize("options", [{"n_init": 0}, {"max_iter": 0}, {"tol": -1}, {"max_iter": 2.5}])
def test_a_wrong_option_is_refused(options):
    with pytest.raises(SpmError, match=next(iter(options))):
        kmeans(np.eye(3), 2, **options)
