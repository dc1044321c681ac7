"""Frozen layers: a trunk and the layer below which nothing learns in, two parts and the lower one's kept maps out."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from ...errors import SpmError
from ...features.cache import entries_in, entry_of, read_entry, write_entry
from ..trunks.cutting import Around
from ..trunks.onnx_import import module_name
from .feeds import Feed, Input, Tensors, plain_views
from .pixels import Pictures, Size, assemble

HEAD = "head"  # below which lies the whole trunk


def split_below(body: nn.Module, name: str) -> tuple[nn.Module, nn.Module]:
    """Cut a module below one of its inner modules: that one, and all that needs its output, learns.

    Parameters
    ----------
    body : torch.nn.Module
        One that torch.fx can follow.
    name : str
        One of its `named_modules`; of a file's network also that of a tensor.

    Returns
    -------
    lower : torch.nn.Module
        Takes the image, returns a tuple of maps.
    upper : torch.nn.Module
        Takes these, returns what the whole returns. Both share the parameters.

    Raises
    ------
    SpmError
        If there is no such module, or torch.fx cannot follow the code.

    Examples
    --------
    >>> body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    >>> lower, upper = split_below(body, "2")
    >>> [tuple(maps.shape) for maps in lower(torch.zeros(1, 3, 8, 8))], upper(*lower(torch.zeros(1, 3, 8, 8))).shape
    ([(1, 4, 6, 6)], torch.Size([1, 5, 4, 4]))
    """
    graph, start = _traced(body, name)
    learns: set[fx.Node] = set()
    for node in graph.nodes:
        if node is start or any(source in learns for source in node.all_input_nodes):
            learns.add(node)
    crossing = [
        node
        for node in graph.nodes
        if node not in learns and node.op != "get_attr" and any(user in learns for user in node.users)
    ]
    return _lower(body, graph, crossing), _upper(body, graph, crossing, learns)


def _traced(body: nn.Module, name: str) -> tuple[fx.Graph, fx.Node]:
    """Return the graph of a module in which the named one is one node; what does not hold that stays a whole."""
    asked, name = name, name if name in dict(body.named_modules()) else module_name(name)

    try:
        graph = Around(name).trace(body)
    except Exception as error:  # code that torch.fx cannot follow fails in many ways
        raise SpmError(
            f"freeze={asked!r}: torch.fx cannot follow the trunk ({error}): give its ONNX export, freeze='head' or None"
        ) from error
    found = [
        node for node in graph.nodes if name in (node.target, node.name) and node.op not in ("placeholder", "output")
    ]
    if not found:
        names = [HEAD, *(other for other, _ in body.named_modules() if other)]
        near = difflib.get_close_matches(asked, names, n=3, cutoff=0.5) or [HEAD, *names[-3:]]
        raise SpmError(f"freeze={asked!r}: the trunk has no such layer: did you mean {' or '.join(map(repr, near))}?")
    return graph, found[0]


def _lower(body: nn.Module, graph: fx.Graph, crossing: list[fx.Node]) -> nn.Module:
    lower = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node.op == "output":
            break
        copies[node] = lower.node_copy(node, lambda other: copies[other])
    lower.output(tuple(copies[node] for node in crossing))
    _drop_unused(lower)
    return fx.GraphModule(body, lower)


def _upper(body: nn.Module, graph: fx.Graph, crossing: list[fx.Node], learns: set[fx.Node]) -> nn.Module:
    upper = fx.Graph()
    copies = {node: upper.placeholder(f"maps_{k}") for k, node in enumerate(crossing)}
    for node in graph.nodes:
        if node.op == "output":
            upper.output(copies[node.args[0]])
        elif node in learns or node.op == "get_attr":
            copies[node] = upper.node_copy(node, lambda other: copies[other])
    _drop_unused(upper)
    return fx.GraphModule(body, upper)


def _drop_unused(graph: fx.Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


class Upper(nn.Module):
    """What learns of a network above a layer of its trunk: the rest of that, pooling and head; it takes maps."""

    def __init__(self, network: Any, upper: nn.Module) -> None:
        super().__init__()
        self.upper, self.pool, self.head = upper, network.pool, network.head

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        return self.head(self.pool(self.upper(*maps)))


def freeze_below(
    network: Any, name: str, mixed: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> tuple[Callable[[torch.Tensor], Tensors], nn.Module]:
    """Let nothing learn below a layer of a network's trunk, or below its head.

    Parameters
    ----------
    network : SPPNet
    name : str
        As `split_below` takes it, or "head".
    mixed : callable
        Returns the context of mixed precision that the lower part runs in.

    Returns
    -------
    lower : callable
        Takes images, returns a tuple of maps, or of pooled vectors where the head alone learns; without gradients.
    learned : torch.nn.Module
        Takes these, returns scores.
    """
    for parameter in network.trunk.parameters():
        parameter.requires_grad_(False)
    lower: nn.Module
    learned: nn.Module
    if name == HEAD:
        lower, learned = nn.Sequential(network.trunk, network.pool), network.head
    else:
        lower, upper = split_below(network.trunk.body, name)
        learned = Upper(network, upper)
        for parameter in upper.parameters():
            parameter.requires_grad_(True)

    @torch.no_grad()
    def run(images: torch.Tensor) -> Tensors:
        with mixed():
            maps = lower(images)
        return maps if isinstance(maps, tuple) else (maps,)

    return run, learned


class Remembered:
    """Layers that do not learn, whose maps of an image lie in a folder once they were made, for all fits that follow.

    An image's maps are found by its pixels and by what the layers make of noise of its shape: so other layers, weights,
    versions or devices, which would make other maps, make their own. On a processor the bits of maps do not depend on
    what else is in a batch, but for one that is alone, which therefore counts as another.

    Parameters
    ----------
    lower : callable
        Takes images, returns a tuple of maps.
    memory : joblib.Memory or path

    Examples
    --------
    >>> double = Remembered(lambda images: (2 * images,), tempfile.mkdtemp())
    >>> [double(torch.ones(2, 1, 2, 2))[0].sum().item() for _ in "12"]
    [16.0, 16.0]
    """

    def __init__(self, lower: Callable[[torch.Tensor], Tensors], memory: Any) -> None:
        self.lower, self.folder = lower, entries_in(memory)
        self._layers: dict[Any, tuple[int, bytes]] = {}

    def __call__(self, images: torch.Tensor) -> Tensors:
        """Return the maps of a batch, in float32."""
        n_maps, layers = self._known_by(images[:2])
        keys = [_digest(layers, image) for image in images]
        paths = [[entry_of(self.folder, f"{key}-{k}") for k in range(n_maps)] for key in keys]
        kept = [[read_entry(path) for path in own] for own in paths]
        missing = [i for i, own in enumerate(kept) if any(part is None for part in own)]
        if missing:
            several = missing if len(missing) > 1 else [missing[0], (missing[0] + 1) % len(images)]
            made = self.lower(images[several[: len(images)]])
            parts = [part.float().cpu().numpy() for part in made]
            for row, i in enumerate(missing):
                kept[i] = [part[row] for part in parts]
                for path, part in zip(paths[i], kept[i], strict=True):
                    write_entry(path, part)
        return tuple(torch.from_numpy(np.stack(part)).to(images.device) for part in zip(*kept, strict=True))

    def _known_by(self, some: torch.Tensor) -> tuple[int, bytes]:
        """Return how many maps the layers make of such images, and a digest of what they make of noise."""
        if some.shape not in self._layers:
            noise = torch.rand(some.shape, generator=torch.Generator().manual_seed(0))
            maps = self.lower(torch.empty_like(some).copy_(noise))
            self._layers[some.shape] = len(maps), _digest(b"", *maps).encode()
        return self._layers[some.shape]


def _digest(start: bytes, *tensors: torch.Tensor) -> str:
    digest = blake2b(start, digest_size=20)
    for part in tensors:
        array = part.float().cpu().numpy()
        digest.update(f"{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


class Shelf:
    """Arrays of maps, in memory as long as a bound of bytes allows, then in files that the system may page out.

    Parameters
    ----------
    keep_bytes : int
    folder : path or None
        Where the files go: a folder of this object's own inside, which goes with it.
    """

    def __init__(self, keep_bytes: int, folder: Any = None) -> None:
        self._left, self._folder, self._files = keep_bytes, folder, 0
        self._own: tempfile.TemporaryDirectory[str] | None = None

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of float32."""
        size = 4 * int(np.prod(shape))
        self._left -= size
        if self._left >= 0:
            return np.empty(shape, dtype=np.float32)
        if self._own is None:
            self._own = tempfile.TemporaryDirectory(prefix=".spm_maps_", dir=self._folder)
        self._files += 1
        return np.memmap(Path(self._own.name) / f"{self._files}.maps", dtype=np.float32, mode="w+", shape=shape)


class MapFeed(Feed):
    """Batches of the maps of layers that do not learn: of every image once a size, and once more mirrored.

    Whole images are shown, as chance cannot cut what is kept.

    Parameters
    ----------
    pictures : Pictures
    make : Input
    lower : callable
        Takes images, returns a tuple of maps.
    shelf : Shelf
    """

    def __init__(
        self, pictures: Pictures, make: Input, *args: Any, lower: Callable[[torch.Tensor], Tensors], shelf: Shelf
    ) -> None:
        super().__init__(pictures.shapes, *args)
        self.pictures, self.make, self.lower, self.shelf = pictures, make, lower, shelf
        self.versions = (False, True) if self.schedule.mirror else (False,)
        self._rows: dict[Size, np.ndarray] = {}
        self._maps: dict[Size, dict[tuple[int, ...], list[np.ndarray]]] = {}

    def _keep(self, size: Size, targets: np.ndarray) -> None:
        """Make the maps at a size: by shape arrays of (rows, versions, channels, h, w), and each image's row."""
        self._rows[size], self._maps[size] = np.zeros(len(targets), np.int64), {}
        for target in np.unique(targets, axis=0):
            group = np.flatnonzero((targets == target).all(axis=1))
            self._rows[size][group] = np.arange(len(group))
            for start in range(0, len(group), self.batch_size):
                rows = slice(start, start + self.batch_size)
                for version, mirrored in enumerate(self.versions):
                    at = group[rows].tolist()
                    views = plain_views(self.pictures, self.schedule, targets, size, at, mirrored)
                    maps = self.lower(self.make(assemble(self.pictures, at, views)))
                    self._put(
                        self._maps[size], tuple(target.tolist()), (len(group), len(self.versions)), maps, rows, version
                    )

    def _put(self, kept: Any, key: tuple[int, ...], lead: Any, maps: Tensors, rows: slice, version: int) -> None:
        if key not in kept:
            kept[key] = [self.shelf.empty((*lead, *part.shape[1:])) for part in maps]
        for array, part in zip(kept[key], maps, strict=True):
            array[rows, version] = part.float().cpu().numpy()

    def producer(self, epoch: int) -> Callable[[np.ndarray], Any]:
        """Return what takes maps from the shelf."""
        size, targets = self.size(epoch), self.buckets(epoch).targets
        if size not in self._maps:
            self._keep(size, targets)
        rows, maps = self._rows[size], self._maps[size]
        mirrored = (self.schedule.draws(len(rows), epoch)[:, 2] < 0.5) * (len(self.versions) - 1)

        def produce(at: np.ndarray) -> list[np.ndarray]:
            return [array[rows[at], mirrored[at]] for array in maps[tuple(targets[at[0]].tolist())]]

        return produce

    def finish(self, made: list[np.ndarray]) -> Tensors:
        """Return the maps as tensors on the device."""
        layout = self.make.layout
        maps = [torch.from_numpy(part).to(self.make.device) for part in made]
        return tuple(part.contiguous(memory_format=layout) if part.ndim == 4 else part for part in maps)
