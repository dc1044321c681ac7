"""One linear machine a class: the Gram matrix of examples that all classes share in, their hinge-loss machines out."""

from __future__ import annotations

import numpy as np

from ..._tools.numba import njit
from ..._tools.parallel import in_threads

ORDERS = 16  # random orders in which examples are gone through, again and again
TOLERANCE = 1e-3  # of a margin of 1: how far an example may be on the wrong side of its condition
MOST_PASSES = 1000
BLOCK = 512  # examples whose products are formed at once


def extend_gram(gram: np.ndarray, vectors: np.ndarray, known: int, *, n_jobs: int | None) -> None:
    """Write the products of the vectors after the first `known` with all into the Gram matrix, in place.

    Blocks are the same for every number of threads, and so are the bits.

    Parameters
    ----------
    gram : ndarray of shape (n, n), float32
    vectors : ndarray of shape (n, D), float32
    known : int
    n_jobs : int or None
    """
    n = len(vectors)
    stops = [(i, min(i + BLOCK, n)) for i in range(known, n, BLOCK)]
    tasks = [(slice(i, stop), slice(j, min(j + BLOCK, stop))) for i, stop in stops for j in range(0, stop, BLOCK)]

    def fill(task: tuple[slice, slice]) -> None:
        rows, columns = task
        gram[rows, columns] = vectors[rows] @ vectors[columns].T

    in_threads(fill, tasks, n_jobs=n_jobs)
    _mirror_lower(gram, known)


@njit
def _mirror_lower(gram: np.ndarray, known: int) -> None:
    """Write what stands below the diagonal above it, of the rows after the first `known`."""
    for i in range(known, len(gram)):
        for j in range(i):
            gram[j, i] = gram[i, j]


def learn_machines(
    gram: np.ndarray,
    signs: np.ndarray,
    costs: np.ndarray,
    bias: float,
    alphas: np.ndarray,
    random: np.random.RandomState,
    *,
    n_jobs: int | None,
) -> None:
    """Learn a machine for each class by dual coordinate descent, beginning with what is in `alphas`, in place.

    The machine of a class minimises 1/2 (|w|^2 + b'^2) + sum of cost x max(0, 1 - sign (w x + bias b')) over its
    examples, that which scikit-learn's ``LinearSVC(loss="hinge", intercept_scaling=bias)`` finds from the vectors
    (Hsieh 2008, algorithm 1); from the Gram matrix a step costs as many multiplications as there are examples, however
    long the vectors are, and all classes share the products.

    Parameters
    ----------
    gram : ndarray of shape (n, n), float32
    signs : ndarray of shape (n, C), int8
        1 for an example of the class, -1 for one against it, 0 for one that does not count.
    costs : ndarray of shape (n, C), float64
    bias : float
    alphas : ndarray of shape (n, C), float64
    random : RandomState
        Draws the orders in which examples are gone through.
    n_jobs : int or None
    """
    orders = np.stack([random.permutation(len(gram)) for _ in range(ORDERS)])

    def learn(k: int) -> None:
        alpha = np.clip(np.where(signs[:, k] == 0, 0.0, alphas[:, k]), 0, costs[:, k])
        _descend(gram, signs[:, k].copy(), costs[:, k].copy(), bias * bias, alpha, orders, TOLERANCE, MOST_PASSES)
        alphas[:, k] = alpha

    in_threads(learn, range(signs.shape[1]), n_jobs=n_jobs)


@njit
def _descend(
    gram: np.ndarray,
    signs: np.ndarray,
    costs: np.ndarray,
    bias: float,
    alpha: np.ndarray,
    orders: np.ndarray,
    tolerance: float,
    most: int,
) -> int:
    """Go through the examples until each fulfils its condition; return the number of passes."""
    n = len(gram)
    values = np.zeros(n)  # the decision value of every example
    for i in range(n):
        if alpha[i] != 0:
            _add(values, gram[i], bias, alpha[i] * signs[i])
    for passed in range(most):
        worst = 0.0
        for i in orders[passed % len(orders)]:
            if signs[i] == 0:
                continue
            gradient = signs[i] * values[i] - 1.0
            off = gradient
            if alpha[i] <= 0:
                off = min(gradient, 0.0)
            elif alpha[i] >= costs[i]:
                off = max(gradient, 0.0)
            worst = max(worst, abs(off))
            if off != 0:
                new = min(max(alpha[i] - gradient / (gram[i, i] + bias), 0.0), costs[i])
                _add(values, gram[i], bias, (new - alpha[i]) * signs[i])
                alpha[i] = new
        if worst < tolerance:
            return passed + 1
    return most


@njit
def _add(values: np.ndarray, row: np.ndarray, bias: float, weight: float) -> None:
    for j in range(len(values)):
        values[j] += weight * (row[j] + bias)
