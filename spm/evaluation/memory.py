"""Memory: a piece of work in, the most memory that the process held meanwhile out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INTERVAL = 0.01  # seconds between two looks
_STATUS = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """Return the bytes of memory that this process holds now; None where the system does not tell."""
    try:
        return int(_STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


class Peak:
    """The most that was seen so far, in bytes, or None."""

    value: int | None = None

    def look(self) -> None:
        """Take what the process holds now into account."""
        seen = resident_bytes()
        if seen is not None:
            self.value = max(seen, self.value or 0)


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Watch this process's resident memory, every hundredth of a second; workers in other processes are not seen.

    Examples
    --------
    >>> with peak_memory() as peak:
    ...     _ = bytes(10)
    >>> peak.value is None or peak.value > 0
    True
    """
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL):
            peak.look()

    peak.look()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak.look()
