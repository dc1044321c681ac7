"""Kernels between histograms: two sets of vectors in, their Gram matrix out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from ._parallel import in_threads
from .errors import SpmError

COLUMNS = 256  # rows of B in one panel, which with DEPTH makes half a megabyte: it stays in a core's cache
DEPTH = 512
ROWS = 1024  # rows of A in one task


def histogram_intersection(A: Any, B: Any = None, *, n_jobs: int | None = None) -> np.ndarray:
    """Return the histogram intersection of every row of `A` with every row of `B`: the sum of the smaller values.

    Swain and Ballard 1991; on pyramids of weighted histograms it is the pyramid match kernel of Lazebnik 2006,
    equation 4. Computed in float32, in blocks; zeros in `A` cost nothing.

    Parameters
    ----------
    A : array-like of shape (n, D)
        No value may be negative.
    B : array-like of shape (m, D), optional
        By default `A`, at half the work.
    n_jobs : int or None
        Threads, as joblib means it.

    Returns
    -------
    ndarray of shape (n, m), float32

    Raises
    ------
    SpmError
        For negative values, values that are not finite, or shapes that do not match.

    Examples
    --------
    >>> import spm
    >>> spm.kernels.histogram_intersection([[0.5, 0.5, 0.0]], [[0.25, 0.25, 0.5], [0.5, 0.5, 0.0]])
    array([[0.5, 1. ]], dtype=float32)
    """
    return _gram(A, B, False, n_jobs)


def chi2(A: Any, B: Any = None, *, n_jobs: int | None = None) -> np.ndarray:
    """Return the additive chi-squared kernel of every row of `A` with every row of `B`: the sum of 2ab / (a + b).

    Vedaldi and Zisserman 2012, table 1. It is 1 between equal l1-normalised rows. Parameters, result and errors are
    those of `histogram_intersection`.

    Examples
    --------
    >>> import spm
    >>> spm.kernels.chi2([[0.5, 0.5]], [[0.5, 0.5], [1.0, 0.0]]).round(4)
    array([[1.    , 0.6667]], dtype=float32)
    """
    return _gram(A, B, True, n_jobs)


def linear(A: Any, B: Any = None, *, n_jobs: int | None = None) -> np.ndarray:
    """Return the inner product of every row of `A` with every row of `B`: shape (n, m), float32.

    One matrix product, in the threads that BLAS takes by itself; `n_jobs` is there for the kernels' common form.

    Examples
    --------
    >>> import spm
    >>> spm.kernels.linear([[1.0, 2.0]], [[3.0, -1.0]])
    array([[1.]], dtype=float32)
    """
    A = np.asarray(A, dtype=np.float32)
    return A @ (A if B is None else np.asarray(B, dtype=np.float32)).T


HISTOGRAM_KERNELS = ("intersection", "chi2")
"""The kernels between histograms: no value may be negative."""

KERNELS: dict[str, Callable[..., np.ndarray]] = {
    "intersection": histogram_intersection,
    "chi2": chi2,
    "linear": linear,
}


def evaluate_kernel(kernel: Any, A: np.ndarray, B: np.ndarray, *, n_jobs: int | None = None) -> np.ndarray:
    """Return the Gram matrix of a kernel given by its name or as a callable of (A, B): shape (n, m).

    Examples
    --------
    >>> import numpy as np
    >>> evaluate_kernel("linear", np.ones((1, 2)), np.ones((3, 2)))
    array([[2., 2., 2.]], dtype=float32)
    """
    return np.asarray(kernel(A, B)) if callable(kernel) else KERNELS[kernel](A, B, n_jobs=n_jobs)


def _check_histograms(name: str, values: Any) -> np.ndarray:
    values = np.ascontiguousarray(values, dtype=np.float32)
    if values.ndim != 2:
        raise SpmError(f"{name} must have shape (rows, values), got {values.shape}")
    if not np.isfinite(values).all():
        raise SpmError(f"{name} has values that are not finite in float32")
    if values.size and values.min() < 0:
        raise SpmError(
            f"Negative values in data {name}, but this kernel is one between histograms: use counts or l1 norms"
        )
    return values


def _gram(A: Any, B: Any, chi_squared: bool, n_jobs: int | None) -> np.ndarray:
    symmetric = B is None or B is A
    A = _check_histograms("A", A)
    B = A if symmetric else _check_histograms("B", B)
    if A.shape[1] != B.shape[1]:
        raise SpmError(f"A has rows of {A.shape[1]} values but B of {B.shape[1]}")
    gram = np.empty((len(A), len(B)), dtype=np.float32)
    blocks = [
        (row, min(row + ROWS, len(A)), column, min(column + COLUMNS, len(B)))
        for row in range(0, len(A), ROWS)
        for column in range(0, len(B), COLUMNS)
    ]
    if symmetric:  # what lies left of the diagonal only
        blocks = [(max(row, column), stop, column, end) for row, stop, column, end in blocks if stop > column]
        blocks.sort(key=lambda block: block[0] - block[1])
    in_threads(partial(_fill_block, A, B, chi_squared, gram), blocks, n_jobs=n_jobs)
    if symmetric:
        for column in range(0, len(A), COLUMNS):
            below = gram[column:, column : column + COLUMNS]
            below[:COLUMNS] = np.tril(below[:COLUMNS]) + np.tril(below[:COLUMNS], -1).T
            gram[column : column + COLUMNS, column:] = below.T
    return gram


def _fill_block(
    A: np.ndarray, B: np.ndarray, chi_squared: bool, gram: np.ndarray, block: tuple[int, int, int, int]
) -> None:
    row, stop, column, end = block
    _fill(A[row:stop], B[column:end], chi_squared, gram[row:stop, column:end])


@njit(nogil=True, cache=True)
def _fill(A: np.ndarray, B: np.ndarray, chi_squared: bool, gram: np.ndarray) -> None:
    """Set `gram` (n, m) to the kernel of every row of A with every row of B.

    For one slice of the values after another, the rows of B are laid side by side as a panel, and the values above
    zero of each row of A are folded into that row's sums, eight at a time.
    """
    n_values, n_columns = A.shape[1], len(B)
    panel = np.zeros((DEPTH, n_columns), dtype=np.float32)
    at = np.empty(DEPTH + 8, dtype=np.int64)
    a = np.empty(DEPTH + 8, dtype=np.float32)
    sums = np.zeros(gram.shape, dtype=np.float32)  # side by side, as `gram`, a part of a larger matrix, is not
    for start in range(0, n_values, DEPTH):
        depth = min(DEPTH, n_values - start)
        for column in range(n_columns):
            for d in range(depth):
                panel[d, column] = B[column, start + d]
        for row in range(len(A)):
            n = 0
            for d in range(depth):
                at[n], a[n] = d, A[row, start + d]
                n += A[row, start + d] > 0
            for t in range(n, n + 8):
                at[t], a[t] = 0, 0
            for t in range(0, n, 8):
                if chi_squared:
                    _fold_chi2(panel, at, a, t, sums, row)
                else:
                    _fold_minimum(panel, at, a, t, sums, row)
    for row in range(len(A)):
        for column in range(n_columns):
            gram[row, column] = sums[row, column]


@njit(nogil=True, cache=True, fastmath={"contract", "nsz", "nnan"})
def _fold_minimum(panel: np.ndarray, at: np.ndarray, a: np.ndarray, t: int, sums: np.ndarray, row: int) -> None:
    d0, d1, d2, d3, d4, d5, d6, d7 = at[t], at[t + 1], at[t + 2], at[t + 3], at[t + 4], at[t + 5], at[t + 6], at[t + 7]
    a0, a1, a2, a3, a4, a5, a6, a7 = a[t], a[t + 1], a[t + 2], a[t + 3], a[t + 4], a[t + 5], a[t + 6], a[t + 7]
    for k in range(sums.shape[1]):
        left = (min(a0, panel[d0, k]) + min(a1, panel[d1, k])) + (min(a2, panel[d2, k]) + min(a3, panel[d3, k]))
        right = (min(a4, panel[d4, k]) + min(a5, panel[d5, k])) + (min(a6, panel[d6, k]) + min(a7, panel[d7, k]))
        sums[row, k] += left + right


@njit(nogil=True, cache=True, fastmath={"contract", "nsz", "nnan", "arcp"}, error_model="numpy")
def _fold_chi2(panel: np.ndarray, at: np.ndarray, a: np.ndarray, t: int, sums: np.ndarray, row: int) -> None:
    for u in range(t, t + 8):
        if a[u] > 0:
            value, d = a[u], at[u]
            for k in range(sums.shape[1]):
                sums[row, k] += np.float32(2) * value * (panel[d, k] / (value + panel[d, k]))
