"""Image files: a path in, what Pillow finds in the file out, the same whatever others have set in Pillow."""

from __future__ import annotations

import errno
import io
import math
import os
import re
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from PIL import GifImagePlugin, Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from ..errors import ImageError
from .text import printable

NOT_READ = {
    "EPS": "a page for printers, which another program would have to draw",
    "WMF": "a drawing, which Windows would have to draw",
    "MPEG": "a film",
    "BUFR": "weather data",
    "GRIB": "weather data",
    "HDF5": "a container of arrays",
    "IPTC": "a wrapper of another file",
}
"""Formats that Pillow knows and cannot turn into pixels by itself: the first starts another program, the last opens
what is in it, of whatever format, the first too."""

_USUAL = "AVIF BMP DIB GIF ICNS ICO JPEG JPEG2000 MPO PNG PPM TIFF WEBP"
_RARE = "BLP CUR DCX DDS FITS FLI FTEX GBR IM IMT MCIDAS MSP PCD PCX PIXAR PSD QOI SGI SPIDER SUN TGA XBM XPM XVTHUMB"
READ = frozenset(f"{_USUAL} {_RARE}".split())
"""Pillow's formats that are read: each decodes what is in the file by itself. What comes to Pillow later is not among
them; what the caller has registered himself, such as HEIF, is read."""

MAX_BYTES = 2**30
"""The most bytes that an image file may have."""

MAX_SECONDS = 60.0
"""The most seconds that a processor may work on one file, as far as its decoder asks for the file bit by bit."""

MAX_SCANNED = 10**10
"""The most pixels times scans of a JPEG file: each of its scans goes over all pixels, and may itself be a few bytes."""

_BLOCK = 1 << 20
_SMALL, _SMALL_TOGETHER = 1024, 16  # bytes of a small part of a file, and how many of these are read between two looks
_HEAD = 1 << 16  # that most files have ahead of their first scan
_TABLES = (b"\xff\xc4", b"\xff\xc8", b"\xff\xcc")  # of the markers among frames' those that begin none
_SCAN, _END = b"\xff\xda", b"\xff\xd9"  # markers of a JPEG file
_SEQUENTIAL = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc9")  # frames that are no progressive ones
_MARKER = re.compile(rb"\xff+[^\x00\x01\xff\xd0-\xd7]")  # not what stands for a value, nor what a scan has inside
_MORE_SUFFIXES = (".mpo", ".pjpeg", ".pjp", ".jif", ".jfi")  # of JPEG, which Pillow reads but does not list
_PNG = b"\x89PNG\r\n\x1a\n"
_BULK = (b"iCCP", b"tEXt", b"zTXt", b"iTXt")
_ORIENTING = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")  # texts that say which side is up
_KINDS = {
    stat.S_ISDIR: "a folder: give the name of one image file",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def image_suffixes() -> frozenset[str]:
    """Return the extensions, in small letters, of all kinds of files that are read: the one list of them.

    What a plugin has added to Pillow, such as HEIF, is among them.

    Examples
    --------
    >>> {".jpg", ".jpe", ".png", ".pgm", ".tif"} <= image_suffixes(), ".eps" in image_suffixes()
    (True, False)
    """
    Image.init()
    known = {suffix for suffix, kind in Image.EXTENSION.items() if suffix and kind in Image.OPEN and _is_read(kind)}
    return frozenset(known.union(_MORE_SUFFIXES))


def _is_read(kind: str) -> bool:
    """Whether a format is on the list, or of a plugin that is not Pillow's."""
    opener = Image.OPEN[kind][0]
    return kind in READ or (kind not in NOT_READ and not getattr(opener, "__module__", "PIL").startswith("PIL."))


def open_regular(path: str, most: int | None = None) -> IO[bytes]:
    """Open a regular file; a pipe or a device, which might never end, is refused without being opened.

    Parameters
    ----------
    path : str
    most : int, optional
        The most bytes that it may have; by default `MAX_BYTES`.

    Raises
    ------
    ImageError
        When it is of another kind, too large, or cannot be opened.
    """
    try:
        found, most = os.stat(path), MAX_BYTES if most is None else most
        mode, large = found.st_mode, found.st_size > most
        if stat.S_ISREG(mode) and not large:
            file = open(path, "rb", buffering=0)  # noqa: SIM115
            if found.st_size > _BLOCK:
                return _FileInTime(file)
            with file:  # a small file is read at once: a header alone is asked for in dozens of parts
                content = file.read(found.st_size + 1)
                return ContentInTime(content if len(content) == found.st_size else content + file.read())
    except OSError as error:
        raise ImageError(path, why_unreadable(error)) from error
    except ValueError as error:
        raise ImageError(path, f"no file can have this name ({error})") from error
    if stat.S_ISREG(mode):
        raise ImageError(path, f"the file has {found.st_size:,} bytes; no more than {most:,} are read")
    kind = next((kind for is_of_kind, kind in _KINDS.items() if is_of_kind(mode)), "of another kind")
    hint = "" if stat.S_ISDIR(mode) else ", no regular file: copy what it gives into one"
    raise ImageError(path, f"this is {kind}{hint}")


class TooSlow(Exception):
    """A decoder has worked for too long."""


class _InTime:
    """A file that is read no more once this thread has worked for `MAX_SECONDS` since it was first read.

    The clock is asked for every large part, and for some of the small ones, of which a header has dozens.
    """

    _until = math.inf
    _small = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size < _SMALL:
            self._check()
        else:
            self._count()
        return super().read(size)  # type: ignore[misc]

    def readline(self, size: int | None = -1, /) -> bytes:
        self._count()
        return super().readline(size)  # type: ignore[misc]

    def _count(self) -> None:
        self._small += 1
        if self._small % _SMALL_TOGETHER == 1:
            self._check()

    def _check(self) -> None:
        now = time.thread_time()
        if self._until == math.inf:
            self._until = now + MAX_SECONDS
        if now > self._until:
            raise TooSlow(f"it takes more than {MAX_SECONDS:g} seconds")


class _FileInTime(_InTime, io.BufferedReader): ...


class ContentInTime(_InTime, io.BytesIO):
    """The content of a file, held in the same way."""


def scans_are_many(file: IO[bytes], most: int) -> bool:
    """Whether the image of a JPEG file has more scans than so many; behind its end and in its segments lie none of it.

    Examples
    --------
    >>> scan = b"\\xff\\xda\\0\\2.."
    >>> scans_are_many(io.BytesIO(b"\\xff\\xd8" + scan * 3 + b"\\xff\\xd9" + scan * 9), 3)
    False
    """
    if file.seek(0, os.SEEK_END) <= len(_SCAN) * most:  # too short for so many, as small images are: it is not read
        return False
    file.seek(0)
    if _is_one_scan(file.read(_HEAD)):
        return False
    signs, last = 0, b""
    file.seek(0)
    while block := file.read(_BLOCK):
        signs += (last + block).count(_SCAN)
        last = block[-1:]
    if signs <= most:  # as in all but a few files
        return False
    file.seek(0)
    return sum(kind == _SCAN for kind, _ in _segments(file.read())) > most


def _is_one_scan(head: bytes) -> bool:
    r"""Whether a JPEG file begins with a scan of all that a sequential frame has: no other is decoded after it.

    libjpeg's ``initial_setup`` and ``consume_markers`` (jdinput.c): a second one there is an error.

    Examples
    --------
    >>> frame, scan = b"\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0", b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    >>> _is_one_scan(b"\xff\xd8" + frame + scan), _is_one_scan(b"\xff\xd8" + frame.replace(b"\xc0", b"\xc2") + scan)
    (True, False)
    """
    components = 0
    for kind, content in _segments(head):
        if kind == _SCAN:
            return len(content) > 0 and content[0] == components
        if b"\xff\xc0" <= kind <= b"\xff\xcf" and kind not in _TABLES:
            if components or kind not in _SEQUENTIAL or len(content) < 6:
                return False
            components = content[5]
    return False


def _segments(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield a JPEG file's segments up to its end: their markers, and what is in them."""
    at = 2
    while found := _MARKER.search(content, at):
        at, kind = found.end(), content[found.end() - 2 : found.end()]
        if kind == _END:
            return
        length = int.from_bytes(content[at : at + 2], "big")
        yield kind, content[at + 2 : at + length]
        at += length


def identify(file: IO[bytes]) -> Image.Image:
    """Return the image of a file, its header read and nothing decoded.

    This is ``Image.open`` without Pillow's pixel limit, which warns, and without losing what the decoders said.

    Raises
    ------
    PIL.UnidentifiedImageError
        If it is no image that can be read; with what was said by the decoders of the formats that it begins like.
    """
    prefix = file.read(16)
    tried: set[str] = set()
    said: list[str] = []
    if prefix.startswith(_PNG):
        file = _without_bulk(file)
    for load_plugins in (Image.preinit, Image.init):  # the common formats, then all
        load_plugins()
        for kind in [kind for kind in Image.OPEN if kind not in tried]:
            tried.add(kind)
            opener, accepts = Image.OPEN[kind]
            accepted = accepts is None or _accepts(accepts, prefix)
            if not _is_read(kind):
                if accepted and accepts is not None:  # else Pillow's plugin would have to try
                    raise UnidentifiedImageError(f"it is {NOT_READ.get(kind, 'of a kind that is not read')} ({kind})")
                continue
            if isinstance(accepted, str):  # why this format is not supported
                said.append(accepted)
            elif accepted:
                try:
                    file.seek(0)
                    return opener(file, "")
                except Exception as error:  # it is of another format, or damaged
                    said += [f"{kind}: {words_of(error)}"] if accepts is not None else []
    raise UnidentifiedImageError("; ".join(said))


def _accepts(accepts: Any, prefix: bytes) -> bool | str:
    try:
        return accepts(prefix) or False
    except Exception:  # too few bytes for it
        return False


def _without_bulk(file: IO[bytes]) -> IO[bytes]:
    """Return a PNG without its texts and its colour profile, on which no pixel depends: Pillow refuses large ones."""
    size, start, position = file.seek(0, os.SEEK_END), 0, len(_PNG)
    kept = []
    while position + 12 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        end = position + 12 + length  # behind its check sum
        if end > size:
            break
        if kind in _BULK and not file.read(32).startswith(_ORIENTING):
            kept.append((start, position))
            start = end
        position = end
    if not kept:
        return file
    whole = io.BytesIO()
    for first, last in [*kept, (start, size)]:
        file.seek(first)
        whole.write(file.read(last - first))
    return whole


# Messages


def why_unreadable(error: Exception) -> str:
    """Say why a file gave no image, in the system's or the decoder's own words."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        told = f" ({printable(error)})" if str(error) else ""
        return (
            f"this is no image that Pillow can read, or its header is damaged{told}: get it again or convert it to PNG"
        )
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        return f"the file cannot be read ({error.strerror})"
    if "truncated" in str(error).lower():
        return f"the image is incomplete ({words_of(error)}): get it again"
    return (
        f"the image cannot be decoded ({words_of(error)}): if another program can open it, convert it there to PNG, "
        "else get it again"
    )


def words_of(error: Exception) -> str:
    """Return what an error says; its name where it says nothing."""
    return printable(error) or type(error).__name__


# Pillow's settings


_lock = threading.Lock()
_depth = 0
_before: list[tuple[Any, str, Any, Any]] = []  # module, name, what others had set, what is set here


@contextmanager
def pillow_set_as_usual(max_pixels: int) -> Iterator[None]:
    """Hold Pillow's settings, which are the whole process's, to fixed values while any reader is inside.

    They decide which files are read and with which pixels. The first to enter sets them, the last to leave gives back
    what others had set.
    """
    global _depth
    with _lock:
        if _depth == 0:
            _set(max_pixels)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            while _depth == 0 and _before:
                module, name, value, ours = _before.pop()
                if getattr(module, name) is ours:  # else somebody has set it meanwhile
                    setattr(module, name, value)


def _set(max_pixels: int) -> None:
    wanted = (
        (ImageFile, "LOAD_TRUNCATED_IMAGES", False),
        (Image, "MAX_IMAGE_PIXELS", max_pixels),  # of images inside images, such as icons
        (PngImagePlugin, "MAX_TEXT_CHUNK", 2**26),
        (PngImagePlugin, "MAX_TEXT_MEMORY", 2**27),
        (GifImagePlugin, "LOADING_STRATEGY", GifImagePlugin.LoadingStrategy.RGB_AFTER_FIRST),
        (TiffImagePlugin, "READ_LIBTIFF", False),
    )
    for module, name, value in wanted:
        _before.append((module, name, getattr(module, name), value))
        setattr(module, name, value)
