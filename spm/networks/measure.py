"""Maps behind operators that geometry cannot follow: the network is run, and where perturbed pixels show tells it.

An operator that is not known need not be the end of a network. Whether a tensor behind it is still a map of the image
is seen by changing a third of the image at a time: of a map, the cells that change most are those that lie there. Its
rows and columns then share the stretch of the image that those of the last known map before it have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingDependencyError
from .extract import part_of, start_session
from .file import need
from .geometry import ROWS_COLUMNS, Axis, Border, Join, Map, Mix, Shift, TooSmall, Turn, Window, keep
from .trace import Graph, Same

if TYPE_CHECKING:
    import onnx

SIDES = (224, 256, 384, 192, 160, 128, 96, 64, 32, 299, 336, 448, 512, 518)
"""Of the image that is tried where the file leaves its size free."""
BANDS = 3  # into which an image is cut, down and across
DRAWS = 2  # of an image and its changes
SCALES = (1.0, 60.0)  # of the pixels, as networks want them around 1 or around 100
AGREEING = 0.75  # of the rows, at least, must change most with their own part of the image
CONTRAST = 1.15  # by how much more than with the mean of all parts, at least
MOST_BESIDE = 16  # tokens that may stand beside those of the grid, unless it is said
AT_ONCE = 128  # tensors that are looked at in one run
FOLLOWING = (Mix, Window, Border, Join, Turn, Shift)

Response = dict[tuple[int, int], list[list[np.ndarray]]]
"""By the dimensions that may be rows and columns: how much each cell changed, by axis and part of the image."""

Responses = dict[str, tuple[tuple[int, ...], Response]]
"""The shape of tensors, and how they answer."""


def look(
    proto: onnx.ModelProto,
    graph: Graph,
    names: Sequence[str] | None,
    tokens_before: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    last: bool = False,
) -> None:
    """Run a network to see which tensors are maps where geometry alone cannot tell; add them to `graph.seen`.

    Parameters
    ----------
    proto : onnx.ModelProto
        The network, with shapes.
    names : sequence of str or None
        The tensors that matter; None for all.
    tokens_before : int, optional
        How many tokens stand before those of the grid, where it is known.
    size : (int, int), optional
        Height and width of the image to run it with.
    last : bool, default=False
        Whether the last map is all that matters.
    """
    first = _Lost(proto, graph, names, size or graph.size)
    if not first.wanted:
        return
    for name in (first.wanted[-1], first.wanted[0]):
        graph.side, graph.failure = side_that_runs(proto, graph, name, size)
        if not graph.failure:
            break
    else:
        return
    tried = first.turning()
    _look_at(proto, graph, _Lost(proto, graph, names, size or graph.size), tried, tokens_before)
    rest = _Lost(proto, graph, names, size or graph.size)
    todo = [name for name in (rest.behind_the_last() if last else rest.wanted) if name not in tried]
    _look_at(proto, graph, rest, todo, tokens_before)
    _lean_on_the_nearest(graph, _Lost(proto, graph, names, size or graph.size))


def side_that_runs(proto: onnx.ModelProto, graph: Graph, name: str, size: tuple[int, int] | None) -> tuple[int, str]:
    """Return the side of an image that a network takes, and why there is none."""
    failure = ""
    try:
        run = _opened(proto, graph, [name])
        for side in SIDES:
            height, width = size or (graph.fixed[0] or side, graph.fixed[1] or side)
            try:
                run(np.zeros((1, graph.channels, height, width), np.float32))
                return side, ""
            except Exception as error:  # onnxruntime's errors have no root of their own
                failure = failure or str(error)
            if size or None not in graph.fixed:
                break
    except MissingDependencyError:
        raise
    except Exception as error:
        failure = str(error)
    return graph.side, failure


def _lean_on_the_nearest(graph: Graph, lost: _Lost) -> None:
    """Let what was seen lie as the map just before it does, where it was seen by one far before."""
    for name, same in list(graph.seen.items()):
        own, source = lost.places[name], lost.upstream[name][1]
        place = lost.places[source]
        if isinstance(own, Map) and isinstance(place, Map) and source != same.source:
            lengths = zip(own[:2], place[:2], strict=True)
            down, across = (Fraction(axis.length, other.length) for axis, other in lengths)
            graph.seen[name] = Same(source, (down, across), same.dims, same.before)


class _Lost:
    """The tensors of a network whose places are lost, and the last known map before each.

    Attributes
    ----------
    wanted, among : list of str
        Those asked for that may be maps, and also those before them.
    before, upstream : dict
        The last known map before a tensor, it itself included or not, with its step.
    """

    def __init__(
        self, proto: onnx.ModelProto, graph: Graph, names: Sequence[str] | None, size: tuple[int, int]
    ) -> None:
        self.graph, self.size = graph, size
        self.places = graph.trace(self.size)
        of = need("onnx").TensorProto
        floats = {of.FLOAT, of.FLOAT16, of.BFLOAT16, of.DOUBLE, of.UINT8, of.INT8, of.UNDEFINED}
        kinds = {v.name: v.type.tensor_type.elem_type for v in (*proto.graph.value_info, *proto.graph.output)}
        self.before: dict[str, tuple[int, str]] = {}
        self.upstream: dict[str, tuple[int, str]] = {}
        candidates, needed = [], set(names or ())
        for k, step in enumerate(graph.steps):
            known = [(-1, n) for n in step.inputs if n == graph.image]
            known += [self.before[n] for n in step.inputs if n in self.before]
            for name in step.outputs:
                place = self.places[name]
                if known:
                    self.upstream[name] = max(known)
                if isinstance(place, Map) and place.down.length * place.across.length > 1:
                    self.before[name] = (k, name)
                elif known:
                    self.before[name] = max(known)
                rank = len(graph.shapes.get(name, (0, 0, 0, 0)))
                lost = isinstance(place, str) and not isinstance(place, TooSmall)
                if lost and known and rank in (3, 4) and kinds.get(name, 0) in floats:
                    candidates.append(name)
        for step in reversed(graph.steps):
            if names is not None and not needed.isdisjoint(step.outputs):
                needed.update(step.inputs)
        self.among = [name for name in candidates if names is None or name in needed]
        self.wanted = [name for name in candidates if names is None or name in names]

    def source(self, name: str) -> tuple[str, Map]:
        """Return the last known map before a tensor."""
        found = self.before[name][1]
        place = self.places[found]
        assert isinstance(place, Map)
        return found, place

    def behind_the_last(self) -> list[str]:
        """Return the lost tensors behind the last known map."""
        steps = {name: k for k, step in enumerate(self.graph.steps) for name in step.outputs}
        last = max((k for k, name in self.before.values()), default=-1)
        return [name for name in self.wanted if steps[name] > last]

    def turning(self) -> list[str]:
        """Return the lost tensors at which places can turn up again: behind all others rules follow them."""
        found = []
        for step in self.graph.steps:
            known = [self.graph.values.get(name) for name in step.inputs]
            rule = step.rule(known, [self.graph.shapes.get(name) for name in step.inputs])
            for name in step.outputs:
                own = str(self.places[name]).startswith(f"it lies at or behind {step.op} {step.name!r},")
                if name in self.among and (own or not (rule is keep or isinstance(rule, FOLLOWING))):
                    found.append(name)
        return found


def _look_at(
    proto: onnx.ModelProto, graph: Graph, lost: _Lost, names: Sequence[str], tokens_before: int | None
) -> None:
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        try:
            for responses in _responses(proto, graph, some, lost.size):
                _understand(graph, lost, responses, tokens_before)
                if not graph.seen.keys().isdisjoint(some):  # pixels of this scale are what the network wants
                    break
        except Exception:  # onnxruntime's errors have no root of their own: one of them cannot be run
            for half in (some[: len(some) // 2], some[len(some) // 2 :]) if len(some) > 1 else ():
                _look_at(proto, graph, lost, half, tokens_before)


def _understand(graph: Graph, lost: _Lost, responses: Responses, tokens_before: int | None) -> None:
    for name, (shape, response) in responses.items():
        source, place = lost.source(name)
        scored = [
            (exact, _score(found, place, response[found.dims], lost.size), found)
            for exact, found in _guesses(source, place, shape, tokens_before)
        ]
        good = [one for one in scored if one[1] > 0]
        if good:
            graph.seen[name] = max(good, key=lambda one: one[:2])[2]


def _guesses(source: str, place: Map, shape: Sequence[int], tokens_before: int | None) -> Iterator[tuple[bool, Same]]:
    """Yield how a tensor of a shape might lie, and whether nothing of it is left over."""
    down, across = place.down.length, place.across.length
    if len(shape) == 4:
        for dims in (ROWS_COLUMNS, (1, 2)):
            rows, columns = shape[dims[0]], shape[dims[1]]
            if rows * columns > 1:
                yield True, Same(source, (Fraction(rows, down), Fraction(columns, across)), dims)
        return
    for dim in (1, 2):
        for k in range(1, 65):
            rows, columns = down // k, across // k
            rest = shape[dim] - rows * columns
            if rows * columns > 1 and 0 <= rest <= MOST_BESIDE + (tokens_before or 0):
                for before in range(rest + 1):
                    if before == (tokens_before if rest else 0) or tokens_before is None:
                        ratio = Fraction(rows, down), Fraction(columns, across)
                        yield before == rest, Same(source, ratio, (dim, dim), before)


def _responses(
    proto: onnx.ModelProto, graph: Graph, names: Sequence[str], size: tuple[int, int]
) -> Iterator[Responses]:
    """Yield, for pixels of each scale, how each tensor answers to changes of the image."""
    run = _opened(proto, graph, names)
    height, width = size
    for scale in SCALES:
        random = np.random.default_rng(0)
        found: Responses = {}
        for _ in range(DRAWS):
            images = scale * random.standard_normal((2, 1, graph.channels, height, width)).astype(np.float32)
            if scale > 1:
                images = np.clip(images + 128, 0, 255)
            _add_responses(run, names, images, found)
        yield found


def _add_responses(run: Any, names: Sequence[str], images: np.ndarray, found: dict[str, Any]) -> None:
    whole = run(images[0])
    for axis in (0, 1):
        for k in range(BANDS):
            length = images.shape[3 + axis]
            band = slice(length * k // BANDS, length * (k + 1) // BANDS)
            changed = images[0].copy()
            where = (..., band, slice(None)) if axis == 0 else (..., band)
            changed[where] = images[1][where]
            for name, one, other in zip(names, whole, run(changed), strict=True):
                if one.shape != other.shape or one.ndim not in (3, 4) or one.shape[0] != 1:
                    continue
                change = np.abs(one.astype(np.float32) - other.astype(np.float32))[0]
                layouts = {ROWS_COLUMNS: 0, (1, 2): 2} if one.ndim == 4 else {(1, 1): 1, (2, 2): 0}
                _, response = found.setdefault(name, (one.shape, {dims: ([], []) for dims in layouts}))
                for dims, channels in layouts.items():
                    response[dims][axis].append(change.mean(axis=channels))


def _opened(proto: onnx.ModelProto, graph: Graph, names: Sequence[str]) -> Any:
    """Open a network to look at some of its tensors."""
    part = part_of(proto, names)
    for value in part.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for value in part.graph.output:  # they may have been inferred for another batch
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    session, dtype = start_session(part.SerializeToString())
    name = session.get_inputs()[0].name

    def run(image: np.ndarray) -> list[np.ndarray]:
        image = image if graph.dims == ROWS_COLUMNS else np.ascontiguousarray(image.transpose(0, 2, 3, 1))
        return session.run(list(names), {name: image.astype(dtype)})

    return run


def _score(found: Same, source: Map, response: list[list[np.ndarray]], size: tuple[int, int]) -> float:
    """Tell how well the cells of a map that changed most lie where the image was changed, down and across; 0 if not."""
    place, scores = found.of(source), []
    assert isinstance(place, Map)
    for k in (0, 1):
        axis: Axis = place[k]  # type: ignore[assignment]
        for draw in range(0, len(response[k]), BANDS):
            changes = np.stack([_along(one, place, k) for one in response[k][draw : draw + BANDS]])  # (bands, cells)
            scores.append(_in_order(changes, axis, size[k]) if axis.length > 1 else 1.0)
    return float(np.prod(scores))


def _along(change: np.ndarray, place: Map, k: int) -> np.ndarray:
    """Return how much the cells of a map changed along an axis."""
    grid = place.down.length, place.across.length
    if place.tokens:
        change = change[place.before : place.before + grid[0] * grid[1]].reshape(grid)
    return change.mean(axis=1 - k)


def _in_order(changes: np.ndarray, axis: Axis, length: int) -> float:
    """Tell by how much more than with the mean of all parts cells change with their own; 0 if not all but a few do."""
    total = changes.sum(axis=0)
    alive = np.isfinite(total) & (total > 0)
    if alive.sum() < max(axis.length // 2, 1):
        return 0.0
    centres = axis.offset + (np.arange(axis.length) + 0.5) * float(axis.stride)
    reach = max(float(axis.stride) / 2, length / 16)
    edges = np.arange(BANDS + 1) * length / BANDS
    edges[0], edges[-1] = -np.inf, np.inf
    near = (edges[:-1, None] < centres + reach) & (edges[1:, None] > centres - reach)  # (bands, cells)
    strongest = np.where(near, changes, 0).max(axis=0)[alive]
    agreeing = (strongest >= changes.max(axis=0)[alive]).mean()
    contrast = (strongest / changes.mean(axis=0)[alive]).mean()
    own = changes[np.searchsorted(edges, centres, side="right") - 1, np.arange(axis.length)][alive]
    return float((own / changes.mean(axis=0)[alive]).mean()) if agreeing >= AGREEING and contrast >= CONTRAST else 0.0
