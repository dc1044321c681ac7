"""Sliding windows: an image's size in, windows of several sizes and shapes all over it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..._tools.options import Options, each, number, optional, seed, whole
from ..._tools.public import public
from .base import Proposals, proposer, ranked, tidy


def windows(size: tuple[int, int], *, scales: Sequence[float], aspects: Sequence[float], stride: float) -> np.ndarray:
    """Return windows of several sizes and shapes at even distances, from border to border of an image.

    Parameters
    ----------
    size : (int, int)
        The image's height and width.
    scales : sequence of float
        Sides of a square window, as shares of the square root of the image's area.
    aspects : sequence of float
        Width over height: a window of that shape has the area of the square one. Where it is longer than the image, it
        is cut to it.
    stride : float
        The distance of neighbours at most, as a share of a window's own side.

    Returns
    -------
    ndarray of shape (n, 4), float64
        x0, y0, x1, y1 in whole pixels, without empty ones, each once.

    Examples
    --------
    >>> windows((4, 8), scales=[0.5], aspects=[1.0], stride=1.0).astype(int).tolist()
    [[0, 0, 3, 3], [2, 0, 5, 3], [5, 0, 8, 3], [0, 1, 3, 4], [2, 1, 5, 4], [5, 1, 8, 4]]
    """
    height, width = size
    side = np.sqrt(height * width)
    grids = []
    for scale in scales:
        for aspect in aspects:
            x0, x1 = _along(width, side * scale * np.sqrt(aspect), stride)
            y0, y1 = _along(height, side * scale / np.sqrt(aspect), stride)
            grids.append(np.stack(np.broadcast_arrays(x0, y0[:, None], x1, y1[:, None]), axis=2).reshape(-1, 4))
    return tidy(np.concatenate(grids), size)


def _along(length: int, window: float, stride: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where windows begin and end along an axis, in whole pixels."""
    window = min(max(round(window), 1), length)
    count = int(np.ceil((length - window) / (stride * window))) + 1
    starts = np.rint(np.linspace(0, length - window, count))
    return starts, starts + window


@public("spm.detection")
class SlidingWindows(Proposals):
    """Windows of several sizes and shapes all over the image, whatever is in it.

    Parameters
    ----------
    scales : sequence of float, default=(0.1, 0.14, 0.2, 0.28, 0.4, 0.57, 0.8)
        Sides of a square window, as shares of the square root of the image's area.
    aspects : sequence of float, default=(0.5, 1.0, 2.0)
        Width over height, at the area of the square.
    stride : float, default=0.4
        The distance of neighbours at most, as a share of a window's own side.
    max_boxes : int or None, default=2000
        The most boxes of an image; which of them is decided as in `SelectiveSearch`. None for all.
    fill : proposals, optional
        What proposes on where there are fewer.
    random_state : int, RandomState or None, default=0
        Seeds the order; one seed means one result.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import SlidingWindows
    >>> SlidingWindows(scales=[1.0], aspects=[1.0]).propose(np.zeros((60, 80), np.uint8))
    array([[ 0.,  0., 69., 60.],
           [11.,  0., 80., 60.]])
    """

    _options: ClassVar[Options] = {
        "scales": each(number(above=0), "(0.1, 0.2)"),
        "aspects": each(number(above=0), "(0.5, 1.0, 2.0)"),
        "stride": number(above=0),
        "max_boxes": optional(whole(1)),
        "fill": proposer,
        "random_state": seed,
    }

    def __init__(
        self,
        *,
        scales: Sequence[float] = (0.1, 0.14, 0.2, 0.28, 0.4, 0.57, 0.8),
        aspects: Sequence[float] = (0.5, 1.0, 2.0),
        stride: float = 0.4,
        max_boxes: int | None = 2000,
        fill: Any = None,
        random_state: Any = 0,
    ) -> None:
        self.scales = scales
        self.aspects = aspects
        self.stride = stride
        self.max_boxes = max_boxes
        self.fill = fill
        self.random_state = random_state

    def _boxes(self, pixels: np.ndarray, image: Any) -> np.ndarray:
        grid = windows(pixels.shape[:2], scales=self.scales, aspects=self.aspects, stride=self.stride)
        return ranked(grid, self.random_state)
