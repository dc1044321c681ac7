"""Hostile networks as torch exports them: nothing in, pairs of a name and what makes an ONNX file's content out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

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


def again(x: torch.Tensor) -> torch.Tensor:
    return F.pixel_unshuffle(F.interpolate(x, scale_factor=2), 2)[:, ::4]


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


def exports() -> Iterator[Case]:
    """Yield networks as torch exports them."""

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
    yield (
        "up and down again",
        of(lambda: Head(behind(lambda x: F.pixel_unshuffle(F.interpolate(x, scale_factor=2), 2)[:, ::4]))),
    )
    yield "half precision, torch", of(lambda: Head(nn.Sequential(stem(), body())).half())
    training = torch.onnx.TrainingMode.TRAINING
    yield (
        "Dropout and BatchNorm in training, torch",
        of(
            lambda: Head(nn.Sequential(stem(), nn.BatchNorm2d(16), nn.Dropout(), body())),
            training=training,
        ),
    )
    for before in (0, 1, 5):
        yield f"transformer, {before} tokens before", of(lambda n=before: Transformer(n))
    yield "transformer, tokens come out", of(lambda: Transformer(1, head=False))
    yield "transformer, fixed size", of(lambda: Transformer(1), free=False)
    yield "transformer of 192 x 192, fixed", of(lambda: Transformer(2, side=12), free=False, size=192)
    yield "attention in windows (Swin)", of(Windows, free=False)
    if find_spec("onnxscript"):
        for name, make in {
            "plain": lambda: Head(nn.Sequential(stem(), body())),
            "channel shuffle": lambda: Head(behind(shuffled)),
            "GroupNorm": lambda: Head(behind(lambda x, n: n(x), n=nn.GroupNorm(4, 16))),
            "ReflectionPad2d": lambda: Head(behind(lambda x, p: p(x), p=nn.ReflectionPad2d(1))),
            "transformer": Transformer,
        }.items():
            yield f"{name}, torch's newer exporter", of(make, dynamo=True, opset_version=18)
