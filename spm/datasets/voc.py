"""A PASCAL VOC folder and the name of a split in; image paths, labels and boxes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from ..errors import SpmError

if TYPE_CHECKING:
    from sklearn.utils import Bunch

# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
_CODES = {name: code for code, name in enumerate(CLASSES)}


def read_annotation(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the objects of one annotation file.

    The file counts pixels from 1 and includes the last: xmin..xmax becomes the half-open xmin - 1, xmax.

    Parameters
    ----------
    path : Path

    Returns
    -------
    boxes : ndarray of shape (k, 4), float64
        Half-open x0, y0, x1, y1 in pixels.
    labels : ndarray of shape (k,), int
        Indices into `CLASSES`.
    difficult : ndarray of shape (k,), bool

    Raises
    ------
    SpmError
        When the file cannot be read as a VOC annotation.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "000001.xml")
    >>> _ = path.write_text(
    ...     "<annotation><object><name>dog</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>11</ymin>"
    ...     "<xmax>20</xmax><ymax>40</ymax></bndbox></object></annotation>")
    >>> read_annotation(path)
    (array([[ 0., 10., 20., 40.]]), array([11]), array([False]))
    """
    try:
        objects = ElementTree.parse(path).getroot().findall("object")
        corners = [[float(item.findtext(f"bndbox/{edge}", "")) for edge in _EDGES] for item in objects]
        labels = [_CODES[item.findtext("name", "").strip()] for item in objects]
    except OSError as error:
        raise SpmError(f"{path}: the annotation cannot be read: {error.strerror}") from error
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise SpmError(f"{path} is not an annotation of PASCAL VOC 2007: {error}") from error
    boxes = np.array(corners, dtype=np.float64).reshape(-1, 4) - [1, 1, 0, 0]
    difficult = np.array([item.findtext("difficult", "0").strip() == "1" for item in objects], dtype=bool)
    return boxes, np.array(labels, dtype=int), difficult


_EDGES = ("xmin", "ymin", "xmax", "ymax")


def load_voc(root: Path, split: str) -> Bunch:
    """List the images of one split of a VOC folder with their labels and boxes; see `fetch_voc2007`."""
    from sklearn.utils import Bunch

    ids = (root / "ImageSets" / "Main" / f"{split}.txt").read_text(encoding="ascii").split()
    objects = [read_annotation(root / "Annotations" / f"{name}.xml") for name in ids]
    target = np.zeros((len(ids), len(CLASSES)), dtype=int)
    present = np.zeros((len(ids), len(CLASSES)), dtype=bool)
    for row, (_, labels, difficult) in enumerate(objects):
        present[row, labels] = True
        target[row, labels[~difficult]] = 1
    count = sum(len(labels) for _, labels, _ in objects)
    return Bunch(
        data=[str(root / "JPEGImages" / f"{name}.jpg") for name in ids],
        ids=ids,
        target=target,
        ignored=present & (target == 0),
        target_names=list(CLASSES),
        boxes=[boxes for boxes, _, _ in objects],
        labels=[labels for _, labels, _ in objects],
        difficult=[difficult for _, _, difficult in objects],
        DESCR=f"PASCAL VOC 2007, {split}.\n\n{len(ids)} images with {count} objects in {root}",
    )
