"""A folder of YOLO's layout in, its images and their objects out, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._tools.public import public
from ...errors import SpmError, check_choice
from ..objects import Objects
from .common import (
    Remarks,
    as_names,
    bunch,
    check_data,
    fitted,
    image_size,
    of_choices,
    read_text,
    stems,
    write_image,
    write_in,
)
from .yolo_layout import SPLITS, Layout, find_layout, label_file, read_yaml

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_BEYOND = 0.01  # how far outside 0..1 a coordinate may lie by others' rounding
_DIGITS = 6  # decimals of a pixel that are kept: what was whole is whole again


@public("spm.detection")
def load_yolo(root: str | os.PathLike[str], split: str | None = None) -> Bunch:
    """List the images of a folder of YOLO's layout with their objects.

    Images lie in folders called ``images``, and the label of each, ``1.txt`` for ``1.jpg``, at the same place in a
    folder called ``labels`` beside it; without such folders, beside the image. Each line of a label is an object: its
    class's number, then the centre and the size of its box as parts of the image's width and height. Of a polygon, and
    of a rotated box with its four corners, the upright box around it is taken. An image without a label file has no
    objects.

    Parameters
    ----------
    root : path
        The folder with ``data.yaml``, which names classes and splits, or that file itself; or a folder with the names
        of classes in ``classes.txt``, a line each, and ``images/train``, ``images/val`` (or ``train/images``, ...) or
        ``images`` alone.
    split : {"train", "val", "test"}, optional
        By default all that there are, in this order: ``split`` says of which each image is.

    Returns
    -------
    Bunch
        ``data``: list of n paths; ``target``: list of n `Objects` whose labels are names; ``target_names``: the classes
        in the order of their numbers; ``split``: ndarray of n names; ``folder``; ``DESCR``. Objects have scores where
        every line has a sixth number, as predictions do.

    Raises
    ------
    SpmError
        Naming the file and the line: for classes that have no name, lines that are no objects, coordinates that are not
        within 0 to 1; for a split or a folder that is missing.
    MissingDependencyError
        Where there is a ``data.yaml`` to be read and PyYAML is missing.

    Warns
    -----
    UserWarning
        For boxes beyond their image, which are cut to it, and boxes without area, which are left out.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from spm.detection import Objects, load_yolo, save_yolo
    >>> folder = tempfile.mkdtemp()
    >>> image = np.zeros((40, 60, 3), np.uint8)
    >>> _ = save_yolo(folder, [image], [Objects([[0, 5, 20, 40]], ["dog"])], split="val")
    >>> photos = load_yolo(folder)
    >>> photos.target, photos.split
    ([Objects([[0, 5, 20, 40]], ['dog'])], array(['val'], dtype='<U3'))
    """
    layout = find_layout(Path(root))
    if split is not None:
        of_choices("split", split, list(layout.splits), root)
    chosen = list(layout.splits) if split is None else [split]
    data = [path for name in chosen for path in layout.splits[name]]
    remarks = Remarks()
    rows = [_rows(Path(label_file(path)), layout) for path in data]
    scored = any(rows) and all(len(row) == 6 for table in rows for row in table)
    target = [_objects(table, path, layout, scored, remarks) for table, path in zip(rows, data, strict=True)]
    remarks.tell()
    splits = np.repeat(chosen, [len(layout.splits[name]) for name in chosen])
    about = f"Images of {layout.folder.name}, {' and '.join(chosen)}, with their objects."
    return bunch(data, target, layout.names, layout.folder, about, split=splits)


def _rows(path: Path, layout: Layout) -> list[list[float]]:
    """Read a label's lines, each checked; none where there is no such file."""
    if not path.is_file():
        return []
    rows = []
    for number, line in enumerate(read_text(path, "the label").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_row(line.split(), layout))
        except ValueError as error:
            raise SpmError(f"{path}, line {number}: {error}") from error
    return rows


def _row(texts: list[str], layout: Layout) -> list[float]:
    """Return class, centre x and y, width and height of one line, and its score if it has one."""
    try:
        row = [float(text) for text in texts]
    except ValueError:
        raise ValueError(f"an object must be numbers, got {' '.join(texts)!r}") from None
    if not np.isfinite(row).all():
        raise ValueError(f"an object must be finite numbers, got {' '.join(texts)!r}")
    if row[0] != int(row[0]) or not 0 <= row[0] < len(layout.names):
        raise ValueError(f"class {texts[0]} is none of the {len(layout.names)} that have a name, 0 and up")
    if layout.has_keypoints and len(row) >= 5:
        row = row[:5]
    elif len(row) >= 7 and len(row) % 2 == 1:  # a polygon, or a rotated box by its corners
        x, y = row[1::2], row[2::2]
        row = [row[0], (min(x) + max(x)) / 2, (min(y) + max(y)) / 2, max(x) - min(x), max(y) - min(y)]
    elif len(row) not in (5, 6):
        raise ValueError(
            f"wanted are class, centre x and y, width and height, or a class and a polygon, got {len(row)} numbers"
        )
    outside = [value for value in row[1:5] if not -_BEYOND <= value <= 1 + _BEYOND]
    if outside:
        raise ValueError(f"coordinates must be parts of the image's width and height, 0 to 1, got {outside[0]:g}")
    return row


def _objects(rows: list[list[float]], image: str, layout: Layout, scored: bool, remarks: Remarks) -> Objects:
    if not rows:
        return Objects.none(scored=scored)
    width, height = image_size(image)
    table = np.array([row[:5] for row in rows])
    centres, halves = table[:, 1:3] * [width, height], table[:, 3:] * [width / 2, height / 2]
    corners = np.round(np.hstack([centres - halves, centres + halves]), _DIGITS)
    boxes, kept = fitted(corners, (width, height), label_file(image), remarks, slack=0.5)
    labels = np.array([layout.names[int(code)] for code in table[:, 0]])
    scores = np.array([row[5] for row in rows])[kept] if scored else None
    return Objects(boxes[kept], labels[kept], scores)


# Saving


@public("spm.detection")
def save_yolo(
    root: str | os.PathLike[str],
    images: Any,
    objects: Any,
    *,
    split: str = "train",
    target_names: Sequence[str] | None = None,
    difficult: bool = False,
    copy: bool = True,
) -> Path:
    """Write images and their objects in YOLO's layout.

    Parameters
    ----------
    root : path
        The folder in which ``images/train``, ``labels/train`` and ``data.yaml`` are made. What it holds of other splits
        stays, if its classes are the same.
    images : list of paths or arrays
        Files are copied as they are; arrays become PNG files, ``000001.png`` and so on.
    objects : list of Objects
        One for each image. Boxes are cut to their image; scores become a sixth number.
    split : {"train", "val", "test"}, default="train"
    target_names : sequence of str, optional
        All classes in their order; by default the names that occur, sorted, or for a further split those that
        ``data.yaml`` has already. Where labels are numbers: the names that they stand for.
    difficult : bool, default=False
        YOLO knows no difficult objects: they are left out, or with True written as if they were not.
    copy : bool, default=True
        False leaves the images where they are and writes labels and ``data.yaml`` alone.

    Returns
    -------
    Path
        `root`.

    Raises
    ------
    SpmError
        When there is not one `Objects` for each image, when two images have the same name, for a box outside its
        image, when the classes differ from those of a ``data.yaml`` that is there or its images lie elsewhere, and when
        something cannot be written.

    Examples
    --------
    See `load_yolo`.
    """
    check_choice("split", split, SPLITS)
    place = Path(root)
    several, listed = check_data(images, objects)
    there = _names_there(place) if target_names is None else None
    names = as_names(listed, there or target_names)[1]
    if not difficult:
        listed = [one[~one.difficult] for one in listed]
    named = as_names(listed, names)[0]
    if not names:
        raise SpmError("there is no object, so that no class is known: give target_names")
    codes = {name: code for code, name in enumerate(names)}
    for image, one, labels, stem in zip(several, listed, named, stems(several), strict=True):
        if copy:
            write_image(image, place / "images" / split, stem)
        lines = _lines(one, [codes[label] for label in labels], image_size(image)) if len(one) else ""
        write_in(place / "labels" / split, f"{stem}.txt", lines.encode(), "the label")
    write_in(place, "data.yaml", _yaml(place, split, names).encode(), "data.yaml")
    return place


def _lines(objects: Objects, codes: list[int], size: tuple[int, int]) -> str:
    """Write a line for each object, with the decimals that give a pixel's edge back."""
    boxes = objects.boxes / [*size, *size]
    table = np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])
    rows = [f"{code} " + " ".join(f"{value:.10g}" for value in row) for code, row in zip(codes, table, strict=True)]
    if objects.scores is not None:
        rows = [f"{row} {score!r}" for row, score in zip(rows, objects.scores.tolist(), strict=True)]
    return "".join(f"{row}\n" for row in rows)


def _names_there(place: Path) -> list[str] | None:
    path = place / "data.yaml"
    return read_yaml(path)[1] if path.is_file() else None


def _yaml(place: Path, split: str, names: list[str]) -> str:
    """Return data.yaml with this split and those that are there. JSON's texts are YAML's as well."""
    path, splits = place / "data.yaml", {}
    if path.is_file():
        settings, known = read_yaml(path)
        if known != names:
            raise SpmError(f"{path} has the classes {known}, these images have {names}: give its own as target_names")
        if settings.get("path"):
            raise SpmError(f"{path} speaks of images in {settings['path']}: save into a folder of its own")
        splits = {name: settings[name] for name in SPLITS if settings.get(name)}
    splits[split] = f"images/{split}"
    lines = [f"{name}: {json.dumps(splits[name], ensure_ascii=False)}" for name in SPLITS if name in splits]
    listed = [f"  {code}: {json.dumps(name, ensure_ascii=False)}" for code, name in enumerate(names)]
    return "\n".join([*lines, "names:", *listed, ""])
