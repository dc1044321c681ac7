"""Frames: an image in, what a network sees of it out: resized, cut, and with the values it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .._tools.numba import njit
from .._tools.opencv import cv2
from ..errors import SpmError, check_choice, check_number
from ..images import shrunk
from ..networks.geometry import Axis

PREPROCESSINGS: dict[str, dict[str, Any]] = {
    "imagenet": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "caffe": {"mean": (103.94, 116.78, 123.68), "scale": 1.0, "order": "bgr"},
    "tf": {"mean": 0.5, "std": 0.5},
}


_DEFAULTS: dict[str, Any] = {"mean": 0.0, "std": 1.0, "scale": 1 / 255, "order": "rgb"}


@dataclass(frozen=True)
class Frame:
    """What a network sees of an image: the image resized, and of that a part.

    Parameters
    ----------
    image, resized : (int, int)
        Height and width before and after resizing.
    part : (int, int, int, int)
        Top, left, height and width of the part, in pixels of the resized image.
    """

    image: tuple[int, int]
    resized: tuple[int, int]
    part: tuple[int, int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the network sees."""
        return self.part[2:]

    def place(self, axis: Axis, k: int, mirrored: bool = False) -> tuple[float, float]:
        """Return stride and offset of a map along axis `k`, 0 for down, in pixels of the image."""
        offset = self.part[2 + k] - axis.offset - axis.length * axis.stride if mirrored else axis.offset
        scale = self.image[k] / self.resized[k]
        return axis.stride * scale, (self.part[k] + offset) * scale


def frame_of(
    image: tuple[int, int],
    side: int | None,
    policy: str,
    fixed: tuple[int | None, int | None] = (None, None),
    max_side: int | None = None,
) -> Frame:
    """Return what a network sees of an image.

    Parameters
    ----------
    image : (int, int)
        Its height and width.
    side : int or None
        The size asked for; None for the image as it is.
    policy : {"full", "crop", "warp"}
    fixed : (int, int), optional
        Height and width that the network insists on: they take the place of `side`, and "full" becomes "warp".
    max_side : int, optional
        The most pixels of the longer side that "full" leaves.

    Examples
    --------
    >>> frame_of((480, 640), 224, "full").size
    (224, 299)
    >>> frame_of((480, 640), 224, "full", max_side=200).size
    (150, 200)
    >>> frame_of((480, 640), 224, "crop")
    Frame(image=(480, 640), resized=(224, 299), part=(0, 37, 224, 224))
    """
    if fixed[0] is None or fixed[1] is None:
        box = None if side is None else (side, side)
    else:
        box, policy = (fixed[0], fixed[1]), "warp" if policy == "full" else policy
    if box is None:
        resized = shrunk(image, max_side)
        return Frame(image, resized, (0, 0, *resized))
    if policy == "warp":
        return Frame(image, box, (0, 0, *box))
    k = 0 if box[0] / image[0] >= box[1] / image[1] else 1  # the axis that fills the box
    other = max(round(image[1 - k] * box[k] / image[k]), box[1 - k] if policy == "crop" else 1)
    resized = (box[0], other) if k == 0 else (other, box[1])
    if policy == "full":
        resized = shrunk(resized, max_side)
        return Frame(image, resized, (0, 0, *resized))
    return Frame(image, resized, ((resized[0] - box[0]) // 2, (resized[1] - box[1]) // 2, *box))


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (height, width), borders to borders: whole factors by averaging areas, the rest linearly.

    So an image that shrinks by 2.6 is first halved, every pixel counting alike. Averaging all the way takes four times
    as long on a photograph.
    """
    factors = [max(pixels.shape[k] // size[k], 1) for k in (0, 1)]
    if max(factors) > 1:
        whole = (pixels.shape[1] // factors[1], pixels.shape[0] // factors[0])
        pixels = cv2.resize(pixels, whole, interpolation=cv2.INTER_AREA)
    if pixels.shape[:2] != size:
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
    return pixels


def value_tables(preprocess: str | Mapping[str, Any], channels: int) -> tuple[np.ndarray, str]:
    """Return what each of the 256 levels of a pixel becomes, and in which order the channels go.

    Returns
    -------
    tables : ndarray of shape (channels, 256), float32
        (scale * level - mean) / std, in the network's order of channels.
    order : {"rgb", "bgr"}

    Examples
    --------
    >>> tables, order = value_tables("tf", 3)
    >>> tables[0, [0, 255]], order
    (array([-1.,  1.], dtype=float32), 'rgb')
    """
    if isinstance(preprocess, str):
        return _named_tables(preprocess, channels)
    return _tables(preprocess, channels)


@lru_cache(maxsize=8)
def _named_tables(preprocess: str, channels: int) -> tuple[np.ndarray, str]:
    return _tables(preprocess, channels)


def _tables(preprocess: str | Mapping[str, Any], channels: int) -> tuple[np.ndarray, str]:
    options = check_preprocess(preprocess)
    levels = options["scale"] * np.arange(256.0)
    for name in ("mean", "std"):
        if np.size(options[name]) not in (1, channels):
            raise SpmError(
                f"preprocess={preprocess!r} has {np.size(options[name])} values in {name!r}, the network takes "
                f"{channels} channel(s): give a dict with one value, or as many as channels"
            )
    mean, std = (np.broadcast_to(np.ravel(options[name]), channels)[:, None] for name in ("mean", "std"))
    return ((levels - mean) / std).astype(np.float32), options["order"]


def check_preprocess(preprocess: Any) -> dict[str, Any]:
    """Return all options of a preprocessing given by name or as a dict of some; raises `SpmError` for one of no use."""
    if not isinstance(preprocess, Mapping):
        preprocess = PREPROCESSINGS[check_choice("preprocess", preprocess, PREPROCESSINGS)]
    for name in preprocess:
        check_choice("a key of preprocess", name, _DEFAULTS)
    options = {**_DEFAULTS, **preprocess}
    check_choice("order", options["order"], ("rgb", "bgr"))
    check_number("scale", options["scale"], above=0)
    for name in ("mean", "std"):
        for value in np.ravel(options[name]).tolist():
            check_number(f"each of {name}", value, above=0 if name == "std" else None)
    return options


def prepare(pixels: np.ndarray, tables: np.ndarray, order: str) -> np.ndarray:
    """Turn uint8 pixels of shape (h, w[, 3]), grey or RGB, into a network's input, (1, channels, h, w), float32."""
    prepared = np.empty((1, len(tables), *pixels.shape[:2]), dtype=np.float32)
    _look_up(np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1)), tables, order == "bgr", prepared[0])
    return prepared


@njit
def _look_up(pixels: np.ndarray, tables: np.ndarray, backwards: bool, planes: np.ndarray) -> None:
    height, width, channels = pixels.shape
    for c in range(len(planes)):
        source = 0 if channels == 1 else channels - 1 - c if backwards else c
        for y in range(height):
            for x in range(width):
                planes[c, y, x] = tables[c, pixels[y, x, source]]
