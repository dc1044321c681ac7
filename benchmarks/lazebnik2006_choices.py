"""What Lazebnik 2006 leaves open, chosen by splits inside training sets of 15-Scene; no test image is looked at.

The training sets are those of the first random splits of the reproduction (100 images a class). Each is split again,
70 a class to learn and 30 to judge.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from _common import keep, scene15, table
from sklearn.metrics import balanced_accuracy_score

import spm

OUTER, INNER = 3, 2
SMOOTHING = (0.0, 0.25, 0.38)  # none; one pixel; OpenCV's and Lowe's base image
COSTS = (1, 3, 10, 100)


def judge(features: spm.DenseSIFT, paths: np.ndarray, y: np.ndarray, seed: int, **codebook: int) -> list[list[float]]:
    """Return the accuracies, inner split by cost, inside one training set."""
    accuracies = []
    inner = spm.PerClassShuffleSplit(n_train=70, n_splits=INNER, random_state=seed)
    for learn, test in inner.split(paths, y):
        model = spm.presets.lazebnik2006(n_jobs=-1, random_state=seed)
        vectorizer, classifier = model
        vectorizer.set_params(features=features, **codebook)
        train_vectors = vectorizer.fit(list(paths[learn])).transform(list(paths[learn]))
        test_vectors = vectorizer.transform(list(paths[test]))
        scores = []
        for cost in COSTS:
            classifier.set_params(C=cost).fit(train_vectors, y[learn])
            scores.append(balanced_accuracy_score(y[test], classifier.predict(test_vectors)))
        accuracies.append(scores)
    return accuracies


def main() -> None:
    paths, y = scene15()
    paths = np.array(paths)
    outer = spm.PerClassShuffleSplit(n_train=100, n_splits=10, random_state=0)
    training_sets = [train for train, _ in outer.split(paths, y)][:OUTER]

    def row(name: list[object], features: spm.DenseSIFT, **codebook: int) -> list[object]:
        runs = [judge(features, paths[t], y[t], seed, **codebook) for seed, t in enumerate(training_sets)]
        scores = 100 * np.array(runs).reshape(-1, len(COSTS))
        cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(scores.mean(axis=0), scores.std(axis=0), strict=True)]
        print(name, cells, flush=True)
        return [*name, *cells]

    rows = [
        row([window, norm, smoothing], spm.DenseSIFT(window=window, norm=norm, smoothing=smoothing))
        for window, norm, smoothing in product(("flat", "gaussian"), ("lowe", "lazebnik"), SMOOTHING)
    ]
    head = ["window", "norm", "smoothing (cells)", *(f"C = {cost}" for cost in COSTS)]
    note = f"Mean and standard deviation of {OUTER * INNER} inner splits, balanced accuracy in %."
    keep("lazebnik2006_choices", "What the paper leaves open, chosen inside the training sets", note, table(head, rows))


if __name__ == "__main__":
    main()
