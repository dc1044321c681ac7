"""Fine-tuned layers: pooled vectors of windows with their classes in, vectors of the last hidden layer out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.neural_network import MLPClassifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..._tools.estimators import learns
from ..._tools.options import Options, check_options, each, number, progress, seed, whole
from ..._tools.parallel import progress_bar
from ..._tools.public import public
from ...errors import SpmError
from .rows import RowsOnDisk

BLOCK = 64  # rows


def behind(head: Any, vectors: np.ndarray) -> np.ndarray:
    """Return vectors as they leave a head, or as they are where that is None."""
    return vectors if head is None or not len(vectors) else head.transform(vectors)


@public("spm.detection")
class FineTunedHead(TransformerMixin, BaseEstimator):
    """Fully connected layers trained on windows of objects and of background, the convolutions frozen.

    He 2014, section 4.2, and ``spp_finetune_voc.m`` of SPP_net: batches of 128 of which a quarter are objects,
    stochastic gradient descent with momentum. `transform` gives the last hidden layer, on which machines are learned
    as they are on pooled vectors; with ``machines=False`` `predict_proba` scores by itself. It runs in scikit-learn's
    `MLPClassifier`, which has no dropout.

    Parameters
    ----------
    hidden : sequence of int, default=(4096, 4096)
        Widths of the layers.
    n_steps : int, default=3000
        Batches. The authors take 90,000 with ImageNet's weights to begin with, a third at each rate.
    batch_size : int, default=128
    foreground : float, default=0.25
        Share of objects in a batch.
    learning_rate : float, default=0.001
        Of the first third; a tenth of it in the second, a hundredth in the last.
    momentum : float, default=0.9
    decay : float, default=0.0005
    verbose : bool, default=False
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_ : ndarray
        The numbers of the classes, -1 for background first.
    layers_ : list of (weights, bias)
        The last of them gives the classes' logits.
    scale_ : float
        What vectors were multiplied by, so that their values had unit variance; `layers_` take them as they are.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.RandomState(0)
    >>> X, y = random.rand(60, 8), np.repeat([-1, 0, 1], 20)
    >>> X[y == 1] += 1
    >>> FineTunedHead(hidden=(5,), n_steps=10, random_state=0).fit(X, y).transform(X).shape
    (60, 5)
    """

    _options: ClassVar[Options] = {
        "hidden": each(whole(least=1), "(4096, 4096)"),
        "n_steps": whole(least=1),
        "batch_size": whole(least=1),
        "foreground": number(above=0),
        "learning_rate": number(above=0),
        "momentum": number(least=0),
        "decay": number(least=0),
        "verbose": progress,
        "random_state": seed,
    }

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (4096, 4096),
        n_steps: int = 3000,
        batch_size: int = 128,
        foreground: float = 0.25,
        learning_rate: float = 0.001,
        momentum: float = 0.9,
        decay: float = 0.0005,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.foreground = foreground
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.decay = decay
        self.verbose = verbose
        self.random_state = random_state

    @learns
    def fit(self, X: Any, y: Any) -> FineTunedHead:
        """Learn from vectors (n, D), float32 or float16, and classes (n,), -1 for background.

        Raises
        ------
        SpmError
            For an option that is not valid, or where there is no object or no background.
        """
        check_options(self)
        if isinstance(X, RowsOnDisk):
            self.n_features_in_ = X.shape[1]
        else:
            X, y = validate_data(self, X, y, dtype=[np.float32, np.float16])
        objects, background = np.flatnonzero(y >= 0), np.flatnonzero(y < 0)
        if not len(objects) or not len(background):
            counts = f"{len(objects)} and {len(background)}"
            raise SpmError(f"a head needs windows of objects and of background, got {counts}")
        random = check_random_state(self.random_state)
        self.scale_ = float(1 / max(_spread(X), 1e-12))
        drawn = self._draw(objects, background, self._odds(y[objects]), random)
        batches = ((X[rows].astype(np.float32) * np.float32(self.scale_), y[rows]) for rows in drawn)
        self.classes_ = np.unique(y)
        (first, bias), *others = self._learn(batches, X.shape[1], random.randint(2**31 - 1))
        self.layers_ = [(first * np.float32(self.scale_), bias), *others]
        return self

    def _odds(self, classes: np.ndarray) -> np.ndarray | None:
        """Return how likely each object is drawn; None where all are alike."""
        return None

    def _draw(
        self, objects: np.ndarray, background: np.ndarray, odds: np.ndarray | None, random: Any
    ) -> Iterator[np.ndarray]:
        """Yield the rows of one batch after the other."""
        n_objects = min(max(round(self.foreground * self.batch_size), 1), self.batch_size)
        random = np.random.RandomState(random.randint(2**31 - 1))
        with progress_bar("head", total=self.n_steps, unit="batch", verbose=self.verbose) as bar:
            for _ in range(self.n_steps):
                others = random.choice(background, self.batch_size - n_objects)
                yield np.concatenate([random.choice(objects, n_objects, p=odds), others])
                bar.update()

    def _learn(
        self, batches: Iterator[tuple[np.ndarray, np.ndarray]], n_values: int, seed: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Learn from batches of vectors and classes; return the weights and the biases of the layers."""
        network = MLPClassifier(
            tuple(self.hidden),
            solver="sgd",
            alpha=self.decay,
            momentum=self.momentum,
            batch_size=self.batch_size,
            learning_rate_init=self.learning_rate,
            random_state=seed,
        )
        for step, (vectors, own) in enumerate(batches):
            network.learning_rate_init = self.learning_rate * 0.1 ** (3 * step // self.n_steps)
            if step:
                network._optimizer.learning_rate = network.learning_rate_init
                network._optimizer.learning_rate_init = network.learning_rate_init
            network.partial_fit(vectors, own, classes=self.classes_)
        layers = list(zip(network.coefs_, network.intercepts_, strict=True))
        if len(self.classes_) == 2:  # scikit-learn has one output then
            weights, bias = (np.concatenate([part * 0, part], axis=-1) for part in layers[-1])
            layers[-1] = weights, bias
        return layers

    def transform(self, X: Any) -> np.ndarray:
        """Return the last hidden layer's values: shape (n, hidden[-1]), float32."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        for weights, bias in self.layers_[:-1]:
            X = np.maximum(X @ weights + bias, 0)
        return X

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of `classes_`: shape (n, n_classes), float32."""
        hidden = self.transform(X)
        return softmax(hidden @ self.layers_[-1][0] + self.layers_[-1][1], axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the units' names."""
        return np.array([f"unit{i}" for i in range(self.hidden[-1])], dtype=object)


def _spread(X: np.ndarray) -> float:
    """Return the standard deviation of the values of some blocks of rows, which may be many, in a file."""
    blocks = [X[i : i + BLOCK].astype(np.float64) for i in range(0, len(X), BLOCK * max(len(X) // (8 * BLOCK), 1))]
    return float(np.concatenate(blocks).std())
