"""Weights: a file of a network's parameters in, a module that has them out, or what in the file does not fit it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .._tools.public import public
from ..errors import SpmError
from .sppnet import SPPNet
from .trunks import Trunk

WRAPPED = ("state_dict", "model_state_dict", "model")
"""Under which keys checkpoints of training programs keep the parameters."""
SHOWN = 4  # names of a kind that a message lists


def read_weights(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Read a file of parameters; nothing in it is executed.

    Raises
    ------
    SpmError
        If it cannot be read, or is no file of parameters.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SpmError(f"{path}: the weights cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what is no such file, or holds code, fails in many ways
        raise SpmError(
            f"{path}: this is no file of weights alone: give one that torch.save(module.state_dict(), path) wrote"
        ) from error
    for key in WRAPPED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(map(torch.is_tensor, content.values())):
        raise SpmError(f"{path}: this holds no parameters by name: give the file of a state_dict")
    if all(name.startswith("module.") for name in content):  # of a DistributedDataParallel
        content = {name.removeprefix("module."): value for name, value in content.items()}
    return dict(content)


@public("spm.nn")
def load_weights(module: nn.Module, path: str | os.PathLike[str], *, strict: bool = True) -> nn.Module:
    """Load parameters from a file into a module; nothing in the file is executed (``weights_only=True``).

    A trunk also takes the file of the whole network that it is of, such as torchvision publishes. An `SPPNet` does too:
    the head's layers are filled from those of the file in order, the inputs of the first turned from the order of
    ``flatten``, channel before row and column, into that of the pyramid, channel last.

    Parameters
    ----------
    module : torch.nn.Module
    path : path
        What ``torch.save(module.state_dict(), path)`` writes.
    strict : bool, default=True
        Whether all must fit. Otherwise what fits is loaded, and the rest left as it is.

    Returns
    -------
    torch.nn.Module
        The module itself.

    Raises
    ------
    SpmError
        If the file cannot be read, or does not fit: what is missing, what is unexpected, what is of another shape. The
        module is then as it was. Also if nothing at all fits.

    Examples
    --------
    >>> import os, tempfile
    >>> from spm.nn import trunk
    >>> path = os.path.join(tempfile.mkdtemp(), "layer.pt")
    >>> torch.save(nn.Conv2d(3, 4, 3).state_dict(), path)
    >>> load_weights(nn.Conv2d(3, 8, 3, bias=False), path)
    Traceback (most recent call last):
    spm.SpmError: ...layer.pt does not fit: unexpected: bias; of another shape: weight (4, 3, 3, 3) in the file,
    (8, 3, 3, 3) wanted. Nothing of it can be loaded
    """
    given = read_weights(path)
    wanted = module.state_dict()
    given, beyond = _renamed(module, given, wanted)
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # older files have none
    missing = sorted(wanted.keys() - given.keys() - counters)
    unexpected = sorted(name for name in given.keys() - wanted.keys() if not _is_beyond(name, beyond))
    other = sorted(name for name in given.keys() & wanted.keys() if given[name].shape != wanted[name].shape)
    fitting = {name: given[name] for name in given.keys() & wanted.keys() - set(other)}
    if (strict and (missing or unexpected or other)) or not fitting:
        shapes = [
            f"{name} {tuple(given[name].shape)} in the file, {tuple(wanted[name].shape)} wanted" for name in other
        ]
        said = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        listed = "; ".join(f"{word}: {_some(names)}" for word, names in said.items() if names)
        hint = "strict=False loads what fits" if fitting else "Nothing of it can be loaded"
        raise SpmError(f"{os.fspath(path)} does not fit: {listed}. {hint}")
    module.load_state_dict(fitting, strict=False)
    return module


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _is_beyond(name: str, beyond: tuple[str, ...]) -> bool:
    return any(name == other or (other.endswith(".") and name.startswith(other)) for other in beyond)


def _renamed(
    module: nn.Module, given: dict[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Return parameters by the module's own names, where they have those of a whole network, and what may be over."""
    own = isinstance(module, Trunk | SPPNet) and any(name in wanted for name in given)
    if own or not isinstance(module, Trunk | SPPNet):
        return given, ()
    trunk, before = (module, "body.") if isinstance(module, Trunk) else (module.trunk, "trunk.body.")
    inside = {name: value for name, value in given.items() if before + name in wanted}
    rest = {name: value for name, value in given.items() if name not in inside}
    found = {before + name: value for name, value in inside.items()}
    if isinstance(module, SPPNet):
        aside = {name: value for name, value in rest.items() if not _is_beyond(name, _prefixes(trunk))}
        return found | _head_of(module, aside), trunk.beyond
    return found | rest, trunk.beyond


def _prefixes(trunk: Trunk) -> tuple[str, ...]:
    return tuple(name for name in trunk.beyond if name.endswith("."))


def _head_of(module: SPPNet, rest: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what of a file is left behind the trunk as the parameters of a head's layers, in order, if these fit."""
    layers = [name for name, part in module.head.named_modules() if isinstance(part, nn.Linear)]
    names = [
        name.removesuffix(".weight") for name, value in rest.items() if name.endswith(".weight") and value.ndim == 2
    ]
    if len(names) != len(layers):
        return rest
    found: dict[str, torch.Tensor] = {}
    for k, (mine, theirs) in enumerate(zip(layers, names, strict=True)):
        for kind in ("weight", "bias"):
            if f"{theirs}.{kind}" in rest:
                value = rest.pop(f"{theirs}.{kind}")
                found[f"head.{mine}.{kind}"] = channels_last(value, module) if not k and kind == "weight" else value
    return found | rest


def channels_last(weight: torch.Tensor, module: Any) -> torch.Tensor:
    """Turn the inputs of a fully connected layer from the order channel, row, column into that of `SPPNet`'s vectors.

    Parameters
    ----------
    weight : Tensor of shape (n_outputs, C * rows * columns)
    module : SPPNet
        One whose pyramid has a single level; for others there is no such order, and the weight stays as it is.

    Returns
    -------
    Tensor of the same shape
    """
    channels = module.trunk.channels
    grids = getattr(module.pool, "grids", [getattr(module.pool, "grid", None)])
    cells = weight.shape[1] // channels
    if len(grids) != 1 or grids[0][0] * grids[0][1] * channels != weight.shape[1]:
        return weight
    return weight.reshape(len(weight), channels, cells).transpose(1, 2).reshape(len(weight), -1)
