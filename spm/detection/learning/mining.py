"""Hard negatives: images with their objects and proposals in, the examples that machines are learned from out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..overlap import iou_matrix
from ..regions import Stream
from .pool import Pool

GROUP = 4  # images looked through by the same machines: workers share them, whatever their number

Describe = Callable[[Any, np.ndarray], Stream]
"""Takes regions and boxes; yields places of boxes and their vectors as machines see them."""


@dataclass(frozen=True)
class Example:
    """One image to learn from.

    Parameters
    ----------
    number : int
        Of the image.
    regions : MapRegions or CropRegions
    boxes : ndarray of shape (n, 4)
        The objects' boxes first, then the proposals.
    truth : ndarray of shape (m, 4)
        The objects' boxes.
    classes : ndarray of shape (m,), int
        The objects' classes.
    """

    number: int
    regions: Any
    boxes: np.ndarray
    truth: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class Rules:
    """What makes a box an example against a class.

    Parameters
    ----------
    n_classes : int
    negative_iou : float
        It overlaps every object of the class by less.
    add_above, evict_below : float
        It comes in when its decision value is above the one, and goes when it falls below the other.
    retrain_after : int
        Examples that came for one class after which machines are learned anew.
    per_image : int
        Of an image, but for the first, the hardest are taken, so many at most.
    """

    n_classes: int
    negative_iou: float = 0.3
    add_above: float = -1.0001
    evict_below: float = -1.2
    retrain_after: int = 2000
    per_image: int = 100


@dataclass(frozen=True)
class Found:
    """What one image gives: of each window with an example its vector, the classes it is against, and its values."""

    keys: list[tuple[float, ...]]
    vectors: np.ndarray
    against: np.ndarray
    hardness: np.ndarray


def window_keys(number: int, windows: np.ndarray) -> list[tuple[float, ...]]:
    """Return what tells windows apart, across images."""
    return [(number, *window) for window in windows.tolist()]


def overlaps(boxes: np.ndarray, truth: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return by how much each box overlaps an object of each class at most: shape (n, n_classes); -1 without one."""
    most = np.full((len(boxes), n_classes), -1.0)
    found = iou_matrix(boxes, truth)
    for j, k in enumerate(classes):
        most[:, k] = np.maximum(most[:, k], found[:, j])
    return most


def negatives_of(example: Example, rules: Rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all windows of an image, the first box of each that is against a class, and which: (n, n_classes)."""
    windows = example.regions.windows(example.boxes)
    _, firsts = np.unique(windows, axis=0, return_index=True)
    firsts.sort()
    most = overlaps(example.boxes[firsts], example.truth, example.classes, rules.n_classes)
    negative = most < rules.negative_iou
    against = negative.any(axis=1)
    return windows, firsts[against], negative[against]


def look_through(
    example: Example,
    rules: Rules,
    machines: tuple[np.ndarray, np.ndarray] | None,
    scaled: Describe,
) -> Found:
    """Find an image's examples against each class.

    Boxes of one window count once, by the first. Without machines all negatives are examples.

    Parameters
    ----------
    example : Example
    rules : Rules
    machines : (coef, intercept) or None
    scaled : callable
        See `Describe`.
    """
    windows, firsts, negative = negatives_of(example, rules)
    kept: list[tuple[np.ndarray, ...]] = []
    for rows, vectors in scaled(example.regions, example.boxes[firsts]):
        mine, against = firsts[rows], negative[rows]
        hardness = np.zeros(len(mine))
        if machines is not None:
            values = vectors @ machines[0].T + machines[1]
            against = against & (values > rules.add_above)
            hardness = np.where(against, values, -np.inf).max(axis=1)
        wanted = against.any(axis=1)
        kept.append((mine[wanted], vectors[wanted], against[wanted], hardness[wanted]))
    if not kept:
        empty = np.empty((0, rules.n_classes), dtype=bool)
        return Found([], np.empty((0, 0), dtype=np.float32), empty, np.empty(0))
    mine, vectors, against, hardness = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    if machines is not None and len(mine) > rules.per_image:
        hardest = np.sort(np.argsort(-hardness, kind="stable")[: rules.per_image])
        mine, vectors, against, hardness = mine[hardest], vectors[hardest], against[hardest], hardness[hardest]
    return Found(window_keys(example.number, windows[mine]), vectors, against, hardness)


class Miner:
    """Goes through images once and keeps, in a pool of bounded size, what is hard for the machines of the moment.

    As ``spp_train.m`` does (SPP_net): all negatives of the first image; of the others those above -1.0001; machines
    are learned anew whenever more than 2,000 examples of a class are new, examples below -1.2 then go; and once more
    at the end. Where that code checks after every image, this one does after each group of four, which workers share.

    Parameters
    ----------
    pool : Pool
        With the positive examples.
    positives : dict
        Of each window that is a positive example, its place in the pool.
    rules : Rules
    """

    def __init__(self, pool: Pool, positives: dict[tuple[float, ...], int], rules: Rules) -> None:
        self.pool, self.positives, self.rules = pool, positives, rules

    def first(self, found: Found) -> None:
        """Begin with all negatives of an image."""
        self._take(found)
        self.pool.learn()

    def machines(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the machines last learned."""
        return self.pool.coef, self.pool.intercept

    def group(self, found: Iterable[Found]) -> bool:
        """Take in what a group of images gave; tell whether machines were learned anew."""
        learned = False
        for own in found:
            if len(self.pool) + len(own.keys) > self.pool.size and self.pool.n_new.any():
                self._learn()
                learned = True
            self._take(own)
        if self.pool.n_new.max(initial=0) > self.rules.retrain_after:
            self._learn()
            learned = True
        return learned

    def end(self) -> None:
        """Learn the machines for good."""
        self.pool.learn()

    def _learn(self) -> None:
        self.pool.learn()
        self.pool.evict(self.rules.evict_below, self.pool.size * 3 // 4)

    def _take(self, found: Found) -> None:
        """Add examples, the hardest where there is no room for all; windows of positive ones are there already."""
        if not found.keys:
            return
        here = np.array([self.positives.get(key, -1) for key in found.keys], dtype=np.int64)
        old = here >= 0
        self.pool.also(here[old], -found.against[old].astype(np.int8))
        new = np.flatnonzero(~old)
        room = max(self.pool.size - len(self.pool), 0)
        if len(new) > room:
            new = np.sort(new[np.argsort(-found.hardness[new], kind="stable")[:room]])
        self.pool.add(found.vectors[new], -found.against[new].astype(np.int8))


def draw_negatives(
    example: Example,
    rules: Rules,
    n: int,
    random: np.random.RandomState,
    scaled: Describe,
) -> Found:
    """Draw some of an image's negatives at random: what is learned from without hard ones."""
    windows, firsts, negative = negatives_of(example, rules)
    drawn = np.sort(random.permutation(len(firsts))[:n])
    mine = firsts[drawn]
    rows, vectors = zip(*scaled(example.regions, example.boxes[mine]), strict=True) if len(mine) else ((), ())
    order = np.concatenate([*rows, np.empty(0, dtype=int)])
    keys = window_keys(example.number, windows[mine[order]])
    return Found(keys, np.concatenate([*vectors]) if keys else np.empty((0, 0)), negative[drawn[order]], order * 0.0)
