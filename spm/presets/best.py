"""The best of handcrafted features together: options in, a scikit-learn Pipeline over a sum of kernels out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from .._tools.public import public
from ..encoders.bag_of_words import BagOfWords
from ..encoders.fisher import FisherVector
from ..encoders.fixed import FixedVocabulary
from ..features.census import CensusTransform
from ..features.dense_sift import DenseSIFT
from ..features.mirrored import Mirrored
from ..kernels.sums import KernelSum
from ..pyramid.pyramid import SpatialPyramid
from ._shared import Levels, Shared
from .handcrafted import gradients_of_words


@public("spm.presets")
def best_handcrafted(
    *,
    n_words: int = 256,
    levels: Levels | None = None,
    weights: Sequence[float] = (1.0, 0.25, 0.25),
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return the sum of three kernels: Fisher vectors, a pyramid of 1,000 words and a pyramid of census codes.

    Each road sees every image and its mirror image, which brings more than the sum does. That and the weights were
    chosen by cross-validation inside 15-Scene's fixed training set (benchmarks/best_handcrafted_choices.py).

    Parameters
    ----------
    n_words : int, default=256
        Gaussians of the Fisher vectors.
    levels : sequence, optional
        The pyramid of all three; by default that of `fisher2010`, and 1x1, 2x2 and 4x4 for the others.
    weights : sequence of float, default=(1.0, 0.25, 0.25)
        What each kernel counts.
    C : float, default=10.0
        What a training error costs.
    max_side, probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` (a `KernelSum` of ``fisher``, ``words`` and ``census``) and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> [name for name, _ in spm.presets.best_handcrafted()[0].vectorizers]
    ['fisher', 'words', 'census']
    """
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    pyramid = SpatialPyramid(levels=(1, 2, 4) if levels is None else levels, pool="sum", weights="lazebnik")
    dense = Mirrored(DenseSIFT(patch_size=16, step=4, max_side=max_side))
    codes = Mirrored(CensusTransform(max_side=max_side))
    words = shared.vectorizer(features=dense, encoder=BagOfWords(n_words=1000), pyramid=pyramid)
    census = shared.vectorizer(features=codes, encoder=FixedVocabulary(n_words=256), pyramid=pyramid)
    own = (1, 2, (3, 1)) if levels is None else levels
    fisher = gradients_of_words(FisherVector(n_words=n_words), own, max_side, shared)
    fisher.set_params(features=Mirrored(fisher.features))
    vectorizer = KernelSum(
        [("fisher", fisher), ("words", words), ("census", census)],
        kernels=["linear", "intersection", "intersection"],
        weights=list(weights),
        n_jobs=n_jobs,
    )
    return shared.pipeline(vectorizer, kernel="precomputed", C=C)
