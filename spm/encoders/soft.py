"""Soft assignment: descriptors in, their shares in several words out."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .._tools.estimators import learns
from .._tools.options import Options, number, optional, whole
from .._tools.parallel import single_threaded
from .._tools.public import public
from ..codebooks.nearest import nearest, squared_distances
from .base import WordEncoder, blocks_of
from .codes import Codes, shares_of


@public()
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

    _options: ClassVar[Options] = {
        **WordEncoder._options,
        "sigma": optional(number(above=0)),
        "n_neighbors": optional(whole(least=1)),
    }

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

    @learns
    def fit(self, X: Any, y: Any = None) -> SoftAssignment:
        """Learn the vocabulary, and `sigma_`, from descriptors of shape (N, D); raises as `BagOfWords` does."""
        super().fit(X)
        if self.sigma is not None:
            self.sigma_ = float(self.sigma)
        else:
            X = np.asarray(X, dtype=np.float32)
            with single_threaded():  # products have the same last bits for any number of BLAS threads around
                least = [squared_distances(block, self.words_).min(axis=1) for block in blocks_of(X)]
            mean = float(np.concatenate(least).mean(dtype=np.float64))
            self.sigma_ = mean**0.5 if mean > 0 else 1.0
        return self

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D): shares that sum to one."""
        values = self.descriptors(values)
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
