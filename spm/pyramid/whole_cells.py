"""Whole cells: the values of a map's cells and regions of whole cells in, what the bins of their pyramids hold out.

The cell of row y and column x is row y * W + x of the values. Bin i of n over h cells is [floor(i * h / n),
ceil((i + 1) * h / n)): the one pooling rule for cells whose borders are whole numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .._tools.numba import njit

MANY = 128  # regions of one map; for fewer, squares of cells cost more than they save


def are_regular(extents: np.ndarray, grid: tuple[int, int]) -> bool:
    """Whether extents are those of all cells of a map, row by row.

    Examples
    --------
    >>> are_regular(np.float32([[0, 0, 1, 1], [1, 0, 2, 1]]), (1, 2)), are_regular(np.zeros((2, 4)), (1, 2))
    (True, False)
    """
    height, width = grid
    return len(extents) == height * width > 0 and bool(np.array_equal(extents, _regular(height, width)))


@lru_cache(maxsize=64)
def _regular(height: int, width: int) -> np.ndarray:
    i, j = np.divmod(np.arange(height * width, dtype=np.float32), np.float32(width))
    return np.stack([j, i, j + 1, i + 1], axis=1)


def are_whole(regions: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return of every region whether it is made of whole cells of the map: shape (R,), bool.

    Examples
    --------
    >>> are_whole(np.array([[0, 0, 2, 1], [0, 0, 1.5, 1], [0, 0, 3, 1]]), (1, 2)).tolist()
    [True, False, False]
    """
    inside = (regions[:, :2] >= 0).all(axis=1) & (regions[:, 2:] <= grid[::-1]).all(axis=1)
    return inside & (regions == np.floor(regions)).all(axis=1)


def squares_of(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return the maps of maxima over 1 x 1, 1 x 2, 2 x 1 and 2 x 2 cells, each from its top left cell.

    With them the maximum over a bin takes a third of the reads, and they cost little more than to read the map.
    Larger squares save no more than it costs to write them.

    Parameters
    ----------
    values : ndarray of shape (H * W, D), float32
    grid : (int, int)
        H and W.

    Returns
    -------
    ndarray of shape (4 * H * W, D), float32
        What would lie over the map's border is not set.

    Examples
    --------
    >>> squares_of(np.float32([[1], [3], [2], [0]]), (2, 2))[[0, 4, 6, 8, 9, 12], 0].tolist()
    [1.0, 3.0, 2.0, 2.0, 3.0, 3.0]
    """
    squares = np.empty((4 * len(values), values.shape[1]), dtype=np.float32)
    _fill_squares(values, *grid, squares)
    return squares


def pool_max(
    squares: np.ndarray, grid: tuple[int, int], regions: np.ndarray, grids: np.ndarray, parents: np.ndarray
) -> np.ndarray:
    """Return the maxima of all bins of all regions.

    A level whose bins are made of a finer one's is put together from that: bin i of n is exactly those from i * d to
    (i + 1) * d - 1 of n * d.

    Parameters
    ----------
    squares : ndarray of shape (H * W, D) or (4 * H * W, D), float32
        The map, or `squares_of` it.
    grid : (int, int)
        H and W.
    regions : ndarray of shape (R, 4), int64
        x0, y0, x1, y1 in cells.
    grids : ndarray of shape (L, 2), int64
        Rows and columns of every level.
    parents : ndarray of shape (L,), int64
        For every level a finer one whose bins make up its own, or -1.

    Returns
    -------
    ndarray of shape (R, n_cells, D), float32

    Examples
    --------
    >>> levels = np.array([[1, 1], [1, 2]]), np.array([1, -1])
    >>> pool_max(np.float32([[-1], [-3], [-2]]), (1, 3), np.array([[0, 0, 3, 1], [1, 0, 3, 1]]), *levels)[..., 0]
    array([[-1., -1., -2.],
           [-2., -3., -2.]], dtype=float32)
    """
    sizes = grids.prod(axis=1)
    pooled = np.empty((len(regions), sizes.sum(), squares.shape[1]), dtype=np.float32)
    order = np.argsort(-sizes, kind="stable")  # the finer first
    firsts = np.cumsum(sizes) - sizes
    in_rows = pooled.reshape(-1, pooled.shape[2])
    _max_bins(squares, *grid, regions, grids, parents, firsts, order, len(pooled[0]) if len(pooled) else 0, in_rows)
    return pooled


def pool_sum(
    values: np.ndarray, grid: tuple[int, int], regions: np.ndarray, grids: np.ndarray, mean: bool
) -> np.ndarray:
    """Return the sums, or the means, of all bins of all regions, taken in float64.

    The bins' borders cut a region into pieces. Each cell is added once, to its piece, and bins are sums of pieces:
    none is a difference of larger sums, so a bin of zeros is zero.

    Parameters
    ----------
    values : ndarray of shape (H * W, D), float32
    grid, regions, grids
        As for `pool_max`.
    mean : bool

    Returns
    -------
    ndarray of shape (R, n_cells, D), float32

    Examples
    --------
    >>> values, regions, grids = np.float32([[1], [3], [2]]), np.array([[0, 0, 3, 1]]), np.array([[1, 1], [1, 2]])
    >>> pool_sum(values, (1, 3), regions, grids, mean=False)[..., 0]
    array([[6., 4., 5.]], dtype=float32)
    """
    pooled = np.empty((len(regions), grids.prod(axis=1).sum(), values.shape[1]), dtype=np.float32)
    _sum_bins(values, grid[1], regions, grids, mean, pooled)
    return pooled


@njit
def _fill_squares(values: np.ndarray, height: int, width: int, squares: np.ndarray) -> None:
    n = height * width
    for i in range(n):
        _copy(values, i, squares, i)
    for i in range(n - 1):
        if (i + 1) % width:
            _larger(values, i, i + 1, squares, n + i)
    for i in range(n - width):
        _larger(values, i, i + width, squares, 2 * n + i)
        if (i + 1) % width:
            _larger(squares, n + i, n + i + width, squares, 3 * n + i)


# The loops below take rows of arrays by number: a slice for each would cost as much as the loop.


@njit
def _copy(rows: np.ndarray, a: int, out: np.ndarray, o: int) -> None:
    for k in range(rows.shape[1]):
        out[o, k] = rows[a, k]


@njit
def _larger(rows: np.ndarray, a: int, b: int, out: np.ndarray, o: int) -> None:
    for k in range(rows.shape[1]):
        out[o, k] = rows[a, k] if rows[a, k] > rows[b, k] else rows[b, k]


@njit
def _largest(rows: np.ndarray, a: int, b: int, c: int, d: int, out: np.ndarray, o: int) -> None:
    for k in range(rows.shape[1]):
        one = rows[a, k] if rows[a, k] > rows[b, k] else rows[b, k]
        other = rows[c, k] if rows[c, k] > rows[d, k] else rows[d, k]
        out[o, k] = one if one > other else other


@njit
def _raise(rows: np.ndarray, a: int, b: int, out: np.ndarray, o: int) -> None:
    for k in range(rows.shape[1]):
        one = rows[a, k] if rows[a, k] > rows[b, k] else rows[b, k]
        out[o, k] = one if one > out[o, k] else out[o, k]


@njit
def _raise_by_four(rows: np.ndarray, a: int, b: int, c: int, d: int, out: np.ndarray, o: int) -> None:
    for k in range(rows.shape[1]):
        one = rows[a, k] if rows[a, k] > rows[b, k] else rows[b, k]
        other = rows[c, k] if rows[c, k] > rows[d, k] else rows[d, k]
        one = one if one > other else other
        out[o, k] = one if one > out[o, k] else out[o, k]


@njit
def _over(
    squares: np.ndarray, n: int, width: int, top: int, bottom: int, left: int, right: int, out: np.ndarray, o: int
) -> None:
    """Set row `o` to the maximum over the cells of some rows and columns, two squares down and two across at a time.

    The last squares may overlap those before: a maximum does not mind.
    """
    down = 2 if bottom - top > 1 and len(squares) > n else 1
    across = 2 if right - left > 1 and len(squares) > n else 1
    first = n * (2 * (down - 1) + across - 1)
    for y in range(top, bottom, 2 * down):
        upper = first + min(y, bottom - down) * width
        lower = first + min(y + down, bottom - down) * width
        for x in range(left, right, 2 * across):
            a, b = min(x, right - across), min(x + across, right - across)
            if y > top or x > left:
                if upper == lower:
                    _raise(squares, upper + a, upper + b, out, o)
                else:
                    _raise_by_four(squares, upper + a, upper + b, lower + a, lower + b, out, o)
            elif upper != lower and a != b:
                _largest(squares, upper + a, upper + b, lower + a, lower + b, out, o)
            elif upper != lower:
                _larger(squares, upper + a, lower + a, out, o)
            elif a != b:
                _larger(squares, upper + a, upper + b, out, o)
            else:
                _copy(squares, upper + a, out, o)


@njit
def _max_bins(
    squares: np.ndarray,
    height: int,
    width: int,
    regions: np.ndarray,
    grids: np.ndarray,
    parents: np.ndarray,
    firsts: np.ndarray,
    order: np.ndarray,
    n_cells: int,
    pooled: np.ndarray,
) -> None:
    """Fill `pooled`, shape (R * n_cells, D), level by level in that order."""
    for r in range(len(regions)):
        x0, y0, x1, y1 = regions[r]
        for level in order:
            rows, columns = grids[level]
            first, parent = r * n_cells + firsts[level], parents[level]
            if parent >= 0:
                finer = r * n_cells + firsts[parent]
                _join_bins(pooled, finer, grids[parent, 0], grids[parent, 1], first, rows, columns)
                continue
            for i in range(rows):
                top, bottom = y0 + i * (y1 - y0) // rows, y0 - (-(i + 1) * (y1 - y0)) // rows
                for j in range(columns):
                    left, right = x0 + j * (x1 - x0) // columns, x0 - (-(j + 1) * (x1 - x0)) // columns
                    o = first + i * columns + j
                    _over(squares, height * width, width, top, bottom, left, right, pooled, o)


@njit
def _join_bins(
    pooled: np.ndarray, finer: int, finer_rows: int, finer_columns: int, first: int, rows: int, columns: int
) -> None:
    """Set the bins of a level, which begin at `first`, from those of one that makes it up, which begin at `finer`."""
    down, across = finer_rows // rows, finer_columns // columns
    for i in range(rows):
        for j in range(columns):
            left = finer + j * across
            _over(
                pooled, len(pooled), finer_columns, i * down, (i + 1) * down, left, left + across, pooled,
                first + i * columns + j,
            )  # fmt: skip


@njit
def _cuts(side: int, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the bins' borders cut an axis, 0 and `side` among them, and for each cell the piece it is in."""
    cut = np.zeros(side + 1, dtype=np.bool_)
    for n in numbers:
        for i in range(n):
            cut[i * side // n] = True
            cut[-((-(i + 1) * side) // n)] = True
    cuts = np.flatnonzero(cut)
    piece_of = np.empty(side + 1, dtype=np.int64)
    for p in range(len(cuts) - 1):
        piece_of[cuts[p] : cuts[p + 1]] = p
    piece_of[side] = len(cuts) - 1
    return cuts, piece_of


@njit
def _add(rows: np.ndarray, a: int, sums: np.ndarray, o: int) -> None:
    for k in range(rows.shape[1]):
        sums[o, k] += rows[a, k]


@njit
def _sum_bins(
    values: np.ndarray, width: int, regions: np.ndarray, grids: np.ndarray, mean: bool, pooled: np.ndarray
) -> None:
    sums = np.empty(pooled.shape[1:], dtype=np.float64)
    for r in range(len(regions)):
        x0, y0, x1, y1 = regions[r]
        cuts, _ = _cuts(y1 - y0, grids[:, 0])
        _, piece_of = _cuts(x1 - x0, grids[:, 1])
        pieces = np.empty((piece_of[-1], values.shape[1]), dtype=np.float64)  # those of one band, side by side
        sums[:] = 0
        for band in range(len(cuts) - 1):
            pieces[:] = 0
            for y in range(y0 + cuts[band], y0 + cuts[band + 1]):
                for x in range(x1 - x0):
                    _add(values, y * width + x0 + x, pieces, piece_of[x])
            _add_band(pieces, piece_of, cuts[band], y1 - y0, x1 - x0, grids, sums)
        _write(sums, y1 - y0, x1 - x0, grids, mean, pooled, r)


@njit
def _add_band(
    pieces: np.ndarray, piece_of: np.ndarray, top: int, height: int, width: int, grids: np.ndarray, sums: np.ndarray
) -> None:
    """Add the pieces of the band that begins at row `top` to all bins that have it."""
    first = 0
    for rows, columns in grids:
        for i in range(rows):
            if i * height // rows <= top < -((-(i + 1) * height) // rows):
                for j in range(columns):
                    start, end = piece_of[j * width // columns], piece_of[-((-(j + 1) * width) // columns)]
                    for piece in range(start, end):
                        _add(pieces, piece, sums, first + i * columns + j)
        first += rows * columns


@njit
def _write(
    sums: np.ndarray, height: int, width: int, grids: np.ndarray, mean: bool, pooled: np.ndarray, r: int
) -> None:
    """Write the sums of a region, or the means."""
    cell = 0
    for rows, columns in grids:
        for i in range(rows):
            down = -((-(i + 1) * height) // rows) - i * height // rows
            for j in range(columns):
                across = -((-(j + 1) * width) // columns) - j * width // columns
                count = float(down * across) if mean else 1.0
                for k in range(sums.shape[1]):
                    pooled[r, cell, k] = sums[cell, k] / count
                cell += 1
