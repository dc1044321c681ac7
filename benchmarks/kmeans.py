"""Codebooks: spm's k-means against scikit-learn's, in seconds and inertia, on descriptors of 15-Scene."""

from __future__ import annotations

import time

import numpy as np
from _common import keep, scene15, scene15_fixed, table
from sklearn.cluster import KMeans, MiniBatchKMeans

import spm
from spm.codebooks.kmeans import kmeans

SEEDS = range(3)


def descriptors(n_images: int = 500, per_image: int = 200) -> np.ndarray:
    paths, _ = scene15()
    train, _ = scene15_fixed()
    random = np.random.default_rng(0)
    features = spm.DenseSIFT()
    drawn = []
    for i in random.permutation(train)[:n_images]:
        values = features.extract(paths[i]).values
        drawn.append(values[random.permutation(len(values))[:per_image]])
    return np.concatenate(drawn)


def main() -> None:
    X = descriptors()
    kmeans(X[:5000], 10, random_state=0)  # compile
    rows = []
    for n_words in (200, 400):
        ways = {
            "spm kmeans": lambda seed, k=n_words: kmeans(X, k, random_state=seed, n_jobs=2).inertia,
            "scikit-learn KMeans": lambda seed, k=n_words: KMeans(k, n_init=1, random_state=seed).fit(X).inertia_,
            "scikit-learn MiniBatchKMeans": lambda seed, k=n_words: -MiniBatchKMeans(
                k, n_init=1, batch_size=4096, random_state=seed
            ).fit(X).score(X),
        }  # fmt: skip
        spent: dict[str, list[float]] = {name: [] for name in ways}
        inertia: dict[str, list[float]] = {name: [] for name in ways}
        for seed in SEEDS:
            for name, way in ways.items():
                start = time.perf_counter()
                inertia[name].append(way(seed))
                spent[name].append(time.perf_counter() - start)
        ours = float(np.median(spent["spm kmeans"])), float(np.mean(inertia["spm kmeans"]))
        for name in ways:
            seconds, squares = float(np.median(spent[name])), float(np.mean(inertia[name]))
            rows.append(
                [
                    n_words,
                    name,
                    f"{seconds:.2f}",
                    f"{seconds / ours[0]:.1f}",
                    f"{squares:.1f}",
                    f"{100 * (squares / ours[1] - 1):+.2f}",
                ]
            )
    head = ["words", "way", "seconds, median", "times spm", "inertia, mean", "against spm's, %"]
    note = f"{len(X):,} descriptors of 128 values, 2 threads, one start each, {len(SEEDS)} seeds in turn."
    keep("kmeans", "Codebooks", note, table(head, rows))


if __name__ == "__main__":
    main()
