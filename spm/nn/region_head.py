"""The fully connected layers of a detector in torch: windows and their classes in, the last hidden layer out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from .._tools.options import Options
from .._tools.public import public
from ..detection.learning.head import FineTunedHead
from .training.options import OPTIONS
from .training.ranks import device_of


@public("spm.nn")
class RegionHead(FineTunedHead):
    """Fully connected layers over pooled windows, learned with dropout, the convolutions frozen (He 2014, section 4.2).

    `spm.detection.FineTunedHead` as networks are trained today, for a detector's ``head``: AdamW, a cosine of rates,
    dropout before every layer, without which a few hundred photographs are learned by heart, and classes drawn by the
    square roots of their numbers of windows.

    Parameters
    ----------
    hidden : sequence of int, default=(512,)
        Widths of the layers.
    n_steps : int, default=2500
        Batches.
    batch_size : int, default=128
    foreground : float, default=0.25
        Share of objects in a batch.
    learning_rate : float, default=3e-4
        Of the first batch; it falls to 0 along a cosine.
    decay : float, default=0.01
    dropout : float, default=0.5
        Share of each hidden layer's values that a batch does without.
    input_dropout : float, default=0.2
        The same of the pooled values.
    device : str, default="auto"
        A GPU where there is one.
    verbose : bool, default=False
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_, layers_, scale_
        As of `spm.detection.FineTunedHead`.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.nn import RegionHead
    >>> random = np.random.RandomState(0)
    >>> X, y = random.rand(60, 8), np.repeat([-1, 0, 1], 20)
    >>> RegionHead(hidden=(5,), n_steps=10, device="cpu", random_state=0).fit(X, y).transform(X).shape
    (60, 5)
    """

    _options: ClassVar[Options] = {
        **{name: check for name, check in FineTunedHead._options.items() if name != "momentum"},
        "dropout": OPTIONS["dropout"],
        "input_dropout": OPTIONS["dropout"],
        "device": OPTIONS["device"],
    }

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (512,),
        n_steps: int = 2500,
        batch_size: int = 128,
        foreground: float = 0.25,
        learning_rate: float = 3e-4,
        decay: float = 0.01,
        dropout: float = 0.5,
        input_dropout: float = 0.2,
        device: str = "auto",
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.foreground = foreground
        self.learning_rate = learning_rate
        self.decay = decay
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def _odds(self, classes: np.ndarray) -> np.ndarray:
        odds = 1 / np.sqrt(np.bincount(classes)[classes])
        return odds / odds.sum()

    def _learn(
        self, batches: Iterator[tuple[np.ndarray, np.ndarray]], n_values: int, seed: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        device = device_of(self.device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            layers: list[nn.Module] = [nn.Dropout(self.input_dropout)]
            for before, width in pairwise([n_values, *self.hidden]):
                layers += [nn.Linear(before, width), nn.ReLU(), nn.Dropout(self.dropout)]
            network = nn.Sequential(*layers, nn.Linear(self.hidden[-1], len(self.classes_))).to(device).train()
            options: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.decay}
            optimizer = torch.optim.AdamW(network.parameters(), fused=True, **options)  # one pass over all weights
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.n_steps)
            for vectors, own in batches:
                targets = torch.from_numpy(np.searchsorted(self.classes_, own)).to(device)
                loss = nn.functional.cross_entropy(network(torch.from_numpy(vectors).to(device)), targets)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
        learned = [layer for layer in network if isinstance(layer, nn.Linear)]
        return [(own.weight.detach().cpu().numpy().T.copy(), own.bias.detach().cpu().numpy()) for own in learned]
