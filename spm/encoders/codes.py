"""Codes: what an encoder makes of descriptors, kept in factors so that pooling never forms them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._tools.numba import njit
from .._tools.public import public
from ..errors import NotFiniteError, SpmError
from ..features.local import all_finite


@public()
@dataclass(frozen=True)
class Codes:
    """N codes, each the product of sparse word weights q and moments m.

    The code of a feature is q (x) m flattened, word by word: m = 1 for word counts, (1, x) for VLAD, (1, x, x^2) for
    Fisher vectors; without an encoder q = 1 and m = x.

    Parameters
    ----------
    words : ndarray of shape (N, k), int32
        The words that each feature uses, each of them once.
    weights : ndarray of shape (N, k), float32
        How much it uses each. A slot of weight zero is empty, whatever its word.
    moments : ndarray of shape (N, M), float32
    n_words : int
        The size of the vocabulary.

    Examples
    --------
    >>> import numpy as np
    >>> codes = Codes(np.array([[2], [0]]), np.ones((2, 1)), np.ones((2, 1)), n_words=3)
    >>> codes.toarray()
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """

    words: np.ndarray
    weights: np.ndarray
    moments: np.ndarray
    n_words: int

    def __post_init__(self) -> None:
        if self.words.shape != self.weights.shape or len(self.words) != len(self.moments):
            raise SpmError(
                f"codes need words and weights of one shape and as many moments, got {self.words.shape}, "
                f"{self.weights.shape} and {self.moments.shape}"
            )

        if not (all_finite(self.weights) and all_finite(self.moments)):
            raise NotFiniteError(
                "codes have values that are not finite: are descriptors or options far too large or too small?"
            )

    @classmethod
    def plain(cls, values: np.ndarray) -> Codes:
        """Return the codes of values that no encoder turns into words: q = 1, m = x."""
        n = len(values)
        ones = np.ones((n, 1), dtype=np.float32)
        return cls(np.zeros((n, 1), dtype=np.int32), ones, values.astype(np.float32, copy=False), 1)

    @classmethod
    def ragged(
        cls, words: np.ndarray, weights: np.ndarray, counts: np.ndarray, moments: np.ndarray, n_words: int
    ) -> Codes:
        """Return the codes of features that use `counts` words each; these and their weights come one after the other.

        Examples
        --------
        >>> import numpy as np
        >>> ones = np.ones((2, 1))
        >>> Codes.ragged(np.array([4, 2, 0]), np.array([0.5, 0.5, 1.0]), np.array([2, 1]), ones, n_words=5).words
        array([[4, 2],
               [0, 0]], dtype=int32)
        """
        used = np.arange(max(counts.max(initial=0), 1)) < counts[:, None]  # (N, k)
        placed = np.zeros(used.shape, dtype=np.int32), np.zeros(used.shape, dtype=np.float32)
        placed[0][used], placed[1][used] = words, weights
        return cls(*placed, moments, n_words)

    @property
    def n_values(self) -> int:
        """Values in one code: words times moments."""
        return self.n_words * self.moments.shape[1]

    def toarray(self) -> np.ndarray:
        """Return the codes written out, of shape (N, n_words * M), float32."""
        q = np.zeros((len(self.words), self.n_words), dtype=np.float32)
        np.add.at(q, (np.arange(len(q))[:, None], self.words), self.weights)
        return (q[:, :, None] * self.moments[:, None, :]).reshape(len(q), self.n_values).astype(np.float32)


LEAST_SHARE = 1e-5  # a smaller share of a descriptor is left out; the others make up for it


def shares_of(logs: np.ndarray, least: float = LEAST_SHARE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn the logarithms of shares, up to a constant a row, into those shares that matter.

    Parameters
    ----------
    logs : ndarray of shape (N, K), float32
    least : float
        A share of less, of the largest of its row, is left out.

    Returns
    -------
    words, shares : ndarray of shape (n,), int32 and float32
        The columns that matter and their shares, row after row; those of a row sum to one.
    counts : ndarray of shape (N,), int64
        How many each row has.

    Examples
    --------
    >>> words, shares, counts = shares_of(np.log(np.float32([[0.5, 1e-9, 0.5], [0.1, 0.8, 0.1]])))
    >>> words, shares.round(2), counts
    (array([0, 2, 0, 1, 2], dtype=int32), array([0.5, 0.5, 0.1, 0.8, 0.1], dtype=float32), array([2, 3]))
    """
    highest = logs.max(axis=1)
    counts = _count(logs, highest, float(np.log(least)))
    words, shares = np.empty(counts.sum(), np.int32), np.empty(counts.sum(), np.float32)
    _fill(logs, highest, float(np.log(least)), words, shares)
    return words, shares, counts


@njit
def _count(logs: np.ndarray, highest: np.ndarray, least: float) -> np.ndarray:
    counts = np.zeros(len(logs), dtype=np.int64)
    for n in range(len(logs)):
        bound = highest[n] + least
        for k in range(logs.shape[1]):
            counts[n] += logs[n, k] >= bound
    return counts


@njit
def _fill(logs: np.ndarray, highest: np.ndarray, least: float, words: np.ndarray, shares: np.ndarray) -> None:
    slot = 0
    for n in range(len(logs)):
        first, total = slot, np.float32(0)
        bound = highest[n] + least
        for k in range(logs.shape[1]):
            if logs[n, k] >= bound:
                words[slot] = k
                shares[slot] = np.exp(logs[n, k] - highest[n])
                total += shares[slot]
                slot += 1
        for p in range(first, slot):
            shares[p] /= total
