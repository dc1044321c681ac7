"""Explicit maps of kernels: histograms in, vectors whose inner products come close to the kernel out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._tools.estimators import learns
from .._tools.options import Options, check_options, choice, number, optional, whole
from .._tools.public import public
from ..errors import SpmError
from .table import KERNELS

WINDOWS = ("rectangular", "uniform")
ROWS = 256  # vectors mapped at once
REACH = 200.0  # beyond it no signature is more than 1e-40

HOMOGENEOUS = tuple(name for name, kernel in KERNELS.items() if kernel.signature is not None)
"""The kernels that have a map."""

PERIODS: dict[tuple[str, str], Callable[[int], float]] = {
    ("intersection", "rectangular"): lambda order: 2.00 * math.log(order + 0.99) + 3.52,
    ("chi2", "rectangular"): lambda order: 8.80 * math.sqrt(order + 4.44) - 12.6,
    ("jensen_shannon", "rectangular"): lambda order: 9.63 * math.sqrt(order + 1.00) - 2.93,
    ("intersection", "uniform"): lambda order: 2.38 * math.log(order + 0.8) + 5.6,
    ("chi2", "uniform"): lambda order: 5.86 * math.sqrt(order) + 3.65,
    ("jensen_shannon", "uniform"): lambda order: 6.64 * math.sqrt(order) + 7.24,
}
"""The best period for each order, by its authors' fits (VLFeat 0.9.21, homkermap.c)."""


def coefficients(kernel: str, *, order: int, window: str, period: float) -> np.ndarray:
    """Return the Fourier coefficients of a kernel's signature, made periodic.

    With the rectangular window the signature is cut to one period, and that is repeated. With the uniform window all
    of it is repeated and added up, which is to sample its spectrum (Vedaldi and Zisserman 2012, section 4).

    Parameters
    ----------
    kernel : {"intersection", "chi2", "jensen_shannon"}
    order : int
    window : {"rectangular", "uniform"}
    period : float

    Returns
    -------
    ndarray of shape (order + 1,), float64
        None below zero: a negative one, which the cut can leave, is set to zero.

    Examples
    --------
    >>> coefficients("chi2", order=2, window="rectangular", period=9.7).round(3)
    array([0.575, 0.194, 0.013])
    """
    known = KERNELS[kernel]
    steps = 2 * math.pi / period * np.arange(order + 1)  # frequencies
    if window == "uniform":
        return 2 * math.pi / period * known.spectrum(steps)
    nodes, weights = np.polynomial.legendre.leggauss(64 + 8 * order)  # exact to the last digits: no kink lies inside
    reach = min(period / 2, REACH)
    t = reach / 2 * (1 + nodes)
    values = weights / 2 * known.signature(t) * (2 * reach / period)
    return np.maximum(np.cos(np.outer(steps, t)) @ values, 0)


@public()
class HomogeneousMap(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Map histograms to vectors whose inner product comes close to a kernel (Vedaldi and Zisserman 2012).

    Every value becomes 2 * order + 1: with these a linear SVM, whose cost grows with the number of images and not with
    its square, learns nearly what the kernel's would; so 10^5 images are within reach. The error does not depend on
    the length of the vectors, and falls exponentially with the order for chi2 and Jensen-Shannon, more slowly for the
    intersection. For Hellinger's kernel the map is exact and keeps the length: the norm ``"power"``.

    Parameters
    ----------
    kernel : {"intersection", "chi2", "jensen_shannon"}, default="chi2"
        The kernels of `spm.kernels`.
    order : int, default=1
        Sines and cosines of each value.
    gamma : float, default=1.0
        The degree to which the kernel grows with its values: k(cx, cy) = c^gamma k(x, y). Below 1 it levels bursts of
        one word. 1 is the kernel itself.
    window : {"rectangular", "uniform"}, default="rectangular"
        How the kernel's signature is made periodic; see `coefficients`.
    period : float, optional
        Of the signature. By default the best for the kernel, the order and the window.

    Attributes
    ----------
    period_ : float
    coefficients_ : ndarray of shape (order + 1,), float64

    Notes
    -----
    Values below zero are taken by their sign: k(x, y) = sign(xy) k(|x|, |y|), as in VLFeat. The output has first all
    values' means, then their first cosines, first sines, second cosines, and so on, as scikit-learn's
    AdditiveChi2Sampler, which is ``kernel="chi2", window="uniform"``.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> A, B = np.array([[0.5, 0.5, 0.0]]), np.array([[0.2, 0.5, 0.3]])
    >>> mapped = spm.HomogeneousMap(kernel="chi2", order=2).fit(A)
    >>> (mapped.transform(A) @ mapped.transform(B).T).round(2), spm.kernels.chi2(A, B).round(2)
    (array([[0.78]]), array([[0.79]], dtype=float32))
    """

    _options: ClassVar[Options] = {
        "kernel": choice(HOMOGENEOUS),
        "order": whole(least=0),
        "gamma": number(above=0),
        "window": choice(WINDOWS),
        "period": optional(number(above=0)),
    }

    def __init__(
        self,
        *,
        kernel: str = "chi2",
        order: int = 1,
        gamma: float = 1.0,
        window: str = "rectangular",
        period: float | None = None,
    ) -> None:
        self.kernel = kernel
        self.order = order
        self.gamma = gamma
        self.window = window
        self.period = period

    @learns
    def fit(self, X: Any, y: Any = None) -> HomogeneousMap:
        """Compute the coefficients; of the vectors (n, D) only the length is learned.

        Raises
        ------
        SpmError
            For an option that is not valid.
        """
        check_options(self)
        self._validate(X, reset=True)
        self.period_ = PERIODS[self.kernel, self.window](self.order) if self.period is None else float(self.period)
        self.coefficients_ = coefficients(self.kernel, order=self.order, window=self.window, period=self.period_)
        return self

    def _validate(self, X: Any, reset: bool) -> Any:
        return validate_data(self, X, accept_sparse="csr", dtype=(np.float32, np.float64), reset=reset)

    def transform(self, X: Any) -> Any:
        """Return the mapped vectors.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, D)

        Returns
        -------
        ndarray, or for a sparse matrix a sparse one, of shape (n, (2 * order + 1) * D)
            float64 of float64, else float32. A zero stays zero.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        if sparse.issparse(X):
            parts = [type(X)((part, X.indices, X.indptr), shape=X.shape) for part in self._parts(X.data)]
            return sparse.hstack(parts, format="csr")
        mapped = np.empty((len(X), 2 * self.order + 1, X.shape[1]), dtype=X.dtype)
        for start in range(0, len(X), ROWS):
            for k, part in enumerate(self._parts(X[start : start + ROWS])):
                mapped[start : start + ROWS, k] = part
        return mapped.reshape(len(X), -1)

    def _parts(self, values: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the means, first cosines, first sines and so on of values, in their shape."""
        lengths = np.abs(values)
        with np.errstate(over="ignore"):
            sizes = np.sign(values) * lengths ** (self.gamma / 2)
        if not np.isfinite(sizes).all():
            largest = lengths.max()
            raise SpmError(
                f"gamma={self.gamma} makes of {largest:g} more than {sizes.dtype} holds: lower it or norm the vectors"
            )
        angles = 2 * math.pi / self.period_ * np.log(np.where(lengths > 0, lengths, 1))
        first, *others = self.coefficients_.tolist()
        yield math.sqrt(first) * sizes
        for j, coefficient in enumerate(others, start=1):
            for wave in (np.cos, np.sin):
                yield math.sqrt(2 * coefficient) * sizes * wave(j * angles)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the values' names: ``x0`` is the mean of ``x0``, ``x0_cos1`` and ``x0_sin1`` its first waves."""
        names = super().get_feature_names_out(input_features)
        waves = [f"_{wave}{j}" for j in range(1, self.order + 1) for wave in ("cos", "sin")]
        return np.array([f"{name}{wave}" for wave in ["", *waves] for name in names], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32", "float64"]
        return tags
