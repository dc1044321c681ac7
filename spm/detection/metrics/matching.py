"""True objects and found ones of many images in, each find's verdict by PASCAL VOC's rule out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import SpmError
from ..objects import Objects, check_objects, classes_of
from ..overlap import iou_matrix

HIT, DUPLICATE, MISS, IGNORED = range(4)
"""What a found object is: the best find of an object; another of the same; of none; of a difficult one."""


@dataclass(frozen=True)
class Matches:
    """All that was found of one class, in order of falling score, equal scores in the order of images.

    Attributes
    ----------
    image, index : ndarray of shape (n,), int
        In which image each lies and the how manieth it is there.
    scores : ndarray of shape (n,), float64
    overlap : ndarray of shape (n,), float64
        Its largest intersection over union with a true object of the class in its image.
    target : ndarray of shape (n,), int
        Which object of the image that is, -1 where there is none.
    verdict : ndarray of shape (n,), int
        `HIT`, `DUPLICATE`, `MISS` or `IGNORED`.
    n_objects : int
        How many true objects there are, difficult ones not counted.
    """

    image: np.ndarray
    index: np.ndarray
    scores: np.ndarray
    overlap: np.ndarray
    target: np.ndarray
    verdict: np.ndarray
    n_objects: int


def check_pair(y_true: Any, y_pred: Any) -> tuple[list[Objects], list[Objects], np.ndarray]:
    """Return both lists, checked against each other, and all labels that occur in them.

    Raises
    ------
    SpmError
        When one is no list of `Objects`, when their lengths differ, when there is no image, when what was found has no
        scores, and when labels are names in one and numbers in the other.
    """
    true = check_objects(y_true, name="y_true")
    found = check_objects(y_pred, name="y_pred", scored=True, length=len(true))
    if not true:
        raise SpmError("y_true is empty: give the objects of one image at least")
    return true, found, classes_of(true, found, name="y_true and y_pred")


def scores_of(finds: Objects) -> np.ndarray:
    """Return the scores of what was found in an image; where nothing was, they may be missing."""
    return np.empty(0) if finds.scores is None else finds.scores


def best_finds(true: Sequence[Objects], found: Sequence[Objects]) -> list[Objects]:
    """Return what was found without a detector's long tail: of each class the best finds, as many as it has objects.

    Examples
    --------
    >>> found = Objects([[0, 0, 9, 9], [0, 0, 8, 9], [1, 0, 9, 9]], ["dog", "cat", "dog"], [0.1, 0.9, 0.5])
    >>> best_finds([Objects([[0, 0, 9, 9]], ["dog"])], [found])
    [Objects([[1, 0, 9, 9]], ['dog'], scores=[0.5])]
    """
    kept = [np.zeros(len(finds), dtype=bool) for finds in found]
    for label in classes_of(true, found):
        n = sum(int(((objects.labels == label) & ~objects.difficult).sum()) for objects in true)
        own = [(i, k) for i, finds in enumerate(found) for k in np.flatnonzero(finds.labels == label)]
        for i, k in sorted(own, key=lambda place: -scores_of(found[place[0]])[place[1]])[:n]:
            kept[i][k] = True
    return [finds[which] for finds, which in zip(found, kept, strict=True)]


def match_class(
    true: Sequence[Objects], found: Sequence[Objects], label: Any, iou: float, max_per_image: int | None = None
) -> Matches:
    """Match what was found of one class to the true objects.

    Each find belongs to the object of its class that it overlaps most, of equal ones the first. The best find of an
    object is a hit where they overlap by `iou` or more, further ones are duplicates; what belongs to a difficult
    object is neither hit nor miss.

    Parameters
    ----------
    true, found : list of Objects
        One an image, as `check_pair` returns them.
    label : str or int
    iou : float
    max_per_image : int, optional
        How many finds of an image count, the best ones; by default all.

    References
    ----------
    M. Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2; ``VOCevaldet.m``
    of the development kit.
    """
    parts, n_objects = [], 0
    for i, (truth, finds) in enumerate(zip(true, found, strict=True)):
        objects, index = np.flatnonzero(truth.labels == label), np.flatnonzero(finds.labels == label)
        n_objects += int((~truth.difficult[objects]).sum())
        if not len(index):
            continue
        scores = scores_of(finds)
        index = index[np.argsort(-scores[index], kind="stable")][:max_per_image]
        overlap, target = _largest(finds.boxes[index], truth.boxes[objects])
        target = np.where(target < 0, -1, objects[target]) if len(objects) else target
        difficult = (target >= 0) & truth.difficult[target] if len(objects) else np.zeros(len(index), dtype=bool)
        image = np.full(len(index), i)
        parts.append((image, index, scores[index], overlap, target, _verdicts(overlap, target, difficult, iou)))
    if not parts:
        none = np.empty(0, dtype=int)
        return Matches(none, none, np.empty(0), np.empty(0), none, none, n_objects)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(-columns[2], kind="stable")
    image, index, scores, overlap, target, verdict = (column[order] for column in columns)
    return Matches(image, index, scores, overlap, target, verdict, n_objects)


def _largest(boxes: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each box's largest overlap with an object and which object that is, -1 where it meets none."""
    if not len(objects):
        return np.zeros(len(boxes)), np.full(len(boxes), -1)
    overlaps = iou_matrix(boxes, objects)
    best = overlaps.argmax(axis=1)
    largest = overlaps[np.arange(len(boxes)), best]
    return largest, np.where(largest > 0, best, -1)


def _verdicts(overlap: np.ndarray, target: np.ndarray, difficult: np.ndarray, iou: float) -> np.ndarray:
    """Judge the finds of one image, which come in order of falling score."""
    verdict = np.full(len(overlap), MISS)
    close = (overlap >= iou) & (target >= 0)
    verdict[close] = DUPLICATE
    candidates = np.flatnonzero(close)
    verdict[candidates[np.unique(target[close], return_index=True)[1]]] = HIT  # the first of each object
    verdict[close & difficult] = IGNORED
    return verdict
