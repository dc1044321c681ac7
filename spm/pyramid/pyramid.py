"""The spatial pyramid: local features, or their codes, pooled into the cells of ever finer grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from .._tools.public import public
from ..encoders.codes import Codes
from ..errors import SpmError, check_choice, check_number
from ..features.local import LocalFeatures
from .pooling import pool_codes

POOLS = ("sum", "mean", "max")


class _Pool(str):
    """The value of the option `pool` that can also be called."""

    _pyramid: SpatialPyramid

    def __call__(self, local: LocalFeatures, boxes: Any = None, *, codes: Codes | None = None) -> np.ndarray:
        """Pool an image's local features; see `SpatialPyramid`."""
        return self._pyramid._pool_features(local, boxes, codes)


@public()
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


def pool_together(
    pyramids: Sequence[SpatialPyramid], local: LocalFeatures, boxes: Any = None, codes: Codes | None = None
) -> list[np.ndarray]:
    """Return what each pyramid's `pool` returns, but levels that several have in common are pooled once.

    Examples
    --------
    >>> local = LocalFeatures(np.ones((3, 1), np.float32), np.float32([[1, 1, 1, 1]] * 3), grid=(8, 8))
    >>> coarse, fine = pool_together([SpatialPyramid(levels=(1,)), SpatialPyramid(levels=(1, 2))], local)
    >>> coarse.shape, fine.shape
    ((1, 1, 1), (1, 5, 1))
    """
    if len(pyramids) == 1:
        return [pyramids[0].pool(local, boxes, codes=codes)]
    cells: list[Any] = [None] * len(pyramids)
    for how in dict.fromkeys(str(pyramid.pool) for pyramid in pyramids):
        mine = [i for i, pyramid in enumerate(pyramids) if pyramid.pool == how]
        grids = [[tuple(grid) for grid in pyramids[i].grids().tolist()] for i in mine]
        levels = list(dict.fromkeys(grid for own in grids for grid in own))
        pooled = SpatialPyramid(levels=levels, pool=how).pool(local, boxes, codes=codes)
        for i, own in zip(mine, grids, strict=True):
            cells[i] = pooled if own == levels else pooled[:, _places_of(own, levels)]
    return cells


def _places_of(own: list[tuple[int, int]], levels: list[tuple[int, int]]) -> np.ndarray:
    """Return where the cells of some levels lie among those of all."""
    ends = dict(zip(levels, np.cumsum([math.prod(level) for level in levels]), strict=True))
    return np.concatenate([ends[level] - np.arange(math.prod(level), 0, -1) for level in own])
