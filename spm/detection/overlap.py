"""Boxes in, how much they overlap and which of them stay out: intersection over union, greedy suppression."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._tools.numba import njit
from .._tools.public import public
from ..boxes import check_boxes
from ..errors import SpmError, check_number


@public("spm.detection")
def iou_matrix(a: Any, b: Any) -> np.ndarray:
    """Return the intersection over union of every box with every other.

    Parameters
    ----------
    a : array-like of shape (n, 4)
        Half-open x0, y0, x1, y1 in pixels.
    b : array-like of shape (m, 4)

    Returns
    -------
    ndarray of shape (n, m), float64
        Shared area over joint area, 0 to 1.

    Raises
    ------
    SpmError
        For what are no boxes, see `spm.boxes.check_boxes`.

    References
    ----------
    M. Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2. Its pixels are
    counted, both ends included; with half-open edges the same number needs no "+1".

    Examples
    --------
    >>> iou_matrix([[0, 0, 10, 10]], [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]])
    array([[1.        , 0.33333333, 0.        ]])
    """
    return _iou_matrix(check_boxes(a), check_boxes(b))


@public("spm.detection")
def nms(boxes: Any, scores: Any, labels: Any = None, iou: float = 0.3) -> np.ndarray:
    """Return which boxes stay when each gives way to a better one that it overlaps by more than `iou`.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        Half-open x0, y0, x1, y1 in pixels; negative coordinates are as good as others.
    scores : array-like of shape (n,)
        The box of the highest score stays first; of equal ones that of the lowest index.
    labels : array-like of shape (n,), optional
        Of which class each box is: it gives way to boxes of its own class alone. By default all are of one.
    iou : float, default=0.3
        The overlap, 0 to 1, up to which two boxes stay beside each other.

    Returns
    -------
    ndarray of shape (k,), int64
        Indices of the boxes that stay, in order of falling score.

    Raises
    ------
    SpmError
        For what are no boxes; for scores or labels of another length; for scores that are NaN, which no order holds.

    Notes
    -----
    All is worked out in float64, whatever comes: areas of large boxes do not fit float16.

    References
    ----------
    R. Girshick et al. 2014, "Rich feature hierarchies for accurate object detection and semantic segmentation",
    section 2.2; 0.3 is the value of its code.

    Examples
    --------
    >>> boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [40, 0, 50, 10]]
    >>> nms(boxes, [0.5, 0.9, 0.7])
    array([1, 2])
    >>> nms(boxes, [0.5, 0.9, 0.7], labels=["cat", "dog", "dog"])
    array([1, 2, 0])
    """
    checked = check_boxes(boxes)
    check_share("iou", iou)
    order = np.argsort(-_finite_scores(scores, len(checked)), kind="stable")
    if labels is None:
        return order[_stays(checked[order], float(iou))]
    codes = _codes(labels, len(checked))[order]
    stays = np.zeros(len(order), dtype=bool)
    for code in range(codes.max(initial=-1) + 1):
        own = np.flatnonzero(codes == code)
        stays[own] = _stays(checked[order[own]], float(iou))
    return order[stays]


def voted(kept: np.ndarray, boxes: np.ndarray, scores: np.ndarray, iou: float) -> np.ndarray:
    """Return boxes that stay moved to the mean of all that overlap them, each counted by its score (Gidaris 2015).

    Parameters
    ----------
    kept : ndarray of shape (k, 4)
    boxes : ndarray of shape (n, 4)
        Those that stay and those that gave way.
    scores : ndarray of shape (n,)
        Below 0 they do not count.
    iou : float
        The least overlap with which a box votes.

    Returns
    -------
    ndarray of shape (k, 4), float64

    References
    ----------
    S. Gidaris and N. Komodakis 2015, "Object detection via a multi-region and semantic segmentation-aware CNN model":
    bounding box voting.

    Examples
    --------
    >>> boxes = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10], [50, 0, 60, 10]])
    >>> voted(boxes[:1], boxes, np.array([0.75, 0.25, 0.5]), 0.5)
    array([[ 0.5,  0. , 10.5, 10. ]])
    """
    weights = (iou_matrix(kept, boxes) >= iou) * np.maximum(scores, 0)
    total = weights.sum(axis=1, keepdims=True)
    return np.where(total > 0, weights @ boxes / np.where(total > 0, total, 1), kept)


def check_share(name: str, value: Any) -> Any:
    """Return `value`, or raise `SpmError` when it is no number from 0 to 1.

    Examples
    --------
    >>> check_share("iou", 0.5)
    0.5
    """
    if check_number(name, value, least=0) > 1:
        raise SpmError(f"{name} must be a number from 0 to 1, got {value!r}")
    return value


def _finite_scores(scores: Any, length: int) -> np.ndarray:
    try:
        checked = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SpmError(f"scores must be numbers, got {scores!r}") from error
    if checked.shape != (length,):
        raise SpmError(f"scores must be one for each of the {length} boxes, got shape {checked.shape}")
    bad = np.flatnonzero(np.isnan(checked))
    if len(bad):
        raise SpmError(f"scores must be numbers, score {bad[0]} is NaN: look for it where the scores are made")
    return checked


def _codes(labels: Any, length: int) -> np.ndarray:
    values = np.asarray(labels)
    if values.shape != (length,):
        raise SpmError(f"labels must be one for each of the {length} boxes, got shape {values.shape}")
    return np.unique(values, return_inverse=True)[1]


@njit
def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@njit
def _iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            out[i, j] = _overlap(a[i], b[j])
    return out


@njit
def _stays(boxes: np.ndarray, iou: float) -> np.ndarray:
    """Return which of boxes in order, best first, stay: shape (n,), bool."""
    stays = np.zeros(len(boxes), dtype=np.bool_)
    kept = np.empty(len(boxes), dtype=np.int64)
    n_kept = 0
    for i in range(len(boxes)):
        free = True
        for k in range(n_kept):
            if _overlap(boxes[kept[k]], boxes[i]) > iou:
                free = False
                break
        if free:
            stays[i] = True
            kept[n_kept] = i
            n_kept += 1
    return stays
