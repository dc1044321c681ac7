"""Selective search: an image in, the boxes of segments that grow together out (Uijlings et al. 2013)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..._tools.options import Options, choice, optional, seed, whole
from ..._tools.public import public
from .base import Proposals, proposer, ranked, shrunk, tidy, to_whole_pixels, ximgproc

MODES = {
    "fast": "switchToSelectiveSearchFast",
    "quality": "switchToSelectiveSearchQuality",
    "single": "switchToSingleStrategy",
}


@public("spm.detection")
class SelectiveSearch(Proposals):
    """Boxes of segments that grow together step by step: selective search, the proposals of R-CNN and SPP-net.

    The image is cut into small segments of one colour, several times over; in each the two most similar neighbours
    grow together until one is left, and every segment on the way gives the box about it (Uijlings et al. 2013,
    "Selective Search for Object Recognition"). OpenCV does it; the order is our own (`max_boxes`).

    Parameters
    ----------
    mode : {"fast", "quality", "single"}, default="fast"
        How many ways of cutting and growing: 12, 100 or 1.
    size : int or None, default=400
        The longest side, in pixels, to which the image is shrunk before; it is never enlarged. None for as it is.
    max_boxes : int or None, default=2000
        The most boxes of an image. OpenCV gives the same set of boxes each time, in another order each time (C's
        ``rand``), so the set is sorted and ranked anew: larger boxes have better chances, and those that say nearly
        the same as one before them come last. None for all.
    fill : proposals, optional
        What proposes on where there are fewer, such as ``EdgeBoxes()``: its boxes come after those found here. Its own
        `max_boxes` is the most that it adds.
    random_state : int, RandomState or None, default=0
        Seeds the order; one seed means one result.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import SelectiveSearch
    >>> image = np.zeros((60, 80, 3), np.uint8)
    >>> image[20:50, 10:40] = 255, 0, 0
    >>> boxes = SelectiveSearch().propose(image)
    >>> [10, 20, 40, 50] in boxes.tolist()
    True
    """

    _options: ClassVar[Options] = {
        "mode": choice(MODES),
        "size": optional(whole(1)),
        "max_boxes": optional(whole(1)),
        "fill": proposer,
        "random_state": seed,
    }

    def __init__(
        self,
        *,
        mode: str = "fast",
        size: int | None = 400,
        max_boxes: int | None = 2000,
        fill: Any = None,
        random_state: Any = 0,
    ) -> None:
        self.mode = mode
        self.size = size
        self.max_boxes = max_boxes
        self.fill = fill
        self.random_state = random_state

    def _boxes(self, pixels: np.ndarray, image: Any) -> np.ndarray:
        small = shrunk(pixels, self.size)
        search = ximgproc().segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(small[:, :, ::-1]))  # BGR
        getattr(search, MODES[self.mode])()
        boxes = tidy(to_whole_pixels(search.process(), small, pixels), pixels.shape[:2])
        return ranked(boxes, self.random_state)
