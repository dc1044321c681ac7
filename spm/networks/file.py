"""ONNX, imported in one place: a network's file in, what there is to know of its maps out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._tools.need import need as _need
from ..errors import MissingDependencyError, SpmError
from .geometry import ROWS_COLUMNS, Graph, Shape, Step, rule_of

if TYPE_CHECKING:
    import onnx

SMALL = 16  # values that a constant may have to be read as an option

Model = str | os.PathLike[str] | bytes


class NetworkBytes(bytes):
    """The content of an ONNX file, which shows itself by its size."""

    def __repr__(self) -> str:
        return f"<network of {len(self):,} bytes>"

    def __deepcopy__(self, memo: dict[int, Any]) -> NetworkBytes:
        return self


@lru_cache(maxsize=4)
def array_of(network: bytes) -> np.ndarray:
    """Return a network's content as an array: one and the same for equal contents, so that a file holds it once."""
    return np.frombuffer(network, dtype=np.uint8)


need = partial(_need, "feature maps of networks", "onnxruntime onnx")


def read_network(model: Model) -> onnx.ModelProto:
    """Read an ONNX file, weights beside it included, and infer the shapes of its tensors.

    Raises
    ------
    SpmError
        If the file cannot be read or is no ONNX file, or if the content is given of a file whose weights lie in
        another.
    """
    onnx = need("onnx")
    name = "the network" if isinstance(model, bytes) else os.fsdecode(model)
    hint = "give the path or the content of an .onnx file"
    try:
        data = model if isinstance(model, bytes) else Path(name).read_bytes()
    except OSError as error:
        raise SpmError(f"{name}: the network cannot be read ({error.strerror}): {hint}") from error
    try:
        proto = onnx.load_model_from_string(bytes(data))
    except Exception as error:  # protobuf's own error class moves from version to version
        raise SpmError(f"{name}: this is no ONNX file: {hint}") from error
    if not proto.graph.node:
        raise SpmError(f"{name}: this is no ONNX file, or a network without operators: {hint}")
    external = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer)
    if external and isinstance(model, bytes):
        raise SpmError("the network keeps its weights in another file: give its path instead of its content")
    try:
        if external:
            need("onnx.external_data_helper").load_external_data_for_model(proto, os.path.dirname(name))
        if proto.functions:
            proto = need("onnx.inliner").inline_local_functions(proto)
        return need("onnx.shape_inference").infer_shapes(proto, data_prop=True)
    except MissingDependencyError:
        raise
    except Exception as error:
        raise SpmError(f"{name}: the network is damaged or incomplete ({error}): get or export it again") from error


def external_files(path: str) -> list[str]:
    """Return the files beside an ONNX file that hold weights of it."""
    onnx = need("onnx")
    proto = onnx.load_model_from_string(Path(path).read_bytes())
    tensors = [tensor for tensor in proto.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    names = {item.value for tensor in tensors for item in tensor.external_data if item.key == "location"}
    return [os.path.join(os.path.dirname(path), name) for name in sorted(names)]


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
    return Graph(image, channels, dims, (height or width, width or height), _steps(proto, image, shapes), shapes)


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


def _steps(proto: onnx.ModelProto, image: str, shapes: dict[str, Shape]) -> list[Step]:
    """Return the operators through which the image goes."""
    onnx, to_array = need("onnx"), need("onnx.numpy_helper").to_array
    small = {t.name: to_array(t).ravel() for t in proto.graph.initializer if 0 < _size(t.dims) <= SMALL}
    moving, steps = {image}, []
    for node in proto.graph.node:
        options = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Constant" and "value" in options and _size(options["value"].dims) <= SMALL:
            small[node.output[0]] = to_array(options["value"]).ravel()
        if moving.isdisjoint(node.input):
            continue
        moving.update(node.output)
        options = {name: value.decode() if isinstance(value, bytes) else value for name, value in options.items()}
        op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        rule = rule_of(op, options, [small.get(name) for name in node.input], [shapes.get(name) for name in node.input])
        outputs = tuple(node.output) if op == "Split" else (node.output[0],)
        steps.append(Step(op, node.name or node.output[0], tuple(node.input), outputs, rule))
    return steps


def _size(dims: Sequence[int]) -> int:
    size = 1
    for length in dims:
        size *= length
    return size
