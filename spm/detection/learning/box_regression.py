"""Box regression: vectors of boxes near objects in, how to move boxes onto the objects out (Girshick 2014, C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge

from ..._tools.public import public

WHITENED = 0.001  # added to the variances of offsets, as in rcnn_train_bbox_regressor.m
MOST_GROWN = 4.0  # of the logarithm of sides: what is predicted beyond is no box of this photograph


def offsets(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return how boxes must move to lie on others: centre shifts over sides, logarithms of ratios of sides.

    Parameters
    ----------
    boxes, truth : ndarray of shape (n, 4)

    Returns
    -------
    ndarray of shape (n, 4), float64
        x, y, width, height.

    Examples
    --------
    >>> offsets(np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 25, 10]]))
    array([[1.        , 0.        , 0.69314718, 0.        ]])
    """
    sides, wanted = boxes[:, 2:] - boxes[:, :2], truth[:, 2:] - truth[:, :2]
    shift = (truth[:, :2] + truth[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    return np.concatenate([shift / sides, np.log(wanted / sides)], axis=1)


def moved(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return boxes moved by offsets: what `offsets` takes back.

    Examples
    --------
    >>> moved(np.array([[0.0, 0, 10, 10]]), np.array([[1.0, 0, np.log(2), 0]]))
    array([[ 5.,  0., 25., 10.]])
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 + by[:, :2] * sides
    half = sides * np.exp(np.clip(by[:, 2:], -MOST_GROWN, MOST_GROWN)) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


@public("spm.detection")
@dataclass
class BoxRegressor:
    """Ridge regression of one class's offsets, centred and whitened.

    Parameters
    ----------
    coef : ndarray of shape (4, D), float32
    intercept : ndarray of shape (4,), float32
    """

    coef: np.ndarray
    intercept: np.ndarray

    @classmethod
    def learn(cls, vectors: np.ndarray, boxes: np.ndarray, truth: np.ndarray, alpha: float) -> BoxRegressor:
        """Learn from vectors (n, D) of boxes (n, 4) and the objects (n, 4) that they lie near.

        The whitening, T = V diag(1 / sqrt(d + 0.001)) V', is undone in what is kept. One appended to the vectors has
        the bias as its weight, regularised like the others.
        """
        wanted = offsets(boxes, truth)
        mean = wanted.mean(axis=0)
        centred = wanted - mean
        variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
        spread = np.sqrt(variances + WHITENED)
        whitened = centred @ (axes / spread) @ axes.T
        ones = np.ones((len(vectors), 1), dtype=vectors.dtype)
        ridge = Ridge(alpha=alpha, fit_intercept=False, solver="cholesky")
        ridge.fit(np.concatenate([vectors, ones], axis=1), whitened.astype(vectors.dtype))
        back = (axes * spread) @ axes.T
        coef = back.T @ ridge.coef_  # (4, D + 1)
        return cls(coef[:, :-1].astype(np.float32), (coef[:, -1] + mean).astype(np.float32))

    def move(self, vectors: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Return boxes moved onto what they lie near."""
        return moved(boxes, (vectors @ self.coef.T + self.intercept).astype(np.float64))
