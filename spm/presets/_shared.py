"""What all presets have in common: the options that every one takes in, their vectorizer, classifier and Pipeline out.

A preset is written in one way: its own options and the shared ones in its signature, where `help` and type checkers see
them; the shared ones go into `Shared` at once, and this makes what takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.pipeline import Pipeline

from ..classifiers.svm import KernelSVC
from ..kernels.sums import KernelSum
from ..vectorizer import PyramidVectorizer

Levels = Sequence[int | tuple[int, int]]


@dataclass(frozen=True)
class Shared:
    """The options of every preset, in the order of their signatures; `lazebnik2006` says what they mean."""

    probability: bool
    memory: Any
    n_jobs: int | None
    verbose: bool
    random_state: Any

    def vectorizer(self, **parts: Any) -> PyramidVectorizer:
        """Return a vectorizer of these parts."""
        return PyramidVectorizer(
            **parts, memory=self.memory, n_jobs=self.n_jobs, verbose=self.verbose, random_state=self.random_state
        )

    def pipeline(self, vectorizer: PyramidVectorizer | KernelSum, *, kernel: str, C: float) -> Pipeline:
        """Return the vectorizer with a classifier behind it."""
        classifier = KernelSVC(
            kernel=kernel, C=C, probability=self.probability, n_jobs=self.n_jobs, random_state=self.random_state
        )
        return Pipeline([("vectorizer", vectorizer), ("classifier", classifier)])
