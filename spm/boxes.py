"""Boxes: x0, y0, x1, y1 in pixels, half-open, never "+1"; a pixel's centre lies at +0.5."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import SpmError


def check_boxes(boxes: Any) -> np.ndarray:
    """Return `boxes` as an (n, 4) float64 array of half-open x0, y0, x1, y1.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        Left, top, right and bottom edges in pixels; the right and bottom edges are not part of the box.

    Returns
    -------
    ndarray of shape (n, 4), float64

    Raises
    ------
    SpmError
        For another shape, for values that are not finite, and for a box without width or height.

    Examples
    --------
    >>> check_boxes([[0, 0, 10, 5]])
    array([[ 0.,  0., 10.,  5.]])
    """
    try:
        checked = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SpmError(f"boxes must be numbers of shape (n, 4) as x0, y0, x1, y1, got {boxes!r}") from error
    if checked.shape in ((0,), (0, 4)):
        return np.empty((0, 4))
    if checked.ndim != 2 or checked.shape[1] != 4:
        raise SpmError(f"boxes must have shape (n, 4) as x0, y0, x1, y1, got {checked.shape}")
    if not np.isfinite(checked).all():
        raise SpmError("boxes must be finite numbers")
    flat = np.flatnonzero((checked[:, 2] <= checked[:, 0]) | (checked[:, 3] <= checked[:, 1]))
    if len(flat):
        raise SpmError(
            f"box {flat[0]} is {checked[flat[0]].tolist()}: x1 must exceed x0 and y1 exceed y0 (order x0, y0, x1, y1)"
        )
    return checked


def mirror_boxes(boxes: np.ndarray, width: float) -> np.ndarray:
    """Return where boxes of shape (n, 4) lie in the mirror image of an image of that width.

    Examples
    --------
    >>> mirror_boxes(np.array([[0.0, 5.0, 10.0, 9.0]]), 100)
    array([[ 90.,   5., 100.,   9.]])
    """
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
