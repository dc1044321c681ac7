"""A file that lists images to train on, and a folder's images, in; the positions of those to train and to test out."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

import numpy as np

from .._tools.files import read_at_most
from .._tools.public import public
from ..errors import SpmError
from .columns import MOST

if TYPE_CHECKING:
    from sklearn.utils import Bunch


@public("spm.datasets")
def read_train_list(path: str | os.PathLike[str], images: Bunch) -> tuple[np.ndarray, np.ndarray]:
    """Split a folder's images by a file that lists those to train on; all the others test.

    Parameters
    ----------
    path : str or path
        A text file with one path relative to the folder on each line, such as ``Coast/image_0001.jpg``, with ``/``
        on every system. Blank lines and lines that begin with ``#`` are skipped. Letters with accents are the same
        whether they are written as one character or as two, of which systems make different use.
    images : Bunch
        What `load_folder` returned for the folder.

    Returns
    -------
    train, test : ndarray of int
        Indices into ``images.data``, ascending.

    Raises
    ------
    SpmError
        When the file is missing or lists nothing or everything, and, with the line's number, for a path that is not
        in the folder or is listed twice.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import spm
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg"):
    ...     (folder / name).parent.mkdir(exist_ok=True)
    ...     (folder / name).touch()
    >>> _ = (folder / "train.txt").write_text("cat/2.jpg\\ndog/1.jpg\\n")
    >>> read_train_list(folder / "train.txt", spm.load_folder(folder))
    (array([1, 2]), array([0, 3]))
    """
    known = {Path(os.path.relpath(image, images.folder)).as_posix(): i for i, image in enumerate(images.data)}
    alike: dict[str, list[str]] = {}
    for name in known:
        alike.setdefault(normalize("NFC", name), []).append(name)
    chosen: dict[str, int] = {}
    for number, line in _listed_lines(path):
        where = f"{os.fspath(path)}, line {number}"
        name = _image_named(line, known, alike, f"{where}: there is no image {line!r} in {images.folder}")
        if name in chosen:
            raise SpmError(f"{where}: {line!r} was listed before, on line {chosen[name]}")
        chosen[name] = number
    if not 0 < len(chosen) < len(known):
        raise SpmError(
            f"{os.fspath(path)} lists {len(chosen)} of {len(known)} images to train on: at least one must train "
            "and at least one must be left to test"
        )
    train = np.sort([known[name] for name in chosen])
    return train, np.setdiff1d(np.arange(len(known)), train)


def _image_named(line: str, known: dict[str, int], alike: dict[str, list[str]], missing: str) -> str:
    """Return which of the known names a line means: that very one, or the only one with the same letters."""
    name = posixpath.normpath(line)
    found = [name] if name in known else alike.get(normalize("NFC", name), [])
    if len(found) == 1:
        return found[0]
    if found:
        raise SpmError(f"{missing}, but {len(found)} of the same letters, written differently: list them as they are")
    if any("\ud800" <= letter <= "\udfff" for letter in line):
        raise SpmError(f"{missing}; the line is not text in UTF-8: write the list anew in UTF-8")
    raise SpmError(missing)


def _listed_lines(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    try:
        text = read_at_most(path, MOST).decode("utf-8-sig", errors="surrogateescape")  # as names of files are read
    except OSError as error:
        raise SpmError(f"the list of training images {os.fspath(path)} cannot be read: {error.strerror}") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]
