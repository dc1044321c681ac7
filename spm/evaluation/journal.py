"""The journal of a comparison: finished rows in, the same rows out when a comparison that was stopped goes on."""

from __future__ import annotations

import json
import logging
import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class Journal:
    """Rows by key, kept in a file of one JSON document a line until the comparison is complete.

    Parameters
    ----------
    path : path or None
        The file; None keeps nothing. It need not be there. A line that is damaged is left out.

    Examples
    --------
    >>> journal = Journal(None)
    >>> journal.add("a", {"accuracy": 0.5})
    >>> journal.get("a") is None
    True
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        self._rows: dict[str, dict[str, Any]] = {}
        if self.path is not None and self.path.is_file():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    self._rows[entry["key"]] = entry["row"]
                except (ValueError, TypeError, KeyError):  # such as half a line, written when the process was killed
                    continue

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the row that was kept under `key`, or None."""
        return self._rows.get(key)

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row. Where the file cannot be written, say so once and go on without."""
        if self.path is None:
            return
        line = json.dumps({"key": key, "row": row}, default=lambda value: value.tolist())
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # a line of its own, also after half a line
        except OSError as error:
            log.warning("rows are not kept: %s cannot be written (%s)", self.path, error.strerror)
            self.path = None

    def close(self) -> None:
        """Forget all rows: the comparison is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def key_of(*parts: Any) -> str:
    """Return a digest of all that a row depends on.

    Examples
    --------
    >>> key_of("photos", (1, 2, 4), 0) == key_of("photos", (1, 2, 4), 0) != key_of("photos", (1,), 0)
    True
    """
    import joblib

    return blake2b(str(joblib.hash(parts)).encode(), digest_size=10).hexdigest()
