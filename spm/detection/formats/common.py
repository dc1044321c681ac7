"""What the formats share: files in, text, sizes and boxes inside their image out; images with objects, made ready."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image

from ..._tools.files import write_whole
from ..._tools.image_files import identify, open_regular, pillow_set_as_usual, why_unreadable
from ..._tools.text import nearest, printable
from ...datasets.listing import is_image
from ...errors import ImageError, SpmError
from ...images import MAX_PIXELS, check_images, content_of, read_image
from ..objects import Objects, check_objects

if TYPE_CHECKING:
    from sklearn.utils import Bunch

MOST = 2**31  # bytes of a file of annotations
_NAMED = 3  # remarks that one warning spells out
_ON_ITS_SIDE = range(5, 9)  # EXIF's orientations that change width and height


class Remarks:
    """What is odd in the files of a data set and was read all the same: one warning for all of it, at the end."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def add(self, path: str | os.PathLike[str], text: str) -> None:
        """Note something of a file."""
        self.told.append(f"{printable(os.fspath(path))}: {text}")

    def tell(self) -> None:
        """Warn once, where there is something to tell."""
        if self.told:
            rest = len(self.told) - _NAMED
            shown = self.told[:_NAMED] + [f"and {rest} more such remarks"] * (rest > 0)
            warnings.warn("\n".join(shown), stacklevel=3)  # at the caller's line of the loader


def read_text(path: Path, what: str) -> str:
    """Read a small text file in UTF-8.

    Raises
    ------
    SpmError
        Naming the file.
    """
    return decode(read_bytes(path, what), path, what)


def read_bytes(path: Path, what: str) -> bytes:
    """Read a regular file whole.

    Raises
    ------
    SpmError
        Naming the file.
    """
    try:
        with open_regular(os.fspath(path), MOST) as file:
            return file.read()
    except ImageError as error:
        raise SpmError(f"{path}: {what} cannot be read: {error.reason}") from error
    except OSError as error:
        raise SpmError(f"{path}: {what} cannot be read ({error.strerror})") from error


def decode(content: bytes, path: Path, what: str) -> str:
    """Return the text of a file in UTF-8, with or without a mark at its beginning."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpmError(f"{path}: {what} is not a text in UTF-8 ({error.reason} at byte {error.start})") from error


def image_size(image: Any) -> tuple[int, int]:
    """Return an image's width and height as it is seen, upright; of a file only the header is read.

    Raises
    ------
    ImageError
        When it cannot be used.
    """
    if not isinstance(image, str | os.PathLike):
        height, width = read_image(image).shape[:2]
        return width, height
    path = os.fsdecode(image)
    with pillow_set_as_usual(MAX_PIXELS), open_regular(path) as file:
        try:
            opened = identify(file)
            orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
        except Exception as error:
            raise ImageError(path, why_unreadable(error)) from error
        (width, height), is_tiff = opened.size, opened.format == "TIFF"
    if is_tiff and orientation != 1:  # whether its header is turned already depends on Pillow's version
        return image_size(read_image(path))
    return (height, width) if orientation in _ON_ITS_SIDE else (width, height)


def inside(boxes: np.ndarray, size: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Cut boxes to their image and return them with a mask of those of which something is left.

    Examples
    --------
    >>> inside(np.array([[-5.0, 0.0, 5.0, 5.0], [20.0, 0.0, 30.0, 5.0]]), (10, 10))
    (array([[ 0.,  0.,  5.,  5.],
           [10.,  0., 10.,  5.]]), array([ True, False]))
    """
    width, height = size
    cut = np.clip(boxes, 0, [width, height, width, height])
    return cut, (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])


def fitted(
    boxes: np.ndarray, size: tuple[float, float], path: str | os.PathLike[str], remarks: Remarks, slack: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    """Do as `inside` and note what is cut by more than `slack` pixels or left out."""
    cut, kept = inside(boxes, size)
    beyond = kept & (np.abs(cut - boxes).max(axis=1, initial=0) > slack)
    shown = f"an image of {size[0]:g} x {size[1]:g} pixels"
    if beyond.any():
        remarks.add(path, f"{beyond.sum()} of {len(boxes)} boxes reach beyond {shown} and are cut to it")
    if not kept.all():
        remarks.add(path, f"{(~kept).sum()} of {len(boxes)} boxes have no area inside {shown} and are left out")
    return cut, kept


def list_images(folder: Path) -> list[str]:
    """Return the paths of all images below a folder, in order."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        found += [os.path.join(place, name) for name in sorted(names) if is_image(name)]
    return found


def bunch(
    data: Iterable[Any], target: list[Objects], names: Sequence[str], folder: Any, about: str, **more: Any
) -> Bunch:
    """Return what every loader returns."""
    from sklearn.utils import Bunch

    paths = [os.fspath(path) for path in data]
    count = sum(map(len, target))
    told = f"{about}\n\n{len(paths)} images with {count} objects of {len(names)} classes in {os.fspath(folder)}"
    return Bunch(data=paths, target=target, target_names=list(names), folder=os.fspath(folder), DESCR=told, **more)


def of_choices(name: str, value: Any, choices: Sequence[str], where: Any) -> None:
    """Check a split's name.

    Raises
    ------
    SpmError
        Listing those that there are.
    """
    if value not in choices:
        meant = nearest(str(value), choices, 1)
        hint = f"; did you mean {meant[0]!r}?" if meant else ""
        there = ", ".join(map(repr, choices)) or "none at all"
        raise SpmError(f"{where}: there is no {name} {value!r}, there is {there}{hint}")


# Saving


def check_data(images: Any, objects: Any) -> tuple[list[Any], list[Objects]]:
    """Return images and what is in them, checked, with the boxes cut to their image and boxes outside refused.

    Raises
    ------
    SpmError
        When there is not one `Objects` for each image, or when a box lies outside its image.
    """
    several = list(check_images(images))
    listed = []
    for image, one in zip(several, check_objects(objects, length=len(several), name="objects"), strict=True):
        boxes, kept = inside(one.boxes, image_size(image)) if len(one) else (one.boxes, np.ones(0, dtype=bool))
        if not kept.all():
            k = int(np.flatnonzero(~kept)[0])
            raise SpmError(f"box {k}, {one.boxes[k].tolist()}, lies outside its image {_called(image)}: leave it out")
        listed.append(Objects(boxes, one.labels, one.scores, one.difficult))
    return several, listed


def _called(image: Any) -> str:
    return printable(os.fsdecode(image)) if isinstance(image, str | os.PathLike) else f"of {image_size(image)} pixels"


def as_names(objects: Sequence[Objects], target_names: Sequence[str] | None) -> tuple[list[list[str]], list[str]]:
    """Return the name of every object, image by image, and the names of all classes in order.

    Parameters
    ----------
    objects : list of Objects
        Whose labels are names, or indices into `target_names`.
    target_names : sequence of str, optional
        The classes in their order; by default those that occur, sorted.

    Raises
    ------
    SpmError
        For a label that is none of them.
    """
    known = None if target_names is None else [str(name) for name in target_names]
    if known is not None and len(set(known)) < len(known):
        raise SpmError(f"target_names has a name twice: {known}")
    labels = [one.labels.tolist() for one in objects]
    if known is not None and any(not isinstance(label, str) for row in labels for label in row):
        if not all(0 <= label < len(known) for row in labels for label in row):
            raise SpmError(f"labels that are numbers must be indices into the {len(known)} target_names")
        named = [[known[int(label)] for label in row] for row in labels]
    else:
        named = [[str(label) for label in row] for row in labels]
    occurring = {name for row in named for name in row}
    if known is not None and occurring - set(known):
        raise SpmError(f"labels {sorted(occurring - set(known))} are none of target_names={known}")
    return named, sorted(occurring) if known is None else known


def stems(images: Sequence[Any]) -> list[str]:
    """Return what to call each image in a folder that holds all: its file's name without the extension, or a number.

    Raises
    ------
    SpmError
        When two have the same name.
    """
    found: dict[str, int] = {}
    for i, image in enumerate(images):
        stem = Path(os.fsdecode(image)).stem if isinstance(image, str | os.PathLike) else f"{i + 1:06d}"
        if not stem.isprintable():
            raise SpmError(f"image {i} is called {printable(stem)!r}, which a list of names cannot hold: rename it")
        if stem in found:
            raise SpmError(f"images {found[stem]} and {i} are both called {stem!r}: one folder cannot hold both")
        found[stem] = i
    return list(found)


def write_image(image: Any, folder: Path, stem: str) -> Path:
    """Write a copy of an image's file, or its pixels as PNG, into a folder."""
    if isinstance(image, str | os.PathLike):
        return write_in(folder, stem + Path(os.fsdecode(image)).suffix, content_of(image), "the image")
    buffer = io.BytesIO()
    Image.fromarray(read_image(image)).save(buffer, format="PNG")
    return write_in(folder, f"{stem}.png", buffer.getvalue(), "the image")


def write_in(folder: Path, name: str, content: bytes, what: str) -> Path:
    """Write a file whole into a folder, which is made where it is missing.

    Raises
    ------
    SpmError
        Naming what cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpmError(f"{folder}: the folder cannot be made ({error.strerror})") from error
    return write_whole(folder / name, content, what)
