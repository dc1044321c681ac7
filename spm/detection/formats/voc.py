"""A folder of PASCAL VOC's layout in, its images and their objects out, and back."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape

import numpy as np

from ..._tools.public import public
from ...datasets.voc import CLASSES
from ...errors import SpmError, check_choice
from ..objects import Objects
from .common import (
    Remarks,
    as_names,
    bunch,
    check_data,
    fitted,
    image_size,
    list_images,
    of_choices,
    read_bytes,
    read_text,
    stems,
    write_image,
    write_in,
)

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_FOLDERS = ("Annotations", "JPEGImages")
_LAYOUT = "wanted is VOC's layout: Annotations/1.xml, JPEGImages/1.jpg, ImageSets/Main/train.txt"


@public("spm.detection")
def load_voc(root: str | os.PathLike[str], split: str | None = None, *, first_pixel: int | None = None) -> Bunch:
    """List the images of a folder of PASCAL VOC's layout with their objects.

    Parameters
    ----------
    root : path
        The folder that has ``Annotations``, ``ImageSets`` and ``JPEGImages``, or one above it, such as the development
        kit's ``VOCdevkit``.
    split : str, optional
        The name of a list in ``ImageSets/Main``, such as ``"trainval"``. None takes all annotations that there are.
    first_pixel : {0, 1}, optional
        From what the files count. VOC counts from 1 and both edges of a box belong to it: 1..20 becomes the half-open
        0, 20. Many programs write the half-open edges themselves, from 0. By default each file tells by itself: one
        with a box that begins before 1 counts from 0, all others from 1, and a warning names the former. Where all
        files are such a program's, say 0: those without a box at the border cannot tell.

    Returns
    -------
    Bunch
        ``data``: list of n paths; ``target``: list of n `Objects` whose labels are names; ``target_names``: VOC's 20 in
        their order where there are no others, else all that occur, sorted; ``ids``: list of n names; ``folder``;
        ``DESCR``.

    Raises
    ------
    SpmError
        When the folder, the split or a file is missing; for a file that is no such annotation, with its name and what
        is wrong. A file that declares a document type or entities is refused unread.

    Warns
    -----
    UserWarning
        Naming files that count from 0, and files with boxes beyond their image: these are cut to it, and left out where
        nothing is inside.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from spm.detection import Objects, load_voc, save_voc
    >>> folder = tempfile.mkdtemp()
    >>> image = np.zeros((40, 60, 3), np.uint8)
    >>> _ = save_voc(folder, [image], [Objects([[0, 5, 20, 40]], ["dog"])], split="train")
    >>> load_voc(folder, "train").target
    [Objects([[0, 5, 20, 40]], ['dog'])]
    """
    if first_pixel is not None:
        check_choice("first_pixel", first_pixel, (0, 1))
    place = _find(Path(root))
    pictures = {Path(path).stem: path for path in list_images(place / "JPEGImages")}
    ids = _ids(place, split, pictures)
    data, target, remarks = [], [], Remarks()
    for name in ids:
        path = place / "Annotations" / f"{name}.xml"
        if name not in pictures:
            raise SpmError(f"{place / 'JPEGImages' / name}.jpg: there is no such image, for {path}")
        data.append(pictures[name])
        target.append(_read(path, pictures[name], first_pixel, remarks))
    remarks.tell()
    found = {label for objects in target for label in objects.labels.tolist()}
    names = list(CLASSES) if found <= set(CLASSES) else sorted(found)
    return bunch(data, target, names, place, f"Images of {place.name}, {split or 'all'}, with their objects.", ids=ids)


def _find(root: Path) -> Path:
    """Return the folder that has VOC's three, itself or one or two below."""
    if not root.is_dir():
        raise SpmError(f"{root}: there is no such folder; {_LAYOUT}")
    places = find_voc(root)
    if len(places) > 1:
        raise SpmError(f"{root} holds {', '.join(place.name for place in places)}: give one of them")
    if places:
        return places[0]
    raise SpmError(f"{root}: there are no {' and '.join(_FOLDERS)} in it; {_LAYOUT}")


def find_voc(root: Path) -> list[Path]:
    """Return the folders that have VOC's three: the given one itself, or those one or else two below."""
    for depth in ("", "*", "*/*"):
        places = sorted(place for place in (root.glob(depth) if depth else [root]) if _is_voc(place))
        if places:
            return places
    return []


def _is_voc(place: Path) -> bool:
    return all((place / name).is_dir() for name in _FOLDERS)


def _ids(place: Path, split: str | None, known: Collection[str]) -> list[str]:
    if split is None:
        return sorted(path.stem for path in (place / "Annotations").glob("*.xml"))
    lists = place / "ImageSets" / "Main"
    of_choices("split", split, sorted(path.stem for path in lists.glob("*.txt")), lists)
    lines = [line.strip() for line in read_text(lists / f"{split}.txt", "the list").splitlines()]
    ids = [line if line in known else line.split()[0] for line in lines if line]  # lists of a class have a sign behind
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise SpmError(f"{lists / split}.txt lists {twice} twice")
    return ids


# One annotation


def _read(path: Path, image: str, first_pixel: int | None, remarks: Remarks) -> Objects:
    """Read the objects of one annotation file."""
    root = parse_xml(read_bytes(path, "the annotation"), path)
    items = root.findall("object")
    if not items:
        return Objects.none()
    names = [(item.findtext("name") or "").strip() for item in items]
    for k, name in enumerate(names):
        if not name:
            raise SpmError(f"{path}: object {k + 1} has no name")
    corners = np.array([_corners(item, path, k + 1, names[k]) for k, item in enumerate(items)])
    zero = bool((corners[:, :2] < 1).any())
    if zero and first_pixel is None:
        remarks.add(
            path, "a box begins before 1, so that the file counts from 0, not from 1 as VOC does, and is read so"
        )
    count = int(not zero) if first_pixel is None else first_pixel
    boxes, kept = fitted(corners - [count, count, 0, 0], _size(root) or image_size(image), path, remarks)
    difficult = np.array([(item.findtext("difficult") or "").strip().lower() in ("1", "true") for item in items])
    return Objects(boxes[kept], np.array(names)[kept], difficult=difficult[kept])


def _corners(item: ElementTree.Element, path: Path, number: int, name: str) -> list[float]:
    corners = []
    for edge in _EDGES:
        text = item.findtext(f"bndbox/{edge}")
        try:
            value = float(text or "")
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            came = "is missing" if text is None else f"is {text.strip()!r}, no number"
            raise SpmError(f"{path}: object {number} ({name}): {edge} {came}")
        corners.append(value)
    if corners[2] < corners[0] or corners[3] < corners[1]:
        raise SpmError(f"{path}: object {number} ({name}): its box {corners} ends before it begins")
    return corners


def _size(root: ElementTree.Element) -> tuple[float, float] | None:
    try:
        width, height = (float(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None  # some programs write 0


def parse_xml(content: bytes, path: Path) -> ElementTree.Element:
    """Return the root of an annotation in XML.

    Raises
    ------
    SpmError
        Naming the file: when it is not well formed, when its root is none of an annotation, and when it declares a
        document type, with which a few lines can expand to gigabytes or reach for other files.
    """

    def refuse(*declaration: Any) -> None:
        raise SpmError(f"{path} declares a document type, which no annotation needs: it is not read")

    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
        root = builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, SpmError):
            raise
        raise SpmError(f"{path} is no annotation in XML: {error}") from error
    if root.tag != "annotation":
        raise SpmError(f"{path} is no annotation of VOC's kind: it is <{root.tag}>, not <annotation>")
    return root


# Saving


@public("spm.detection")
def save_voc(
    root: str | os.PathLike[str],
    images: Any,
    objects: Any,
    *,
    split: str = "train",
    target_names: Any = None,
    copy: bool = True,
) -> Path:
    """Write images and their objects in PASCAL VOC's layout.

    Parameters
    ----------
    root : path
        The folder in which ``Annotations``, ``ImageSets/Main`` and ``JPEGImages`` are made. What it holds of other
        splits stays.
    images : list of paths or arrays
        Files are copied as they are; arrays become PNG files, ``000001.png`` and so on.
    objects : list of Objects
        One for each image. Boxes are cut to their image; scores are not written.
    split : str, default="train"
        The list of these images, ``ImageSets/Main/train.txt``.
    target_names : sequence of str, optional
        Where labels are numbers: the names that they stand for.
    copy : bool, default=True
        False leaves the images where they are and writes annotations and the list alone.

    Returns
    -------
    Path
        `root`.

    Raises
    ------
    SpmError
        When there is not one `Objects` for each image, when two images have the same name, for a box outside its
        image, and when something cannot be written.

    Examples
    --------
    See `load_voc`.
    """
    place = Path(root)
    several, listed = check_data(images, objects)
    named, _ = as_names(listed, target_names)
    names = stems(several)
    for image, one, labels, stem in zip(several, listed, named, names, strict=True):
        file = f"{stem}{Path(os.fsdecode(image)).suffix if isinstance(image, str | os.PathLike) else '.png'}"
        if copy:
            write_image(image, place / "JPEGImages", stem)
        text = _annotation(one, labels, place.name, file, image_size(image))
        write_in(place / "Annotations", f"{stem}.xml", text.encode(), "the annotation")
    write_in(place / "ImageSets" / "Main", f"{split}.txt", "".join(f"{n}\n" for n in names).encode(), "the list")
    return place


def _annotation(objects: Objects, labels: list[str], folder: str, file: str, size: tuple[int, int]) -> str:
    lines = ["<annotation>", f"  <folder>{escape(folder)}</folder>", f"  <filename>{escape(file)}</filename>"]
    lines += ["  <size>", f"    <width>{size[0]}</width>", f"    <height>{size[1]}</height>", "    <depth>3</depth>"]
    lines.append("  </size>")
    boxes = objects.boxes + np.array([1, 1, 0, 0])  # the first pixel is 1, and the last belongs to the box
    for label, box, difficult in zip(labels, boxes, objects.difficult, strict=True):
        lines += ["  <object>", f"    <name>{escape(label)}</name>", f"    <difficult>{int(difficult)}</difficult>"]
        edges = "".join(f"<{edge}>{value:.10g}</{edge}>" for edge, value in zip(_EDGES, box, strict=True))
        lines += [f"    <bndbox>{edges}</bndbox>", "  </object>"]
    return "\n".join([*lines, "</annotation>", ""])
