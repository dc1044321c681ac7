"""Decisions: a fitted model and an image in, what every value of its vector adds to the decision value out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.kernel_approximation import AdditiveChi2Sampler

from ..errors import SpmError
from ..kernels.functions import KERNELS, evaluate_kernel
from ..kernels.maps import HomogeneousMap
from ..kernels.sums import KernelSum
from ..vectorizer import PyramidVectorizer

ROWS = 256  # training vectors at once in float64


def _jensen_shannon(x: np.ndarray, s: np.ndarray) -> np.ndarray:
    bits = x * np.log2((x + s) / x) + s * np.log2((x + s) / np.where(s > 0, s, 1))
    return np.where(s > 0, bits / 2, 0)


TERMS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "intersection": np.minimum,
    "chi2": lambda x, s: 2 * x * s / (x + s),
    "jensen_shannon": _jensen_shannon,
    "hellinger": lambda x, s: np.sqrt(x * s),
    "linear": np.multiply,
}
"""What one value x > 0 of a vector (for "linear", any but 0) and that of a training vector add to the kernel."""


@dataclass(frozen=True)
class Decision:
    """One class's decision value, taken apart; what `decide` returns.

    Parameters
    ----------
    label
        The class.
    intercept : float
    terms : list of ndarray of shape (D,), float64
        What each value of each vectorizer's vector adds.
    """

    label: Any
    intercept: float
    terms: list[np.ndarray]


def decide(model: Any, image: Any, label: Any = None) -> Decision:
    """Take the decision value of one image for a class apart; parameters and errors are those of `spm.evidence.votes`.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> stripes = np.tile(np.uint8([0, 0, 255, 255]), (32, 8))
    >>> model = spm.presets.lazebnik2006(n_words=2, levels=(1,), random_state=0)
    >>> decision = decide(model.fit([stripes, stripes.T] * 4, ["up", "across"] * 4), stripes)
    >>> decision.label, round(float(decision.intercept + decision.terms[0].sum()), 3)
    ('up', 1.0)
    """
    first, maps, classifier = steps_of(model)
    vectors = [vectorizer.transform([image]) for _, vectorizer in roads_of(first)]
    seen = vectors
    for step in maps:
        seen = [step.transform(seen[0])]
    scores = np.ravel(classifier.decision_function(_kernel_of(first, seen)))
    label, sign, machine = _machine(classifier, label, scores)
    terms = _kernel_terms(first, classifier, machine, seen)
    intercept = float(np.broadcast_to(classifier.intercept_, len(scores))[machine])
    total = intercept + sum(term.sum() for term in terms)
    if abs(total - scores[machine]) > 1e-4 * (1 + sum(np.abs(term).sum() for term in terms)):
        raise SpmError(_no_sum(classifier, "its values' terms do not add up to its decision"))
    if maps:  # they put the first part of all values before the second of all
        terms = [terms[0].reshape(-1, vectors[0].shape[1]).sum(axis=0)]
    return Decision(label, sign * intercept, [sign * term for term in terms])


def steps_of(model: Any) -> tuple[Any, list[Any], Any]:
    """Return what makes a model's vectors, the maps of their values behind it, and the classifier.

    Raises
    ------
    SpmError
        If the model is made of other parts, or is not fitted.
    """
    model = getattr(model, "best_estimator_", model)
    steps = [step for _, step in getattr(model, "steps", ()) if step is not None and step != "passthrough"]
    known = len(steps) > 1 and isinstance(steps[0], PyramidVectorizer | KernelSum)
    if not known or not all(isinstance(step, HomogeneousMap | AdditiveChi2Sampler) for step in steps[1:-1]):
        found = " + ".join(type(step).__name__ for step in steps) or type(model).__name__
        raise SpmError(
            "evidence needs a Pipeline of a PyramidVectorizer or a KernelSum, perhaps a HomogeneousMap, and a "
            f"classifier, got {found}: give one such as spm.presets.lazebnik2006() returns"
        )
    if not hasattr(steps[-1], "classes_"):
        raise SpmError("this model is not fitted: call fit(images, labels) first")
    if not hasattr(steps[-1], "decision_function"):
        raise SpmError(_no_sum(steps[-1], "it has no decision_function"))
    return steps[0], steps[1:-1], steps[-1]


def roads_of(first: Any) -> list[tuple[str, PyramidVectorizer]]:
    """Return the fitted vectorizers that a `PyramidVectorizer` or a `KernelSum` is, with their names.

    Raises
    ------
    SpmError
        If one of a `KernelSum` is something else, such as a Pipeline.
    """
    if not isinstance(first, KernelSum):
        return [("", first)]
    roads = [(name, fitted) for (name, _), fitted in zip(first.vectorizers, first.vectorizers_, strict=True)]
    for name, fitted in roads:
        if not isinstance(fitted, PyramidVectorizer):
            raise SpmError(
                f"the votes of {name!r} in this KernelSum are not known: it is a {type(fitted).__name__}, not a "
                "PyramidVectorizer, whose values belong to cells"
            )
    return roads


def _machine(classifier: Any, label: Any, scores: np.ndarray) -> tuple[Any, int, int]:
    """Return the label, the sign that its machine's decision counts with, and the machine's position."""
    classes = classifier.classes_.tolist()
    two = len(classes) == 2
    if len(scores) != (1 if two else len(classes)) or (not two and getattr(classifier, "multi_class", "") == "ovo"):
        raise SpmError(_no_sum(classifier, "it needs one machine for each class (multi_class='ovr')"))
    if label is None:
        label = classes[int(scores[0] > 0) if two else int(scores.argmax())]
    if label not in classes:
        raise SpmError(f"label={label!r} is no class of this model: choose one of {', '.join(map(repr, classes))}")
    k = classes.index(label)
    return (label, 1 if k else -1, 0) if two else (label, 1, k)


def _no_sum(classifier: Any, why: str) -> str:
    return (
        f"{type(classifier).__name__} does not decide by a sum over the vector's values ({why}): use a linear "
        f"classifier, or a KernelSVC with one of the kernels {', '.join(TERMS)}"
    )


def _weights(first: KernelSum) -> Sequence[float]:
    return [1.0] * len(first.kernels) if first.weights is None else first.weights


def _kernel_of(first: Any, vectors: list[np.ndarray]) -> np.ndarray:
    """Return what the classifier sees of one image: its vector, or its kernel with the training images."""
    if not isinstance(first, KernelSum):
        return vectors[0]
    roads = zip(_weights(first), first.kernels, vectors, first.vectors_, strict=True)
    return np.sum([np.float32(w) * evaluate_kernel(kernel, x, S) for w, kernel, x, S in roads], axis=0)


def _kernel_terms(first: Any, classifier: Any, machine: int, vectors: list[np.ndarray]) -> list[np.ndarray]:
    """Return what each value of each vector adds to a machine's decision, one array (D,) a vector."""
    if isinstance(first, KernelSum):
        if getattr(classifier, "kernel", None) != "precomputed" or not hasattr(classifier, "dual_coef_"):
            raise SpmError(_no_sum(classifier, "behind a KernelSum it must be a KernelSVC(kernel='precomputed')"))
        dual, roads = (
            classifier.dual_coef_[machine],
            zip(_weights(first), first.kernels, vectors, first.vectors_, strict=True),
        )
        return [w * _terms(_kernel_name(classifier, k), x[0], S, dual) for w, k, x, S in roads]
    if hasattr(classifier, "coef_"):
        return [np.atleast_2d(classifier.coef_)[machine].astype(np.float64) * vectors[0][0]]
    if not hasattr(classifier, "X_fit_"):
        raise SpmError(_no_sum(classifier, "it keeps neither coef_ nor training vectors"))
    kernel = _kernel_name(classifier, classifier.kernel)
    return [_terms(kernel, vectors[0][0], classifier.X_fit_, classifier.dual_coef_[machine])]


def _kernel_name(classifier: Any, kernel: Any) -> str:
    for name, function in KERNELS.items():
        if name in TERMS and (kernel == name or kernel is function):
            return name
    raise SpmError(_no_sum(classifier, f"its kernel is {kernel!r}"))


def _terms(kernel: str, x: np.ndarray, training: np.ndarray, dual: np.ndarray) -> np.ndarray:
    """Return the sum over the training vectors (n, D), weighted by `dual` (n,), of each value's term: shape (D,)."""
    used, support = np.flatnonzero(x), np.flatnonzero(dual)  # a zero adds nothing to any of these kernels
    terms = np.zeros(len(x))
    for start in range(0, len(support), ROWS):
        rows = support[start : start + ROWS]
        block = training[np.ix_(rows, used)].astype(np.float64)
        terms[used] += dual[rows] @ TERMS[kernel](x[used].astype(np.float64), block)
    return terms
