"""Ranks: one process or several of torchrun's in, sums, equal states and averaged gradients among them out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed, nn

from ...errors import SpmError, check_choice


class Ranks:
    """The processes that train together: this one alone, or those of torch.distributed.

    Attributes
    ----------
    rank, world_size : int
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        several = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if several else 0
        self.world_size = distributed.get_world_size() if several else 1
        self.device = device

    def sum(self, *values: float) -> list[float]:
        """Return sums over all ranks."""
        if self.world_size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.tolist()

    def spread(self, value: Any) -> Any:
        """Return what the first rank has, in all."""
        if self.world_size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def equalise(self, *states: dict[str, torch.Tensor]) -> None:
        """Give every rank the first one's states: batch norm's means are each rank's own until then."""
        if self.world_size > 1:
            for tensor in (tensor for state in states for tensor in state.values()):
                distributed.broadcast(tensor, src=0)

    def share_gradients(self, module: nn.Module) -> nn.Module:
        """Return the module with gradients averaged over the ranks."""
        if self.world_size == 1:
            return module
        on = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=on)


@contextmanager
def together(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun has started, where it has and they are not joined yet, for as long as inside."""
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1 or "MASTER_ADDR" not in os.environ
    joined = distributed.is_available() and distributed.is_initialized()
    if alone or joined or not distributed.is_available():
        yield Ranks(device)
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(device)
        distributed.barrier()  # one that left early would cut the line of another that is still sending
    finally:
        distributed.destroy_process_group()


def device_of(name: Any) -> torch.device:
    """Return a device by name; "auto" is a GPU where there is one, of several ranks each its own.

    Raises
    ------
    SpmError
        For a device that is not there.

    Examples
    --------
    >>> device_of("cpu")
    device(type='cpu')
    """
    cuda = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if cuda else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise SpmError(f"device must be 'auto', 'cpu', 'cuda' or another of torch's, got {name!r}") from error
    if device.type == "cuda":
        if not cuda:
            raise SpmError(f"device={name!r}, but torch sees no GPU here: give device='cpu' or 'auto'")
        if device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return device


PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def precision_of(name: str, device: torch.device) -> torch.dtype | None:
    """Return the type that products are computed in, None for float32 throughout; "auto" is bfloat16 on a GPU.

    Examples
    --------
    >>> precision_of("auto", torch.device("cpu")), precision_of("bfloat16", torch.device("cpu"))
    (None, torch.bfloat16)
    """
    check_choice("precision", name, PRECISIONS)
    if name == "auto":
        return None if device.type != "cuda" else torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return None if name == "float32" else getattr(torch, name)
