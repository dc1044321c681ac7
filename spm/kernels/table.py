"""The table of kernels: a name in, all that is known of the kernel out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._tools.public import public
from ..errors import SpmError, check_choice
from .functions import chi2, hellinger, histogram_intersection, jensen_shannon, linear


@public("spm.kernels")
@dataclass(frozen=True)
class Kernel:
    """A kernel, in the forms in which it is used.

    Parameters
    ----------
    name : str
    gram : callable
        Of two sets of vectors, (n, D) and (m, D), returns their Gram matrix (n, m); such as `spm.kernels.chi2`.
    term : callable
        Of one value x > 0 of a vector (for "linear", any but 0) and that of another, s, what they add to the kernel.
    signature : callable, optional
        Of a homogeneous kernel: what it is of the logarithm of a ratio, k(x, y) = sqrt(xy) K(log(y / x)) (Vedaldi and
        Zisserman 2012, section 3).
    spectrum : callable, optional
        The signature's Fourier transform.
    between_histograms : bool, default=True
        Whether no value may be negative.

    Examples
    --------
    >>> from spm.kernels import KERNELS
    >>> KERNELS["chi2"].gram([[0.5, 0.5]], [[1.0, 0.0]]).round(4)
    array([[0.6667]], dtype=float32)
    >>> float(KERNELS["chi2"].term(0.5, 1.0).round(4))
    0.6667
    """

    name: str
    gram: Callable[..., np.ndarray]
    term: Callable[[Any, Any], Any]
    signature: Any = None
    spectrum: Any = None
    between_histograms: bool = True


def _sech(x: np.ndarray) -> np.ndarray:
    return 2 * np.exp(-np.abs(x)) / (1 + np.exp(-2 * np.abs(x)))


def _jensen_shannon_term(x: np.ndarray, s: np.ndarray) -> np.ndarray:
    bits = x * np.log2((x + s) / x) + s * np.log2((x + s) / np.where(s > 0, s, 1))
    return np.where(s > 0, bits / 2, 0)


def _jensen_shannon_signature(t: np.ndarray) -> np.ndarray:
    t = np.abs(t)  # it is even, and so no exponential grows beyond all bounds
    ratio = np.exp(-t)
    log = np.log1p(ratio)
    quotient = np.divide(log, ratio, out=np.ones_like(log), where=ratio > 1e-16)
    return np.exp(-t / 2) * (quotient + t + log) / (2 * math.log(2))


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel(
            "intersection",
            histogram_intersection,
            term=np.minimum,
            signature=lambda t: np.exp(-np.abs(t) / 2),
            spectrum=lambda omega: 2 / (math.pi * (1 + 4 * omega**2)),
        ),
        Kernel(
            "chi2",
            chi2,
            term=lambda x, s: np.divide(2 * x * s, x + s),
            signature=lambda t: _sech(t / 2),
            spectrum=lambda omega: _sech(math.pi * omega),
        ),
        Kernel(
            "jensen_shannon",
            jensen_shannon,
            term=_jensen_shannon_term,
            signature=_jensen_shannon_signature,
            spectrum=lambda omega: 2 / math.log(4) * _sech(math.pi * omega) / (1 + 4 * omega**2),
        ),
        Kernel("hellinger", hellinger, term=lambda x, s: np.sqrt(x * s)),
        Kernel("linear", linear, term=np.multiply, between_histograms=False),
    )
}
"""The kernels by name."""


def kernel_named(kernel: Any) -> Kernel | None:
    """Return what is known of a kernel given by its name or as one of the functions of `spm.kernels`, else None.

    Examples
    --------
    >>> kernel_named("chi2") is kernel_named(chi2), kernel_named(lambda A, B: A @ B.T)
    (True, None)
    """
    return next((known for known in KERNELS.values() if kernel == known.name or kernel is known.gram), None)


@public("spm.kernels")
def evaluate_kernel(kernel: Any, A: np.ndarray, B: np.ndarray, *, n_jobs: int | None = None) -> np.ndarray:
    """Return the Gram matrix of a kernel given by its name or as a callable of (A, B): shape (n, m).

    Examples
    --------
    >>> import numpy as np
    >>> evaluate_kernel("linear", np.ones((1, 2)), np.ones((3, 2)))
    array([[2., 2., 2.]], dtype=float32)
    """
    if callable(kernel):
        gram = np.asarray(kernel(A, B))
    else:
        gram = KERNELS[check_choice("kernel", kernel, KERNELS)].gram(A, B, n_jobs=n_jobs)
    if not np.isfinite(gram).all():
        raise SpmError("the kernel has values that are not finite: norm the vectors, or look into a kernel of your own")
    return gram
