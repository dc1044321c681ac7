"""What all proposals share: boxes in, tidy ones in a seeded order out, filled up by another's where they are few."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from ..._tools.numba import njit
from ..._tools.opencv import cv2
from ..._tools.options import Options, check_options
from ..._tools.settings import usual_settings
from ...errors import MissingDependencyError, SpmError
from ...images import read_image

TWINS = 0.8  # the overlap over which two boxes say the same; benchmarks/results/proposals.md has the gain


class Proposals(BaseEstimator):
    """An estimator that proposes boxes: it writes `_boxes`, and `propose` does the rest.

    Its options have `max_boxes`, the most boxes of an image, or None for all, and `fill`, another that proposes where
    it has fewer.
    """

    _options: ClassVar[Options] = {}
    _by_content: ClassVar[bool] = True
    max_boxes: int | None
    fill: Any

    def propose(self, image: Any) -> np.ndarray:
        """Return the boxes in which an object may be, best first.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it; grey images are taken as colour ones.

        Returns
        -------
        ndarray of shape (n, 4), float64
            x0, y0, x1, y1 in pixels of the image, half-open: inside the image, of a size above zero, each once. An
            image may have none.

        Raises
        ------
        ImageError
            If the image cannot be used.
        SpmError
            If an option is not valid.
        """
        check_options(self)
        with usual_settings():
            pixels = read_image(image)
            boxes = tidy(self._boxes(pixels, image), pixels.shape[:2])[: self.max_boxes]
            if self.fill is None or self.max_boxes is None or len(boxes) == self.max_boxes:
                return boxes
            return tidy(np.concatenate([boxes, self.fill.propose(image)]), pixels.shape[:2])[: self.max_boxes]

    @property
    def goes_by_content(self) -> bool:
        """Whether images of the same content have the same boxes, whatever they are called."""
        return self._by_content and getattr(self.fill, "goes_by_content", True)

    def _boxes(self, pixels: np.ndarray, image: Any) -> np.ndarray:
        """Return boxes of shape (n, 4) in pixels, best first; what of them is no box is taken out later."""
        raise TypeError(f"{type(self).__name__} must define _boxes(pixels, image)")


def proposer(name: str, value: Any) -> Any:
    """Check what proposes: None, or an object with `propose`."""
    if value is not None and (isinstance(value, type) or not hasattr(value, "propose")):
        raise SpmError(f"{name} must be an object that proposes, such as EdgeBoxes(), or None, got {value!r}")
    return value


def tidy(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return boxes cut to an image of that height and width, without empty ones and each once, in the given order.

    Examples
    --------
    >>> tidy(np.array([[-1.0, 0, 4, 9], [2, 2, 2, 3], [0, 0, 4, 5], [1, 0, 2, 1]]), (5, 8))
    array([[0., 0., 4., 5.],
           [1., 0., 2., 1.]])
    """
    height, width = size
    boxes = np.clip(np.reshape(boxes, (-1, 4)).astype(np.float64), 0, [width, height, width, height]) + 0.0  # no -0
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    _, first = np.unique(boxes, axis=0, return_index=True)
    return boxes[np.sort(first)]


def ranked(boxes: np.ndarray, random_state: Any) -> np.ndarray:
    """Return a set of boxes in an order that only the set and the seed decide, any beginning of which covers much.

    The key of a box is a random number times its position by size, the largest first: the rule of Uijlings et al. 2013
    (section 3.3), with size in the place of the level in the hierarchy, which OpenCV does not give. A box whose
    intersection over union with one before it is over 0.8 comes after all those that say something new.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4), float64
    random_state : int, RandomState or None
        A RandomState is copied: every image gets the same draw, whichever comes first.

    Returns
    -------
    ndarray of shape (n, 4), float64

    Examples
    --------
    >>> boxes = np.array([[0.0, 0, 9, 9], [0, 0, 9, 8], [3, 3, 5, 5]])
    >>> ranked(boxes, 0)
    array([[0., 0., 9., 9.],
           [3., 3., 5., 5.],
           [0., 0., 9., 8.]])
    >>> np.array_equal(ranked(boxes[::-1], 0), ranked(boxes, 0))
    True
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    boxes = boxes[np.lexsort([*boxes.T, -areas])]
    draw = check_random_state(copy.deepcopy(random_state)).random_sample(len(boxes))
    return new_first(boxes[np.argsort(draw * np.arange(1, len(boxes) + 1), kind="stable")])


def new_first(boxes: np.ndarray) -> np.ndarray:
    """Return boxes with those last whose overlap with one before them is over 0.8, otherwise in the given order.

    Examples
    --------
    >>> new_first(np.array([[0.0, 0, 9, 9], [0, 0, 9, 8], [3, 3, 5, 5]])).astype(int).tolist()
    [[0, 0, 9, 9], [3, 3, 5, 5], [0, 0, 9, 8]]
    """
    new = _says_something_new(boxes, TWINS)
    return np.concatenate([boxes[new], boxes[~new]])


@njit
def _says_something_new(boxes, limit):  # type: ignore[no-untyped-def]  # numba's
    """Return for each of (n, 4) boxes whether its overlap with every such box before it is at most the limit."""
    new = np.zeros(len(boxes), np.bool_)
    kept = np.empty_like(boxes)
    n_kept = 0
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i]
        area = (x1 - x0) * (y1 - y0)
        twin = False
        for k in range(n_kept):
            width = min(x1, kept[k, 2]) - max(x0, kept[k, 0])
            height = min(y1, kept[k, 3]) - max(y0, kept[k, 1])
            if width > 0 and height > 0:
                other = (kept[k, 2] - kept[k, 0]) * (kept[k, 3] - kept[k, 1])
                if width * height > limit * (area + other - width * height):
                    twin = True
                    break
        if not twin:
            new[i] = True
            kept[n_kept] = boxes[i]
            n_kept += 1
    return new


def shrunk(pixels: np.ndarray, size: int | None) -> np.ndarray:
    """Return an image whose longest side is at most `size` pixels: shrunk to it, or as it is."""
    height, width = pixels.shape[:2]
    if size is None or max(height, width) <= size:
        return pixels
    ratio = size / max(height, width)
    new = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return cv2.resize(pixels, new, interpolation=cv2.INTER_AREA)


def to_whole_pixels(corners: np.ndarray, small: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Take OpenCV's x, y, width, height in a shrunk image to x0, y0, x1, y1 in whole pixels of the image itself."""
    corners = np.reshape(corners, (-1, 4)).astype(np.float64)
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1)
    ratio = np.array(pixels.shape[1::-1]) / np.array(small.shape[1::-1])  # (x, y)
    return np.rint(boxes * np.tile(ratio, 2))


def ximgproc() -> Any:
    """Return OpenCV's module of proposals.

    Raises
    ------
    MissingDependencyError
        Where this OpenCV has none.
    """
    if not hasattr(getattr(cv2, "ximgproc", None), "segmentation"):
        raise MissingDependencyError(
            "proposals need OpenCV's module ximgproc, which the OpenCV found here does not have (often another package "
            "has overwritten it): pip uninstall -y opencv-python opencv-python-headless && "
            "pip install --force-reinstall opencv-contrib-python"
        )
    return cv2.ximgproc
