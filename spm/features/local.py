"""Local features: what an extractor makes of one image, whichever way it made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._tools.numba import njit
from .._tools.public import public
from ..boxes import check_boxes, mirror_boxes
from ..errors import NotFiniteError, SpmError


@public()
@dataclass(frozen=True)
class LocalFeatures:
    """The local features of one image, and where each lies on the features' own grid.

    Parameters
    ----------
    values : ndarray of shape (N, D), float32 or uint8
        One row per local feature.
    extents : ndarray of shape (N, 4), float32
        Each feature's x0, y0, x1, y1 on the grid: for points a patch's centre in pixels, without size;
        for the cells of a map the whole numbers j, i, j + 1, i + 1.
    grid : (int, int)
        Height and width: the whole image on the grid is exactly (0, 0, width, height).
    stride : (float, float), optional
        Of a map: pixels from one cell to the next, down and across. None for points, whose grid is the pixels.
    offset : (float, float), default=(0.0, 0.0)
        Of a map: the pixel position, down and across, of the first cell's top left corner.
    image_size : (int, int), optional
        Of a map: the image's height and width in pixels. For points it is the grid.
    mirrored : bool, default=False
        Whether the features are those of the mirror image. `to_grid` takes boxes of the image to their places there.

    Examples
    --------
    >>> import numpy as np
    >>> from spm import LocalFeatures
    >>> patch = LocalFeatures(np.ones((1, 128), np.float32), np.array([[8, 8, 8, 8]], np.float32), grid=(16, 32))
    >>> patch.to_grid([[0, 0, 99, 99]])
    array([[ 0.,  0., 32., 16.]])
    """

    values: np.ndarray
    extents: np.ndarray
    grid: tuple[int, int]
    stride: tuple[float, float] | None = None
    offset: tuple[float, float] = (0.0, 0.0)
    image_size: tuple[int, int] | None = None
    mirrored: bool = False

    def __post_init__(self) -> None:
        for name in ("values", "extents"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if self.values.ndim != 2 or self.extents.shape != (len(self.values), 4):
            raise SpmError(
                "local features need values of shape (N, D) and extents of shape (N, 4), "
                f"got {self.values.shape} and {self.extents.shape}"
            )
        if self.stride is not None and self.image_size is None:
            raise SpmError("a map (stride given) needs image_size=(height, width) in pixels")
        if not all_finite(self.values):
            raise NotFiniteError("local features have values that are not finite: look for NaN where they are made")
        if not all_finite(self.extents):
            raise NotFiniteError("extents of local features are not finite: look for NaN where they are made")

    @classmethod
    def points(cls, values: np.ndarray, places: np.ndarray, image_size: tuple[int, int]) -> LocalFeatures:
        """Return the local features of points, (N, 2), x and y in pixels of an image of that height and width."""
        return cls(values, np.concatenate([places, places], axis=1), image_size)

    def __len__(self) -> int:
        return len(self.values)

    def positions(self) -> np.ndarray:
        """Return where the features' centres lie between the image's borders, -1/2 to 1/2: (N, 2), float32, x and y.

        Examples
        --------
        >>> at = np.array([[8, 4, 8, 4]], np.float32)
        >>> LocalFeatures(np.ones((1, 1), np.float32), at, grid=(16, 32)).positions()
        array([[-0.25, -0.25]], dtype=float32)
        """
        centres = (self.extents[:, :2] + self.extents[:, 2:]) / 2
        return (centres / np.array(self.grid[::-1], dtype=np.float32) - 0.5).astype(np.float32, copy=False)

    def to_grid(self, boxes: np.ndarray) -> np.ndarray:
        """Take boxes from pixels to the grid.

        Edges on or beyond the image's border land on the grid's border. On a map a region is rounded outward to
        whole cells and always keeps at least one.

        Parameters
        ----------
        boxes : array-like of shape (n, 4)
            x0, y0, x1, y1 in pixels, half-open.

        Returns
        -------
        ndarray of shape (n, 4), float64

        Raises
        ------
        SpmError
            If a box is malformed or lies wholly outside the image.
        """
        boxes = check_boxes(boxes)
        size = np.array((self.image_size or self.grid)[::-1], dtype=np.float64)  # (x, y)
        grid = np.array(self.grid[::-1], dtype=np.float64)
        low, high = boxes[:, :2], boxes[:, 2:]
        outside = np.flatnonzero(((low >= size) | (high <= 0)).any(axis=1))
        if len(outside):
            raise SpmError(
                f"box {outside[0]} is {boxes[outside[0]].tolist()}: it lies outside the image "
                f"of width {size[0]:g} and height {size[1]:g}"
            )
        if self.mirrored:
            low, high = np.hsplit(mirror_boxes(boxes, size[0]), 2)
        at_low, at_high = low <= 0, high >= size
        if self.stride is not None:
            stride, offset = np.array(self.stride[::-1]), np.array(self.offset[::-1])
            low, high = ((edge - offset) / stride for edge in (low, high))
            low, high = np.round(low, 9), np.round(high, 9)  # an edge between two cells must not reach the next by dust
            low = np.clip(np.floor(low), 0, grid - 1)
            high = np.clip(np.ceil(high), low + 1, grid)
        low, high = np.where(at_low, 0.0, low), np.where(at_high, grid, high)
        return np.concatenate([low, high], axis=1)


def cells_of_map(rows: int, columns: int) -> np.ndarray:
    """Return the extents of a map's cells, row by row: shape (rows * columns, 4), float32.

    Examples
    --------
    >>> cells_of_map(1, 2).tolist()
    [[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 2.0, 1.0]]
    """
    i, j = np.divmod(np.arange(rows * columns, dtype=np.float32), np.float32(columns))
    return np.stack([j, i, j + 1, i + 1], axis=1)


def points_of_lattice(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Return the extents of points that lie at all pairs of some x and y, row by row: (len(ys) * len(xs), 4), float32.

    Examples
    --------
    >>> points_of_lattice(np.array([1.5, 2.5]), np.array([4.0])).tolist()
    [[1.5, 4.0, 1.5, 4.0], [2.5, 4.0, 2.5, 4.0]]
    """
    extents = np.empty((len(ys) * len(xs), 4), dtype=np.float32)
    put_lattice(xs, ys, extents)
    return extents


@njit
def put_lattice(xs: np.ndarray, ys: np.ndarray, places: np.ndarray) -> None:
    """Set places, x and y once (N, 2) or twice (N, 4), to all pairs of some x and y, row by row."""
    twice = places.shape[1] == 4
    for i in range(len(ys)):
        row = places[i * len(xs) : (i + 1) * len(xs)]
        for j in range(len(xs)):
            row[j, 0], row[j, 1] = xs[j], ys[i]
            if twice:
                row[j, 2], row[j, 3] = xs[j], ys[i]


def all_finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or infinite: a sum of squares shows it in one pass, and only a large one is looked at."""
    if values.dtype.kind != "f":
        return True
    flat = values.ravel(order="K")
    return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite(flat).all())


def _numbers(name: str, values: Any) -> np.ndarray:
    """Return values as an array: one as it is, anything else, such as lists, as float32."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values
    try:
        return np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise SpmError(f"{name} of local features must be an array of numbers, got {values!r}") from error


Views = list[tuple[LocalFeatures, ...]]
"""What an extractor makes of an image: views, each a tuple of local features, one per layer."""


@public()
class ExtractorMixin:
    """What makes an extractor of a class with the method ``views(image)``.

    Examples
    --------
    >>> import spm
    >>> from sklearn.base import BaseEstimator
    >>> class Corners(spm.ExtractorMixin, BaseEstimator):
    ...     def views(self, image):
    ...         height, width = spm.images.read_image(image).shape[:2]
    ...         at = np.array([[0, 0], [width, height]], np.float32)
    ...         return [(LocalFeatures(np.ones((2, 1), np.float32), np.hstack([at, at]), (height, width)),)]
    >>> Corners().extract(np.zeros((4, 6), np.uint8)).grid
    (4, 6)
    """

    def views(self, image: Any) -> Views:
        """Return the image's views, each a tuple of local features, one per layer.

        Layers are encoded each by itself and joined; views (scales, flips) are averaged.
        """
        raise TypeError(f"{type(self).__name__} must define views(image)")

    def extract(self, image: Any) -> LocalFeatures:
        """Return the local features of the first layer of the image's first view.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it.

        Raises
        ------
        ImageError
            If the image cannot be used.
        SpmError
            If an option is not valid.
        """
        return self.views(image)[0][0]

    def check(self, image: Any) -> None:
        """Raise the `ImageError` that `views` would raise, at less cost where there is a cheaper way."""
        self.views(image)


def fingerprint_of(features: Any) -> Any:
    """Return what an extractor's features depend on beside the image: its kind, and ``fingerprint()`` or options."""
    kind = type(features)
    options = features.fingerprint() if hasattr(features, "fingerprint") else features.get_params(deep=True)
    return kind.__module__, kind.__qualname__, options
