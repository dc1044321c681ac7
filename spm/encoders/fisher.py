"""Fisher vectors: descriptors in, how a mixture of Gaussians would have to change to fit them better, out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._tools.estimators import learns
from .._tools.options import Options, check_options, choice, each, number, progress, seed, whole, workers
from .._tools.parallel import single_threaded
from .._tools.public import public
from ..codebooks.mixture import Mixture, gaussian_mixture, moments_of
from .base import EncoderMixin, blocks_of, checked_descriptors
from .codes import Codes, shares_of

GRADIENTS = ("weights", "means", "variances")


@public()
class FisherVector(EncoderMixin, BaseEstimator):
    """Fisher vectors over a mixture of Gaussians with diagonal covariances (Perronnin, Sanchez and Mensink 2010).

    With the share g of Gaussian k (weight w, mean m, deviation s) in a descriptor x, and N descriptors in a cell, the
    gradients are, as in Sanchez et al. 2013, equations 16 to 18,

    - weights: sum of (g - w) / (N sqrt(w)),
    - means: sum of g (x - m) / s / (N sqrt(w)),
    - variances: sum of g ((x - m)^2 / s^2 - 1) / (N sqrt(2 w)).

    The improved norm is the vectorizer's: ``norm=("power", "l2")``. Descriptors are usually reduced by ``PCA(64)``.

    Parameters
    ----------
    n_words : int, default=64
        Gaussians.
    gradients : sequence of {"weights", "means", "variances"}, default=("means", "variances")
        What the vector holds, in this order.
    max_iter, tol : int and float, default=100 and 1e-3
        Of `spm.codebooks.mixture.gaussian_mixture`.
    random_state : int, RandomState or None
        Seeds the clusters that the mixture starts from.
    n_jobs : int or None
        Threads of the mixture, as joblib means it.
    verbose : bool, default=False
        Whether the mixture shows progress on standard error after two seconds.

    Attributes
    ----------
    mixture_weights_ : ndarray of shape (n_words,), float64
    means_, variances_ : ndarray of shape (n_words, D), float64
    n_iter_ : int
        Passes over the descriptors that the mixture took.

    Notes
    -----
    Shares below 1e-5 of a descriptor's largest are left out; the vector changes by less than 1e-4 of its length. A
    Gaussian without any weight has no gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> descriptors = np.random.default_rng(0).normal(size=(500, 3))
    >>> spm.FisherVector(n_words=4, random_state=0).fit(descriptors).transform(descriptors[:2]).shape
    (2, 24)
    """

    _options: ClassVar[Options] = {
        "n_words": whole(least=1),
        "gradients": each(choice(GRADIENTS), "('means', 'variances')"),
        "max_iter": whole(least=1),
        "tol": number(least=0),
        "random_state": seed,
        "n_jobs": workers,
        "verbose": progress,
    }

    def __init__(
        self,
        *,
        n_words: int = 64,
        gradients: Sequence[str] = ("means", "variances"),
        max_iter: int = 100,
        tol: float = 1e-3,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_words = n_words
        self.gradients = gradients
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @learns
    def fit(self, X: Any, y: Any = None) -> FisherVector:
        """Fit the mixture to descriptors of shape (N, D).

        Raises
        ------
        SpmError
            For fewer different descriptors than Gaussians, or an unknown gradient.
        """
        check_options(self)
        X = checked_descriptors(self, X)
        options = {"max_iter": self.max_iter, "tol": self.tol, "random_state": self.random_state}
        with single_threaded():  # products have the same last bits for any number of BLAS threads around
            mixture = gaussian_mixture(X, self.n_words, **options, n_jobs=self.n_jobs, verbose=self.verbose)
        self.mixture_weights_, self.means_, self.variances_ = mixture.weights, mixture.means, mixture.variances
        self.n_iter_ = mixture.n_iter
        return self

    def _mixture(self) -> tuple[Mixture, np.ndarray, np.ndarray]:
        """Return the mixture of descriptors moved and scaled to mean 0 and variance 1, and how they are."""
        mixture = Mixture(self.mixture_weights_, self.means_, self.variances_)
        centre, spread = mixture.frame()
        return mixture.within(centre, spread), centre, spread

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D): shares of Gaussians, and moments (1, x, x^2)."""
        values = self.descriptors(values)
        mixture, centre, spread = self._mixture()
        scaled = (values - centre.astype(np.float32)) / spread.astype(np.float32)
        moments, coefficients = moments_of(scaled), mixture.coefficients()
        parts = [shares_of(block @ coefficients) for block in blocks_of(moments)]
        words, shares, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Codes.ragged(words, shares, counts, moments, len(self.means_))

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Turn pooled shares and moments into gradients: (n_regions, n_cells, n_features_out), float32."""
        mixture, _, _ = self._mixture()
        n_words, d = self.means_.shape
        sums = statistics.reshape(*statistics.shape[:2], n_words, 1 + 2 * d)
        counts = sums[..., :1].sum(axis=-2, keepdims=True)  # descriptors in the cell: their shares sum to one
        sums = sums / np.where(counts > 0, counts, 1)
        share, first, second = sums[..., :1], sums[..., 1 : 1 + d], sums[..., 1 + d :]
        weights = mixture.weights[:, None]
        scale = np.where(weights > 0, 1 / np.sqrt(np.where(weights > 0, weights, 1)), 0).astype(np.float32)
        means, deviations = mixture.means.astype(np.float32), np.sqrt(mixture.variances).astype(np.float32)
        made = {
            "weights": lambda: (share - (counts > 0) * weights.astype(np.float32)) * scale,
            "means": lambda: (first - share * means) * (scale / deviations),
            "variances": lambda: (
                (second - means * (2 * first - share * means)) / np.square(deviations) - share
            ) * (scale / np.float32(np.sqrt(2))),
        }  # fmt: skip
        parts = [made[name]().reshape(*statistics.shape[:2], -1) for name in self.gradients]
        return np.concatenate(parts, axis=-1).astype(np.float32, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the values' names: by gradient, word and dimension, such as ``word0_mean0``."""
        check_is_fitted(self)
        n_words, d = self.means_.shape
        names: list[str] = []
        for gradient in self.gradients:
            dimensions = [""] if gradient == "weights" else [str(i) for i in range(d)]
            names += [f"word{k}_{gradient[:-1]}{d}" for k in range(n_words) for d in dimensions]
        return np.array(names, dtype=object)
