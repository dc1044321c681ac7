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

ALL, FEW, INNER = 10, 3, 2  # training sets, those of the first round, and splits inside each
SMOOTHING = (0.0, 0.25, 0.38)  # none; one pixel; OpenCV's and Lowe's base image
COSTS = (1, 3, 10, 100)
FINALISTS = {  # without smoothing, which lost every pair of the first round; then more restarts and more descriptors
    "flat, lazebnik": {"features": spm.DenseSIFT(window="flat", norm="lazebnik")},
    "flat, lowe": {"features": spm.DenseSIFT(window="flat", norm="lowe")},
    "gaussian, lazebnik": {"features": spm.DenseSIFT(window="gaussian", norm="lazebnik")},
    "gaussian, lowe": {"features": spm.DenseSIFT(window="gaussian", norm="lowe")},
    "gaussian, lowe, best of 5 codebooks": {"features": spm.DenseSIFT(), "encoder__n_init": 5},
    "gaussian, lowe, codebook of 300,000 descriptors": {"features": spm.DenseSIFT(), "sample_size": 300_000},
}


def judge(options: dict, paths: np.ndarray, y: np.ndarray, seed: int) -> list[list[float]]:
    """Return the accuracies, inner split by cost, inside one training set."""
    accuracies = []
    inner = spm.PerClassShuffleSplit(n_train=70, n_splits=INNER, random_state=seed)
    for learn, test in inner.split(paths, y):
        model = spm.presets.lazebnik2006(n_jobs=-1, random_state=seed)
        vectorizer, classifier = model
        vectorizer.set_params(**options)
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
    outer = spm.PerClassShuffleSplit(n_train=100, n_splits=ALL, random_state=0)
    training_sets = [train for train, _ in outer.split(paths, y)]

    def row(name: list[object], options: dict, n_sets: int) -> list[object]:
        runs = [judge(options, paths[t], y[t], seed) for seed, t in enumerate(training_sets[:n_sets])]
        scores = 100 * np.array(runs).reshape(-1, len(COSTS))
        cells = [f"{m:.2f} ± {s:.1f}" for m, s in zip(scores.mean(axis=0), scores.std(axis=0), strict=True)]
        print(name, cells, flush=True)
        return [*name, *cells]

    first = [
        row([window, norm, smoothing], {"features": spm.DenseSIFT(window=window, norm=norm, smoothing=smoothing)}, FEW)
        for window, norm, smoothing in product(("flat", "gaussian"), ("lowe", "lazebnik"), SMOOTHING)
    ]
    second = [row([name], options, ALL) for name, options in FINALISTS.items()]
    costs = [f"C = {cost}" for cost in COSTS]
    keep(
        "lazebnik2006_choices",
        "What the paper leaves open, chosen inside the training sets",
        f"Mean and standard deviation of {FEW * INNER} inner splits, mean per-class accuracy in %.",
        table(["window", "norm", "smoothing (cells)", *costs], first),
        f"The better half again, on {ALL * INNER} inner splits of all ten training sets, the same for each.",
        table(["finalist", *costs], second),
    )


if __name__ == "__main__":
    main()
