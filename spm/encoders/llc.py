"""Locality-constrained linear coding: descriptors in, the nearest few words that rebuild each of them out."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .._tools.numba import njit
from .._tools.options import Options, number, whole
from .._tools.public import public
from ..codebooks.nearest import nearest, squared_distances
from .base import WordEncoder, blocks_of
from .codes import Codes

LEAST_BETA = 1e-12  # below it float64 cannot tell words apart that lie on one line


@public()
class LLC(WordEncoder):
    """Locality-constrained linear coding, approximated as in Wang et al. 2010, section 3: its few nearest words.

    A descriptor x is rebuilt from its k nearest words B with weights c that sum to one: c minimises
    |x - c B|^2 + beta tr(S) |c|^2 with S = (B - x)(B - x)^T, so that c is (S + beta tr(S) I)^-1 1, over its sum.

    Parameters
    ----------
    n_words : int, default=1024
        The paper has 2048.
    n_neighbors : int, default=5
    beta : float, default=1e-4
        How strongly the weights are held back, as in the authors' code; less than 1e-12 counts as that.
    clusterer, n_init, random_state, n_jobs, verbose
        As for `BagOfWords`.

    Attributes
    ----------
    words_ : ndarray of shape (n_words, D), float32

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> words = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    >>> llc = spm.LLC(n_words=3, n_neighbors=3, random_state=0).fit(words)
    >>> code = llc.transform([[1.0, 2.0]])
    >>> (code @ llc.words_).round(2)
    array([[1., 2.]], dtype=float32)
    """

    _options: ClassVar[Options] = {
        **WordEncoder._options,
        "n_neighbors": whole(least=1),
        "beta": number(above=0),
    }

    def __init__(
        self,
        *,
        n_words: int = 1024,
        n_neighbors: int = 5,
        beta: float = 1e-4,
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
        self.n_neighbors = n_neighbors
        self.beta = beta

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D): weights of the nearest words that sum to one."""
        values = self.descriptors(values)
        k = min(self.n_neighbors, len(self.words_))
        few = np.concatenate([nearest(squared_distances(block, self.words_), k) for block in blocks_of(values)])
        weights = _rebuild(values, self.words_, few, self.beta)
        return Codes(few, weights, np.ones((len(values), 1), np.float32), len(self.words_))


@njit
def _rebuild(values: np.ndarray, words: np.ndarray, few: np.ndarray, beta: float) -> np.ndarray:
    """Return the weights of each descriptor's few words: shape (N, k), float32."""
    n_words = few.shape[1]
    weights = np.empty(few.shape, dtype=np.float32)
    apart = np.empty((n_words, values.shape[1]))  # in float32 near words would make S indefinite
    S, c = np.empty((n_words, n_words)), np.empty(n_words)
    for n in range(len(values)):
        for i in range(n_words):
            for d in range(values.shape[1]):
                apart[i, d] = np.float64(words[few[n, i], d]) - np.float64(values[n, d])
        trace = 0.0
        for i in range(n_words):
            for j in range(i + 1):
                product = np.dot(apart[i], apart[j])
                S[i, j] = S[j, i] = product
            trace += S[i, i]
        if trace == 0:  # one word, and the descriptor is it
            trace = 1.0
        for i in range(n_words):
            S[i, i] += max(beta, LEAST_BETA) * trace
        c[:] = 1.0
        _solve(S, c)
        weights[n] = c / c.sum()
    return weights


@njit
def _solve(S: np.ndarray, c: np.ndarray) -> None:
    """Solve S x = c for a small positive definite S by Cholesky's factors, in place."""
    n = len(c)
    for j in range(n):
        for k in range(j):
            S[j, j] -= S[j, k] * S[j, k]
        S[j, j] = np.sqrt(S[j, j])
        for i in range(j + 1, n):
            for k in range(j):
                S[i, j] -= S[i, k] * S[j, k]
            S[i, j] /= S[j, j]
    for i in range(n):
        for k in range(i):
            c[i] -= S[i, k] * c[k]
        c[i] /= S[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            c[i] -= S[k, i] * c[k]
        c[i] /= S[i, i]
