"""onnxruntime, used in one place: a network and prepared pixels in, the maps of its layers out."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import SpmError
from .file import Model, Network, need, read_network
from .geometry import Map, TooSmall
from .graph import graph_of
from .maps import choose, cut_out

KEPT = 4  # networks that a process keeps open
REMEMBERED = 1000  # sizes of which an open network remembers the places


class Session:
    """An open network, cut behind some of its layers. Threads may share it; a run takes one thread.

    Parameters
    ----------
    model : path, bytes or Network
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
            self._session = runtime.InferenceSession(bytes(part), options, providers=["CPUExecutionProvider"])
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


class _Sessions:
    """The networks that a process has open, the last used last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.opened: OrderedDict[Any, Session] = OrderedDict()


_by_process: dict[int, _Sessions] = {}  # by process id: a forked child opens its own


def open_network(model: Model, layers: Sequence[str] | str | None) -> Session:
    """Open a network, or return it where this process has it open already. A file that has changed is opened anew."""
    key = (Network.of(model).state, layers if layers is None or isinstance(layers, str) else tuple(layers))
    sessions = _by_process.setdefault(os.getpid(), _Sessions())
    with sessions.lock:
        if key not in sessions.opened:
            sessions.opened[key] = Session(model, layers)
        sessions.opened.move_to_end(key)
        while len(sessions.opened) > KEPT:
            sessions.opened.popitem(last=False)
        return sessions.opened[key]
