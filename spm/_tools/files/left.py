"""What is unfinished: a folder in, files and folders of one's own in it out; what killed processes left is removed.

The name of each tells its machine, and while a process is at work on it, that process holds it by a lock. The system
frees the lock of a process that is killed: whoever then gets it knows that no one is at work there any more.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from .locks import lock_of_the_system

END = ".spm-part"
PAUSE = 60.0  # seconds until a process looks again for what was left in a folder
_MANY = 1000  # folders that are remembered
_looked: dict[str, float] = {}


def own_file(folder: Path, name: str, mode: int = 0o666) -> tuple[int, Path]:
    """Make a file that is to become `name`, and hold it until its handle is closed.

    Parameters
    ----------
    folder : Path
    name : str
    mode : int
        Permissions, of which the system takes away what it takes from every new file.

    Returns
    -------
    int, Path
        The file, open to read and write, and its hidden name.

    Raises
    ------
    OSError
    """
    clear_left(folder)
    while True:
        path = folder / _new_name(name)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        except FileExistsError:
            continue
        if _holds(handle, path):
            return handle, path
        os.close(handle)  # whoever clears up was quicker


@contextmanager
def own_folder(parent: str | os.PathLike[str], name: str) -> Iterator[Path]:
    """Give a folder of one's own that goes again; if the process is killed, with the next one that asks for such.

    Examples
    --------
    >>> import tempfile
    >>> with own_folder(tempfile.mkdtemp(), "unpacking") as folder:
    ...     folder.is_dir(), folder.name.startswith(".unpacking.")
    (True, True)
    >>> folder.exists()
    False
    """
    clear_left(Path(parent))
    while True:
        folder = Path(parent) / _new_name(name)
        folder.mkdir(mode=0o700)
        try:
            handle = None if os.name == "nt" else os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # whoever clears up was quicker
            continue
        if handle is None or _holds(handle, folder):
            break
        os.close(handle)  # the same, a moment later
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def clear_left(folder: Path) -> None:
    """Remove what killed processes of this machine and user have left in a folder; never what one is at work on.

    Where the file system has no locks, and on Windows, nothing is removed.
    """
    place, now = os.path.abspath(folder), time.monotonic()
    if os.name == "nt" or now - _looked.get(place, -PAUSE) < PAUSE:
        return
    if len(_looked) >= _MANY:
        _looked.clear()
    _looked[place] = now
    with suppress(OSError), os.scandir(folder) as entries:
        for path in [entry.path for entry in entries if entry.name.endswith(_end()) and entry.name.startswith(".")]:
            with suppress(OSError):
                _clear(path)


def _clear(path: str) -> None:
    found = os.lstat(path)
    folder = stat.S_ISDIR(found.st_mode)
    if not (folder or stat.S_ISREG(found.st_mode)) or found.st_uid != os.geteuid():
        return
    handle = os.open(path, (os.O_RDONLY if folder else os.O_RDWR) | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if lock_of_the_system()[0](handle, False):
            shutil.rmtree(path) if folder else os.unlink(path)
    finally:
        os.close(handle)


def _holds(handle: int, path: Path) -> bool:
    """Whether a new file is held now, and still there under its name."""
    try:
        if not lock_of_the_system()[0](handle, False):
            return False
    except OSError:  # no locks here
        return True
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _new_name(name: str) -> str:
    return f".{name[:40]}.{secrets.token_hex(4)}{_end()}"


@lru_cache(maxsize=1)
def _end() -> str:
    """Return the end of the names of this machine: locks may not reach to others that share a disk with it."""
    return f".{blake2b(platform.node().encode(), digest_size=4).hexdigest()}{END}"
