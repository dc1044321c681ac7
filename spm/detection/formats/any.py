"""A data set of any of the formats in, told apart by its content, its images with their objects out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..._tools.public import public
from ...errors import SpmError
from .coco import load_coco
from .voc import find_voc, load_voc
from .yolo import load_yolo
from .yolo_layout import find_layout, is_yolo

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_WANTED = (
    "wanted is a folder of VOC's layout (Annotations, JPEGImages), one of YOLO's (data.yaml or classes.txt, images, "
    "labels), or a JSON file of COCO's kind"
)


@public("spm.detection")
def load_objects(
    path: str | os.PathLike[str],
    *,
    split: str | Sequence[str] | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Bunch:
    """List the images of a data set with their objects, whichever of the formats it has.

    Parameters
    ----------
    path : path
        A folder that `load_voc` or `load_yolo` takes, or a file that `load_coco` or, where it ends in ``.yaml``,
        `load_yolo` takes.
    split : str or sequence of str, optional
        Which part of a folder, such as ``"trainval"`` or ``"test"``. Of several names the first that the folder has,
        and all images where it has none of them. None takes all. A JSON file is one part by itself.
    images : path, optional
        The folder that a JSON file's names of images start from.

    Returns
    -------
    Bunch
        As the loaders return it, with ``format``, ``"VOC"``, ``"COCO"`` or ``"YOLO"``, and ``part``, the name of the
        part that was taken, ``"all"`` for all.

    Raises
    ------
    SpmError
        When it is none of these; when `split` or `images` is given to what takes none; and as the loaders.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from spm.detection import Objects, load_objects, save_voc
    >>> folder = tempfile.mkdtemp()
    >>> image = np.zeros((40, 60, 3), np.uint8)
    >>> _ = save_voc(folder, [image], [Objects([[0, 5, 20, 40]], ["dog"])], split="train")
    >>> found = load_objects(folder, split=("trainval", "train"))
    >>> found.format, found.part, found.target
    ('VOC', 'train', [Objects([[0, 5, 20, 40]], ['dog'])])
    """
    place = Path(path)
    kind = _kind_of(place)
    if kind == "COCO":
        if isinstance(split, str):
            raise SpmError(
                f"{path}: a JSON file has no splits: leave split={split!r} out, or give the file of that part"
            )
        return _told(load_coco(place, images), kind, None)
    if images is not None:
        raise SpmError(f"{path}: a folder of {kind}'s layout knows where its images lie: leave images={images!r} out")
    part = _part_of(split, _parts(place, kind))
    return _told(load_voc(place, part) if kind == "VOC" else load_yolo(place, part), kind, part)


def _told(found: Bunch, kind: str, part: str | None) -> Bunch:
    found.update(format=kind, part="all" if part is None else part)
    return found


def _kind_of(place: Path) -> str:
    """Tell the formats apart by what is there."""
    if place.is_file():
        return "YOLO" if place.suffix.lower() in (".yaml", ".yml") else "COCO"
    if not place.is_dir():
        raise SpmError(f"{place}: there is no such folder or file; {_WANTED}")
    if find_voc(place):
        return "VOC"
    if is_yolo(place):
        return "YOLO"
    files = sorted(path.name for path in place.glob("*.json")) or sorted(
        f"{path.parent.name}/{path.name}" for path in place.glob("*/*.json")
    )
    hint = f"; it has {', '.join(files[:3])}: give that file itself" if files else ""
    raise SpmError(f"{place} is none of the data sets that can be read: {_WANTED}{hint}")


def _parts(place: Path, kind: str) -> list[str]:
    if kind == "YOLO":
        return list(find_layout(place).splits)
    return [path.stem for found in find_voc(place) for path in sorted((found / "ImageSets" / "Main").glob("*.txt"))]


def _part_of(split: str | Sequence[str] | None, there: Sequence[str]) -> str | None:
    """Return the part to take; None is all."""
    if split is None or isinstance(split, str):
        return split
    return next((name for name in split if name in there), None)
