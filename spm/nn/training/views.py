"""Views: a network and images in, what it says of each, at several sizes, of crops or of windows of its maps, out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...classifiers.multiview import windows
from ...errors import ImageError
from ...features.frames import frame_of
from ...features.local import LocalFeatures
from ...images import name_of
from .buckets import ShapeBuckets
from .feeds import Input
from .pixels import Pictures, Size, View, assemble

MANY_SIZES = (224, 256, 300, 360, 448, 560)
"""The shorter sides of "many" (He 2014, section 3.1.3): 9 windows each and their mirror images, 96 in all."""
BATCH_PIXELS = 2**25  # of images that are looked at together
FULL = "full"


@dataclass(frozen=True)
class Looks:
    """How images are looked at.

    Parameters
    ----------
    sizes : tuple of int or None
        Shorter sides; None for the image as it is. What is found at each is averaged.
    policy : {"full", "crop", "warp"}
        As `FeatureMap` has it.
    views : {1, 10, "many"}
    window : int
        The side of crops and windows.
    """

    sizes: tuple[Size, ...]
    policy: str
    views: Any = 1
    window: int = 224


def whole_views(shapes: np.ndarray, size: Size, policy: str) -> list[View]:
    """Return what `FeatureMap` sees of images of these shapes."""
    frames = [frame_of((int(h), int(w)), size, policy) for h, w in shapes]
    return [View(frame.resized, frame.part, frame.size) for frame in frames]


def crops(view: View, window: int) -> list[View]:
    """Return ten crops of a whole image: corners and centre, and their mirror images (Krizhevsky 2012, section 4.1).

    Examples
    --------
    >>> whole = View((256, 300), (0, 0, 256, 300), (256, 300))
    >>> [crop.window for crop in crops(whole, 224)][:5]
    [(0, 0, 224, 224), (0, 76, 224, 224), (32, 0, 224, 224), (32, 76, 224, 224), (16, 38, 224, 224)]
    """
    top, left, height, width = view.window
    size = min(window, height), min(window, width)
    down, across = height - size[0], width - size[1]
    places = [(y, x) for y in (0, down) for x in (0, across)] + [(down // 2, across // 2)]
    return [
        View(view.resized, (top + y, left + x, *size), size, mirrored) for mirrored in (False, True) for y, x in places
    ]


def together(pictures: Pictures, views: Sequence[View], batch_size: int) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield positions and pixels of views of one shape, none of them resized to share it."""
    shapes = [view.shape for view in views]
    for at in ShapeBuckets(shapes, batch_size, step=1, max_pixels=BATCH_PIXELS, shuffle=False):
        yield at, assemble(pictures, at, [views[i] for i in at])


def batches(
    pictures: Pictures, looks: Looks, batch_size: int
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray | None]]:
    """Yield all looks at images: positions, pixels, and for windows of maps the boxes in these pixels."""
    for size in looks.sizes:
        views = whole_views(pictures.shapes, size, looks.policy)
        if looks.views == 10:
            for chosen in zip(*(crops(view, looks.window) for view in views), strict=True):
                yield from ((*found, None) for found in together(pictures, chosen, batch_size))
            continue
        for mirrored in (False, True) if looks.views == "many" else (False,):
            turned = [View(view.resized, view.window, view.shape, mirrored) for view in views]
            for at, pixels in together(pictures, turned, batch_size):
                shape = turned[at[0]].shape
                yield at, pixels, windows(shape, min(shape), looks.window) if looks.views == "many" else None


def look(
    network: Any,
    images: Sequence[Any],
    pictures: Pictures,
    looks: Looks,
    make: Input,
    *,
    of: Callable[..., torch.Tensor],
    batch_size: int,
) -> np.ndarray:
    """Return the mean of what a network says of all looks at each image.

    Parameters
    ----------
    network : SPPNet
        In evaluation.
    images : sequence
        By which errors name them.
    pictures : Pictures
    looks : Looks
    make : Input
    of : callable
        Takes the pooled vectors, returns what is averaged.
    batch_size : int

    Returns
    -------
    ndarray of shape (n, n_outputs), float32

    Raises
    ------
    ImageError
        If an image is too small for the network.
    """
    total: Any = 0.0
    counts = np.zeros((len(pictures), 1))
    for at, pixels, boxes in batches(pictures, looks, batch_size):
        try:
            found = _outputs(network, make(pixels), boxes, of)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            seen = f"{pixels.shape[2]} x {pixels.shape[1]} pixels as the network sees it"
            raise ImageError(name_of(images[at[0]]), f"the network cannot take {seen}: {error}") from error
        if np.ndim(total) == 0:
            total = np.zeros((len(pictures), found.shape[-1]))
        total[at] += found.sum(axis=1)
        counts[at] += found.shape[1]
    return (total / counts).astype(np.float32)


@torch.no_grad()
def _outputs(network: Any, images: torch.Tensor, boxes: Any, of: Callable[..., torch.Tensor]) -> np.ndarray:
    """Return what a network says of images and each of their windows: (b, windows, n_outputs), float64."""
    if boxes is None:
        return of(network.pool(network.trunk(images)))[:, None].double().cpu().numpy()
    maps = network.trunk(images)
    regions = on_map(boxes, network.trunk, tuple(images.shape[2:]), tuple(maps.shape[2:]))
    found = of(network.pool(maps, boxes=[regions] * len(maps)))
    return found.reshape(len(maps), len(regions), -1).double().cpu().numpy()


def on_map(boxes: np.ndarray, trunk: Any, image: tuple[int, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Return boxes in pixels in cells of a trunk's map, as `LocalFeatures.to_grid` has them."""
    nothing = np.zeros((0, 1), np.float32), np.zeros((0, 4), np.float32)
    place = LocalFeatures(
        *nothing, (grid[0], grid[1]), stride=trunk.stride, offset=trunk.offset, image_size=(image[0], image[1])
    )
    return place.to_grid(boxes)
