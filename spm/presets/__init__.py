"""Presets: a paper's name in, a scikit-learn Pipeline with the paper's values out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from .._tools.shipped import read_shipped
from ..classifiers.svm import KernelSVC
from ..encoders.bag_of_words import BagOfWords
from ..errors import check_choice
from ..features.dense_sift import DenseSIFT
from ..features.feature_map import FeatureMap
from ..kernels.sums import KernelSum
from ..pyramid.pyramid import SpatialPyramid
from ..vectorizer import PyramidVectorizer
from .handcrafted import best_handcrafted, fisher2010, llc2010, phow2008, scspm2009, vlad2010


def lazebnik2006(
    *,
    n_words: int = 200,
    levels: Sequence[int | tuple[int, int]] = (1, 2, 4),
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
    vectorizer = PyramidVectorizer(
        features=DenseSIFT(patch_size=16, step=8),
        encoder=BagOfWords(n_words=n_words),
        pyramid=SpatialPyramid(levels=levels, pool="sum", weights="lazebnik"),
        norm="l1",
        memory=memory,
        n_jobs=n_jobs,
        verbose=verbose,
        random_state=random_state,
    )
    classifier = KernelSVC(
        kernel="intersection", C=C, probability=probability, random_state=random_state, n_jobs=n_jobs
    )
    return Pipeline([("vectorizer", vectorizer), ("classifier", classifier)])


def spp2014(
    model: Any = None,
    *,
    layers: str | Sequence[str] | None = None,
    preprocess: Any = None,
    size: Any = None,
    policy: str = "full",
    flip: bool = False,
    levels: Sequence[int | tuple[int, int]] = (1, 2, 3, 6),
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return spatial pyramid pooling over a network's feature map as in He, Zhang, Ren and Sun 2014, section 3.

    From the paper: the whole image at its own ratio; a pyramid of 1x1, 2x2, 3x3 and 6x6 bins, max-pooled, over the
    last convolutional map; vectors of length 1; one linear SVM a class against the rest.

    Parameters
    ----------
    model : path or bytes, optional
        An ONNX file. By default the small network that ships with spm (see its card, data/texture_net.md).
    layers, policy, flip
        As `FeatureMap` takes them.
    preprocess, size
        As `FeatureMap` takes them; by default what the shipped network wants, and for a `model` of your own
        ``"imagenet"`` and 224.
    levels : sequence, default=(1, 2, 3, 6)
        ``(1,)`` is global max pooling, the twin without a pyramid.
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
    >>> import numpy as np
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    >>> spm.presets.spp2014().fit(images, ["a", "a", "b", "b"])[0].transform(images).shape
    (4, 3200)
    """
    vectorizer = PyramidVectorizer(
        features=_feature_map(model, layers=layers, preprocess=preprocess, size=size, policy=policy, flip=flip),
        pyramid=SpatialPyramid(levels=levels, pool="max", weights=None),
        norm="l2",
        memory=memory,
        n_jobs=n_jobs,
        verbose=verbose,
        random_state=random_state,
    )
    classifier = KernelSVC(kernel="linear", C=C, probability=probability, random_state=random_state, n_jobs=n_jobs)
    return Pipeline([("vectorizer", vectorizer), ("classifier", classifier)])


def _feature_map(model: Any, *, preprocess: Any, size: Any, **options: Any) -> FeatureMap:
    if model is None:
        return FeatureMap(read_shipped("texture_net.onnx"), preprocess=preprocess or "tf", size=size, **options)
    return FeatureMap(model, preprocess=preprocess or "imagenet", size=size or 224, **options)


def hybrid(
    model: Any = None,
    *,
    weight: float = 1.0,
    levels: Sequence[int | tuple[int, int]] | None = None,
    n_words: int = 200,
    layers: str | Sequence[str] | None = None,
    preprocess: Any = None,
    size: Any = None,
    policy: str = "full",
    flip: bool = False,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return the sum of the kernels of `lazebnik2006` and `spp2014`, both of which are 1 between equal images.

    Parameters
    ----------
    model, layers, preprocess, size, policy, flip
        As for `spp2014`.
    weight : float, default=1.0
        What the network's kernel counts against the words'.
    levels : sequence, optional
        The pyramid of both; by default each has its own.
    n_words, C, probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` (a `KernelSum` of ``words`` and ``maps``) and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> spm.presets.hybrid(weight=2.0).named_steps["vectorizer"].weights
    [1.0, 2.0]
    """
    common: dict[str, Any] = {"memory": memory, "n_jobs": n_jobs, "verbose": verbose, "random_state": random_state}
    pyramid: dict[str, Any] = {} if levels is None else {"levels": levels}
    maps = {"layers": layers, "preprocess": preprocess, "size": size, "policy": policy, "flip": flip}
    vectorizer = KernelSum(
        [
            ("words", lazebnik2006(n_words=n_words, **pyramid, **common)[0]),
            ("maps", spp2014(model, **maps, **pyramid, **common)[0]),
        ],
        kernels=["intersection", "linear"],
        weights=[1.0, weight],
        n_jobs=n_jobs,
    )
    classifier = KernelSVC(kernel="precomputed", C=C, probability=probability, random_state=random_state, n_jobs=n_jobs)
    return Pipeline([("vectorizer", vectorizer), ("classifier", classifier)])


PRESETS: dict[str, Callable[..., Pipeline]] = {
    "lazebnik2006": lazebnik2006,
    "phow2008": phow2008,
    "scspm2009": scspm2009,
    "llc2010": llc2010,
    "vlad2010": vlad2010,
    "fisher2010": fisher2010,
    "best_handcrafted": best_handcrafted,
    "spp2014": spp2014,
    "hybrid": hybrid,
}

GROUPS: dict[str, Callable[[], list[str]]] = {
    "all": lambda: list(PRESETS),
    "all-handcrafted": lambda: [name for name in PRESETS if name not in ("spp2014", "hybrid")],
}


def expand(names: str | Sequence[str]) -> list[str]:
    """Return the names of presets with those of groups written out, each preset once.

    Raises
    ------
    SpmError
        For an unknown name; the message lists the presets and groups.

    Examples
    --------
    >>> expand(["hybrid", "all"])[:2]
    ['hybrid', 'lazebnik2006']
    """
    found: list[str] = []
    for name in [names] if isinstance(names, str) else names:
        check_choice("preset", name, (*PRESETS, *GROUPS))
        found += GROUPS[name]() if name in GROUPS else [name]
    return list(dict.fromkeys(found))


def make(name: str, **options: Any) -> Pipeline:
    """Return the preset of that name.

    Raises
    ------
    SpmError
        For an unknown name; the message lists the presets.

    Examples
    --------
    >>> make("lazebnik2006", n_words=100).named_steps["vectorizer"].encoder
    BagOfWords(n_words=100)
    """
    return PRESETS[check_choice("preset", name, PRESETS)](**options)
