"""Kernel functions: two sets of vectors in, their Gram matrix out."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .._tools.numba import njit
from .._tools.parallel import in_threads
from .._tools.public import public
from ..errors import SpmError

COLUMNS = 256  # rows of B in one panel, which with DEPTH makes half a megabyte: it stays in a core's cache
DEPTH = 512
ROWS = 1024  # rows of A in one task
LINE = 16  # values of float32 in a line of the cache
WIDTH = 8192  # values of a row at once in float32, however they are stored

MINIMUM, CHI2, JENSEN_SHANNON, HELLINGER = 0, 1, 2, 3


@public("spm.kernels")
def histogram_intersection(A: Any, B: Any = None, *, n_jobs: int | None = None) -> np.ndarray:
    """Return the histogram intersection of every row of `A` with every row of `B`: the sum of the smaller values.

    Swain and Ballard 1991; on pyramids of weighted histograms it is the pyramid match kernel of Lazebnik 2006,
    equation 4. Computed in float32, in blocks; zeros in `A` cost nothing.

    Parameters
    ----------
    A : array-like of shape (n, D)
        No value may be negative. float16 is a way to store long vectors: no kernel turns more than a slice of them
        into float32 at a time.
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
    return _gram(A, B, MINIMUM, n_jobs)


@public("spm.kernels")
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
    return _gram(A, B, CHI2, n_jobs)


@public("spm.kernels")
def jensen_shannon(A: Any, B: Any = None, *, n_jobs: int | None = None) -> np.ndarray:
    """Return the Jensen-Shannon kernel of every row of `A` with every row of `B`.

    The sum of a/2 log2((a + b) / a) + b/2 log2((a + b) / b), where a value of zero adds nothing (Vedaldi and Zisserman
    2012, table 1). Between l1-normalised rows it is 1 minus their Jensen-Shannon divergence in bits. Parameters, result
    and errors are those of `histogram_intersection`.

    Examples
    --------
    >>> import spm
    >>> spm.kernels.jensen_shannon([[0.5, 0.5]], [[0.5, 0.5], [1.0, 0.0]]).round(4)
    array([[1.    , 0.6887]], dtype=float32)
    """
    return _gram(A, B, JENSEN_SHANNON, n_jobs)


@public("spm.kernels")
def hellinger(A: Any, B: Any = None, *, n_jobs: int | None = None) -> np.ndarray:
    """Return Hellinger's kernel of every row of `A` with every row of `B`: the sum of sqrt(ab).

    Vedaldi and Zisserman 2012, table 1; also called Bhattacharyya's coefficient. It is the linear kernel of the rows
    under the norm ``"power"``, which is the faster way to a classifier. Parameters, result and errors are those of
    `histogram_intersection`.

    Examples
    --------
    >>> import spm
    >>> spm.kernels.hellinger([[0.5, 0.5]], [[0.5, 0.5], [1.0, 0.0]]).round(4)
    array([[1.    , 0.7071]], dtype=float32)
    """
    return _gram(A, B, HELLINGER, n_jobs)


@public("spm.kernels")
def linear(A: Any, B: Any = None, *, n_jobs: int | None = None) -> np.ndarray:
    """Return the inner product of every row of `A` with every row of `B`: shape (n, m), float32.

    Matrix products of blocks of fixed size, so that their last bits do not depend on the number of threads. Parameters
    and result are those of `histogram_intersection`; values may be negative.

    Examples
    --------
    >>> import spm
    >>> spm.kernels.linear([[1.0, 2.0]], [[3.0, -1.0]])
    array([[1.]], dtype=float32)
    """
    A, B = _check_pair(_check_vectors, A, B)
    gram = np.zeros((len(A), len(B)), dtype=np.float32)
    blocks = _blocks(A, B, ROWS)
    in_threads(partial(_add_products, A, B, gram), blocks, n_jobs=n_jobs)
    if A is B:
        _mirror(gram, ROWS)
    return gram


def _add_products(A: np.ndarray, B: np.ndarray, gram: np.ndarray, block: tuple[int, int, int, int]) -> None:
    row, stop, column, end = block
    for values in slices(A.shape[1]):
        left = A[row:stop, values].astype(np.float32, copy=False)
        same = A is B and (row, stop) == (column, end)  # a product with itself is symmetric to the last bit
        gram[row:stop, column:end] += left @ (left if same else B[column:end, values].astype(np.float32, copy=False)).T


Check = Callable[[str, Any], np.ndarray]


def _check_pair(check: Check, A: Any, B: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both sets of vectors, the one object twice where it is a set with itself."""
    symmetric = B is None or B is A
    A = check("A", A)
    B = A if symmetric else check("B", B)
    if A.shape[1] != B.shape[1]:
        raise SpmError(f"A has rows of {A.shape[1]} values but B of {B.shape[1]}")
    return A, B


def _check_vectors(name: str, values: Any) -> np.ndarray:
    """Return the vectors as they are kept: in float16 if they come so, else in float32."""
    values = np.asarray(values)
    values = np.ascontiguousarray(values, dtype=np.float16 if values.dtype == np.float16 else np.float32)
    if values.ndim != 2:
        raise SpmError(f"{name} must have shape (rows, values), got {values.shape}")
    return values


def _check_histograms(name: str, values: Any) -> np.ndarray:
    values = _check_vectors(name, values)
    least, most = (values.min(), values.max()) if values.size else (0, 0)
    if not (np.isfinite(least) and np.isfinite(most)):  # of values with a NaN both are NaN
        raise SpmError(f"{name} has values that are not finite in {values.dtype}")
    if least < 0:
        raise SpmError(
            f"Negative values in data {name}, but this kernel is one between histograms: use counts or l1 norms"
        )
    return values


def slices(n_values: int) -> list[slice]:
    """Return the slices of a row that are worked on in float32, one after the other.

    Examples
    --------
    >>> slices(10_000)
    [slice(0, 8192, None), slice(8192, 10000, None)]
    """
    return [slice(start, min(start + WIDTH, n_values)) for start in range(0, n_values, WIDTH)]


def _gram(A: Any, B: Any, kind: int, n_jobs: int | None) -> np.ndarray:
    A, B = _check_pair(_check_histograms, A, B)
    gram = np.zeros((len(A), len(B)), dtype=np.float32)
    in_threads(partial(_fill_block, A, B, kind, gram), _blocks(A, B, COLUMNS), n_jobs=n_jobs)
    if A is B:
        _mirror(gram, COLUMNS)
    return gram


def _blocks(A: np.ndarray, B: np.ndarray, width: int) -> list[tuple[int, int, int, int]]:
    """Return blocks of the Gram matrix, first and last row and column, the largest first; of A with itself one half."""
    blocks = [
        (row, min(row + ROWS, len(A)), column, min(column + width, len(B)))
        for row in range(0, len(A), ROWS)
        for column in range(0, len(B), width)
    ]
    if A is B:  # what lies left of the diagonal only
        blocks = [(max(row, column), stop, column, end) for row, stop, column, end in blocks if stop > column]
        blocks.sort(key=lambda block: block[0] - block[1])
    return blocks


def _mirror(gram: np.ndarray, width: int) -> None:
    """Set what lies right of the diagonal."""
    for column in range(0, len(gram), width):
        below = gram[column:, column : column + width]
        below[:width] = np.tril(below[:width]) + np.tril(below[:width], -1).T
        gram[column : column + width, column:] = below.T


def _fill_block(A: np.ndarray, B: np.ndarray, kind: int, gram: np.ndarray, block: tuple[int, int, int, int]) -> None:
    row, stop, column, end = block
    for values in slices(A.shape[1]):
        left = np.ascontiguousarray(A[row:stop, values], dtype=np.float32)
        right = np.ascontiguousarray(B[column:end, values], dtype=np.float32)
        if kind == HELLINGER:
            left, right = np.sqrt(left), np.sqrt(right)
        _add(left, right, kind, gram[row:stop, column:end])


@njit
def _add(A: np.ndarray, B: np.ndarray, kind: int, gram: np.ndarray) -> None:
    """Add to `gram` (n, m) the kernel of every row of A with every row of B.

    For one slice of the values after another, what the rows of B have of those that some row of A has is laid side by
    side as a panel, and the values above zero of each row of A are folded into that row's sums, eight at a time.
    """
    n_values, n_columns = A.shape[1], len(B)
    panel = np.zeros((DEPTH, n_columns), dtype=np.float32)
    logs = np.zeros((DEPTH if kind == JENSEN_SHANNON else 0, n_columns), dtype=np.float32)
    wanted = np.empty(DEPTH, dtype=np.int64)
    at = np.empty(DEPTH + 8, dtype=np.int64)
    a = np.empty(DEPTH + 8, dtype=np.float32)
    sums = np.zeros(gram.shape, dtype=np.float32)  # side by side, as `gram`, a part of a larger matrix, is not
    for start in range(0, n_values, DEPTH):
        depth = _lay_out(A, B, start, min(start + DEPTH, n_values), wanted, panel)
        if kind == JENSEN_SHANNON:
            _take_logs(panel, logs)
        for row in range(len(A)):
            n = 0
            for d in range(depth):
                at[n], a[n] = d, A[row, wanted[d]]
                n += a[n] > 0
            for t in range(n, n + 8):
                at[t], a[t] = 0, 0
            for t in range(0, n, 8):
                if kind == MINIMUM:
                    _fold_minimum(panel, at, a, t, sums, row)
                elif kind == CHI2:
                    _fold_chi2(panel, at, a, t, sums, row)
                elif kind == JENSEN_SHANNON:
                    _fold_jensen_shannon(panel, logs, at, a, t, sums, row)
                else:
                    _fold_product(panel, at, a, t, sums, row)
    for row in range(len(A)):
        for column in range(n_columns):
            gram[row, column] += sums[row, column]


@njit
def _lay_out(A: np.ndarray, B: np.ndarray, start: int, stop: int, wanted: np.ndarray, panel: np.ndarray) -> int:
    """Lay the values of B side by side that some row of A has, and list them in `wanted`; return their number."""
    n, n_columns = 0, len(B)
    for d in range(start, stop):
        row = 0
        while row < len(A) and not A[row, d] > 0:
            row += 1
        wanted[n] = d
        n += row < len(A)
    for column in range(0, n_columns, LINE):
        for d in range(n):
            for k in range(column, min(column + LINE, n_columns)):
                panel[d, k] = B[k, wanted[d]]
    return n


@njit(fastmath={"contract", "nsz", "nnan"})
def _fold_minimum(panel: np.ndarray, at: np.ndarray, a: np.ndarray, t: int, sums: np.ndarray, row: int) -> None:
    d0, d1, d2, d3, d4, d5, d6, d7 = at[t], at[t + 1], at[t + 2], at[t + 3], at[t + 4], at[t + 5], at[t + 6], at[t + 7]
    a0, a1, a2, a3, a4, a5, a6, a7 = a[t], a[t + 1], a[t + 2], a[t + 3], a[t + 4], a[t + 5], a[t + 6], a[t + 7]
    for k in range(sums.shape[1]):
        left = (min(a0, panel[d0, k]) + min(a1, panel[d1, k])) + (min(a2, panel[d2, k]) + min(a3, panel[d3, k]))
        right = (min(a4, panel[d4, k]) + min(a5, panel[d5, k])) + (min(a6, panel[d6, k]) + min(a7, panel[d7, k]))
        sums[row, k] += left + right


@njit(fastmath={"contract", "nsz", "nnan", "arcp"}, error_model="numpy")
def _fold_chi2(panel: np.ndarray, at: np.ndarray, a: np.ndarray, t: int, sums: np.ndarray, row: int) -> None:
    for u in range(t, t + 8):
        if a[u] > 0:
            value, d = a[u], at[u]
            for k in range(sums.shape[1]):
                sums[row, k] += np.float32(2) * value * (panel[d, k] / (value + panel[d, k]))


@njit(fastmath={"contract", "nsz"})
def _fold_product(panel: np.ndarray, at: np.ndarray, a: np.ndarray, t: int, sums: np.ndarray, row: int) -> None:
    for u in range(t, t + 8):
        value, d = a[u], at[u]
        for k in range(sums.shape[1]):
            sums[row, k] += value * panel[d, k]


LOG = np.float32(2 / math.log(2))  # of the series log2(m) = LOG (s + s^3/3 + s^5/5 + ...), s = (m - 1) / (m + 1)


@njit(inline="always")
def _log2(x: Any) -> Any:
    """Return log2 of a float32 above 0 within 5e-7, in arithmetic that runs eight or sixteen lanes at once."""
    bits = np.float32(x).view(np.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)  # that of x / sqrt(1/2): m is in 0.707..1.414
    m = np.int32(bits - (exponent << np.int32(23))).view(np.float32)
    s = (m - np.float32(1)) / (m + np.float32(1))
    square = s * s
    series = np.float32(1 / 3) + square * (np.float32(1 / 5) + square * np.float32(1 / 7))
    return np.float32(exponent) + LOG * (s + s * square * series)


@njit(error_model="numpy")
def _take_logs(panel: np.ndarray, logs: np.ndarray) -> None:
    for d in range(len(panel)):
        for k in range(panel.shape[1]):
            logs[d, k] = _log2(panel[d, k])  # of zero some finite number, which is multiplied by zero


@njit(fastmath={"contract", "nsz", "nnan", "arcp"}, error_model="numpy")
def _fold_jensen_shannon(
    panel: np.ndarray, logs: np.ndarray, at: np.ndarray, a: np.ndarray, t: int, sums: np.ndarray, row: int
) -> None:
    for u in range(t, t + 8):
        if a[u] > 0:
            value, d = a[u], at[u]
            log_value = _log2(value)
            for k in range(sums.shape[1]):
                log_sum = _log2(value + panel[d, k])
                both = value * (log_sum - log_value) + panel[d, k] * (log_sum - logs[d, k])
                sums[row, k] += np.float32(0.5) * both
