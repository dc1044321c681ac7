"""What operators do to maps: the cells, stride and offset of a map in, those behind an operator out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

ROWS_COLUMNS = (2, 3)
"""Which dimensions of a tensor are rows and columns when the channels come first."""

Shape = tuple[int | None, ...]

Number = int | Fraction
"""Pixels: whole, unless a map was enlarged or shrunk by a factor that divides nothing."""


class Axis(NamedTuple):
    """How the cells of a map lie along one axis of the image.

    Parameters
    ----------
    length : int
        Number of cells.
    stride : int or Fraction
        Pixels from one cell to the next.
    low, high : int or Fraction
        The edges, in pixels, of what the first cell sees, its receptive field; they may lie outside the image.

    Examples
    --------
    >>> cells = Window(kernel=(3, 3), stride=(2, 2), pads=(0, 0, 1, 1)).along(0, Axis(length=224))
    >>> cells.length, cells.stride, cells.offset, cells.field
    (112, 2, 0.5, 3)
    """

    length: int
    stride: Number = 1
    low: Number = 0
    high: Number = 1

    @property
    def offset(self) -> float:
        """The pixel position of the first cell's near edge: a cell is as long as the stride, centred on its field."""
        return float((self.low + self.high - self.stride) / 2)

    @property
    def field(self) -> Number:
        """How many pixels a cell sees."""
        return self.high - self.low

    def cut_into(self, length: int) -> Axis:
        """Return the same stretch of the image cut into another number of cells."""
        if length in (self.length, 0):
            return self._replace(length=length)
        stride = _plain(Fraction(self.length, length) * self.stride)
        shift = Fraction(stride - self.stride) / 2  # the first cell's near edge stays where it is
        return Axis(length, stride, _plain(self.low + shift), _plain(self.high + shift))


def _plain(value: Number) -> Number:
    return value.numerator if isinstance(value, Fraction) and value.denominator == 1 else value


class Map(NamedTuple):
    """A tensor with places in the image: how they lie, and which of its dimensions are rows and columns.

    Where these are one and the same dimension, it holds the cells row by row, as a transformer's tokens do, `before`
    others standing before them. `measured` tells whether the image was followed through the operators all the way, or
    some of them had to be run to see what they do.
    """

    down: Axis
    across: Axis
    dims: tuple[int, int] = ROWS_COLUMNS
    before: int = 0
    measured: bool = False

    @property
    def tokens(self) -> bool:
        """Whether rows and columns are one dimension."""
        return self.dims[0] == self.dims[1]

    def lengths(self) -> dict[int, int]:
        """Return the lengths of the dimensions that are rows and columns."""
        if self.tokens:
            return {self.dims[0]: self.before + self.down.length * self.across.length}
        return {self.dims[0]: self.down.length, self.dims[1]: self.across.length}


Place = Map | str | None
"""Where a tensor lies: a map; None for one value for the whole image; or the reason why it is no map."""

Rule = Callable[[list[Place], list[Shape | None]], Place]
"""The places and shapes of an operator's inputs in, the place of its output out."""


class LostError(Exception):
    """An operator does not keep the places of a map; the message ends "which ..."."""


class TooSmall(str):
    """The reason why a tensor is no map, when it is that the image is too small."""


@dataclass(frozen=True)
class Window:
    """A window that slides over a map: a convolution or a pooling.

    Parameters
    ----------
    kernel, stride, dilation : (int, int)
        Down and across.
    pads : (int, int, int, int), default=(0, 0, 0, 0)
        Top, left, bottom, right.
    auto_pad : {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"}, default="NOTSET"
        "SAME": as much padding as gives ceil(length / stride) cells, an odd rest at the far (upper) or near (lower)
        end; so it depends on the image's size.
    ceil : bool, default=False
        Whether a window counts that the far border cuts.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    auto_pad: str = "NOTSET"
    ceil: bool = False

    def along(self, k: int, axis: Axis) -> Axis:
        """Return how the windows lie along axis `k`, 0 for down. A length below 1 means that none fits."""
        step, reach = self.stride[k], (self.kernel[k] - 1) * self.dilation[k] + 1
        before, after = (0, 0) if self.auto_pad == "VALID" else self.pads[k::2]
        if self.auto_pad.startswith("SAME"):
            total = max((-(-axis.length // step) - 1) * step + reach - axis.length, 0)
            before = total // 2 if self.auto_pad == "SAME_UPPER" else total - total // 2
            after = total - before
        room = axis.length + before + after - reach
        length = (-(-room // step) if self.ceil else room // step) + 1
        if self.ceil and (length - 1) * step >= axis.length + before:  # a window wholly beyond the far border
            length -= 1
        low = axis.low - before * axis.stride
        return Axis(length, axis.stride * step, low, low + axis.field + (reach - 1) * axis.stride)

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        return _along_both(places[0], self.along)


@dataclass(frozen=True)
class Border:
    """A border around a map: top, left, bottom, right; negative cuts off."""

    pads: tuple[int, ...]

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        def along(k: int, axis: Axis) -> Axis:
            before, after = self.pads[k::2]
            start = before * axis.stride
            return Axis(axis.length + before + after, axis.stride, axis.low - start, axis.high - start)

        return _along_both(places[0], along)


@dataclass(frozen=True)
class Turn:
    """An exchange of dimensions."""

    order: tuple[int, ...]

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        place = places[0]
        if not isinstance(place, Map):
            return place
        down, across = (self.order.index(dim) for dim in place.dims)
        return place._replace(dims=(down, across))


@dataclass(frozen=True)
class Shift:
    """A dimension taken out (by -1) or put in (by 1) before the dimension `first`, and so before rows and columns."""

    first: int
    by: int

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        place = places[0]
        if not isinstance(place, Map):
            return place
        if self.first > min(place.dims) or place.tokens:
            raise LostError("which takes rows or columns apart")
        return place._replace(dims=(place.dims[0] + self.by, place.dims[1] + self.by))


@dataclass(frozen=True)
class Mix:
    """An operator that mixes values along some dimensions: it keeps the places unless these are among them."""

    dims: tuple[int, ...]
    vector: bool = False  # whether mixing along rows and columns leaves one value for the image

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        place, mixed = places[0], {dim % _rank(shapes[0]) for dim in self.dims}
        if not isinstance(place, Map) or mixed.isdisjoint(place.dims):
            return place
        if self.vector and mixed == set(place.dims):
            return None
        raise LostError("which mixes different places")


@dataclass(frozen=True)
class Join:
    """An elementwise operator or, with an axis, a concatenation: all its maps must have one stride and length.

    What a joined cell sees is what it sees through any of them.
    """

    axis: int | None = None

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        maps = [place for place in places if isinstance(place, Map)]
        if not maps:
            return next((place for place in places if place is not None), None)
        dims, first = maps[0].dims, shapes[places.index(maps[0])]
        for place, shape in zip(places, shapes, strict=True):
            if isinstance(place, Map) or (self.axis is None and _fits(shape, maps[0], _rank(first))):
                continue
            if isinstance(place, str):
                return place
            raise LostError("which joins it with something that has other places")
        if len({(place.dims, place.before) for place in maps}) > 1:
            raise LostError("which joins different places")
        if self.axis is not None and self.axis % _rank(first) in dims:
            raise LostError("which joins different places")
        down, across = _joined([place.down for place in maps]), _joined([place.across for place in maps])
        return maps[0]._replace(down=down, across=across, measured=any(place.measured for place in maps))


def _joined(axes: list[Axis]) -> Axis:
    if len({(axis.length, axis.stride) for axis in axes}) > 1:
        raise LostError("which joins maps of different sizes or strides")
    return axes[0]._replace(low=min(axis.low for axis in axes), high=max(axis.high for axis in axes))


def _rank(shape: Shape | None) -> int:
    return 4 if shape is None else len(shape)


def _fits(shape: Shape | None, place: Map, rank: int) -> bool:
    """Whether a tensor without places of its own has one value for all, or one for each, of a map's."""
    if shape is None or len(shape) > rank:
        return False
    lengths = {dim - rank + len(shape): length for dim, length in place.lengths().items()}
    return all(shape[dim] in (1, length) for dim, length in lengths.items() if dim >= 0)


def _along_both(place: Place, along: Callable[[int, Axis], Axis]) -> Place:
    if not isinstance(place, Map):
        return place
    if place.dims != ROWS_COLUMNS:
        raise LostError("which slides over other dimensions than rows and columns")
    return place._replace(down=along(0, place.down), across=along(1, place.across))


@dataclass(frozen=True)
class Reshape:
    """A new shape: rows and columns stay if they are dimensions of it, or one dimension together."""

    target: tuple[int, ...]
    allow_zero: bool = False

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        place, shape = places[0], shapes[0]
        if not isinstance(place, Map) or shape is None or None in shape:
            return lose(places, shapes)
        old = [int(length or 0) for length in shape]
        new = [old[k] if not n and not self.allow_zero else n for k, n in enumerate(self.target)]
        new = [_product(old) // max(-_product(new), 1) if n == -1 else n for n in new]
        at = _starts(new)
        first, second = (_product(old[:dim]) for dim in place.dims)
        rows, columns = place.down.length, place.across.length
        if not place.tokens and (first, rows) in at and (second, columns) in at:
            return place._replace(dims=(at[first, rows], at[second, columns]))
        together = place.dims[1] in (place.dims[0], place.dims[0] + 1)
        if together and (first, place.before + rows * columns) in at:
            return place._replace(dims=(at[first, place.before + rows * columns],) * 2)
        if place.tokens and not place.before and (first, rows) in at and (first * rows, columns) in at:
            return place._replace(dims=(at[first, rows], at[first * rows, columns]))
        raise LostError("which does not keep rows and columns")


def _starts(shape: Sequence[int]) -> dict[tuple[int, int], int]:
    """Return the dimensions of a shape by how many of them are stepped over to come to one, and its length."""
    found: dict[tuple[int, int], int] = {}
    for dim, length in enumerate(shape):
        found.setdefault((_product(shape[:dim]), length), dim)
    return found


def _product(lengths: Sequence[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product


@dataclass(frozen=True)
class Blocks:
    """Channels laid out as blocks of cells."""

    size: int

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        return _along_both(places[0], lambda _, axis: axis.cut_into(axis.length * self.size))


def keep(places: list[Place], shapes: list[Shape | None]) -> Place:
    """The rule of an operator that leaves places where they are."""
    return places[0]


def lose(places: list[Place], shapes: list[Shape | None]) -> Place:
    """The rule of an operator that is not known, or takes places apart."""
    known = [place for place in places if isinstance(place, str)]
    if known and not any(isinstance(place, Map) for place in places):
        return known[0]
    raise LostError("which does not keep rows and columns")
