"""The words of handcrafted features: names of papers in, scikit-learn Pipelines with the papers' values out."""

from __future__ import annotations

from typing import Any

from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

from .._tools.public import public
from ..encoders.bag_of_words import BagOfWords
from ..encoders.fisher import FisherVector
from ..encoders.llc import LLC
from ..encoders.sparse_coding import SparseCoding
from ..encoders.vlad import VLAD
from ..features.dense_sift import DenseSIFT
from ..pyramid.pyramid import SpatialPyramid
from ..vectorizer import PyramidVectorizer
from ._shared import Levels, Shared

PHOW: dict[str, Any] = {"patch_size": (16, 24, 32, 40), "step": 3, "smoothing": 1 / 6, "window": "flat"}
PHOW |= {"contrast_threshold": 0.005, "dtype": "uint8"}
ROOT_SIFT: dict[str, Any] = {"patch_size": (16, 24, 32, 44), "step": 4, "root": True}


@public("spm.presets")
def lazebnik2006(
    *,
    n_words: int = 200,
    levels: Levels = (1, 2, 4),
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return spatial pyramid matching as in Lazebnik, Schmid and Ponce 2006.

    From the paper (sections 3 to 5): grey images; SIFT of 16 x 16 patches every 8 pixels; a vocabulary of 200 words by
    k-means on a random subset of patches; histograms over 1x1, 2x2 and 4x4 cells, divided by the image's number of
    features, with level weights 1/4, 1/4, 1/2; the intersection kernel; one SVM a class against the rest. What the
    paper leaves open was chosen by splits inside training sets of 15-Scene (benchmarks/lazebnik2006_choices.py):
    SIFT's own Gaussian window and normalisation, no smoothing, 50,000 descriptors and one start of k-means, C = 10.

    Parameters
    ----------
    n_words : int, default=200
        The paper's "strong features" have 200 or 400.
    levels : sequence, default=(1, 2, 4)
        ``(1,)`` is the bag of words; ``(4,)`` the finest level alone.
    max_side : int, optional
        Images whose longer side has more pixels are first shrunk to so many, as `DenseSIFT` has it: photographs of
        megapixels want some 500, patches being 16 pixels.
    C : float, default=10.0
        What a training error costs.
    probability : bool, default=False
        Whether the model learns `predict_proba`.
    memory, n_jobs, verbose, random_state
        As `PyramidVectorizer` takes them.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> spm.presets.lazebnik2006(n_words=400).named_steps["vectorizer"].encoder
    BagOfWords(n_words=400)
    """
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    vectorizer = shared.vectorizer(
        features=DenseSIFT(patch_size=16, step=8, max_side=max_side),
        encoder=BagOfWords(n_words=n_words),
        pyramid=SpatialPyramid(levels=levels, pool="sum", weights="lazebnik"),
        norm="l1",
    )
    return shared.pipeline(vectorizer, kernel="intersection", C=C)


@public("spm.presets")
def phow2008(
    *,
    n_words: int = 600,
    levels: Levels = (2, 4),
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return VLFeat's phow_caltech101: multi-scale dense SIFT, 600 words, 2x2 and 4x4 cells, the chi-squared kernel.

    From VLFeat's application of that name, after Bosch, Zisserman and Munoz 2007: cells of 4, 6, 8 and 10 pixels every
    3, smoothed by a sixth of a cell, low contrast set to zero; l1 norm; C = 10. It has a map of degree 1 of the
    chi-squared kernel where this has the kernel itself, and a flat window.

    Parameters
    ----------
    n_words : int, default=600
        Visual words in the vocabulary.
    levels : sequence, default=(2, 4)
        The grids of the pyramid: n for n x n cells, or (rows, columns).
    C : float, default=10.0
        What a training error costs.
    max_side, probability, memory, n_jobs, verbose, random_state
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
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    vectorizer = shared.vectorizer(
        features=DenseSIFT(**PHOW, max_side=max_side),
        encoder=BagOfWords(n_words=n_words),
        pyramid=SpatialPyramid(levels=levels, pool="sum", weights=None),
        norm="l1",
    )
    return shared.pipeline(vectorizer, kernel="chi2", C=C)


@public("spm.presets")
def scspm2009(
    *,
    n_words: int = 1024,
    alpha: float = 0.15,
    levels: Levels = (1, 2, 4),
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return ScSPM, sparse codes over a pyramid, as in Yang, Yu, Gong and Huang 2009: a linear SVM is enough.

    From the paper (sections 3 and 5): SIFT of 16 pixels every 8, 1024 words learned from 50,000 descriptors, the
    maximum of the codes' absolute values in 1x1, 2x2 and 4x4 cells, a linear SVM; from the authors' program: alpha, and
    the l2 norm.

    Parameters
    ----------
    n_words : int, default=1024
        Visual words in the vocabulary.
    alpha : float, default=0.15
        What a unit of a weight costs, as for `SparseCoding`.
    levels : sequence, default=(1, 2, 4)
        The grids of the pyramid: n for n x n cells, or (rows, columns).
    C : float, default=10.0
        What a training error costs.
    max_side, probability, memory, n_jobs, verbose, random_state
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
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    vectorizer = shared.vectorizer(
        features=DenseSIFT(patch_size=16, step=8, max_side=max_side),
        encoder=SparseCoding(n_words=n_words, alpha=alpha),
        pyramid=SpatialPyramid(levels=levels, pool="max", weights=None),
        norm="l2",
    )
    return shared.pipeline(vectorizer, kernel="linear", C=C)


@public("spm.presets")
def llc2010(
    *,
    n_words: int = 1024,
    levels: Levels = (1, 2, 4),
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return locality-constrained linear coding as in Wang et al. 2010: max-pooled codes and a linear SVM.

    From the paper (section 5): the 5 nearest words, 1x1, 2x2 and 4x4 cells, max pooling, l2 norm. It has HOG patches of
    16, 25 and 31 pixels every 8 and 1024 or 2048 words; here SIFT of 16, 24 and 32 pixels every 6, and 1024.

    Parameters
    ----------
    n_words : int, default=1024
        Visual words in the vocabulary.
    levels : sequence, default=(1, 2, 4)
        The grids of the pyramid: n for n x n cells, or (rows, columns).
    C : float, default=10.0
        What a training error costs.
    max_side, probability, memory, n_jobs, verbose, random_state
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
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    vectorizer = shared.vectorizer(
        features=DenseSIFT(patch_size=(16, 24, 32), step=6, max_side=max_side),
        encoder=LLC(n_words=n_words),
        pyramid=SpatialPyramid(levels=levels, pool="max", weights=None),
        norm="l2",
    )
    return shared.pipeline(vectorizer, kernel="linear", C=C)


@public("spm.presets")
def vlad2010(
    *,
    n_words: int = 64,
    levels: Levels = (1, 2, (3, 1)),
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return VLAD as in Jegou et al. 2010, normalised as in Arandjelovic and Zisserman 2013, over a pyramid.

    From the papers: 64 words, each word's differences brought to length 1, l2 norm; RootSIFT and PCA. The dense
    sampling and the cells are those of `fisher2010`.

    Parameters
    ----------
    n_words : int, default=64
        Visual words in the vocabulary.
    levels : sequence, default=(1, 2, (3, 1))
        The grids of the pyramid: n for n x n cells, or (rows, columns).
    C : float, default=10.0
        What a training error costs.
    max_side, probability, memory, n_jobs, verbose, random_state
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
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    vectorizer = gradients_of_words(VLAD(n_words=n_words), levels, max_side, shared)
    return shared.pipeline(vectorizer, kernel="linear", C=C)


@public("spm.presets")
def fisher2010(
    *,
    n_words: int = 256,
    levels: Levels = (1, 2, (3, 1)),
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return the improved Fisher vector of Perronnin, Sanchez and Mensink 2010 over a pyramid.

    From the paper (sections 3 and 4): descriptors reduced to 64 by PCA, 256 Gaussians, gradients of means and
    variances, 1x1, 2x2 and 3x1 cells, power and l2 norms, a linear SVM. Of Chatfield et al. 2011 and later work:
    RootSIFT, dense, here cells of 4, 6, 8 and 11 pixels every 4.

    Parameters
    ----------
    n_words : int, default=256
        Gaussians of the mixture.
    levels : sequence, default=(1, 2, (3, 1))
        The grids of the pyramid: n for n x n cells, or (rows, columns).
    C : float, default=10.0
        What a training error costs.
    max_side, probability, memory, n_jobs, verbose, random_state
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
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    vectorizer = gradients_of_words(FisherVector(n_words=n_words), levels, max_side, shared)
    return shared.pipeline(vectorizer, kernel="linear", C=C)


def gradients_of_words(
    encoder: VLAD | FisherVector, levels: Levels, max_side: int | None, shared: Shared
) -> PyramidVectorizer:
    """Return what both encoders of differences to words have around them."""
    return shared.vectorizer(
        features=DenseSIFT(**ROOT_SIFT, max_side=max_side),
        reduce=PCA(64),
        encoder=encoder,
        pyramid=SpatialPyramid(levels=levels, pool="sum", weights=None),
        norm=("power", "l2"),
    )
