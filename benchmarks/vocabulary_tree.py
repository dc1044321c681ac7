"""A vocabulary tree of 20,736 words against brute force, in descriptors a second and words found, on 15-Scene."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from _common import keep, scene15, scene15_fixed, table
from sklearn.metrics import pairwise_distances_argmin

import spm
from spm._tools.parallel import single_threaded
from spm.codebooks.nearest import nearest_words

BRANCHING, DEPTH = 12, 4
N_LEARN, N_TEST = 1000, 100  # training images, none in both
PER_IMAGE = 250  # descriptors of one image
N_TIMED = 5000  # descriptors assigned at once; brute force takes 400 MB for them
PAIRS = 5


def descriptors() -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors to learn from and others to assign, all of training images."""
    paths, _ = scene15()
    train, _ = scene15_fixed()
    images = [paths[i] for i in np.random.default_rng(0).permutation(train)[: N_LEARN + N_TEST]]
    features = spm.DenseSIFT()
    options = {"per_image": PER_IMAGE, "random_state": 0, "n_jobs": 2}
    parts = images[:N_LEARN], images[N_LEARN:]
    learn, test = (np.concatenate(list(spm.stream_descriptors(part, features, **options))) for part in parts)
    return learn, test


def seconds(way: Callable[[np.ndarray], np.ndarray], X: np.ndarray) -> float:
    start = time.perf_counter()
    way(X)
    return time.perf_counter() - start


def compared(tree: spm.VocabularyTree, X: np.ndarray, ways: dict[str, Callable]) -> list[list[object]]:
    """Return one row for each number of paths; the tree and the brute forces are timed in turn."""
    words = np.concatenate(
        [nearest_words(X[n : n + N_TIMED], tree.cluster_centers_) for n in range(0, len(X), N_TIMED)]
    )
    best = errors(X, tree.cluster_centers_[words])
    rows = []
    for n_paths in (1, 2, 4, 8, 16):
        found = tree.set_params(n_paths=n_paths).predict(X)
        pairs = [[seconds(way, X[:N_TIMED]) for way in (tree.predict, *ways.values())] for _ in range(PAIRS)]
        rate, *others = N_TIMED / np.median(pairs, axis=0)
        ratios = np.median([[other / own for other in rest] for own, *rest in pairs], axis=0)
        agreement, error = np.mean(found == words), errors(X, tree.cluster_centers_[found]) / best
        figures = [f"{rate:,.0f}", *(f"{other:,.0f}" for other in others), *(f"{ratio:.1f}" for ratio in ratios)]
        rows.append([n_paths, *figures, f"{100 * agreement:.1f}", f"{error:.4f}"])
    return rows


def errors(X: np.ndarray, words: np.ndarray) -> float:
    """Return the mean squared distance of descriptors to their words."""
    return float(np.square(X - words).sum(axis=1).mean())


def main() -> None:
    learn, test = descriptors()
    tree = spm.VocabularyTree(branching=BRANCHING, depth=DEPTH, random_state=0, n_jobs=2)
    tree.fit(learn[: 2 * BRANCHING**DEPTH])  # compile
    start = time.perf_counter()
    tree.fit(learn)
    fitting = time.perf_counter() - start
    words = tree.cluster_centers_
    ways = {
        "spm nearest_words": lambda X: nearest_words(X, words),
        "scikit-learn pairwise_distances_argmin": lambda X: pairwise_distances_argmin(X, words),
    }
    with single_threaded():
        rows = compared(tree, test, ways)
    note = (
        f"{len(words):,} words (branching {BRANCHING}, depth {DEPTH}), learned in {fitting:.0f} s by 2 threads from "
        f"{len(learn):,} SIFT descriptors of {N_LEARN} training images. Then one thread, {N_TIMED:,} descriptors at "
        f"once, the ways in turn, medians of {PAIRS} rounds; ratios are medians over the rounds. Agreement with the "
        f"brute-force word and mean squared distance over brute force's: {len(test):,} descriptors of {N_TEST} other "
        "training images."
    )
    head = ["paths", "tree, descriptors a second", *(f"{name}, a second" for name in ways)]
    head += [*(f"tree over {name}" for name in ways), "same word, %", "squared error, relative"]
    keep("vocabulary_tree", "A vocabulary tree", note, table(head, rows))


if __name__ == "__main__":
    main()
