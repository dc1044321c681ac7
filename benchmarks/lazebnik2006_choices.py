"""What Lazebnik 2006 leaves open, chosen by splits inside training sets of 15-Scene; no test image is looked at.

The training sets are those of the first random splits of the reproduction (100 images a class). Each is split again,
70 a class to learn and 30 to judge. Three rounds, each a run of its own: ``first`` looks at window, normalisation and
smoothing in few training sets, ``finalists`` at the better half in all ten, ``codebook`` at restarts and sample size.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from _common import keep, scene15, table
from sklearn.metrics import balanced_accuracy_score

import spm

ALL, FEW, INNER = 10, 3, 2  # training sets, those of the first round, and splits inside each
SMOOTHING = (0.0, 0.25, 0.38)  # none; one pixel; OpenCV's and Lowe's base image
COSTS = (1, 3, 10, 100)
ROUNDS: dict[str, dict[str, dict]] = {
    "first": {
        f"{window}, {norm}, {smoothing}": {
            "features": spm.DenseSIFT(window=window, norm=norm, smoothing=smoothing),
            "sample_size": 100_000,
        }
        for window, norm, smoothing in product(("flat", "gaussian"), ("lowe", "lazebnik"), SMOOTHING)
    },
    "finalists": {  # without smoothing, which lost every pair of the first round
        f"{window}, {norm}": {"features": spm.DenseSIFT(window=window, norm=norm), "sample_size": 100_000}
        for window, norm in product(("flat", "gaussian"), ("lowe", "lazebnik"))
    },
    "codebook": {
        "100,000 descriptors": {"sample_size": 100_000},
        "100,000 descriptors, best of three starts": {"sample_size": 100_000, "encoder__n_init": 3},
        "50,000 descriptors": {"sample_size": 50_000},
    },
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
    parser = argparse.ArgumentParser()
    parser.add_argument("round", choices=list(ROUNDS))
    name = parser.parse_args().round
    n_sets = FEW if name == "first" else ALL
    paths, y = scene15()
    paths = np.array(paths)
    outer = spm.PerClassShuffleSplit(n_train=100, n_splits=ALL, random_state=0)
    training_sets = [train for train, _ in outer.split(paths, y)][:n_sets]
    rows = []
    for choice, options in ROUNDS[name].items():
        runs = [judge(options, paths[train], y[train], seed) for seed, train in enumerate(training_sets)]
        scores = 100 * np.array(runs).reshape(-1, len(COSTS))
        cells = [f"{m:.2f} ± {s:.1f}" for m, s in zip(scores.mean(axis=0), scores.std(axis=0), strict=True)]
        rows.append([choice, *cells])
        print(*rows[-1], flush=True)
    keep(
        f"lazebnik2006_choices_{name}",
        f"What the paper leaves open, chosen inside the training sets: {name}",
        f"Mean and standard deviation of {n_sets * INNER} inner splits, the same for each row; mean per-class accuracy "
        "in %. Smoothing is in cells.",
        table(["choice", *(f"C = {cost}" for cost in COSTS)], rows),
    )


if __name__ == "__main__":
    main()
