"""Explicit maps: their inner products are the kernels within a proven bound, whatever the length of the vectors."""

import math
import pickle

import numpy as np
import pytest
import reference_kernels
from scipy import sparse
from sklearn.base import clone
from sklearn.kernel_approximation import AdditiveChi2Sampler
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import spm
from spm.kernels import KERNELS, hellinger, linear
from spm.kernels.maps import HOMOGENEOUS, PERIODS, WINDOWS, coefficients
from spm.pyramid.norms import power

kernels = pytest.mark.parametrize("kernel", HOMOGENEOUS)
windows = pytest.mark.parametrize("window", WINDOWS)
T = np.linspace(-30, 30, 6001)  # logarithms of ratios


@parametrize_with_checks([spm.HomogeneousMap(), spm.HomogeneousMap(kernel="intersection", order=2, window="uniform")])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def histograms(n, depth, seed=0, filled=0.3):
    random = np.random.default_rng(seed)
    values = random.exponential(size=(n, depth)) ** 2 * (random.random((n, depth)) < filled)
    return normalize(values + 1e-12, "l1")


def worst(kernel, period, **options):
    """The largest error of k(x, y) in terms of the larger value: of any x and y in 0..1, and so of any histograms."""
    found = coefficients(kernel, period=period, **options)
    waves = np.cos(np.outer(T, 2 * np.pi / period * np.arange(len(found))))
    errors = waves @ (found * np.where(np.arange(len(found)) > 0, 2, 1)) - KERNELS[kernel].signature(T)
    return np.abs(errors * np.exp(-np.abs(T) / 2)).max()


# --- the paper's formulae ---------------------------------------------------------------------------------------------


@kernels
def test_signatures_and_spectra_are_those_of_the_kernels(kernel):
    some = np.array([-9.0, -1.0, 0.0, 0.3, 4.0])
    np.testing.assert_allclose(KERNELS[kernel].signature(some), [reference_kernels.SIGNATURES[kernel](t) for t in some])
    x, y = np.exp(-some / 2), np.exp(some / 2)
    gram = KERNELS[kernel].gram(x[:, None], y[:, None])
    np.testing.assert_allclose(np.diag(gram), KERNELS[kernel].signature(some), rtol=1e-5, atol=2e-5)
    frequencies = np.array([0.1, 0.5, 1.3])
    expected = [reference_kernels.spectrum(kernel, omega) for omega in frequencies]
    np.testing.assert_allclose(KERNELS[kernel].spectrum(frequencies), expected, rtol=1e-3, atol=1e-7)


@kernels
def test_coefficients_of_the_rectangular_window_are_fouriers(kernel):
    found = coefficients(kernel, order=6, window="rectangular", period=9.0)
    expected = [max(reference_kernels.coefficient(kernel, j, 9.0), 0) for j in range(7)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found[0] > found[1] > 0


@kernels
@windows
def test_coefficients_of_a_large_period_are_the_spectrum_whatever_the_window(kernel, window):
    found = coefficients(kernel, order=5, window=window, period=80.0)
    spectrum = 2 * math.pi / 80 * KERNELS[kernel].spectrum(2 * math.pi / 80 * np.arange(6))
    np.testing.assert_allclose(found, spectrum, rtol=0, atol=1e-8)


@kernels
@windows
def test_a_map_is_its_twin(kernel, window):
    X = np.array([[0.3, 0.0], [1e-5, -2.0]])
    mapped = spm.HomogeneousMap(kernel=kernel, order=2, gamma=0.7, window=window, period=7.5).fit(X)
    values = mapped.transform(X).reshape(2, 5, 2)  # row, wave, value
    for i in range(2):
        for d in range(2):
            twin = reference_kernels.homogeneous_map(X[i, d], mapped.coefficients_.tolist(), 7.5, 0.7)
            np.testing.assert_allclose(values[i, :, d], twin, atol=1e-12)


@pytest.mark.parametrize("interval", [0.4, 0.7])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_chi2_with_a_uniform_window_is_scikit_learns_sampler(steps, interval):
    X = histograms(6, 9)
    options = {"order": steps - 1, "window": "uniform", "period": 2 * math.pi / interval}
    ours = spm.HomogeneousMap(kernel="chi2", **options).fit_transform(X)
    theirs = AdditiveChi2Sampler(sample_steps=steps, sample_interval=interval).fit_transform(X)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


# --- how close --------------------------------------------------------------------------------------------------------

PUBLISHED = {  # the largest error of k(x, y), x and y in 0..1, with the periods of the authors
    ("intersection", "rectangular"): {1: 0.145, 2: 0.118, 3: 0.088, 5: 0.065},
    ("intersection", "uniform"): {1: 0.158, 2: 0.122, 3: 0.100, 5: 0.075},
    ("chi2", "rectangular"): {1: 0.029, 2: 0.013, 3: 0.006, 5: 0.0015},
    ("chi2", "uniform"): {1: 0.035, 2: 0.013, 3: 0.006, 5: 0.0016},
    ("jensen_shannon", "rectangular"): {1: 0.011, 2: 0.012, 3: 0.0013, 5: 0.0003},
    ("jensen_shannon", "uniform"): {1: 0.020, 2: 0.0066, 3: 0.0029, 5: 0.0008},
}


@kernels
@windows
@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("depth", [20, 3000])
def test_the_inner_product_is_the_kernel_within_a_bound_that_no_length_changes(kernel, window, order, depth):
    """An error of e max(x, y) for each value sums to at most 2e between l1-normalised histograms."""
    A, B = histograms(10, depth, 1), histograms(12, depth, 2)
    mapped = spm.HomogeneousMap(kernel=kernel, order=order, window=window).fit(A)
    most = worst(kernel, mapped.period_, order=order, window=window)
    assert most <= PUBLISHED[kernel, window][order]
    errors = np.abs(mapped.transform(A) @ mapped.transform(B).T - KERNELS[kernel].gram(A, B))
    larger = np.array([[np.maximum(a, b).sum() for b in B] for a in A])
    assert (errors <= most * larger + 1e-5).all()


@kernels
@windows
def test_a_higher_order_is_closer(kernel, window):
    """Exponentially so for chi2 and Jensen-Shannon."""
    errors = [worst(kernel, PERIODS[kernel, window](n), order=n, window=window) for n in (1, 3, 5)]
    factor = 1.3 if kernel == "intersection" else 3
    assert errors[0] > factor * errors[1] and errors[1] > factor * errors[2]


@kernels
@windows
@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_default_period_is_near_the_best(kernel, window, order):
    options = {"order": order, "window": window}
    best = min(worst(kernel, period, **options) for period in np.arange(2, 30, 0.25))
    assert worst(kernel, PERIODS[kernel, window](order), **options) < 2 * best


def test_hellingers_map_is_the_power_norm_and_exact():
    A, B = histograms(5, 30, 1), histograms(6, 30, 2)
    np.testing.assert_allclose(linear(power(A), power(B)), hellinger(A, B), rtol=1e-6)
    zeroth = spm.HomogeneousMap(order=0).fit(A)
    np.testing.assert_allclose(zeroth.transform(A), np.sqrt(zeroth.coefficients_[0]) * power(A))


@kernels
def test_gamma_is_the_degree(kernel):
    A, B = histograms(5, 30, 1), histograms(6, 30, 2)
    half = spm.HomogeneousMap(kernel=kernel, order=3, gamma=0.5).fit(A)
    gram = half.transform(A) @ half.transform(B).T
    np.testing.assert_allclose(half.transform(16 * A) @ half.transform(16 * B).T, 4 * gram, rtol=1e-9)
    x, y = np.array([[0.2]]), np.array([[0.5]])
    exact = KERNELS[kernel].gram(x, y) * (0.2 * 0.5) ** (0.25 - 0.5)
    np.testing.assert_allclose(half.fit(x).transform(x) @ half.transform(y).T, exact, rtol=0.1)


@kernels
def test_negative_values_go_by_their_sign(kernel):
    A = histograms(4, 20) * np.random.default_rng(3).choice([-1, 1], (4, 20))
    mapped = spm.HomogeneousMap(kernel=kernel, order=2).fit(A)
    signs = np.tile(np.sign(A), 5)
    np.testing.assert_array_equal(mapped.transform(A), signs * mapped.transform(np.abs(A)))


# --- the estimator ----------------------------------------------------------------------------------------------------


def test_zeros_stay_zeros_and_a_sparse_matrix_sparse():
    A = histograms(300, 25) * (np.random.default_rng(1).random((300, 25)) < 0.2)
    mapped = spm.HomogeneousMap(order=2).fit(A)
    dense = mapped.transform(A)
    assert np.array_equal(dense == 0, np.tile(A == 0, 5)) and np.isfinite(dense).all()
    stored = sparse.csr_matrix(A)
    for thin in (stored, sparse.csr_array(A), stored.tocsc()):
        found = mapped.transform(thin)
        assert sparse.issparse(found) and found.nnz == 5 * stored.nnz
        np.testing.assert_array_equal(found.toarray(), dense)
    stored.data[:3] = 0  # zeros that are stored
    assert np.isfinite(mapped.transform(stored).data).all()


@pytest.mark.parametrize(("given", "out"), [("float16", "float32"), ("float32", "float32"), ("float64", "float64")])
def test_types(given, out):
    A = histograms(4, 9).astype(given)
    mapped = spm.HomogeneousMap().fit(A).transform(A)
    assert mapped.dtype == out
    exact = spm.HomogeneousMap().fit_transform(A.astype(np.float64))
    np.testing.assert_allclose(mapped, exact, atol=1e-6)


def test_names_and_pickling():
    A = histograms(4, 2)
    mapped = spm.HomogeneousMap(order=1).fit(A)
    assert mapped.get_feature_names_out().tolist() == ["x0", "x1", "x0_cos1", "x1_cos1", "x0_sin1", "x1_sin1"]
    copy = pickle.loads(pickle.dumps(mapped))
    assert np.array_equal(copy.transform(A), mapped.transform(A))
    assert clone(mapped).get_params() == mapped.get_params()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "hellinger"}, "'intersection', 'chi2', 'jensen_shannon'"),
        ({"window": "hann"}, "'rectangular', 'uniform'"),
        ({"order": -1}, "order must be a whole number at least 0"),
        ({"order": 1.5}, "order must be a whole number"),
        ({"gamma": 0}, "gamma must be a finite number above 0"),
        ({"period": 0}, "period must be a finite number above 0"),
    ],
)
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(spm.SpmError, match=message):
        spm.HomogeneousMap(**options).fit(np.ones((2, 2)))


# --- with a linear machine --------------------------------------------------------------------------------------------


def pictures(n=24, seed=0):
    random = np.random.default_rng(seed)
    stripes = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (48, 6))
    images = [(stripes if i % 2 else stripes.T) + random.integers(0, 90, (48, 48), dtype=np.uint8) for i in range(n)]
    return images, ["down" if i % 2 else "across" for i in range(n)]


def test_images_to_a_linear_machine_through_a_pipeline_and_a_grid(tmp_path):
    vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=8), random_state=0)
    model = make_pipeline(vec, spm.HomogeneousMap(), LinearSVC(random_state=0))
    images, labels = pictures()
    search = GridSearchCV(model, {"homogeneousmap__kernel": ["chi2", "intersection"]}, cv=2).fit(images, labels)
    new, truth = pictures(10, seed=1)
    assert search.predict(new).tolist() == truth
    loaded = spm.load(spm.save(search.best_estimator_, tmp_path / "linear.spm"))
    np.testing.assert_array_equal(loaded.decision_function(new), search.best_estimator_.decision_function(new))


def test_a_linear_machine_on_the_map_decides_as_the_kernels_own():
    """Classes that differ by ratios of small values: the kernel's forte, and hard for values as they are."""
    random = np.random.default_rng(0)
    labels = np.arange(300) % 2
    rates = np.where(random.random(60) < 0.5, 1.0, 3.0) * np.array([[1.0], [0.0]]) + np.array([[0.0], [2.0]])
    X = normalize(random.exponential(rates[labels]) * 10 ** random.normal(size=60), "l1")
    train, test = slice(0, 200), slice(200, None)
    mapped = spm.HomogeneousMap(kernel="chi2", order=3).fit(X)
    thin = LinearSVC(C=10, loss="hinge", max_iter=100_000, random_state=0)
    thin.fit(mapped.transform(X[train]), labels[train])
    full = spm.KernelSVC(kernel="chi2", C=10).fit(X[train], labels[train])
    agree = thin.predict(mapped.transform(X[test])) == full.predict(X[test])
    assert agree.mean() >= 0.97
