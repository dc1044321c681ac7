"""A network and names of its tensors in, the part of it that computes them out, and what runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SpmError
from .file import need
from .graph import captured
from .training import WORD

if TYPE_CHECKING:
    import onnx

RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def part_of(proto: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Return the network whose outputs are the named tensors: its inputs, the operators that they need, and no more.

    DESIGN: onnx's own Extractor forgets what the inner graphs of an operator, as of an If, read from outside.
    """
    onnx = need("onnx")
    needed, nodes = set(names), []
    for node in reversed(proto.graph.node):
        if not needed.isdisjoint(node.output):
            nodes.append(node)
            needed.update(node.input, captured(node))
    weights = [tensor for tensor in proto.graph.initializer if tensor.name in needed]
    kept = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in kept]
    known = {value.name: value for value in (*proto.graph.value_info, *proto.graph.output, *proto.graph.input)}
    outputs = [known.get(name) or onnx.helper.make_empty_tensor_value_info(name) for name in names]
    graph = onnx.helper.make_graph(nodes[::-1], proto.graph.name or "network", inputs, outputs, weights)
    graph.sparse_initializer.extend(proto.graph.sparse_initializer)
    part = onnx.helper.make_model(graph, opset_imports=list(proto.opset_import), producer_name=proto.producer_name)
    part.ir_version = proto.ir_version
    return part


def refuse_chance(part: onnx.ModelProto) -> None:
    """Raise if a network draws random numbers: an image would have other features each time."""
    for node in part.graph.node:
        if node.op_type in RANDOM:
            raise SpmError(
                f"the network draws random numbers, by {node.op_type} {node.name or node.output[0]!r}: "
                f"{WORD}, or choose a layer before it"
            )


def start_session(content: bytes) -> tuple[Any, type]:
    """Return a session of onnxruntime that runs a network in one thread, and the type of numbers that it takes."""
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # before 1.24 the runtime folds a Pad into the pooling after it, and refuses the sum when that is too large
    given = {"providers": ["CPUExecutionProvider"], "disabled_optimizers": ["Pad_Fusion"]}
    session = runtime.InferenceSession(content, options, **given)
    return session, np.float16 if session.get_inputs()[0].type == "tensor(float16)" else np.float32
