"""The archive that a model file is: bytes in, looked over before anything of them is unpacked; and the seal on them.

A file of a stranger's may hold anything. What skops reads of it is bounded here first: how large its parts are, that
arrays are as long as their heads say and no pickles, that no part stands for more than is written of it.
"""

from __future__ import annotations

import io
import json
import zipfile
from hashlib import blake2b
from typing import IO, Any

import numpy as np

from ..errors import SpmError

SPARE = 2**24  # bytes that any file may unpack to
TIMES = 2  # and how many times its own size; what `save` writes is not packed at all
MOST_SCHEMA = 2**26  # bytes of the part that says what the others are: Python makes some twenty of each
SCHEMA = "schema.json"
SEAL = b"spm blake2b "
DIGITS = 64
_PLAIN = "Dict DefaultDict List Tuple Set Slice Json Bytes Bytearray NdArray MaskedArray DType"
_MADE = "RandomState RandomGenerator Object Type Function Tree Loss"
LOADERS = frozenset(f"{kind}Node" for kind in f"{_PLAIN} {_MADE}".split())
"""What skops may make of a part; among what is left out are bound methods, partial functions and calls."""

PROTOCOLS = (2,)  # of skops, which is there since 0.11 at the latest; older ones are read by older code


# The seal


def seal(data: bytes) -> bytes:
    """Return an archive with a digest of all of it at its end, as the archive's comment.

    Examples
    --------
    >>> whole = seal(_empty())
    >>> is_sealed(whole), is_sealed(_empty())
    (True, False)
    """
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = SEAL + b"0" * DIGITS
    body = file.getvalue()[:-DIGITS]
    return body + _digest(body)


def is_sealed(data: bytes) -> bool:
    """Whether an archive has a seal.

    Raises
    ------
    SpmError
        If it has another than it must.
    """
    start = len(data) - DIGITS
    if data[start - len(SEAL) : start] != SEAL:
        return False
    if _digest(memoryview(data)[:start]) != data[start:]:
        raise SpmError("it is damaged: what is in it has changed since it was saved")
    return True


def _digest(body: bytes | memoryview) -> bytes:
    return blake2b(body, digest_size=DIGITS // 2).hexdigest().encode()


def _empty() -> bytes:
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").close()
    return file.getvalue()


# What is in it


def check_archive(data: bytes) -> None:
    """Refuse an archive that would unpack to more than a small multiple of itself, or that is none of skops'.

    Raises
    ------
    SpmError
    zipfile.BadZipFile, KeyError, ValueError, ...
        Where it is damaged.

    Examples
    --------
    >>> import skops.io
    >>> check_archive(skops.io.dumps({"words": np.zeros(3)}))
    >>> check_archive(skops.io.dumps({"words": np.zeros(3_000_000)}, compression=zipfile.ZIP_DEFLATED))
    Traceback (most recent call last):
    spm.SpmError: its parts would unpack to 24,000,... bytes, where a file of ... bytes may hold 16,777,216: ...
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        limit = max(SPARE, TIMES * len(data))
        sizes = _sizes(archive)
        _bound(sum(sizes.values()), limit, len(data))
        if sizes[SCHEMA] > MOST_SCHEMA:
            raise SpmError(f"the list of its parts has {sizes[SCHEMA]:,} bytes; it may have {MOST_SCHEMA:,}")
        schema = json.loads(archive.read(SCHEMA))
        if schema["protocol"] not in PROTOCOLS:
            raise SpmError(f"it was written by protocol {schema['protocol']!r} of skops, which is not known here")
        files: dict[Any, tuple[str, str]] = {}
        _shape(schema, {}, files)
        _bound(sum(sizes[name] for name, _ in files.values()), limit, len(data))
        for name in {name for name, loader in files.values() if loader == "NdArrayNode"}:
            with archive.open(name) as part:
                _check_array(part, sizes[name], name)


def _bound(unpacked: int, limit: int, packed: int) -> None:
    if unpacked > limit:
        raise SpmError(
            f"its parts would unpack to {unpacked:,} bytes, where a file of {packed:,} bytes may hold {limit:,}: "
            "models are not packed when they are saved"
        )


def _sizes(archive: zipfile.ZipFile) -> dict[str, int]:
    """Return the size of each part by its name, as the archive tells it; zipfile reads no more than that."""
    sizes: dict[str, int] = {}
    for part in archive.infolist():
        name = part.filename
        if name in sizes or name.startswith("/") or any(sign in name for sign in ("..", "\\", ":", "/")):
            raise SpmError(f"it has a part of the name {name!r}, which leads elsewhere or is there twice")
        if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or part.flag_bits & 1:
            raise SpmError(f"its part {name!r} is packed in a way that models never are")
        sizes[name] = part.file_size
    return sizes


def _shape(value: Any, seen: dict[Any, bytes], files: dict[Any, tuple[str, str]]) -> bytes:
    """Return a digest of a part of the schema without names; find the parts in files, one for each object.

    An object that comes again has the number of the first, and skops takes the first for it. If it were written
    otherwise there, a few lines could stand for more objects than there is memory, each holding the one before twice.
    """
    if isinstance(value, list):
        return _hash("list", *(_shape(item, seen, files) for item in value))
    if not isinstance(value, dict):
        return _hash(repr(value))
    loader, number = value.get("__loader__"), value.get("__id__")
    if isinstance(loader, str) and loader not in LOADERS:
        raise SpmError(f"it has a part for skops' {loader}, which models never hold")
    if "pool_size" in value and value["pool_size"].get("content") != "4":
        raise SpmError("it has a source of random numbers of a size that numpy's do not have")
    file = value.get("file")
    if isinstance(file, str):
        files[number or len(files), file] = file, str(loader)
    told = [
        (key, item) for key, item in value.items() if key not in ("__id__", "file") or not isinstance(item, int | str)
    ]
    shape = _hash("dict", *(part for key, item in told for part in (repr(key), _shape(item, seen, files))))
    if number and not isinstance(number, dict | list) and seen.setdefault(number, shape) != shape:
        raise SpmError("it has two objects of one number")
    return shape


def _hash(*parts: str | bytes) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(b"%d " % len(content) + content)
    return digest.digest()


def _check_array(part: IO[bytes], size: int, name: str) -> None:
    """Refuse what is no array in numpy's own form of just that length; one of objects would be a pickle."""
    head = io.BytesIO(part.read(2**17))
    version = np.lib.format.read_magic(head)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(head)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(head)
    if dtype.hasobject:
        raise SpmError(f"its part {name!r} holds pickled objects, which are never read")
    count, rest = 1, size - head.tell()
    for length in shape:
        count *= length
    if count < 0 or min(shape, default=0) < 0 or count * dtype.itemsize != rest or count > max(rest, 2**20):
        raise SpmError(f"its array {name!r} says {shape} of {dtype}, but has {rest:,} bytes")
