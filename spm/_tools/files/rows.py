"""Rows of a table on disk: items and what makes a row of each in, one .npy file out; no finished row is made again.

Rows go to ``NAME.part``, which gets its name when all are there. What is finished stands in ``NAME.rows``: for each row
16 bytes, a digest of what it was made of, of how, and of the row itself. A row is taken for finished only where all of
that agrees, so that neither a torn row nor one of another image, another model or another order is ever taken.
"""

from __future__ import annotations

import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL

from ... import __version__
from ...errors import SpmError
from ...images import content_of
from ..opencv import cv2
from ..parallel import in_order
from .locks import locked

ENTRY = 16  # bytes that stand for a finished row
NOT_YET = bytes(ENTRY)
_OF_THIS_MACHINE = ("memory", "n_jobs", "random_state", "verbose")

Task = tuple[Any, bytes, bytes]  # an item, what stands for its row, and a digest of the row that is there


def rows_to_file(
    path: str | os.PathLike[str],
    items: Sequence[Any],
    make: Callable[[Any], Any],
    *,
    made_by: Any,
    n_values: int,
    dtype: str,
    content: Callable[[Any], bytes] = content_of,
    **workers: Any,
) -> np.ndarray:
    """Write ``make(item)`` for every item to a ``.npy`` file, and return the file mapped into memory, read-only.

    Called again for the same file, whether the first call was killed, failed or ended, it makes those rows that are not
    there. Two processes that write one file do so one after the other.

    Parameters
    ----------
    path : path
    items : sequence
    make : callable
        Returns `n_values` numbers, in any shape; for back-ends of processes it must be picklable.
    made_by : any
        What rows depend on beside the items; what belongs to a machine, `n_jobs` and the like, is left out of account.
    n_values : int
    dtype : str
    content : callable, default=spm.images.content_of
        Returns the bytes of an item: a row is made anew when they have changed.
    **workers
        As `in_order` takes them.

    Raises
    ------
    SpmError
        If the file cannot be written; finished rows are kept.

    Examples
    --------
    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "squares.npy")
    >>> squares = {"content": lambda k: bytes([k]), "n_values": 2, "dtype": "float32", "made_by": "k, k * k"}
    >>> rows_to_file(path, [1, 2, 3], lambda k: [k, k * k], **squares, n_jobs=1)
    memmap([[1., 1.],
            [2., 4.],
            [3., 9.]], dtype=float32)
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise SpmError(f"out={str(path)!r} must be a file with the ending .npy")
    key = digest_of([made_by, __version__, cv2.__version__, PIL.__version__])
    work = partial(_row, make=make, content=content, dtype=dtype, key=key)
    try:
        with _Rows(path, (len(items), n_values), np.dtype(dtype)) as rows:
            for i, made in enumerate(in_order(work, rows.tasks(items), total=len(items), **workers)):
                if made is not None:
                    rows.write(i, *made)
            rows.finish()
    except OSError as error:
        kept = f": what is finished is kept in {part}" if (part := _part_of(path)).exists() else ""
        raise SpmError(f"{path}: the vectors cannot be written ({error.strerror}){kept}") from error
    return np.load(path, mmap_mode="r")


def _row(task: Task, *, make: Any, content: Any, dtype: str, key: bytes) -> tuple[bytes, bytes] | None:
    """Return a row as bytes and what stands for it; None if it is there."""
    item, entry, there = task
    made_of = blake2b(content(item), digest_size=ENTRY, key=key).digest()
    if entry != NOT_YET and entry == _entry(made_of, there):
        return None
    row = np.ascontiguousarray(make(item), dtype=dtype).tobytes()
    return row, _entry(made_of, _digest_of_row(row))


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _digest_of_row(row: bytes) -> bytes:
    return blake2b(row, digest_size=ENTRY).digest()  # in place of the row it goes to whoever is to tell if it is right


def _entry(made_of: bytes, digest: bytes) -> bytes:
    return blake2b(digest, digest_size=ENTRY, key=made_of).digest()


class _Rows:
    """The files of a table that grows: whoever has entered it is the only one who writes."""

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype) -> None:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        )
        self.path, self.part = path, _part_of(path)
        self.head, self.n, self.width = head.getvalue(), shape[0], shape[1] * dtype.itemsize
        self.size = len(self.head) + self.n * self.width
        self._open = ExitStack()
        self.table: IO[bytes] | None = None
        self.writes = False
        self._lock = threading.Lock()  # back-ends of processes ask for the next items from threads of their own

    def __enter__(self) -> _Rows:
        with ExitStack() as stack:
            journal = os.open(f"{self.path}.rows", os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            self.journal = stack.enter_context(os.fdopen(journal, "r+b", buffering=0))
            stack.enter_context(locked(self.journal, str(self.path)))
            if os.fstat(journal).st_size != self.n * ENTRY:
                os.ftruncate(journal, self.n * ENTRY)
            self._find()
            stack.callback(self._close)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _close(self) -> None:
        if self.table is not None:
            self.table.close()

    def _find(self) -> None:
        """Open what is there of the table: what is being written, else what was finished, else a new one."""
        for path, mode in ((self.part, "r+b"), (self.path, "rb")):
            with suppress(FileNotFoundError):
                file: IO[bytes] = open(path, mode, buffering=0)  # noqa: SIM115 (it stays open)
                if os.fstat(file.fileno()).st_size == self.size and file.read(len(self.head)) == self.head:
                    self.table, self.writes = file, mode != "rb"
                    return
                file.close()
        self.table, self.writes = self._new(), True

    def _new(self) -> IO[bytes]:
        """Return a new table, for which the whole room on the disk is taken at once, where the system can."""
        file = open(self.part, "w+b", buffering=0)  # noqa: SIM115
        try:
            if hasattr(os, "posix_fallocate") and self.size:
                os.posix_fallocate(file.fileno(), 0, self.size)
            file.truncate(self.size)
            _write_at(file, self.head, 0)
        except OSError:
            file.close()
            self.part.unlink(missing_ok=True)
            raise
        return file

    def tasks(self, items: Sequence[Any]) -> Iterator[Task]:
        """Yield each item with what stands for its row, and a digest of the row, if it has one."""
        for i, item in enumerate(items):
            with self._lock:
                entry = _read_at(self.journal, ENTRY, i * ENTRY)
                row = b"" if entry == NOT_YET else _read_at(self.table, self.width, self._at(i))
            yield item, entry, _digest_of_row(row)

    def _at(self, i: int) -> int:
        return len(self.head) + i * self.width

    def write(self, i: int, row: bytes, entry: bytes) -> None:
        """Write a row, and then what stands for it."""
        with self._lock:
            if not self.writes:  # a finished table is not written into
                self._close()
                shutil.copyfile(self.path, self.part)
                self.table, self.writes = open(self.part, "r+b", buffering=0), True  # noqa: SIM115
            _write_at(self.table, row, self._at(i))
            _write_at(self.journal, entry, i * ENTRY)

    def finish(self) -> None:
        """Give the table its name."""
        if self.writes:
            assert self.table is not None
            os.fsync(self.table.fileno())
            os.fsync(self.journal.fileno())
            self.table.close()
            os.replace(self.part, self.path)


def _read_at(file: Any, size: int, start: int) -> bytes:
    file.seek(start)
    return bytes(file.read(size))


def _write_at(file: Any, content: bytes, start: int) -> None:
    file.seek(start)
    left = memoryview(content)
    while left:  # the system may take less than it is given
        left = left[file.write(left) :]


def digest_of(thing: Any) -> bytes:
    """Return a digest of an object by its content: kinds, options, arrays; not what belongs to a machine.

    Examples
    --------
    >>> import spm
    >>> one, two, three = (spm.PyramidVectorizer(n_jobs=k, norm=norm) for k, norm in [(1, "l1"), (2, "l1"), (1, "l2")])
    >>> digest_of(one) == digest_of(two), digest_of(one) == digest_of(three)
    (True, False)
    """
    digest = blake2b(digest_size=32)
    for part in _told(thing):
        digest.update(b"%d " % len(part) + part)
    return digest.digest()


def _told(thing: Any) -> Iterator[bytes]:
    """Yield what an object is, in parts."""
    kind = type(thing)
    yield f"{kind.__module__}.{kind.__qualname__}".encode()
    if isinstance(thing, np.ndarray) and thing.dtype != object:
        yield f"{thing.dtype.str} {thing.shape}".encode() + np.ascontiguousarray(thing).tobytes()
    elif isinstance(thing, list | tuple | np.ndarray):
        for item in thing:
            yield digest_of(item)
    elif isinstance(thing, dict):
        for key in sorted(thing, key=repr):
            if key not in _OF_THIS_MACHINE:
                yield digest_of((key, thing[key]))
    elif isinstance(getattr(thing, "digest", None), str):  # a network
        yield thing.digest.encode()
    elif hasattr(thing, "__dict__") and not callable(thing):
        yield digest_of(getattr(thing, "__getstate__", lambda: vars(thing))())
    elif thing is None or isinstance(thing, str | bytes | int | float | complex | np.generic):
        yield repr(thing).encode()
    else:
        import joblib

        try:
            yield joblib.hash(thing).encode()
        except Exception as error:
            raise SpmError(f"{thing!r:.80} in a model cannot be told from others, as out= needs: {error}") from error
