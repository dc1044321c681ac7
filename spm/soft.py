"""Soft assignment: descriptors in, their shares in several words out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .codes import Codes
from .distances import nearest, squared_distances
from .encoders import WordEncoder
from .errors import check_number

LEAST_SHARE = 1e-5  # a smaller share of a descriptor is left out; the others make up for it
BLOCK = 1024  # descriptors at once, so that what is made of them stays in the cache


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


@njit(nogil=True, cache=True)
def _count(logs: np.ndarray, highest: np.ndarray, least: float) -> np.ndarray:
    counts = np.zeros(len(logs), dtype=np.int64)
    for n in range(len(logs)):
        bound = highest[n] + least
        for k in range(logs.shape[1]):
            counts[n] += logs[n, k] >= bound
    return counts


@njit(nogil=True, cache=True)
def _fill(logs: np.ndarray, highest: np.ndarray, least: float, words: np.ndarray, shares: np.ndarray) -> None:
    place = 0
    for n in range(len(logs)):
        first, total = place, np.float32(0)
        bound = highest[n] + least
        for k in range(logs.shape[1]):
            if logs[n, k] >= bound:
                words[place] = k
                shares[place] = np.exp(logs[n, k] - highest[n])
                total += shares[place]
                place += 1
        for p in range(first, place):
            shares[p] /= total


def blocks_of(values: np.ndarray, size: int = BLOCK) -> list[np.ndarray]:
    """Cut descriptors into blocks, one at least."""
    return [values[i : i + size] for i in range(0, max(len(values), 1), size)]


class SoftAssignment(WordEncoder):
    """Soft assignment: a descriptor is shared out among words by a Gaussian of its distance to each.

    Over all words it is the kernel codebook with codeword uncertainty of van Gemert 2008 (section 3, equation 6); over
    the nearest few, the localized soft assignment of Liu, Wang and Liu 2011 (section 3.2).

    Parameters
    ----------
    n_words : int, default=200
    sigma : float, optional
        The Gaussian's standard deviation, in the descriptors' units. By default the root of the mean squared distance
        of the training descriptors to their nearest word. Liu 2011 has beta = 10, that is sigma = sqrt(1 / 20).
    n_neighbors : int, optional
        Share out among so many nearest words only; by default among all. Shares below 1e-5 of the largest are left out.
    clusterer, n_init, random_state, n_jobs, verbose
        As for `BagOfWords`.

    Attributes
    ----------
    words_ : ndarray of shape (n_words, D), float32
    sigma_ : float

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> descriptors = np.array([[0.0], [1.0]])
    >>> soft = spm.SoftAssignment(n_words=2, sigma=0.5, random_state=0).fit(descriptors)
    >>> soft.transform([[0.5]]).round(2)
    array([[0.5, 0.5]], dtype=float32)
    """

    def __init__(
        self,
        *,
        n_words: int = 200,
        sigma: float | None = None,
        n_neighbors: int | None = None,
        clusterer: Any = None,
        n_init: int = 1,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            n_words=n_words,
            clusterer=clusterer,
            n_init=n_init,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.sigma = sigma
        self.n_neighbors = n_neighbors

    def fit(self, X: Any, y: Any = None) -> SoftAssignment:
        """Learn the vocabulary, and `sigma_`, from descriptors of shape (N, D); raises as `BagOfWords` does."""
        if self.sigma is not None:
            check_number("sigma", self.sigma, above=0)
        if self.n_neighbors is not None:
            check_number("n_neighbors", self.n_neighbors, least=1, integer=True)
        super().fit(X)
        if self.sigma is not None:
            self.sigma_ = float(self.sigma)
        else:
            X = np.asarray(X, dtype=np.float32)
            least = [squared_distances(block, self.words_).min(axis=1) for block in blocks_of(X)]
            mean = float(np.concatenate(least).mean(dtype=np.float64))
            self.sigma_ = mean**0.5 if mean > 0 else 1.0
        return self

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D): shares that sum to one."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        parts = [self._shares(block) for block in blocks_of(values)]
        words, shares, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Codes.ragged(words, shares, counts, np.ones((len(values), 1), np.float32), len(self.words_))

    def _shares(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logs = squared_distances(values, self.words_) / np.float32(-2 * self.sigma_**2)
        if self.n_neighbors is None or self.n_neighbors >= len(self.words_):
            return shares_of(logs)
        few = nearest(-logs, self.n_neighbors)  # (n, k)
        words, shares, counts = shares_of(np.take_along_axis(logs, few, axis=1))
        return few[np.repeat(np.arange(len(few)), counts), words], shares, counts
