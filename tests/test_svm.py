"""KernelSVC: scikit-learn's own checks, and the decisions of scikit-learn's SVC on the same Gram matrix."""

import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer
from sklearn.svm import SVC
from sklearn.utils import get_tags
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from spm import KernelSVC, SpmError
from spm.kernels import KERNELS, histogram_intersection
from spm.kernels.functions import WIDTH


@parametrize_with_checks(
    [KernelSVC(), *(KernelSVC(kernel=kernel) for kernel in (*KERNELS, "precomputed") if kernel != "intersection")]
)
def test_scikit_learns_checks(estimator, check):
    name = check.func.__name__
    if "sample_weight_equivalence" in name:  # scikit-learn excuses its SVC as well; see below
        pytest.skip("libsvm stops within 1e-3 of the best, the check wants 1e-7")
    if "class_weight" in name and get_tags(estimator).input_tags.positive_only:
        pytest.skip("the check has values below zero")
    check(estimator)


def problem(n_classes=4, n=160, seed=0, noise=0.3):
    """Histograms of digits, named; their pixels are counts of ink."""
    data = load_digits(n_class=n_classes)
    random = np.random.default_rng(seed)
    pick = random.permutation(len(data.target))[:n]
    X = data.data[pick] + random.exponential(noise * data.data.mean(), (n, 64))
    names = np.array(["zero", "one", "two", "three", "four", "five"])
    return Normalizer("l1").transform(X), names[data.target[pick]]


X, Y = problem()
TRAIN, TEST = slice(0, 110), slice(110, None)
GRAM = histogram_intersection(X[TRAIN], X[TRAIN]).astype(np.float64)
NEW = histogram_intersection(X[TEST], X[TRAIN]).astype(np.float64)


# --- scikit-learn's SVC -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("C", [0.5, 10.0])
def test_one_against_the_rest_decides_as_scikit_learns(C):
    ours = KernelSVC(C=C).fit(X[TRAIN], Y[TRAIN])
    theirs = OneVsRestClassifier(SVC(kernel="precomputed", C=C)).fit(GRAM, Y[TRAIN])
    assert np.array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.decision_function(X[TEST]), theirs.decision_function(NEW), atol=1e-5)
    assert np.array_equal(ours.predict(X[TEST]), theirs.predict(NEW))
    assert ours.dual_coef_.shape == (4, 110) and ours.intercept_.shape == (4,)


@pytest.mark.parametrize("C", [0.5, 10.0])
def test_one_against_one_votes_as_scikit_learns(C):
    """libsvm breaks ties of votes by the order of the classes; `break_ties` makes scikit-learn go by confidence too.
    It stops within 1e-3 of the best, and counts the pairs' labels the other way round.
    """
    ours = KernelSVC(C=C, multi_class="ovo").fit(X[TRAIN], Y[TRAIN])
    theirs = SVC(kernel="precomputed", C=C, decision_function_shape="ovr", break_ties=True).fit(GRAM, Y[TRAIN])
    np.testing.assert_allclose(ours.decision_function(X[TEST]), theirs.decision_function(NEW), atol=2e-3)
    assert np.array_equal(ours.predict(X[TEST]), theirs.predict(NEW))
    assert ours.dual_coef_.shape == (6, 110)


@pytest.mark.parametrize("multi_class", ["ovr", "ovo"])
def test_two_classes_are_one_machine_and_its_sign(multi_class):
    two = np.isin(Y, ["one", "two"])
    A, labels = X[two], Y[two]
    ours = KernelSVC(C=10, multi_class=multi_class).fit(A[:50], labels[:50])
    gram, new = histogram_intersection(A[:50], A[:50]), histogram_intersection(A[50:], A[:50])
    theirs = SVC(kernel="precomputed", C=10).fit(gram, labels[:50])
    scores = ours.decision_function(A[50:])
    assert scores.shape == (len(A) - 50,)
    np.testing.assert_allclose(scores, theirs.decision_function(new), atol=1e-5)
    assert np.array_equal(ours.predict(A[50:]), theirs.predict(new))
    assert np.array_equal(ours.predict(A[50:]), np.where(scores > 0, "two", "one"))
    assert ours.dual_coef_.shape == (1, 50)


# --- weights ----------------------------------------------------------------------------------------------------------

COUNTS = np.random.default_rng(1).integers(0, 4, 110).astype(float)
DEARER = {"zero": 5, "one": 0.5, "two": 1, "three": 2}


@pytest.mark.parametrize("counts", [None, COUNTS + 0.5])  # with zeros libsvm mistakes the columns of a Gram matrix
@pytest.mark.parametrize("class_weight", [None, DEARER, "balanced"])
def test_weights_one_against_the_rest_are_those_of_scikit_learns(class_weight, counts):
    ours = KernelSVC(C=2, class_weight=class_weight).fit(X[TRAIN], Y[TRAIN], sample_weight=counts)
    names = np.unique(Y)
    per_class = dict(zip(names, compute_class_weight(class_weight, classes=names, y=Y[TRAIN]), strict=True))
    weights = np.array([per_class[name] for name in Y[TRAIN]]) * (1 if counts is None else counts)
    for k, name in enumerate(names):
        theirs = SVC(kernel="precomputed", C=2).fit(GRAM, Y[TRAIN] == name, sample_weight=weights)
        np.testing.assert_allclose(ours.decision_function(X[TEST])[:, k], theirs.decision_function(NEW), atol=2e-3)


@pytest.mark.parametrize("class_weight", [None, DEARER, "balanced"])
def test_weights_one_against_one_are_those_of_scikit_learns(class_weight):
    ours = KernelSVC(C=2, multi_class="ovo", class_weight=class_weight).fit(X[TRAIN], Y[TRAIN], COUNTS + 0.5)
    theirs = SVC(kernel="precomputed", C=2, class_weight=class_weight, break_ties=True)
    theirs.fit(GRAM, Y[TRAIN], COUNTS + 0.5)
    np.testing.assert_allclose(ours.decision_function(X[TEST]), theirs.decision_function(NEW), atol=5e-3)


@pytest.mark.parametrize("class_weight", [{"one": 9, "two": 1}, {"two": 0.1}, "balanced"])
def test_weights_of_two_classes_are_those_of_scikit_learns(class_weight):
    two = np.isin(Y, ["one", "two"])
    A, labels = X[two], Y[two]
    ours = KernelSVC(C=0.5, class_weight=class_weight).fit(A[:50], labels[:50])
    gram, new = histogram_intersection(A[:50], A[:50]), histogram_intersection(A[50:], A[:50])
    theirs = SVC(kernel="precomputed", C=0.5, class_weight=class_weight).fit(gram, labels[:50])
    np.testing.assert_allclose(ours.decision_function(A[50:]), theirs.decision_function(new), atol=5e-3)
    plain = KernelSVC(C=0.5).fit(A[:50], labels[:50])
    assert class_weight == "balanced" or not np.allclose(ours.dual_coef_, plain.dual_coef_)


def test_balance_of_each_class_with_the_rest():
    ours = OneVsRestClassifier(KernelSVC(C=2, class_weight="balanced")).fit(X[TRAIN], Y[TRAIN])
    theirs = OneVsRestClassifier(SVC(kernel="precomputed", C=2, class_weight="balanced")).fit(GRAM, Y[TRAIN])
    np.testing.assert_allclose(ours.decision_function(X[TEST]), theirs.decision_function(NEW), atol=2e-3)


@pytest.mark.parametrize("kernel", ["intersection", "linear"])
@pytest.mark.parametrize("multi_class", ["ovr", "ovo"])
def test_a_weight_counts_as_so_many_vectors(multi_class, kernel):
    machine = KernelSVC(kernel=kernel, C=2, multi_class=multi_class)
    weighted, times = clone(machine).fit(X[TRAIN], Y[TRAIN], COUNTS), COUNTS.astype(int)
    repeated = clone(machine).fit(X[TRAIN].repeat(times, 0), Y[TRAIN].repeat(times))
    np.testing.assert_allclose(weighted.decision_function(X[TEST]), repeated.decision_function(X[TEST]), atol=5e-3)


def test_probabilities_of_weighted_vectors():
    """Zero is as good as left out; the cross-validation and the sigmoids see the weights."""
    used = COUNTS > 0
    machine = KernelSVC(C=2, probability=True, random_state=0)
    weighted = clone(machine).fit(X[TRAIN], Y[TRAIN], np.minimum(COUNTS, 1))
    fewer = clone(machine).fit(X[TRAIN][used], Y[TRAIN][used])
    np.testing.assert_allclose(weighted.predict_proba(X[TEST]), fewer.predict_proba(X[TEST]), atol=1e-6)
    tilted = clone(machine).fit(X[TRAIN], Y[TRAIN], np.where(Y[TRAIN] == "zero", 20, 1))
    assert tilted.predict_proba(X[TEST])[:, -1].sum() > weighted.predict_proba(X[TEST])[:, -1].sum()


def test_weights_go_through_a_pipeline():
    model = make_pipeline(FunctionTransformer(), KernelSVC(C=2))
    model.fit(X[TRAIN], Y[TRAIN], kernelsvc__sample_weight=COUNTS)
    assert np.array_equal(model[-1].dual_coef_, KernelSVC(C=2).fit(X[TRAIN], Y[TRAIN], COUNTS).dual_coef_)


@pytest.mark.parametrize(
    "weights", [np.ones(3), -np.ones(110), np.full(110, np.nan), ["a"] * 110, np.ones((110, 2)), Y[TRAIN] != "one"]
)
def test_weights_that_cannot_be_are_refused(weights):
    with pytest.raises(SpmError, match=r"sample_weight must be 110 finite numbers|all vectors of class 'one'"):
        KernelSVC().fit(X[TRAIN], Y[TRAIN], weights)


@pytest.mark.parametrize("class_weight", ["equal", 3, {"one": -1}, {"one": 0}, {"five": 2}, [1, 2]])
def test_class_weights_that_cannot_be_are_refused(class_weight):
    with pytest.raises(SpmError, match="class_weight"):
        KernelSVC(class_weight=class_weight).fit(X[TRAIN], Y[TRAIN])


# --- kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("multi_class", ["ovr", "ovo"])
def test_a_precomputed_kernel_decides_as_the_one_inside(kernel, multi_class):
    inside = KernelSVC(kernel=kernel, multi_class=multi_class, C=3).fit(X[TRAIN], Y[TRAIN])
    given = KernelSVC(kernel="precomputed", multi_class=multi_class, C=3)
    given.fit(KERNELS[kernel].gram(X[TRAIN]), Y[TRAIN])
    new = KERNELS[kernel].gram(X[TEST], X[TRAIN])
    np.testing.assert_allclose(given.decision_function(new), inside.decision_function(X[TEST]), atol=1e-5)
    kept = inside.coef_ if kernel == "linear" else inside.X_fit_
    assert not hasattr(given, "X_fit_") and kept.dtype == (np.float64 if kernel == "linear" else np.float32)
    assert hasattr(inside, "coef_") != hasattr(inside, "X_fit_")


def test_a_function_may_be_the_kernel_also_between_vectors_that_are_no_histograms():
    A = X - X.mean(axis=0)
    ours = KernelSVC(kernel=lambda a, b: rbf_kernel(a, b, gamma=50), C=10).fit(A[TRAIN], Y[TRAIN])
    theirs = OneVsRestClassifier(SVC(kernel="rbf", gamma=50, C=10)).fit(A[TRAIN], Y[TRAIN])
    np.testing.assert_allclose(ours.decision_function(A[TEST]), theirs.decision_function(A[TEST]), atol=1e-3)


def test_the_kernel_of_images_must_not_be_that_of_their_transpose():
    """Rows of a Gram matrix are new vectors, columns those of training: asking the other way round is an error."""
    machine = KernelSVC(kernel="precomputed").fit(GRAM, Y[TRAIN])
    with pytest.raises(ValueError, match="features"):
        machine.predict(NEW.T)


@pytest.mark.parametrize("kernel", KERNELS)
def test_vectors_in_float16_are_kept_so_and_decide_alike(kernel):
    half = X.astype(np.float16)
    small = KernelSVC(kernel=kernel, C=10).fit(half[TRAIN], Y[TRAIN])
    same = KernelSVC(kernel=kernel, C=10).fit(half[TRAIN].astype(np.float32), Y[TRAIN])
    assert np.array_equal(small.dual_coef_, same.dual_coef_)
    np.testing.assert_allclose(
        small.decision_function(half[TEST]), same.decision_function(half[TEST].astype(np.float32)), atol=1e-6
    )
    assert (small.predict(half[TEST]) == KernelSVC(kernel=kernel, C=10).fit(X[TRAIN], Y[TRAIN]).predict(X[TEST])).all()
    assert hasattr(small, "coef_") or small.X_fit_.dtype == np.float16
    with pytest.raises(ValueError, match="NaN"):
        small.predict(np.full((2, 64), np.nan, np.float16))


@pytest.mark.parametrize("kernel", ["linear", "intersection"])
def test_long_vectors_in_float16_are_never_in_float32_as_a_whole(kernel):
    """Fisher vectors: 60 of 81,920 values are 10 MB, in float32 20 MB."""
    random = np.random.default_rng(0)
    long = random.random((60, 10 * WIDTH)).astype(np.float16)
    labels = np.arange(60) % 3
    KernelSVC(kernel=kernel).fit(long[:9, :10], labels[:9])  # compile
    tracemalloc.start()
    machine = KernelSVC(kernel=kernel, n_jobs=1).fit(long, labels)
    fitting = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fitting < 12e6
    product = machine.dual_coef_ @ KERNELS[kernel].gram(long, long[:5])
    np.testing.assert_allclose(machine.decision_function(long[:5]), product.T + machine.intercept_, rtol=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_histogram_kernels_and_no_others_say_that_they_want_no_negative_values(kernel):
    tags = KernelSVC(kernel=kernel).__sklearn_tags__().input_tags
    assert tags.positive_only == (kernel != "linear")
    if kernel == "linear":
        KernelSVC(kernel=kernel).fit(X[TRAIN] - 1, Y[TRAIN])
    else:
        with pytest.raises(SpmError, match="Negative values in data"):
            KernelSVC(kernel=kernel).fit(X[TRAIN] - 1, Y[TRAIN])
        with pytest.raises(SpmError, match="Negative values in data"):
            KernelSVC(kernel=kernel).fit(X[TRAIN], Y[TRAIN]).predict(X[TEST] - 1)


def test_threads_change_nothing():
    one, two = (KernelSVC(n_jobs=n, C=10).fit(X[TRAIN], Y[TRAIN]) for n in (1, 2))
    assert np.array_equal(one.dual_coef_, two.dual_coef_)
    assert np.array_equal(one.decision_function(X[TEST]), two.decision_function(X[TEST]))


# --- probabilities ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multi_class", ["ovr", "ovo"])
def test_probabilities_sum_to_one_and_rise_with_the_decision(multi_class):
    machine = KernelSVC(C=10, multi_class=multi_class, probability=True, random_state=0).fit(X[TRAIN], Y[TRAIN])
    chances = machine.predict_proba(X[TEST])
    assert chances.shape == (50, 4)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert (chances >= 0).all()
    assert (machine.sigmoids_[:, 0] > 0).all()
    agree = machine.classes_[chances.argmax(axis=1)] == machine.predict(X[TEST])
    assert agree.mean() > 0.9  # each class has its own sigmoid, so near ties may turn
    assert (chances.max(axis=1) > 0.4).mean() > 0.8


def test_of_two_classes_the_probabilities_rank_as_the_decisions():
    two = np.isin(Y, ["one", "two"])
    A, labels = X[two], Y[two]
    machine = KernelSVC(C=10, probability=True, random_state=0).fit(A[:50], labels[:50])
    chances = machine.predict_proba(A)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert np.array_equal(np.argsort(chances[:, 1]), np.argsort(machine.decision_function(A)))


def test_probabilities_are_calibrated_outside_the_training_of_their_scores():
    """With labels by chance, a machine that fits them all learns in cross-validation that it knows nothing."""
    labels = np.random.default_rng(0).permutation(np.repeat(["a", "b"], 55))
    machine = KernelSVC(C=1e4, probability=True, random_state=0).fit(X[TRAIN], labels)
    assert (machine.predict(X[TRAIN]) == labels).mean() > 0.9
    assert abs(machine.predict_proba(X[TRAIN]) - 0.5).mean() < 0.2


def test_probabilities_follow_the_seed_and_leave_decisions_alone():
    def proba(seed):
        return KernelSVC(probability=True, random_state=seed).fit(X[TRAIN], Y[TRAIN]).predict_proba(X[TEST])

    assert np.array_equal(proba(0), proba(0))
    assert not np.array_equal(proba(0), proba(1))
    plain = KernelSVC().fit(X[TRAIN], Y[TRAIN]).decision_function(X[TEST])
    calibrated = KernelSVC(probability=True).fit(X[TRAIN], Y[TRAIN]).decision_function(X[TEST])
    assert np.array_equal(plain, calibrated)


def test_probabilities_of_a_precomputed_kernel():
    machine = KernelSVC(kernel="precomputed", probability=True, random_state=0).fit(GRAM, Y[TRAIN])
    inside = KernelSVC(probability=True, random_state=0).fit(X[TRAIN], Y[TRAIN])
    np.testing.assert_allclose(machine.predict_proba(NEW), inside.predict_proba(X[TEST]), atol=1e-5)


def test_probabilities_of_counts_do_not_overflow():
    """Scores of unnormalised histograms run into the thousands."""
    machine = KernelSVC(probability=True, random_state=0, C=1e-3).fit(1e5 * X[TRAIN], Y[TRAIN])
    with np.errstate(over="raise"):
        chances = machine.predict_proba(1e8 * X[TEST])
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_probabilities_must_be_asked_for():
    machine = KernelSVC().fit(X[TRAIN], Y[TRAIN])
    assert not hasattr(machine, "predict_proba")
    with pytest.raises(AttributeError, match="with probability=True only: set it and fit again"):
        machine.predict_proba(X[TEST])
    with pytest.raises(NotFittedError, match="without probability=True: fit it again"):
        machine.set_params(probability=True).predict_proba(X[TEST])
    assert hasattr(KernelSVC(probability=True), "predict_proba")


def test_probabilities_need_five_of_every_class():
    few = np.array(["a"] * 106 + ["b"] * 4)
    with pytest.raises(SpmError, match=r"needs 5 examples of every class, but class .*b.* has 4"):
        KernelSVC(probability=True).fit(X[TRAIN], few)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"C": 0}, "C must be a finite number above 0"),
        ({"C": -1.0}, "C must be a finite number above 0"),
        ({"C": float("inf")}, "C must be a finite number above 0"),
        ({"C": "1"}, "C must be"),
        ({"kernel": "rbf"}, "kernel='rbf' .*'intersection', 'chi2', .*'linear', 'precomputed'"),
        ({"kernel": None}, "kernel=None .*'intersection', 'chi2', .*'linear', 'precomputed'"),
        ({"multi_class": "crammer_singer"}, "'ovr', 'ovo'"),
    ],
)
def test_a_wrong_option_is_refused_with_the_choices(options, message):
    with pytest.raises(SpmError, match=message):
        KernelSVC(**options).fit(X[TRAIN], Y[TRAIN])


def test_one_class_is_refused():
    with pytest.raises(SpmError, match=r"one class only .*forest"):
        KernelSVC().fit(X[:5], ["forest"] * 5)


def test_negative_values_are_refused_by_histogram_kernels():
    with pytest.raises(SpmError, match="Negative values in data"):
        KernelSVC().fit(X[TRAIN] - 1, Y[TRAIN])
    with pytest.raises(SpmError, match="Negative values in data"):
        KernelSVC().fit(X[TRAIN], Y[TRAIN]).predict(X[TEST] - 1)


def test_a_gram_matrix_must_be_square():
    with pytest.raises(SpmError, match=r"square matrix to fit, got \(50, 110\)"):
        KernelSVC(kernel="precomputed").fit(NEW, Y[TEST])


def test_measurements_are_no_labels():
    with pytest.raises(ValueError, match="continuous"):
        KernelSVC().fit(X[TRAIN], np.linspace(0, 1, 110))


# --- the estimator ----------------------------------------------------------------------------------------------------


def test_cross_validation_takes_rows_and_columns_of_a_precomputed_kernel():
    folds = StratifiedKFold(4)
    gram = histogram_intersection(X)
    given = cross_val_score(KernelSVC(kernel="precomputed", C=10), gram, Y, cv=folds)
    inside = cross_val_score(KernelSVC(C=10), X, Y, cv=folds)
    assert np.array_equal(given, inside)
    assert inside.mean() > 0.8


def test_grid_search_over_C_and_kernel():
    search = GridSearchCV(KernelSVC(), {"C": [1e-4, 10.0], "kernel": ["intersection", "chi2"]}, cv=3).fit(X, Y)
    assert search.best_params_["C"] == 10.0
    assert search.score(X, Y) > 0.95


def test_clone_and_pickle():
    machine = KernelSVC(kernel="chi2", C=2.0, multi_class="ovo", probability=True, random_state=3, n_jobs=2)
    assert clone(machine).get_params() == machine.get_params()
    copy = pickle.loads(pickle.dumps(machine.fit(X[TRAIN], Y[TRAIN])))
    assert np.array_equal(copy.predict_proba(X[TEST]), machine.predict_proba(X[TEST]))


def test_labels_of_any_kind_come_back():
    for labels in (np.unique(Y, return_inverse=True)[1] * 10, Y.astype(object), (Y == "one")):
        machine = KernelSVC(C=10).fit(X[TRAIN], labels[TRAIN])
        assert machine.predict(X[TEST]).dtype == machine.classes_.dtype
        assert (machine.predict(X[TEST]) == labels[TEST]).mean() > 0.8


def test_fitting_again_forgets_the_first_time():
    machine = KernelSVC(C=10).fit(X[:40], Y[:40]).fit(X[TRAIN], Y[TRAIN])
    assert np.array_equal(machine.dual_coef_, KernelSVC(C=10).fit(X[TRAIN], Y[TRAIN]).dual_coef_)
