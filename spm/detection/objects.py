"""Boxes, labels and scores of one image in, the one object that holds them together out."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._tools.public import public
from ..boxes import check_boxes
from ..errors import SpmError

_SHOWN = 4  # objects that a repr spells out
_FIELDS = ("boxes", "labels", "scores", "difficult")


@public("spm.detection")
@dataclass(frozen=True, eq=False, repr=False)
class Objects:
    """The objects of one image: those that are there, or those that a detector found.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        Left, top, right and bottom edges in pixels, half-open: the last pixel of a box is the one before its right
        and bottom edges.
    labels : array-like of shape (n,)
        What each object is: names or whole numbers.
    scores : array-like of shape (n,), optional
        How sure a detector is of each; any finite numbers. None for what is true rather than found.
    difficult : array-like of shape (n,), bool, optional
        Objects that measures count neither as hits nor as misses, as PASCAL VOC has it. By default none.

    Attributes
    ----------
    boxes : ndarray of shape (n, 4), float64
    labels : ndarray of shape (n,)
    scores : ndarray of shape (n,), float64, or None
    difficult : ndarray of shape (n,), bool

    Raises
    ------
    SpmError
        For boxes that are none, for lengths that differ, for labels that are neither names nor whole numbers, and for
        scores that are not finite.

    Notes
    -----
    ``objects[chosen]`` with a mask, a slice or indices gives the chosen ones; with one index, an `Objects` of one.
    numpy sees an `Objects` as one thing: an array of several is an array of objects.

    Examples
    --------
    >>> found = Objects([[10, 20, 60, 80], [0, 0, 30, 30]], ["dog", "cat"], scores=[0.5, 0.9])
    >>> found
    Objects([[10, 20, 60, 80], [0, 0, 30, 30]], ['dog', 'cat'], scores=[0.5, 0.9])
    >>> found[found.scores > 0.6]
    Objects([[0, 0, 30, 30]], ['cat'], scores=[0.9])
    >>> len(Objects([], [])), Objects([], []) == Objects.none()
    (0, True)
    """

    boxes: Any  # lists in, arrays out: no one type has both
    labels: Any
    scores: Any = None
    difficult: Any = None

    def __post_init__(self) -> None:
        boxes = check_boxes(self.boxes)
        checked = {
            "boxes": boxes,
            "labels": _labels(self.labels, len(boxes)),
            "scores": None if self.scores is None else _scores(self.scores, len(boxes)),
            "difficult": _difficult(self.difficult, len(boxes)),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def none(cls, *, scored: bool = False) -> Objects:
        """Return the objects of an image that has none; `scored` as a detector says so.

        Examples
        --------
        >>> Objects.none()
        Objects([], [])
        """
        return cls(np.empty((0, 4)), np.empty(0, dtype=int), np.empty(0) if scored else None)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: Any) -> Objects:
        if isinstance(chosen, int | np.integer) and not isinstance(chosen, bool | np.bool_):
            if not -len(self) <= chosen < len(self):
                raise IndexError(f"object {chosen} of {len(self)}")
            chosen = [chosen]
        elif isinstance(chosen, list) and not chosen:
            chosen = slice(0)
        parts = [None if value is None else value[chosen] for value in self._values()]
        return Objects(*parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Objects):
            return NotImplemented
        if len(self) == len(other) == 0:  # without objects there is nothing for the kind of labels to tell
            return (self.scores is None) == (other.scores is None)
        return all(_same(mine, theirs) for mine, theirs in zip(self._values(), other._values(), strict=True))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        one = np.empty(1, dtype=object)
        one[0] = self
        return one.reshape(())

    def __repr__(self) -> str:
        if len(self) > _SHOWN:
            return self._summary()
        corners = ", ".join("[" + ", ".join(f"{edge:.6g}" for edge in box) + "]" for box in self.boxes)
        parts = [f"[{corners}]", repr(self.labels.tolist())]
        if self.scores is not None:
            parts.append(f"scores=[{', '.join(f'{score:.6g}' for score in self.scores)}]")
        if self.difficult.any():
            parts.append(f"difficult={self.difficult.tolist()}")
        return f"Objects({', '.join(parts)})"

    def _summary(self) -> str:
        names, counts = np.unique(self.labels, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        parts = [f"{counts[k]} {names[k]}" for k in order[:_SHOWN]] + ["..."] * (len(names) > _SHOWN)
        text = f"{len(self)} objects: {', '.join(parts)}"
        if self.scores is not None:
            text += f"; scores {self.scores.min():.3g} to {self.scores.max():.3g}"
        if self.difficult.any():
            text += f"; {self.difficult.sum()} difficult"
        return f"<{text}>"

    def _values(self) -> list[np.ndarray | None]:
        return [getattr(self, name) for name in _FIELDS]


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)


def _column(name: str, values: Any, length: int) -> np.ndarray:
    """Return values as an array with one for each box."""
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise SpmError(f"{name} must be one for each of the {length} boxes, got {values!r}")
    try:
        column = np.asarray(values)
    except ValueError as error:
        raise SpmError(f"{name} must be a flat sequence, one for each of the {length} boxes") from error
    if column.shape != (length,):
        raise SpmError(f"{name} must be one for each of the {length} boxes, got shape {column.shape}")
    return column


def _labels(values: Any, length: int) -> np.ndarray:
    labels = _column("labels", values, length)
    if labels.dtype.kind in "UbiuT" or (labels.dtype.kind == "f" and length and (labels == np.rint(labels)).all()):
        return labels.astype(str) if labels.dtype.kind == "T" else labels
    if not length:
        return np.empty(0, dtype=int)  # of an empty list numpy makes floats
    for kind, dtype in ((str, str), (numbers.Integral, int)):
        if labels.dtype.kind == "O" and all(isinstance(label, kind) for label in labels):
            return labels.astype(dtype)
    raise SpmError(f"labels must be all names or all whole numbers, got {values!r}")


def _scores(values: Any, length: int) -> np.ndarray:
    try:
        scores = _column("scores", values, length).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, SpmError) else SpmError(f"scores must be numbers, got {values!r}") from error
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise SpmError(f"scores must be finite numbers, the score of object {bad[0]} is {scores[bad[0]]}")
    return scores


def _difficult(values: Any, length: int) -> np.ndarray:
    if values is None:
        return np.zeros(length, dtype=bool)
    flags = _column("difficult", values, length)
    if length and not (flags.dtype.kind in "biu" and np.isin(flags, (0, 1)).all()):
        raise SpmError(f"difficult must be True or False for each box, got {values!r}")
    return flags.astype(bool)


def check_objects(y: Any, *, length: int | None = None, scored: bool = False, name: str = "y") -> list[Objects]:
    """Return `y` as a list with one `Objects` an image.

    Parameters
    ----------
    y : sequence of Objects
        One for each image; `Objects.none()` for an image without any.
    length : int, optional
        How many images there are.
    scored : bool, default=False
        Whether all must have scores, as a detector's have.
    name : str, default="y"
        What to call it in a message.

    Returns
    -------
    list of Objects

    Raises
    ------
    SpmError
        When it is no such sequence, of another length, without the scores that are asked for, or when some labels are
        names and others numbers.

    Examples
    --------
    >>> check_objects([Objects([[0, 0, 9, 9]], ["cat"]), Objects.none()], length=2)
    [Objects([[0, 0, 9, 9]], ['cat']), Objects([], [])]
    """
    wanted = f"{name} must be a list with one spm.detection.Objects for each image"
    if isinstance(y, Objects):
        raise SpmError(f"{wanted}, got one Objects: put it into a list, [objects]")
    if hasattr(y, "to_numpy"):  # a column of a table
        y = y.to_numpy()
    if not isinstance(y, Sequence | np.ndarray) or isinstance(y, str | bytes):
        raise SpmError(f"{wanted}, got {type(y).__name__}")
    items = list(y)
    for i, item in enumerate(items):
        if not isinstance(item, Objects):
            raise SpmError(f"{wanted}, item {i} is of type {type(item).__name__}")
        if scored and item.scores is None and len(item):
            raise SpmError(f"{name} must have scores, item {i} has none: it is what was found, not what is true")
    if length is not None and len(items) != length:
        raise SpmError(f"{wanted}, got {len(items)} for {length} images")
    classes_of(items, name=name)
    return items


def classes_of(*several: Sequence[Objects], name: str = "y") -> np.ndarray:
    """Return the labels that occur in lists of objects, sorted, each once.

    Raises
    ------
    SpmError
        When some are names and others numbers.

    Examples
    --------
    >>> classes_of([Objects([[0, 0, 9, 9]], ["dog"])], [Objects([[0, 0, 9, 9]], ["cat"]), Objects.none()])
    array(['cat', 'dog'], dtype='<U3')
    """
    found = [objects.labels for image in several for objects in image if len(objects)]
    if len({labels.dtype.kind == "U" for labels in found}) > 1:
        raise SpmError(f"labels of {name} are names in some images and numbers in others: use one kind throughout")
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=int)
