"""Mixtures: many descriptors in, a few Gaussians with diagonal covariances out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .._tools.parallel import progress_bar, single_threaded
from ..errors import check_number
from .kmeans import kmeans
from .nearest import nearest_words
from .source import add, mean_and_variance, source_of

BLOCK = 1024  # descriptors at once: what is made of them stays in the cache; fixed, so that sums are too
LEAST = -50.0  # below it exp gives numbers that processors add up slowly, and that add nothing
TINY = 10 * float(np.finfo(np.float64).eps)  # added to every Gaussian's share, so that one without any divides


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians with diagonal covariances.

    Parameters
    ----------
    weights : ndarray of shape (K,), float64
        Adding up to one.
    means : ndarray of shape (K, D), float64
    variances : ndarray of shape (K, D), float64
    n_iter : int, default=0
        Passes over the descriptors that it took.

    Examples
    --------
    >>> import numpy as np
    >>> Mixture(np.array([0.5, 0.5]), np.array([[0.0], [2.0]]), np.ones((2, 1))).frame()
    (array([1.]), array([1.41421356]))
    """

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    n_iter: int = 0

    def frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation of the whole mixture, of shape (D,) each; no spread gives 1."""
        centre = self.weights @ self.means
        spread = np.sqrt(self.weights @ (self.variances + np.square(self.means - centre)))
        return centre, np.where(spread > 0, spread, 1.0)

    def within(self, centre: np.ndarray, spread: np.ndarray) -> Mixture:
        """Return the mixture of (x - centre) / spread."""
        return Mixture(self.weights, (self.means - centre) / spread, self.variances / np.square(spread))

    def coefficients(self) -> np.ndarray:
        """Return W, shape (1 + 2D, K), float32, such that (1, x, x^2) @ W is every Gaussian's log(weight * density)."""
        precisions = 1 / self.variances  # (K, D)
        logs = np.log(2 * np.pi * self.variances) + np.square(self.means) * precisions
        with np.errstate(divide="ignore"):  # a Gaussian of weight zero is never likely
            constants = np.maximum(np.log(self.weights), -1e30) - 0.5 * logs.sum(axis=1)
        return np.vstack([constants, (self.means * precisions).T, -0.5 * precisions.T]).astype(np.float32)


def gaussian_mixture(
    X: Any,
    n_components: int,
    *,
    max_iter: int = 100,
    tol: float = 1e-3,
    reg_covar: float = 1e-3,
    start: Mixture | None = None,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Mixture:
    """Fit a mixture of Gaussians with diagonal covariances by expectation and maximisation.

    It starts from the clusters of `spm.codebooks.kmeans.kmeans`. The work is done on descriptors moved and scaled to
    mean 0 and variance 1, in float32 and by matrix products, with sums in float64. The result depends on `random_state`
    alone, not on the number of threads.

    Parameters
    ----------
    X : ndarray of shape (N, D), or DescriptorFiles
        Descriptors; taken as float32. Those in files are read in every pass, as in `spm.codebooks.kmeans.kmeans`.
    n_components : int
        At most the number of different descriptors.
    max_iter : int, default=100
        Passes over the descriptors at most.
    tol : float, default=1e-3
        Stop when the mean log-likelihood of a descriptor grows by less, as scikit-learn's GaussianMixture does.
    reg_covar : float, default=1e-3
        Added to every variance, in parts of the variance of all descriptors along that axis: equal descriptors,
        such as those of flat patches, would have none.
    start : Mixture, optional
        Where to start, in place of k-means.
    random_state : int, RandomState or None
    n_jobs : int or None
        Threads, as joblib means it.
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.

    Returns
    -------
    Mixture

    Raises
    ------
    SpmError
        For fewer different descriptors than Gaussians, and for values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal([[0.0], [8.0]], [[1.0], [2.0]], (2, 4000)).reshape(-1, 1)
    >>> mixture = gaussian_mixture(points, 2, random_state=0)
    >>> mixture.means.round(1).ravel() + 0.0, np.sqrt(mixture.variances).round(1).ravel()
    (array([8., 0.]), array([2., 1.]))
    """
    check_number("max_iter", max_iter, least=1, integer=True)
    check_number("tol", tol, least=0)
    check_number("reg_covar", reg_covar, above=0)
    if start is None:
        words = kmeans(X, n_components, random_state=check_random_state(random_state), n_jobs=n_jobs, verbose=verbose)
    source = source_of(X, n_jobs)
    with single_threaded():
        centre, variance = mean_and_variance(source, BLOCK)
        spread = np.where(variance > 0, np.sqrt(variance), 1.0)
        if start is None:
            (sums,) = source.fold(partial(_share_hard, centers=words.centers, centre=centre, spread=spread), add, BLOCK)
            mixture = _maximise(sums, reg_covar)
        else:
            mixture = start.within(centre, spread)
        moments = source.prepared(partial(_scaled_moments, centre=centre, spread=spread), BLOCK)
        likelihood = -np.inf
        with progress_bar("mixture", total=max_iter, unit="pass", verbose=verbose) as bar:
            for n_iter in range(1, max_iter + 1):  # noqa: B007 (returned)
                bar.update()
                before = likelihood
                sums, total = moments.fold(partial(_expect, coefficients=mixture.coefficients()), add, BLOCK)
                likelihood, mixture = total / len(source), _maximise(sums, reg_covar)
                if abs(likelihood - before) < tol:
                    break
    return Mixture(mixture.weights, centre + spread * mixture.means, np.square(spread) * mixture.variances, n_iter)


def _scaled_moments(values: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return moments_of((values - centre) / spread)


def _share_hard(values: np.ndarray, centers: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray]:
    """Return what one block adds where each descriptor belongs to its nearest word alone."""
    shares = np.eye(len(centers), dtype=np.float32)[nearest_words(values, centers)]
    return ((shares.T @ _scaled_moments(values, centre, spread)).astype(np.float64),)


def moments_of(values: np.ndarray, degree: int = 2) -> np.ndarray:
    """Return (1, x, x^2), or as far as the degree goes, for values of shape (N, D): shape (N, 1 + degree * D)."""
    n, d = values.shape
    moments = np.empty((n, 1 + degree * d), dtype=np.float32)
    moments[:, 0] = 1
    for power in range(degree):
        np.power(values, power + 1, out=moments[:, 1 + power * d : 1 + (power + 1) * d], casting="same_kind")
    return moments


def _expect(moments: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, float]:
    """Return what one block adds: its moments shared out, (K, 1 + 2D) float64, and its log-likelihood."""
    shares = moments @ coefficients  # (n, K)
    top = shares.max(axis=1, keepdims=True)
    shares -= top
    np.maximum(shares, LEAST, out=shares)
    np.exp(shares, out=shares)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    return (shares.T @ moments).astype(np.float64), float((top + np.log(total)).sum(dtype=np.float64))


def _maximise(sums: np.ndarray, reg_covar: float) -> Mixture:
    """Return the mixture whose Gaussians have these shares of the moments, shape (K, 1 + 2D)."""
    d = (sums.shape[1] - 1) // 2
    shares = sums[:, :1] + TINY
    means = sums[:, 1 : 1 + d] / shares
    variances = np.maximum(sums[:, 1 + d :] / shares - np.square(means), 0) + reg_covar
    return Mixture(shares[:, 0] / shares.sum(), means, variances)
