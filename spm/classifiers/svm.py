"""A support vector machine whose kernel matrix is computed once: vectors and labels in, a classifier out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .._tools.estimators import learns
from .._tools.options import Options, callable_or, check_options, choice, flag, number, seed, workers
from .._tools.parallel import in_threads, single_threaded
from .._tools.public import public
from ..errors import SpmError, check_number
from ..kernels.functions import slices
from ..kernels.table import KERNELS, evaluate_kernel, kernel_named

CALIBRATION_FOLDS = 5
ROWS = 256  # vectors at once in float64
KEPT = (np.float32, np.float16)  # vectors of any other type are turned into float32


@public()
class KernelSVC(ClassifierMixin, BaseEstimator):
    """Support vector classification, the Gram matrix computed once for all classes.

    Parameters
    ----------
    kernel : {"intersection", "chi2", "jensen_shannon", "hellinger", "linear", "precomputed"} or callable
        By default ``"intersection"``, of `spm.kernels` as all but the last.
        A callable takes (A, B) and returns their Gram matrix. With ``"precomputed"``, `fit` takes the training
        vectors' Gram matrix (n, n), and `predict` that of new vectors with the training vectors (m, n).
    C : float, default=1.0
        What a training error costs.
    class_weight : dict, "balanced" or None
        What each class's errors cost, over C, by label, 1 for labels left out; ``"balanced"`` is the number of vectors
        over that of the classes and that of the class's vectors, as scikit-learn's SVC has it. In every machine a
        vector has the weight of its own class; ``OneVsRestClassifier(KernelSVC(class_weight="balanced"))`` of
        scikit-learn's balances each class with the rest.
    multi_class : {"ovr", "ovo"}, default="ovr"
        One machine a class against the rest, as Lazebnik 2006, or one for each pair of classes.
    probability : bool, default=False
        Whether to learn `predict_proba`: a sigmoid over each class's decision values, which come from 5-fold
        cross-validation inside the training set (Platt 1999); the classes' sigmoids are scaled to sum to one.
    random_state : int, RandomState or None
        Shuffles the folds for `probability`.
    n_jobs : int or None
        Threads for the kernel and the classes, as joblib means it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    X_fit_ : ndarray of shape (n, D), float32, or float16 where they came so
        The training vectors; absent for a precomputed kernel and a linear one.
    coef_ : ndarray of shape (n_machines, D), float64
        For a linear kernel: the weights of the values, in place of the training vectors.
    dual_coef_ : ndarray of shape (n_machines, n), float64
        Signed dual coefficients of every training vector in every machine: one for two classes, else one a class,
        or one a pair.
    intercept_ : ndarray of shape (n_machines,), float64

    Notes
    -----
    Its cost is that of the Gram matrix, n x n: of 10,000 vectors 1.2 GB. For many more, map them by `HomogeneousMap`
    and learn a linear machine, as in ``make_pipeline(vectorizer, HomogeneousMap(), LinearSVC())`` of scikit-learn's.

    Vectors in float16 take half the memory; only slices of them are turned into float32.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> X = np.array([[1.0, 0.0], [0.8, 0.2], [0.0, 1.0], [0.1, 0.9]])
    >>> spm.KernelSVC(C=10).fit(X, ["left", "left", "right", "right"]).predict([[0.7, 0.3]])
    array(['left'], dtype='<U5')
    """

    _options: ClassVar[Options] = {
        "kernel": callable_or(choice((*KERNELS, "precomputed"))),
        "C": number(above=0),
        "class_weight": lambda name, value: _check_class_weight(name, value),
        "multi_class": choice(("ovr", "ovo")),
        "probability": flag,
        "random_state": seed,
        "n_jobs": workers,
    }

    def __init__(
        self,
        *,
        kernel: str | Callable[[np.ndarray, np.ndarray], np.ndarray] = "intersection",
        C: float = 1.0,
        class_weight: Mapping[Any, float] | str | None = None,
        multi_class: str = "ovr",
        probability: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.C = C
        self.class_weight = class_weight
        self.multi_class = multi_class
        self.probability = probability
        self.random_state = random_state
        self.n_jobs = n_jobs

    @learns
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KernelSVC:
        """Learn from vectors (n, D), or their Gram matrix (n, n), the labels (n,), and what each counts (n,).

        A vector of weight 2 counts as if it were there twice, and one of weight 0 as if it were not.

        Raises
        ------
        SpmError
            For an unknown option, a negative value under a histogram kernel, a Gram matrix that is not square,
            labels of one class, or a class without weight.
        """
        check_options(self)
        X, y = validate_data(self, X, y, dtype=KEPT)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise SpmError(f"y has one class only ({self.classes_.tolist()[0]!r}): a classifier needs two or more")
        if self.kernel != "precomputed":
            self.X_fit_ = X
        elif X.shape[0] != X.shape[1]:
            raise SpmError(f"a precomputed kernel must be a square matrix to fit, got {X.shape}")
        counts, weights = self._weigh_vectors(y, codes, sample_weight)
        gram = self._gram(X, X).astype(np.float64)
        self._fit_machines(gram, codes, weights)
        if self.probability:
            self._fit_sigmoids(gram, codes, counts, weights)
        if self.kernel == "linear":
            self.coef_ = _weigh(self.X_fit_, self.dual_coef_.astype(np.float32))
            del self.X_fit_
        return self

    def _weigh_vectors(self, y: np.ndarray, codes: np.ndarray, given: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return what each vector counts, and what its errors cost, over C."""
        counts = _check_weights(given, len(y))
        empty = np.bincount(codes, weights=counts) == 0
        if empty.any():
            label = self.classes_[empty].tolist()[0]
            raise SpmError(
                f"all vectors of class {label!r} have zero weight: leave them out, or give one a sample_weight above 0"
            )
        try:
            per_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        except ValueError as error:
            raise SpmError(f"class_weight={self.class_weight!r} does not suit the labels: {error}") from error
        return counts, counts * per_class[codes]

    def _gram(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        if self.kernel == "precomputed":
            return A
        return evaluate_kernel(self.kernel, A, B, n_jobs=self.n_jobs)

    def _products(self, X: np.ndarray) -> np.ndarray:
        """Return the kernel of the vectors with the training vectors, weighted and summed: (m, n_machines)."""
        if self.kernel == "linear":
            products = np.zeros((len(X), len(self.coef_)))
            with single_threaded():  # the number of threads can change the last bits
                for start in range(0, len(X), ROWS):
                    rows = slice(start, start + ROWS)
                    for values in slices(X.shape[1]):
                        products[rows] += X[rows, values] @ self.coef_[:, values].T
            return products
        return self._gram(X, getattr(self, "X_fit_", X)) @ self.dual_coef_.T

    def _pairs(self) -> list[tuple[int, int]]:
        """Return each machine's positive class and its negative one, -1 meaning the rest."""
        n_classes = len(self.classes_)
        if n_classes == 2:
            return [(1, 0)]
        if self.multi_class == "ovo":
            return list(combinations(range(n_classes), 2))
        return [(positive, -1) for positive in range(n_classes)]

    def _fit_machines(self, gram: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> None:
        learn = partial(_fit_machine, gram, codes, self.C, weights)
        machines = in_threads(learn, self._pairs(), n_jobs=self.n_jobs)
        self.dual_coef_ = np.stack([dual for dual, _ in machines])
        self.intercept_ = np.array([intercept for _, intercept in machines])

    def _fit_sigmoids(self, gram: np.ndarray, codes: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> None:
        used = np.flatnonzero(counts)
        gram, codes, counts, weights = gram[np.ix_(used, used)], codes[used], counts[used], weights[used]
        numbers = np.bincount(codes)
        if numbers.min() < CALIBRATION_FOLDS:
            raise SpmError(
                f"probability=True needs {CALIBRATION_FOLDS} examples of every class, "
                f"but class {self.classes_.tolist()[numbers.argmin()]!r} has {numbers.min()}"
            )
        machine = KernelSVC(kernel="precomputed", C=self.C, multi_class=self.multi_class, n_jobs=self.n_jobs)
        folds = StratifiedKFold(CALIBRATION_FOLDS, shuffle=True, random_state=self.random_state)
        n_scores = len(self.classes_) if len(self.classes_) > 2 else 1
        scores = np.empty((len(codes), n_scores))
        for train, test in folds.split(gram, codes):
            machine.fit(gram[np.ix_(train, train)], codes[train], sample_weight=weights[train])
            scores[test] = machine.decision_function(gram[np.ix_(test, train)]).reshape(len(test), n_scores)
        positives = range(n_scores) if n_scores > 1 else [1]
        fits = [LogisticRegression().fit(scores[:, [k]], codes == c, counts) for k, c in enumerate(positives)]
        self.sigmoids_ = np.array([[fit.coef_[0, 0], fit.intercept_[0]] for fit in fits])

    def decision_function(self, X: Any) -> np.ndarray:
        """Return how far each vector lies on the side of each class.

        Parameters
        ----------
        X : array-like of shape (m, D), or (m, n) for a precomputed kernel

        Returns
        -------
        ndarray of shape (m, n_classes), or (m,) for two classes, float64
            For ``"ovo"``: votes of the pairs, ties broken by their summed confidence.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=KEPT, reset=False)
        scores = self._products(X) + self.intercept_  # (m, n_machines)
        if len(self.classes_) == 2:
            return scores[:, 0]
        return _votes(scores, len(self.classes_)) if self.multi_class == "ovo" else scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the label of each vector: shape (m,)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    @property
    def predict_proba(self) -> Callable[[Any], np.ndarray]:
        """Of vectors the probability of each class: (m, n_classes), float64; it is there with ``probability=True``."""
        if not self.probability:
            raise AttributeError("predict_proba is learned with probability=True only: set it and fit again")
        return self._chances

    def _chances(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        check_is_fitted(self, "sigmoids_", msg="this %(name)s was fitted without probability=True: fit it again")
        scores = self.decision_function(X)
        scores = scores.reshape(len(scores), -1)
        chances = expit(scores * self.sigmoids_[:, 0] + self.sigmoids_[:, 1])
        if len(self.classes_) == 2:
            return np.hstack([1 - chances, chances])
        return chances / np.maximum(chances.sum(axis=1, keepdims=True), np.finfo(float).tiny)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        tags.input_tags.positive_only = getattr(kernel_named(self.kernel), "between_histograms", False)
        return tags


def _weigh(X: np.ndarray, duals: np.ndarray) -> np.ndarray:
    """Return the vectors weighted and summed: (n_machines, D), float64."""
    coef = np.empty((len(duals), X.shape[1]))
    with single_threaded():
        for values in slices(X.shape[1]):
            coef[:, values] = duals @ X[:, values].astype(np.float32, copy=False)
    return coef


def _check_class_weight(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        for weight in value.values():
            check_number(f"each of {name}", weight, above=0)
    elif value is not None and not (isinstance(value, str) and value == "balanced"):
        raise SpmError(f"{name} must be a dict of a weight by label, 'balanced' or None, got {value!r}")
    return value


def _check_weights(weights: Any, n: int) -> np.ndarray:
    """Return what each of n vectors counts: float64, 1 where nothing is said."""
    wanted = f"sample_weight must be {n} finite numbers, one a vector, none below 0"
    if weights is None:
        return np.ones(n)
    try:
        counts = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SpmError(f"{wanted}, got {weights!r}") from error
    counts = np.full(n, counts) if counts.ndim == 0 else counts
    if counts.shape != (n,):
        raise SpmError(f"{wanted}, got shape {counts.shape}")
    if not np.isfinite(counts).all() or counts.min() < 0:
        raise SpmError(f"{wanted}, got values in {counts.min():g}..{counts.max():g}")
    return counts


def _fit_machine(
    gram: np.ndarray, codes: np.ndarray, C: float, weights: np.ndarray, pair: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """Return the dual coefficients (n,) and the intercept of one class against another, or the rest (-1)."""
    positive, negative = pair
    rows = np.flatnonzero((weights > 0) & ((negative < 0) | (codes == positive) | (codes == negative)))
    machine = SVC(kernel="precomputed", C=C)
    machine.fit(gram if len(rows) == len(codes) else gram[np.ix_(rows, rows)], codes[rows] == positive, weights[rows])
    dual = np.zeros(len(codes))
    dual[rows[machine.support_]] = machine.dual_coef_[0]
    return dual, float(machine.intercept_[0])


def _votes(scores: np.ndarray, n_classes: int) -> np.ndarray:
    """Turn the scores of all pairs, (m, n_pairs), into votes for classes, (m, n_classes)."""
    votes, confidence = np.zeros((len(scores), n_classes)), np.zeros((len(scores), n_classes))
    for pair, (first, second) in enumerate(combinations(range(n_classes), 2)):
        votes[:, first] += scores[:, pair] > 0
        votes[:, second] += scores[:, pair] <= 0
        confidence[:, first] += scores[:, pair]
        confidence[:, second] -= scores[:, pair]
    return votes + confidence / (3 * (np.abs(confidence) + 1))
