"""A file of comma-separated values or a DataFrame in, its columns as text, and where each row stands, out."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._tools.files import read_at_most
from .._tools.text import nearest
from ..errors import SpmError

MOST = 2**31  # bytes of a table that are read
DELIMITERS = ",;\t|"
WORKBOOK = b"PK\x03\x04"  # a zip file, as what Excel and LibreOffice save by default


@dataclass(frozen=True)
class Columns:
    """What a table holds.

    Attributes
    ----------
    source : str
        What to call the table in a message.
    names : list
        The columns' names; whole numbers from 0 for a file without a head.
    rows : list of (str, list of str)
        Where each row stands, such as ``"line 7"``, and its cells as text, an empty one for what is missing. A row of
        a file can have more or fewer cells than there are names.
    """

    source: str
    names: list[Any]
    rows: list[tuple[str, list[str]]]

    def place_of(self, name: Any, option: str) -> int:
        """Return the place of a column by its name, or by its number.

        Raises
        ------
        SpmError
            When there is no such column, or there are several.
        """
        found = [k for k, other in enumerate(self.names) if other == name]
        if not found and isinstance(name, int) and not isinstance(name, bool) and 0 <= name < len(self.names):
            found = [name]
        if len(found) == 1:
            return found[0]
        if found:
            raise SpmError(f"{self.source}: {len(found)} columns are called {name!r}: give {option} another name")
        near = nearest(str(name), [str(other) for other in self.names])
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise SpmError(f"{self.source}: there is no column {name!r} ({option}): {meant}It has {self.listed()}")

    def listed(self) -> str:
        """Return the columns' names as text."""
        return ", ".join(map(str, self.names))


def read_columns(table: Any, is_head: Any) -> Columns:
    """Read a table.

    Parameters
    ----------
    table : path, DataFrame or mapping
        A text file in UTF-8, or UTF-16 with its mark, whose values are separated by commas, semicolons, tabs or
        bars, whichever is most in the first line; a DataFrame of pandas or the like; or a mapping of columns.
    is_head : callable
        Says of a file's first row, a list of str, whether it names the columns.

    Raises
    ------
    SpmError
        When it is none of these, is empty, cannot be read, or has quotes that do not end.

    Examples
    --------
    >>> read_columns({"file": ["a.jpg"], "label": ["cat"]}, bool).rows
    [('row 0', ['a.jpg', 'cat'])]
    """
    if isinstance(table, str | os.PathLike):
        return _of_file(os.fspath(table), is_head)
    if hasattr(table, "columns") and hasattr(table, "to_numpy"):
        return _of_rows(list(table.columns), table.to_numpy().tolist())
    if isinstance(table, Mapping):
        lengths = {name: len(column) for name, column in table.items()}
        if len(set(lengths.values())) > 1:
            raise SpmError(f"the table's columns must be of one length, got {lengths}")
        return _of_rows(list(table), [list(row) for row in zip(*table.values(), strict=True)])
    raise SpmError(f"a table must be the path of a CSV file or a DataFrame, got {type(table).__name__}")


def _of_rows(names: list[Any], rows: Sequence[Sequence[Any]]) -> Columns:
    if not rows:
        raise SpmError("the table has no rows")
    return Columns("the table", names, [(f"row {k}", [_text(cell) for cell in row]) for k, row in enumerate(rows)])


def _text(value: Any) -> str:
    """Return a cell as text; what stands for nothing in pandas, NaN above all, is empty."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():  # whole numbers beside a missing one
        return str(int(value))
    return os.fsdecode(value) if isinstance(value, os.PathLike | bytes) else str(value).strip()


def _of_file(path: str, is_head: Any) -> Columns:
    text = _read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter, start = max(DELIMITERS, key=first.count), 0
    if first.lower().startswith("sep=") and len(first) == 5:  # Excel's own way to say so
        delimiter, start = first[4], 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    rows, line = [], 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((f"line {line}", [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise SpmError(f"{path}, line {line}: the values cannot be told apart ({error}): mend the quotes") from error
    rows = rows[start:]
    if rows and is_head(rows[0][1]):
        names: list[Any] = rows.pop(0)[1]
    else:
        names = list(range(max((len(cells) for _, cells in rows), default=0)))
    if not rows:
        raise SpmError(f"{path}: the table has no rows")
    return Columns(path, names, rows)


def _read_text(path: str) -> str:
    try:
        data = read_at_most(path, MOST)
    except OSError as error:
        raise SpmError(f"{path}: the table cannot be read ({error.strerror})") from error
    if data.startswith(WORKBOOK):
        raise SpmError(
            f"{path} is a workbook, no text: save it as CSV, or give what pandas.read_excel makes of it (load_table)"
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace").replace("\0", "\ufffd")  # csv refused it before Python 3.11
    return data.decode("utf-8-sig", errors="surrogateescape").replace("\0", "\ufffd")  # as names of files are read
