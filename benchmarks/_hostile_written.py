"""Hostile networks as other converters write them, node by node: nothing in, pairs of a name and what makes one out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Case = tuple[str, Callable[[], bytes]]


def by_hand(*nodes: onnx.NodeProto, weights: dict[str, np.ndarray], out: str, opset: int = 17, **options: Any) -> bytes:
    """Return a network written node by node."""
    image, kind = options.pop("image", (1, 3, "h", "w")), options.pop("kind", 1)
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("image", kind, image)],
        [helper.make_empty_tensor_value_info(out)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString()


def node(op: str, inputs: str, output: str, **options: Any) -> onnx.NodeProto:
    return helper.make_node(op, [name if name != "-" else "" for name in inputs.split()], output.split(), **options)


def noise(*shape: int) -> np.ndarray:
    return (np.random.default_rng(0).normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def written() -> Iterator[Case]:
    """Yield networks as other converters write them."""
    conv = node("Conv", "image w", "map", strides=[4, 4])
    w = {"w": noise(16, 3, 4, 4)}
    relu = node("Relu", "last", "end")

    def case(*nodes: onnx.NodeProto, out: str = "end", more: Any = None, **options: Any) -> Callable[[], bytes]:
        return lambda: by_hand(conv, *nodes, weights={**w, **(more or {})}, out=out, **options)

    pads = np.array([0, 0, 1, 1, 0, 0, 2, 2])
    yield "pads by value_ints", case(node("Constant", "", "p", value_ints=pads), node("Pad", "map p", "last"), relu)
    yield "pads by Identity", case(node("Identity", "q", "p"), node("Pad", "map p", "last"), relu, more={"q": pads})
    yes, no = (
        helper.make_graph([node(op, "map", op)], op, [], [helper.make_empty_tensor_value_info(op)])
        for op in ("Relu", "Sigmoid")
    )
    chosen = helper.make_node("If", ["flag"], ["last"], then_branch=yes, else_branch=no)
    yield "If", case(chosen, relu, more={"flag": np.array(True)})
    yield (
        "Einsum over channels",
        case(node("Einsum", "map e", "last", equation="nchw,dc->ndhw"), relu, more={"e": noise(8, 16)}),
    )
    yield (
        "channels last (as tf2onnx)",
        lambda: by_hand(
            node("Transpose", "image", "first", perm=[0, 3, 1, 2]),
            node("Conv", "first w", "map", strides=[4, 4]),
            node("Transpose", "map", "turned", perm=[0, 2, 3, 1]),
            node("ReduceMean", "turned", "mean", axes=[1, 2], keepdims=0),
            weights=w,
            out="mean",
            image=(1, "h", "w", 3),
        ),
    )
    yield (
        "channels last to the end",
        case(
            node("Transpose", "map", "turned", perm=[0, 2, 3, 1]),
            node("LayerNormalization", "turned s", "last"),
            node("ReduceMean", "last", "end", axes=[1, 2], keepdims=0),
            more={"s": np.ones(16, np.float32)},
        ),
    )
    scale, zero = np.float32(0.02), np.uint8(128)
    grey = {"s": np.array(scale), "z": np.array(zero), "ws": np.array(np.float32(0.01)), "wz": np.array(np.int8(0))}
    grey["k"] = np.random.default_rng(0).integers(-100, 100, (16, 3, 4, 4)).astype(np.int8)
    first = node("QuantizeLinear", "image s z", "small")
    yield (
        "quantised, QLinearConv",
        lambda: by_hand(
            first,
            node("QLinearConv", "small s z k ws wz s z", "map", strides=[4, 4]),
            node("QLinearGlobalAveragePool", "map s z s z", "mean", domain="com.microsoft", channels_last=0),
            weights=grey,
            out="mean",
        ),
    )
    yield (
        "quantised, DequantizeLinear",
        lambda: by_hand(
            first,
            node("DequantizeLinear", "small s z", "again"),
            node("DequantizeLinear", "k ws wz", "w"),
            node("Conv", "again w", "map", strides=[4, 4]),
            node("QuantizeLinear", "map s z", "low"),
            node("DequantizeLinear", "low s z", "last"),
            relu,
            weights=grey,
            out="end",
        ),
    )
    yield (
        "quantised, ConvInteger",
        lambda: by_hand(
            node("DynamicQuantizeLinear", "image", "small is iz"),
            node("ConvInteger", "small k iz wz", "sum", strides=[4, 4]),
            node("Cast", "sum", "float", to=1),
            node("Mul", "float is", "last"),
            relu,
            weights=grey,
            out="end",
        ),
    )
    yield (
        "float16",
        lambda: by_hand(
            conv, node("Relu", "map", "last"), relu, weights={"w": w["w"].astype(np.float16)}, out="end", kind=10
        ),
    )
    yield (
        "float16 that overflows",
        lambda: by_hand(
            conv,
            node("Mul", "map big", "last"),
            relu,
            out="end",
            kind=10,
            weights={"w": w["w"].astype(np.float16), "big": np.array(60000, np.float16)},
        ),
    )
    yield (
        "Dropout in training",
        case(
            node("Dropout", "map ratio on", "last"),
            relu,
            more={"ratio": np.float32(0.5) * np.ones(()).astype("f"), "on": np.array(True)},
        ),
    )
    yield "random noise", case(node("RandomNormalLike", "map", "drawn"), node("Add", "map drawn", "last"), relu)
    ones = np.ones(16, np.float32)
    yield (
        "BatchNormalization in training",
        case(
            node("BatchNormalization", "map g b m v", "last m2 v2", training_mode=1),
            relu,
            more={"g": ones, "b": 0 * ones, "m": 0 * ones, "v": ones},
        ),
    )
    yield (
        "no map: flattened at once",
        lambda: by_hand(
            node("Flatten", "image", "flat"), node("Relu", "flat", "end"), weights={}, out="end", image=(1, 3, 32, 32)
        ),
    )
    yield (
        "dense layer to a grid (YOLO 1)",
        lambda: by_hand(
            conv,
            node("Flatten", "map", "flat"),
            node("MatMul", "flat d", "dense"),
            node("Reshape", "dense to", "end"),
            out="end",
            weights={**w, "d": noise(1024, 490), "to": np.array([1, 10, 7, 7])},
            image=(1, 3, 32, 32),
        ),
    )
    yield (
        "position constant (CoordConv)",
        lambda: by_hand(
            conv,
            node("Add", "map c", "last"),
            relu,
            weights={**w, "c": noise(1, 16, 32, 32)},
            out="end",
            image=(1, 3, 128, 128),
        ),
    )
    yield "Softmax before version 13", case(node("Softmax", "map", "last", axis=1), relu, opset=11)
    yield "rows and columns swapped", case(node("Transpose", "map", "last", perm=[0, 1, 3, 2]), relu)
    yield (
        "rows folded into channels",
        lambda: by_hand(
            conv,
            node("Reshape", "map to", "last"),
            relu,
            weights={**w, "to": np.array([1, 32, 16, 32])},
            out="end",
            image=(1, 3, 128, 128),
        ),
    )
