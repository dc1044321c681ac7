"""A folder with one sub-folder for each class in, the images' paths and labels out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from .._tools.public import public
from ..errors import SpmError
from .listing import BESIDE, EMPTY, Listing, list_images, summary_of, tell_skipped

if TYPE_CHECKING:
    from sklearn.utils import Bunch

LAYOUT = "wanted is one sub-folder for each class: {folder}/cats/1.jpg, {folder}/dogs/2.jpg, ..."
OR_TABLE = "; or a table with a file and its label in each row: spm.load_table, in commands --labels FILE"


def bunch_of(folder: str | os.PathLike[str], found: Listing, about: str) -> Bunch:
    """Join the classes' lists of paths into what `load_folder` returns, and tell what was left out."""
    from sklearn.utils import Bunch

    tell_skipped(folder, found.skipped)
    sizes = [len(paths) for paths in found.by_class.values()]
    return Bunch(
        data=[path for paths in found.by_class.values() for path in paths],
        target=np.repeat(np.arange(len(sizes)), sizes),
        target_names=list(found.by_class),
        skipped=found.skipped,
        folder=os.fspath(folder),
        DESCR=f"{about}\n\n{sum(sizes)} images in {len(sizes)} classes under {os.fspath(folder)}",
    )


@public()
def load_folder(path: str | os.PathLike[str], *, exclude_empty: bool = False) -> Bunch:
    """List a folder of images with one sub-folder for each class.

    Images are told by extension, in any case, and are not opened: those of all kinds of files that
    `spm.images.read_image` reads. Folders inside a class folder belong to that class, and links are followed. What is
    left out is in ``skipped``, and is counted and named in one line of the log: hidden files and folders and those that
    systems make for themselves, such as the thumbnails in ``@eaDir``; folders that cannot be read; files of other
    kinds; and images that lie beside the class folders.

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
        ``target_names``: list of the class folders' names; ``skipped``: list of (path, reason) of all that was left
        out; ``folder``: `path` as a string; ``DESCR``.

    Raises
    ------
    SpmError
        When the folder is missing, is a file, cannot be read, or has no class folders, and for a class folder without
        images.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat/1.jpg", "cat/2.JPG", "dog/1.png"):
    ...     (folder / name).parent.mkdir(exist_ok=True)
    ...     (folder / name).touch()
    >>> photos = load_folder(folder)
    >>> photos.target, photos.target_names, photos.skipped
    (array([0, 0, 1]), ['cat', 'dog'], [])
    """
    found = _listed(path)
    empty = [name for name, images in found.by_class.items() if not images]
    inside = [(below, why) for below, why in found.skipped if os.path.relpath(below, path).split(os.sep)[0] in empty]
    if empty and not exclude_empty:
        there = f"; left out there: {summary_of(path, inside)}" if inside else ""
        raise SpmError(
            f"{os.fspath(path)}: no images in the class folder{'s' * (len(empty) > 1)} {', '.join(empty)} "
            f"(files with an extension such as .jpg or .png{there}); remove it or set exclude_empty=True"
        )
    found.skipped += [(os.path.join(path, name), EMPTY) for name in empty]
    found.by_class = {name: images for name, images in found.by_class.items() if images}
    if not found.by_class:
        loose = sum(reason == BESIDE for _, reason in found.skipped)
        lies = f"{loose} images lie directly in it" if loose else "no images in it"
        wanted = LAYOUT.format(folder=os.fspath(path).rstrip("/\\")) + OR_TABLE * bool(loose)
        raise SpmError(f"{os.fspath(path)}: {lies}; {wanted}")
    return bunch_of(path, found, "Images of a folder, labelled by sub-folder.")


def _listed(path: str | os.PathLike[str]) -> Listing:
    try:
        return list_images(path)
    except FileNotFoundError as error:
        raise SpmError(f"{os.fspath(path)}: there is no such folder") from error
    except NotADirectoryError as error:
        raise SpmError(f"{os.fspath(path)} is a file, not a folder; {LAYOUT.format(folder='FOLDER')}") from error
    except OSError as error:
        raise SpmError(f"{os.fspath(path)}: the folder cannot be read ({error.strerror})") from error
