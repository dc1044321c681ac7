"""What is read once: an image that work is done on in, what was read of it so far in this thread out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

PARTS = (8, 4, 2)  # of its size, at which a decoder of JPEG files can decode by itself
SPARE = 2  # times the pixels that are wanted must be left each way: averaging those evens out how the decoder shrinks

_thread = threading.local()


class Kept:
    """What was read of one image: its file's bytes, its size, and its pixels by part of the size and mode."""

    def __init__(self, image: Any) -> None:
        self.image = image
        self.content: bytes | None = None
        self.size = (0, 0)  # height and width, once they are known
        self.in_parts = False  # whether the decoder can decode it at a part of its size
        self.pixels: dict[tuple[int, str], np.ndarray] = {}

    def part_for(self, wanted: Callable[[tuple[int, int]], tuple[int, int]]) -> int:
        """Return at which part of its size the image is read where so many pixels are wanted."""
        return coarsest(self.size, wanted(self.size)) if self.in_parts else 1


@contextmanager
def keeping(image: Any) -> Iterator[None]:
    """Keep what is read of an image inside, by this thread; within the same image's `keeping` it is that one's."""
    before: Kept | None = getattr(_thread, "kept", None)
    if before is not None and _same(before.image, image):
        yield
        return
    _thread.kept = Kept(image)
    try:
        yield
    finally:
        _thread.kept = before


def kept_of(image: Any) -> Kept | None:
    """Return what is kept of an image, None outside of its `keeping`.

    Examples
    --------
    >>> with keeping("a.jpg"):
    ...     kept_of("a.jpg") is None, kept_of("b.jpg") is None
    (False, True)
    >>> kept_of("a.jpg") is None
    True
    """
    kept: Kept | None = getattr(_thread, "kept", None)
    return kept if kept is not None and _same(kept.image, image) else None


def coarsest(size: tuple[int, int], wanted: tuple[int, int]) -> int:
    """Return at which part of its size, 1 / 8, 1 / 4, 1 / 2 or 1, an image still has twice the pixels that are wanted.

    Examples
    --------
    >>> coarsest((3000, 4000), (480, 640)), coarsest((480, 640), (480, 640))
    (2, 1)
    """
    fits = (times for times in PARTS if all(s // times >= SPARE * max(w, 1) for s, w in zip(size, wanted, strict=True)))
    return next(fits, 1)


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    paths = isinstance(one, str | os.PathLike) and isinstance(other, str | os.PathLike)
    return paths and os.fspath(one) == os.fspath(other)
