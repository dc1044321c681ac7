"""A vocabulary tree: many descriptors in, ten thousands of words out, each found in a few dozen comparisons."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .._tools.estimators import learns
from .._tools.numba import njit
from .._tools.options import Options, check_options, seed, whole, workers
from .._tools.parallel import in_threads, single_threaded
from .._tools.public import public
from ..errors import SpmError, check_number
from .kmeans import kmeans
from .nearest import nearest_words

MOST = 2**31 - 1  # of a seed


@public()
class VocabularyTree(ClusterMixin, BaseEstimator):
    """Cluster descriptors, each cluster again, and so on: hierarchical k-means (Nister and Stewenius 2006, section 3).

    The clusters of the last level are the words. A descriptor's word is found by going down: from each node to the
    nearest of its children, which takes branching * depth comparisons in place of branching ** depth. Where it lies
    near a border it may miss its nearest word; `n_paths` goes down by several children at once.

    As ``BagOfWords(clusterer=VocabularyTree(...))`` it makes large vocabularies usable.

    Parameters
    ----------
    branching : int, default=10
        Clusters of each cluster; 2 at least.
    depth : int, default=4
        Levels. There are branching ** depth words, but fewer where a cluster has fewer different descriptors than
        `branching`.
    n_paths : int, default=1
        Branches followed at once (Schindler, Brown and Szeliski 2007, section 3): more find the nearest word more
        often, and take as many times longer.
    random_state : int, RandomState or None
    n_jobs : int or None
        Threads of the clustering, as joblib means it.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_words, D), float32
    labels_ : ndarray of shape (N,), int64
        The words of the descriptors that it was fitted to.
    children_ : ndarray of shape (n_nodes, D, branching), float32
        The centres of each node's children, side by side; infinite where there are fewer.
    first_child_ : ndarray of shape (n_nodes,), int64
        The position of each node's first child: nodes and then words are numbered level by level from the root.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> points = np.random.default_rng(0).random((500, 2))
    >>> tree = spm.VocabularyTree(branching=4, depth=2, random_state=0).fit(points)
    >>> tree.cluster_centers_.shape, tree.predict(tree.cluster_centers_[:3])
    ((16, 2), array([0, 1, 2]))
    """

    _options: ClassVar[Options] = {
        "branching": whole(least=2),
        "depth": whole(least=1),
        "n_paths": whole(least=1),
        "random_state": seed,
        "n_jobs": workers,
    }

    def __init__(
        self,
        *,
        branching: int = 10,
        depth: int = 4,
        n_paths: int = 1,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.branching = branching
        self.depth = depth
        self.n_paths = n_paths
        self.random_state = random_state
        self.n_jobs = n_jobs

    @learns
    def fit(self, X: Any, y: Any = None) -> VocabularyTree:
        """Learn the words from descriptors of shape (N, D).

        Raises
        ------
        SpmError
            For an option that is not valid, fewer descriptors than words, or fewer different ones than branches.
        """
        check_options(self)
        X = validate_data(self, X, dtype=np.float32, order="C")
        n_words = self.branching**self.depth
        if len(X) < n_words:
            raise SpmError(
                f"{self.branching} ** {self.depth} = {n_words} words need at least as many descriptors, "
                f"got n_samples={len(X)}: take more images or a smaller step, or lower branching or depth"
            )
        with single_threaded():
            levels = _grow(X, self.branching, self.depth, check_random_state(self.random_state), self.n_jobs)
        if len(levels[0][0]) < self.branching:
            raise SpmError(
                f"branching={self.branching} but there are only {len(levels[0][0])} different descriptors: "
                "are the images blank? Lower branching or give more varied images"
            )
        self.cluster_centers_ = np.concatenate(levels[-1])
        nodes = [centers for level in levels for centers in level]
        self.children_ = np.full((len(nodes), X.shape[1], self.branching), np.inf, dtype=np.float32)
        for children, centers in zip(self.children_, nodes, strict=True):
            children[:, : len(centers)] = centers.T
        self.first_child_ = 1 + np.cumsum([0, *map(len, nodes[:-1])])
        self.labels_ = self.assign(X)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the word of each descriptor, (N, D): shape (N,), int64."""
        check_is_fitted(self)
        return self.assign(validate_data(self, X, dtype=np.float32, order="C", reset=False))

    def assign(self, values: np.ndarray) -> np.ndarray:
        """Return the word of each descriptor, (N, D) float32, unchecked: what an encoder calls."""
        n_paths = min(check_number("n_paths", self.n_paths, least=1, integer=True), len(self.cluster_centers_))
        words = np.empty(len(values), dtype=np.int64)
        _descend(values, self.children_, self.first_child_, n_paths, words)
        return words


def _grow(
    X: np.ndarray, branching: int, depth: int, random: np.random.RandomState, n_jobs: int | None
) -> list[list[np.ndarray]]:
    """Return the centres of each node's children, of shape (at most branching, D), level by level."""
    levels: list[list[np.ndarray]] = []
    clusters = [(X, X[0])]  # the descriptors of each node, and its centre
    for _ in range(depth):
        seeds = random.randint(MOST, size=len(clusters))
        split = partial(_split, branching=branching, n_jobs=1 if levels else n_jobs)
        levels.append(in_threads(split, zip(clusters, seeds, strict=True), n_jobs=n_jobs))
        parents = zip(clusters, levels[-1], strict=True)
        clusters = [part for (values, _), centers in parents for part in _divide(values, centers)]
    return levels


def _split(task: tuple[tuple[np.ndarray, np.ndarray], int], branching: int, n_jobs: int | None) -> np.ndarray:
    """Return the centres of a node's children; a node without descriptors has itself for its one child."""
    (values, center), seed = task
    if not len(values):
        return center[None]
    try:
        return kmeans(values, branching, random_state=int(seed), n_jobs=n_jobs).centers
    except SpmError:  # it has fewer different descriptors than branches: each is a child
        return np.unique(values, axis=0)


def _divide(values: np.ndarray, centers: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the descriptors that are nearest to each centre, with it."""
    nearest = nearest_words(values, centers) if len(values) else np.empty(0, dtype=np.int64)
    order = np.argsort(nearest, kind="stable")
    stops = np.cumsum(np.bincount(nearest, minlength=len(centers)))
    return list(zip(np.split(values[order], stops[:-1]), centers, strict=True))


@njit(fastmath={"contract"})
def _descend(X: np.ndarray, children: np.ndarray, first_child: np.ndarray, n_paths: int, words: np.ndarray) -> None:
    """Set `words` (N,) to the word that each descriptor comes to."""
    n_nodes, n_values, branching = children.shape
    nodes = np.empty(n_paths, dtype=np.int64)  # those followed, the nearest first
    best = np.empty(n_paths, dtype=np.int64)
    least = np.empty(n_paths, dtype=np.float32)
    distances = np.empty(branching, dtype=np.float32)
    for n in range(len(X)):
        nodes[0], n_followed = 0, 1
        while n_followed and nodes[0] < n_nodes:  # all words lie at one depth
            least[:] = np.inf
            for at in range(n_followed):
                node = nodes[at]
                distances[:] = 0
                for d in range(n_values):
                    for c in range(branching):
                        distances[c] += (X[n, d] - children[node, d, c]) ** 2
                for c in range(branching):
                    if distances[c] < least[-1]:
                        _insert(distances[c], first_child[node] + c, least, best)
            n_followed = 0
            while n_followed < n_paths and least[n_followed] < np.inf:
                nodes[n_followed] = best[n_followed]
                n_followed += 1
        words[n] = max(nodes[0] - n_nodes, 0)  # NaN is near to none, and goes nowhere


@njit
def _insert(distance: float, node: int, least: np.ndarray, best: np.ndarray) -> None:
    """Put a node into its rank among the best, behind its equals, and drop the last."""
    rank = len(least) - 1
    while rank > 0 and distance < least[rank - 1]:
        least[rank], best[rank] = least[rank - 1], best[rank - 1]
        rank -= 1
    least[rank], best[rank] = distance, node
