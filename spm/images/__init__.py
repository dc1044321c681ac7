"""Image reading: a file, an array or a Pillow image in, uint8 pixels as a person sees them out."""

from .._tools.image_files import MAX_BYTES, MAX_SECONDS
from .reading import (
    MAX_PIXELS,
    ImageLike,
    Mirror,
    Seen,
    content_of,
    name_of,
    naming,
    read_image,
    reading_once,
    see_image,
    shrunk,
)
from .several import check_images, check_one_each

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_SECONDS",
    "ImageLike",
    "Mirror",
    "Seen",
    "check_images",
    "check_one_each",
    "content_of",
    "name_of",
    "naming",
    "read_image",
    "reading_once",
    "see_image",
    "shrunk",
]
