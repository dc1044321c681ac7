"""Where a network's maps lie: its operators and an image's size in, every map's cells, stride and offset out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

ROWS_COLUMNS = (2, 3)
"""Which dimensions of a tensor are rows and columns when the channels come first."""

Shape = tuple[int | None, ...]


class Axis(NamedTuple):
    """How the cells of a map lie along one axis of the image.

    Parameters
    ----------
    length : int
        Number of cells.
    stride : int
        Pixels from one cell to the next.
    low, high : int
        The edges, in pixels, of what the first cell sees, its receptive field; they may lie outside the image.

    Examples
    --------
    >>> cells = Window(kernel=(3, 3), stride=(2, 2), pads=(0, 0, 1, 1)).along(0, Axis(length=224))
    >>> cells.length, cells.stride, cells.offset, cells.field
    (112, 2, 0.5, 3)
    """

    length: int
    stride: int = 1
    low: int = 0
    high: int = 1

    @property
    def offset(self) -> float:
        """The pixel position of the first cell's near edge: a cell is as long as the stride, centred on its field."""
        return (self.low + self.high - self.stride) / 2

    @property
    def field(self) -> int:
        """How many pixels a cell sees."""
        return self.high - self.low


class Map(NamedTuple):
    """A tensor with places in the image: how they lie, and which of its dimensions are rows and columns."""

    down: Axis
    across: Axis
    dims: tuple[int, int] = ROWS_COLUMNS


Place = Map | str | None
"""Where a tensor lies: a map; None for one value for the whole image; or the reason why it is no map."""

Rule = Callable[[list[Place], list[Shape | None]], Place]
"""The places and shapes of an operator's inputs in, the place of its output out."""


class _LostError(Exception):
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
        if self.first > min(place.dims):
            raise _LostError("which takes rows or columns apart")
        return place._replace(dims=(place.dims[0] + self.by, place.dims[1] + self.by))


@dataclass(frozen=True)
class Mix:
    """An operator that mixes values along some dimensions: it keeps the places unless these are among them."""

    dims: tuple[int, ...]
    vector: bool = False  # whether mixing along rows and columns leaves one value for the image

    def __call__(self, places: list[Place], shapes: list[Shape | None]) -> Place:
        place, mixed = places[0], {dim % 4 for dim in self.dims}
        if not isinstance(place, Map) or mixed.isdisjoint(place.dims):
            return place
        if self.vector and mixed == set(place.dims):
            return None
        raise _LostError("which mixes different places")


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
        dims = maps[0].dims
        for place, shape in zip(places, shapes, strict=True):
            if isinstance(place, Map) or (self.axis is None and _fits_any_place(shape, dims)):
                continue
            if isinstance(place, str):
                return place
            raise _LostError("which joins it with something that has other places")
        if any(place.dims != dims for place in maps) or (self.axis is not None and self.axis % 4 in dims):
            raise _LostError("which joins different places")
        return Map(_joined([place.down for place in maps]), _joined([place.across for place in maps]), dims)


def _joined(axes: list[Axis]) -> Axis:
    if len({(axis.length, axis.stride) for axis in axes}) > 1:
        raise _LostError("which joins maps of different sizes or strides")
    return axes[0]._replace(low=min(axis.low for axis in axes), high=max(axis.high for axis in axes))


def _fits_any_place(shape: Shape | None, dims: tuple[int, int]) -> bool:
    """Whether a tensor of that shape has one row and one column, so that it is the same for every place."""
    if shape is None or len(shape) > 4:
        return False
    return all(length == 1 for length in (shape[dim - 4 :][0] for dim in dims if 4 - dim <= len(shape)))


def _along_both(place: Place, along: Callable[[int, Axis], Axis]) -> Place:
    if not isinstance(place, Map):
        return place
    if place.dims != ROWS_COLUMNS:
        raise _LostError("which slides over other dimensions than rows and columns")
    return Map(along(0, place.down), along(1, place.across))


def _keep(places: list[Place], shapes: list[Shape | None]) -> Place:
    return places[0]


def _lose(places: list[Place], shapes: list[Shape | None]) -> Place:
    known = next((place for place in places if isinstance(place, str)), None)
    if known is None:
        raise _LostError("which does not keep rows and columns")
    return known


# fmt: off
_KEEPING = {
    "Abs", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "DequantizeLinear", "Dropout", "Elu", "Erf", "Exp",
    "Floor", "Gelu", "GroupNormalization", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LRN",
    "LeakyRelu", "Log", "Mish", "Neg", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid",
    "Sign", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu",
}
_JOINING = {"Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum", "Where"}
# fmt: on
_SLIDING = {"AveragePool", "Conv", "LpPool", "MaxPool"}
_GLOBAL = {"GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"}
_REDUCING = {"ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"}


def rule_of(
    op: str, options: dict[str, Any], constants: Sequence[np.ndarray | None], shapes: Sequence[Shape | None]
) -> Rule:
    """Return the rule by which an ONNX operator moves places.

    Parameters
    ----------
    op : str
        The operator's type.
    options : dict
        Its attributes.
    constants : sequence of ndarray or None
        The values of its inputs where they are constants and small.
    shapes : sequence of tuple or None
        The shapes of its inputs where they are known.
    """
    if op in _KEEPING:
        return _keep
    if op in _JOINING:
        return Join()
    if op in _SLIDING:
        return _window(op, options, shapes)
    if op in _GLOBAL:
        return Mix(ROWS_COLUMNS, vector=True)
    axes = options.get("axes", constants[1] if len(constants) > 1 else None)
    if op in _REDUCING and axes is not None and (options.get("keepdims", 1) or set(axes) <= {2, 3}):
        return Mix(tuple(int(axis) for axis in axes), vector=True)
    if op == "Concat":
        return Join(axis=options["axis"])
    if op in ("Split", "LayerNormalization"):
        first = options.get("axis", 0 if op == "Split" else -1) % 4
        return Mix((first,) if op == "Split" else tuple(range(first, 4)))
    if op == "MatMul" and shapes[1] is not None and len(shapes[1]) == 2:
        return Mix((3,))
    if op == "Transpose" and "perm" in options:
        return Turn(tuple(options["perm"]))
    if op in ("Slice", "Gather", "Unsqueeze"):
        return _of_channels(op, options, constants, shapes)
    if op == "SpaceToDepth":
        return Window((options["blocksize"],) * 2, (options["blocksize"],) * 2)
    if op == "Pad":
        return _border(options, constants)
    return _lose


def _window(op: str, options: dict[str, Any], shapes: Sequence[Shape | None]) -> Rule:
    kernel = options.get("kernel_shape") or (shapes[1] or ())[2:]  # of a convolution, that of its weights
    if len(kernel) != 2 or None in kernel:
        return _lose
    window = Window(
        tuple(kernel),
        tuple(options.get("strides", (1, 1))),
        tuple(options.get("dilations", (1, 1))),
        tuple(options.get("pads", (0, 0, 0, 0))),
        options.get("auto_pad", "NOTSET"),
        bool(options.get("ceil_mode", 0)),
    )
    # onnxruntime refuses some of these and shifts others, against the standard (1.32, compared pixel by pixel)
    gaps = op != "Conv" and any(k < step for k, step in zip(window.kernel, window.stride, strict=True))
    odd = window.auto_pad.startswith("SAME") and (window.dilation != (1, 1) or gaps)
    return _lose if odd else window


def _of_channels(
    op: str, options: dict[str, Any], constants: Sequence[np.ndarray | None], shapes: Sequence[Shape | None]
) -> Rule:
    """Return the rule of an operator that chooses among channels: half of them, or each by itself."""
    if op == "Gather":
        axis = options.get("axis", 0)
        return Shift(axis + 1, -1) if shapes[1] == () and axis >= 0 else Mix((axis,))
    at = 3 if op == "Slice" else 1
    axes = options.get("axes", constants[at] if len(constants) > at else None)
    if axes is None or (op == "Unsqueeze" and (len(axes) != 1 or axes[0] < 0)):
        return _lose
    return Mix(tuple(int(axis) for axis in axes)) if op == "Slice" else Shift(int(axes[0]), 1)


def _border(options: dict[str, Any], constants: Sequence[np.ndarray | None]) -> Rule:
    pads = options.get("pads", constants[1] if len(constants) > 1 else None)
    if pads is None or len(pads) != 8 or len(constants) > 3:  # not known, of another rank, or of some axes only
        return _lose
    return Border(tuple(int(pads[i]) for i in (2, 3, 6, 7)))


class Step(NamedTuple):
    """One operator of a graph: its type and name, the tensors that it reads and writes, and its rule."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rule: Rule


@dataclass
class Graph:
    """What there is to know of a network to tell where its maps lie.

    Parameters
    ----------
    image : str
        The input's name.
    channels : int
        Its channels, 1 or 3.
    dims : (int, int)
        Which of its dimensions are rows and columns.
    fixed : (int or None, int or None)
        Its height and width, where the file fixes them.
    steps : list of Step
        The operators in the order of the graph, without those that compute constants.
    shapes : dict
        The shapes of tensors and constants as far as they can be inferred, None for what is free.
    """

    image: str
    channels: int
    dims: tuple[int, int]
    fixed: tuple[int | None, int | None]
    steps: list[Step] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def trace(self, size: tuple[int, int]) -> dict[str, Place]:
        """Tell where every tensor lies for an image of that height and width."""
        found: dict[str, Place] = {self.image: Map(Axis(size[0]), Axis(size[1]), self.dims)}
        for step in self.steps:
            shapes = [self.shapes.get(name) for name in step.inputs if name]
            try:
                place = step.rule([found.get(name) for name in step.inputs if name], shapes)
            except _LostError as error:
                place = f"it lies at or behind {step.op} {step.name!r}, {error}"
            if isinstance(place, Map) and min(place.down.length, place.across.length) < 1:
                place = TooSmall(f"nothing is left of it behind {step.op} {step.name!r}")
            found.update(dict.fromkeys(step.outputs, place))
        return found

    def smallest(self, largest: int = 4096) -> tuple[int, int]:
        """Return the smallest height and width, up to `largest`, of which every operator leaves something."""

        def fits(size: tuple[int, int]) -> bool:
            return not any(isinstance(place, TooSmall) for place in self.trace(size).values())

        height = next((n for n in range(1, largest) if fits((n, largest))), largest)
        return height, next((n for n in range(1, largest) if fits((largest, n))), largest)
