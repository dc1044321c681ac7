"""Maps: a network in, its inner maps listed, or what computes some of them cut out, out."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._tools.public import public
from ..errors import SpmError
from .extract import part_of, refuse_chance
from .file import Model, Network, need, read_network
from .geometry import ROWS_COLUMNS, Map, Number, Place, Shape
from .graph import graph_of
from .measure import look, side_that_runs
from .trace import NOMINAL, Graph

if TYPE_CHECKING:
    import onnx

POOLING = {
    *(f"{way}{kind}Pool" for way in ("", "Global") for kind in ("Average", "Lp", "Max")),
    "ReduceMax",
    "ReduceMean",
}

Names = str | int | Sequence[str | int] | None


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
    stride : (float, float)
        Pixels of the network's input from one cell to the next, down and across.
    offset : (float, float)
        The pixel position, down and across, of the first cell's top left corner.
    field : (int, int) or None
        How many pixels a cell sees, down and across; None where it was not computed.
    grid : (int, int)
        Rows and columns for the image's size that was asked for.
    geometry : {"computed", "measured"}
        How stride and offset are known: computed from the operators before the map, or, where one of these is not
        known, measured: the network was run and pixels were changed to see where that shows, and the cells share the
        stretch of the image that the last computed map has.
    """

    name: str
    op: str
    channels: int | None
    stride: tuple[float, float]
    offset: tuple[float, float]
    field: tuple[int, int] | None
    grid: tuple[int, int]
    geometry: str = "computed"


@public("spm.networks")
def layers(model: Model, *, size: tuple[int, int] | None = None, tokens_before: int | None = None) -> list[Layer]:
    """List the inner tensors of a network that are maps of the image, in the order of the graph.

    Where each lies is computed from the operators before it, and measured by running the network where one of these is
    not known. What lies behind global pooling or a flattening is no map, nor is a single cell. The tokens of a
    transformer are one where they are the cells of a grid.

    Parameters
    ----------
    model : path, bytes or Network
        An ONNX file, or its content.
    size : (int, int), optional
        Height and width of the image. By default those that the file fixes, or 224 x 224. Only the grid depends on
        it, and the offset of a network whose padding does.
    tokens_before : int, optional
        Of a transformer how many tokens, such as that of the class, stand before those of the grid. By default what
        is left over of the grid.

    Returns
    -------
    list of Layer

    Raises
    ------
    SpmError
        If this is no ONNX file, or not one that takes one image.
    MissingDependencyError
        If onnx is not installed, or onnxruntime where the network has to be run.

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
    [Layer(name='thin', op='Conv', channels=2, stride=(2, 2), offset=(-0.5, -0.5), field=(1, 1), grid=(112, 112),
     geometry='computed')]
    """
    proto = read_network(model)
    graph = graph_of(proto)
    look(proto, graph, None, tokens_before)
    return list_layers(graph, size)


@public("spm.networks")
def cut(model: Model, layers: Names = None, *, free: bool = False, tokens_before: int | None = None) -> Network:
    """Cut out of a network what computes some of its layers: nothing behind them is left.

    The batch dimension becomes free; height and width stay free where they are.

    Parameters
    ----------
    model : path, bytes or Network
        An ONNX file, or its content.
    layers : str or sequence of str, optional
        Names of tensors, as `layers` lists them. By default the last one listed, or that which a network pools into
        a pyramid of its own.
    free : bool, default=False
        Whether to free height and width where the file fixes them, so that images of any size go through.
    tokens_before : int, optional
        As `layers` takes it.

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
    names = choose(proto, graph, layers, tokens_before=tokens_before)
    return cut_out(proto, graph, names, free=free)


def list_layers(graph: Graph, size: tuple[int, int] | None = None) -> list[Layer]:
    """List the maps of a graph; see `layers`."""
    found, listed = graph.trace(size or graph.size), []
    for step in graph.steps:
        for name in step.outputs:
            place = found[name]
            turned = step.op == "Transpose" and isinstance(place, Map) and place.dims != ROWS_COLUMNS
            if turned or not isinstance(place, Map) or not is_map(place, graph.shapes.get(name)):
                continue
            if place.down.length * place.across.length > 1:
                listed.append(_layer(name, step.op, place, graph))
    return listed


def is_map(place: Place, shape: Shape | None) -> bool:
    """Whether a tensor can be taken as a map: (batch, channels, rows, columns), channels last, or tokens."""
    ranks = {ROWS_COLUMNS: 4, (1, 2): 4, (1, 1): 3, (2, 2): 3}
    rank = ranks.get(place.dims) if isinstance(place, Map) else None
    return rank is not None and (shape is None or len(shape) == rank)


def _layer(name: str, op: str, place: Map, graph: Graph) -> Layer:
    shape = graph.shapes.get(name, ())
    channels = [length for dim, length in enumerate(shape) if dim not in (0, *place.dims)]
    return Layer(
        name,
        op,
        channels[0] if len(channels) == 1 else None,
        (_number(place.down.stride), _number(place.across.stride)),
        (place.down.offset, place.across.offset),
        None if place.measured else (int(place.down.field), int(place.across.field)),
        (place.down.length, place.across.length),
        "measured" if place.measured else "computed",
    )


def _number(value: Number) -> int | float:
    return value if isinstance(value, int) else float(value)


def names_of(layers: Names) -> list[str] | None:
    """Return the names of layers as a list; numbers are names too, as exporters give them."""
    if layers is None:
        return None
    given: list[Any] = list(layers) if np.iterable(layers) and not isinstance(layers, str) else [layers]
    for name in given:
        if isinstance(name, bool) or not isinstance(name, str | numbers.Number):
            raise SpmError(f"layers must be one or several names, got {name!r}")
    return [str(name) for name in given]


def choose(
    proto: onnx.ModelProto, graph: Graph, layers: Names = None, *, tokens_before: int | None = None
) -> list[str]:
    """Return the layers' names, checked; the last map's for None. Where geometry cannot tell, the network is run.

    Raises
    ------
    SpmError
        If a name is unknown (the message has the nearest ones) or no map (the message says why), or if there is none.
    """
    names = names_of(layers)
    if names is not None and (not names or len(set(names)) < len(names)):
        raise SpmError(f"layers must be one or several names, each once, got {layers!r}")
    look(proto, graph, names, tokens_before, last=names is None)
    if names is None:
        return [_default(graph)]
    found = graph.trace(graph.size)
    for name in names:
        place = found.get(name) if name != graph.image else "it is the image"
        if name in found and is_map(place, graph.shapes.get(name)):
            continue
        listed = [layer.name for layer in list_layers(graph)]
        if name not in found:
            raise SpmError(f"layer {name!r} is not in the network: {_nearest(name, graph, listed)}")
        other = f"choose another, such as {listed[-1]!r}" if listed else "no other layer is one"
        raise SpmError(f"layer {name!r} is no map of the image: {_why_no_map(place, graph, name)}; {other}")
    return names


def why_none(graph: Graph) -> str:
    """Say what stands in the way of every map of a network."""
    reasons = [place for place in graph.trace(graph.size).values() if isinstance(place, str)]
    reason = f": of what its first operators make, {reasons[0]}" if reasons else ""
    return f"the network has no inner map of the image{reason}. Nothing can be cut out of it"


def _default(graph: Graph) -> str:
    """Return the last map, or that from which a network makes a pyramid of its own."""
    listed = [layer.name for layer in list_layers(graph)]
    if not listed:
        raise SpmError(why_none(graph))
    levels = _own_pyramid(graph)
    return next((name for name in reversed(listed) if name not in levels), listed[-1])


def _own_pyramid(graph: Graph) -> set[str]:
    """Return the maps to which a network pools one and the same map, each for itself, and that end in vectors."""
    found = graph.trace(graph.size)
    parts: dict[str, list[set[str]]] = {}
    for k, step in enumerate(graph.steps):
        if step.op in POOLING and isinstance(found.get(step.inputs[0]), Map):
            reached = {step.outputs[0]}
            for later in graph.steps[k + 1 :]:
                if not reached.isdisjoint(later.inputs):
                    reached.update(later.outputs)
            maps = [found[name] for name in reached if isinstance(found[name], Map)]
            grids = {(place.down.length, place.across.length) for place in maps if isinstance(place, Map)}
            alone = {name for name in reached if isinstance(found[name], Map)} if len(grids) <= 1 else None
            parts.setdefault(step.inputs[0], []).extend([alone] if alone is not None else [])
    levels: set[str] = set()
    for several in parts.values():
        if len(several) > 1 and sum(map(len, several)) == len(set().union(*several)):
            levels |= set().union(*several)
    return levels


def _why_no_map(place: Place, graph: Graph, name: str) -> str:
    if isinstance(place, Map):
        return f"its rows and columns are its dimensions {place.dims[0]} and {place.dims[1]}"
    rank = len(graph.shapes.get(name, (0, 0, 0, 0)))
    tried = rank in (3, 4) and place is not None
    seen = "; nor do its values change where pixels of the image are changed" if tried else ""
    if tried and graph.failure:
        seen = f"; and the network cannot be run to see more, onnxruntime says: {graph.failure}"
    return f"{place}{seen}" if place else "it is one value for the whole image"


def _nearest(name: str, graph: Graph, listed: list[str]) -> str:
    """Say which names may have been meant."""
    if not listed:
        return why_none(graph)
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
    found = graph.trace(graph.size)
    part = part_of(proto, names)
    refuse_chance(part)
    image = part.graph.input[0].type.tensor_type.shape.dim
    for dim, word in zip(graph.dims, ("height", "width"), strict=True):
        if free or image[dim].dim_value <= 0:
            image[dim].dim_param = image[dim].dim_param or word
    image[0].dim_param = "batch"
    for value in part.graph.output:
        place, shape = found[value.name], graph.shapes.get(value.name)
        if value.type.HasField("tensor_type") and shape is not None and isinstance(place, Map):
            free_dims = {0: "batch", **dict.fromkeys(place.dims)}
            freed = [free_dims.get(dim, length) for dim, length in enumerate(shape)]
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, freed))
    if free:
        _check_free(part, names, graph.fixed)
    return Network.of(part.SerializeToString())


def _check_free(part: onnx.ModelProto, names: Sequence[str], fixed: tuple[int | None, int | None]) -> None:
    """Raise unless every operator takes maps of any size, or a run at twice the size shows the same layers."""
    part = need("onnx.shape_inference").infer_shapes(part)
    graph = graph_of(part)
    places = graph.trace((NOMINAL, NOMINAL)).values()
    reason = next((place for place in places if isinstance(place, str)), None)
    if reason:
        size = 2 * (fixed[0] or NOMINAL), 2 * (fixed[1] or NOMINAL)
        look(part, graph, names, size=size)
        found = graph.trace(size)
        maps = all(is_map(found[name], graph.shapes.get(name)) for name in names)
        if not maps or side_that_runs(part, graph, names[0], size)[1]:
            raise SpmError(f"height and width of the network cannot be freed, they may matter to a tensor: {reason}")
