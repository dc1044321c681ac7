"""A table with a file and a label in each row in, the images' paths and labels out, and who trains and who tests."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np

from .._tools.public import public
from .._tools.text import printable
from ..errors import SpmError, check_choice
from .columns import Columns, read_columns
from .listing import is_image, walk_images

if TYPE_CHECKING:
    from sklearn.utils import Bunch

log = logging.getLogger(__name__)

NAMES = {
    "file": "file filename file_name filepath file_path path image image_name image_path image_id img img_path photo "
    "photo_path photograph picture",
    "label": "label class class_name classname target category",
    "split": "split set subset part partition train is_train",
}
"""What columns are called, whatever their case; blanks and hyphens count as ``_``."""

PARTS = {
    "train": "train training trn true 1 yes",
    "test": "test testing tst eval evaluation false 0 no",
    "validation": "validation valid val dev development",
}
"""The words for each part of a data set, whatever their case."""

PART_OF = {word: part for part, words in PARTS.items() for word in words.split()}
NOT_LISTED = "not in the table"
SHOWN = 3  # rows in a message


@public()
def load_table(
    table: Any,
    *,
    images: str | os.PathLike[str] | None = None,
    file: Any = None,
    label: Any = None,
    split: Any = None,
    on_error: str = "raise",
) -> Bunch:
    """List images by a table that names a file and its label in each row, and perhaps who trains and who tests.

    Parameters
    ----------
    table : path, DataFrame or mapping
        A CSV file (UTF-8; commas, semicolons, tabs or bars; with or without a head), a DataFrame of pandas or the like,
        or a mapping of columns.
    images : path, optional
        The folder that the files' names are relative to; by default that of the CSV file, or else the working
        directory. Names may have sub-folders, lack their extension (``0001`` for ``0001.jpg``), or be whole paths.
    file, label : str or int, optional
        The columns' names, or their numbers from 0. By default those that are called so or something like it, such as
        ``filename``, ``path`` or ``image`` and ``class``, ``target`` or ``category``.
    split : str, int or False, optional
        Likewise the column of who trains and who tests, such as ``split`` or ``subset``, with words such as ``train``,
        ``test`` and ``val``, or ``is_train`` with yes and no. There need be none; False takes none.
    on_error : {"raise", "skip"}, default="raise"
        What to do about rows without a file or a label, files that are not there, and files that are there twice:
        ``"skip"`` leaves these rows out; of a file that is there twice the first counts.

    Returns
    -------
    Bunch
        As from `load_folder`, row by row: ``data``: list of n paths; ``target``: ndarray of shape (n,), int, indices
        into ``target_names``: list of str, whole numbers by size; ``skipped``: list of (path, reason) of rows left out
        and, with `images`, of the images there that are in no row; ``folder``; ``DESCR``. With a split also
        ``split``: ndarray of shape (n,), str: train, test or validation; and ``train`` and ``test``: the positions of
        both, so that ``cv=[(found.train, found.test)]`` evaluates by it; what is for validation tests where
        nothing is for testing.

    Raises
    ------
    SpmError
        When the table cannot be read, or a column is not found or not the only one of its kind; and for faults in its
        rows, with the line of a file (from 1) or the row of a DataFrame (by position, from 0).

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import spm
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("1.jpg", "2.jpg", "3.jpg"):
    ...     (folder / name).touch()
    >>> rows = ["Filename,Class,Split", "3.jpg,dog,train", "1.jpg,cat,train", "2.jpg,dog,test"]
    >>> _ = (folder / "labels.csv").write_text("\\n".join(rows))
    >>> photos = spm.load_table(folder / "labels.csv")
    >>> photos.target, photos.target_names, photos.train, photos.test
    (array([1, 0, 1]), ['cat', 'dog'], array([0, 1]), array([2]))
    >>> _ = (folder / "labels.csv").write_text("Filename,Class\\n3.jpg,dog\\n4.jpg,cat\\n")
    >>> spm.load_table(folder / "labels.csv")
    Traceback (most recent call last):
    spm.SpmError: .../labels.csv, line 3: there is no file '4.jpg' in ... (on_error="skip" leaves it out)
    """
    check_choice("on_error", on_error, ("raise", "skip"))
    columns = read_columns(table, _is_head)
    beside = os.path.dirname(columns.source) or os.curdir if isinstance(table, str | os.PathLike) else os.curdir
    folder = beside if images is None else os.fspath(images)
    if not os.path.isdir(folder):
        raise SpmError(f"{folder}: there is no such folder")
    places = _places(columns, {"file": file, "label": label, "split": split})
    rows = _Rows(columns, places, _Files(folder, beside))
    if on_error == "raise" and rows.faults:
        raise _error(columns, rows)
    skipped = [(os.path.join(folder, name), f"{where}: {why}") for where, name, why in rows.faults]
    known = {os.path.abspath(path) for path in [*rows.data, *(path for path, _ in skipped)]}
    if images is not None:
        skipped += [(path, NOT_LISTED) for path in walk_images(folder) if os.path.abspath(path) not in known]
    _tell(columns.source, folder, skipped)
    if not rows.data:
        raise SpmError(f"{columns.source}: no row is left that can be used")
    return _bunch(columns.source, folder, rows, skipped)


def _is_head(cells: list[str]) -> bool:
    """Whether a file's first row names its columns: no name of an image is in it."""
    return not any(is_image(os.path.basename(cell)) for cell in cells)


def _plain(name: Any) -> str:
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def _places(columns: Columns, given: dict[str, Any]) -> dict[str, int]:
    """Return the place of the column for each purpose: as given, by its name, or as the only one that is left."""
    places: dict[str, int] = {}
    for what, name in given.items():
        if name is not None and name is not False:
            places[what] = columns.place_of(name, what)
    headless = columns.names == list(range(len(columns.names)))
    for what in ("file", "split", "label"):  # a label may be the one that is left
        if what not in places and given[what] is not False:
            free = [k for k in range(len(columns.names)) if k not in places.values()]
            found = _unnamed(columns, what, free) if headless else _named(columns, what, free)
            places.update({what: found} if found is not None else {})
    for what in ("file", "label"):
        if what not in places:
            raise SpmError(
                f"{columns.source}: which column holds the {what}s is not known by its name: it has "
                f"{columns.listed()}; give it as {what}=... (in commands by --columns FILE,LABEL)"
            )
    return places


def _named(columns: Columns, what: str, free: list[int]) -> int | None:
    """Return the free column whose name is known to mean something."""
    found = [k for k in free if _plain(columns.names[k]) in NAMES[what].split()]
    if what == "split":
        found = [k for k in found if _parts_in(columns, k) > 0]
    if what == "label" and not found and len(free) == 1:
        found = free
    if len(found) > 1:
        both = " and ".join(str(columns.names[k]) for k in found)
        raise SpmError(
            f"{columns.source}: {both} may each hold the {what}: give one as {what}=... (in commands by --columns)"
        )
    return found[0] if found else None


def _unnamed(columns: Columns, what: str, free: list[int]) -> int | None:
    """Return the free column of a file without a head by what is in it."""
    if what == "file":
        first = columns.rows[0][1]
        free = [k for k in free if k < len(first) and is_image(os.path.basename(first[k]))]
    elif what == "split":
        free = [k for k in free if _parts_in(columns, k) == len(columns.rows)] if len(free) > 1 else []
    return free[0] if free else None


def _parts_in(columns: Columns, place: int) -> int:
    """Return how many rows have a word for a part in a column."""
    return sum(len(cells) > place and cells[place].lower() in PART_OF for _, cells in columns.rows)


class _Files:
    """The files of a folder, by the names that a table may have for them."""

    def __init__(self, folder: str, beside: str) -> None:
        self.folder, self.beside = folder, beside

    def find(self, name: str) -> str | None:
        """Return the path of a file: as it is written, else with other slashes, other letters or its extension."""
        name = os.path.normpath(name)
        slashed = os.path.normpath(name.replace("\\", "/"))
        for base in (self.folder, self.beside):
            for path in (os.path.join(base, name), os.path.join(base, slashed)):
                if os.path.exists(path) and not os.path.isdir(path):
                    return path
        found = self._alike.get(normalize("NFC", slashed), [])
        return found[0] if len(found) == 1 else None

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """The images below the folder by their composed names, with their extension and without it."""
        alike: dict[str, list[str]] = {}
        for path in walk_images(self.folder):
            name = normalize("NFC", os.path.relpath(path, self.folder))
            for key in (name, os.path.splitext(name)[0]):
                alike.setdefault(key, []).append(path)
        return alike


class _Rows:
    """The rows of a table that can be used, and the faults of the others: (where, the file's name, why)."""

    def __init__(self, columns: Columns, places: dict[str, int], files: _Files) -> None:
        self.columns, self.places, self.files = columns, places, files
        self.data: list[str] = []
        self.labels: list[str] = []
        self.parts: list[str] = []
        self.faults: list[tuple[str, str, str]] = []
        self.n_missing = 0
        self._seen: dict[str, tuple[str, str]] = {}
        for where, cells in columns.rows:
            self._take(where, [*cells, *[""] * (len(columns.names) - len(cells))])

    def _take(self, where: str, cells: list[str]) -> None:
        name, label = cells[self.places["file"]], cells[self.places["label"]]
        part = cells[self.places["split"]] if "split" in self.places else None
        path = self.files.find(name) if name else None
        fault = self._fault(cells, name, label, part, path)
        if fault is None and path is not None:
            self.data.append(path)
            self.labels.append(label)
            self.parts += [] if part is None else [PART_OF[part.lower()]]
            self._seen[os.path.abspath(path)] = where, label
        else:
            self.faults.append((where, name, fault or ""))

    def _fault(self, cells: list[str], name: str, label: str, part: str | None, path: str | None) -> str | None:
        """Return what is wrong with a row, or None."""
        n_columns = len(self.columns.names)
        if any(cells[n_columns:]):
            return f"{len(cells)} values for {n_columns} columns: put a value with a comma into quotes"
        if not name:
            return "there is no file"
        if not label:
            return f"{name!r} is without a label"
        if any("\ud800" <= letter <= "\udfff" for letter in label):
            return "the label is not text in UTF-8: save the table anew in UTF-8"
        if part is not None and part.lower() not in PART_OF:
            return f"{part!r} is no part: wanted is train, test or validation (split=False takes no column for it)"
        if path is None:
            self.n_missing += 1
            return f"there is no file {name!r} in {self.files.folder}"
        where, before = self._seen.get(os.path.abspath(path), ("", label))
        if where:
            other = "" if before == label else f", there as {before!r} and here as {label!r}"
            return f"{name!r} was listed before, on {where}{other}"
        return None


def _error(columns: Columns, rows: _Rows) -> SpmError:
    """Return the error that names the first faulty rows."""
    faults = [f"{where}: {why}" for where, _, why in rows.faults]
    them = "them" if len(faults) > 1 else "it"
    if rows.n_missing == len(columns.rows):
        hint = "are the names relative to another folder? Give it as images"
    else:
        hint = f'on_error="skip" leaves {them} out'
    if len(faults) == 1:
        return SpmError(f"{columns.source}, {faults[0]} ({hint})")
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return SpmError(f"{columns.source}: {len(faults)} faults: {'; '.join(faults[:SHOWN])}{more} ({hint})")


def _tell(source: str, folder: str, skipped: list[tuple[str, str]]) -> None:
    """Log once which rows and images were left out."""
    unlisted = [os.path.relpath(path, folder) for path, why in skipped if why == NOT_LISTED]
    faults = [why for _, why in skipped if why != NOT_LISTED]
    told = [f"{_number(faults, 'row')} ({_first(faults, '; ')})"] * bool(faults)
    told += [f"{_number(unlisted, 'image')} {NOT_LISTED} ({_first(unlisted, ', ')})"] * bool(unlisted)
    if told:
        log.warning("%s: left out %s", printable(source), printable(" and ".join(told)))


def _number(items: list[str], what: str) -> str:
    return f"{len(items)} {what}{'s' * (len(items) > 1)}"


def _first(items: list[str], separator: str) -> str:
    return separator.join([*items[:SHOWN], *["..."] * (len(items) > SHOWN)])


def _bunch(source: str, folder: str, rows: _Rows, skipped: list[tuple[str, str]]) -> Bunch:
    from sklearn.utils import Bunch

    whole = all(label.isdecimal() for label in rows.labels)
    names = sorted(set(rows.labels), key=int if whole else None)
    code = {name: k for k, name in enumerate(names)}
    found = Bunch(
        data=rows.data,
        target=np.array([code[label] for label in rows.labels]),
        target_names=names,
        skipped=skipped,
        folder=folder,
        DESCR=f"Images of a table.\n\n{len(rows.data)} images in {len(names)} classes by {source} under {folder}",
    )
    if rows.parts:
        split = np.array(rows.parts)
        test = "test" if "test" in rows.parts else "validation"
        found.update(split=split, train=np.flatnonzero(split == "train"), test=np.flatnonzero(split == test))
    return found
