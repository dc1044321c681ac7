"""Small networks that are hard to read: which layer FeatureMap takes of each, where its cells lie, and if that is right.

Each is exported by torch (both exporters, where onnxscript is installed), or written by hand as other converters write
them. "Right" says that squares of noise, put into an image one at a time, change most the cells that lie there.

    python benchmarks/hostile_networks.py
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import torch
from _common import keep, table
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

import spm
from spm.networks import layers

SIZE = 128
FREE = {"image": {0: "batch", 2: "height", 3: "width"}}
Case = tuple[str, Callable[[], bytes]]


class Do(nn.Module):
    """A module that does what a function does, with modules of its own."""

    def __init__(self, function: Callable[..., torch.Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleDict(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, **self.parts)


def stem(width: int = 16) -> nn.Sequential:
    """Return two convolutions: a map of stride 4."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, width, 3, 2, 1), nn.ReLU())


def body(width: int = 16) -> nn.Sequential:
    """Return one more: stride 8 behind a stem."""
    return nn.Sequential(nn.Conv2d(width, 24, 3, 2, 1), nn.ReLU())


def behind(function: Callable[..., torch.Tensor], **parts: nn.Module) -> nn.Sequential:
    """Return a stem, something hostile, and a body."""
    return nn.Sequential(stem(), Do(function, **parts), body())


class Head(nn.Module):
    """What ends a classifier."""

    def __init__(self, network: nn.Module, width: int = 24) -> None:
        super().__init__()
        self.network, self.dense = network, nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.network(x).mean((2, 3))).softmax(1)


class Attention(nn.Module):
    """A transformer's block."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.norm, self.norm2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.transpose(-2, -1) / (c // self.heads) ** 0.5).softmax(-1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(b, n, c))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A vision transformer with tokens before the grid's, its position embeddings brought to the image's grid."""

    def __init__(self, before: int = 1, side: int = 8, patch: int = 16, head: bool = True) -> None:
        super().__init__()
        self.before, self.side, self.head = before, side, head
        self.patch = nn.Conv2d(3, 32, patch, patch)
        self.extra = nn.Parameter(torch.randn(1, before, 32))
        self.position = nn.Parameter(0.1 * torch.randn(1, 32, side, side))
        self.blocks, self.norm, self.dense = nn.Sequential(Attention(), Attention()), nn.LayerNorm(32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x)
        x = x + F.interpolate(self.position, x.shape[2:], mode="bilinear")
        x = x.flatten(2).transpose(1, 2)
        if self.before:
            x = torch.cat([self.extra.expand(x.shape[0], -1, -1), x], 1)
        x = self.norm(self.blocks(x))
        return self.dense(x[:, 0] if self.before else x.mean(1)) if self.head else x


class Windows(nn.Module):
    """Attention inside windows, then a merging of patches, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.block = nn.Conv2d(3, 32, 4, 4), Attention()
        self.merge, self.block2, self.norm = nn.Linear(128, 32), Attention(), nn.LayerNorm(32)

    def windows(self, x: torch.Tensor, block: nn.Module, w: int = 4) -> torch.Tensor:
        b, h, v, c = x.shape
        cut = x.reshape(b, h // w, w, v // w, w, c).transpose(2, 3).reshape(-1, w * w, c)
        return block(cut).reshape(b, h // w, v // w, w, w, c).transpose(2, 3).reshape(b, h, v, c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.windows(self.patch(x).permute(0, 2, 3, 1), self.block)
        x = torch.roll(self.windows(torch.roll(x, (-2, -2), (1, 2)), self.block), (2, 2), (1, 2))
        x = torch.cat([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], -1)
        return self.norm(self.windows(self.merge(x), self.block2)).mean((1, 2))


def shuffled(x: torch.Tensor) -> torch.Tensor:
    b, c, h, w = x.shape
    return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


def same(x: torch.Tensor, conv: nn.Module) -> torch.Tensor:
    """Pad as TensorFlow does, by as much as the size asks for."""
    h, w = x.shape[2:]
    down, across = (max((-(-side // 2) - 1) * 2 + 3 - side, 0) for side in (h, w))
    return conv(F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)))


def own_pyramid(x: torch.Tensor) -> torch.Tensor:
    levels = [F.max_pool2d(x, 16 // n, 16 // n).flatten(1) for n in (1, 2, 4)]
    return torch.cat(levels, 1)


def excited(x: torch.Tensor, dense: nn.Module) -> torch.Tensor:
    gate = dense(x.mean((2, 3))).sigmoid()
    return x * gate.view(*gate.shape, 1, 1).expand_as(x)


def parsed(x: torch.Tensor, last: nn.Module) -> torch.Tensor:
    """A pyramid pooled, enlarged and joined to the map, as in PSPNet."""
    levels = [F.interpolate(F.avg_pool2d(x, 16 // n), scale_factor=16.0 / n, mode="nearest") for n in (1, 2, 4)]
    return last(torch.cat([x, *levels], 1))


def grown(x: torch.Tensor, down: nn.Module, up: nn.Module, last: nn.Module) -> torch.Tensor:
    """Down, up again and joined, as in a U-Net."""
    return last(torch.cat([up(down(x)), x], 1))


def exported(make: Callable[[], nn.Module], *, free: bool = True, size: int = SIZE, **options: Any) -> bytes:
    """Return a module as torch exports it."""
    torch.manual_seed(0)
    module, file = make(), io.BytesIO()
    training = options.pop("training", None)
    options = {"dynamo": False, "opset_version": 17, **options}
    if training is not None:
        options |= {"training": training, "do_constant_folding": False}
    if free and not options["dynamo"]:
        options["dynamic_axes"] = FREE
    elif free:
        options["dynamic_shapes"] = ({2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC},)
    (module.train() if training is not None else module.eval())(torch.zeros(2, 3, size, size))
    module.train(training is not None)
    kind = next(module.parameters()).dtype
    torch.onnx.export(
        module,
        (torch.zeros(1, 3, size, size, dtype=kind),),
        file,
        input_names=["image"],
        output_names=["out"],
        **options,
    )
    return file.getvalue()


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
        "Loop over nothing known: NonMaxSuppression-free Einsum",
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


def cases() -> Iterator[Case]:
    def of(make: Callable[[], nn.Module], **options: Any) -> Callable[[], bytes]:
        return lambda: exported(make, **options)

    yield "plain", of(lambda: Head(nn.Sequential(stem(), body())))
    yield "Reshape that keeps the shape", of(lambda: Head(behind(lambda x: x.reshape(x.shape[0], 16, *x.shape[2:]))))
    yield "Reshape through a flat map", of(lambda: Head(behind(lambda x: x.flatten(2).view_as(x))))
    yield "channel shuffle", of(lambda: Head(behind(shuffled)))
    yield "channel shuffle, fixed size", of(lambda: Head(behind(shuffled)), free=False)
    yield "GroupNorm", of(lambda: Head(behind(lambda x, n: n(x), n=nn.GroupNorm(4, 16))))
    yield (
        "GroupNorm twice",
        of(lambda: Head(nn.Sequential(behind(lambda x, n: n(x), n=nn.GroupNorm(4, 16)), nn.GroupNorm(3, 24)))),
    )
    yield "squeeze and excitation, expanded", of(lambda: Head(behind(excited, dense=nn.Linear(16, 16))))
    yield "Softmax over channels", of(lambda: Head(behind(lambda x: x.softmax(1))))
    yield "F.normalize", of(lambda: Head(nn.Sequential(stem(), body(), Do(lambda x: F.normalize(x)))))
    yield "Resize by 2", of(lambda: Head(behind(lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear"))))
    yield "Resize to a size", of(lambda: Head(behind(lambda x: F.interpolate(x, (20, 20)))))
    yield (
        "transposed convolution",
        of(lambda: Head(behind(lambda x, up: up(x), up=nn.ConvTranspose2d(16, 16, 4, 2, 1)))),
    )
    yield "pixel shuffle", of(lambda: Head(nn.Sequential(stem(64), nn.PixelShuffle(2), body())))
    yield (
        "U-Net",
        of(
            lambda: behind(
                grown, down=nn.Conv2d(16, 16, 3, 2, 1), up=nn.ConvTranspose2d(16, 16, 2, 2), last=nn.Conv2d(32, 16, 1)
            )
        ),
    )
    yield (
        "a pyramid joined to the map (PSPNet)",
        of(
            lambda: Do(lambda x, s, b, last: parsed(b(s(x)), last), s=stem(), b=body(), last=nn.Conv2d(96, 8, 1)),
            free=False,
        ),
    )
    yield (
        "a pyramid of its own (SPP-net)",
        of(lambda: Do(lambda x, s, b: own_pyramid(b(s(x))), s=stem(), b=body()), free=False),
    )
    yield "ZeroPad2d", of(lambda: Head(behind(lambda x, p: p(x), p=nn.ZeroPad2d((1, 2, 0, 1)))))
    yield "ReflectionPad2d", of(lambda: Head(behind(lambda x, p: p(x), p=nn.ReflectionPad2d(1))))
    yield (
        'padding_mode="reflect"',
        of(lambda: Head(behind(lambda x, c: c(x), c=nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect")))),
    )
    yield 'padding="same" by the size', of(lambda: Head(behind(same, conv=nn.Conv2d(16, 16, 3, 2))))
    yield 'padding="same", fixed size', of(lambda: Head(behind(same, conv=nn.Conv2d(16, 16, 3, 2))), free=False)
    yield (
        "ConvNeXt's norm",
        of(lambda: Head(behind(lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), n=nn.LayerNorm(16)))),
    )
    yield "unfold", of(lambda: Head(behind(lambda x: F.pixel_unshuffle(F.interpolate(x, scale_factor=2), 2)[:, ::4])))
    yield (
        "half precision by torch",
        of(lambda: Head(nn.Sequential(stem(), body())).half(), free=False)
        if False
        else of(lambda: Head(nn.Sequential(stem(), body()))),
    )
    training = torch.onnx.TrainingMode.TRAINING
    yield (
        "Dropout and BatchNorm in training, torch",
        of(
            lambda: Head(nn.Sequential(stem(), nn.BatchNorm2d(16), nn.Dropout2d(), nn.Dropout(), body())),
            training=training,
        ),
    )
    for before in (0, 1, 5):
        yield f"transformer, {before} tokens before", of(lambda n=before: Transformer(n))
    yield "transformer, tokens come out", of(lambda: Transformer(1, head=False))
    yield "transformer, fixed size", of(lambda: Transformer(1), free=False)
    yield "transformer of 192 x 192, fixed", of(lambda: Transformer(2, side=12), free=False, size=192)
    yield "attention in windows (Swin)", of(Windows, free=False)
    yield from written()
    if find_spec("onnxscript"):
        for name, make in {
            "plain": lambda: Head(nn.Sequential(stem(), body())),
            "channel shuffle": lambda: Head(behind(shuffled)),
            "GroupNorm": lambda: Head(behind(lambda x, n: n(x), n=nn.GroupNorm(4, 16))),
            "ReflectionPad2d": lambda: Head(behind(lambda x, p: p(x), p=nn.ReflectionPad2d(1))),
            "transformer": Transformer,
        }.items():
            yield f"{name}, torch's newer exporter", of(make, dynamo=True, opset_version=18)


def right(features: spm.FeatureMap, size: int) -> str:
    """Say whether squares of noise change most the cells that lie there."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
    before, hits, side = features.extract(image), 0, size // 4
    places = [(x, y) for x in range(0, size, side) for y in range(0, size, side)]
    for x, y in places:
        changed = image.copy()
        changed[y : y + side, x : x + side] = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        change = np.abs(features.extract(changed).values - before.values).sum(axis=1).reshape(before.grid)
        x0, y0, x1, y1 = before.to_grid([[x, y, x + side, y + side]])[0].astype(int)
        row, column = np.divmod(change.argmax(), before.grid[1])
        hits += y0 <= row < y1 and x0 <= column < x1
    return "right" if hits == len(places) else f"{hits} of {len(places)} squares"


def row(name: str, network: bytes) -> list[object]:
    """Try a network: its default layer, where that lies, and what came of it."""
    size = next(
        (d.dim_value for d in onnx.load_model_from_string(network).graph.input[0].type.tensor_type.shape.dim[2:3]), 0
    )
    size = size if size > 3 else SIZE
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            listed = layers(network, size=(size, size))
            features = spm.FeatureMap(network, size=size, policy="warp")
            outcome = right(features, size)
            default = spm.networks.cut(network)
            last = onnx.load_model_from_string(bytes(default)).graph.output[0].name
            layer = next(found for found in listed if found.name == last)
            pair = "{0[0]:.4g} x {0[1]:.4g}".format
            shown = [f"`{layer.name}` ({layer.op})", layer.channels or "-", f"{layer.grid[0]} x {layer.grid[1]}"]
            shown += [pair(layer.stride), pair(layer.offset), layer.geometry]
        except spm.SpmError as error:
            shown, outcome = ["-"] * 6, f"refused: {error}"
    words = sorted({str(word.message).partition(":")[0] for word in told if issubclass(word.category, UserWarning)})
    words = ["measured, as said" if "measured" in word else word for word in words if "torch" not in word]
    return [name, *shown, outcome.replace("|", "/"), "; ".join(words) or "-"]


def main() -> None:
    rows = []
    for name, make in cases():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = make()
        rows.append(row(name, network))
        print(rows[-1])
    counts = {word: sum(str(line[-2]).startswith(word) for line in rows) for word in ("right", "refused")}
    note = f"{len(rows)} networks: {counts['right']} right, {counts['refused']} refused with a reason."
    head = ["network", "default layer", "channels", "grid", "stride", "offset", "geometry", "outcome", "warned"]
    keep("hostile_networks", "Networks that are hard to read", note, table(head, rows))


if __name__ == "__main__":
    main()
