"""Networks: an ONNX file in, its inner maps listed or cut out; and a few well-known files fetched by name.

Any network of torchvision, or of timm, becomes such a file with free height and width by these ten lines::

    import torch
    import torchvision  # or timm

    network = torchvision.models.resnet18(weights="DEFAULT")  # or timm.create_model("resnet18", pretrained=True)
    free = {"image": {0: "batch", 2: "height", 3: "width"}}
    image = torch.zeros(1, 3, 224, 224)
    torch.onnx.export(
        network.eval(), (image,), "resnet18.onnx",
        input_names=["image"], output_names=["scores"], dynamic_axes=free, dynamo=False,
    )

``spm.networks.layers("resnet18.onnx")`` then lists what `FeatureMap` may be asked for. Of AlexNet and VGG, whose heads
hold them to one size, export ``network.features``.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._tools.public import public
from ..errors import SpmError
from .file import Model, Network, need, read_network
from .geometry import ROWS_COLUMNS, Graph, Map, Place
from .graph import graph_of

if TYPE_CHECKING:
    import onnx

NOMINAL = 224  # the side of the image that layers are listed for where a file leaves its size free


@public("spm.networks")
@dataclass(frozen=True)
class Layer:
    """An inner tensor of a network that is a map of the image.

    Attributes
    ----------
    name : str
        The tensor's name, as `FeatureMap` takes it.
    op : str
        The operator that makes it.
    channels : int or None
        None where the file does not tell.
    stride : (int, int)
        Pixels of the network's input from one cell to the next, down and across.
    offset : (float, float)
        The pixel position, down and across, of the first cell's top left corner.
    field : (int, int)
        How many pixels a cell sees, down and across.
    grid : (int, int)
        Rows and columns for the image's size that was asked for.
    """

    name: str
    op: str
    channels: int | None
    stride: tuple[int, int]
    offset: tuple[float, float]
    field: tuple[int, int]
    grid: tuple[int, int]


@public("spm.networks")
def layers(model: Model, *, size: tuple[int, int] | None = None) -> list[Layer]:
    """List the inner tensors of a network that are maps of the image, in the order of the graph.

    Where each lies is computed from the operators before it. What lies behind global pooling, a flattening, an
    enlargement or an unknown operator is no map, nor is a single cell.

    Parameters
    ----------
    model : path, bytes or Network
        An ONNX file, or its content.
    size : (int, int), optional
        Height and width of the image. By default those that the file fixes, or 224 x 224. Only the grid depends on
        it, and the offset of a network that pads by ``auto_pad``.

    Returns
    -------
    list of Layer

    Raises
    ------
    SpmError
        If this is no ONNX file, or not one that takes one image.
    MissingDependencyError
        If onnx is not installed.

    Examples
    --------
    >>> from onnx import parser
    >>> network = parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["": 13]>
    ...     g (float[1, 3, H, W] image) => (float[1, 2] scores) <float[2, 3, 1, 1] w = {1, 2, 3, 4, 5, 6}> {
    ...         thin = Conv <strides = [2, 2]> (image, w)
    ...         mean = GlobalAveragePool (thin)
    ...         scores = Flatten (mean)
    ...     }''')
    >>> layers(network.SerializeToString())
    [Layer(name='thin', op='Conv', channels=2, stride=(2, 2), offset=(-0.5, -0.5), field=(1, 1), grid=(112, 112))]
    """
    return list_layers(graph_of(read_network(model)), size)


@public("spm.networks")
def cut(model: Model, layers: Sequence[str] | str | None = None, *, free: bool = False) -> Network:
    """Cut out of a network what computes some of its layers: nothing behind them is left.

    The batch dimension becomes free; height and width stay free where they are.

    Parameters
    ----------
    model : path, bytes or Network
        An ONNX file, or its content.
    layers : str or sequence of str, optional
        Names of tensors, as `layers` lists them. By default the last one listed.
    free : bool, default=False
        Whether to free height and width where the file fixes them, so that images of any size go through.

    Returns
    -------
    Network
        One whose outputs are the layers, in the order given. ``Path("part.onnx").write_bytes(bytes(part))`` makes a
        file of it.

    Raises
    ------
    SpmError
        As `layers` raises, and if a layer is unknown or no map, or if the size cannot be freed.
    """
    proto = read_network(model)
    graph = graph_of(proto)
    names = choose(graph, layers)
    return cut_out(proto, graph, names, free=free)


def list_layers(graph: Graph, size: tuple[int, int] | None = None) -> list[Layer]:
    """List the maps of a graph; see `layers`."""
    size = size or (graph.fixed[0] or NOMINAL, graph.fixed[1] or NOMINAL)
    found = graph.trace(size)
    listed = []
    for step in graph.steps:
        for name in step.outputs:
            place, shape = found[name], graph.shapes.get(name, (None, None))
            if isinstance(place, Map) and place.dims == ROWS_COLUMNS and place.down.length * place.across.length > 1:
                pairs = [(axis.stride, axis.offset, axis.field, axis.length) for axis in place[:2]]
                listed.append(Layer(name, step.op, shape[1], *zip(*pairs, strict=True)))
    return listed


def choose(graph: Graph, names: Sequence[str] | str | None) -> list[str]:
    """Return the layers' names, checked; the last map's for None.

    Raises
    ------
    SpmError
        If a name is unknown (the message has the nearest ones) or no map (the message says why).
    """
    listed = [layer.name for layer in list_layers(graph)]
    if names is None and not listed:
        raise SpmError("the network has no inner map of the image: nothing can be cut out of it")
    chosen = listed[-1:] if names is None else [names] if isinstance(names, str) else list(names)
    if not chosen or len(set(chosen)) < len(chosen):
        raise SpmError(f"layers must be one or several names, each once, got {names!r}")
    found = graph.trace((graph.fixed[0] or NOMINAL, graph.fixed[1] or NOMINAL))
    for name in chosen:
        place = found.get(name) if name != graph.image else "it is the image"
        if name not in found:
            raise SpmError(f"layer {name!r} is not in the network: {_nearest(name, graph, listed)}")
        if not isinstance(place, Map) or place.dims != ROWS_COLUMNS:
            raise SpmError(
                f"layer {name!r} is no map of the image: {_why_no_map(place)}; choose another, such as {listed[-1]!r}"
            )
    return chosen


def _why_no_map(place: Place) -> str:
    if isinstance(place, Map):
        return "its channels come last"
    return place or "it is one value for the whole image"


def _nearest(name: str, graph: Graph, listed: list[str]) -> str:
    """Say which names may have been meant."""
    of_operator = [step.outputs[0] for step in graph.steps if step.name == name and step.outputs[0] in listed]
    containing = [other for other in listed if str(name).lower() in other.lower()]
    near = of_operator or difflib.get_close_matches(str(name), listed, n=3, cutoff=0.6) or containing[-3:]
    if near:
        return f"did you mean {' or '.join(repr(other) for other in near)}?"
    some = ", ".join(repr(other) for other in listed[-8:])
    return f"choose one of its {len(listed)} layers, such as the last: {some}"


def cut_out(proto: onnx.ModelProto, graph: Graph, names: Sequence[str], *, free: bool = False) -> Network:
    """Cut the named tensors out of a network whose shapes are inferred; see `cut`."""
    onnx = need("onnx")
    known = {value.name for value in (*proto.graph.value_info, *proto.graph.output)}
    kind = onnx.TensorProto.FLOAT
    missing = [onnx.helper.make_tensor_value_info(name, kind, None) for name in names if name not in known]
    proto.graph.value_info.extend(missing)
    try:
        part = need("onnx.utils").Extractor(proto).extract_model([graph.image], list(names))
    except ValueError as error:
        raise SpmError(f"the network cannot be cut at {', '.join(names)}: {error}") from error
    part.graph.name = proto.graph.name
    if free:
        _check_free(part)
    image = part.graph.input[0].type.tensor_type.shape.dim
    image[0].dim_param = "batch"
    for dim, word in zip(graph.dims, ("height", "width"), strict=True):
        if free or image[dim].dim_value <= 0:
            image[dim].dim_param = image[dim].dim_param or word
    del part.graph.value_info[:]  # it has the old sizes
    for value in part.graph.output:
        channels = graph.shapes.get(value.name, (None, None))[1]
        shape = ("batch", channels, None, None)
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape))
    return Network.of(part.SerializeToString())


def _check_free(part: onnx.ModelProto) -> None:
    """Raise unless every operator takes maps of any size."""
    graph = graph_of(part)
    places = graph.trace((graph.fixed[0] or NOMINAL, graph.fixed[1] or NOMINAL)).values()
    reason = next((place for place in places if isinstance(place, str)), None)
    if reason:
        raise SpmError(f"height and width of the network cannot be freed, they may matter to a tensor: {reason}")
