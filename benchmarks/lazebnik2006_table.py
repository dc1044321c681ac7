"""Table 2 of Lazebnik 2006 on 15-Scene: ten random splits, 200 and 400 words, every level alone and every pyramid.

The intersection kernel of a pyramid is the weighted sum of its levels' kernels, so each split's levels are turned into
Gram matrices once and every entry of the table is a sum of these; the first split also runs the preset itself, end to
end, and must agree.
"""

from __future__ import annotations

import argparse

import numpy as np
from _common import keep, scene15, table
from sklearn.metrics import balanced_accuracy_score

import spm

LEVELS = (1, 2, 4, 8)
PAPER = {  # words: level: (single level, pyramid), mean per-class accuracy in %
    200: {0: ("72.2 ± 0.6", ""), 1: ("77.9 ± 0.6", "79.0 ± 0.5"), 2: ("79.4 ± 0.3", "81.1 ± 0.3"),
          3: ("77.2 ± 0.4", "80.7 ± 0.3")},
    400: {0: ("74.8 ± 0.3", ""), 1: ("78.8 ± 0.4", "80.1 ± 0.5"), 2: ("79.7 ± 0.5", "81.4 ± 0.5"),
          3: ("77.2 ± 0.5", "81.1 ± 0.6")},
}  # fmt: skip


def level_grams(model, paths: np.ndarray, train: np.ndarray) -> list[np.ndarray]:
    """Return, for every level, the kernel of all images with the training images: (n, n_train)."""
    vectorizer = model[0].set_params(pyramid__levels=LEVELS, pyramid__weights=None)
    vectors = vectorizer.fit(list(paths[train])).transform(list(paths))
    ends = np.cumsum([side * side * vectorizer.encoder.n_words for side in LEVELS])
    return [
        spm.kernels.histogram_intersection(vectors[:, start:end], vectors[train, start:end], n_jobs=-1)
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def accuracy(gram: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, model) -> float:
    """Return the mean per-class accuracy of one kernel, in %."""
    machine = spm.KernelSVC(kernel="precomputed", C=model[1].C, n_jobs=-1).fit(gram[train], y[train])
    return 100 * balanced_accuracy_score(y[test], machine.predict(gram[test]))


def run_split(paths: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, n_words: int, seed: int) -> dict:
    """Return the accuracy of every entry: (level, "single" or "pyramid")."""
    model = spm.presets.lazebnik2006(n_words=n_words, n_jobs=-1, random_state=seed)
    grams = level_grams(model, paths, train)
    entries = {}
    for level, gram in enumerate(grams):
        weights = spm.SpatialPyramid(levels=LEVELS[: level + 1]).level_weights().astype(np.float32)
        pyramid = sum(weight * part for weight, part in zip(weights, grams[: level + 1], strict=True))
        entries[level, "single"] = accuracy(gram, y, train, test, model)
        entries[level, "pyramid"] = accuracy(pyramid, y, train, test, model)
    return entries


def check_preset(paths: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, expected: float) -> float:
    """Run the preset end to end and return by how many points it differs from the sum of its levels' kernels."""
    model = spm.presets.lazebnik2006(n_jobs=-1, random_state=0).fit(list(paths[train]), y[train])
    return 100 * balanced_accuracy_score(y[test], model.predict(list(paths[test]))) - expected


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--splits", type=int, default=10)
    n_splits = parser.parse_args().splits
    paths, y = scene15()
    paths = np.array(paths)
    splits = list(spm.PerClassShuffleSplit(n_train=100, n_splits=n_splits, random_state=0).split(paths, y))
    rows, notes = [], []
    for n_words, paper in PAPER.items():
        runs = []
        for seed, (train, test) in enumerate(splits):
            runs.append(run_split(paths, y, train, test, n_words, seed))
            print(n_words, seed, {key: round(value, 1) for key, value in runs[-1].items()}, flush=True)
        if n_words == 200:
            difference = check_preset(paths, y, *splits[0], runs[0][2, "pyramid"])
            notes.append(f"The preset, end to end on the first split, differs by {difference:+.2f} points.")
        for level, (single, pyramid) in paper.items():
            ours = []
            for kind in ("single", "pyramid"):
                scores = np.array([run[level, kind] for run in runs])
                ours.append(f"{scores.mean():.1f} ± {scores.std():.1f}" if kind == "single" or level else "")
            rows.append([n_words, f"{level} ({LEVELS[level]}x{LEVELS[level]})", ours[0], single, ours[1], pyramid])
    head = ["words", "L", "single level", "paper", "pyramid", "paper"]
    note = f"Mean and standard deviation over {n_splits} random splits, 100 images a class to train, the rest to test."
    keep("lazebnik2006_table", "15-Scene: the table of Lazebnik 2006", note, table(head, rows), *notes)


if __name__ == "__main__":
    main()
