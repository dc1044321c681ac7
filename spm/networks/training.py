"""A network that was exported while it was trained in, the one that it is in use out."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

WORD = "export it in the mode for use, in PyTorch after network.eval()"


def leave_training(proto: onnx.ModelProto) -> None:
    """Set the operators of a network that was exported while it was trained to what they do in use, with a warning."""
    opset = next((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), 1)
    found = []
    for node in proto.graph.node:
        if node.op_type == "Dropout" and _drops(proto, node, opset):
            del node.input[2 if opset >= 12 else 1 :]
            found.append(node)
        elif node.op_type == "BatchNormalization" and _learns(node, opset):
            found.append(node)
            if opset >= 14:
                _set(node, "training_mode", 0)
            del node.output[1:]
        if opset < 7 and node in found:
            _set(node, "is_test", 1)
    if found:
        first = f"{found[0].op_type} {found[0].name or found[0].output[0]!r}"
        more = f" and {len(found) - 1} more" * (len(found) > 1)
        warnings.warn(
            f"the network was exported while it was trained: {first}{more} are set to what they do in use; better "
            f"{WORD}",
            stacklevel=4,
        )


def _set(node: onnx.NodeProto, name: str, value: int) -> None:
    from onnx import helper

    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((item.i for item in node.attribute if item.name == name), 0)


def _drops(proto: onnx.ModelProto, node: onnx.NodeProto, opset: int) -> bool:
    """Whether a Dropout drops values: until version 7 of the standard an attribute, since 12 an input."""
    if opset < 7:
        return not _attribute(node, "is_test")
    if opset < 12 or len(node.input) < 3 or not node.input[2]:
        return False
    from onnx import numpy_helper

    name = node.input[2]
    tensors = [tensor for tensor in proto.graph.initializer if tensor.name == name]
    for other in proto.graph.node:
        if name in other.output:
            tensors += [item.t for item in other.attribute if other.op_type == "Constant" and item.name == "value"]
    return not tensors or bool(numpy_helper.to_array(tensors[0]))


def _learns(node: onnx.NodeProto, opset: int) -> bool:
    """Whether a BatchNormalization takes mean and variance from the batch."""
    if opset >= 14:
        return bool(_attribute(node, "training_mode"))
    return len(node.output) > 1 if opset >= 7 else not _attribute(node, "is_test")
