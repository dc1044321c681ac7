"""An ONNX graph in, what there is to know of it to tell where its maps lie out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingDependencyError, SpmError
from .file import need
from .geometry import ROWS_COLUMNS, Shape
from .rules import Values, rule_of
from .trace import Graph, Step

if TYPE_CHECKING:
    import onnx

QUANTISED_OUTPUT = {
    "QLinearConcat": 0,
    "QLinearConv": 6,
    "QLinearAdd": 6,
    "QLinearMul": 6,
    "QLinearAveragePool": 3,
    "QLinearLeakyRelu": 3,
    "QLinearSigmoid": 3,
}
"""Where the scale and the zero point of their output stand among the inputs of quantised operators."""

SMALL = 64  # values that a constant may have to be read as an option


def graph_of(proto: onnx.ModelProto) -> Graph:
    """Return what there is to know of a network to tell where its maps lie.

    Raises
    ------
    SpmError
        If it does not take exactly one image.
    """
    graph, shapes = proto.graph, _shapes(proto)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        listed = ", ".join(repr(value.name) for value in inputs) or "none"
        raise SpmError(f"a network must have one input, the image; this has {len(inputs)}: {listed}")
    image = inputs[0].name
    channels, dims = _check_image(image, shapes.get(image), inputs[0].type.tensor_type.elem_type)
    height, width = (shapes[image][dim] for dim in dims)
    to_array = need("onnx.numpy_helper").to_array
    values = {tensor.name: to_array(tensor) for tensor in graph.initializer if _product(tensor.dims) <= SMALL}
    steps = _steps(proto, image, shapes, values)
    return Graph(image, channels, dims, (height or width, width or height), steps, shapes, values)


def _check_image(name: str, shape: Shape | None, kind: int) -> tuple[int, tuple[int, int]]:
    """Return the channels of the input and which of its dimensions are rows and columns."""
    onnx = need("onnx")
    if shape is None or len(shape) != 4 or kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
        listed = "unknown" if shape is None else " x ".join(str(length or "?") for length in shape)
        raise SpmError(
            "a network must take an image, float of shape (batch, 3, height, width); "
            f"the input {name!r} is {onnx.TensorProto.DataType.Name(kind).lower()} of shape {listed}"
        )
    last = shape[1] not in (1, 3) and shape[3] in (1, 3)
    channels = (shape[3] if last else shape[1]) or 3
    if channels not in (1, 3):
        raise SpmError(f"a network must take an image of 1 or 3 channels; the input {name!r} has {channels}")
    return channels, (1, 2) if last else ROWS_COLUMNS


def _shapes(proto: onnx.ModelProto) -> dict[str, Shape]:
    """Return the shapes of all tensors and constants that have one, None for what is free."""
    graph = proto.graph
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            shapes[value.name] = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim)
    return shapes


def _steps(proto: onnx.ModelProto, image: str, shapes: dict[str, Shape], values: dict[str, np.ndarray]) -> list[Step]:
    """Return the operators through which the image goes; add to the values what can be computed without it."""
    opsets = {"" if item.domain == "ai.onnx" else item.domain: item.version for item in proto.opset_import}
    moving, steps = {image}, []
    for node in proto.graph.node:
        evaluate = _evaluator(node, opsets)
        inputs = (*node.input, *captured(node))
        if moving.isdisjoint(inputs):
            results = evaluate([values.get(name) for name in node.input])
            for name, value in zip(node.output, results, strict=False):
                if value is not None:
                    values[name], shapes[name] = value, value.shape
            continue
        moving.update(node.output)
        op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        rule = functools.partial(rule_of, op, _options(node), opsets.get("", 1))
        outputs = tuple(node.output) if op == "Split" else (node.output[0],)
        steps.append(Step(op, node.name or node.output[0], inputs, outputs, rule, evaluate))
    return steps


def _options(node: onnx.NodeProto) -> dict[str, Any]:
    read = need("onnx").helper.get_attribute_value
    options = {item.name: read(item) for item in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in options.items()}


def captured(node: onnx.NodeProto) -> list[str]:
    """Return the tensors from outside that the inner graphs of an operator read."""
    found: list[str] = []
    for item in node.attribute:
        for graph in [item.g] * item.HasField("g") + list(item.graphs):
            own = {value.name for value in (*graph.input, *graph.initializer)}
            own |= {name for inner in graph.node for name in inner.output}
            read = [name for inner in graph.node for name in (*inner.input, *captured(inner))]
            read += [value.name for value in graph.output]
            found += [name for name in read if name and name not in own]
    return list(dict.fromkeys(found))


def _evaluator(node: onnx.NodeProto, opsets: dict[str, int]) -> Callable[[Values], Values]:
    """Return what computes the results of an operator on small values; None for what is too large or cannot be."""
    if node.op_type == "Shape":
        options = _options(node)
        start, end = options.get("start", 0), options.get("end")
        return lambda values: () if values[0] is None else [np.array(values[0].shape[start:end], dtype=np.int64)]
    reference: Any = None

    def evaluate(values: Values) -> Values:
        nonlocal reference
        lacking = any(value is None for name, value in zip(node.input, values, strict=False) if name)
        large = any(_product(item.t.dims) > SMALL for item in node.attribute)
        if lacking or large or captured(node) or node.op_type.startswith("Random"):
            return ()
        try:
            if reference is None:
                reference = need("onnx.reference").ReferenceEvaluator(_alone(node, opsets))
            results = reference.run(None, {name: values[k] for k, name in enumerate(node.input) if name})
        except MissingDependencyError:
            raise
        except Exception:  # what the evaluator lacks, or what cannot be computed: then it is not known
            return ()
        arrays = [np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None for value in results]
        return [value if value is not None and value.size <= SMALL else None for value in arrays]

    return evaluate


def _alone(node: onnx.NodeProto, opsets: dict[str, int]) -> onnx.ModelProto:
    """Return a network of one operator."""
    helper = need("onnx").helper
    inputs = [helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(node.input) if name]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    imports = [helper.make_opsetid(domain, number) for domain, number in opsets.items()]
    return helper.make_model(helper.make_graph([node], "one", inputs, outputs), opset_imports=imports)


def _product(lengths: Sequence[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product


def scales_of(proto: onnx.ModelProto, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return scale and zero point of those tensors that hold quantised values."""
    to_array = need("onnx.numpy_helper").to_array
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    found = {}
    for node in proto.graph.node:
        scaled = node.op_type == "QuantizeLinear" or node.op_type.startswith("QLinear")
        at = QUANTISED_OUTPUT.get(node.op_type, 1)
        if scaled and node.output[0] in names and all(name in weights for name in node.input[at : at + 2]):
            scale, *zero = (to_array(weights[name]).astype(np.float32) for name in node.input[at : at + 2])
            found[node.output[0]] = float(scale.ravel()[0]), float(zero[0].ravel()[0]) if zero else 0.0
    return found
