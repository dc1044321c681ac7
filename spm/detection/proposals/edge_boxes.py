"""Edge boxes: an image in, the boxes that hold many edges whole out (Zitnick and Dollar 2014)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..._tools.opencv import cv2
from ..._tools.options import Options, number, whole
from ..._tools.public import public
from ...errors import SpmError
from .base import Proposals, proposer, shrunk, to_whole_pixels, ximgproc

LEAST = 4  # Sobel's answer to a step of one grey level of 0..255: the strongest edge is at least that
MOST_PIXELS = 5000  # OpenCV reads a table of 10,000 entries at half a box's width plus half its height, unchecked


def edges_of(image: np.ndarray, *, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how strong the edge is in each pixel, and across which direction.

    The gradients are Sobel's on the blurred grey image; an edge is thinned to the pixels that are no weaker than their
    two neighbours across it, in the nearest of 4 directions. They take the place of the learned edges of the paper.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), uint8
    sigma : float
        Of the Gaussian blur, in pixels; 0 for none.

    Returns
    -------
    strength : ndarray of shape (h, w), float32
        0 to 1, the strongest edge of the image being 1; all 0 where there is no edge.
    direction : ndarray of shape (h, w), float32
        Of the gradient, clockwise from the right, in radians, 0 to pi.

    Examples
    --------
    >>> image = np.zeros((1, 6, 3), np.uint8)
    >>> image[:, 3:] = 255
    >>> edges_of(image, sigma=0)[0]
    array([[0., 0., 1., 0., 0., 0.]], dtype=float32)
    """
    grey: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if sigma:
        grey = cv2.GaussianBlur(grey, (0, 0), sigma)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength: np.ndarray = np.sqrt(dx * dx + dy * dy)
    strength /= max(float(strength.max()), LEAST)
    angle = np.arctan2(dy, dx)
    direction: np.ndarray = np.mod(angle, np.float32(np.pi))
    nearest = np.rint(angle / (np.pi / 4)).astype(np.int8) % 4
    return _thinned(strength, nearest), direction


def _thinned(strength: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Keep what is stronger than the pixel behind it and no weaker than the one before, along its direction."""
    height, width = strength.shape
    padded = np.pad(strength, 1)
    peak = np.zeros(strength.shape, bool)
    for k, (y, x) in enumerate([(0, 1), (1, 1), (1, 0), (1, -1)]):  # by 0, 45, 90 and 135 degrees clockwise
        before = padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]
        behind = padded[1 - y : 1 - y + height, 1 - x : 1 - x + width]
        peak |= (nearest == k) & (strength >= before) & (strength > behind)
    return np.where(peak, strength, np.float32(0))


def _check_size(name: str, size: Any) -> Any:
    if whole(1)(name, size) > MOST_PIXELS:
        raise SpmError(f"{name} must be at most {MOST_PIXELS} pixels, got {size}")
    return size


@public("spm.detection")
class EdgeBoxes(Proposals):
    """Boxes that hold many edges whole and cut few: edge boxes, on plain image gradients.

    A box's score is the strength of the edges that lie wholly inside it, less those that cross its border (Zitnick and
    Dollar 2014, "Edge Boxes: Locating Object Proposals from Edges"). OpenCV scores them, on the edges of `edges_of`:
    no model file is needed. Boxes come best first, and no seed is needed.

    Parameters
    ----------
    size : int, default=400
        The longest side, in pixels, to which the image is shrunk before; it is never enlarged. At most 5000.
    max_boxes : int, default=2000
        The most boxes of an image.
    sigma : float, default=2.0
        Of the blur before edges are looked for, in pixels of the shrunk image. Less takes more time: of white noise
        without a blur minutes.
    overlap : float, default=0.65
        A box that overlaps a better one by more (intersection over union) is left out; the paper's beta.
    fill : proposals, optional
        What proposes on where there are fewer, such as ``SlidingWindows()``, after the boxes found here.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import EdgeBoxes
    >>> image = np.zeros((120, 160, 3), np.uint8)
    >>> image[40:90, 30:100] = 255
    >>> EdgeBoxes(max_boxes=3).propose(image).shape
    (3, 4)
    """

    _options: ClassVar[Options] = {
        "size": _check_size,
        "max_boxes": whole(1),
        "sigma": number(least=0),
        "overlap": number(above=0),
        "fill": proposer,
    }

    def __init__(
        self,
        *,
        size: int = 400,
        max_boxes: int = 2000,
        sigma: float = 2.0,
        overlap: float = 0.65,
        fill: Any = None,
    ) -> None:
        self.size = size
        self.max_boxes = max_boxes
        self.sigma = sigma
        self.overlap = overlap
        self.fill = fill

    def _boxes(self, pixels: np.ndarray, image: Any) -> np.ndarray:
        small = shrunk(pixels, self.size)
        strength, direction = edges_of(small, sigma=self.sigma)
        if not strength.any():
            return np.empty((0, 4))
        # A second call of one object answers otherwise than the first.
        search = ximgproc().createEdgeBoxes(maxBoxes=self.max_boxes, beta=self.overlap)
        corners, scores = search.getBoundingBoxes(strength, direction)
        if scores is None:  # OpenCV 4's word for none
            return np.empty((0, 4))
        corners = np.reshape(corners, (-1, 4))
        best_first = np.lexsort([*corners.T, -np.reshape(scores, -1)])
        return to_whole_pixels(corners[best_first], small, pixels)
