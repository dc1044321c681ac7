"""Kernels between histograms: held to their twins on awkward shapes, and to the identities of a kernel."""

import itertools
import tracemalloc

import joblib
import numpy as np
import pytest
import reference
import reference_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from sklearn.metrics.pairwise import additive_chi2_kernel

from spm import SpmError
from spm.kernels import KERNELS, chi2, evaluate_kernel, hellinger, histogram_intersection, jensen_shannon, linear
from spm.kernels.functions import WIDTH

TWINS = {
    histogram_intersection: reference.histogram_intersection,
    chi2: reference.chi2,
    jensen_shannon: reference_kernels.jensen_shannon,
    hellinger: reference_kernels.hellinger,
}
every = pytest.mark.parametrize("kernel", list(TWINS), ids=lambda kernel: kernel.__name__)


def histograms(n, depth, seed=0, filled=0.5):
    random = np.random.default_rng(seed)
    values = random.random((n, depth)).astype(np.float32)
    return np.where(random.random((n, depth)) < filled, values, np.float32(0))


def assert_close(fast, slow):
    """Float32 sums, in groups of eight: a few units in the last place of their size."""
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, slow, rtol=2e-5, atol=1e-6)


@every
@given(
    n=st.integers(0, 12),
    m=st.integers(0, 12),
    depth=st.sampled_from([0, 1, 3, 7, 8, 9, 16, 31, 511, 512, 513, 521, 1030]),
    filled=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_is_the_definition(kernel, n, m, depth, filled, seed):
    A, B = histograms(n, depth, seed, filled), histograms(m, depth, seed + 1, 0.5)
    assert kernel(A, B).shape == (n, m)
    assert_close(kernel(A, B), TWINS[kernel](A, B))
    assert_close(kernel(A), TWINS[kernel](A, A))


@every
@pytest.mark.parametrize(
    ("n", "m", "depth"), [(1, 300, 20), (300, 1, 20), (1100, 257, 9), (255, 513, 12), (3, 4, 1500), (1025, 1, 1)]
)
def test_is_the_definition_beyond_one_block(kernel, n, m, depth):
    """The blocks are 1024 rows of A by 256 of B by 512 values; the twin is asked for a part of the pairs."""
    A, B = histograms(n, depth, 1), histograms(m, depth, 2)
    gram = kernel(A, B)
    assert gram.shape == (n, m)
    rows = sorted({0, n // 2, min(1023, n - 1), n - 1})
    columns = sorted({0, m // 2, min(255, m - 1), min(256, m - 1), m - 1})
    assert_close(gram[np.ix_(rows, columns)], TWINS[kernel](A[rows], B[columns]))
    np.testing.assert_allclose(gram, kernel(B, A).T, rtol=2e-5, atol=1e-6)


@every
@pytest.mark.parametrize("n", [1, 5, 256, 257, 700, 1100])
def test_the_kernel_of_a_set_with_itself_is_the_general_one_and_symmetric_to_the_bit(kernel, n):
    A = histograms(n, 40, 3)
    gram = kernel(A)
    assert np.array_equal(gram, gram.T)
    assert np.array_equal(gram, kernel(A, A))
    np.testing.assert_allclose(gram, kernel(A, A.copy()), rtol=2e-6)


@every
def test_a_row_with_itself_is_its_sum(kernel):
    A = histograms(30, 700, 4)
    np.testing.assert_allclose(np.diag(kernel(A)), A.sum(axis=1), rtol=2e-5)


@every
def test_never_exceeds_the_smaller_sum_and_scales_with_the_rows(kernel):
    A, B = histograms(20, 50, 5), histograms(15, 50, 6)
    gram = kernel(A, B)
    left, right = A.sum(axis=1)[:, None], B.sum(axis=1)
    most = np.sqrt(left * right) if kernel is hellinger else np.minimum(left, right)
    assert (gram <= most * (1 + 1e-5)).all()
    np.testing.assert_allclose(kernel(4 * A, 4 * B), 4 * gram, rtol=1e-6)


def test_chi2_is_positive_where_scikit_learns_is_a_distance():
    """2ab / (a + b) = (a + b) / 2 - (a - b)^2 / (2 (a + b)), and additive_chi2_kernel is minus (a - b)^2 / (a + b)."""
    A, B = histograms(8, 30, 7), histograms(9, 30, 8)
    halves = (A.sum(axis=1)[:, None] + B.sum(axis=1)) / 2
    np.testing.assert_allclose(chi2(A, B), halves + additive_chi2_kernel(A, B) / 2, rtol=1e-4)


def test_the_kernels_are_ordered():
    """Value by value: min(a, b) <= chi2 <= Jensen-Shannon <= Hellinger, and chi2 <= 2 min(a, b)."""
    A, B = histograms(8, 30, 7), histograms(9, 30, 8)
    grams = [kernel(A, B) for kernel in (histogram_intersection, chi2, jensen_shannon, hellinger)]
    for less, more in itertools.pairwise(grams):
        assert (less <= more * (1 + 1e-5)).all()
    assert (grams[1] <= 2 * grams[0]).all()


def test_jensen_shannon_is_one_minus_the_divergence():
    """scipy's is the distance, the divergence's square root."""
    A, B = (histograms(n, 30, n) + np.float32(0.01) for n in (5, 6))
    A, B = (values / values.sum(axis=1, keepdims=True) for values in (A, B))
    divergences = np.array([[jensenshannon(a, b, base=2) ** 2 for b in B.astype(float)] for a in A.astype(float)])
    np.testing.assert_allclose(jensen_shannon(A, B), 1 - divergences, rtol=1e-5)


@pytest.mark.parametrize("ratio", [1.0, 1.5, 30.0, 1e4, 1e8])
@pytest.mark.parametrize("size", [1e-30, 1e-4, 1.0, 1e4, 1e30])
def test_jensen_shannon_of_single_values_of_any_size(size, ratio):
    """Its logarithm is our own: as exact as float32 has place for behind the exponent."""
    a = np.geomspace(size, 3 * size, 40, dtype=np.float32)[:, None]
    b = (a[:5] * np.float32(ratio)).astype(np.float32)
    gram, twin = jensen_shannon(a, b), reference_kernels.jensen_shannon(a, b)
    larger = np.maximum(a, b.T)
    assert (np.abs(gram - twin) <= (1e-6 + 1.2e-7 * np.abs(np.log2(larger))) * larger).all()


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("depth", [50, WIDTH + 700])
def test_float16_gives_the_bits_of_its_values_in_float32(name, depth):
    kernel = KERNELS[name].gram
    A, B = (histograms(n, depth, n).astype(np.float16) for n in (9, 7))
    assert np.array_equal(kernel(A, B), kernel(A.astype(np.float32), B.astype(np.float32)))
    assert np.array_equal(kernel(A), kernel(A.astype(np.float32)))
    assert kernel(A, B).dtype == np.float32


@pytest.mark.parametrize("name", KERNELS)
def test_float16_is_never_turned_into_float32_as_a_whole(name):
    A = np.ones((60, 10 * WIDTH), np.float16)  # 10 MB, in float32 20 MB
    KERNELS[name].gram(A[:2, :9])
    tracemalloc.start()
    gram = KERNELS[name].gram(A, n_jobs=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert gram[3, 4] == A.shape[1]
    assert peak < 9e6


@pytest.mark.parametrize("depth", [0, 5, WIDTH, WIDTH + 1, 2 * WIDTH + 40])
def test_the_linear_kernel_is_the_matrix_product(depth):
    random = np.random.default_rng(depth)
    A, B = random.normal(size=(6, depth)), random.normal(size=(4, depth))
    np.testing.assert_allclose(linear(A, B), A @ B.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(linear(A), A @ A.T, rtol=1e-4, atol=1e-3)
    assert np.array_equal(linear(A), linear(A).T)
    with pytest.raises(SpmError, match="A has rows of"):
        linear(A, np.ones((2, depth + 1)))


@pytest.mark.parametrize("name", KERNELS)
def test_a_gram_matrix_has_the_same_bits_for_every_number_of_threads(name):
    from threadpoolctl import threadpool_limits

    A, B = histograms(1100, 300, 1), histograms(70, 300, 2)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            found += [(KERNELS[name].gram(A, B, n_jobs=n), KERNELS[name].gram(A, n_jobs=n)) for n in (1, 2)]
    assert all(np.array_equal(one, other) for pair in found[1:] for one, other in zip(pair, found[0], strict=True))
    assert np.array_equal(found[0][1], found[0][1].T)


def test_every_kernel_has_its_name():
    assert {name: kernel.gram.__name__ for name, kernel in KERNELS.items() if name != "intersection"} == {
        name: name for name in ("chi2", "jensen_shannon", "hellinger", "linear")
    }
    assert {kernel.gram for kernel in KERNELS.values() if kernel.between_histograms} == set(TWINS)
    A = histograms(3, 5)
    for name, kernel in KERNELS.items():
        assert kernel.name == name and kernel.gram.__module__ == "spm.kernels"
        assert np.array_equal(evaluate_kernel(name, A, A), kernel.gram(A))
    with pytest.raises(SpmError, match="kernel='cosine' is not an option: choose one of 'intersection'"):
        evaluate_kernel("cosine", A, A)
    assert np.array_equal(evaluate_kernel(lambda a, b: a @ b.T, A, A), A @ A.T)


@every
def test_empty_rows_are_zeros_and_not_nan(kernel):
    A = histograms(6, 20, 9)
    A[[0, 3]] = 0
    gram = kernel(A, A.copy())
    assert not gram[[0, 3]].any() and not gram[:, [0, 3]].any()
    assert np.isfinite(gram).all() and gram[1, 1] > 0
    assert not kernel(np.zeros((2, 3))).any()


@every
def test_tiny_values_keep_their_kernel(kernel):
    tiny = np.array([[1e-38, 0, 3e-30]], np.float32)
    np.testing.assert_allclose(kernel(tiny, tiny.copy()), tiny.sum(), rtol=1e-5)


@every
def test_threads_change_nothing(kernel):
    A, B = histograms(1100, 33, 10), histograms(300, 33, 11)
    assert np.array_equal(kernel(A, B, n_jobs=1), kernel(A, B, n_jobs=2))
    assert np.array_equal(kernel(A, n_jobs=1), kernel(A, n_jobs=2))


@every
def test_works_in_threads_where_the_caller_asks_for_processes(kernel):
    """Other processes would fill copies of the matrix, and leave ours empty."""
    A = histograms(600, 33, 12)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert np.array_equal(kernel(A), kernel(A, n_jobs=1))


@every
def test_takes_lists_integers_float64_and_any_memory_order(kernel):
    counts = np.random.default_rng(13).integers(0, 9, (7, 12))
    gram = kernel(counts.astype(np.float32))
    for same in (counts, counts.astype(np.uint8), counts * 1.0, counts.tolist(), np.asfortranarray(counts)):
        assert np.array_equal(kernel(same, same), gram)
    assert np.array_equal(kernel(np.repeat(counts, 2, axis=0)[::2], counts), kernel(counts, counts.copy()))


@every
@pytest.mark.parametrize(
    ("A", "B", "message"),
    [
        ([[1, -1]], None, "Negative values in data A"),
        ([[1, 1]], [[0, -1e-9]], "Negative values in data B"),
        ([[1, np.nan]], None, "A has values that are not finite"),
        ([[1, 1]], [[1, np.inf]], "B has values that are not finite"),
        ([[1, 1e39]], None, "not finite in float32"),
        ([1, 1], None, "A must have shape"),
        ([[1, 1]], [1, 1], "B must have shape"),
        ([[1, 1]], [[1, 1, 1]], "A has rows of 2 values but B of 3"),
    ],
)
def test_what_is_no_histogram_is_refused(kernel, A, B, message):
    with np.errstate(over="ignore"), pytest.raises(SpmError, match=message):
        kernel(A, B)
