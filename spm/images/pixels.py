"""Pixels: an array or an opened Pillow image of any kind in, uint8 pixels as a person sees them out."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image, ImageOps

from .._tools.image_files import why_unreadable
from .._tools.opencv import cv2
from ..errors import ImageError

CHANNELS: dict[str, tuple[tuple[int, ...], ...]] = {"rgb": ((3,),), "grey": ((),), "stored": ((), (3,))}
WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa")
ROUNDING = 1e-6  # how far beyond 0..1 a float may lie by rounding alone


def from_pillow(image: Image.Image, mode: str, source: str) -> np.ndarray:
    """Return the pixels of an opened Pillow image, upright, in a mode of `spm.images.read_image`.

    Raises
    ------
    ImageError
        If it cannot be decoded.
    """
    try:
        image.load()
        white_is_zero = getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0
        image = _upright(image)
        pixels = _deep_pixels(image, white_is_zero) if image.mode[0] in "IF" else _pixels(image, mode)
    except Exception as error:
        raise ImageError(source, why_unreadable(error)) from error
    return from_array(pixels, mode, source)


def _upright(image: Image.Image) -> Image.Image:
    """Turn the image as its EXIF tag says."""
    if image.format == "TIFF":  # Pillow has turned it while loading (and 10.0 leaves the tag in place)
        return image
    return ImageOps.exif_transpose(image) if orientation_of(image) in range(2, 9) else image


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF tag: 1 for upright, 5 to 8 for an image on its side."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged tag is no reason to refuse good pixels
        return 1
    return found if found in range(2, 9) else 1


def _deep_pixels(image: Image.Image, white_is_zero: bool) -> np.ndarray:
    """Return 16-bit or float grey: Pillow keeps some 16-bit images in 32 bits and does not invert 16-bit negatives."""
    pixels = np.array(image)
    if pixels.dtype == np.int32 and pixels.size and pixels.min() >= 0 and pixels.max() <= 65535:
        pixels = pixels.astype(np.uint16)
    return 65535 - pixels if white_is_zero and pixels.dtype.kind == "u" else pixels


def _pixels(image: Image.Image, mode: str) -> np.ndarray:
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    wanted = "L" if mode == "grey" or (mode == "stored" and image.mode == "L") else "RGB"
    if (image.mode, wanted) == ("L", "RGB"):  # OpenCV widens 5 times faster than Pillow
        return cv2.cvtColor(np.asarray(image), cv2.COLOR_GRAY2RGB)
    return np.array(image if image.mode == wanted else image.convert(wanted))


# Arrays


def from_array(array: np.ndarray, mode: str, source: str = "array") -> np.ndarray:
    """Return an array's pixels in a mode of `spm.images.read_image`.

    Raises
    ------
    ImageError
        For another type, shape or range.
    """
    if array.size == 0:
        raise ImageError(source, f"the image has no pixels: its shape is {array.shape}")
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in (1, 3, 4)):
        wanted = "(height, width) or (height, width, channels) with 1, 3 or 4 channels"
        hint = "put its channels last, np.moveaxis(image, 0, -1)" if array.ndim == 3 else "give one image at a time"
        raise ImageError(source, f"an image must be of shape {wanted}, this is of shape {array.shape}: {hint}")
    pixels = _to_bytes(array, source)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.shape[2:] in CHANNELS[mode]:
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
    if low < -ROUNDING or high > 1 + ROUNDING:
        hint = "divide by the maximum (255 for 8-bit values)"
        raise ImageError(source, f"float pixels must lie in 0..1, these lie in {low:g}..{high:g}: {hint}")
    return np.rint(np.clip(array, 0, 1).astype(np.float64) * 255).astype(np.uint8)
