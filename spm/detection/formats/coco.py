"""A JSON file of COCO's kind and a folder of images in, the images and their objects out, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ..._tools.files import write_whole
from ..._tools.public import public
from ...errors import SpmError
from ..objects import Objects
from .common import Remarks, as_names, bunch, check_data, decode, fitted, image_size, read_bytes

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_LARGEST = 1e12  # what no pixel and no score reaches
_PARTS = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}


@public("spm.detection")
def load_coco(json: str | os.PathLike[str], images: str | os.PathLike[str] | None = None) -> Bunch:
    """List the images of a JSON file of COCO's kind with their objects.

    Parameters
    ----------
    json : path
        The file, such as ``annotations/instances_val2017.json``.
    images : path, optional
        The folder that its ``file_name`` start from; by default the one that holds the JSON file.

    Returns
    -------
    Bunch
        ``data``: list of n paths in the file's order; ``target``: list of n `Objects` whose labels are names;
        ``target_names``: the categories in the order of their numbers, which may have gaps; ``ids``: list of the n
        images' numbers; ``folder``; ``DESCR``. Crowds (``iscrowd``) and annotations with ``ignore`` are difficult.
        Objects have scores where every annotation has one.

    Raises
    ------
    SpmError
        Naming the file and what is wrong: it is no JSON of that kind, an annotation has no box or speaks of an image or
        a category that is not there, a name or number occurs twice, or an image's file is missing.

    Warns
    -----
    UserWarning
        For boxes without area, which are left out, and boxes beyond their image, which are cut to it.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np
    >>> from PIL import Image
    >>> from spm.detection import Objects, load_coco, save_coco
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (60, 40)).save(folder / "1.png")
    >>> file = save_coco(folder / "train.json", [folder / "1.png"], [Objects([[0, 5, 20, 40]], ["dog"])])
    >>> load_coco(file, folder).target
    [Objects([[0, 5, 20, 40]], ['dog'])]
    """
    path = Path(json)
    parts = _read(path)
    folder = path.parent if images is None else Path(images)
    categories = _by_number(parts["categories"], path, "category")
    numbers = sorted(categories, key=lambda number: (isinstance(number, str), number))
    names = [str(categories[number]["name"]) for number in numbers]
    if len(set(names)) < len(names):
        raise SpmError(f"{path}: two categories have the same name, {next(n for n in names if names.count(n) > 1)!r}")
    pictures = _by_number(parts["images"], path, "image")
    rows: dict[Any, list[dict[str, Any]]] = {number: [] for number in pictures}
    for k, annotation in enumerate(parts["annotations"]):
        for key, there, what in (("image_id", pictures, "image"), ("category_id", categories, "category")):
            if not isinstance(annotation[key], int | str) or annotation[key] not in there:
                raise SpmError(f"{path}: annotation {k} speaks of {what} {annotation[key]!r}, which is not in the file")
        rows[annotation["image_id"]].append(annotation)
    data = _paths(list(pictures.values()), folder, path)
    scored = bool(parts["annotations"]) and all("score" in annotation for annotation in parts["annotations"])
    remarks = Remarks()
    target = [
        _objects(rows[number], categories, _size(picture, file), scored, f"{path}: {picture['file_name']}", remarks)
        for (number, picture), file in zip(pictures.items(), data, strict=True)
    ]
    remarks.tell()
    return bunch(data, target, names, folder, f"Images of {path.name} with their objects.", ids=list(pictures))


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the file's three lists, each entry with the keys that are needed."""
    try:
        whole = json.loads(decode(read_bytes(path, "the file"), path, "the file"))
    except (ValueError, RecursionError) as error:  # a number of very many digits is a ValueError, too
        raise SpmError(f"{path} is no JSON: {error}") from error
    wanted = f"wanted is a JSON object with {', '.join(_PARTS)}"
    if not isinstance(whole, dict):
        hint = ": results alone do not say which images and categories there are" if isinstance(whole, list) else ""
        raise SpmError(f"{path}: {wanted}, this is a {type(whole).__name__}{hint}")
    for part, keys in _PARTS.items():
        entries = whole.get(part)
        if not isinstance(entries, list):
            raise SpmError(f"{path} has no list of {part}: {wanted}")
        for k, entry in enumerate(entries):
            lacking = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if lacking:
                raise SpmError(f"{path}: entry {k} of {part} has no {lacking[0]!r}")
    return whole


def _by_number(entries: list[dict[str, Any]], path: Path, what: str) -> dict[Any, dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for entry in entries:
        number = entry["id"]
        if not isinstance(number, int | str):
            raise SpmError(f"{path}: an {what}'s id must be a number, got {number!r}".replace("an c", "a c"))
        if number in found:
            raise SpmError(f"{path}: two entries for {what} {number!r}")
        found[number] = entry
    return found


def _paths(pictures: list[dict[str, Any]], folder: Path, path: Path) -> list[str]:
    """Return where each image lies."""
    files = [os.path.join(folder, str(picture["file_name"])) for picture in pictures]
    missing = [file for file in files if not os.path.isfile(file)]
    if missing:
        raise SpmError(
            f"{path}: {len(missing)} of its {len(files)} images are missing, the first is {missing[0]}: "
            "give the folder from which its file names start as the second argument"
        )
    return files


def _size(picture: dict[str, Any], file: str) -> tuple[float, float]:
    width, height = picture.get("width"), picture.get("height")
    if _is_number(width) and _is_number(height) and width > 0 and height > 0:
        return width, height
    return image_size(file)


def _objects(
    annotations: list[dict[str, Any]],
    categories: dict[Any, dict[str, Any]],
    size: tuple[float, float],
    scored: bool,
    where: str,
    remarks: Remarks,
) -> Objects:
    if not annotations:
        return Objects.none(scored=scored)
    sides = np.array([_box(annotation["bbox"], where) for annotation in annotations])
    corners = np.hstack([sides[:, :2], sides[:, :2] + sides[:, 2:]])
    boxes, kept = fitted(corners, size, where, remarks)
    labels = np.array([str(categories[annotation["category_id"]]["name"]) for annotation in annotations])
    difficult = np.array([bool(one.get("iscrowd") or one.get("ignore")) for one in annotations])
    scores = np.array([_score(annotation["score"], where) for annotation in annotations])[kept] if scored else None
    return Objects(boxes[kept], labels[kept], scores, difficult[kept])


def _box(bbox: Any, where: str) -> list[float]:
    good = isinstance(bbox, list) and len(bbox) == 4 and all(_is_number(value) for value in bbox)
    if not good or min(bbox[2:]) < 0:
        raise SpmError(f"{where}: a bbox must be [left, top, width, height] in pixels, got {bbox!r}")
    return bbox


def _score(value: Any, where: str) -> float:
    if not _is_number(value):
        raise SpmError(f"{where}: a score must be a finite number, got {value!r}")
    return value


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST  # NaN is not


@public("spm.detection")
def save_coco(
    path: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    objects: Any,
    *,
    folder: str | os.PathLike[str] | None = None,
    target_names: Any = None,
) -> Path:
    """Write the objects of images into a JSON file of COCO's kind; the images stay where they are.

    Parameters
    ----------
    path : path
        The file to write.
    images : list of paths
    objects : list of Objects
        One for each image. Boxes are cut to their image; difficult objects become crowds (``iscrowd``); scores are
        written with them, where they have any.
    folder : path, optional
        From where the images' file names start, to be given to `load_coco` as well; by default the deepest folder
        that holds all of them.
    target_names : sequence of str, optional
        All categories in their order; by default the names that occur, sorted. Where labels are numbers: the names
        that they stand for.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    SpmError
        When there is not one `Objects` for each image, when an image is an array or lies outside `folder`, for a box
        outside its image, and when the file cannot be written.

    Notes
    -----
    Images, annotations and categories count from 1: an annotation of number 0 would count as none in COCO's own code.

    Examples
    --------
    See `load_coco`.
    """
    several, listed = check_data(images, objects)
    for i, image in enumerate(several):
        if not isinstance(image, str | os.PathLike):
            raise SpmError(f"image {i} is of type {type(image).__name__}: COCO's file names images, give their paths")
    files = [Path(os.path.abspath(os.fsdecode(image))) for image in several]
    common = os.path.commonpath([file.parent for file in files]) if folder is None else os.path.abspath(folder)
    named, names = as_names(listed, target_names)
    codes = {name: code for code, name in enumerate(names, start=1)}
    annotations: list[dict[str, Any]] = []
    pictures = []
    for number, (file, one, labels) in enumerate(zip(files, listed, named, strict=True), start=1):
        if not file.is_relative_to(common):
            raise SpmError(f"{file} does not lie in {common}: give a folder that holds all images")
        width, height = image_size(file)
        name = file.relative_to(common).as_posix()
        pictures.append({"id": number, "file_name": name, "width": width, "height": height})
        for k, label in enumerate(labels):
            about = {"id": len(annotations) + 1, "image_id": number, "category_id": codes[label]}
            annotations.append(about | _annotation(one, k))
    categories = [{"id": code, "name": name} for name, code in codes.items()]
    whole = {"images": pictures, "annotations": annotations, "categories": categories}
    return write_whole(path, json.dumps(whole).encode(), "the file")


def _annotation(objects: Objects, k: int) -> dict[str, Any]:
    x0, y0, x1, y1 = objects.boxes[k].tolist()
    score = {} if objects.scores is None else {"score": float(objects.scores[k])}
    bbox = [x0, y0, x1 - x0, y1 - y0]
    return {"bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": int(objects.difficult[k]), **score}
