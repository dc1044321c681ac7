"""The rules of ONNX operators: a type, options and constants in, how it moves the places of a map out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .geometry import (
    ROWS_COLUMNS,
    Blocks,
    Border,
    Join,
    Mix,
    Reshape,
    Rule,
    Shape,
    Shift,
    Turn,
    Window,
    keep,
    lose,
)

Values = Sequence[np.ndarray | None]
Shapes = Sequence[Shape | None]

# fmt: off
KEEPING = {
    "Abs", "BatchNormalization", "BiasGelu", "Cast", "CastLike", "Ceil", "Celu", "Clip", "DequantizeLinear", "Dropout",
    "DynamicQuantizeLinear", "Elu", "Erf", "Exp", "FastGelu", "Floor", "Gelu", "GroupNormalization", "HardSigmoid",
    "HardSwish", "Identity", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LeakyRelu", "Log", "Mish", "Neg", "Not",
    "QLinearLeakyRelu", "QLinearSigmoid", "QuantizeLinear", "QuickGelu", "Reciprocal", "Relu", "Round", "Selu",
    "Shrink", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu",
}
JOINING = {
    "Add", "And", "Div", "Equal", "Greater", "Less", "Max", "Mean", "Min", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum",
    "Where",
}
# fmt: on
SLIDING = {"AveragePool", "Conv", "ConvInteger", "FusedConv", "LpPool", "MaxPool", "QLinearAveragePool", "QLinearConv"}
GLOBAL = {"GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "QLinearGlobalAveragePool"}
REDUCING = {
    f"Reduce{name}" for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
}
ALONG = {"ArgMax": 0, "ArgMin": 0, "CumSum": 0, "Hardmax": -1, "LogSoftmax": -1, "LpNormalization": -1, "Softmax": -1}
"""Operators that work along one axis, and which by default."""
QUANTISED_JOINS = {"QLinearAdd": (0, 3), "QLinearMul": (0, 3)}
"""Where these have their maps among their inputs, which are each followed by its scale and zero point."""


def rule_of(op: str, options: dict[str, Any], opset: int, values: Values, shapes: Shapes) -> Rule:
    """Return the rule by which an ONNX operator moves places.

    Parameters
    ----------
    op : str
        The operator's type; one of onnxruntime's own begins with "com.microsoft.".
    options : dict
        Its attributes.
    opset : int
        The version of the standard that the network follows.
    values : sequence of ndarray or None
        The values of its inputs where they are constants and small.
    shapes : sequence of tuple or None
        The shapes of its inputs where they are known.
    """
    op = op.removeprefix("com.microsoft.")
    if op in KEEPING:
        return keep
    if op in JOINING:
        return Join()
    if op in SLIDING:
        return _window(op, options, shapes)
    if op in GLOBAL and not options.get("channels_last"):
        return Mix(ROWS_COLUMNS, vector=True)
    if op in QUANTISED_JOINS:
        return _Among(Join(), QUANTISED_JOINS[op])
    return _of_axes(op, options, opset, values, shapes)


class _Among:
    """A rule for some of an operator's inputs."""

    def __init__(self, rule: Rule, inputs: Sequence[int]) -> None:
        self.rule, self.inputs = rule, inputs

    def __call__(self, places: list[Any], shapes: list[Shape | None]) -> Any:
        return self.rule([places[k] for k in self.inputs], [shapes[k] for k in self.inputs])


def _of_axes(op: str, options: dict[str, Any], opset: int, values: Values, shapes: Shapes) -> Rule:
    """Return the rule of an operator that is told dimensions."""
    rank = len(shapes[0]) if shapes and shapes[0] is not None else 4
    axes = _option("axes", 1, options, values)
    if op in REDUCING and axes is not None and (options.get("keepdims", 1) or {axis % rank for axis in axes} <= {2, 3}):
        return Mix(axes, vector=True)
    if op == "Concat":
        return Join(axis=options["axis"])
    if op == "QLinearConcat":
        return _Among(Join(axis=options["axis"]), range(2, len(shapes), 3))
    if op == "Split":
        return Mix((options.get("axis", 0),))
    if op in ("LayerNormalization", "RMSNormalization"):
        return Mix(tuple(range(options.get("axis", -1) % rank, rank)))
    if op in ALONG:
        return _along(op, options, opset, values, rank)
    if op == "MatMul" and shapes[1] is not None and len(shapes[1]) == 2:
        return Mix((rank - 1,))
    if op == "Transpose" and "perm" in options:
        return Turn(tuple(options["perm"]))
    if op in ("Slice", "Gather", "Squeeze", "Unsqueeze"):
        return _of_channels(op, options, values, shapes, rank)
    return _of_shape(op, options, values, shapes)


def _along(op: str, options: dict[str, Any], opset: int, values: Values, rank: int) -> Rule:
    axis = options.get("axis", ALONG[op])
    if op == "CumSum":
        axis = None if values[1] is None else int(values[1])
    elif op.endswith(("max", "Max")) and not op.startswith("Arg") and opset < 13:  # all from the axis on, as one vector
        return Mix(tuple(range(options.get("axis", 1) % rank, rank)))
    return lose if axis is None or not options.get("keepdims", 1) else Mix((axis,))


def _option(name: str, at: int, options: dict[str, Any], values: Values) -> tuple[int, ...] | None:
    """Return whole numbers that are an attribute in old versions of the standard, and an input in new ones."""
    found = options.get(name)
    if found is None and len(values) > at:
        found = values[at]
    return None if found is None or not np.size(found) else tuple(int(value) for value in np.ravel(found))


def _of_shape(op: str, options: dict[str, Any], values: Values, shapes: Shapes) -> Rule:
    """Return the rule of an operator that lays values out anew."""
    if op == "SpaceToDepth":
        return Window((options["blocksize"],) * 2, (options["blocksize"],) * 2)
    if op == "DepthToSpace":
        return Blocks(options["blocksize"])
    if op == "Reshape":
        target = _option("shape", 1, options, values)
        return lose if target is None else Reshape(target, bool(options.get("allowzero")))
    if op == "Expand" and shapes[0] is not None and len(shapes[0]) == len(values[1] if values[1] is not None else ()):
        return keep
    if op == "Pad":
        return _border(options, values)
    return lose


def _window(op: str, options: dict[str, Any], shapes: Shapes) -> Rule:
    weights = shapes[3 if op == "QLinearConv" else 1] if len(shapes) > 1 else None
    kernel = options.get("kernel_shape") or (weights or ())[2:]  # of a convolution, that of its weights
    if len(kernel) != 2 or None in kernel or options.get("channels_last"):
        return lose
    window = Window(
        tuple(kernel),
        tuple(options.get("strides", (1, 1))),
        tuple(options.get("dilations", (1, 1))),
        tuple(options.get("pads", (0, 0, 0, 0))),
        options.get("auto_pad", "NOTSET"),
        bool(options.get("ceil_mode", 0)),
    )
    # onnxruntime refuses some of these and shifts others, against the standard (1.32, compared pixel by pixel)
    gaps = "Conv" not in op and any(k < step for k, step in zip(window.kernel, window.stride, strict=True))
    odd = window.auto_pad.startswith("SAME") and (window.dilation != (1, 1) or gaps)
    return lose if odd else window


def _of_channels(op: str, options: dict[str, Any], values: Values, shapes: Shapes, rank: int) -> Rule:
    """Return the rule of an operator that chooses among channels: half of them, or each by itself."""
    if op == "Gather":
        axis = options.get("axis", 0)
        return Shift(axis + 1, -1) if shapes[1] == () and axis >= 0 else Mix((axis,))
    axes = _option("axes", 3 if op == "Slice" else 1, options, values)
    if axes is None:
        return lose
    if op == "Slice":
        return Mix(axes)
    if len(axes) != 1 or (op == "Unsqueeze" and axes[0] < 0):
        return lose
    return Shift(axes[0], 1) if op == "Unsqueeze" else Shift(axes[0] % rank + 1, -1)


def _border(options: dict[str, Any], values: Values) -> Rule:
    pads = _option("pads", 1, options, values)
    if pads is None or len(pads) != 8 or len(values) > 3:  # not known, of another rank, or of some axes only
        return lose
    return Border(tuple(pads[i] for i in (2, 3, 6, 7)))
