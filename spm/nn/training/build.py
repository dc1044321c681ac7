"""Networks of an estimator: what it was made of and arrays in, the torch module out, and back."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ...errors import SpmError, check_choice
from ...networks.file import Network
from ..export import to_onnx
from ..sppnet import SPPNet, plain_net, spp_net
from ..trunks import Trunk, trunk
from ..trunks.architectures import ARCHITECTURES
from ..trunks.cutting import cut_module
from ..weights import load_weights
from .loop import norms_that_bear_one_value

LENGTH = 20.0  # what the authors' programs bring the mean length of features to (spm_train.m)
POOLS = ("max", "mean", "sum", "plain")
NORMS = ("l2",)


class UnitLength(nn.Module):
    """Vectors brought to one length, so that one learning rate suits every trunk and pyramid."""

    def __init__(self, length: float = LENGTH) -> None:
        super().__init__()
        self.length = length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return vectors of that length; one of zeros stays so."""
        return self.length * F.normalize(x, dim=1)


def origin_of(given: Any) -> Any:
    """Return what a trunk was given as, such that it can be kept: a name, a module or a network's content."""
    if isinstance(given, nn.Module):
        return given
    if isinstance(given, str) and (given in ARCHITECTURES or not (os.path.splitext(given)[1] or os.path.exists(given))):
        return check_choice("trunk", given, ARCHITECTURES)
    return Network.of(bytes(Network.of(given)))


def digest_of(origin: Any) -> str:
    """Return what a trunk depends on, in one line."""
    if isinstance(origin, nn.Module):
        import joblib

        state = {name: value.detach().cpu().numpy() for name, value in origin.state_dict().items()}
        return f"{type(origin).__name__} {joblib.hash(state)}"
    return origin if isinstance(origin, str) else origin.digest


def build(
    origin: Any,
    *,
    n_classes: int,
    levels: Sequence[Any],
    pool: str,
    norm: str | None,
    head: Sequence[int],
    dropout: float,
    size: int,
    blank: bool = False,
) -> SPPNet:
    """Return the network, with weights as the trunk has them and a random head.

    Parameters
    ----------
    origin : str, Module or Network
        The trunk's; a module is copied.
    levels, pool, norm, head, dropout
        As `SPPNetClassifier` takes them.
    n_classes : int
    size : int
        Of the images that a head without pyramid takes.
    blank : bool
        Whether the weights do not matter, so that a package that brings them is not needed.
    """
    if blank and isinstance(origin, str):
        architecture = ARCHITECTURES[origin]
        body = Trunk(cut_module(architecture.make(), architecture.cut))
    else:
        body = trunk(copy.deepcopy(origin) if isinstance(origin, nn.Module) else origin)
    common: dict[str, Any] = {"n_classes": n_classes, "head": tuple(head), "dropout": dropout}
    if pool == "plain":
        network = plain_net(body, size=size, **common)
    else:
        network = spp_net(body, levels=tuple(levels), pool=pool, **common)
    if norm is not None:
        network.head = nn.Sequential(UnitLength(), *network.head)
    return network


def load_trunk(network: SPPNet, path: Any) -> None:
    """Load a trunk's weights from a file that holds them, or the whole network's."""
    if path is not None:
        load_weights(network.trunk, path)


def to_arrays(network: nn.Module) -> dict[str, np.ndarray]:
    """Return a network's state as arrays.

    Examples
    --------
    >>> sorted(to_arrays(nn.Linear(2, 1)))
    ['bias', 'weight']
    """
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


def from_arrays(network: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Give a network the state that `to_arrays` returned.

    Raises
    ------
    SpmError
        If it is that of another network.
    """
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
    except (RuntimeError, TypeError) as error:
        raise SpmError(f"the network's arrays do not fit it: {error}") from error


def as_file(network: SPPNet) -> tuple[Network, dict[str, np.ndarray]]:
    """Return a network's trunk as the content of an ONNX file, and all its state by the names it has with that trunk.

    So a trunk that was given as a module can be kept without its code.
    """
    content = Network.of(to_onnx(network.trunk.body))
    other = SPPNet(trunk(content), network.pool, network.head)
    return content, to_arrays(other)


@torch.no_grad()
def estimate_norms(network: nn.Module, norms: list[Any], batches: Any) -> None:
    """Estimate means and variances of batch norms anew, over batches of any sizes, each cell counting alike.

    What is tested at another size than it was trained at has other statistics (Touvron et al. 2019, "Fixing the
    train-test resolution discrepancy", who adapt norms to the test size). Each of them uses its batch's own meanwhile.

    Parameters
    ----------
    network : Module
    norms : list of BatchNorm
        Of the network, those that estimated theirs in training; what has learned with given ones needs these.
    batches : iterable of Tensor
        Images.
    """
    sums: dict[nn.Module, list[torch.Tensor]] = {}

    def count(norm: Any, inputs: Any) -> None:
        x = inputs[0].double()
        over = [k for k in range(x.ndim) if k != 1]
        n = torch.tensor(float(x.numel() // x.shape[1]), device=x.device)
        found = [n, x.sum(over), (x * x).sum(over)]
        sums[norm] = found if norm not in sums else [a + b for a, b in zip(sums[norm], found, strict=True)]

    hooks = [norm.register_forward_pre_hook(count) for norm in norms]
    network.eval()
    for norm in norms:
        norm.training = True
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0  # they stay as they are until all is counted
        with norms_that_bear_one_value(network):
            for images in batches:
                network(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for hook in hooks:
            hook.remove()
        network.eval()
    for norm in sums:
        n, total, squares = sums[norm]
        mean = total / n
        norm.running_mean.copy_(mean)  # type: ignore[operator]
        norm.running_var.copy_((squares / n - mean * mean).clamp_min(0))  # type: ignore[operator]
