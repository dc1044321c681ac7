"""The options of `best_handcrafted`, by cross-validation inside 15-Scene's fixed training set: no test image is read.

Codebooks and kernels are made once from the 1,500 training images, whose labels they do not see; ten folds, twice over,
then train on 90 images a class and test on 10. Every row is paired with `fisher2010`'s, fold by fold.
"""

from __future__ import annotations

import argparse

import numpy as np
from _common import keep, scene15, scene15_fixed, table
from sklearn.model_selection import RepeatedStratifiedKFold

import spm
from spm.kernels.table import evaluate_kernel

C = 10.0
WEIGHTS = ((0, 0.25), (0, 0.5), (0.25, 0), (0.25, 0.25), (0.5, 0.5))  # of words and of census codes; of fisher 1


def parts(mirrored: bool) -> dict[str, tuple[spm.PyramidVectorizer, str]]:
    """Return the three roads of the preset and their kernels, with mirror images or without."""
    combined = spm.presets.best_handcrafted(n_jobs=-1, random_state=0)[0]
    found = {}
    for (name, vectorizer), kernel in zip(combined.vectorizers, combined.kernels, strict=True):
        features = vectorizer.features if mirrored else vectorizer.features.features
        found[name] = vectorizer.set_params(features=features), kernel
    return found


def fisher(**options) -> tuple[spm.PyramidVectorizer, str]:
    vectorizer = spm.presets.fisher2010(n_jobs=-1, random_state=0)[0]
    return vectorizer.set_params(**options), "linear"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    images, labels = scene15()
    train, _ = scene15_fixed()
    images, labels = [images[i] for i in train], labels[train]
    folds = list(RepeatedStratifiedKFold(n_splits=10, n_repeats=2, random_state=0).split(labels, labels))

    def gram(vectorizer: spm.PyramidVectorizer, kernel: str) -> np.ndarray:
        vectors = vectorizer.fit_transform(images)
        return evaluate_kernel(kernel, vectors, vectors, n_jobs=-1).astype(np.float64)

    def accuracies(kernel: np.ndarray) -> np.ndarray:
        found = []
        for known, new in folds:
            machine = spm.KernelSVC(kernel="precomputed", C=C, n_jobs=-1)
            machine.fit(kernel[np.ix_(known, known)], labels[known])
            found.append(100 * np.mean(machine.predict(kernel[np.ix_(new, known)]) == labels[new]))
        return np.array(found)

    rows: list[list[object]] = []
    base: np.ndarray | None = None

    def add(title: str, kernel: np.ndarray) -> None:
        nonlocal base
        scores = accuracies(kernel)
        base = scores if base is None else base
        differences = scores - base
        error = differences.std(ddof=1) / len(folds) ** 0.5
        rows.append([title, f"{scores.mean():.2f}", f"{differences.mean():+.2f} ± {error:.2f}"])
        print(rows[-1], flush=True)

    for name in ("plain", "mirrored"):
        grams = {part: gram(*made) for part, made in parts(name == "mirrored").items()}
        for part, kernel in grams.items():
            add(f"{part}, {name}", kernel)
        for words, census in WEIGHTS:
            kernel = grams["fisher"] + words * grams["words"] + census * grams["census"]
            add(f"fisher + {words:g} words + {census:g} census, {name}", kernel)
    for options in (
        {"append_xy": True, "pyramid__levels": (1,)},
        {"features__step": 3},
        {"features__smoothing": 1 / 6},
    ):
        add(
            f"fisher, plain, {', '.join(f'{name}={value}' for name, value in options.items())}",
            gram(*fisher(**options)),
        )
    note = (
        f"{len(images)} images, accuracy in percent over {len(folds)} folds, SVM one against the rest, C = {C:g}; the "
        "difference to the first row with its standard error."
    )
    keep(
        "best_handcrafted_choices", "What goes into best_handcrafted", note, table(["kernel", "%", "difference"], rows)
    )


if __name__ == "__main__":
    main()
