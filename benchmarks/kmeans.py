"""Codebooks: spm's k-means against scikit-learn's and faiss's, in seconds and inertia, on descriptors of 15-Scene.

`python benchmarks/kmeans.py` has scikit-learn's two; `python benchmarks/kmeans.py faiss` needs faiss-cpu, which runs
Lloyd's algorithm from the start that spm's seed leads to, until its inertia is spm's or its passes are over.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import numpy as np
from _common import keep, resident, scene15, scene15_fixed, table
from sklearn.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus

import spm
from spm.codebooks.kmeans import SEEDS as PER_WORD
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


def timed(work: Callable[[], float]) -> tuple[float, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


class Watch:
    """The most memory that this process has while inside, looked at every 20 ms."""

    def __enter__(self) -> Watch:
        self.peak, self._done = resident(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, resident())

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.peak = max(self.peak, resident())


def against_faiss(sizes: list[tuple[int, int, int, int]]) -> None:
    """Write the table of both: seconds of each to the same inertia, and the memory above the descriptors'."""
    import faiss

    faiss.omp_set_num_threads(2)
    rows = []
    for n, n_words, most, turns in sizes:
        X = descriptors(1500, -(-n // 1500))[:n]
        kmeans(X[:5000], 10, random_state=0)  # compile
        before, memory = resident(), 0.0
        ratios, spent = [], []
        for seed in range(turns):
            with Watch() as watch:
                inertia, ours = timed(
                    lambda X=X, k=n_words, seed=seed: kmeans(X, k, random_state=seed, n_jobs=2).inertia
                )
            memory = max(memory, watch.peak - before)
            random = np.random.RandomState(seed)  # the start that spm's seed leads to
            first = X[np.sort(random.permutation(len(X))[: PER_WORD * n_words])]
            begin = kmeans_plusplus(first, n_words, random_state=random, n_local_trials=1)
            peer = faiss.Kmeans(X.shape[1], n_words, niter=most, max_points_per_centroid=len(X), seed=seed)
            peer.train(X, init_centroids=begin[0])
            own = [(stats["obj"], stats["time"]) for stats in peer.iteration_stats]
            near = [k for k, (objective, _) in enumerate(own) if objective <= inertia * 1.0002]
            passes = near[0] if near else len(own) - 1
            ratios.append(own[passes][1] / ours)
            spent.append(
                [f"{ours:.1f}", f"{own[passes][1]:.1f}", passes + 1, f"{100 * (own[passes][0] / inertia - 1):+.2f}"]
            )
            print(len(X), n_words, spent[-1], ratios[-1], flush=True)
        middle = int(np.argsort(ratios)[len(ratios) // 2])
        rows.append([f"{len(X):,} x {n_words:,}", *spent[middle], f"{ratios[middle]:.1f}", f"{memory:.0f}", turns])
    head = [
        "descriptors x words",
        "spm s",
        "faiss s",
        "faiss passes",
        "inertia over spm's, %",
        "times spm",
        "spm MB above X",
        "turns",
    ]
    note = (
        f"128 values, 2 threads, faiss-cpu {faiss.__version__}; the median turn, one seed each. faiss's seconds are "
        "those of its passes; spm's hold its start by k-means++ too. Where faiss ends above spm's inertia it had no "
        "more passes."
    )
    keep("kmeans_faiss", "Codebooks: against faiss to equal inertia", note, table(head, rows))


def main() -> None:
    if sys.argv[1:2] == ["faiss"]:
        against_faiss([(200_000, 400, 100, 3), (1_000_000, 4096, 40, 1)])
        return
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
