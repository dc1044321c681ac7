"""A network's file, or its content, in; a frozen value that knows all it depends on, and its ONNX graph, out."""

from __future__ import annotations

import functools
import importlib
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from .._tools.files import read_at_most
from .._tools.public import public
from ..errors import MissingDependencyError, SpmError
from ..errors import need as _need
from .training import leave_training

if TYPE_CHECKING:
    import onnx

HINT = "give the path or the content of an .onnx file"
MOST = 2**31  # bytes of a file: protobuf reads no more
MOST_TAKEN_IN = 2**31 - 1  # bytes of all weights: an ONNX network in memory has no more
TICK = 20_000_000  # nanoseconds within which a file system may give two writes of a file the same time

LIVE = {"torch": "spm.nn.live"}
"""What makes networks of models in memory, by the package of a class that they are of; imported when one comes."""

FileState = tuple[str, int, int, int, int]
"""What tells a file from what it was before: its path, two times, size and inode, links followed."""


need = functools.partial(_need, "feature maps of networks", "onnxruntime onnx")


@public("spm.networks")
class Network:
    """A network as a value: the path of an ONNX file, or its content. It cannot be changed, and copies are itself.

    Networks are equal when all that their results depend on is: the file, and the weights that it keeps in others.

    Parameters
    ----------
    model : path or bytes
        An ONNX file, or its content. A path is read when it is needed, and again when the file has changed.

    Attributes
    ----------
    path : str or None
        None for content.
    digest : str
        Of the content of the file and of every file that holds weights of it; so two paths may have one. It is made
        anew when one of these files has changed.

    Examples
    --------
    >>> from spm.networks import Network
    >>> network = Network(b"what an .onnx file has")
    >>> network, bytes(network)
    (<network of 22 bytes>, b'what an .onnx file has')
    >>> Network("net.onnx")
    Network('net.onnx')
    """

    path: str | None
    _content: np.ndarray | None  # an array: files of models hold one and the same array once

    def __init__(self, model: str | os.PathLike[str] | bytes) -> None:
        if isinstance(model, bytes | bytearray | memoryview):
            self.__setstate__({"path": None, "content": np.frombuffer(bytes(model), dtype=np.uint8)})
        elif isinstance(model, str | os.PathLike):
            self.__setstate__({"path": os.fsdecode(model), "content": None})
        else:
            raise SpmError(f"model must be the path or the content (bytes) of an ONNX file, got {model!r:.80}")

    @classmethod
    def of(cls, model: Model) -> Network:
        """Return the network of a path, content or module, or itself. Equal contents in use are one object."""
        if isinstance(model, Network):
            return model
        home = home_of(model)
        if home is not None:
            live: Network = importlib.import_module(home).LiveNetwork(model)
            return live
        network = cls(model)
        if network.path is not None:
            return network
        digest = network.digest
        with _lock:
            return _in_use.setdefault(digest, network)

    @property
    def digest(self) -> str:
        """A digest of all that the network's results depend on."""
        state = self.state
        try:
            return state if isinstance(state, str) else _digest(state)
        except OSError as error:
            raise _unreadable(str(self.path), error) from error

    @functools.cached_property
    def _digest_of_content(self) -> str:
        assert self._content is not None
        return blake2b(self._content.data, digest_size=20).hexdigest()

    @property
    def state(self) -> str | tuple[FileState, ...]:
        """What tells the network from others at little cost: a digest of content, or the state of each file."""
        if self.path is None:
            return self._digest_of_content
        try:
            file = _file_state(self.path)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        try:
            return file, *(_file_state(path) for path in _beside(file))
        except OSError as error:
            raise _damaged(self.path, error) from error

    @property
    def files(self) -> list[str]:
        """The paths of the file and of those that hold weights of it; of content none."""
        return [] if self.path is None else [state[0] for state in self.state if not isinstance(state, str)]

    def runner(self, layers: Sequence[str]) -> Any:
        """Return what runs the network in its own way, and the type of numbers that it takes; None for onnxruntime."""
        return None

    def __bytes__(self) -> bytes:
        if self._content is not None:
            return self._content.tobytes()
        assert self.path is not None
        try:
            _check_regular(self.path, os.stat(self.path))
            return read_at_most(self.path, MOST)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def __repr__(self) -> str:
        return f"Network({self.path!r})" if self._content is None else f"<network of {len(self._content):,} bytes>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        if self is other or (self.path is not None and self.path == other.path):
            return True
        try:
            return self.digest == other.digest
        except SpmError:  # a file that is not there
            return False

    def __hash__(self) -> int:
        return hash(self.digest)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a network cannot be changed: make another for another {name}")

    __delattr__ = functools.partialmethod(__setattr__, value=None)

    def __copy__(self) -> Network:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "content": self._content}

    def __setstate__(self, state: dict[str, Any]) -> None:
        path, content = state["path"], state["content"]
        if content is not None and content.flags.writeable:  # of a pickle, or mapped from a file by a pool of workers
            content = np.frombuffer(content.tobytes(), dtype=np.uint8)
        self.__dict__.update(path=path, _content=content)


Model = str | os.PathLike[str] | bytes | Network  # or a model in memory: see LIVE


def home_of(model: Any) -> str | None:
    """Return the name of what makes a network of a model in memory; None for anything else."""
    packages = (kind.__module__.partition(".")[0] for kind in type(model).__mro__)
    return next((LIVE[package] for package in packages if package in LIVE), None)


_in_use: WeakValueDictionary[str, Network] = WeakValueDictionary()  # contents, by digest
_lock = threading.Lock()


def _unreadable(path: str, error: OSError) -> SpmError:
    return SpmError(f"{path}: the network cannot be read ({error.strerror}): {HINT}")


def _check_regular(path: str, status: os.stat_result) -> None:
    """Refuse a pipe or a device, which might never end, before it is opened."""
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise SpmError(f"{path}: the network cannot be read: this is a pipe or a device, no regular file")


def _file_state(path: str) -> FileState:
    status = os.stat(path)
    _check_regular(path, status)
    if 0 <= time.time_ns() - status.st_mtime_ns < TICK:  # what is written next shall have another time
        time.sleep(TICK / 1e9)
        status = os.stat(path)
    return os.path.abspath(path), status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


@functools.lru_cache(maxsize=64)
def _digest(files: tuple[FileState, ...]) -> str:
    digest = blake2b(digest_size=20)
    for path, *_ in files:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@functools.lru_cache(maxsize=64)
def _beside(file: FileState) -> tuple[str, ...]:
    """Return the paths of the files that hold weights of an ONNX file; none if it cannot be read as one."""
    try:
        proto = need("onnx").load_model_from_string(read_at_most(file[0], MOST))
    except MissingDependencyError:
        raise
    except Exception:  # protobuf's own error class moves from version to version
        return ()
    return tuple(sorted({_place(file[0], _external(tensor)["location"]) for tensor in _tensors_elsewhere(proto)}))


def _place(path: str, location: str) -> str:
    """Return where a file with weights lies: beside the ONNX file, or beside what that is a link to.

    A link may lead from the one folder to the other, as in the caches of model hubs, and nowhere else.
    """
    if os.path.isabs(location) or ".." in Path(location).parts or "\0" in location:
        raise SpmError(f"{path}: the network keeps weights in {location!r}, which is not beside it: export it again")
    beside = os.path.join(os.path.dirname(path), location)
    behind = os.path.join(os.path.dirname(os.path.realpath(path)), location)
    place = behind if not os.path.exists(beside) and os.path.exists(behind) else beside
    folders = (os.path.realpath(os.path.dirname(path)), os.path.dirname(os.path.realpath(path)))
    if not any(Path(os.path.realpath(place)).is_relative_to(folder) for folder in folders):
        raise SpmError(f"{path}: the network keeps weights in {location!r}, a link that leads elsewhere: copy the file")
    if os.path.exists(place):
        _check_regular(place, os.stat(place))
    return place


def _external(tensor: onnx.TensorProto) -> dict[str, str]:
    return {"location": "", **{item.key: item.value for item in tensor.external_data}}


def _tensors_elsewhere(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Find the tensors whose values lie in other files: weights and constants, of inner graphs and functions too."""
    external = need("onnx").TensorProto.EXTERNAL
    todo: list[Any] = [proto.graph, *proto.functions]
    while todo:
        graph = todo.pop()
        attributes = [attribute for node in graph.node for attribute in node.attribute]
        todo += [inner for item in attributes for inner in (*([item.g] * item.HasField("g")), *item.graphs)]
        tensors = [*getattr(graph, "initializer", ()), *(item.t for item in attributes if item.HasField("t"))]
        tensors += [tensor for item in attributes for tensor in item.tensors]
        yield from (tensor for tensor in tensors if tensor.data_location == external)


def read_network(model: Model) -> onnx.ModelProto:
    """Read an ONNX file, weights beside it included, and infer the shapes of its tensors.

    Raises
    ------
    SpmError
        If the file cannot be read or is no ONNX file, or if the content is given of a file whose weights lie in
        another.
    """
    onnx, network = need("onnx"), Network.of(model)
    name, data = network.path or "the network", bytes(network)
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own error class moves from version to version
        raise SpmError(f"{name}: this is no ONNX file: {HINT}") from error
    if not proto.graph.node:
        raise SpmError(f"{name}: this is no ONNX file, or a network without operators: {HINT}")
    _take_in(proto, network.path)
    leave_training(proto)
    try:
        if proto.functions:
            proto = need("onnx.inliner").inline_local_functions(proto)
        return need("onnx.shape_inference").infer_shapes(proto, data_prop=True)
    except MissingDependencyError:
        raise
    except Exception as error:
        raise _damaged(name, error) from error


def _damaged(name: str, reason: object) -> SpmError:
    return SpmError(f"{name}: the network is damaged or incomplete ({reason}): get or export it again")


def _take_in(proto: onnx.ModelProto, path: str | None) -> None:
    """Read the values that lie in other files into a network.

    DESIGN: onnx's own reader refuses links, symbolic or hard, which the caches of model hubs are made of.
    """
    tensors = list(_tensors_elsewhere(proto))
    if tensors and path is None:
        raise SpmError("the network keeps its weights in another file: give its path instead of its content")
    total = 0
    for tensor in tensors:
        assert path is not None
        told = _external(tensor)
        try:
            with open(_place(path, told["location"]), "rb") as file:
                file.seek(int(told.get("offset", 0)))
                data = file.read(int(told["length"])) if "length" in told else file.read()
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error
        if len(data) < int(told.get("length", 0)):
            raise _damaged(path, f"{told['location']} is too short")
        total += len(data)
        if total > MOST_TAKEN_IN:  # what a network can have, and less than one file named by each of many tensors
            raise _damaged(path, f"its weights have more than {MOST_TAKEN_IN:,} bytes")
        tensor.raw_data = data
        tensor.data_location = need("onnx").TensorProto.DEFAULT
        del tensor.external_data[:]
