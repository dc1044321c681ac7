"""The spatial pyramid: local features, or their codes, pooled into the cells of ever finer grids."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from .._tools.options import Options, anything, check_options, choice, each
from .._tools.public import public
from ..boxes import check_boxes
from ..encoders.codes import Codes
from ..errors import SpmError, check_choice, check_number, check_part
from ..features.local import LocalFeatures
from .levels import Levels
from .pooling import Pooler

POOLS = ("sum", "mean", "max")

Grids = tuple[tuple[int, int], ...]


def _check_level(name: str, level: Any) -> Any:
    """Check one level: n for n x n cells, or (rows, columns)."""
    sides = [level] if np.ndim(level) == 0 else list(level)
    if np.ndim(level) == 1 and len(sides) != 2:
        raise SpmError(f"{name} must be a whole number or a pair (rows, columns), got {level!r}")
    for side in sides:
        check_number(f"each side of {name.removeprefix('each of ')}", side, least=1, integer=True)
    return level


@public()
class SpatialPyramid(BaseEstimator):
    """Grids of cells, coarse to fine, into which local features are pooled (Lazebnik 2006; He 2014, section 2.2).

    An option says how cells pool, `pool`; the method `cells` does it.

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
    >>> pyramid.cells(local)[0, :, 0]
    array([3., 1., 1., 0., 1.], dtype=float32)
    >>> pyramid.cells(local, boxes=[[4, 0, 8, 4]])[0, :, 0]
    array([1., 0., 1., 0., 0.], dtype=float32)
    """

    _options: ClassVar[Options] = {
        "levels": each(_check_level, "(1, 2, 4) or (1, (3, 1))"),
        "pool": choice(POOLS),
        "weights": anything,  # looked at beside the levels: see level_weights
    }

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

    def grids(self) -> np.ndarray:
        """Return the rows and columns of every level: shape (L, 2), int64.

        Raises
        ------
        SpmError
            If `levels` is not a sequence of positive whole numbers or pairs of them.
        """
        self._options["levels"]("levels", self.levels)
        return np.array([(n, n) if np.ndim(n) == 0 else tuple(n) for n in self.levels], dtype=np.int64)  # type: ignore

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

    @property
    def n_cells(self) -> int:
        """Cells of all levels."""
        return int(self.grids().prod(axis=1).sum())

    def cells(self, local: LocalFeatures, boxes: Any = None, codes: Codes | None = None) -> np.ndarray:
        """Pool an image's local features into the cells of the whole image, or of every box, unweighted.

        Parameters
        ----------
        local : LocalFeatures
        boxes : array-like of shape (n_boxes, 4), optional
            x0, y0, x1, y1 in pixels, half-open; by default the whole image.
        codes : Codes, optional
            Those of the features; by default their values are pooled.

        Returns
        -------
        ndarray of shape (n_boxes or 1, n_cells, D), float32
            Cells by level, row, column. An empty one is zeros.

        Raises
        ------
        SpmError
            For an option that is not valid, a malformed box or one outside the image, another number of codes than of
            features, or a maximum over codes of several words and moments, such as Fisher vectors'.

        Examples
        --------
        >>> import spm
        >>> image = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
        >>> spm.SpatialPyramid(levels=(1, 2)).cells(spm.DenseSIFT().extract(image)).shape
        (1, 5, 128)
        """
        return plan_of([self]).cells(local, boxes, codes)[0]


def check_pyramid(pyramid: Any) -> SpatialPyramid:
    """Return a pyramid whose options are valid.

    Raises
    ------
    SpmError
    """
    check_part("pyramid", pyramid)
    check_options(pyramid)
    pyramid.level_weights()
    return pyramid


class Plan:
    """What to pool, and how, for several pyramids at once: levels that they have in common are pooled once.

    It is the same for every image. One pyramid is the case of one.

    Parameters
    ----------
    pyramids : sequence of (str, levels, weights)
        Of each pyramid how it pools, the rows and columns of its levels, and their weights.

    Attributes
    ----------
    level_cells : list of ndarray of shape (L,), int64
        Of each pyramid the cells of its levels.
    n_cells : list of int
        Of each pyramid its cells.
    cell_weights : list of ndarray of shape (n_cells,), float32
        Of each pyramid what its cells count in the vector.

    Examples
    --------
    >>> local = LocalFeatures(np.ones((3, 1), np.float32), np.float32([[1, 1, 1, 1]] * 3), grid=(8, 8))
    >>> coarse, fine = plan_of([SpatialPyramid(levels=(1,)), SpatialPyramid(levels=(1, 2))]).cells(local)
    >>> coarse.shape, fine.shape
    ((1, 1, 1), (1, 5, 1))
    """

    def __init__(self, pyramids: Sequence[tuple[str, Grids, tuple[float, ...]]]) -> None:
        self.level_cells = [np.array([math.prod(grid) for grid in grids]) for _, grids, _ in pyramids]
        self.n_cells = [int(sizes.sum()) for sizes in self.level_cells]
        sizes_weights = zip(self.level_cells, pyramids, strict=True)
        self.cell_weights = [
            np.repeat(np.array(weights, dtype=np.float32), sizes) for sizes, (_, _, weights) in sizes_weights
        ]
        self.shares = []  # for each way of pooling: all levels, and which of their cells belong to which pyramid
        for how in dict.fromkeys(how for how, _, _ in pyramids):
            mine = [(i, grids) for i, (other, grids, _) in enumerate(pyramids) if other == how]
            union = tuple(dict.fromkeys(grid for _, grids in mine for grid in grids))
            picks = [(i, None if grids == union else _picks(grids, union)) for i, grids in mine]
            self.shares.append((how, Levels.of(np.array(union, dtype=np.int64)), picks))

    def cells(self, local: LocalFeatures, boxes: Any = None, codes: Codes | None = None) -> list[np.ndarray]:
        """Return what `SpatialPyramid.cells` returns, for each pyramid."""
        boxes = None if boxes is None else check_boxes(boxes)
        return self.over(local, codes, 1 if boxes is None else len(boxes))(boxes)

    def over(
        self, local: LocalFeatures, codes: Codes | None = None, n_boxes: int = 1
    ) -> Callable[[Any], list[np.ndarray]]:
        """Return what turns boxes into what `cells` returns: an image is looked at once, whatever parts boxes come in.

        The vectors of thousands of boxes need not be held at once, and threads may share the parts between them: what
        a box holds does not depend on the boxes beside it.

        Parameters
        ----------
        local : LocalFeatures
        codes : Codes, optional
            Those of the features; by default their values are pooled.
        n_boxes : int, default=1
            How many there will be, about: for many more is prepared.

        Returns
        -------
        callable
            Takes boxes, or None for the whole image. It raises `SpmError` for a malformed box or one outside the image.

        Raises
        ------
        SpmError
            For another number of codes than of features, or a maximum over codes of several words and moments.

        Examples
        --------
        >>> local = LocalFeatures(np.ones((3, 1), np.float32), np.float32([[1, 1, 1, 1]] * 3), grid=(8, 8))
        >>> boxes, pool = np.array([[0, 0, 8, 8], [4, 4, 8, 8]]), plan_of([SpatialPyramid(levels=(1,))]).over(local)
        >>> [pool(part)[0].ravel().tolist() for part in np.split(boxes, 2)]
        [[3.0], [0.0]]
        """
        codes = Codes.plain(local.values) if codes is None else codes
        if len(codes.words) != len(local):
            raise SpmError(f"there are {len(codes.words)} codes for {len(local)} local features")
        ways = [how for how, _, _ in self.shares]
        if "max" in ways and codes.n_words > 1 and codes.moments.shape[1] > 1:
            raise SpmError('pool="max" needs codes with one moment or one word: use pool="sum" with this encoder')
        poolers = [Pooler(codes, local.extents, local.grid, how, n_boxes) for how in ways]
        return partial(self._pool, local, poolers)

    def _pool(self, local: LocalFeatures, poolers: list[Pooler], boxes: Any = None) -> list[np.ndarray]:
        height, width = local.grid
        whole = np.array([[0, 0, width, height]], dtype=np.float64)
        regions = whole if boxes is None else local.to_grid(boxes)
        cells: list[Any] = [None] * len(self.n_cells)
        for (_, levels, picks), pooler in zip(self.shares, poolers, strict=True):
            pooled = pooler.pool(regions, levels)
            for i, own in picks:
                cells[i] = pooled if own is None else pooled[:, own]
        return cells


def plan_of(pyramids: Sequence[SpatialPyramid]) -> Plan:
    """Return the plan by which pyramids are pooled, made once for equal ones.

    Raises
    ------
    SpmError
        For an option that is not valid.
    """
    return _plan(tuple(map(_key, pyramids)))


def _key(pyramid: SpatialPyramid) -> tuple[str, Grids, tuple[float, ...]]:
    check_options(pyramid)
    return pyramid.pool, tuple(map(tuple, pyramid.grids().tolist())), tuple(pyramid.level_weights().tolist())


@lru_cache(maxsize=64)
def _plan(pyramids: tuple[tuple[str, Grids, tuple[float, ...]], ...]) -> Plan:
    return Plan(pyramids)


def _picks(own: tuple[tuple[int, int], ...], union: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Return which of the cells of all levels are those of some."""
    ends = dict(zip(union, np.cumsum([math.prod(level) for level in union]), strict=True))
    return np.concatenate([ends[level] - np.arange(math.prod(level), 0, -1) for level in own])
