"""Locks: an open file in, the one process or thread that holds it out; the system frees what a killed one held."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

log = logging.getLogger(__name__)


@contextmanager
def locked(file: Any, what: str) -> Iterator[None]:
    """Hold a file against other processes and threads that ask for it, and wait for one that has it; it says so.

    Where the file system knows no locks, nothing is held: there a file must not be written by two at once.

    Parameters
    ----------
    file : file or int
        Open for writing; or the number of an open folder.
    what : str
        What waits, for the log, such as "vectors.npy".

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryFile() as file, locked(file, "it"):
    ...     file.write(b"alone")
    5
    """
    handle = file if isinstance(file, int) else file.fileno()
    take, free = lock_of_the_system()
    with suppress(OSError):  # no locks here
        if not take(handle, False):
            log.warning("%s is in use by another process: waiting for it", what)
            take(handle, True)
    try:
        yield
    finally:
        with suppress(OSError):
            free(handle)


def lock_of_the_system() -> tuple[Any, Any]:
    """Return what takes a lock of an open file, waiting or not, and says whether it has it; and what frees it."""
    if os.name == "nt":
        import msvcrt

        def take(handle: int, wait: bool) -> bool:
            while True:
                try:
                    os.lseek(handle, 0, os.SEEK_SET)
                    msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
                    return True
                except OSError:
                    if not wait:
                        return False
                    time.sleep(0.1)

        def free(handle: int) -> None:
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]

        return take, free
    import fcntl

    def take_lock(handle: int, wait: bool) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    return take_lock, lambda handle: fcntl.flock(handle, fcntl.LOCK_UN)


@contextmanager
def locked_folder(folder: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Hold a folder, in the same way; nothing is written into it. Where folders cannot be held, nothing is.

    Examples
    --------
    >>> with locked_folder(os.curdir, "it"):
    ...     pass
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # such as Windows
        yield
        return
    try:
        with locked(handle, what):
            yield
    finally:
        os.close(handle)
