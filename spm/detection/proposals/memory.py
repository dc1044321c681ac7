"""Remembered boxes: proposals and an image in, its boxes out, from joblib's memory where it has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._tools.public import public
from ...features.cache import remembered


@public("spm.detection")
def remembered_boxes(proposals: Any, image: Any, memory: Any) -> np.ndarray:
    """Return ``proposals.propose(image)``, kept in a joblib.Memory or under a path, or made anew where that is None.

    What is kept goes by the image's content, the options of the proposals and the versions of spm and of the libraries
    that read the image and search it. `GivenBoxes` go by an image's name and are never kept.

    Parameters
    ----------
    proposals : SelectiveSearch, EdgeBoxes, SlidingWindows, GivenBoxes or another with ``propose(image)``
    image : path or array
        As `spm.images.read_image` takes it.
    memory : joblib.Memory, path or None

    Returns
    -------
    ndarray of shape (n, 4), float64

    Raises
    ------
    ImageError
        If the image cannot be used.
    SpmError
        If an option is not valid, or is a function: nobody sees when its code changes.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import SlidingWindows, remembered_boxes
    >>> remembered_boxes(SlidingWindows(), np.zeros((60, 80), np.uint8), None).shape
    (2000, 4)
    """
    if not getattr(proposals, "goes_by_content", True):
        memory = None
    return remembered(_propose, proposals, image, memory)


def _propose(key: str, maker: Any, image: Any) -> np.ndarray:
    """Return an image's boxes; joblib keeps them by `key`."""
    return maker.propose(image)
