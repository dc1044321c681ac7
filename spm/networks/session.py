"""onnxruntime, used in one place: a network and prepared pixels in, the maps of its layers out."""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import SpmError
from .extract import start_session
from .file import Model, Network, need, read_network
from .geometry import Map, TooSmall
from .graph import graph_of, scales_of
from .maps import Names, choose, cut_out, names_of
from .trace import Graph

KEPT = 4  # networks that a process keeps open
REMEMBERED = 1000  # sizes of which an open network remembers the places


class Session:
    """An open network, cut behind some of its layers. Threads may share it; a run takes one thread.

    Parameters
    ----------
    model : path, bytes or Network
    layers : str, int, sequence of these or None
    tokens_before : int or None
        As `FeatureMap` takes them.

    Attributes
    ----------
    layers : list of str
    graph : Graph
    """

    def __init__(self, model: Model, layers: Names, tokens_before: int | None = None) -> None:
        need("onnxruntime")
        network = Network.of(model)
        proto = read_network(network)
        whole = graph_of(proto)
        self.layers = choose(proto, whole, layers, tokens_before=tokens_before)
        part = cut_out(proto, whole, self.layers)
        self.graph = whole.before(self.layers)
        self._scales = scales_of(proto, self.layers)
        self._dtype: type
        try:
            self._session, self._dtype = network.runner(self.layers) or start_session(bytes(part))
        except SpmError:
            raise
        except Exception as error:  # onnxruntime's errors have no root of their own
            raise SpmError(f"onnxruntime cannot open the network: {error}") from error
        self._known: dict[tuple[int, int], list[Map] | str] = {}
        _tell_measured(whole, self.layers)

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

    def run(self, prepared: np.ndarray) -> list[tuple[np.ndarray, Map]]:
        """Run the network.

        Parameters
        ----------
        prepared : ndarray of shape (1, channels, height, width), float32

        Returns
        -------
        list of (ndarray of shape (channels, rows, columns), float32, Map)
            One for each layer, with the place where it lies.

        Raises
        ------
        SpmError
            If the network cannot take that size, or if values of a layer are not finite.
        """
        size = (prepared.shape[2], prepared.shape[3])
        places = self.places(size)
        if self.graph.dims == (1, 2):
            prepared = np.ascontiguousarray(prepared.transpose(0, 2, 3, 1))  # (1, height, width, channels)
        try:
            maps = self._session.run(self.layers, {self.graph.image: prepared.astype(self._dtype, copy=False)})
        except Exception as error:  # onnxruntime's errors have no root of their own
            raise SpmError(
                f"the network cannot see {size[1]} x {size[0]} pixels, what runs it says: {error}"
            ) from error
        return [self._laid_out(*given) for given in zip(self.layers, maps, places, strict=True)]

    def _laid_out(self, name: str, values: np.ndarray, place: Map) -> tuple[np.ndarray, Map]:
        """Return a layer's values as (channels, rows, columns), and where it lies, as long as it really is."""
        if not np.isfinite(values).all():
            half = np.float16 in (values.dtype, self._dtype)
            hint = "half precision ends at 65504: export the network in float32" if half else "is preprocess right?"
            raise SpmError(f"layer {name!r} of the network has values that are not finite; {hint}")
        values = values[0].astype(np.float32, copy=False)
        if name in self._scales:
            scale, zero = self._scales[name]
            values = (values - zero) * scale
        if place.tokens:
            values = values if place.dims[0] == 2 else values.T  # (channels, tokens)
            rows, columns = place.down.length, place.across.length
            end = place.before + rows * columns
            if values.shape[1] < end:
                raise SpmError(
                    f"layer {name!r} has {values.shape[1]} tokens, not {place.before} and {rows} x {columns}: give an "
                    "image of the size that the network was made for"
                )
            values = values[:, place.before : end].reshape(-1, rows, columns)
            return np.ascontiguousarray(values), place
        if place.dims == (1, 2):
            values = np.ascontiguousarray(values.transpose(2, 0, 1))
        down, across = (axis.cut_into(length) for axis, length in zip(place[:2], values.shape[1:], strict=True))
        return values, place._replace(down=down, across=across)


def _tell_measured(graph: Graph, names: Sequence[str]) -> None:
    """Say of which layers the geometry was measured."""
    found = graph.trace(graph.size)
    measured = [name for name in names if getattr(found[name], "measured", False)]
    if measured:
        without = replace(graph, seen={}).trace(graph.size)
        warnings.warn(
            f"where the cells of {', '.join(map(repr, measured))} lie in the image was measured by running the "
            f"network, as geometry alone cannot tell: {without[measured[0]]}",
            stacklevel=6,
        )


class _Sessions:
    """The networks that a process has open, the last used last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.opened: OrderedDict[Any, Session] = OrderedDict()


_by_process: dict[int, _Sessions] = {}  # by process id: a forked child opens its own


def open_network(model: Model, layers: Names, tokens_before: int | None = None) -> Session:
    """Open a network, or return it where this process has it open already. A file that has changed is opened anew."""
    names = names_of(layers)
    key = (Network.of(model).state, None if names is None else tuple(names), tokens_before)
    sessions = _by_process.setdefault(os.getpid(), _Sessions())
    with sessions.lock:
        if key not in sessions.opened:
            sessions.opened[key] = Session(model, names, tokens_before)
        sessions.opened.move_to_end(key)
        while len(sessions.opened) > KEPT:
            sessions.opened.popitem(last=False)
        return sessions.opened[key]
