"""Levels: the grids of a pyramid in, how the cells of one are made of another's out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..encoders.codes import Codes

MOST_JOINED = 2**20  # cells of a level that divides all others; beyond, features are pooled again for each


@dataclass(frozen=True)
class Levels:
    """The levels of a pyramid, and how the cells of one are made of another's: the same for every image.

    Parameters
    ----------
    grids : ndarray of shape (L, 2), int64
        Rows and columns of every level.
    parents : ndarray of shape (L,), int64
        For every level the smallest finer one whose cells make up its own, or -1.
    sizes, firsts : ndarray of shape (L,), int64
        How many cells each level has, and its first.
    common : Levels, optional
        The same levels and one more that divides them all, where there are several that no other makes up.
    """

    grids: np.ndarray
    parents: np.ndarray
    sizes: np.ndarray
    firsts: np.ndarray
    common: Levels | None = None

    @classmethod
    def of(cls, grids: np.ndarray) -> Levels:
        """Return the levels of grids of shape (L, 2), int64.

        Examples
        --------
        >>> levels = Levels.of(np.array([[1, 1], [2, 2], [3, 1]]))
        >>> levels.parents, levels.common.grids.tolist()
        (array([ 2, -1, -1]), [[1, 1], [2, 2], [3, 1], [6, 2]])
        """
        parents, sizes = parents_of(grids), grids.prod(axis=1)
        common = None
        if (parents < 0).sum() > 1:
            dividing = [math.lcm(*sides) for sides in grids.T.tolist()]
            if math.prod(dividing) <= MOST_JOINED:
                common = cls.of(np.vstack([grids, dividing]))
        return cls(grids, parents, sizes, np.cumsum(sizes) - sizes, common)

    @property
    def total(self) -> int:
        """Cells of all levels."""
        return int(self.sizes.sum())

    def pays(self, codes: Codes, n_features: np.ndarray) -> np.ndarray:
        """Return for numbers of points whether to go by the common level is less work than to pool them twice.

        Examples
        --------
        >>> codes = Codes.plain(np.ones((3000, 1)))
        >>> Levels.of(np.array([[1, 1], [2, 2], [3, 1]])).pays(codes, np.array([30, 3000]))
        array([False,  True])
        """
        if self.common is None:
            return np.zeros(len(n_features), dtype=bool)
        joined = float(self.common.sizes[-1]) * codes.n_words * len(self.grids)  # additions, each of as many moments
        n_apart = int((self.parents < 0).sum())
        return joined < (n_apart - 1) * n_features * codes.words.shape[1]


def parents_of(grids: np.ndarray) -> np.ndarray:
    """Return for every level the smallest finer one whose cells make up its own, or -1.

    Examples
    --------
    >>> parents_of(np.array([[1, 1], [2, 2], [4, 4], [3, 1]]))
    array([ 3,  2, -1, -1])
    """
    parents = np.full(len(grids), -1)
    order = np.argsort(-grids.prod(axis=1), kind="stable")
    for rank, level in enumerate(order):
        for finer in order[:rank]:
            if not (grids[finer] % grids[level]).any():
                parents[level] = finer
    return parents
