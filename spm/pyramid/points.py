"""Points: codes of one moment, such as words, and where they lie in, what the cells of every region hold out."""

from __future__ import annotations

import numpy as np

from .._tools.numba import njit


def pool_points(
    words: np.ndarray,
    weights: np.ndarray,
    moments: np.ndarray,
    extents: np.ndarray,
    regions: np.ndarray,
    edges: np.ndarray,
    grids: np.ndarray,
    parents: np.ndarray,
    pooled: np.ndarray,
    how: str,
) -> None:
    """Write what the cells of all regions hold of codes of one moment.

    Points are taken at the finest levels only: a level whose cells are made of another's is put together from that.
    All is kept in float64 until it is written.

    Parameters
    ----------
    words : ndarray of shape (N, k), int32
        The points in the order of their y, so that a region is looked for among its rows alone.
    weights : ndarray of shape (N, k), float32
        Of each word; of none where it is 0.
    moments : ndarray of shape (N, 1), float32
    extents : ndarray of shape (N, 4), float64
        x and y first.
    regions : ndarray of shape (R, 4), float64
    edges : ndarray of shape (2,), float64
        Width and height of the grid.
    grids, parents : ndarray of shape (L, 2) and (L,), int64
        As `Levels` has them.
    pooled : ndarray of shape (R, n_cells, K), float32
        Set to the cells by level, row, column; of the levels' cells only the first `n_cells` are wanted.
    how : {"sum", "mean", "max"}

    Examples
    --------
    >>> codes = np.array([[0], [1]], np.int32), np.ones((2, 1), np.float32), np.ones((2, 1), np.float32)
    >>> extents = np.array([[1.0, 1, 1, 1], [3, 1, 3, 1]])
    >>> pooled, parents = np.empty((1, 3, 2), np.float32), np.array([1, -1])
    >>> grids, region, edges = np.array([[1, 1], [1, 2]]), np.array([[0.0, 0, 4, 4]]), np.array([4.0, 4])
    >>> pool_points(*codes, extents, region, edges, grids, parents, pooled, "sum")
    >>> pooled.tolist()
    [[[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]]
    """
    sizes = grids.prod(axis=1)
    order = np.argsort(-sizes, kind="stable")  # the finer first
    levels = grids, parents, np.cumsum(sizes) - sizes, order, int(sizes.sum())
    _pool_points(words, weights, moments, extents, regions, edges, *levels, how == "max", how == "mean", pooled)


@njit
def look_at(extents: np.ndarray) -> tuple[bool, bool]:
    """Return whether extents (N, 4) are those of points, and whether they come in the order of their y.

    Examples
    --------
    >>> look_at(np.array([[1.0, 2, 1, 2], [0, 1, 0, 1]])), look_at(np.array([[0.0, 0, 1, 1]]))
    ((True, False), (False, True))
    """
    are_points = in_order = True
    for n in range(len(extents)):
        are_points &= extents[n, 0] == extents[n, 2] and extents[n, 1] == extents[n, 3]
        in_order &= n == 0 or extents[n - 1, 1] <= extents[n, 1]
    return are_points, in_order


@njit
def is_inside(at: float, a: float, b: float, border: float) -> bool:
    """Whether a point lies in [a, b), the border of the grid counting as inside."""
    return a <= at and (at < b or at == b == border)


@njit
def first_cell(at: float, a: float, b: float, n: int) -> int:
    """Return the first of the n cells of [a, b) that begins at or before a place, 0 at the least: a point's cell."""
    return min(max(int(np.floor((at - a) * n / (b - a))), 0), n - 1)


@njit
def _pool_points(
    words: np.ndarray,
    weights: np.ndarray,
    moments: np.ndarray,
    extents: np.ndarray,
    regions: np.ndarray,
    edges: np.ndarray,
    grids: np.ndarray,
    parents: np.ndarray,
    firsts: np.ndarray,
    order: np.ndarray,
    n_cells: int,
    take_max: bool,
    take_mean: bool,
    pooled: np.ndarray,
) -> None:
    cells = np.empty((n_cells, pooled.shape[2]), dtype=np.float64)
    used = np.empty((n_cells, pooled.shape[2]), dtype=np.int32)  # by how many of a cell's points, for maxima
    counts = np.empty(n_cells, dtype=np.int64)
    start = -np.inf if take_max else 0.0
    for r in range(len(regions)):
        counts[:] = 0
        for level in range(len(grids)):
            if parents[level] < 0:
                mine = slice(firsts[level], firsts[level] + grids[level, 0] * grids[level, 1])
                cells[mine] = start
                if take_max:
                    used[mine] = 0
        begin = np.searchsorted(extents[:, 1], regions[r, 1], side="left")
        end = np.searchsorted(extents[:, 1], regions[r, 3], side="right")
        for f in range(begin, end):
            x, y = extents[f, 0], extents[f, 1]
            in_row = is_inside(y, regions[r, 1], regions[r, 3], edges[1])
            if in_row and is_inside(x, regions[r, 0], regions[r, 2], edges[0]):
                for level in range(len(grids)):
                    if parents[level] < 0:
                        i = first_cell(y, regions[r, 1], regions[r, 3], grids[level, 0])
                        j = first_cell(x, regions[r, 0], regions[r, 2], grids[level, 1])
                        cell = firsts[level] + i * grids[level, 1] + j
                        counts[cell] += 1
                        _put(words, weights, moments, f, take_max, cells, used, cell)
        for level in order:
            if parents[level] >= 0:
                _join_cells(cells, counts, grids, firsts, level, parents[level], take_max)
            elif take_max:
                mine = slice(firsts[level], firsts[level] + grids[level, 0] * grids[level, 1])
                _count_zeros(cells[mine], used[mine], counts[mine])
        for cell in range(pooled.shape[1]):
            count = float(max(counts[cell], 1)) if take_mean else 1.0
            for word in range(pooled.shape[2]):
                pooled[r, cell, word] = cells[cell, word] / count


@njit
def _put(
    words: np.ndarray,
    weights: np.ndarray,
    moments: np.ndarray,
    f: int,
    take_max: bool,
    cells: np.ndarray,
    used: np.ndarray,
    cell: int,
) -> None:
    """Put one point into a cell."""
    for t in range(words.shape[1]):
        word, weight = words[f, t], weights[f, t]
        if not take_max:
            cells[cell, word] += np.float64(weight) * np.float64(moments[f, 0])
        elif weight != 0:  # else the slot is empty
            used[cell, word] += 1
            cells[cell, word] = max(cells[cell, word], weight * moments[f, 0])


@njit
def _count_zeros(cells: np.ndarray, used: np.ndarray, counts: np.ndarray) -> None:
    """Raise maxima to zero where the code of some point of the cell is zero; an empty cell becomes zeros."""
    for cell in range(len(cells)):
        for word in range(cells.shape[1]):
            if counts[cell] == 0 or (used[cell, word] < counts[cell] and cells[cell, word] < 0):
                cells[cell, word] = 0


@njit
def _join_cells(
    cells: np.ndarray,
    counts: np.ndarray,
    grids: np.ndarray,
    firsts: np.ndarray,
    level: int,
    parent: int,
    take_max: bool,
) -> None:
    """Set the cells of a level from those of the finer one that makes it up."""
    rows, columns = grids[level]
    down, across = grids[parent] // grids[level]
    for i in range(rows):
        for j in range(columns):
            cell = firsts[level] + i * columns + j
            counts[cell] = 0
            for y in range(i * down, (i + 1) * down):
                for x in range(j * across, (j + 1) * across):
                    finer = firsts[parent] + y * grids[parent, 1] + x
                    _join_cell(cells, finer, cell, y == i * down and x == j * across, counts, take_max)


@njit
def _join_cell(cells: np.ndarray, finer: int, cell: int, is_first: bool, counts: np.ndarray, take_max: bool) -> None:
    """Add a finer cell, or take the maximum with it; one without points, which is zeros, changes nothing."""
    if is_first or (take_max and counts[cell] == 0):
        for word in range(cells.shape[1]):
            cells[cell, word] = cells[finer, word]
    elif not take_max:
        for word in range(cells.shape[1]):
            cells[cell, word] += cells[finer, word]
    elif counts[finer] > 0:
        for word in range(cells.shape[1]):
            cells[cell, word] = max(cells[cell, word], cells[finer, word])
    counts[cell] += counts[finer]
