"""Presets: a paper's name in, a scikit-learn Pipeline with the paper's values out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from .encoders import BagOfWords
from .errors import check_choice
from .pyramid import SpatialPyramid
from .sift import DenseSIFT
from .svm import KernelSVC
from .vectorizer import PyramidVectorizer


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
    SIFT's own Gaussian window and normalisation, no smoothing, one start of k-means, C = 10.

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


PRESETS: dict[str, Callable[..., Pipeline]] = {"lazebnik2006": lazebnik2006}


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
