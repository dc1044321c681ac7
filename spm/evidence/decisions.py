"""Decisions: a fitted model and an image in, what every value of its vector adds to the decision value out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.kernel_approximation import AdditiveChi2Sampler

from .._tools.settings import without_names
from ..errors import SpmError
from ..kernels.maps import HomogeneousMap
from ..kernels.table import KERNELS, Kernel, kernel_named

ROWS = 256  # training vectors at once in float64


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
    return decisions(model, image, [label])[0]


def decisions(model: Any, image: Any, labels: Sequence[Any] | None = None) -> list[Decision]:
    """Take the decision values of one image for several classes apart; its vectors are made once.

    By default those of all classes; among the labels None stands for the class predicted.

    Raises
    ------
    SpmError
        As `spm.evidence.votes`.
    """
    first, maps, classifier = steps_of(model)
    vectors = [road.transform([image]) for _, road in first.roads()]
    seen = vectors
    for step in maps:
        seen = [step.transform(seen[0])]
    scores = np.ravel(classifier.decision_function(_kernel_of(first, seen)))
    wanted = classifier.classes_.tolist() if labels is None else labels
    parts = first, maps, classifier, vectors, seen, scores
    return [_decision(*parts, label) for label in wanted]


def _decision(
    first: Any, maps: Any, classifier: Any, vectors: Any, seen: Any, scores: np.ndarray, label: Any
) -> Decision:
    """Return one class's decision value, taken apart."""
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
    known = len(steps) > 1 and hasattr(steps[0], "roads")
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
    return steps[0], [without_names(step) for step in steps[1:-1]], without_names(steps[-1])


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
        f"classifier, or a KernelSVC with one of the kernels {', '.join(KERNELS)}"
    )


def _kernel_of(first: Any, vectors: list[np.ndarray]) -> np.ndarray:
    """Return what the classifier sees of one image: its vector, or its kernel with the training images."""
    return first.kernel_of(vectors) if hasattr(first, "kernel_of") else vectors[0]


def _kernel_terms(first: Any, classifier: Any, machine: int, vectors: list[np.ndarray]) -> list[np.ndarray]:
    """Return what each value of each vector adds to a machine's decision, one array (D,) a vector."""
    if hasattr(first, "kernel_of"):
        if getattr(classifier, "kernel", None) != "precomputed" or not hasattr(classifier, "dual_coef_"):
            raise SpmError(_no_sum(classifier, "behind a KernelSum it must be a KernelSVC(kernel='precomputed')"))
        if not hasattr(first, "road_weights"):
            raise SpmError(_no_sum(classifier, f"a {type(first).__name__} is no sum over the values of its roads"))
        dual = classifier.dual_coef_[machine]
        roads = zip(first.road_weights(), first.kernels, vectors, first.vectors_, strict=True)
        return [w * _terms(_known(classifier, k), x[0], S, dual) for w, k, x, S in roads]
    if hasattr(classifier, "coef_"):
        return [np.atleast_2d(classifier.coef_)[machine].astype(np.float64) * vectors[0][0]]
    if not hasattr(classifier, "X_fit_"):
        raise SpmError(_no_sum(classifier, "it keeps neither coef_ nor training vectors"))
    kernel = _known(classifier, classifier.kernel)
    return [_terms(kernel, vectors[0][0], classifier.X_fit_, classifier.dual_coef_[machine])]


def _known(classifier: Any, kernel: Any) -> Kernel:
    known = kernel_named(kernel)
    if known is None:
        raise SpmError(_no_sum(classifier, f"its kernel is {kernel!r}"))
    return known


def _terms(kernel: Kernel, x: np.ndarray, training: np.ndarray, dual: np.ndarray) -> np.ndarray:
    """Return the sum over the training vectors (n, D), weighted by `dual` (n,), of each value's term: shape (D,)."""
    used, support = np.flatnonzero(x), np.flatnonzero(dual)  # a zero adds nothing to any of these kernels
    terms = np.zeros(len(x))
    for start in range(0, len(support), ROWS):
        rows = support[start : start + ROWS]
        block = training[np.ix_(rows, used)].astype(np.float64)
        terms[used] += dual[rows] @ kernel.term(x[used].astype(np.float64), block)
    return terms
