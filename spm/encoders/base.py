"""What encoders share: descriptors in, codes over a learned vocabulary out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from .._tools.estimators import learns
from .._tools.options import Options, check_options, optional, part, progress, seed, whole, workers
from .._tools.parallel import single_threaded
from .._tools.public import public
from ..codebooks.kmeans import kmeans
from ..codebooks.nearest import Centres, nearest_words
from ..errors import SpmError
from ..features.stream import DescriptorFiles
from .codes import Codes

T = TypeVar("T")


@public()
class EncoderMixin(TransformerMixin):
    """What every encoder has beyond its own ``fit`` and ``encode``."""

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D)."""
        raise TypeError(f"{type(self).__name__} must define encode(values)")

    def descriptors(self, values: Any) -> np.ndarray:
        """Return descriptors as an encoder takes them: (N, D), float32, of as many values as it was fitted to.

        Raises
        ------
        SpmError
            For another shape.
        """
        check_is_fitted(self)
        values = np.ascontiguousarray(values, dtype=np.float32)
        width = getattr(self, "n_features_in_", values.shape[-1])
        if values.ndim != 2 or values.shape[1] != width:
            raise SpmError(
                f"{type(self).__name__} was fitted to descriptors of shape (N, {width}), got {values.shape}: "
                "are features and `reduce` those of the fit?"
            )
        return values

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

    def of_words(self: Any, make: Callable[[np.ndarray], T]) -> T:
        """Return ``make(self.words_)``, kept beside the words for the next image; it is never saved or pickled."""
        kept = vars(self).get("_of_words")
        if kept is None or kept[0] is not self.words_:
            kept = self._of_words = self.words_, make(self.words_)
        return kept[1]

    def __getstate__(self) -> Any:
        state = dict(super().__getstate__() or {}) if hasattr(super(), "__getstate__") else dict(vars(self))
        state.pop("_of_words", None)
        return state

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Centre and scale the pooled codes of each cell, shape (n_regions, n_cells, n_words * M): here, leave them."""
        return statistics

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def checked_descriptors(encoder: Any, X: Any) -> Any:
    """Return descriptors, (N, D), as an encoder learns from them: an array of float32, or files as they are."""
    if not isinstance(X, DescriptorFiles):
        return validate_data(encoder, X, dtype=np.float32)
    encoder.n_features_in_ = X.shape[1]
    return X


class WordEncoder(EncoderMixin, BaseEstimator):
    """What the encoders over the words of a clustering share; the options are `BagOfWords`'s."""

    _options: ClassVar[Options] = {
        "n_words": whole(least=1),
        "clusterer": optional(part("clusterer")),
        "n_init": whole(least=1),
        "random_state": seed,
        "n_jobs": workers,
        "verbose": progress,
    }

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

    @learns
    def fit(self, X: Any, y: Any = None) -> WordEncoder:
        """Learn the vocabulary from descriptors of shape (N, D).

        Raises
        ------
        SpmError
            For fewer different descriptors than words, or a clusterer without `cluster_centers_`.
        """
        check_options(self)
        X = checked_descriptors(self, X)
        if self.clusterer is None:
            options = {"n_init": self.n_init, "random_state": self.random_state}
            fitted = None
            words = kmeans(X, self.n_words, n_jobs=self.n_jobs, verbose=self.verbose, **options).centers
        else:
            fitted = self._cluster(X)
            words = fitted.cluster_centers_
        self.assigner_ = fitted if hasattr(fitted, "assign") else None
        self.words_ = np.ascontiguousarray(words, dtype=np.float32)
        self.of_words(Centres.of)
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
        if self.assigner_ is not None:
            return self.assigner_.assign(values)
        return nearest_words(values, self.of_words(Centres.of))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the words' names, ``word0`` and on."""
        check_is_fitted(self)
        return word_names(len(self.words_))


def word_names(n_words: int) -> np.ndarray:
    """Return the names of words, ``word0`` and on: shape (n_words,), object."""
    return np.array([f"word{k}" for k in range(n_words)], dtype=object)


def seed_if_unset(estimator: Any, random_state: Any) -> None:
    """Set every `random_state` of `estimator` and its nested parts that is None."""
    for name, value in estimator.get_params(deep=True).items():
        if (name == "random_state" or name.endswith("__random_state")) and value is None:
            estimator.set_params(**{name: random_state})


BLOCK = 1024  # descriptors at once, so that what is made of them stays in the cache


def blocks_of(values: np.ndarray, size: int = BLOCK) -> list[np.ndarray]:
    """Cut descriptors into blocks, one at least."""
    return [values[i : i + size] for i in range(0, max(len(values), 1), size)]


def fit_clone(part: Any, values: np.ndarray, *, random: np.random.RandomState, n_jobs: Any, verbose: Any) -> Any:
    """Return a fitted clone of a nested part, which takes over the seed and the workers that it leaves open.

    It learns in one thread of BLAS: their number can change the last bits.
    """
    fitted = clone(part)
    seed_if_unset(fitted, random.randint(2**31 - 1))
    shared = {"n_jobs": n_jobs, "verbose": verbose} if hasattr(part, "encode") else {"n_jobs": n_jobs}
    options = fitted.get_params(deep=False)
    unset = [name for name in shared if name in options and (options[name] is None or options[name] is False)]
    fitted.set_params(**{name: shared[name] for name in unset})
    with single_threaded():
        return fitted.fit(values, None)  # FrozenEstimator asks for y
