"""A folder with one sub-folder for each class in, the images' paths and labels out."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._tools.public import public
from ..errors import SpmError

if TYPE_CHECKING:
    from sklearn.utils import Bunch

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
LAYOUT = "wanted is one sub-folder for each class: {folder}/cats/1.jpg, {folder}/dogs/2.jpg, ..."


def images_by_class(folder: str | os.PathLike[str]) -> dict[str, list[str]]:
    """List the images of every class folder.

    Parameters
    ----------
    folder : path
        The folder that holds the class folders.

    Returns
    -------
    dict of str to list of str
        Class names in order, each with its images' paths in order; empty for a class folder without images.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))
    return {name: _images_below(os.path.join(folder, name)) for name in names}


def _images_below(folder: str) -> list[str]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [os.path.join(parent, name) for name in files if is_image(name)]
    return sorted(found)


def is_hidden(name: str) -> bool:
    """Whether a file or folder belongs to the system rather than to the data: ``.DS_Store``, ``__MACOSX``."""
    return name.startswith((".", "__MACOSX"))


def is_image(name: str) -> bool:
    """Whether a file name has an image's extension, in any case."""
    return name.lower().endswith(SUFFIXES) and not is_hidden(name)


def bunch_of(folder: str | os.PathLike[str], by_class: dict[str, list[str]], about: str) -> Bunch:
    """Join the classes' lists of paths into what `load_folder` returns."""
    from sklearn.utils import Bunch

    sizes = [len(paths) for paths in by_class.values()]
    return Bunch(
        data=[path for paths in by_class.values() for path in paths],
        target=np.repeat(np.arange(len(sizes)), sizes),
        target_names=list(by_class),
        folder=os.fspath(folder),
        DESCR=f"{about}\n\n{sum(sizes)} images in {len(sizes)} classes under {os.fspath(folder)}",
    )


@public()
def load_folder(path: str | os.PathLike[str], *, exclude_empty: bool = False) -> Bunch:
    """List a folder of images with one sub-folder for each class.

    Images are told by extension (jpg, jpeg, png, bmp, tif, tiff, webp, gif, in any case) and are not opened. Folders
    inside a class folder belong to that class. Hidden files and folders, other files, and images that lie beside the
    class folders are left out.

    Parameters
    ----------
    path : str or path
        The folder.
    exclude_empty : bool, default=False
        Leave class folders without images out, instead of refusing them.

    Returns
    -------
    Bunch
        ``data``: list of n paths, class by class, in order; ``target``: ndarray of shape (n,), int, indices into
        ``target_names``: list of the class folders' names; ``folder``: `path` as a string; ``DESCR``.

    Raises
    ------
    SpmError
        When the folder is missing, is a file, or has no class folders, and for a class folder without images.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat/1.jpg", "cat/2.JPG", "dog/1.png", "dog/notes.txt"):
    ...     (folder / name).parent.mkdir(exist_ok=True)
    ...     (folder / name).touch()
    >>> photos = load_folder(folder)
    >>> photos.target, photos.target_names
    (array([0, 0, 1]), ['cat', 'dog'])
    """
    _check_folder(path)
    by_class = images_by_class(path)
    empty = [name for name, images in by_class.items() if not images]
    if empty and not exclude_empty:
        raise SpmError(
            f"{os.fspath(path)}: no images in the class folder{'s' * (len(empty) > 1)} {', '.join(empty)} "
            f"(extensions looked for: {' '.join(SUFFIXES)}); remove it or set exclude_empty=True"
        )
    by_class = {name: images for name, images in by_class.items() if images}
    if not by_class:
        loose = sum(is_image(name) for name in os.listdir(path))
        found = f"{loose} images lie directly in it" if loose else "no images in it"
        raise SpmError(f"{os.fspath(path)}: {found}; {LAYOUT.format(folder=os.fspath(path))}")
    return bunch_of(path, by_class, "Images of a folder, labelled by sub-folder.")


def _check_folder(path: str | os.PathLike[str]) -> None:
    if not os.path.exists(path):
        raise SpmError(f"{os.fspath(path)}: there is no such folder")
    if not os.path.isdir(path):
        raise SpmError(f"{os.fspath(path)} is a file, not a folder; {LAYOUT.format(folder='FOLDER')}")


@public("spm.datasets")
def read_train_list(path: str | os.PathLike[str], images: Bunch) -> tuple[np.ndarray, np.ndarray]:
    """Split a folder's images by a file that lists those to train on; all the others test.

    Parameters
    ----------
    path : str or path
        A text file with one path relative to the folder on each line, such as ``Coast/image_0001.jpg``, with ``/``
        on every system. Blank lines and lines that begin with ``#`` are skipped.
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
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg"):
    ...     (folder / name).parent.mkdir(exist_ok=True)
    ...     (folder / name).touch()
    >>> _ = (folder / "train.txt").write_text("cat/2.jpg\\ndog/1.jpg\\n")
    >>> read_train_list(folder / "train.txt", load_folder(folder))
    (array([1, 2]), array([0, 3]))
    """
    known = {Path(os.path.relpath(image, images.folder)).as_posix(): i for i, image in enumerate(images.data)}
    chosen: dict[str, int] = {}
    for number, line in _listed_lines(path):
        name = posixpath.normpath(line)
        if name not in known:
            raise SpmError(f"{os.fspath(path)}, line {number}: there is no image {line!r} in {images.folder}")
        if name in chosen:
            raise SpmError(f"{os.fspath(path)}, line {number}: {line!r} was listed before, on line {chosen[name]}")
        chosen[name] = number
    if not 0 < len(chosen) < len(known):
        raise SpmError(
            f"{os.fspath(path)} lists {len(chosen)} of {len(known)} images to train on: at least one must train "
            "and at least one must be left to test"
        )
    train = np.sort([known[name] for name in chosen])
    return train, np.setdiff1d(np.arange(len(known)), train)


def _listed_lines(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpmError(f"the list of training images {os.fspath(path)} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpmError(f"the list of training images {os.fspath(path)} is not text in UTF-8") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]
