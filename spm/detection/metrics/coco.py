"""True objects and found ones in, precision by COCO's rules out, worked out by the library that keeps them."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from ...errors import MissingDependencyError, need
from ..objects import Objects

LIBRARIES = ("pycocotools", "faster_coco_eval")
"""Which packages will do, the first that is installed is taken. They agree to the last digits shown."""


_one_at_a_time = threading.Lock()  # two threads that redirect the process's output would lose it


def coco_library(names: Sequence[str] = LIBRARIES) -> tuple[Any, Any]:
    """Return the classes ``COCO`` and ``COCOeval`` of the first library that can be imported.

    Raises
    ------
    MissingDependencyError
        If there is none.
    """
    missing = []
    for name in names:
        try:
            if name == "pycocotools":
                coco, evaluation = (need("COCO's rules", name, f"{name}.{part}") for part in ("coco", "cocoeval"))
                return coco.COCO, evaluation.COCOeval
            library = need("COCO's rules", "faster-coco-eval", name)
            return library.COCO, library.COCOeval_faster
        except MissingDependencyError as error:
            missing.append(error)
    raise missing[0]


def coco_precision(
    true: Sequence[Objects],
    found: Sequence[Objects],
    classes: Sequence[Any],
    ious: Sequence[float],
    max_per_image: int | None = None,
    library: Sequence[str] = LIBRARIES,
) -> np.ndarray:
    """Return the precision at 101 recalls, 0.00 to 1.00, of each class at each overlap.

    Parameters
    ----------
    true, found : list of Objects
        One an image. Difficult objects are given as COCO's crowds: a find that lies inside one is forgiven.
    classes : sequence of labels
    ious : sequence of float
    max_per_image : int, optional
        How many finds of a class count in an image, the best ones. By default 100, as COCO has it.

    Returns
    -------
    ndarray of shape (n_ious, 101, n_classes)
        NaN for classes without an object that counts.

    Raises
    ------
    MissingDependencyError
        If neither library is installed.
    """
    coco, evaluation = coco_library(library)
    with _one_at_a_time, redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        data = [_data(coco, objects, classes) for objects in (true, found)]
        run = evaluation(*data, iouType="bbox")
        run.params.iouThrs = np.asarray(ious, dtype=np.float64)
        run.params.maxDets = [100 if max_per_image is None else max_per_image]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = np.asarray(run.eval["precision"])[..., 0, 0]  # overlaps, recalls, classes
    return np.where(precision < 0, np.nan, precision)


def _data(coco: Any, images: Sequence[Objects], classes: Sequence[Any]) -> Any:
    """Build the library's own form in memory: its ``loadRes`` fails without a find, and number 0 would be no object."""
    codes = {label: code for code, label in enumerate(classes, start=1)}
    annotations = [
        {"image_id": i, "category_id": codes[objects.labels[k].item()], **_annotation(objects, k)}
        for i, objects in enumerate(images, start=1)
        for k in range(len(objects))
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    data = coco()
    data.dataset = {
        "images": [{"id": i} for i in range(1, len(images) + 1)],
        "categories": [{"id": code} for code in codes.values()],
        "annotations": annotations,
    }
    data.createIndex()
    return data


def _annotation(objects: Objects, k: int) -> dict[str, Any]:
    x0, y0, x1, y1 = objects.boxes[k].tolist()
    width, height = x1 - x0, y1 - y0
    scores = {} if objects.scores is None else {"score": float(objects.scores[k])}
    crowd = int(objects.scores is None and objects.difficult[k])
    return {"bbox": [x0, y0, width, height], "area": width * height, "iscrowd": crowd, "ignore": 0, **scores}
