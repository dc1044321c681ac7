"""Files: a path and its content in, the file whole or the old one out; the name of what ships in, its content out."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import IO

from ...errors import SpmError
from .left import own_file

PACKAGE = __name__.partition(".")[0]


def write_whole(
    path: str | os.PathLike[str], content: bytes | Callable[[IO[bytes]], object], what: str, *, flush: bool = True
) -> Path:
    """Write a file whole, or not at all: under a name of its own, flushed to the disk, and then renamed.

    An old file of that name stays until the new one is complete, and other threads and processes that write the same
    file at the same time neither see nor break this one's half: the last to end wins. What a process that is killed
    leaves of its half is hidden, read by no one, and removed by the next that writes into that folder.

    Parameters
    ----------
    path : path
    content : bytes or callable
        Or what writes to a file that it is given.
    what : str
        What to call it in a message, such as "the model".
    flush : bool, default=True
        Whether to wait until the disk has it. False is for what is made anew where it is found broken, such as an entry
        of a cache.

    Returns
    -------
    Path

    Raises
    ------
    SpmError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> import tempfile
    >>> write_whole(os.path.join(tempfile.mkdtemp(), "page.html"), b"<p>", "the report").read_bytes()
    b'<p>'
    """
    path, part = Path(path), None
    try:
        mode = _mode_of(path)
        handle, part = own_file(path.parent, path.name, 0o666 if mode is None else mode)
        with os.fdopen(handle, "w+b") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            if flush:
                os.fsync(file.fileno())
            if mode is not None:
                os.chmod(part, mode)
            if os.name != "nt":  # it is held until it has its name; there, no open file can be renamed
                os.replace(part, path)
        if os.name == "nt":
            os.replace(part, path)
    except OSError as error:
        raise SpmError(f"{path}: {what} cannot be saved ({error.strerror})") from error
    finally:
        if part is not None:
            with suppress(OSError):
                os.unlink(part)
    return path


def _mode_of(path: Path) -> int | None:
    """Return the permissions of the file that is replaced; None where there is none."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    return None


def read_at_most(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a file whole, if it is no larger than what is read of its kind: how large it is is asked before.

    Raises
    ------
    OSError
    SpmError
        If it is larger.

    Examples
    --------
    >>> import tempfile
    >>> path = write_whole(os.path.join(tempfile.mkdtemp(), "table.csv"), b"1,2", "the table")
    >>> read_at_most(path, 3)
    b'1,2'
    >>> read_at_most(path, 2)
    Traceback (most recent call last):
    spm.SpmError: ...table.csv: the file has 3 bytes; no more than 2 are read
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise SpmError(f"{os.fsdecode(path)}: the file has {size:,} bytes; no more than {most:,} are read")
        return file.read()


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
