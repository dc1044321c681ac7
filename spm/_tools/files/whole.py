"""Files: a path and its content in, the file whole or the old one out; the name of what ships in, its content out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import IO

from ...errors import SpmError

PACKAGE = __name__.partition(".")[0]


def write_whole(path: str | os.PathLike[str], content: bytes | Callable[[IO[bytes]], object], what: str) -> Path:
    """Write a file whole, or not at all: under a name of its own, flushed to the disk, and then renamed.

    An old file of that name stays until the new one is complete, and other threads and processes that write the same
    file at the same time neither see nor break this one's half: the last to end wins.

    Parameters
    ----------
    path : path
    content : bytes or callable
        Or what writes to a file that it is given.
    what : str
        What to call it in a message, such as "the model".

    Returns
    -------
    Path

    Raises
    ------
    SpmError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> write_whole(os.path.join(tempfile.mkdtemp(), "page.html"), b"<p>", "the report").read_bytes()
    b'<p>'
    """
    path = Path(path)
    part = ""
    try:
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, _mode_of(path))
        os.replace(part, path)
    except OSError as error:
        raise SpmError(f"{path}: {what} cannot be saved ({error.strerror})") from error
    finally:
        with suppress(OSError):
            os.unlink(part)
    return path


def _mode_of(path: Path) -> int:
    """Return the permissions of the file that is replaced, or those that a new one has."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def read_shipped(name: str) -> bytes:
    """Read a file of ``data/``: inside the package where it was installed, beside it in the tree that it comes from.

    Raises
    ------
    FileNotFoundError

    Examples
    --------
    >>> read_shipped("registry.json")[:1]
    b'{'
    """
    package = files(PACKAGE)
    inside = package.joinpath("data", name)
    if inside.is_file():
        return inside.read_bytes()
    return (Path(str(package)).parent / "data" / name).read_bytes()
