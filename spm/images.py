"""Image reading: a file, an array or a Pillow image in, uint8 pixels as a person sees them out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ._tools.image_files import identify, open_regular, pillow_set_as_usual, why_unreadable
from ._tools.opencv import cv2
from .errors import ImageError, NotFiniteError, SpmError, check_choice

MAX_PIXELS = 100_000_000
"""The most pixels that an image file may have, read from its header before anything is decoded."""

ImageLike = str | os.PathLike[str] | np.ndarray | Image.Image

_CHANNELS: dict[str, tuple[tuple[int, ...], ...]] = {"rgb": ((3,),), "grey": ((),), "stored": ((), (3,))}
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa")
_ROUNDING = 1e-6  # how far beyond 0..1 a float may lie by rounding alone


def read_image(image: ImageLike, mode: str = "rgb") -> np.ndarray:
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

    Returns
    -------
    ndarray of shape (height, width, 3) for colour or (height, width) for grey, dtype uint8
        C-contiguous and writable. An array that is so already is returned itself, not a copy.

    Raises
    ------
    ImageError
        When the file is missing, no regular file, not an image, damaged, incomplete or larger than `MAX_PIXELS`, with
        the decoder's own words; or when the pixels are of another type, shape or range.

    Notes
    -----
    Transparent pixels lie over white. 16-bit grey is scaled to 8 bits by rounding v / 257; of 16-bit colour files
    Pillow keeps the high byte. What lies in the middle of a JPEG has no check sum: bytes changed there can go unseen.
    Pillow's settings for the whole process, such as ``ImageFile.LOAD_TRUNCATED_IMAGES``, make no difference: while an
    image is read they are as Pillow has them by itself, and afterwards as others had set them.

    Examples
    --------
    >>> read_image(np.array([[0.0, 0.5, 1.0]]), mode="grey")
    array([[  0, 128, 255]], dtype=uint8)
    >>> read_image(np.zeros((480, 640), np.uint8)).shape
    (480, 640, 3)
    """
    check_choice("mode", mode, _CHANNELS)
    if isinstance(image, np.ndarray):
        return _from_array(np.asarray(image), mode)
    if isinstance(image, str | os.PathLike | Image.Image):
        with pillow_set_as_usual(MAX_PIXELS):
            if isinstance(image, Image.Image):
                return _from_pillow(image, mode, name_of(image))
            return _from_file(os.fsdecode(image), mode)
    raise ImageError(
        name_of(image),
        "an image must be a file name, a numpy array or a PIL.Image.Image: convert it, for instance by np.asarray",
    )


def name_of(image: Any) -> str:
    """Return what to call an image in a message: its file name, or what it is.

    Examples
    --------
    >>> name_of("photos/cat.jpg"), name_of(np.zeros((4, 6)))
    ('photos/cat.jpg', 'array of shape (4, 6)')
    """
    if isinstance(image, str | os.PathLike):
        return os.fsdecode(image)
    if isinstance(image, np.ndarray):
        return f"array of shape {image.shape}"
    if isinstance(image, Image.Image):
        return os.fsdecode(getattr(image, "filename", "")) or f"Pillow image of size {image.size}"
    return f"object of type {type(image).__name__}"


@contextmanager
def naming(image: Any) -> Iterator[None]:
    """Name the image whose values are found not to be finite inside."""
    try:
        yield
    except NotFiniteError as error:
        raise ImageError(name_of(image), str(error)) from error


def check_images(images: Any) -> Sequence[Any]:
    """Return `images` as a sequence of single images, none of them read yet.

    Parameters
    ----------
    images : sequence of paths or arrays, or one array of shape (n, height, width) or (n, height, width, channels)

    Raises
    ------
    SpmError
        For one image instead of several, an empty sequence, or something that is no sequence.

    Examples
    --------
    >>> len(check_images(np.zeros((5, 32, 32), np.uint8)))
    5
    """
    hint = "give a list of file names, a list of arrays, or one array of shape (n, height, width[, channels])"
    if isinstance(images, str | os.PathLike | Image.Image):
        raise SpmError(f"images={name_of(images)!r} is one image: put it into a list, [image]")
    if isinstance(images, np.ndarray) and images.dtype.kind not in "OUS":
        single = images.ndim == 2 or (images.ndim == 3 and images.shape[2] in (3, 4))
        if single or images.ndim not in (3, 4):
            raise SpmError(f"images of shape {images.shape} are not several images: {hint}; one image goes as [image]")
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__") or isinstance(images, bytes | dict):
        raise SpmError(f"images of type {type(images).__name__} are no sequence: {hint}")
    if hasattr(images, "to_numpy"):  # of pandas or polars; a pandas Series is indexed by its labels
        images = images.to_numpy()
    if isinstance(images, np.ndarray) and images.dtype.kind in "OUS" and images.ndim == 2:
        if images.shape[1] != 1:
            raise SpmError(
                f"images has {images.shape[1]} columns: give the one that holds the paths, such as table['path']"
            )
        images = images[:, 0]
    if len(images) == 0:
        raise SpmError(f"images is empty: {hint}")
    return images


def check_one_each(images: Sequence[Any], labels: Any) -> None:
    """Check that there is one label, or row of labels, for every image, where there are any.

    Raises
    ------
    SpmError

    Examples
    --------
    >>> check_one_each(["a.jpg", "b.jpg"], ["left"])
    Traceback (most recent call last):
    spm.SpmError: y must have one label for each of the 2 images, got 1
    """
    if labels is not None and (n := np.shape(labels)[0] if np.ndim(labels) else 0) != len(images):
        raise SpmError(f"y must have one label for each of the {len(images)} images, got {n}")


def content_of(image: ImageLike) -> bytes:
    """Return the bytes that an image is: those of its file, or of its pixels with their shape and type.

    Raises
    ------
    ImageError
        When a file cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        path = os.fsdecode(image)
        try:
            with open_regular(path) as file:
                return file.read()
        except OSError as error:
            raise ImageError(path, why_unreadable(error)) from error
    pixels = read_image(image) if isinstance(image, Image.Image) else np.asarray(image)
    return f"{pixels.shape} {pixels.dtype} ".encode() + pixels.tobytes()


# Files


def _from_file(path: str, mode: str) -> np.ndarray:
    with open_regular(path) as file:
        try:
            image = identify(file)
        except Exception as error:
            empty = os.fstat(file.fileno()).st_size == 0
            raise ImageError(path, "the file is empty: get it again" if empty else why_unreadable(error)) from error
        return _from_pillow(image, mode, path)


# Pillow images


def _from_pillow(image: Image.Image, mode: str, source: str) -> np.ndarray:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(source, f"{width} x {height} pixels are more than {MAX_PIXELS}, the limit: make it smaller")
    try:
        image.load()
        white_is_zero = getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0
        image = _upright(image)
        pixels = _deep_pixels(image, white_is_zero) if image.mode[0] in "IF" else _pixels(image, mode)
    except Exception as error:
        raise ImageError(source, why_unreadable(error)) from error
    return _from_array(pixels, mode, source)


def _upright(image: Image.Image) -> Image.Image:
    """Turn the image as its EXIF tag says."""
    if image.format == "TIFF":  # Pillow has turned it while loading (and 10.0 leaves the tag in place)
        return image
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged tag is no reason to refuse good pixels
        return image
    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def _deep_pixels(image: Image.Image, white_is_zero: bool) -> np.ndarray:
    """Return 16-bit or float grey: Pillow keeps some 16-bit images in 32 bits and does not invert 16-bit negatives."""
    pixels = np.array(image)
    if pixels.dtype == np.int32 and pixels.size and pixels.min() >= 0 and pixels.max() <= 65535:
        pixels = pixels.astype(np.uint16)
    return 65535 - pixels if white_is_zero and pixels.dtype.kind == "u" else pixels


def _pixels(image: Image.Image, mode: str) -> np.ndarray:
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    wanted = "L" if mode == "grey" or (mode == "stored" and image.mode == "L") else "RGB"
    if (image.mode, wanted) == ("L", "RGB"):  # OpenCV widens 5 times faster than Pillow
        return cv2.cvtColor(np.asarray(image), cv2.COLOR_GRAY2RGB)
    return np.array(image if image.mode == wanted else image.convert(wanted))


# Arrays


def _from_array(array: np.ndarray, mode: str, source: str = "array") -> np.ndarray:
    if array.size == 0:
        raise ImageError(source, f"the image has no pixels: its shape is {array.shape}")
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in (1, 3, 4)):
        wanted = "(height, width) or (height, width, channels) with 1, 3 or 4 channels"
        hint = "put its channels last, np.moveaxis(image, 0, -1)" if array.ndim == 3 else "give one image at a time"
        raise ImageError(source, f"an image must be of shape {wanted}, this is of shape {array.shape}: {hint}")
    pixels = _to_bytes(array, source)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.shape[2:] in _CHANNELS[mode]:
        return np.require(pixels, requirements=["C", "W"])
    return _pixels(Image.fromarray(pixels), mode)


def _to_bytes(array: np.ndarray, source: str) -> np.ndarray:
    """Scale pixels of any allowed type to uint8."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "u" and size == 1:
        return array
    if kind == "u" and size == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # v / 257, rounded
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind == "f":
        return _unit_to_bytes(array, source)
    wanted = "pixels must be uint8, uint16, bool or float in 0..1"
    hint = "if they lie in 0..255 use image.astype(np.uint8), else divide by the maximum"
    raise ImageError(source, f"{wanted}, these are {array.dtype}: {hint}")


def _unit_to_bytes(array: np.ndarray, source: str) -> np.ndarray:
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise ImageError(source, "the pixels hold NaN or infinite values: replace them, for instance by np.nan_to_num")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        hint = "divide by the maximum (255 for 8-bit values)"
        raise ImageError(source, f"float pixels must lie in 0..1, these lie in {low:g}..{high:g}: {hint}")
    return np.rint(np.clip(array, 0, 1).astype(np.float64) * 255).astype(np.uint8)
