"""Image reading: a file, an array or a Pillow image in, uint8 pixels as a person sees them out, no more than wanted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .._tools.image_files import (
    MAX_SCANNED,
    ContentInTime,
    identify,
    open_regular,
    pillow_set_as_usual,
    scans_are_many,
    why_unreadable,
)
from .._tools.opencv import cv2
from .._tools.public import public
from ..errors import ImageError, NotFiniteError, check_choice, check_number
from .kept import Kept, coarsest, keeping, kept_of
from .pixels import CHANNELS, from_array, from_pillow, orientation_of

MAX_PIXELS = 100_000_000
"""The most pixels that an image file may have, read from its header before anything is decoded."""


Size = tuple[int, int]


@public("spm.images")
def read_image(image: ImageLike, mode: str = "rgb", *, max_side: int | None = None) -> np.ndarray:
    """Read one image as uint8 pixels, upright, in colour or grey.

    Parameters
    ----------
    image : str, path, ndarray or PIL.Image.Image
        A regular file of any kind that Pillow reads, of several frames the first, turned upright by its EXIF tag;
        or pixels of shape (height, width), (height, width, 1), (height, width, 3) in RGB order or (height, width, 4)
        in RGBA order: uint8, uint16 in 0..65535, float in 0..1, or bool.
    mode : {"rgb", "grey", "stored"}, default="rgb"
        What to return. Grey is Rec. 601 luma, 0.299 R + 0.587 G + 0.114 B, for files and arrays alike. ``"stored"`` is
        grey for 8-bit grey and RGB for all else: for those who can save themselves three equal channels.
    max_side : int, optional
        An image whose longer side has more pixels is shrunk to so many, its ratio kept, as `see_image` has it.

    Returns
    -------
    ndarray of shape (height, width, 3) for colour or (height, width) for grey, dtype uint8
        C-contiguous and writable. An array that is so already is returned itself, not a copy.

    Raises
    ------
    ImageError
        When the file is missing, no regular file, not an image, damaged, incomplete or larger than `MAX_PIXELS` or
        `MAX_BYTES`, or takes longer than `MAX_SECONDS`, with the decoder's own words; or when the pixels are of another
        type, shape or range.

    Notes
    -----
    Transparent pixels lie over white. 16-bit grey is scaled to 8 bits by rounding v / 257; of 16-bit colour files
    Pillow keeps the high byte. What lies in the middle of a JPEG has no check sum: bytes changed there can go unseen.
    Pillow's settings for the whole process, such as ``ImageFile.LOAD_TRUNCATED_IMAGES``, make no difference: while an
    image is read they are as Pillow has them by itself, and afterwards as others had set them.

    Examples
    --------
    >>> import numpy as np
    >>> read_image(np.array([[0.0, 0.5, 1.0]]), mode="grey")
    array([[  0, 128, 255]], dtype=uint8)
    >>> read_image(np.zeros((480, 640), np.uint8)).shape
    (480, 640, 3)
    """
    return see_image(image, mode, max_side=max_side).pixels


@public("spm.images")
@dataclass(frozen=True)
class Seen:
    """What is seen of an image: its pixels, or fewer that stand for them.

    Parameters
    ----------
    pixels : ndarray of shape (h, w) or (h, w, 3), uint8
    size : (int, int)
        Height and width of the image itself.

    Examples
    --------
    >>> import numpy as np
    >>> see_image(np.zeros((480, 640), np.uint8), max_side=320).scale
    (2.0, 2.0)
    """

    pixels: np.ndarray
    size: Size

    @property
    def scale(self) -> tuple[float, float]:
        """How long one of the pixels is, down and across, in pixels of the image."""
        height, width = self.pixels.shape[:2]
        return self.size[0] / height, self.size[1] / width

    def places(self, points: np.ndarray) -> np.ndarray:
        """Return where points, (n, 2) float32, x and y in the pixels seen, lie in the image: in pixels of it."""
        if self.pixels.shape[:2] == self.size:
            return points
        return (points * np.array(self.scale[::-1])).astype(np.float32)


@public("spm.images")
def see_image(
    image: ImageLike,
    mode: str = "rgb",
    *,
    max_side: int | None = None,
    least: Callable[[Size], Size] | None = None,
) -> Seen:
    """Read one image as `read_image` does, at no more pixels than are wanted, and say what size it has itself.

    An image is shrunk to `max_side` by averaging areas. A JPEG file that is far larger than what is wanted is decoded
    at 1/2, 1/4 or 1/8, the least that still has twice as many pixels each way, by the decoder itself, which leaves out
    the finer part of each block's cosine transform; what is left to shrink is averaged. That takes a third of the time,
    and differs from averaging all pixels by 1 to 2 grey levels in the mean and by at most 5 on any one, on photographs
    of VOC 2007 and 15-Scene (benchmarks/large_photographs.py).
    Where a side is no multiple of 2, 4 or 8, pixels are moved to the image's borders, linearly.

    Parameters
    ----------
    image, mode
        As `read_image` takes them.
    max_side : int, optional
        The most pixels of the longer side.
    least : callable, optional
        Takes the image's height and width; returns how many pixels are wanted each way, by those who shrink the image
        themselves.

    Returns
    -------
    Seen

    Raises
    ------
    ImageError
        As `read_image` does.
    SpmError
        For a `max_side` that is no whole number at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> seen = see_image(np.zeros((480, 640), np.uint8), max_side=320)
    >>> seen.pixels.shape, seen.size, seen.places(np.float32([[160, 120]]))
    ((240, 320, 3), (480, 640), array([[320., 240.]], dtype=float32))
    """
    check_choice("mode", mode, CHANNELS)
    if max_side is not None:
        check_number("max_side", max_side, least=1, integer=True)
    mirrored = isinstance(image, Mirror)
    wanted = least or (lambda size: shrunk(size, max_side))
    pixels, size = _decode(image.image if isinstance(image, Mirror) else image, mode, wanted)
    target = shrunk(size, max_side)
    if target != size and target != pixels.shape[:2]:
        pixels = cv2.resize(pixels, target[::-1], interpolation=cv2.INTER_AREA)
    return Seen(np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels, size)


@public("spm.images")
def shrunk(size: Size, max_side: int | None) -> Size:
    """Return the height and width of an image whose longer side is brought down to `max_side`, if it is longer.

    Examples
    --------
    >>> shrunk((480, 640), 320), shrunk((480, 640), None), shrunk((1, 640), 320)
    ((240, 320), (480, 640), (1, 320))
    """
    if max_side is None or max(size) <= max_side:
        return size
    height, width = (max(1, round(side * max_side / max(size))) for side in size)
    return height, width


@public("spm.images")
@dataclass(frozen=True)
class Mirror:
    """The mirror image of an image, for all who read images by `read_image`; nothing is read before they do.

    Examples
    --------
    >>> import numpy as np
    >>> read_image(Mirror(np.uint8([[0, 1, 2]])), "grey")
    array([[2, 1, 0]], dtype=uint8)
    """

    image: Any

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return read_image(self, "stored").astype(dtype or np.uint8)


@public("spm.images")
@contextmanager
def reading_once(image: Any) -> Iterator[None]:
    """Let all that read this image inside, in this thread, share what is read: the file once, its pixels once a scale.

    It is what lies around all the work on one image, so that no more than one image's pixels are held by a worker.
    Who reads them must not change them.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((480, 640, 3), np.uint8)
    >>> with reading_once(image):
    ...     read_image(image, "grey") is read_image(image, "grey")
    True
    """
    with keeping(image.image if isinstance(image, Mirror) else image):
        yield


ImageLike = str | os.PathLike[str] | np.ndarray | Image.Image | Mirror
"""What is one image."""


@public("spm.images")
def name_of(image: Any) -> str:
    """Return what to call an image in a message: its file name, or what it is.

    Examples
    --------
    >>> import numpy as np
    >>> name_of("photos/cat.jpg"), name_of(np.zeros((4, 6)))
    ('photos/cat.jpg', 'array of shape (4, 6)')
    """
    if isinstance(image, str | os.PathLike):
        return os.fsdecode(image)
    if isinstance(image, np.ndarray):
        return f"array of shape {image.shape}"
    if isinstance(image, Image.Image):
        return os.fsdecode(getattr(image, "filename", "")) or f"Pillow image of size {image.size}"
    if isinstance(image, Mirror):
        return name_of(image.image)
    return f"object of type {type(image).__name__}"


@public("spm.images")
@contextmanager
def naming(image: Any) -> Iterator[None]:
    """Name the image whose values are found not to be finite inside."""
    try:
        yield
    except NotFiniteError as error:
        raise ImageError(name_of(image), str(error)) from error


@public("spm.images")
def content_of(image: ImageLike) -> bytes:
    """Return the bytes that an image is: those of its file, or of its pixels with their shape and type.

    Raises
    ------
    ImageError
        When a file cannot be read.
    """
    if isinstance(image, Mirror):
        return b"mirrored " + content_of(image.image)
    if isinstance(image, str | os.PathLike):
        kept = kept_of(image)
        if kept is None:
            return _content(os.fsdecode(image))
        if kept.content is None:
            kept.content = _content(os.fsdecode(image))
        return kept.content
    pixels = read_image(image) if isinstance(image, Image.Image) else np.asarray(image)
    return f"{pixels.shape} {pixels.dtype} ".encode() + pixels.tobytes()


def _content(path: str) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise ImageError(path, why_unreadable(error)) from error


# Decoding


def _decode(image: Any, mode: str, wanted: Callable[[Size], Size]) -> tuple[np.ndarray, Size]:
    """Return an image's pixels, of a large JPEG file fewer, and the size of the image itself."""
    kept = kept_of(image)
    if kept is None:
        alone = Kept(image)
        times = _read(image, mode, wanted, alone)
        return alone.pixels[times, mode], alone.size
    times = kept.part_for(wanted)
    if (times, "stored") not in kept.pixels:  # all other modes can be made of it
        times = _read(image, "stored", wanted, kept)
    if (times, mode) not in kept.pixels:
        kept.pixels[times, mode] = from_array(kept.pixels[times, "stored"], mode)
    return kept.pixels[times, mode], kept.size


def _read(image: Any, mode: str, wanted: Callable[[Size], Size], kept: Kept) -> int:
    """Put what is read of an image into `kept`, and return at which part of its size: 1, or 2, 4 or 8 for 1 / 2 ..."""
    if isinstance(image, str | os.PathLike):
        with pillow_set_as_usual(MAX_PIXELS):
            return _read_file(os.fsdecode(image), mode, wanted, kept)
    if isinstance(image, np.ndarray):
        pixels = from_array(np.asarray(image), mode)
    elif isinstance(image, Image.Image):
        with pillow_set_as_usual(MAX_PIXELS):
            _refuse_large(image, name_of(image))
            pixels = from_pillow(image, mode, name_of(image))
    else:
        raise ImageError(
            name_of(image),
            "an image must be a file name, a numpy array or a PIL.Image.Image: convert it, for instance by np.asarray",
        )
    kept.size = pixels.shape[:2]
    kept.pixels[1, mode] = pixels
    return 1


def _read_file(path: str, mode: str, wanted: Callable[[Size], Size], kept: Kept) -> int:
    with open_regular(path) if kept.content is None else ContentInTime(kept.content) as file:
        try:
            image = identify(file)
        except Exception as error:
            empty = file.seek(0, os.SEEK_END) == 0
            raise ImageError(path, "the file is empty: get it again" if empty else why_unreadable(error)) from error
        _refuse_large(image, path)
        if image.format not in ("JPEG", "MPO"):
            pixels = from_pillow(image, mode, path)
            kept.size = pixels.shape[:2]
            times = 1
        else:
            _refuse_scans(image, file, path)
            orientation = orientation_of(image)
            kept.in_parts, kept.size = True, image.size if orientation >= 5 else image.size[::-1]
            times = coarsest(kept.size, wanted(kept.size))
            if times == 1:
                pixels = from_pillow(image, mode, path)
            else:
                image.draft(None, (image.size[0] // times, image.size[1] // times))
                pixels = _aligned(from_pillow(image, "stored", path), kept.size, times, orientation)
                pixels = from_array(pixels, mode, path)
    kept.pixels[times, mode] = pixels
    return times


def _aligned(pixels: np.ndarray, size: Size, times: int, orientation: int) -> np.ndarray:
    """Move pixels that are `times` of the image's long to its borders: the last may have stood for a part of one."""
    wanted = size[0] // times, size[1] // times
    if (wanted[0] * times, wanted[1] * times) == size:
        return pixels
    matrix = np.zeros((2, 3))
    for k, last_first in ((0, orientation in (2, 3, 6, 7)), (1, orientation in (3, 4, 7, 8))):  # x and y
        length = size[1 - k] / times
        step = length / wanted[1 - k]
        start = pixels.shape[1 - k] - length if last_first else 0
        matrix[k, k], matrix[k, 2] = step, start + (step - 1) / 2
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(pixels, matrix, wanted[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)


def _refuse_scans(image: Image.Image, file: Any, source: str) -> None:
    pixels = image.size[0] * image.size[1]
    most = MAX_SCANNED // max(pixels, 1)
    if scans_are_many(file, most):
        reason = f"it has more than {most:,} scans, each of its {pixels:,} pixels, which take too long: save it anew"
        raise ImageError(source, reason)


def _refuse_large(image: Image.Image, source: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(source, f"{width} x {height} pixels are more than {MAX_PIXELS}, the limit: make it smaller")
