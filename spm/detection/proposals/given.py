"""Given boxes: an image's name in, the boxes that somebody has for it out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..._tools.options import Options, optional, whole
from ..._tools.public import public
from ...boxes import check_boxes
from ...errors import ImageError, SpmError
from ...images import name_of
from .base import Proposals, proposer


def _check_mapping(name: str, mapping: Any) -> Any:
    if not (isinstance(mapping, Mapping) or callable(mapping)) or isinstance(mapping, type):
        raise SpmError(f"{name} must be a dictionary from image to boxes, or a function, got {type(mapping).__name__}")
    return mapping


@public("spm.detection")
class GivenBoxes(Proposals):
    """Boxes that are there already: of another program, from a file, or the truth itself.

    Parameters
    ----------
    mapping : dict or callable
        From an image to its boxes, array-like of shape (n, 4): x0, y0, x1, y1 in pixels, half-open, best first. An
        image is looked up by its path as given, then by its file name, then by that without its ending. A function is
        called with the image as it was given, which may be an array.
    max_boxes : int, optional
        The most boxes of an image; the first are taken. By default all.
    fill : proposals, optional
        What proposes on where there are fewer than `max_boxes`.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import GivenBoxes
    >>> GivenBoxes(lambda image: [[0, 0, 4, 3], [2, 0, 9, 9]]).propose(np.zeros((6, 8), np.uint8))
    array([[0., 0., 4., 3.],
           [2., 0., 8., 6.]])
    """

    _options: ClassVar[Options] = {
        "mapping": _check_mapping,
        "max_boxes": optional(whole(1)),
        "fill": proposer,
    }

    _by_content: ClassVar[bool] = False

    def __init__(
        self,
        mapping: Mapping[Any, Any] | Callable[[Any], Any],
        *,
        max_boxes: int | None = None,
        fill: Any = None,
    ) -> None:
        self.mapping = mapping
        self.max_boxes = max_boxes
        self.fill = fill

    def _boxes(self, pixels: np.ndarray, image: Any) -> np.ndarray:
        boxes = self.mapping(image) if callable(self.mapping) else _look_up(self.mapping, image)
        try:
            return check_boxes(boxes)
        except SpmError as error:
            raise ImageError(name_of(image), f"among its given boxes: {error}") from error


def _look_up(mapping: Mapping[Any, Any], image: Any) -> Any:
    """Return the boxes of an image by its path, its file name or that without its ending."""
    path = image if isinstance(image, str | os.PathLike) else getattr(image, "filename", "")
    if not path:
        raise ImageError(name_of(image), "it has no name to find its boxes by: give paths, or a function as mapping")
    name = os.fsdecode(path)
    for key in (path, name, Path(name), Path(name).name, Path(Path(name).name), Path(name).stem):
        if key in mapping:
            return mapping[key]
    raise ImageError(name, f"mapping has no boxes for it, under its path or file name; it has {_some_keys(mapping)}")


def _some_keys(mapping: Mapping[Any, Any]) -> str:
    some = [repr(key) for key, _ in zip(mapping, range(3), strict=False)]
    return f"{', '.join(some)}{' ...' if len(mapping) > 3 else ''} ({len(mapping)} images)"
