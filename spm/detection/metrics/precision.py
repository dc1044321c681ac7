"""True objects and found ones in, average precision and the curve of each class out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._tools.public import public
from ...errors import SpmError, check_choice, check_number
from ..objects import Objects
from ..overlap import check_share
from .coco import coco_precision
from .matching import HIT, IGNORED, Matches, check_pair, match_class

RULES = ("voc2007", "voc2010", "coco")
COCO_RANGE = "0.50:0.95"
_COCO_IOUS = tuple(percent / 100 for percent in range(50, 100, 5))


@public("spm.detection")
@dataclass(frozen=True)
class AveragePrecision:
    """The average precision of each class, and their mean.

    Attributes
    ----------
    mean : float
        The mean over the classes that have an object which counts, the mAP; NaN where no class has. ``float(result)``
        is this number.
    by_class : dict of label to float
        NaN for a class without such an object. ``result[label]`` is one of them.
    by_iou : dict of float to float
        The mean over classes at each of the overlaps that were asked for.
    n_objects : dict of label to int
        How many objects of each class count.
    rule : str

    Examples
    --------
    >>> from spm.detection import Objects, average_precision
    >>> result = average_precision([Objects([[0, 0, 9, 9]], ["cat"])], [Objects([[0, 0, 9, 9]], ["cat"], [0.5])])
    >>> result.mean, result["cat"], float(result)
    (1.0, 1.0, 1.0)
    >>> print(result)
    voc2007  objects  AP at 0.5
    cat            1      1.000
    mean           1      1.000
    """

    mean: float
    by_class: dict[Any, float]
    by_iou: dict[float, float]
    n_objects: dict[Any, int] = field(repr=False)
    rule: str

    def __float__(self) -> float:
        return self.mean

    def __getitem__(self, label: Any) -> float:
        return self.by_class[label]

    def __str__(self) -> str:
        ious = list(self.by_iou)
        head = f"AP at {ious[0]:g}" if len(ious) == 1 else f"AP at {ious[0]:g} to {ious[-1]:g}"
        rows = [(str(label), str(self.n_objects[label]), f"{ap:.3f}") for label, ap in self.by_class.items()]
        rows.append(("mean", str(sum(self.n_objects.values())), f"{self.mean:.3f}"))
        rows.insert(0, (self.rule, "objects", head))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)


@public("spm.detection")
@dataclass(frozen=True)
class PrecisionRecall:
    """The curve of one class: what precision and recall are when what scores so much and more is taken.

    Attributes
    ----------
    recall, precision, scores : ndarray of shape (n,), float64
        After each find, in order of falling score; those of difficult objects are left out. Recall is NaN where there
        is no object.
    n_objects : int
        How many objects count.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray
    n_objects: int


@public("spm.detection")
def average_precision(
    y_true: Sequence[Objects],
    y_pred: Sequence[Objects],
    *,
    iou: float | Sequence[float] | str = 0.5,
    rule: str = "voc2007",
    max_per_image: int | None = None,
) -> AveragePrecision:
    """Measure what a detector found by average precision, the area under the curve of precision over recall.

    Parameters
    ----------
    y_true : list of Objects
        One for each image; `Objects.none()` where there is nothing.
    y_pred : list of Objects
        What was found in each, with scores.
    iou : float, sequence of float, or "0.50:0.95", default=0.5
        By how much a find must overlap an object. Of several the mean is taken; ``"0.50:0.95"`` stands for COCO's ten,
        0.50, 0.55 to 0.95. The default is 0.5 for every rule, so that rules can be compared; COCO's own headline is
        ``rule="coco", iou="0.50:0.95"``.
    rule : {"voc2007", "voc2010", "coco"}, default="voc2007"
        The mean of the best precision at recall 0, 0.1 to 1 and beyond (VOC until 2009); the area under the best
        precision at each recall and beyond (VOC from 2010); or COCO's 101 recalls and its own matching, by pycocotools
        or faster-coco-eval.
    max_per_image : int, optional
        How many finds of a class count in an image, the best ones. By default all by VOC's rules, 100 by COCO's.

    Returns
    -------
    AveragePrecision
        ``float(result)`` is the mean over the classes.

    Raises
    ------
    SpmError
        When the lists are none of `Objects`, differ in length or are empty, when scores are missing, for an unknown
        rule, and for overlaps that are not within 0 to 1.
    MissingDependencyError
        For COCO's rule without either library.

    Notes
    -----
    Difficult objects are neither hit nor miss and not counted in recall by VOC's rules: a find that belongs to one is
    left out, but a small box inside one overlaps it too little to belong to it, and is a false alarm. COCO knows crowds
    in their stead, and forgives all that lies inside one.
    Equal scores go by the order of images. That recall 3 of 10 reaches 0.3 is worked out in whole numbers: the devkit's
    MATLAB compares 0.3 to a 0.1 * 3 that rounding has made larger.

    References
    ----------
    M. Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2.

    T.-Y. Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; https://cocodataset.org/#detection-eval.

    Examples
    --------
    >>> from spm.detection import Objects
    >>> true = [Objects([[10, 10, 50, 50]], ["dog"]), Objects.none()]
    >>> found = [Objects([[10, 10, 50, 48]], ["dog"], [0.8]), Objects([[0, 0, 9, 9]], ["dog"], [0.9])]
    >>> average_precision(true, found)
    AveragePrecision(mean=0.5, by_class={'dog': 0.5}, by_iou={0.5: 0.5}, rule='voc2007')
    >>> average_precision(true, found, iou=[0.5, 0.75, 0.99], rule="voc2010").by_iou
    {0.5: 0.5, 0.75: 0.5, 0.99: 0.0}
    """
    check_choice("rule", rule, RULES)
    ious = _ious(iou)
    if max_per_image is not None:
        check_number("max_per_image", max_per_image, least=1, integer=True)
    true, found, labels = check_pair(y_true, y_pred)
    classes = labels.tolist()
    if rule == "coco":
        table = coco_precision(true, found, classes, ious, max_per_image).mean(axis=1)
    else:
        matches = [[match_class(true, found, label, bound, max_per_image) for label in labels] for bound in ious]
        table = np.array([[_AREAS[rule](match) for match in row] for row in matches]).reshape(len(ious), len(classes))
    counts = [sum(int((~objects.difficult)[objects.labels == label].sum()) for objects in true) for label in labels]
    return AveragePrecision(
        mean=_mean(table),
        by_class=dict(zip(classes, table.mean(axis=0).tolist(), strict=True)),
        by_iou={bound: _mean(row) for bound, row in zip(ious, table, strict=True)},
        n_objects=dict(zip(classes, counts, strict=True)),
        rule=rule,
    )


@public("spm.detection")
def precision_recall(
    y_true: Sequence[Objects], y_pred: Sequence[Objects], *, iou: float = 0.5
) -> Mapping[Any, PrecisionRecall]:
    """Return the curve of precision over recall of each class, by VOC's matching.

    Parameters
    ----------
    y_true, y_pred : list of Objects
        One for each image, true ones and found ones, see `average_precision`.
    iou : float, default=0.5
        By how much a find must overlap an object.

    Returns
    -------
    dict of label to PrecisionRecall
        Every class that occurs, in order.

    Raises
    ------
    SpmError
        As `average_precision`.

    Examples
    --------
    >>> from spm.detection import Objects
    >>> true = [Objects([[10, 10, 50, 50], [60, 10, 90, 50]], ["dog", "dog"])]
    >>> found = [Objects([[10, 10, 50, 48], [0, 0, 9, 9], [60, 10, 90, 50]], ["dog"] * 3, [0.8, 0.7, 0.2])]
    >>> curve = precision_recall(true, found)["dog"]
    >>> curve.recall, curve.precision.round(2), curve.scores
    (array([0.5, 0.5, 1. ]), array([1.  , 0.5 , 0.67]), array([0.8, 0.7, 0.2]))
    """
    check_share("iou", iou)
    true, found, labels = check_pair(y_true, y_pred)
    return {label.item(): _curve(match_class(true, found, label, iou)) for label in labels}


def _ious(iou: Any) -> list[float]:
    if isinstance(iou, str):
        if iou != COCO_RANGE:
            raise SpmError(f"iou={iou!r} is not an option: choose a number from 0 to 1, several, or {COCO_RANGE!r}")
        return list(_COCO_IOUS)
    several = list(iou) if hasattr(iou, "__len__") else [iou]
    if not several:
        raise SpmError("iou is empty: give one overlap at least, such as 0.5")
    return [float(check_share("iou", bound)) for bound in several]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _counts(match: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Return how many hits and how many finds there are after each find that counts."""
    hits = match.verdict[match.verdict != IGNORED] == HIT
    return np.cumsum(hits), np.arange(1, len(hits) + 1)


def _curve(match: Matches) -> PrecisionRecall:
    hits, finds = _counts(match)
    recall = hits / match.n_objects if match.n_objects else np.full(len(hits), np.nan)
    return PrecisionRecall(recall, hits / finds, match.scores[match.verdict != IGNORED], match.n_objects)


def _best_from_here(precision: np.ndarray) -> np.ndarray:
    """Return the best precision at each recall and beyond."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def _eleven_points(match: Matches) -> float:
    if not match.n_objects:
        return float("nan")
    hits, finds = _counts(match)
    best = _best_from_here(hits / finds)
    first = np.searchsorted(10 * hits, np.arange(11) * match.n_objects)  # whole numbers: 3 of 10 is a recall of 0.3
    return float(sum(best[k] for k in first if k < len(best)) / 11)


def _area(match: Matches) -> float:
    if not match.n_objects:
        return float("nan")
    hits, finds = _counts(match)
    steps = np.diff(hits, prepend=0)  # recall grows at hits alone
    return float(_best_from_here(hits / finds) @ steps / match.n_objects) if len(hits) else 0.0


_AREAS = {"voc2007": _eleven_points, "voc2010": _area}
