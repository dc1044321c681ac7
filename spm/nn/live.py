"""A torch module in memory in, a network whose maps `FeatureMap` takes out: it is run by torch, where it lies."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import nn

from .._tools.public import public
from ..errors import SpmError, need
from ..networks.file import Network
from .export import channels_in, to_onnx

SIDES = (224, 256, 299, 384, 512, 192, 128, 96, 64, 32)
"""Of the image by which the modules are listed: the first that the network takes."""


PLAIN = "spm_map_"  # how tensors are called while they are exported


@public("spm.nn")
class LiveNetwork(Network):
    """A torch module as a network: `FeatureMap` makes one of every module that it is given.

    The module is never touched: what runs is a copy of its structure that shares its weights, in evaluation and without
    gradients, so that threads may share it. When weights are trained or replaced, what is computed next is by the new
    ones; `spm.networks.cut` and `spm.save` keep an ONNX export of them as they are.

    Parameters
    ----------
    module : torch.nn.Module
        Takes images of shape (N, channels, H, W).
    device : str or torch.device, optional
        Where to run a copy of it; by default it runs where its weights lie.

    Notes
    -----
    Layers are the names of its ``named_modules()``: what such a module returns, as it returns it. Of one that is called
    several times the last call counts. Where the cells of a layer lie is computed from the operators of an ONNX export.

    Raises
    ------
    SpmError
        If this is no module, or it is compiled by TorchScript.

    Examples
    --------
    >>> import spm
    >>> module = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2))
    >>> features = spm.FeatureMap(module, layers=["1", "2"], size=64)
    >>> features.model
    <live Sequential of 1,392 weights>
    >>> [local.grid for local in features.views(np.zeros((64, 96, 3), np.uint8))[0]]
    [(31, 47), (15, 23)]
    """

    module: nn.Module
    device: torch.device | None
    _kept: list[tuple[Any, str]]

    def __init__(self, module: nn.Module, *, device: str | torch.device | None = None) -> None:
        module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
        if not isinstance(module, nn.Module) or isinstance(module, torch.jit.ScriptModule):
            raise SpmError(f"model must be a torch.nn.Module that is not scripted, got {type(module).__name__}")
        try:
            place = None if device is None else torch.device(device)
        except RuntimeError as error:
            raise SpmError(f"device={device!r} is none that torch knows: give one such as 'cpu' or 'cuda'") from error
        self.__setstate__({"module": module, "device": place})

    def __getstate__(self) -> dict[str, Any]:
        return {"module": self.module, "device": self.device}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, path=None, _content=None, _kept=[])

    def __repr__(self) -> str:
        weights = sum(tensor.numel() for tensor in self.module.parameters())
        return f"<live {type(self.module).__name__} of {weights:,} weights>"

    def _tensors(self) -> Iterator[torch.Tensor]:
        yield from self.module.parameters()
        yield from self.module.buffers()

    @property
    def state(self) -> Any:
        """What tells the weights from others at little cost: where each lies, and how often it was changed."""
        return id(self.module), str(self.device), *((tensor.data_ptr(), _version(tensor)) for tensor in self._tensors())

    @property
    def digest(self) -> str:
        """A digest of the structure, the weights, the kind of device and torch's version."""
        state = self.state
        for known, digest in self._kept[-1:]:
            if known == state:
                return digest
        device = self.device or next((tensor.device for tensor in self._tensors()), torch.device("cpu"))
        content = blake2b(f"{torch.__version__} {device.type} {self.module!r}".encode(), digest_size=20)
        for name, tensor in self.module.state_dict().items():
            content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            content.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        self._kept[:] = [(state, content.hexdigest())]
        return content.hexdigest()

    def __bytes__(self) -> bytes:
        """The ONNX export of all modules' maps, in single precision."""
        plain = all(tensor.device.type == "cpu" for tensor in self._tensors())
        plain = plain and all(tensor.dtype == torch.float32 for tensor in self.module.parameters())
        tapped = _Tapped(_shadow(self.module) if plain else _copied(self.module).cpu().float())
        side = tapped.look()
        names = {f"{PLAIN}{k}": name for k, name in enumerate(tapped.calls)}
        return _renamed(to_onnx(_Listed(tapped), list(names), size=(side, side)), names)

    def runner(self, layers: Sequence[str]) -> tuple[_Runner, type]:
        """Return what runs the module up to some layers, and the type of numbers that it takes."""
        shadow = _shadow(self.module) if self.device is None else _copied(self.module).to(self.device)
        return _Runner(self, _Tapped(shadow), layers), np.float32


def _renamed(content: bytes, names: dict[str, str]) -> bytes:
    """Give tensors of an ONNX file other names; the exporter takes none such as "0"."""
    proto = need("exports of networks", "onnx", "onnx").load_model_from_string(content)
    for node in proto.graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(name, name) for name in tensors]
    for value in (*proto.graph.output, *proto.graph.value_info):
        value.name = names.get(value.name, value.name)
    return bytes(proto.SerializeToString())


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _copied(module: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    try:
        return copy.deepcopy(module, memo).eval()
    except Exception as error:  # what holds locks, files or results of computations cannot be copied
        raise SpmError(f"the module cannot be copied ({error}): export it to ONNX, and give the file") from error


def _shadow(module: nn.Module) -> nn.Module:
    """Return a copy of a module's structure, with its very tensors, in evaluation."""
    return _copied(module, {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())})


class _DoneError(BaseException):
    """All layers have been seen: what follows need not be computed."""


class _Tapped:
    """A module that tells what its inner modules return, to each thread what it has run."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.calls: dict[str, int] = {}
        self._local = threading.local()
        for name, part in module.named_modules():
            if name:
                part.register_forward_hook(functools.partial(self._tell, name))

    def _tell(self, name: str, part: nn.Module, given: Any, output: Any) -> None:
        see = getattr(self._local, "see", None)
        if see is not None and isinstance(output, torch.Tensor) and output.ndim in (3, 4):
            see(name, output)

    def run(self, image: torch.Tensor, see: Callable[[str, torch.Tensor], None]) -> None:
        """Run the module, telling `see` the name and the maps of every call; it may raise `_DoneError`."""
        self._local.see = see
        try:
            with torch.no_grad():
                self.module(image)
        except _DoneError:
            pass
        finally:
            self._local.see = None

    def look(self) -> int:
        """Count the calls of every module; return the side of the image that showed them.

        Raises
        ------
        SpmError
            If the module takes no image of any of the sides that are tried.
        """
        tensor = next(self.module.parameters(), torch.zeros(()))
        failure: Exception | None = None
        for side in SIDES:
            self.calls.clear()
            image = torch.zeros(1, channels_in(self.module), side, side, dtype=tensor.dtype, device=tensor.device)
            try:
                self.run(image, lambda name, maps: self.calls.update({name: self.calls.get(name, 0) + 1}))
                return side
            except Exception as error:  # a module fails in its own way
                failure = failure or error
        raise SpmError(
            f"the module does not take an image of shape {(1, channels_in(self.module), 224, 224)}: {failure}"
        )


class _Listed(nn.Module):
    """A module whose outputs are those of all its inner modules: what is exported."""

    def __init__(self, tapped: _Tapped) -> None:
        super().__init__()
        self.inner = tapped.module
        self.tapped = tapped

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return all maps; copies, as what follows may work in place."""
        found: dict[str, torch.Tensor] = {}
        self.tapped.run(image, lambda name, maps: found.update({name: maps.clone()}))
        return tuple(found[name] for name in self.tapped.calls)


class _Runner:
    """Runs a module as a session of onnxruntime would: layers and an image in, maps out. Threads may share it."""

    def __init__(self, network: LiveNetwork, tapped: _Tapped, layers: Sequence[str]) -> None:
        self.network = network  # so that its weights stay where they are, as `state` tells them by their places
        self.tapped = tapped
        self.tapped.look()
        for layer in layers:
            if layer not in tapped.calls:
                listed = ", ".join(repr(name) for name in list(tapped.calls)[-4:])
                raise SpmError(
                    f"layer {layer!r} is no module of the network that makes maps: give one such as {listed}"
                )
        self.calls = {layer: tapped.calls[layer] for layer in layers}

    def run(self, layers: Sequence[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Return the layers' maps for one image, the one value of `feed`."""
        found: dict[str, torch.Tensor] = {}
        left = dict(self.calls)

        def see(name: str, maps: torch.Tensor) -> None:
            if left.get(name):
                left[name] -= 1
                found[name] = maps.clone()  # what follows may work in place
                if not any(left.values()):
                    raise _DoneError

        tensor = next(self.tapped.module.parameters(), torch.zeros(()))
        (image,) = feed.values()
        self.tapped.run(torch.from_numpy(np.ascontiguousarray(image)).to(tensor.device, tensor.dtype), see)
        return [found[name].float().cpu().numpy() for name in layers]
