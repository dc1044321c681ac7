"""Pooling: codes and where their features lie in, the sum, mean or maximum of every cell of a pyramid out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .._tools.numba import njit
from ..encoders.codes import Codes
from .levels import Levels
from .points import first_cell, is_inside, look_at, pool_points
from .whole_cells import MANY, are_regular, are_whole, pool_max, pool_sum, squares_of


def pool_codes(
    codes: Codes, extents: np.ndarray, regions: np.ndarray, border: tuple[int, int], levels: Levels, how: str
) -> np.ndarray:
    """Pool codes into the cells of every region by the one pooling rule.

    A feature belongs to every cell that its extent overlaps. In a region [a, b) cut into n cells along an axis, its
    first cell is clip(floor((lo - a) * n / (b - a)), 0, n - 1) and its last clip(max(ceil((hi - a) * n / (b - a)) - 1,
    first), 0, n - 1). So points fall into disjoint cells, as in Lazebnik 2006, and the cells of a map into the bins
    [floor(i * H / n), ceil((i + 1) * H / n)) of SPP-net (He 2014, section 2.2) and of adaptive pooling.

    Parameters
    ----------
    codes : Codes
        N codes.
    extents : ndarray of shape (N, 4)
        x0, y0, x1, y1 on the grid; no size for points.
    regions : ndarray of shape (R, 4), float64
        x0, y0, x1, y1 on the grid. A point belongs where a <= p < b, the border of the grid counting as inside.
    border : (int, int)
        Height and width of the grid.
    levels : Levels
    how : {"sum", "mean", "max"}

    Returns
    -------
    ndarray of shape (R, n_cells, n_words * M), float32
        Cells by level, row, column. An empty cell is zeros. Sums are taken in float64.
    """
    return Pooler(codes, extents, border, how, len(regions)).pool(regions, levels)


class Pooler:
    """The codes of one image, looked at once, to be pooled in any regions by the one pooling rule: see `pool_codes`.

    What a region holds does not depend on the regions beside it, and threads may share a pooler. There are three ways,
    chosen by what the extents are:

    - the cells of a map, where codes are plain values and regions whole cells: see `spm.pyramid.whole_cells`;
    - points, pooled at the finest levels only. A level whose cells are made of another's is put together from that, and
      where it pays, two that do not nest, such as 2x2 and 3x1, from a level that divides both;
    - any others.

    Parameters
    ----------
    codes, extents, border, how
        As for `pool_codes`.
    n_regions : int
        How many there will be, about: for many more is prepared.

    Examples
    --------
    >>> values, extents = np.ones((2, 1), np.float32), np.float32([[0, 0, 1, 1], [1, 0, 2, 1]])
    >>> pooler = Pooler(Codes.plain(values), extents, (1, 2), "sum")
    >>> pooler.pool(np.array([[0.0, 0, 2, 1], [1, 0, 2, 1]]), Levels.of(np.array([[1, 1]])))[..., 0].tolist()
    [[2.0], [1.0]]
    """

    def __init__(
        self, codes: Codes, extents: np.ndarray, border: tuple[int, int], how: str, n_regions: int = 1
    ) -> None:
        self.codes, self.border, self.how = codes, border, how
        self.words = np.ascontiguousarray(codes.words, dtype=np.int32)
        self.weights = np.ascontiguousarray(codes.weights, dtype=np.float32)
        self.moments = np.ascontiguousarray(codes.moments, dtype=np.float32)
        self.extents = np.ascontiguousarray(extents, dtype=np.float64)
        self.edges = np.array(border[::-1], dtype=np.float64)
        self.on_map = _are_plain(codes) and are_regular(extents, border)
        if self.on_map:
            many = how == "max" and n_regions >= MANY
            self.cells = squares_of(self.moments, border) if many else self.moments
            return
        self.on_points, in_order = look_at(self.extents)
        if self.on_points and not in_order and self.moments.shape[1] == 1:  # as `pool_points` wants them
            order = np.argsort(self.extents[:, 1], kind="stable")
            self.words, self.weights, self.moments, self.extents = (array[order] for array in self._arrays())

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.words, self.weights, self.moments, self.extents

    def pool(self, regions: np.ndarray, levels: Levels) -> np.ndarray:
        """Return what the cells of every region hold: shape (R, n_cells, n_words * M), float32."""
        if self.on_map:
            return _in_parts(
                regions,
                are_whole(regions, self.border),
                partial(self._of_map, levels=levels),
                partial(self._of_any, levels=levels),
            )
        if not self.on_points:
            return self._of_any(regions, levels)
        shares = (regions[:, 2:] - regions[:, :2]).prod(axis=1) / np.prod(self.border)  # of the image, and its features
        of_levels = self._of_words if self.moments.shape[1] == 1 else self._of_any
        alone = partial(of_levels, levels=levels, n_cells=levels.total, parents=levels.parents)
        if levels.common is None:
            return alone(regions)
        common = partial(of_levels, levels=levels.common, n_cells=levels.total, parents=levels.common.parents)
        return _in_parts(regions, levels.pays(self.codes, len(self.extents) * shares), common, alone)

    def _of_map(self, regions: np.ndarray, levels: Levels) -> np.ndarray:
        whole = regions.astype(np.int64)
        if self.how == "max":
            return pool_max(self.cells, self.border, whole, levels.grids, levels.parents)
        return pool_sum(self.cells, self.border, whole, levels.grids, self.how == "mean")

    def _of_words(self, regions: np.ndarray, levels: Levels, n_cells: int, parents: np.ndarray) -> np.ndarray:
        pooled = np.empty((len(regions), n_cells, self.codes.n_words), dtype=np.float32)
        pool_points(*self._arrays(), regions, self.edges, levels.grids, parents, pooled, self.how)
        return pooled

    def _of_any(
        self, regions: np.ndarray, levels: Levels, n_cells: int | None = None, parents: np.ndarray | None = None
    ) -> np.ndarray:
        """Pool by lists of each cell's features; a level that has a parent is put together from that."""
        parents = np.full(len(levels.grids), -1) if parents is None else parents
        shape = (len(regions), levels.total, self.codes.n_words, self.moments.shape[1])
        pooled, counts = np.empty(shape, dtype=np.float32), np.zeros(shape[:2], dtype=np.int64)
        apart = parents < 0
        finest = levels.grids[apart], levels.firsts[apart]
        _pool(*self._arrays(), regions, self.edges, *finest, self.how == "max", pooled, counts)
        for level in np.argsort(-levels.sizes, kind="stable"):  # the finer first
            if parents[level] >= 0:
                _put_together(pooled, counts, levels, level, parents[level], self.how)
        if self.how == "mean":
            pooled /= np.maximum(counts, 1)[:, :, None, None]
        n_cells = levels.total if n_cells is None else n_cells
        return pooled[:, :n_cells].reshape(len(regions), n_cells, self.codes.n_values)


def _are_plain(codes: Codes) -> bool:
    """Whether codes are the values themselves."""
    return codes.n_words == codes.words.shape[1] == 1 and bool((codes.weights == 1).all())


def _in_parts(regions: np.ndarray, first: np.ndarray, one: Callable, other: Callable) -> np.ndarray:
    """Return what `one` makes of the regions that are `first`, and `other` of those that are not."""
    if first.all():
        return one(regions)
    if not first.any():
        return other(regions)
    some = one(regions[first])
    pooled = np.empty((len(regions), *some.shape[1:]), dtype=some.dtype)
    pooled[first], pooled[~first] = some, other(regions[~first])
    return pooled


def _put_together(pooled: np.ndarray, counts: np.ndarray, levels: Levels, level: int, parent: int, how: str) -> None:
    """Set the cells of a level from those of the finer one that makes it up."""
    cells, finer = (slice(levels.firsts[k], levels.firsts[k] + levels.sizes[k]) for k in (level, parent))
    down, across = levels.grids[parent] // levels.grids[level]
    blocks = (len(pooled), levels.grids[level, 0], down, levels.grids[level, 1], across)
    made_of = pooled[:, finer].reshape(*blocks, np.prod(pooled.shape[2:])), counts[:, finer].reshape(blocks)
    counts[:, cells] = made_of[1].sum(axis=(2, 4)).reshape(counts[:, cells].shape)
    pooled[:, cells] = _join(*made_of, how).reshape(pooled[:, cells].shape)


def _join(finer: np.ndarray, counts: np.ndarray, how: str) -> np.ndarray:
    """Pool the cells of a finer level again, down x across of them for each of rows x columns.

    `finer` is of shape (R, rows, down, columns, across, D), the counts of its features lack D.
    """
    if how != "max":
        return finer.sum(axis=(2, 4))
    largest = np.where(counts[..., None] > 0, finer, -np.inf).max(axis=(2, 4))
    return np.where(np.isneginf(largest), 0, largest)


@njit
def _inside(lo: float, hi: float, a: float, b: float, border: float) -> bool:
    if lo == hi:
        return is_inside(lo, a, b, border)
    return lo < b and hi > a


@njit
def _cells(lo: float, hi: float, a: float, b: float, n: int) -> tuple[int, int]:
    """Return the first and the last of the n cells of [a, b) that [lo, hi) overlaps."""
    first = first_cell(lo, a, b, n)
    last = min(max(int(np.ceil((hi - a) * n / (b - a))) - 1, first), n - 1)
    return first, last


@njit
def _features_of(extents: np.ndarray, region: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the indices of the features that a region has."""
    inside = np.empty(len(extents), dtype=np.int64)
    n = 0
    for f in range(len(extents)):
        in_row = _inside(extents[f, 1], extents[f, 3], region[1], region[3], edges[1])
        if in_row and _inside(extents[f, 0], extents[f, 2], region[0], region[2], edges[0]):
            inside[n] = f
            n += 1
    return inside[:n]


@njit
def _members(
    inside: np.ndarray, extents: np.ndarray, region: np.ndarray, rows: int, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of all cells, cell after cell, and where each cell's begin (and the last's end)."""
    spans = np.empty((len(inside), 4), dtype=np.int64)
    starts = np.zeros(rows * columns + 1, dtype=np.int64)
    for n, f in enumerate(inside):
        top, bottom = _cells(extents[f, 1], extents[f, 3], region[1], region[3], rows)
        left, right = _cells(extents[f, 0], extents[f, 2], region[0], region[2], columns)
        spans[n, 0], spans[n, 1], spans[n, 2], spans[n, 3] = top, bottom, left, right
        for i in range(top, bottom + 1):
            for cell in range(i * columns + left, i * columns + right + 1):
                starts[cell + 1] += 1
    for cell in range(rows * columns):
        starts[cell + 1] += starts[cell]
    heads = starts[:-1].copy()
    members = np.empty(starts[-1], dtype=np.int64)
    for n, f in enumerate(inside):
        for i in range(spans[n, 0], spans[n, 1] + 1):
            for cell in range(i * columns + spans[n, 2], i * columns + spans[n, 3] + 1):
                members[heads[cell]] = f
                heads[cell] += 1
    return members, starts


@njit
def _pool(
    words: np.ndarray,
    weights: np.ndarray,
    moments: np.ndarray,
    extents: np.ndarray,
    regions: np.ndarray,
    edges: np.ndarray,
    grids: np.ndarray,
    firsts: np.ndarray,
    take_max: bool,
    pooled: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Pool some levels, whose cells begin at `firsts`, in every region."""
    sums = np.empty(pooled.shape[2:], dtype=np.float64)
    used = np.empty(pooled.shape[2], dtype=np.int64)
    for r in range(len(regions)):
        inside = _features_of(extents, regions[r], edges)
        for level in range(len(grids)):
            members, starts = _members(inside, extents, regions[r], grids[level, 0], grids[level, 1])
            for i in range(len(starts) - 1):
                mine = members[starts[i] : starts[i + 1]]
                cell = firsts[level] + i
                counts[r, cell] = len(mine)
                if take_max:
                    _take_max(words, weights, moments, mine, used, pooled[r, cell])
                else:
                    _add_up(words, weights, moments, mine, sums, pooled[r, cell])


@njit
def _add_up(
    words: np.ndarray,
    weights: np.ndarray,
    moments: np.ndarray,
    members: np.ndarray,
    sums: np.ndarray,
    pooled: np.ndarray,
) -> None:
    """Write the sum of the members' codes to `pooled`, shape (K, M), taken in float64 in `sums`."""
    sums[:] = 0
    n_moments = moments.shape[1]
    for f in members:
        for t in range(words.shape[1]):
            word, weight = words[f, t], np.float64(weights[f, t])
            if n_moments == 1:
                sums[word, 0] += weight * moments[f, 0]
            elif weight != 0:
                for m in range(n_moments):
                    sums[word, m] += weight * moments[f, m]
    pooled[:] = sums


@njit
def _take_max(
    words: np.ndarray,
    weights: np.ndarray,
    moments: np.ndarray,
    members: np.ndarray,
    used: np.ndarray,
    pooled: np.ndarray,
) -> None:
    """Write the maximum of the members' codes to `pooled`, shape (K, M)."""
    used[:] = 0
    for f in members:
        for t in range(words.shape[1]):
            word, weight = words[f, t], weights[f, t]
            if weight == 0:
                continue
            if used[word] == 0:
                for m in range(moments.shape[1]):
                    pooled[word, m] = weight * moments[f, m]
            else:
                for m in range(moments.shape[1]):
                    pooled[word, m] = max(pooled[word, m], weight * moments[f, m])
            used[word] += 1
    for word in range(len(used)):
        if used[word] == 0:
            pooled[word] = 0
        elif used[word] < len(members):  # the code of some feature of the cell is zero there
            for m in range(moments.shape[1]):
                pooled[word, m] = max(pooled[word, m], 0)
