"""The pool of examples: vectors with the classes that they are for or against in, a machine for each class out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._tools.parallel import in_threads
from .svm import learn_machines

BLOCK = 256  # examples whose decision values are made at once


class Pool:
    """Examples of all classes, each vector held once.

    Parameters
    ----------
    n_features, n_classes : int
    size : int
        Examples at most.
    C : float
        What an error costs.
    positive_weight : float
        What an error on an example of the class costs, over C.
    bias : float
        The value appended to every vector; its weight is regularised like the others.
    random : RandomState
    n_jobs : int or None

    Attributes
    ----------
    coef : ndarray of shape (n_classes, n_features), float32
    intercept : ndarray of shape (n_classes,), float32
        The machines last learned.
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        size: int,
        *,
        C: float,
        positive_weight: float,
        bias: float,
        random: Any,
        n_jobs: int | None,
    ) -> None:
        self.size, self.bias, self.random, self.n_jobs = size, bias, random, n_jobs
        self.costs = {1: C * positive_weight, -1: C}
        self._room = np.empty((0, n_features), dtype=np.float32)
        self.signs = np.empty((0, n_classes), dtype=np.int8)
        self.alphas = np.empty((0, n_classes))
        self.n_new = np.zeros(n_classes, dtype=np.int64)  # examples that came since the machines were learned
        self.coef = np.zeros((n_classes, n_features), dtype=np.float32)
        self.intercept = np.zeros(n_classes, dtype=np.float32)

    def __len__(self) -> int:
        return len(self.signs)

    @property
    def vectors(self) -> np.ndarray:
        """Those of the examples: shape (n, n_features), float32."""
        return self._room[: len(self)]

    def add(self, vectors: np.ndarray, signs: np.ndarray) -> None:
        """Take in examples: vectors (m, n_features), and for each class 1, -1 or 0 (m, n_classes)."""
        n = len(self)
        if n + len(vectors) > len(self._room):
            room = np.empty((max(n + len(vectors), min(2 * n, self.size)), vectors.shape[1]), dtype=np.float32)
            room[:n] = self.vectors
            self._room = room
        self._room[n : n + len(vectors)] = vectors
        self.signs = np.concatenate([self.signs, signs.astype(np.int8)])
        self.alphas = np.concatenate([self.alphas, np.zeros(signs.shape)])
        self.n_new += (signs != 0).sum(axis=0)

    def also(self, rows: np.ndarray, signs: np.ndarray) -> None:
        """Let examples that are there count for more classes: signs of shape (len(rows), n_classes), 0 to leave."""
        self.signs[rows] = np.where(signs != 0, signs, self.signs[rows])
        self.n_new += (signs != 0).sum(axis=0)

    def learn(self) -> None:
        """Learn the machines of all classes; one that has no example of its own never fires."""
        costs = np.where(self.signs > 0, self.costs[1], self.costs[-1])
        made = learn_machines(self.vectors, self.signs, costs, self.bias, self.alphas, self.random, n_jobs=self.n_jobs)
        self.coef, self.intercept = made
        self.intercept[~(self.signs > 0).any(axis=0)] = -np.inf
        self.n_new[:] = 0

    def evict(self, below: float, most: int) -> None:
        """Forget examples against a class that its machine gives less than a bound, and those that none needs.

        Where more than `most` are left, the easiest go as well: none of those is one that the machines rest on, as
        long as others are left.
        """
        values = self._values()
        easy = (self.signs < 0) & (values < below)
        self.signs[easy] = 0
        self.alphas[easy] = 0
        hardness = np.where(self.signs < 0, values, -np.inf).max(axis=1)
        hardness[(self.signs > 0).any(axis=1)] = np.inf
        kept = (self.signs != 0).any(axis=1)
        kept[np.argsort(-hardness, kind="stable")[most:]] = False
        self._keep(kept | (self.signs > 0).any(axis=1))

    def _values(self) -> np.ndarray:
        """Return the decision values of all examples, the same for every number of threads."""
        starts = range(0, len(self), BLOCK)
        parts = in_threads(lambda i: self.vectors[i : i + BLOCK] @ self.coef.T, starts, n_jobs=self.n_jobs)
        return np.concatenate(parts) + self.intercept

    def _keep(self, rows: np.ndarray) -> None:
        """Keep the examples of a mask; their vectors move in place, since they may fill most of the memory."""
        if not rows.all():
            for new, old in enumerate(np.flatnonzero(rows)):
                if new != old:
                    self._room[new] = self._room[old]
            self.signs, self.alphas = self.signs[rows], self.alphas[rows]

    def state(self) -> dict[str, np.ndarray]:
        """Return all that another pool needs to go on from here."""
        names = ("vectors", "signs", "alphas", "n_new", "coef", "intercept")
        drawn = np.array(self.random.get_state(legacy=False)["state"]["key"]), self.random.get_state()[2]
        return {**{name: getattr(self, name) for name in names}, "key": drawn[0], "at": np.array(drawn[1])}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from where another pool was."""
        for name, value in state.items():
            if name not in ("key", "at"):
                setattr(self, "_room" if name == "vectors" else name, value)
        self.random.set_state(("MT19937", state["key"], int(state["at"])))
