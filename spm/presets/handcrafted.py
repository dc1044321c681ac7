"""The decade after 2006: names of papers in, scikit-learn Pipelines of their handcrafted encodings out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, signature
from typing import Any

from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

from ..classifiers.svm import KernelSVC
from ..encoders.bag_of_words import BagOfWords
from ..encoders.fisher import FisherVector
from ..encoders.fixed import FixedVocabulary
from ..encoders.llc import LLC
from ..encoders.sparse_coding import SparseCoding
from ..encoders.vlad import VLAD
from ..features.census import CensusTransform
from ..features.dense_sift import DenseSIFT
from ..features.mirrored import Mirrored
from ..kernels.sums import KernelSum
from ..pyramid.pyramid import SpatialPyramid
from ..vectorizer import PyramidVectorizer

Levels = Sequence[int | tuple[int, int]]

SHARED: dict[str, Any] = {
    "probability": False,
    "memory": None,
    "n_jobs": None,
    "verbose": False,
    "random_state": None,
}
"""Options of every preset: as `lazebnik2006` and `PyramidVectorizer` have them."""


def _with_shared_options(preset: Callable[..., Pipeline]) -> Callable[..., Pipeline]:
    """Write the options that all presets share out in a preset's signature."""
    own = [p for p in signature(preset).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    shared = [Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in SHARED.items()]
    whole = signature(preset).replace(parameters=[*own, *shared])

    @wraps(preset)
    def checked(**options: Any) -> Pipeline:
        whole.bind(**options)  # refuses unknown names
        return preset(**options)

    checked.__signature__ = whole  # type: ignore[attr-defined]
    return checked


def _vectorizer(shared: dict[str, Any], **parts: Any) -> PyramidVectorizer:
    return PyramidVectorizer(**parts, **{name: value for name, value in shared.items() if name != "probability"})


def _classifier(shared: dict[str, Any], **options: Any) -> KernelSVC:
    used = {name: shared[name] for name in ("probability", "n_jobs", "random_state") if name in shared}
    return KernelSVC(**options, **used)


def _pipeline(vectorizer: Any, classifier: KernelSVC) -> Pipeline:
    return Pipeline([("vectorizer", vectorizer), ("classifier", classifier)])


@_with_shared_options
def phow2008(*, n_words: int = 600, levels: Levels = (2, 4), C: float = 10.0, **shared: Any) -> Pipeline:
    """Return VLFeat's phow_caltech101: multi-scale dense SIFT, 600 words, 2x2 and 4x4 cells, the chi-squared kernel.

    From VLFeat's application of that name, after Bosch, Zisserman and Munoz 2007: cells of 4, 6, 8 and 10 pixels every
    3, smoothed by a sixth of a cell, low contrast set to zero; l1 norm; C = 10. It has a map of degree 1 of the
    chi-squared kernel where this has the kernel itself, and a flat window.

    Parameters
    ----------
    n_words : int, default=600
    levels : sequence, default=(2, 4)
    C : float, default=10.0
        What a training error costs.
    probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> spm.presets.phow2008()[0].features.patch_size
    (16, 24, 32, 40)
    """
    features = DenseSIFT(
        patch_size=(16, 24, 32, 40), step=3, smoothing=1 / 6, window="flat", contrast_threshold=0.005, dtype="uint8"
    )
    pyramid = SpatialPyramid(levels=levels, pool="sum", weights=None)
    vectorizer = _vectorizer(shared, features=features, encoder=BagOfWords(n_words=n_words), pyramid=pyramid, norm="l1")
    return _pipeline(vectorizer, _classifier(shared, kernel="chi2", C=C))


@_with_shared_options
def scspm2009(
    *, n_words: int = 1024, alpha: float = 0.15, levels: Levels = (1, 2, 4), C: float = 10.0, **shared: Any
) -> Pipeline:
    """Return ScSPM, sparse codes over a pyramid, as in Yang, Yu, Gong and Huang 2009: a linear SVM is enough.

    From the paper (sections 3 and 5): SIFT of 16 pixels every 8, 1024 words learned from 50,000 descriptors, the
    maximum of the codes' absolute values in 1x1, 2x2 and 4x4 cells, a linear SVM; from the authors' program: alpha, and
    the l2 norm.

    Parameters
    ----------
    n_words : int, default=1024
    alpha : float, default=0.15
        What a unit of a weight costs, as for `SparseCoding`.
    levels : sequence, default=(1, 2, 4)
    C : float, default=10.0
        What a training error costs.
    probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> spm.presets.scspm2009()[0].encoder
    SparseCoding()
    """
    pyramid = SpatialPyramid(levels=levels, pool="max", weights=None)
    features, encoder = DenseSIFT(patch_size=16, step=8), SparseCoding(n_words=n_words, alpha=alpha)
    vectorizer = _vectorizer(shared, features=features, encoder=encoder, pyramid=pyramid, norm="l2")
    return _pipeline(vectorizer, _classifier(shared, kernel="linear", C=C))


@_with_shared_options
def llc2010(*, n_words: int = 1024, levels: Levels = (1, 2, 4), C: float = 10.0, **shared: Any) -> Pipeline:
    """Return locality-constrained linear coding as in Wang et al. 2010: max-pooled codes and a linear SVM.

    From the paper (section 5): the 5 nearest words, 1x1, 2x2 and 4x4 cells, max pooling, l2 norm. It has HOG patches of
    16, 25 and 31 pixels every 8 and 1024 or 2048 words; here SIFT of 16, 24 and 32 pixels every 6, and 1024.

    Parameters
    ----------
    n_words : int, default=1024
    levels : sequence, default=(1, 2, 4)
    C : float, default=10.0
        What a training error costs.
    probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> spm.presets.llc2010()[0].encoder
    LLC()
    """
    pyramid = SpatialPyramid(levels=levels, pool="max", weights=None)
    features = DenseSIFT(patch_size=(16, 24, 32), step=6)
    vectorizer = _vectorizer(shared, features=features, encoder=LLC(n_words=n_words), pyramid=pyramid, norm="l2")
    return _pipeline(vectorizer, _classifier(shared, kernel="linear", C=C))


ROOT_SIFT: dict[str, Any] = {"patch_size": (16, 24, 32, 44), "step": 4, "root": True}


@_with_shared_options
def vlad2010(*, n_words: int = 64, levels: Levels = (1, 2, (3, 1)), C: float = 10.0, **shared: Any) -> Pipeline:
    """Return VLAD as in Jegou et al. 2010, normalised as in Arandjelovic and Zisserman 2013, over a pyramid.

    From the papers: 64 words, each word's differences brought to length 1, l2 norm; RootSIFT and PCA. The dense
    sampling and the cells are those of `fisher2010`.

    Parameters
    ----------
    n_words : int, default=64
    levels : sequence, default=(1, 2, (3, 1))
    C : float, default=10.0
        What a training error costs.
    probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> spm.presets.vlad2010()[0].encoder
    VLAD()
    """
    pyramid = SpatialPyramid(levels=levels, pool="sum", weights=None)
    features, encoder = DenseSIFT(**ROOT_SIFT), VLAD(n_words=n_words)
    vectorizer = _vectorizer(
        shared, features=features, reduce=PCA(64), encoder=encoder, pyramid=pyramid, norm=("power", "l2")
    )
    return _pipeline(vectorizer, _classifier(shared, kernel="linear", C=C))


@_with_shared_options
def fisher2010(*, n_words: int = 256, levels: Levels = (1, 2, (3, 1)), C: float = 10.0, **shared: Any) -> Pipeline:
    """Return the improved Fisher vector of Perronnin, Sanchez and Mensink 2010 over a pyramid.

    From the paper (sections 3 and 4): descriptors reduced to 64 by PCA, 256 Gaussians, gradients of means and
    variances, 1x1, 2x2 and 3x1 cells, power and l2 norms, a linear SVM. Of Chatfield et al. 2011 and later work:
    RootSIFT, dense, here cells of 4, 6, 8 and 11 pixels every 4.

    Parameters
    ----------
    n_words : int, default=256
    levels : sequence, default=(1, 2, (3, 1))
    C : float, default=10.0
        What a training error costs.
    probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> spm.presets.fisher2010()[0].encoder
    FisherVector(n_words=256)
    """
    return _pipeline(_fisher(n_words, levels, shared), _classifier(shared, kernel="linear", C=C))


def _fisher(n_words: int, levels: Levels, shared: dict[str, Any]) -> PyramidVectorizer:
    pyramid = SpatialPyramid(levels=levels, pool="sum", weights=None)
    features, encoder = DenseSIFT(**ROOT_SIFT), FisherVector(n_words=n_words)
    return _vectorizer(
        shared, features=features, reduce=PCA(64), encoder=encoder, pyramid=pyramid, norm=("power", "l2")
    )


@_with_shared_options
def best_handcrafted(
    *,
    n_words: int = 256,
    levels: Levels | None = None,
    weights: Sequence[float] = (1.0, 0.25, 0.25),
    C: float = 10.0,
    **shared: Any,
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
    probability, memory, n_jobs, verbose, random_state
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
    pyramid = SpatialPyramid(levels=(1, 2, 4) if levels is None else levels, pool="sum", weights="lazebnik")
    dense, codes = Mirrored(DenseSIFT(patch_size=16, step=4)), Mirrored(CensusTransform())
    words = _vectorizer(shared, features=dense, encoder=BagOfWords(n_words=1000), pyramid=pyramid)
    census = _vectorizer(shared, features=codes, encoder=FixedVocabulary(n_words=256), pyramid=pyramid)
    fisher = _fisher(n_words, (1, 2, (3, 1)) if levels is None else levels, shared)
    fisher.set_params(features=Mirrored(fisher.features))
    vectorizer = KernelSum(
        [("fisher", fisher), ("words", words), ("census", census)],
        kernels=["linear", "intersection", "intersection"],
        weights=list(weights),
        n_jobs=shared.get("n_jobs"),
    )
    return _pipeline(vectorizer, _classifier(shared, kernel="precomputed", C=C))
