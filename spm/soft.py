"""Soft assignment: descriptors in, their Gaussian affinities to all or the nearest words out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from .codes import Codes
from .distances import nearest, squared_distances
from .encoders import WordEncoder
from .errors import check_number

NARROWING = 3.0  # sigma's default: the distance to the nearest word over this
LEAST = -50.0  # below it exp gives numbers that processors add up slowly, and that add nothing


class SoftAssignment(WordEncoder):
    """Soft assignment: a descriptor counts for every word by a Gaussian of their distance, adding up to one.

    The kernel codebook with codeword uncertainty (van Gemert 2008, equation 6), and with `n_neighbors` localised soft
    assignment (Liu, Wang and Liu 2011, section 3), which leaves all but the nearest words at zero and is pooled by
    maximum: weights proportional to exp(-distance^2 / (2 sigma^2)). Their beta is 1 / (2 sigma^2).

    Parameters
    ----------
    n_words : int, default=200
        Size of the vocabulary.
    sigma : float, optional
        Width of the Gaussian. By default a third of the root mean squared distance of the training descriptors to
        their nearest words; on SIFT of unit length this comes near the 0.22 that Liu 2011 uses.
    n_neighbors : int, optional
        Words that a descriptor counts for, the nearest. By default all.
    clusterer, n_init, random_state, n_jobs, verbose
        How the words are learned: see `BagOfWords`.

    Attributes
    ----------
    words_ : ndarray of shape (n_words, D), float32
        The vocabulary.
    sigma_ : float
        The width used.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> descriptors = np.array([[0.0], [1.0], [8.0], [9.0]])
    >>> encoder = spm.SoftAssignment(n_words=2, sigma=4.0, random_state=0).fit(descriptors)
    >>> encoder.words_.ravel(), encoder.transform([[4.5], [0.5]]).round(2)
    (array([0.5, 8.5], dtype=float32), array([[0.5 , 0.5 ], [0.88, 0.12]], dtype=float32))
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
        """Learn the vocabulary, and the width unless it is given, from descriptors of shape (N, D).

        Raises
        ------
        SpmError
            For fewer different descriptors than words, a clusterer without `cluster_centers_`, or a width or a number
            of neighbours that is not positive.
        """
        if self.sigma is not None:
            check_number("sigma", self.sigma, above=0)
        if self.n_neighbors is not None:
            check_number("n_neighbors", self.n_neighbors, least=1, integer=True)
        super().fit(X)
        self.sigma_ = self.sigma
        if self.sigma is None:
            X = validate_data(self, X, dtype=np.float32, reset=False)
            smallest = squared_distances(X, self.words_).min(axis=1)
            self.sigma_ = float(np.sqrt(smallest.mean(dtype=np.float64))) / NARROWING or 1.0  # all on the words: any
        return self

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D)."""
        distances = squared_distances(np.asarray(values, dtype=np.float32), self.words_)
        n, n_words = distances.shape
        if self.n_neighbors is None or self.n_neighbors >= n_words:
            words = np.broadcast_to(np.arange(n_words, dtype=np.int32), distances.shape)
        else:
            words = nearest(distances, self.n_neighbors)
            distances = np.take_along_axis(distances, words, axis=1)
        weights = distances.min(axis=1, keepdims=True) - distances  # (N, k); the greatest is 0
        weights *= 0.5 / self.sigma_**2
        np.exp(np.maximum(weights, LEAST, out=weights), out=weights)
        weights /= weights.sum(axis=1, keepdims=True)
        return Codes(words, weights, np.ones((n, 1), dtype=np.float32), n_words)
