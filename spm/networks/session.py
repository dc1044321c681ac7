"""onnxruntime, used in one place: a network and prepared pixels in, the maps of its layers out."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SpmError
from .file import Model, external_files, graph_of, need, read_network
from .geometry import Map, TooSmall
from .maps import choose, cut_out

KEPT = 4  # networks that a process keeps open
REMEMBERED = 1000  # sizes of which an open network remembers the places


class Network:
    """An open network, cut behind some of its layers. Threads may share it; a run takes one thread.

    Parameters
    ----------
    model : path or bytes
    layers : str, sequence of str or None
        As `FeatureMap` takes them.

    Attributes
    ----------
    layers : list of str
    graph : Graph
    """

    def __init__(self, model: Model, layers: Sequence[str] | str | None) -> None:
        runtime = need("onnxruntime")
        proto = read_network(model)
        whole = graph_of(proto)
        self.layers = choose(whole, layers)
        part = cut_out(proto, whole, self.layers)
        self.graph = graph_of(read_network(part))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = runtime.InferenceSession(part, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no root of their own
            raise SpmError(f"onnxruntime cannot open the network: {error}") from error
        half = self._session.get_inputs()[0].type == "tensor(float16)"
        self._dtype = np.float16 if half else np.float32
        self._known: dict[tuple[int, int], list[Map] | str] = {}

    def places(self, size: tuple[int, int]) -> list[Map]:
        """Tell where the layers lie for an input of that height and width.

        Raises
        ------
        SpmError
            If the network cannot take that size.
        """
        known = self._look(size)
        if isinstance(known, str):
            raise SpmError(f"the network cannot see {size[1]} x {size[0]} pixels: {known}")
        return known

    def why_not(self, size: tuple[int, int]) -> str | None:
        """Say why the network cannot take an input of that height and width; None if it can.

        To be asked before `run`: onnxruntime can end the process on an input of which nothing is left on the way.
        """
        known = self._look(size)
        return known if isinstance(known, str) else None

    def _look(self, size: tuple[int, int]) -> list[Map] | str:
        known = self._known.get(size)
        if known is None:
            known = self._trace(size)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[size] = known
        return known

    def _trace(self, size: tuple[int, int]) -> list[Map] | str:
        found = self.graph.trace(size)
        if any(isinstance(place, TooSmall) for place in found.values()):
            height, width = self.graph.smallest()
            return f"the network needs at least {width} x {height}; enlarge the image or raise size"
        places: list[Map] = []
        for name in self.layers:
            place = found[name]
            if not isinstance(place, Map):
                return f"the network cannot see this size, {place}"
            places.append(place)
        return places

    def run(self, prepared: np.ndarray) -> list[np.ndarray]:
        """Run the network.

        Parameters
        ----------
        prepared : ndarray of shape (1, channels, height, width), float32

        Returns
        -------
        list of ndarray of shape (channels, rows, columns), float32
            One for each layer.
        """
        if self.graph.dims == (1, 2):
            prepared = np.ascontiguousarray(prepared.transpose(0, 2, 3, 1))  # (1, height, width, channels)
        maps = self._session.run(self.layers, {self.graph.image: prepared.astype(self._dtype, copy=False)})
        return [found[0].astype(np.float32, copy=False) for found in maps]


class _OpenNetworks:
    """The networks that a process has open, the last used last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.networks: OrderedDict[Any, Network] = OrderedDict()


_by_process: dict[int, _OpenNetworks] = {}  # by process id: a forked child opens its own


def open_network(model: Model, layers: Sequence[str] | str | None) -> Network:
    """Open a network, or return it where this process has it open already. A file that has changed is opened anew."""
    key = (_state(model), layers if layers is None or isinstance(layers, str) else tuple(layers))
    opened = _by_process.setdefault(os.getpid(), _OpenNetworks())
    with opened.lock:
        if key not in opened.networks:
            opened.networks[key] = Network(model, layers)
        opened.networks.move_to_end(key)
        while len(opened.networks) > KEPT:
            opened.networks.popitem(last=False)
        return opened.networks[key]


def network_digest(model: Model) -> str:
    """Return a digest of a network's content, that of weights beside its file included."""
    return _digest(_state(model))


def _state(model: Model) -> Any:
    """Return what tells a network from another, and a file from what it was before."""
    if isinstance(model, bytes):
        return model
    try:
        status = os.stat(model)
    except OSError as error:
        hint = "give the path or the content of an .onnx file"
        raise SpmError(f"{os.fsdecode(model)}: the network cannot be read ({error.strerror}): {hint}") from error
    return os.path.abspath(os.fsdecode(model)), status.st_mtime_ns, status.st_size, status.st_ino


@lru_cache(maxsize=KEPT)
def _digest(state: Any) -> str:
    digest = blake2b(digest_size=20)
    if isinstance(state, bytes):
        digest.update(state)
    else:
        for path in (state[0], *external_files(state[0])):
            digest.update(Path(path).read_bytes())
    return digest.hexdigest()
