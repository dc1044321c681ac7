"""The layer: feature maps of any height and width in, vectors of one length out, gradients through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .._tools.public import public
from ..boxes import check_boxes
from ..errors import SpmError
from ..pyramid.pyramid import SpatialPyramid, check_pyramid

Grid = tuple[int, int]


def nested(grids: Sequence[Grid]) -> list[tuple[Grid, Grid | None]]:
    """Return the grids, fine before coarse, each with that of which it is made; None for the map itself.

    The bins of n are unions of those of m where n divides m: floor(k i H / m) = floor(i H / n) for m = k n, and so with
    the ends. Their maximum is the maximum of the parts', for every H.

    Examples
    --------
    >>> nested([(1, 1), (2, 2), (3, 3), (6, 6)])
    [((6, 6), None), ((3, 3), (6, 6)), ((2, 2), (6, 6)), ((1, 1), (2, 2))]
    """
    ordered = sorted(dict.fromkeys(grids), key=lambda grid: -grid[0] * grid[1])
    plan: list[tuple[Grid, Grid | None]] = []
    for k, (rows, columns) in enumerate(ordered):
        made_of = [grid for grid in ordered[:k] if grid[0] % rows == 0 and grid[1] % columns == 0]
        plan.append(((rows, columns), made_of[-1] if made_of else None))
    return plan


def _edges(n: int, length: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first cells of n bins of an axis and those behind their last: two of shape (n,), int64."""
    i = torch.arange(n, device=device)
    return i * length // n, ((i + 1) * length + (n - 1)) // n


def _inside(n: int, length: int, device: torch.device) -> torch.Tensor:
    """Return which cells of an axis lie in which bin: shape (n, length), bool."""
    cells = torch.arange(length, device=device)
    first, end = _edges(n, length, device)
    return (cells >= first[:, None]) & (cells < end[:, None])


def _masked_max(maps: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Return maxima by masks of bin edges: what exports with free height and width, where adaptive pooling does not."""
    low = torch.full((), -torch.inf, dtype=maps.dtype, device=maps.device)
    rows = _inside(grid[0], maps.shape[2], maps.device)[:, :, None]
    maps = torch.where(rows, maps[:, :, None], low).amax(3)  # (N, C, rows, W)
    columns = _inside(grid[1], maps.shape[3], maps.device)
    return torch.where(columns, maps[:, :, :, None], low).amax(4)


def _masked_sum(maps: torch.Tensor, grid: Grid) -> torch.Tensor:
    rows = _inside(grid[0], maps.shape[2], maps.device).to(maps.dtype)
    columns = _inside(grid[1], maps.shape[3], maps.device).to(maps.dtype)
    return rows @ maps @ columns.T


def _counts(maps: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Return how many cells of a map each cell of a grid has: shape (rows, columns)."""
    rows, columns = (
        end - first
        for first, end in (_edges(n, length, maps.device) for n, length in zip(grid, maps.shape[2:], strict=True))
    )
    return (rows[:, None] * columns).to(maps.dtype)


def pool_maps(
    maps: torch.Tensor, grids: Sequence[Grid], pool: str = "max", *, masked: bool = False
) -> list[torch.Tensor]:
    """Pool maps into grids of cells; the function behind `SpatialPyramidPooling`.

    Parameters
    ----------
    maps : Tensor of shape (N, C, H, W)
    grids : sequence of (int, int)
        Rows and columns.
    pool : {"max", "mean", "sum"}, default="max"
    masked : bool, default=False
        Whether to work by masks alone, which exporters can follow with free H and W.

    Returns
    -------
    list of Tensor of shape (N, C, rows, columns)
    """
    if pool == "max":
        found: dict[Grid, torch.Tensor] = {}
        if maps.device.type == "cpu" and not masked:  # measured five times faster, the copy included
            maps = maps.contiguous(memory_format=torch.channels_last)
        for grid, source in nested(grids):
            if source is not None:
                found[grid] = F.max_pool2d(found[source], (source[0] // grid[0], source[1] // grid[1]))
            else:
                found[grid] = _masked_max(maps, grid) if masked else F.adaptive_max_pool2d(maps, grid)
        return [found[grid] for grid in grids]
    if masked:
        sums = [_masked_sum(maps, grid) for grid in grids]
        return sums if pool == "sum" else [s / _counts(maps, grid) for s, grid in zip(sums, grids, strict=True)]
    means = [F.adaptive_avg_pool2d(maps, grid) for grid in grids]
    return means if pool == "mean" else [m * _counts(maps, grid) for m, grid in zip(means, grids, strict=True)]


@public("spm.nn")
class SpatialPyramidPooling(nn.Module):
    """Spatial pyramid pooling as a layer (He, Zhang, Ren and Sun 2014, section 2.2).

    It gives what `spm.SpatialPyramid` gives on the same map, in the same order: level, row, column, channel. Bin i of n
    along an axis of length H has the cells from floor(i H / n) to ceil((i + 1) H / n): right for every H, also below n.

    Parameters
    ----------
    levels : sequence of int or (int, int), default=(1, 2, 3, 6)
        Each level's grid: n for n x n cells, or (rows, columns).
    pool : {"max", "mean", "sum"}, default="max"
        What a cell keeps. The gradient of a maximum goes to one of the cells that have it.

    Attributes
    ----------
    n_cells : int
        Cells of all levels: an image's vector has n_cells * C numbers.

    Notes
    -----
    Maxima of a level whose cells are made up of a finer level's are taken from those. The layer has no parameters and
    no constants on a device, compiles with ``dynamic=True`` without breaks, and exports to ONNX with free height and
    width, where it works by masks.

    Raises
    ------
    SpmError
        For an option that is not valid.

    Examples
    --------
    >>> layer = SpatialPyramidPooling(levels=(1, 2))
    >>> layer(torch.arange(12.0).reshape(1, 1, 3, 4))
    tensor([[11.,  5.,  7.,  9., 11.]])
    >>> layer(torch.zeros(8, 256, 13, 9)).shape
    torch.Size([8, 1280])
    >>> layer(torch.arange(12.0).reshape(1, 1, 3, 4), boxes=[[[0, 0, 2, 2]]])
    tensor([[5., 0., 1., 4., 5.]])
    """

    def __init__(self, levels: Sequence[int | tuple[int, int]] = (1, 2, 3, 6), pool: str = "max") -> None:
        super().__init__()
        pyramid = check_pyramid(SpatialPyramid(levels=levels, pool=pool, weights=None))
        self.grids: tuple[Grid, ...] = tuple((int(r), int(c)) for r, c in pyramid.grids())
        self.pool = pool
        self.n_cells = pyramid.n_cells

    def extra_repr(self) -> str:
        """Return the options, for the module's repr."""
        levels = tuple(rows if rows == columns else (rows, columns) for rows, columns in self.grids)
        return f"levels={levels}, pool={self.pool!r}"

    def forward(self, x: torch.Tensor, boxes: Sequence[Any] | None = None) -> torch.Tensor:
        """Pool maps, or regions of them.

        Parameters
        ----------
        x : Tensor of shape (N, C, H, W)
            Floating point, of any precision.
        boxes : sequence of N array-likes of shape (k, 4), optional
            Of each map its regions: x0, y0, x1, y1 in cells of the map, half-open, rounded outward to whole cells.
            `spm.LocalFeatures.to_grid` takes boxes there from pixels.

        Returns
        -------
        Tensor of shape (N or sum of the k, n_cells * C)
            By level, row, column, channel; regions in the order of the maps.

        Raises
        ------
        SpmError
            If x has another shape, there are boxes for another number of maps, or a box lies outside.
        """
        if x.ndim != 4:
            raise SpmError(f"the layer takes maps of shape (N, C, H, W), got a tensor of {x.ndim} dimensions")
        if boxes is not None:
            return self._regions(x, boxes)
        cells = pool_maps(x, self.grids, self.pool, masked=torch.onnx.is_in_onnx_export())
        return torch.cat([level.permute(0, 2, 3, 1).flatten(1) for level in cells], dim=1)

    def _regions(self, x: torch.Tensor, boxes: Sequence[Any]) -> torch.Tensor:
        """Pool regions, those of one height and width together."""
        if len(boxes) != len(x):
            raise SpmError(f"boxes must have one array for each of the {len(x)} maps, got {len(boxes)}")
        cells = [_whole_cells(given, x.shape[2], x.shape[3]) for given in boxes]
        maps = np.repeat(np.arange(len(cells)), [len(given) for given in cells])
        regions = np.concatenate([np.zeros((0, 4), np.int64), *cells])
        sizes: dict[tuple[int, int], list[int]] = {}
        for k, (x0, y0, x1, y1) in enumerate(regions.tolist()):
            sizes.setdefault((y1 - y0, x1 - x0), []).append(k)
        pooled, order = [x.new_zeros((0, self.n_cells * x.shape[1]))], []
        for chosen in sizes.values():
            places = zip(maps[chosen].tolist(), regions[chosen].tolist(), strict=True)
            pooled.append(self(torch.stack([x[i, :, y0:y1, x0:x1] for i, (x0, y0, x1, y1) in places])))
            order += chosen
        return torch.cat(pooled)[torch.from_numpy(np.argsort(order).astype(np.int64)).to(x.device)]


def _whole_cells(boxes: Any, height: int, width: int) -> np.ndarray:
    """Return boxes rounded outward to whole cells of a map, each with one at least: shape (k, 4), int64."""
    given = boxes.detach().cpu().numpy() if isinstance(boxes, torch.Tensor) else np.asarray(boxes, dtype=np.float64)
    checked = check_boxes(given.reshape(-1, 4) if given.size == 0 else given)
    size = np.array([width, height])
    low, high = checked[:, :2], checked[:, 2:]
    outside = np.flatnonzero(((low >= size) | (high <= 0)).any(axis=1))
    if len(outside):
        raise SpmError(
            f"box {outside[0]} is {checked[outside[0]].tolist()}: it lies outside the map of {width} x {height} cells: "
            "boxes are in cells of the map; LocalFeatures.to_grid takes them there from pixels"
        )
    low = np.clip(np.floor(low), 0, size - 1)
    return np.hstack([low, np.clip(np.ceil(high), low + 1, size)]).astype(np.int64)
