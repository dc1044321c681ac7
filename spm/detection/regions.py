"""Regions: an image and boxes in, a vector for each box out, pooled from one map or made of a crop each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._tools.opencv import cv2
from ..boxes import check_boxes
from ..errors import SpmError
from ..features.frames import check_preprocess
from ..images import read_image

EXPECTED_SIDE = 224  # pixels that a box should measure as the network sees it: what networks are trained on
RULES = ("side", "area")
Stream = Iterator[tuple[np.ndarray, np.ndarray]]


def scale_of_boxes(boxes: np.ndarray, image_size: tuple[int, int], scales: Sequence[int], rule: str) -> np.ndarray:
    """Choose for each box the scale at which it comes nearest to 224 x 224 pixels.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4)
        x0, y0, x1, y1 in pixels of the image.
    image_size : (int, int)
        Height and width.
    scales : sequence of int
        Shorter sides to which the image is resized.
    rule : {"side", "area"}
        Nearest in the square root of the area (``spm_expected_scale.m`` of SPP_net), or in the area (``test.py`` of
        fast-rcnn). They differ: twice as wide is nearer than half as wide in side, and farther in area.

    Returns
    -------
    ndarray of shape (n,), int64
        Indices into `scales`; the first of two that are as near.

    Examples
    --------
    >>> boxes = np.array([[0.0, 0.0, 448.0, 448.0], [0.0, 0.0, 56.0, 56.0]])
    >>> scale_of_boxes(boxes, (480, 640), (480, 688, 1200), "side")
    array([0, 2])
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    factors = np.asarray(scales, dtype=np.float64) / min(image_size)
    seen = areas[:, None] * factors**2
    off = np.sqrt(seen) - EXPECTED_SIDE if rule == "side" else seen - EXPECTED_SIDE**2
    return np.abs(off).argmin(axis=1)


class MapRegions:
    """The regions of one image whose features are extracted and encoded once (He 2014, section 4).

    Parameters
    ----------
    vectorizer : PyramidVectorizer
        Fitted. With `scales`, its features have one view, or one and its mirror image, for each of them.
    image : path or array
    scales : sequence of int, optional
        The features' sizes, of which each box is pooled from one. By default all views are averaged.
    rule : {"side", "area"}, default="side"
        See `scale_of_boxes`.
    """

    def __init__(self, vectorizer: Any, image: Any, scales: Sequence[int] | None = None, rule: str = "side") -> None:
        self.image, self.scales, self.rule = image, scales, rule
        self._vectorizer = vectorizer
        self._views = vectorizer.encode_views(image)
        wanted = 1 if scales is None else len(scales)
        if len(self._views) % wanted:
            raise SpmError(
                f"scales={scales!r} want features of as many sizes; these see the image {len(self._views)} times: "
                f"fit the vectorizer after set_params(features__size={tuple(scales or ())!r})"
            )
        first = self._views[0][0][0]
        self.size: tuple[int, int] = first.image_size or first.grid
        self.n_scales = wanted

    def chosen(self, boxes: np.ndarray) -> np.ndarray:
        """Return the scale of each box, by the rule."""
        if self.scales is None:
            return np.zeros(len(boxes), dtype=np.int64)
        return scale_of_boxes(boxes, self.size, self.scales, self.rule)

    def windows(self, boxes: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
        """Return what of the features each box is pooled from: boxes of one window have one vector.

        Parameters
        ----------
        boxes : ndarray of shape (n, 4)
        at : ndarray of shape (n,), int, optional
            Each box's scale; by default by the rule.

        Returns
        -------
        ndarray of shape (n, 1 + 4 x layers), float64
            The scale, and x0, y0, x1, y1 on each layer's grid.
        """
        boxes, at = check_boxes(boxes), self.chosen(boxes) if at is None else at
        layers = len(self._views[0])
        windows = np.empty((len(boxes), 1 + 4 * layers))
        windows[:, 0] = at
        for scale in range(self.n_scales):
            mine = np.flatnonzero(at == scale)
            for k, (local, _) in enumerate(self._of(scale)[0]):
                windows[mine, 1 + 4 * k : 5 + 4 * k] = local.to_grid(boxes[mine])
        return windows

    def vectors(self, boxes: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
        """Return each box's vector: shape (n, n_features), float32."""
        return joined(self.stream(boxes, at), len(boxes), self._vectorizer.n_features_out_)

    def stream(self, boxes: np.ndarray, at: np.ndarray | None = None) -> Stream:
        """Yield the places of some boxes and their vectors, so that those of all are never held."""
        boxes, at = check_boxes(boxes), self.chosen(boxes) if at is None else at
        for scale in range(self.n_scales):
            mine, n = np.flatnonzero(at == scale), 0
            for vectors in self._vectorizer.stream_regions(self.image, boxes[mine], self._of(scale)):
                yield mine[n : n + len(vectors)], vectors
                n += len(vectors)

    def _of(self, scale: int) -> list[Any]:
        """Return the views of a scale."""
        each = len(self._views) // self.n_scales
        return self._views[scale * each : (scale + 1) * each]


class CropRegions:
    """The regions of one image, each cut out, warped and described by itself (Girshick 2014, section 2.1).

    Parameters
    ----------
    vectorizer : PyramidVectorizer
        Fitted.
    image : path or array
    side : int
        Of the squares that regions are warped to.
    context : int
        Pixels around the region in the square.
    """

    n_scales = 1

    def __init__(self, vectorizer: Any, image: Any, side: int, context: int) -> None:
        self.image, self._side, self._context = image, side, context
        self._pixels = read_image(image)
        self.size: tuple[int, int] = self._pixels.shape[:2]
        self._vectorizer = vectorizer
        self._fill = mean_colour(vectorizers_of(vectorizer)[0].features_)

    def windows(self, boxes: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
        """Return what each box is made of: itself."""
        return check_boxes(boxes)

    def vectors(self, boxes: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
        """Return each box's vector: shape (n, n_features), float32."""
        return joined(self.stream(boxes), len(boxes), self._vectorizer.n_features_out_)

    def stream(self, boxes: np.ndarray, at: np.ndarray | None = None) -> Stream:
        """Yield the place of one box after the other and its vector."""
        whole = [[0, 0, self._side, self._side]]
        for i, box in enumerate(check_boxes(boxes)):
            crop = warp(self._pixels, box, self._side, self._context, self._fill)
            yield np.array([i]), self._vectorizer.transform_regions(crop, whole)


def joined(stream: Stream, n: int, n_values: int) -> np.ndarray:
    """Return rows of which some are told after the other, with their places: shape (n, n_values), float32."""
    rows = np.empty((n, n_values), dtype=np.float32)
    for places, some in stream:
        rows[places] = some
    return rows


def warp(pixels: np.ndarray, box: np.ndarray, side: int, context: int, fill: Sequence[int]) -> np.ndarray:
    """Warp a box and its surroundings into a square, as ``rcnn_im_crop.m`` does: bilinearly, not smoothed before.

    Parameters
    ----------
    pixels : ndarray of shape (h, w, 3), uint8
    box : ndarray of shape (4,)
        x0, y0, x1, y1.
    side : int
        Of the square, in pixels.
    context : int
        Pixels of the square around the box, on each side.
    fill : sequence of 3 int
        What lies outside the image.

    Returns
    -------
    ndarray of shape (side, side, 3), uint8

    Examples
    --------
    >>> pixels = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=2)
    >>> warp(pixels, np.array([1, 1, 3, 3]), 4, 1, (9, 9, 9))[:, :, 0].tolist() == pixels[:, :, 0].tolist()
    True
    """
    inner = side - 2 * context
    scale = (box[2:] - box[:2]) / inner  # pixels of the image in one of the square
    start = box[:2] - context * scale
    # where the centre of each pixel of the square lies, and pixel centres are at +0.5
    at = np.array([[scale[0], 0, start[0] + scale[0] / 2 - 0.5], [0, scale[1], start[1] + scale[1] / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        pixels, at, (side, side), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=tuple(map(float, fill))
    )


def mean_colour(features: Any) -> tuple[int, int, int]:
    """Return the colour, RGB, that a network sees as zero; of other features the middle grey."""
    if not hasattr(features, "preprocess"):
        return (128, 128, 128)
    options = check_preprocess(features.preprocess)
    colour = np.broadcast_to(np.round(np.asarray(options["mean"], dtype=np.float64) / options["scale"]), 3)
    red, green, blue = colour if options["order"] == "rgb" else colour[::-1]
    return int(red), int(green), int(blue)


def vectorizers_of(vectorizer: Any) -> list[Any]:
    """Return the parts of a union, or the vectorizer itself."""
    return getattr(vectorizer, "parts", [vectorizer])
