"""One linear machine a class: examples that all classes share in, the weights of their hinge-loss machines out."""

from __future__ import annotations

import numpy as np

from ..._tools.numba import njit
from ..._tools.parallel import in_threads

TOLERANCE = 0.1  # of a margin of 1, how far examples' conditions may lie apart: liblinear's, which the authors take
MOST_PASSES = 1000


def learn_machines(
    vectors: np.ndarray,
    signs: np.ndarray,
    costs: np.ndarray,
    bias: float,
    alphas: np.ndarray,
    random: np.random.RandomState,
    *,
    n_jobs: int | None,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Learn a machine for each class by dual coordinate descent, from where `alphas` is, which is changed in place.

    The machine of a class minimises 1/2 (|w|^2 + v^2) + sum of cost x max(0, 1 - sign (w x + v bias)) over its
    examples: that which scikit-learn's ``LinearSVC(loss="hinge", intercept_scaling=bias)`` finds (Hsieh et al. 2008,
    algorithm 3, with shrinking). What liblinear would copy for every class, 16 bytes a value, is read where it lies,
    and what was learned before is the beginning.

    Parameters
    ----------
    vectors : ndarray of shape (n, D), float32
    signs : ndarray of shape (n, C), int8
        1 for an example of the class, -1 for one against it, 0 for one that does not count.
    costs : ndarray of shape (n, C), float64
    bias : float
    alphas : ndarray of shape (n, C), float64
    random : RandomState
        Draws the orders in which examples are gone through.
    n_jobs : int or None
    tolerance : float
        How far examples' conditions may lie apart, of a margin of 1.

    Returns
    -------
    coef : ndarray of shape (C, D), float32
    intercept : ndarray of shape (C,), float32
    """
    squares = np.einsum("ij,ij->i", vectors, vectors) + bias * bias
    seeds = np.asarray(random.randint(1, 2**31 - 1, size=signs.shape[1]))

    def learn(k: int) -> tuple[np.ndarray, float]:
        mine = np.flatnonzero(signs[:, k])
        alpha, own = alphas[mine, k], signs[mine, k].astype(np.float64)
        weights = np.zeros(vectors.shape[1] + 1, dtype=np.float32)
        _begin(vectors, mine, alpha * own, bias, weights)
        _descend(vectors, mine, own, costs[mine, k], squares[mine], bias, alpha, weights, seeds[k], tolerance)
        alphas[mine, k] = alpha
        return weights[:-1], bias * float(weights[-1])

    made = in_threads(learn, range(signs.shape[1]), n_jobs=n_jobs)
    return np.stack([coef for coef, _ in made]), np.array([intercept for _, intercept in made], dtype=np.float32)


@njit
def _begin(vectors: np.ndarray, rows: np.ndarray, by: np.ndarray, bias: float, weights: np.ndarray) -> None:
    for i in range(len(rows)):
        if by[i] != 0:
            _add(weights, vectors[rows[i]], bias, np.float32(by[i]))


@njit
def _descend(
    vectors: np.ndarray,
    rows: np.ndarray,
    signs: np.ndarray,
    costs: np.ndarray,
    squares: np.ndarray,
    bias: float,
    alpha: np.ndarray,
    weights: np.ndarray,
    seed: int,
    tolerance: float,
) -> int:
    """Go through the examples until each fulfils its condition; return the number of passes."""
    order = np.arange(len(rows))
    state, active = np.uint64(seed), len(rows)
    high, low = np.inf, -np.inf  # beyond which an example at a bound is left alone until all others are done
    for passed in range(MOST_PASSES):
        most, least = -np.inf, np.inf
        state = _shuffle(order, active, state)
        at = 0
        while at < active:
            i = order[at]
            gradient = signs[i] * _value(weights, vectors[rows[i]], bias) - 1.0
            off = gradient
            if alpha[i] <= 0:
                off = min(gradient, 0.0)
            elif alpha[i] >= costs[i]:
                off = max(gradient, 0.0)
            if (alpha[i] <= 0 and gradient > high) or (alpha[i] >= costs[i] and gradient < low):
                active -= 1
                order[at], order[active] = order[active], order[at]
                continue
            most, least = max(most, off), min(least, off)
            if off != 0:
                new = min(max(alpha[i] - gradient / squares[i], 0.0), costs[i])
                _add(weights, vectors[rows[i]], bias, np.float32((new - alpha[i]) * signs[i]))
                alpha[i] = new
            at += 1
        if most - least <= tolerance:
            if active == len(rows):
                return passed + 1
            active, high, low = len(rows), np.inf, -np.inf
        else:
            high, low = most if most > 0 else np.inf, least if least < 0 else -np.inf
    return MOST_PASSES


@njit
def _shuffle(order: np.ndarray, n: int, state: np.uint64) -> np.uint64:
    """Put the first n into a random order (xorshift)."""
    for i in range(n - 1, 0, -1):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        j = np.int64(state % np.uint64(i + 1))
        order[i], order[j] = order[j], order[i]
    return state


@njit(fastmath=True)
def _value(weights: np.ndarray, vector: np.ndarray, bias: float) -> float:
    total = np.float32(0)
    for j in range(len(vector)):
        total += weights[j] * vector[j]
    return total + weights[-1] * bias


@njit
def _add(weights: np.ndarray, vector: np.ndarray, bias: float, by: np.float32) -> None:
    for j in range(len(vector)):
        weights[j] += by * vector[j]
    weights[-1] += by * np.float32(bias)
