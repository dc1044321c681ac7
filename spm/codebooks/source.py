"""What a codebook learns from: descriptors in memory or in files in, what becomes of all their blocks together out.

Both are gone through in the same blocks, and what blocks give is joined in the same order: first within a group, by the
worker that has it where they are in files, then group by group. So both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from .._tools.parallel import each_in_threads, in_order
from ..errors import SpmError
from ..features.stream import DescriptorFiles

GROUP = 65_536  # descriptors of a group, a whole number of blocks: what a worker joins before it sends it
T = TypeVar("T")

Of = Callable[[np.ndarray], T]
Join = Callable[[T, T], T]
Beside = Sequence[Any] | None  # what belongs to each block, one by one


class Held:
    """Descriptors in memory, worked on in threads of this process.

    Parameters
    ----------
    values : ndarray of shape (N, D), float32
    n_jobs : int or None
    """

    def __init__(self, values: np.ndarray, n_jobs: int | None) -> None:
        self.values, self.n_jobs = values, n_jobs
        self._blocks: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, at: np.ndarray) -> Held:
        """Return the descriptors at some places, in memory."""
        return Held(self.values[at], self.n_jobs)

    def some(self, at: np.ndarray) -> Held:
        """Return the descriptors at some places, where they are."""
        return self.rows(at)

    def prepared(self, prepare: Of[np.ndarray], size: int) -> Held:
        """Return the same with every block of `size` turned into something else, once."""
        made = Held(self.values, self.n_jobs)
        made._blocks = [prepare(block) for block in _blocks(self.values, size)]
        return made

    def fold(self, function: Callable[..., T], join: Join[T], size: int, beside: Beside = None) -> T:
        """Return what a function gives for all blocks of `size` descriptors, joined in order.

        It takes a block, and what lies beside it where there is something for each block.
        """
        blocks = _blocks(self.values, size) if self._blocks is None else self._blocks
        parts = each_in_threads(partial(_apply, function), _with(blocks, beside), n_jobs=self.n_jobs)
        return reduce(join, _joined_by(GROUP // size, parts, join))


class Filed:
    """Descriptors in files, worked on by whatever workers the caller has chosen: paths go there, what is joined comes.

    Parameters
    ----------
    files : DescriptorFiles
    n_jobs : int or None
    at : ndarray of int, optional
        Sorted places; by default all.
    """

    def __init__(self, files: DescriptorFiles, n_jobs: int | None, at: np.ndarray | None = None) -> None:
        self.files, self.n_jobs, self.at = files, n_jobs, at
        self._prepare: Of[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.files) if self.at is None else len(self.at)

    def rows(self, at: np.ndarray) -> Held:
        """Return the descriptors at some places, in memory."""
        return Held(Filed(self.files, self.n_jobs, at)._gathered(), self.n_jobs)

    def some(self, at: np.ndarray) -> Filed:
        """Return the descriptors at some places, where they are."""
        return Filed(self.files, self.n_jobs, at)

    def prepared(self, prepare: Of[np.ndarray], size: int) -> Filed:
        """Return the same with every block turned into something else, whenever it is read."""
        made = Filed(self.files, self.n_jobs, self.at)
        made._prepare = prepare
        return made

    def fold(self, function: Callable[..., T], join: Join[T], size: int, beside: Beside = None) -> T:
        """Return what a function gives for all blocks of `size` descriptors, joined in order.

        It takes a block, and what lies beside it where there is something for each block.
        """
        work = partial(_fold_group, function=function, join=join, size=size, prepare=self._prepare)
        return reduce(join, self._each(work, None if beside is None else _blocks(beside, GROUP // size)))

    def _gathered(self) -> np.ndarray:
        return np.concatenate(list(self._each(_read_group)))

    def _each(self, work: Callable[[Any], T], beside: Beside = None) -> Iterator[T]:
        starts = range(0, len(self), GROUP)
        groups = (self.files.pieces(start, min(start + GROUP, len(self)), self.at) for start in starts)
        return in_order(work, _with(groups, beside), n_jobs=self.n_jobs, batch=1, total=len(starts))


Source = Held | Filed


def source_of(X: Any, n_jobs: int | None) -> Source:
    """Return descriptors, (N, D), as what a codebook learns from: as float32.

    Raises
    ------
    SpmError
        For another shape, and for values that are not finite.
    """
    if isinstance(X, DescriptorFiles):
        return Filed(X, n_jobs)
    X = np.ascontiguousarray(X, dtype=np.float32)
    if X.ndim != 2 or not np.isfinite(X).all():
        raise SpmError(f"descriptors must be finite and of shape (N, D), got shape {X.shape}: look for NaN or infinity")
    return Held(X, n_jobs)


def mean_and_variance(source: Source, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the variance of each value of descriptors: float64, shape (D,) each.

    Raises
    ------
    SpmError
        For values that are not finite.

    Examples
    --------
    >>> mean_and_variance(Held(np.float32([[1, 0], [3, 0]]), 1), 1024)
    (array([2., 0.]), array([1., 0.]))
    """
    count, mean, squares = source.fold(_moments, _join_moments, size)
    if not np.isfinite(mean).all():
        raise SpmError("descriptors must be finite: look for NaN or infinity")
    return mean, squares / count


def _moments(values: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of descriptors, their mean, and the summed squares of what they are off it."""
    mean = values.mean(axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return len(values), mean, np.square(values - mean).sum(axis=0)


def _join_moments(one: Any, other: Any) -> tuple[int, np.ndarray, np.ndarray]:
    n, m = one[0], other[0]
    with np.errstate(invalid="ignore"):
        apart = other[1] - one[1]
        return n + m, one[1] + apart * (m / (n + m)), one[2] + other[2] + np.square(apart) * (n * m / (n + m))


def add(one: Sequence[Any], other: Sequence[Any]) -> tuple[Any, ...]:
    """Return the sums of arrays and numbers, one by one: how most of what blocks give is joined."""
    return tuple(a + b for a, b in zip(one, other, strict=True))


def count_different(source: Source, most: int, size: int) -> int:
    """Return how many different descriptors there are, or `most`.

    Examples
    --------
    >>> count_different(Held(np.float32([[1], [3], [1]]), 1), 5, 1024)
    2
    """
    distinct = partial(_distinct, most=most)
    return len(source.fold(distinct, lambda one, other: distinct(np.concatenate([one, other])), size))


def _distinct(values: np.ndarray, most: int) -> np.ndarray:
    return np.unique(values, axis=0)[:most]


def _blocks(values: Any, size: int) -> list[Any]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _with(blocks: Iterable[Any], beside: Beside) -> Iterable[tuple[Any, ...]]:
    return zip(blocks) if beside is None else zip(blocks, beside, strict=True)


def _apply(function: Callable[..., T], block: tuple[Any, ...]) -> T:
    return function(*block)


def _joined_by(n: int, parts: Iterable[T], join: Join[T]) -> Iterator[T]:
    """Yield the parts joined, n at a time; as they come, so that few are held.

    Examples
    --------
    >>> list(_joined_by(2, iter([1, 2, 3, 4, 5]), lambda one, other: one + other))
    [3, 7, 5]
    """
    rest = iter(parts)
    for first in rest:
        yield reduce(join, islice(rest, n - 1), first)


def _read_group(group: tuple[Any]) -> np.ndarray:
    return DescriptorFiles.read(group[0])


def _fold_group(
    group: tuple[Any, ...],
    *,
    function: Callable[..., T],
    join: Join[T],
    size: int,
    prepare: Of[np.ndarray] | None,
) -> T:
    """Return what a function gives for all blocks of a group, joined."""
    pieces, *beside = group
    blocks: Iterable[np.ndarray] = _blocks(DescriptorFiles.read(pieces), size)
    parts = _with(blocks if prepare is None else map(prepare, blocks), *beside or [None])
    return reduce(join, (function(*block) for block in parts))
