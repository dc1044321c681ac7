"""The spatial pyramid: local features, or their codes, pooled into the cells of ever finer grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from sklearn.base import BaseEstimator

from .codes import Codes
from .errors import SpmError, check_choice, check_number
from .local import LocalFeatures

POOLS = ("sum", "mean", "max")


def pool_codes(
    codes: Codes, extents: np.ndarray, regions: np.ndarray, border: tuple[int, int], grids: np.ndarray, how: str
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
    grids : ndarray of shape (L, 2), int64
        Rows and columns of every level.
    how : {"sum", "mean", "max"}

    Returns
    -------
    ndarray of shape (R, n_cells, n_words * M), float32
        Cells by level, row, column. An empty cell is zeros.
    """
    n_cells = int(grids.prod(axis=1).sum())
    shape = (len(regions), n_cells, codes.n_words, codes.moments.shape[1])
    pooled = np.zeros(shape, dtype=np.float32)
    counts = np.zeros(shape[:2], dtype=np.int64)
    used = np.zeros(shape[:3] if how == "max" else (0, 0, 0), dtype=np.int64)
    edges = np.array(border[::-1], dtype=np.float64)
    _pool(
        codes.words.astype(np.int64, copy=False),
        codes.weights.astype(np.float32, copy=False),
        np.ascontiguousarray(codes.moments, dtype=np.float32),
        extents.astype(np.float64),
        regions,
        edges,
        grids,
        how == "max",
        pooled,
        counts,
        used,
    )
    if how == "max":  # a word that some feature of the cell does not use is zero there
        np.maximum(pooled, 0, out=pooled, where=(used < counts[:, :, None])[..., None])
    elif how == "mean":
        pooled /= np.maximum(counts, 1)[:, :, None, None]
    return pooled.reshape(len(regions), n_cells, codes.n_values)


@njit(nogil=True, cache=True)
def _inside(lo: float, hi: float, a: float, b: float, border: float) -> bool:
    if lo == hi:
        return a <= lo and (lo < b or lo == b == border)
    return lo < b and hi > a


@njit(nogil=True, cache=True)
def _cells(lo: float, hi: float, a: float, b: float, n: int) -> tuple[int, int]:
    """Return the first and the last of the n cells of [a, b) that [lo, hi) overlaps."""
    first = min(max(int(np.floor((lo - a) * n / (b - a))), 0), n - 1)
    last = min(max(int(np.ceil((hi - a) * n / (b - a))) - 1, first), n - 1)
    return first, last


@njit(nogil=True, cache=True)
def _pool(
    words: np.ndarray,
    weights: np.ndarray,
    moments: np.ndarray,
    extents: np.ndarray,
    regions: np.ndarray,
    edges: np.ndarray,
    grids: np.ndarray,
    take_max: bool,
    pooled: np.ndarray,
    counts: np.ndarray,
    used: np.ndarray,
) -> None:
    """Add each code to (or take its maximum with) every cell that its feature overlaps."""
    for r in range(len(regions)):
        ax, ay, bx, by = regions[r, 0], regions[r, 1], regions[r, 2], regions[r, 3]
        for f in range(len(extents)):
            x0, y0, x1, y1 = extents[f, 0], extents[f, 1], extents[f, 2], extents[f, 3]
            if not (_inside(x0, x1, ax, bx, edges[0]) and _inside(y0, y1, ay, by, edges[1])):
                continue
            base = 0
            for level in range(len(grids)):
                rows, columns = grids[level, 0], grids[level, 1]
                top, bottom = _cells(y0, y1, ay, by, rows)
                left, right = _cells(x0, x1, ax, bx, columns)
                for i in range(top, bottom + 1):
                    for j in range(left, right + 1):
                        cell = base + i * columns + j
                        counts[r, cell] += 1
                        for t in range(words.shape[1]):
                            word, weight = words[f, t], weights[f, t]
                            if take_max:
                                fresh = used[r, cell, word] == 0
                                used[r, cell, word] += 1
                                for m in range(moments.shape[1]):
                                    value = weight * moments[f, m]
                                    if fresh or value > pooled[r, cell, word, m]:
                                        pooled[r, cell, word, m] = value
                            else:
                                for m in range(moments.shape[1]):
                                    pooled[r, cell, word, m] += weight * moments[f, m]
                base += rows * columns


class _Pool(str):
    """The value of the option `pool` that can also be called."""

    _pyramid: SpatialPyramid

    def __call__(self, local: LocalFeatures, boxes: Any = None, *, codes: Codes | None = None) -> np.ndarray:
        """Pool an image's local features; see `SpatialPyramid`."""
        return self._pyramid._pool_features(local, boxes, codes)


class SpatialPyramid(BaseEstimator):
    """Grids of cells, coarse to fine, into which local features are pooled (Lazebnik 2006; He 2014, section 2.2).

    `pool` is an option and, called, the work itself: ``pyramid.pool(local, boxes=None, codes=None)`` returns an array
    of shape (n_regions, n_cells, D), float32: the codes (without them, the features' values) pooled in every cell of
    the whole image, or of every box (x0, y0, x1, y1 in pixels), unweighted. Cells come by level, row, column.

    Parameters
    ----------
    levels : sequence of int or (int, int), default=(1, 2, 4)
        Each level's grid: n for n x n cells, or (rows, columns).
    pool : {"sum", "mean", "max"}, default="sum"
        What a cell keeps of its features.
    weights : {"lazebnik"}, None or sequence of float, default="lazebnik"
        What each level counts in the vector. ``"lazebnik"``: 1/2^L for level 0 and 1/2^(L-l+1) for level l of 0..L
        (Lazebnik 2006, equation 3); None: all alike.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> points = np.array([[1, 1], [7, 1], [7, 7]], np.float32)
    >>> local = spm.LocalFeatures(np.ones((3, 1), np.float32), np.hstack([points, points]), grid=(8, 8))
    >>> pyramid = spm.SpatialPyramid(levels=(1, 2))
    >>> pyramid.pool(local)[0, :, 0]
    array([3., 1., 1., 0., 1.], dtype=float32)
    >>> pyramid.pool(local, boxes=[[4, 0, 8, 4]])[0, :, 0]
    array([1., 0., 1., 0., 0.], dtype=float32)
    """

    def __init__(
        self,
        *,
        levels: Sequence[int | tuple[int, int]] = (1, 2, 4),
        pool: str = "sum",
        weights: str | Sequence[float] | None = "lazebnik",
    ) -> None:
        self.levels = levels
        self.pool = pool
        self.weights = weights

    # DESIGN: `pool` names both the option and the method, and scikit-learn reads and sets options as attributes.
    @property
    def pool(self) -> _Pool:
        option = _Pool(self._pool)
        option._pyramid = self
        return option

    @pool.setter
    def pool(self, value: str) -> None:
        self._pool = value

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the options as they were given."""
        return {**super().get_params(deep), "pool": self._pool}

    def grids(self) -> np.ndarray:
        """Return the rows and columns of every level: shape (L, 2), int64.

        Raises
        ------
        SpmError
            If `levels` is not a sequence of positive whole numbers or pairs of them.
        """
        try:
            pairs = [(level, level) if np.ndim(level) == 0 else tuple(level) for level in self.levels]  # type: ignore
        except TypeError:
            pairs = []
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise SpmError(f"levels must be a sequence such as (1, 2, 4) or (1, (3, 1)), got {self.levels!r}")
        for side in (side for pair in pairs for side in pair):
            check_number("each side of levels", side, least=1, integer=True)
        return np.array(pairs, dtype=np.int64)

    def level_weights(self) -> np.ndarray:
        """Return the weight of every level: shape (L,), float64.

        Raises
        ------
        SpmError
            If `weights` is an unknown name, or does not give one finite number, at least 0, for each level.

        Examples
        --------
        >>> SpatialPyramid(levels=(1, 2, 4)).level_weights()
        array([0.25, 0.25, 0.5 ])
        """
        n_levels = len(self.grids())
        if self.weights is None:
            return np.ones(n_levels)
        if isinstance(self.weights, str):
            check_choice("weights", self.weights, ("lazebnik", None))
            return 0.5 ** np.array([n_levels - 1, *range(n_levels - 1, 0, -1)], dtype=np.float64)
        weights = [] if np.ndim(self.weights) == 0 else list(self.weights)
        if len(weights) != n_levels:
            raise SpmError(f"weights must have one number for each of the {n_levels} levels, got {self.weights!r}")
        for weight in weights:
            check_number("each of weights", weight, least=0)
        return np.array(weights, dtype=np.float64)

    def cell_weights(self) -> np.ndarray:
        """Return the weight of every cell, that of its level: shape (n_cells,), float64."""
        return np.repeat(self.level_weights(), self.grids().prod(axis=1))

    def cell_names(self) -> list[str]:
        """Return the cells' names in order, as grid, row and column.

        Examples
        --------
        >>> SpatialPyramid(levels=(1, (1, 2))).cell_names()
        ['1x1_r0c0', '1x2_r0c0', '1x2_r0c1']
        """
        return [f"{r}x{c}_r{i}c{j}" for r, c in self.grids() for i in range(r) for j in range(c)]

    def _pool_features(self, local: LocalFeatures, boxes: Any, codes: Codes | None) -> np.ndarray:
        how = check_choice("pool", self._pool, POOLS)
        codes = Codes.plain(local.values) if codes is None else codes
        if len(codes.words) != len(local):
            raise SpmError(f"there are {len(codes.words)} codes for {len(local)} local features")
        if how == "max" and codes.n_words > 1 and codes.moments.shape[1] > 1:
            raise SpmError('pool="max" needs codes with one moment or one word: use pool="sum" with this encoder')
        height, width = local.grid
        whole = np.array([[0, 0, width, height]], dtype=np.float64)
        regions = whole if boxes is None else local.to_grid(boxes)
        return pool_codes(codes, local.extents, regions, local.grid, self.grids(), how)
