"""Rows in a file: many vectors in, one after the other, some of them back out when asked; none are held."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..._tools.files import write_whole

KIND = np.dtype("<f2")


class RowsOnDisk:
    """A matrix whose rows lie in a file as float16, each divided by its largest value, and are read when asked for.

    Parameters
    ----------
    path : path
    scales : ndarray of shape (n,), float32
        The largest value of each row.
    width : int
        Values in a row.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rows"
    >>> scales = RowsOnDisk.write(path, [np.eye(2), np.full((1, 2), 1e6)])
    >>> rows = RowsOnDisk(path, scales, 2)
    >>> rows[[2, 0]].tolist(), rows.shape
    ([[1000000.0, 1000000.0], [1.0, 0.0]], (3, 2))
    """

    def __init__(self, path: str | os.PathLike[str], scales: np.ndarray, width: int) -> None:
        self.path, self.scales = Path(path), scales
        self.shape = len(scales), width
        self.dtype = np.dtype(np.float32)

    @staticmethod
    def write(path: str | os.PathLike[str], parts: Iterable[np.ndarray]) -> np.ndarray:
        """Write parts of a matrix one below the other; return the scales of the rows."""
        scales: list[np.ndarray] = []

        def fill(file: IO[bytes]) -> None:
            for part in parts:
                largest = np.abs(part).max(axis=1, initial=0).astype(np.float32)
                scales.append(np.where(largest > 0, largest, 1))
                file.write((part / scales[-1][:, None]).astype(KIND).tobytes())

        write_whole(path, fill, "the vectors that a detector learns from")
        return np.concatenate([*scales, np.empty(0, dtype=np.float32)])

    def __len__(self) -> int:
        return len(self.scales)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return rows by their places: shape (n, width), float32."""
        places, width = np.arange(len(self))[rows], self.shape[1]
        values = np.empty((len(places), width), dtype=np.float32)
        for place, row in zip(places.tolist(), values, strict=True):
            row[:] = np.fromfile(self.path, KIND, width, offset=place * width * KIND.itemsize)
        values *= self.scales[places, None]
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)
