"""Codebooks: many descriptors in, a few words (their cluster centres) out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.cluster import kmeans_plusplus
from sklearn.utils import check_random_state

from .._tools.numba import njit
from .._tools.parallel import progress_bar, single_threaded
from ..errors import SpmError, check_number
from .nearest import short_lists
from .source import Source, add, count_different, mean_and_variance, source_of

BLOCK = 4096  # descriptors assigned at once; fixed, so that sums do not depend on the number of threads
SEEDS = 8  # descriptors per word among which k-means++ chooses
COARSEST = 32  # and in the first, smallest sample
GROWTH = 4  # from each sample to the next
SHORT = 16  # words of a short list, among which most passes look for the nearest
LISTED = 2**21  # descriptors at most that have lists: those of more fill the caller's memory, and his line to workers
RELAX = 1.8  # how far a centre goes towards (and beyond) its cluster's mean; below 2, so that it converges


@dataclass(frozen=True)
class KMeansResult:
    """What `kmeans` found.

    Parameters
    ----------
    centers : ndarray of shape (n_words, D), float32
    inertia : float
        Sum of the squared distances of all descriptors to their nearest centre, before the last move of the centres.
    n_iter : int
        Passes over all descriptors.
    """

    centers: np.ndarray
    inertia: float
    n_iter: int


def kmeans(
    X: Any,
    n_words: int,
    *,
    n_init: int = 1,
    max_iter: int = 20,
    tol: float = 1e-4,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> KMeansResult:
    """Cluster descriptors by Lloyd's algorithm, over-relaxed and coarse to fine.

    The centres are found by k-means++ (Arthur and Vassilvitskii 2007) and Lloyd's algorithm on a small random sample
    of the descriptors, refined on samples of four times the size each, and last on all of them. In every pass but the
    last a centre moves 1.8 times the way to its cluster's mean. Passes 1, 3, 7, 15, ... and the last compare every
    descriptor with all words, and keep 16 of the nearest; those between compare it with these alone, in a sixth of the
    time for 400 words and a fiftieth for 4,096. Of more than two million descriptors, all passes are of all words. The
    result depends on `random_state` alone, not on the number of threads (benchmarks/kmeans.py has times and sums of
    squares beside scikit-learn's and faiss's).

    Parameters
    ----------
    X : ndarray of shape (N, D), or DescriptorFiles
        Descriptors; taken as float32. Those in files are read in every pass, by whatever workers the caller's
        ``joblib.parallel_config`` names, and give the same bits; here lie 8 bytes for each of them, the order, and of
        at most two million 32 more.
    n_words : int
        At most the number of different descriptors.
    n_init : int, default=1
        Independent starts; the one with the least inertia is kept.
    max_iter : int, default=20
        Passes at most, on each sample.
    tol : float, default=1e-4
        Stop when the centres' summed squared moves fall below `tol` times the mean variance of a column, as
        scikit-learn's KMeans does.
    random_state : int, RandomState or None
    n_jobs : int or None
        Threads, as joblib means it.
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.

    Returns
    -------
    KMeansResult

    Raises
    ------
    SpmError
        For fewer descriptors, or fewer different ones, than words, and for values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> np.sort(kmeans(points, 2, random_state=0).centers.ravel())
    array([ 0.5, 10.5], dtype=float32)
    """
    check_number("n_words", n_words, least=1, integer=True)
    check_number("n_init", n_init, least=1, integer=True)
    check_number("max_iter", max_iter, least=1, integer=True)
    check_number("tol", tol, least=0)
    source = source_of(X, n_jobs)
    if len(source) < n_words:
        raise SpmError(
            f"n_words={n_words} needs at least as many descriptors, got n_samples={len(source)}: "
            "take more images or a smaller step, or lower n_words"
        )
    random = check_random_state(random_state)
    sizes = _sample_sizes(len(source), n_words)
    bar = progress_bar("k-means", total=n_init * len(sizes) * max_iter, unit="pass", verbose=verbose)
    with single_threaded(), bar:
        lloyd = partial(_lloyd, max_iter=max_iter, tol=tol, bar=bar)
        starts = [_coarse_to_fine(source, n_words, sizes, random, lloyd) for _ in range(n_init)]
    best = min(starts, key=lambda start: start.inertia)
    if len(np.unique(best.centers, axis=0)) < n_words:
        n_different = count_different(source, n_words, BLOCK)
        if n_different < n_words:
            raise SpmError(
                f"n_words={n_words} but there are only {n_different} different descriptors: "
                "are the images blank? Lower n_words or give more varied images"
            )
    return best


def _sample_sizes(n: int, n_words: int) -> list[int]:
    """Return the sizes of the samples, up to all n.

    Examples
    --------
    >>> _sample_sizes(100_000, 200)
    [6400, 25600, 100000]
    """
    sizes = []
    size = COARSEST * n_words
    while size <= n // 2:
        sizes.append(size)
        size *= GROWTH
    return [*sizes, n]


def _coarse_to_fine(
    source: Source,
    n_words: int,
    sizes: list[int],
    random: np.random.RandomState,
    lloyd: Callable[[Source, np.ndarray], KMeansResult],
) -> KMeansResult:
    order = random.permutation(len(source))
    seeds = source.rows(np.sort(order[: SEEDS * n_words])).values
    centers = kmeans_plusplus(seeds, n_words, random_state=random, n_local_trials=1)[0]
    for size in sizes:
        result = lloyd(source.some(np.sort(order[:size])) if size < len(source) else source, centers)
        centers = result.centers
    return result


def _lloyd(source: Source, centers: np.ndarray, *, max_iter: int, tol: float, bar: Any) -> KMeansResult:
    threshold = tol * float(mean_and_variance(source, BLOCK)[1].mean())
    near = None  # the words that each descriptor is compared with; all of them where there is nothing
    keep = len(source) <= LISTED
    for n_iter in range(1, max_iter + 1):
        bar.update()
        of_all = near is None
        sums, counts, inertia, made = source.fold(partial(_accumulate, centers=centers, keep=keep), add, BLOCK, near)
        near = made or near or None
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centers)
        moves = means - centers
        empty = np.flatnonzero(counts == 0)  # an empty cluster starts again at one of the descriptors farthest off
        settled = len(empty) == 0 and np.square(moves).sum() <= threshold
        if n_iter == max_iter or (settled and of_all):
            break
        before, centers = centers, (centers + RELAX * moves).astype(np.float32)
        if len(empty):
            join = partial(_farther, most=len(empty))
            farthest = partial(_farthest, centers=before, most=len(empty))
            centers[empty] = source.fold(farthest, join, BLOCK, near)[1]
        doubled = (n_iter + 1) & (n_iter + 2) == 0  # passes 3, 7, 15, ...: each stretch twice as long as the last
        if doubled or settled or len(empty) or n_iter + 1 == max_iter:
            near = None
    return KMeansResult(means.astype(np.float32), float(inertia), n_iter)


def _accumulate(
    values: np.ndarray, near: np.ndarray | None = None, *, centers: np.ndarray, keep: bool = True
) -> tuple[Any, ...]:
    """Return what one block adds to every cluster, sums (K, D) float64 and counts (K,), and to all distances.

    Descriptors go to the nearest of their short list of words, (n, SHORT); one that is made here is returned too.
    """
    sums, counts, distances, lists = _assigned(values, near, centers)
    return sums, counts, float(distances.sum(dtype=np.float64)), [lists] if near is None and keep else []


def _assigned(values: np.ndarray, near: np.ndarray | None, centers: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return sums, counts, distances, and the short lists that these are by: `near`, or those made here."""
    lists = short_lists(values, centers, min(SHORT, len(centers))) if near is None else near
    sums, counts = np.zeros(centers.shape, dtype=np.float64), np.zeros(len(centers), dtype=np.int64)
    distances = np.empty(len(values), dtype=np.float32)
    _add_rows(values, centers, lists, sums, counts, distances)
    return sums, counts, distances, lists


def _farthest(
    values: np.ndarray, near: np.ndarray | None = None, *, centers: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of the descriptors of a block that are farthest off, and these."""
    distances = _assigned(values, near, centers)[2]
    order = np.argsort(-distances, kind="stable")[:most]
    return distances[order], values[order]


def _farther(one: Any, other: Any, most: int) -> tuple[np.ndarray, np.ndarray]:
    distances, values = (np.concatenate(pair) for pair in zip(one, other, strict=True))
    order = np.argsort(-distances, kind="stable")[:most]
    return distances[order], values[order]


@njit(fastmath={"contract", "nsz", "reassoc"})
def _add_rows(
    X: np.ndarray,
    centers: np.ndarray,
    near: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
    distances: np.ndarray,
) -> None:
    for n in range(len(X)):
        word, least = 0, np.float32(np.inf)
        for rank in range(near.shape[1]):
            other = near[n, rank]
            distance = np.float32(0)
            for d in range(X.shape[1]):
                distance += (X[n, d] - centers[other, d]) ** 2
            if distance < least or (distance == least and other < word):
                word, least = other, distance
        distances[n] = least
        counts[word] += 1
        for d in range(X.shape[1]):
            sums[word, d] += X[n, d]
