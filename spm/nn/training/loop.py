"""Training: a network and batches in, the network trained and what each epoch brought out; it can be taken up again."""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..._tools.files import write_whole
from ..._tools.parallel import progress_bar
from ...errors import SpmError
from .ranks import Ranks

FORMAT = 1
RATES = ("cosine", "step", "constant")
OPTIMIZERS = ("adamw", "sgd")

State = dict[str, torch.Tensor]
Measured = tuple[float, float]
"""The loss and the accuracy on validation images."""


class Feed(Protocol):
    """What gives a rank its batches."""

    def n_steps(self, epoch: int) -> int:
        """Return the steps of an epoch."""

    def size(self, epoch: int) -> int | None:
        """Return the size that images have in an epoch."""

    def batches(self, epoch: int) -> Iterator[tuple[np.ndarray, tuple[torch.Tensor, ...], int]]:
        """Yield positions, what the network takes of them, and how many all ranks have in this step."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `SPPNetClassifier` says what each means."""

    epochs: int
    lr: float
    trunk_lr: float
    rate: str
    optimizer: str
    momentum: float
    weight_decay: float
    label_smoothing: float
    class_weights: np.ndarray | None
    average: float | None
    patience: int | None
    precision: torch.dtype | None
    seed: int


def rate_at(name: str, done: float) -> float:
    """Return the share of the learning rate when a share of the training is done.

    ``"step"`` is a tenth after each third (the authors' fine-tuning: 1e-3, 1e-4, 1e-5 for 30,000 steps each).

    Examples
    --------
    >>> [round(rate_at("cosine", done), 3) for done in (0, 0.5, 1)], [rate_at("step", done) for done in (0, 0.4)]
    ([1.0, 0.5, 0.0], [1.0, 0.1])
    """
    if name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 0.1 ** min(int(3 * done), 2) if name == "step" else 1.0


def seeded(*parts: int) -> None:
    """Seed torch's own generators, which draw weights and dropout; who calls has forked them."""
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1))


@contextmanager
def own_generators(device: torch.device) -> Iterator[None]:
    """Leave torch's global generators as they were found."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def norms_of(module: nn.Module) -> list[Any]:
    """Return the batch norms of a module."""
    return [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


@contextmanager
def norms_that_bear_one_value(module: nn.Module) -> Iterator[None]:
    """Let batch norms use what they have learned where a batch has one value a channel, of which nothing is estimated.

    So is a batch of one image whose map is 1 x 1, at which torch raises.
    """

    def before(norm: Any, inputs: Any) -> None:
        norm.was_training = norm.training
        if norm.training and inputs[0].numel() == inputs[0].shape[1]:
            norm.training = False

    def after(norm: Any, inputs: Any, output: Any) -> None:
        norm.training = norm.was_training

    hooks, norms = [], norms_of(module)
    for norm in norms:
        hooks += [norm.register_forward_pre_hook(before), norm.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for norm in norms:
            vars(norm).pop("was_training", None)


class Average:
    """Weights averaged over steps, an exponential mean that begins as a plain one."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state: State = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def take(self, module: nn.Module, step: int) -> None:
        """Take in the weights after a step."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, share)
            else:
                self.state[name].copy_(value)


@dataclass
class Run:
    """All that a training is at between two epochs: what a checkpoint holds."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: Average | None
    epoch: int = 0
    step: int = 0
    best: State | None = None
    best_loss: float = math.inf
    waited: int = 0
    stopped: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_bytes(self, key: dict[str, str]) -> bytes:
        """Return the content of a checkpoint."""
        plain = ("epoch", "step", "best", "best_loss", "waited", "stopped", "history")
        content = {
            "format": FORMAT,
            "key": key,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average and self.average.state,
            **{name: getattr(self, name) for name in plain},
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    def take_up(self, content: dict[str, Any], device: torch.device) -> None:
        """Go on from where a checkpoint was."""
        self.module.load_state_dict(content["module"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        if self.average is not None:
            self.average.state = {name: value.to(device) for name, value in content["average"].items()}
        for name in ("epoch", "step", "best", "best_loss", "waited", "stopped", "history"):
            setattr(self, name, content[name])


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return what a checkpoint holds, on the CPU, nothing of it executed; None where there is no file.

    Raises
    ------
    SpmError
        If the file is no checkpoint of this version.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SpmError(f"{path}: the checkpoint cannot be read ({error.strerror})") from error
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        assert content["format"] == FORMAT and isinstance(content["key"], dict)
    except Exception as error:  # a damaged archive fails in many ways
        raise SpmError(f"{path}: this is no checkpoint of spm's training, or it is damaged: delete it") from error
    return content


def check_key(path: Any, found: dict[str, str], wanted: dict[str, str]) -> None:
    """Refuse a checkpoint of another run, and say what differs."""
    differ = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if differ:
        raise SpmError(
            f"{path}: this checkpoint is of another run, which differs in {', '.join(differ)}: give another path, or "
            "delete it to begin anew"
        )


def optimizer_of(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer: the trunk at its own rate, biases and norms without decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            rate = recipe.trunk_lr if name.startswith("trunk.") else recipe.lr
            groups.setdefault((rate, recipe.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    given = [{"params": own, "lr": lr, "weight_decay": decay, "rate": lr} for (lr, decay), own in groups.items()]
    fused = all(weights.device.type in ("cpu", "cuda") for weights in module.parameters())  # one pass over all weights
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(given, lr=recipe.lr, momentum=recipe.momentum, fused=fused)
    return torch.optim.AdamW(given, lr=recipe.lr, betas=(recipe.momentum, 0.999), fused=fused)


def train(
    module: nn.Module,
    learned: nn.Module,
    feed: Feed,
    labels: np.ndarray,
    recipe: Recipe,
    *,
    ranks: Ranks,
    validate: Callable[[nn.Module], Measured] | None = None,
    checkpoint: Any = None,
    key: dict[str, str] | None = None,
    at_rest: Sequence[nn.Module] = (),
    verbose: bool = False,
) -> list[dict[str, Any]]:
    """Train a network in place.

    Parameters
    ----------
    module : Module
        The whole network; parameters that do not learn have no gradient.
    learned : Module
        The part of it that takes what `feed` yields.
    feed : Feed
    labels : ndarray of shape (n,), int64
    recipe : Recipe
    ranks : Ranks
    validate : callable, optional
        Takes the network and returns loss and accuracy, on all ranks.
    checkpoint : path, optional
        Written whole after every epoch; where it is there and of the same `key`, training goes on from it.
    key : dict of str
        All that the run depends on.
    at_rest : sequence of Module
        Parts that stay as they are in a test: norms that keep their statistics.
    verbose : bool

    Returns
    -------
    list of dict
        Of each epoch what it brought.

    Raises
    ------
    SpmError
        For a checkpoint of another run, or a loss that is not finite.
    """
    average = None if recipe.average is None else Average(module, recipe.average)
    scaler = torch.amp.GradScaler(ranks.device.type, enabled=recipe.precision == torch.float16)
    run = Run(module, optimizer_of(module, recipe), scaler, average)
    content = ranks.spread(read_checkpoint(checkpoint) if checkpoint is not None and ranks.rank == 0 else None)
    if content is not None:
        check_key(checkpoint, content["key"], key or {})
        run.take_up(content, ranks.device)
    targets = torch.from_numpy(labels).to(ranks.device)
    shared = ranks.share_gradients(learned)
    total = sum(feed.n_steps(epoch) for epoch in range(recipe.epochs))
    with ExitStack() as stack:
        stack.enter_context(norms_that_bear_one_value(learned))
        bar = progress_bar("training", total=total, unit="batch", verbose=verbose and ranks.rank == 0)
        stack.enter_context(bar)
        bar.update(run.step)
        while run.epoch < recipe.epochs and not run.stopped:
            seeded(recipe.seed, run.epoch, ranks.rank, 3)
            learned.train()
            for part in at_rest:
                part.eval()
            _epoch(run, shared, feed, targets, recipe, ranks, bar)
            ranks.equalise(module.state_dict(), average.state if average is not None else {})
            _look(run, recipe, validate, bar)
            if checkpoint is not None and ranks.rank == 0:
                write_whole(checkpoint, run.to_bytes(key or {}), "the checkpoint")
    if run.best is not None and recipe.patience is not None:
        module.load_state_dict(run.best)
    elif average is not None:
        module.load_state_dict(average.state)
    return run.history


def _epoch(
    run: Run,
    shared: nn.Module,
    feed: Feed,
    targets: torch.Tensor,
    recipe: Recipe,
    ranks: Ranks,
    bar: Any,
) -> None:
    """Train for one epoch, and note what it brought."""
    start, n_steps = time.perf_counter(), feed.n_steps(run.epoch)
    sums = torch.zeros(2, dtype=torch.float64, device=ranks.device)
    for step, (at, inputs, n_all) in enumerate(feed.batches(run.epoch)):
        for group in run.optimizer.param_groups:
            group["lr"] = group["rate"] * rate_at(recipe.rate, (run.epoch + step / n_steps) / recipe.epochs)
        where = targets[torch.from_numpy(at).to(targets.device)]
        sums += _step(run, shared, inputs, where, recipe, ranks.world_size / n_all)
        run.step += 1
        if run.average is not None:
            run.average.take(run.module, run.step)
        if not bar.disable and step % 10 == 0:
            loss, right = (sums / max((step + 1) * len(at), 1)).tolist()
            bar.set_postfix(epoch=run.epoch + 1, size=feed.size(run.epoch), loss=f"{loss:.3f}", right=f"{right:.3f}")
        bar.update()
    loss, right = (total / len(targets) for total in ranks.sum(*sums.tolist()))
    if not math.isfinite(loss):
        raise SpmError(f"the loss is {loss} in epoch {run.epoch + 1}: lower lr (it is {recipe.lr:g}), or trunk_lr")
    found = {"epoch": run.epoch, "size": feed.size(run.epoch), "lr": run.optimizer.param_groups[-1]["lr"]}
    run.history.append(found | {"loss": loss, "accuracy": right, "seconds": time.perf_counter() - start})
    run.epoch += 1


def _step(
    run: Run, shared: nn.Module, inputs: Any, targets: torch.Tensor, recipe: Recipe, share: float
) -> torch.Tensor:
    """Make one step; return the sum of losses and the count of images that were right.

    Ranks' gradients are averaged: each counts by its images, so that the sum is the mean over all images of the step.
    """
    kind, weights = targets.device.type, None
    if recipe.class_weights is not None:
        weights = torch.from_numpy(recipe.class_weights).to(targets.device)
    mixed = nullcontext() if recipe.precision is None else torch.autocast(kind, dtype=recipe.precision)
    with mixed:
        scores = shared(*inputs)
    loss = F.cross_entropy(
        scores.float(), targets, weight=weights, label_smoothing=recipe.label_smoothing, reduction="sum"
    )
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(loss * share).backward()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    right = (scores.detach().argmax(1) == targets).sum()
    return torch.stack([loss.detach().double(), right.double()])


def _look(run: Run, recipe: Recipe, validate: Callable[[nn.Module], Measured] | None, bar: Any) -> None:
    """Validate, with the averaged weights where there are, and see whether to stop."""
    if validate is None:
        return
    own = {name: value.clone() for name, value in run.module.state_dict().items()} if run.average else None
    if run.average is not None:
        run.module.load_state_dict(run.average.state)
    loss, right = validate(run.module)
    run.history[-1].update(validation_loss=loss, validation_accuracy=right)
    bar.set_postfix(epoch=run.epoch, validation_loss=f"{loss:.3f}", validation_right=f"{right:.3f}")
    if recipe.patience is not None:
        run.waited += 1
        if loss < run.best_loss:
            run.best_loss, run.waited = loss, 0
            run.best = {name: value.detach().cpu().clone() for name, value in run.module.state_dict().items()}
        run.stopped = run.waited >= recipe.patience
    if own is not None:
        run.module.load_state_dict(own)
