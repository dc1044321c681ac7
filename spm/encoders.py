"""Encoders: descriptors in, codes over a learned vocabulary out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from ._parallel import single_threaded
from .codebooks import kmeans, nearest_words
from .codes import Codes
from .errors import SpmError


class EncoderMixin(TransformerMixin):
    """What every encoder has beyond its own ``fit`` and ``encode``."""

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D)."""
        raise TypeError(f"{type(self).__name__} must define encode(values)")

    def transform(self, X: Any) -> np.ndarray:
        """Return the code of each descriptor written out, finished as if it were alone in a cell.

        Parameters
        ----------
        X : array-like of shape (N, D)
            Descriptors.

        Returns
        -------
        ndarray of shape (N, n_features_out), float32
        """
        check_is_fitted(self)
        codes = self.encode(validate_data(self, X, dtype=np.float32, reset=False))
        return self.finish(codes.toarray()[None])[0]

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Centre and scale the pooled codes of each cell, shape (n_regions, n_cells, n_words * M): here, leave them."""
        return statistics

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class WordEncoder(EncoderMixin, BaseEstimator):
    """What the encoders over the words of a clustering share; the options are `BagOfWords`'s."""

    def __init__(
        self,
        *,
        n_words: int = 200,
        clusterer: Any = None,
        n_init: int = 1,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_words = n_words
        self.clusterer = clusterer
        self.n_init = n_init
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> WordEncoder:
        """Learn the vocabulary from descriptors of shape (N, D).

        Raises
        ------
        SpmError
            For fewer different descriptors than words, or a clusterer without `cluster_centers_`.
        """
        X = validate_data(self, X, dtype=np.float32)
        if self.clusterer is None:
            options = {"n_init": self.n_init, "random_state": self.random_state}
            fitted = None
            words = kmeans(X, self.n_words, n_jobs=self.n_jobs, verbose=self.verbose, **options).centers
        else:
            fitted = self._cluster(X)
            words = fitted.cluster_centers_
        self.assigner_ = fitted if hasattr(fitted, "assign") else None
        self.words_ = np.ascontiguousarray(words, dtype=np.float32)
        return self

    def _cluster(self, X: np.ndarray) -> Any:
        """Return a fitted clone of the clusterer."""
        clusterer = clone(self.clusterer)
        seed_if_unset(clusterer, self.random_state)
        with single_threaded():
            clusterer.fit(X, None)  # FrozenEstimator asks for y
        if not hasattr(clusterer, "cluster_centers_"):
            raise SpmError(
                f"clusterer={self.clusterer!r} learns no cluster_centers_: "
                "give one that does, such as KMeans, MiniBatchKMeans or BisectingKMeans"
            )
        return clusterer

    def _assign(self, values: np.ndarray) -> np.ndarray:
        """Return one word of each descriptor, (N, D): the nearest, or what the clusterer's own `assign` finds."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        return nearest_words(values, self.words_) if self.assigner_ is None else self.assigner_.assign(values)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the words' names, ``word0`` and on."""
        check_is_fitted(self)
        return np.array([f"word{k}" for k in range(len(self.words_))], dtype=object)


class BagOfWords(WordEncoder):
    """Hard assignment: a descriptor counts one for its nearest word (Csurka 2004; Lazebnik 2006, section 4).

    Parameters
    ----------
    n_words : int, default=200
        Size of the vocabulary.
    clusterer : estimator, optional
        Any scikit-learn clusterer that learns `cluster_centers_`; its centres become the words, as many as it has.
        One with a method ``assign``, such as `VocabularyTree`, finds the descriptors' words by it.
        By default `spm.codebooks.kmeans`.
    n_init : int, default=1
        Independent starts of the default clustering.
    random_state : int, RandomState or None
        Seeds the default clustering, and a given clusterer whose own is None.
    n_jobs : int or None
        Threads of the default clustering, as joblib means it.
    verbose : bool, default=False
        Whether the default clustering shows progress on standard error after two seconds.

    Attributes
    ----------
    words_ : ndarray of shape (n_words, D), float32
        The vocabulary.
    assigner_ : estimator or None
        The fitted clusterer, where it has a method ``assign``.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> descriptors = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0]])
    >>> spm.BagOfWords(n_words=2, random_state=0).fit_transform(descriptors).sum(axis=0)
    array([1., 2.], dtype=float32)
    """

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D): the nearest word, once."""
        words = self._assign(values)
        ones = np.ones((len(words), 1), dtype=np.float32)
        return Codes(words[:, None], ones, ones, len(self.words_))


def seed_if_unset(estimator: Any, random_state: Any) -> None:
    """Set every `random_state` of `estimator` and its nested parts that is None."""
    for name, value in estimator.get_params(deep=True).items():
        if (name == "random_state" or name.endswith("__random_state")) and value is None:
            estimator.set_params(**{name: random_state})
