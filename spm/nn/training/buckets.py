"""Shape buckets: the shapes of images in, batches of which each is one tensor out, equal steps for every rank."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ..._tools.options import flag, seed
from ..._tools.public import public
from ...errors import SpmError, check_number

Step = list[np.ndarray]
"""The positions of the images in each rank's batch."""


def snap(shapes: Any, step: int) -> np.ndarray:
    """Return heights and widths rounded to whole steps, one at least: shape (n, 2), int64.

    Examples
    --------
    >>> snap([(240, 300), (10, 33)], 32).tolist()
    [[256, 288], [32, 32]]
    """
    sides = np.asarray(shapes, dtype=np.int64)
    return np.maximum((2 * sides + step) // (2 * step), 1) * step


@public("spm.nn")
class ShapeBuckets:
    """Batches of images of one shape each: every image once an epoch, as many steps for every rank.

    A batch sampler as torch's ``DataLoader(batch_sampler=...)`` takes it; it needs no torch itself. Sides are rounded
    to whole steps, and images of one rounded shape share batches: `targets` says to which shape each is to be brought.
    A group that `batch_size` does not divide is cut into batches of nearly equal size, so that none of one image is
    left over; nothing is repeated or dropped.

    In a step each rank has a batch of its own. Where the number of batches is not one of whole steps, batches are cut
    once more; where there is nothing left to cut, the rarest shape joins the nearest.

    Parameters
    ----------
    shapes : array-like of shape (n, 2)
        Height and width of each image in pixels.
    batch_size : int
        Images, at most, in a rank's batch. (With 1 and several ranks a batch may have two, where n does not divide.)
    step : int, default=32
        To what the sides are rounded; 1 for the shapes as they are.
    max_pixels : int, optional
        Pixels, at most, in a batch: larger images come in smaller batches, one image at least.
    shuffle : bool, default=True
        Whether images change their batches, and batches their order, from epoch to epoch.
    least : int, default=1
        Shapes with fewer images than this join the nearest.
    rank, world_size : int, default=0, 1
        Which process this is, and how many there are.
    random_state : int, RandomState or None
        Seeds the order, together with the epoch. With several ranks give all of them the same number.

    Attributes
    ----------
    targets : ndarray of shape (n, 2), int64
        The shape of the batch that an image comes in.
    fill : float
        Images in a batch in the mean, as a share of `batch_size`.

    Raises
    ------
    SpmError
        For an option that is not valid, or fewer images than ranks.

    Examples
    --------
    >>> buckets = ShapeBuckets([(240, 300)] * 5 + [(300, 240)] * 2, 4, shuffle=False)
    >>> list(buckets), buckets.targets[0].tolist()
    ([[0, 1, 2], [3, 4], [5, 6]], [256, 288])
    """

    def __init__(
        self,
        shapes: Any,
        batch_size: int,
        *,
        step: int = 32,
        max_pixels: int | None = None,
        shuffle: bool = True,
        least: int = 1,
        rank: int = 0,
        world_size: int = 1,
        random_state: Any = None,
    ) -> None:
        self.shapes = _check_shapes(shapes)
        self.batch_size = int(check_number("batch_size", batch_size, least=1, integer=True))
        self.step = int(check_number("step", step, least=1, integer=True))
        self.max_pixels = None if max_pixels is None else check_number("max_pixels", max_pixels, above=0)
        self.shuffle = bool(flag("shuffle", shuffle))
        self.least = int(check_number("least", least, least=1, integer=True))
        self.world_size = int(check_number("world_size", world_size, least=1, integer=True))
        self.rank = int(check_number("rank", rank, least=0, integer=True))
        if self.rank >= self.world_size:
            raise SpmError(f"rank must be below world_size={world_size}, got {rank}")
        if len(self.shapes) < self.world_size:
            raise SpmError(f"{len(self.shapes)} images are too few for {world_size} ranks: each needs one at least")
        self._seed = _seed_of(random_state)
        self._epoch = 0
        self.targets, self._groups, self._counts = self._plan()

    def _plan(self) -> tuple[np.ndarray, list[np.ndarray], list[int]]:
        """Return what stays from epoch to epoch: shapes to be brought to, groups, and batches of each group."""
        sides, group_of = np.unique(snap(self.shapes, self.step), axis=0, return_inverse=True)
        group_of = group_of.ravel()
        while True:
            sizes = np.bincount(group_of, minlength=len(sides))
            counts = _batches(sizes, self._room(sides), self.world_size, last=int((sizes > 0).sum()) == 1)
            small = (sizes > 0) & (sizes < self.least)
            if counts is not None and (not small.any() or int((sizes > 0).sum()) == 1):
                break
            group_of = _join_rarest(sides, group_of, sizes)
        groups = [np.flatnonzero(group_of == k) for k in np.flatnonzero(sizes)]
        return sides[group_of], groups, [counts[k] for k in np.flatnonzero(sizes)]

    def _room(self, sides: np.ndarray) -> np.ndarray:
        """Return how many images of each shape a batch may have."""
        if self.max_pixels is None:
            return np.full(len(sides), self.batch_size)
        return np.clip(self.max_pixels // sides.prod(axis=1), 1, self.batch_size).astype(int)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which the order depends on: ranks and resumed runs that set the same one have the same."""
        self._epoch = int(check_number("epoch", epoch, least=0, integer=True))

    def __len__(self) -> int:
        """Return the steps of an epoch, the same for every rank."""
        return sum(self._counts) // self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the positions of the images in each batch of this rank."""
        for batches in self.steps():
            yield batches[self.rank].tolist()

    def steps(self) -> list[Step]:
        """Return the batches of all ranks, step by step."""
        random = np.random.default_rng((self._seed, self._epoch))
        batches: list[np.ndarray] = []
        for group, count in zip(self._groups, self._counts, strict=True):
            order = random.permutation(group) if self.shuffle else group
            batches += np.array_split(order, count)
        n = self.world_size
        # Batches of one shape and size stand side by side, so that no rank of a step waits long for another.
        steps = [batches[start : start + n] for start in range(0, len(batches), n)]
        if not self.shuffle:
            return steps
        return [[steps[i][j] for j in random.permutation(n)] for i in random.permutation(len(steps))]

    @cached_property
    def fill(self) -> float:
        """Images in a batch in the mean, as a share of `batch_size`."""
        return len(self.shapes) / (sum(self._counts) * self.batch_size)


def _seed_of(random_state: Any) -> int:
    seed("random_state", random_state)
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def _check_shapes(shapes: Any) -> np.ndarray:
    sides = np.asarray(shapes)
    if sides.ndim != 2 or sides.shape[1:] != (2,) or not len(sides) or sides.dtype.kind not in "iu":
        raise SpmError(
            f"shapes must be whole heights and widths, one pair an image, got an array of shape {sides.shape} and type "
            f"{sides.dtype}"
        )
    if sides.min() < 1:
        raise SpmError(f"shapes must be 1 pixel at least each way, got {sides.min()}")
    return sides.astype(np.int64)


def _batches(sizes: np.ndarray, room: np.ndarray, ranks: int, *, last: bool) -> list[int] | None:
    """Return how many batches each group is cut into, whole steps in all; None where that cannot be."""
    counts = -(-sizes // room)
    missing = -int(counts.sum()) % ranks
    if counts.sum() + missing > sizes.sum():
        return [int(n) // ranks * ranks for n in counts] if last else None
    for _ in range(missing):
        counts[np.argmax(np.where(sizes > counts, sizes / np.maximum(counts, 1), 0))] += 1
    return [int(n) for n in counts]


def _join_rarest(sides: np.ndarray, group_of: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the groups with the rarest brought to the shape that is nearest by the logarithms of its sides."""
    rarest = int(np.argmin(np.where(sizes > 0, sizes, sizes.sum() + 1)))
    distance = np.abs(np.log(sides) - np.log(sides[rarest])).sum(axis=1)
    distance[(sizes == 0) | (np.arange(len(sides)) == rarest)] = np.inf
    return np.where(group_of == rarest, int(np.argmin(distance)), group_of)
