"""Distances: descriptors and words in, how far each word is, and which are the nearest, out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._tools.numba import njit

PRODUCTS, LEAST_ROWS = 2**21, 1024  # of descriptors with words held at once, and descriptors at least


def squared_distances(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distance of every descriptor to every centre, by one matrix product.

    Both are moved to the mean of the centres first: far from zero their differences would drown in rounding.

    Parameters
    ----------
    X : ndarray of shape (N, D), float32
    centers : ndarray of shape (K, D), float32

    Returns
    -------
    ndarray of shape (N, K), float32

    Examples
    --------
    >>> import numpy as np
    >>> squared_distances(np.float32([[1, 0]]), np.float32([[0, 0], [4, 4]]))
    array([[ 1., 25.]], dtype=float32)
    """
    middle = centers.mean(axis=0)
    X, centers = X - middle, centers - middle
    distances = X @ (-2 * centers.T)  # (N, K)
    distances += np.einsum("kd,kd->k", centers, centers)
    distances += np.einsum("nd,nd->n", X, X)[:, None]
    return np.maximum(distances, 0, out=distances)


@njit
def nearest(distances: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the k smallest distances of every row, nearest first, ties to the first.

    Parameters
    ----------
    distances : ndarray of shape (N, K), float32
    k : int
        At most K.

    Returns
    -------
    ndarray of shape (N, k), int32
    """
    found = np.empty((len(distances), k), dtype=np.int32)
    kept = np.empty(k, dtype=distances.dtype)
    for n in range(len(distances)):
        kept[:] = np.inf
        for column in range(distances.shape[1]):
            distance = distances[n, column]
            if distance < kept[k - 1] or column < k:
                rank = min(column, k - 1)
                while rank > 0 and kept[rank - 1] > distance:
                    kept[rank], found[n, rank] = kept[rank - 1], found[n, rank - 1]
                    rank -= 1
                kept[rank], found[n, rank] = distance, column
    return found


def nearest_words(X: np.ndarray, centers: np.ndarray | Centres) -> np.ndarray:
    """Return the nearest centre of every descriptor, ties to the first.

    Parameters
    ----------
    X : ndarray of shape (N, D), float32
        Taken in blocks, so that no more than 8 MB of products, or those of 1024 descriptors, are held.
    centers : ndarray of shape (K, D), float32, or Centres

    Returns
    -------
    ndarray of shape (N,), int32

    Examples
    --------
    >>> import numpy as np
    >>> nearest_words(np.float32([[1, 0], [3, 3]]), np.float32([[0, 0], [4, 4]]))
    array([0, 1], dtype=int32)
    """
    return _best_of_parts(X, centers, 1)[0]


def short_lists(X: np.ndarray, centers: np.ndarray, length: int) -> np.ndarray:
    """Return few words for every descriptor, its nearest among them: the best of each part of the vocabulary.

    The parts are the words numbered k, k + length, k + 2 length, ... So the second nearest is left out once in `length`
    descriptors, and the few are found as fast as the one.

    Parameters
    ----------
    X : ndarray of shape (N, D), float32
        Taken in blocks, as by `nearest_words`.
    centers : ndarray of shape (K, D), float32
    length : int
        At most K.

    Returns
    -------
    ndarray of shape (N, length), uint16, or int32 beyond 65,536 words
        Of equally near ones the first.

    Examples
    --------
    >>> import numpy as np
    >>> short_lists(np.float32([[1], [9]]), np.float32([[0], [3], [6], [9]]), 2)
    array([[0, 1],
           [2, 3]], dtype=uint16)
    """
    found = _best_of_parts(X, centers, length)
    return np.ascontiguousarray(found.T, dtype=np.uint16 if len(centers) <= 2**16 else np.int32)


def _best_of_parts(X: np.ndarray, centers: np.ndarray | Centres, n_parts: int) -> np.ndarray:
    """Return the nearest word of each part of the vocabulary: shape (n_parts, N), int32."""
    own = centers if isinstance(centers, Centres) else Centres.of(centers)
    rows = max(LEAST_ROWS, PRODUCTS // len(own.halves))
    found = np.zeros((n_parts, len(X)), dtype=np.int32)
    for start in range(0, len(X), rows):
        _compare(own.offsets.T @ X[start : start + rows].T, own.halves, found, start)
    return found


@njit
def _compare(products: np.ndarray, halves: np.ndarray, found: np.ndarray, start: int) -> None:
    """Set the words of the largest products less their halves, of equal ones the first, of the columns from `start`."""
    n_parts, n = len(found), products.shape[1]
    largest = np.full((n_parts, n), -np.inf, dtype=np.float32)
    for k in range(len(halves)):
        best, word = largest[k % n_parts], found[k % n_parts, start : start + n]
        for i in range(n):  # descriptors lie side by side, so that this vectorises
            value = products[k, i] - halves[k]
            better = value > best[i]
            best[i] = value if better else best[i]
            word[i] = k if better else word[i]


class Centres(NamedTuple):
    """What `nearest_words` needs of centres, made once for many images.

    Parameters
    ----------
    offsets : ndarray of shape (D, K), float32
        How far each centre is from the first: those far from zero would drown their differences in rounding.
    halves : ndarray of shape (K,), float32
        What is taken from the products with the offsets before they are compared.
    """

    offsets: np.ndarray
    halves: np.ndarray

    @classmethod
    def of(cls, centers: np.ndarray) -> Centres:
        """Return what is needed of centres of shape (K, D)."""
        start = centers[0].astype(np.float64)
        offsets = centers - start
        halves = offsets @ start + 0.5 * np.square(offsets).sum(axis=1)
        return cls(offsets.T.astype(np.float32), halves.astype(np.float32))
