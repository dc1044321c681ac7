"""15-Scene, the headline: handcrafted, learned and joined roads over the fixed split and ten random ones.

A road is a preset's vectorizer and kernel. Every split's kernels are kept in a folder, so that a run that was stopped
goes on; a sum of roads is the sum of their kernels, as in `KernelSum`. What the network's kernel counts in a sum is
chosen on splits inside the fixed training set.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _common import data_home, keep, scene15, scene15_fixed, table
from sklearn.metrics import balanced_accuracy_score

import spm
from spm.kernels.table import evaluate_kernel

MOBILENET: dict[str, object] = {"network": "mobilenetv2_1.0_features.onnx", "preprocess": "tf"}
LITE: dict[str, object] = {
    "network": "efficientnet_lite0_features.onnx",
    "preprocess": {"mean": 127.0, "std": 128.0, "scale": 1.0},
}
WEIGHTS = (0.5, 1.0, 2.0, 4.0, 8.0)
C = 10.0


def maps(
    levels: tuple[int, ...], size: int, norm="l2", network: str = "", **options
) -> Callable[[int], spm.PyramidVectorizer]:
    options |= {"levels": levels, "size": size, "n_jobs": -1}
    return lambda seed: spm.presets.spp2014(data_home() / "weights" / network, **options)[0].set_params(norm=norm)


def words(**options) -> Callable[[int], spm.PyramidVectorizer]:
    return lambda seed: spm.presets.lazebnik2006(n_jobs=-1, random_state=seed, **options)[0]


def of_preset(name: str, part: str | None = None) -> Callable[[int], spm.PyramidVectorizer]:
    def made(seed: int) -> spm.PyramidVectorizer:
        vectorizer = getattr(spm.presets, name)(n_jobs=-1, random_state=seed)[0]
        return vectorizer if part is None else dict(vectorizer.vectorizers)[part]

    return made


ROADS: dict[str, tuple[Callable[[int], spm.PyramidVectorizer], str]] = {
    "words 1x1": (words(levels=(1,)), "intersection"),
    "words": (words(), "intersection"),
    "words mirrored": (of_preset("best_handcrafted", "words"), "intersection"),
    "census mirrored": (of_preset("best_handcrafted", "census"), "intersection"),
    "fisher mirrored": (of_preset("best_handcrafted", "fisher"), "linear"),
    "phow": (of_preset("phow2008"), "chi2"),
    "scspm": (of_preset("scspm2009"), "linear"),
    "llc": (of_preset("llc2010"), "linear"),
    "vlad": (of_preset("vlad2010"), "linear"),
    "fisher": (of_preset("fisher2010"), "linear"),
}
for _name, _network in (("", MOBILENET), ("lite ", LITE)):
    ROADS[f"{_name}map 1x1"] = maps((1,), 320, **_network), "linear"
    for _size in (224, 320, 416):
        ROADS[f"{_name}map {_size}"] = maps((1, 2, 3, 6), _size, **_network), "linear"
        ROADS[f"{_name}root {_size}"] = maps((1, 2, 3, 6), _size, ("power", "l2"), **_network), "linear"
LEARNED_FROM_TRAINING = (
    "words",
    "phow",
    "scspm",
    "llc",
    "vlad",
    "fisher",
)  # beginnings of the names of roads with a codebook
SIZES = ["map 224", "map 320", "map 416"]
ROOTS = ["root 224", "root 320", "root 416"]
LITE_ROOTS = [f"lite {road}" for road in ROOTS]
BEST = [("fisher mirrored", 1.0), ("words mirrored", 0.25), ("census mirrored", 0.25)]
ROWS: dict[str, tuple[list[tuple[str, float]], list[str]]] = {  # handcrafted roads with weights, maps
    "bag of words (`lazebnik2006(levels=(1,))`)": ([("words 1x1", 1.0)], []),
    "spatial pyramid matching (`lazebnik2006()`)": ([("words", 1.0)], []),
    "`phow2008()`": ([("phow", 1.0)], []),
    "`scspm2009()`": ([("scspm", 1.0)], []),
    "`llc2010()`": ([("llc", 1.0)], []),
    "`vlad2010()`": ([("vlad", 1.0)], []),
    "`fisher2010()`": ([("fisher", 1.0)], []),
    "`best_handcrafted()`": (BEST, []),
    "MobileNetV2's last map, global max (`spp2014(..., size=320, levels=(1,))`)": ([], ["map 1x1"]),
    "the same with SPP (`spp2014(..., size=320)`)": ([], ["map 320"]),
    "SPP at 224, 320 and 416 (`KernelSum`)": ([], SIZES),
    'the same, square roots of the values (`norm=("power", "l2")`)': ([], ROOTS),
    "words + SPP (`hybrid(..., size=320)`)": ([("words", 1.0)], ["map 320"]),
    "words + SPP at three sizes, square roots (`KernelSum`)": ([("words", 1.0)], ROOTS),
    "fisher2010 + SPP at three sizes, square roots (`KernelSum`)": ([("fisher", 1.0)], ROOTS),
    "best_handcrafted + SPP at three sizes, square roots (`KernelSum`)": (BEST, ROOTS),
    "EfficientNet-lite0's last map, global max (`spp2014(..., size=320, levels=(1,))`)": ([], ["lite map 1x1"]),
    "EfficientNet-lite0 with SPP (`spp2014(..., size=320)`)": ([], ["lite map 320"]),
    "EfficientNet-lite0 with SPP at 224, 320 and 416, square roots (`KernelSum`)": ([], LITE_ROOTS),
    "best_handcrafted + EfficientNet-lite0 with SPP at three sizes, square roots (`KernelSum`)": (BEST, LITE_ROOTS),
    "the same + MobileNetV2 with SPP at three sizes, beside EfficientNet-lite0's": (BEST, [*LITE_ROOTS, *ROOTS]),
}


class Kernels:
    """Every road's kernel of all images with the training images of a split, kept in a folder.

    Parameters
    ----------
    images : list of str
    folder : Path
    """

    def __init__(self, images: list[str], folder: Path) -> None:
        self.images, self.folder = images, folder
        folder.mkdir(parents=True, exist_ok=True)

    def of(self, road: str, split: str, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        """Return the kernel, of shape (n, n_train); where something is learned, zeros for images of neither part."""
        learned = road.startswith(LEARNED_FROM_TRAINING)
        file = self.folder / f"{road}_{split if learned else 'all'}.npy".replace(" ", "_")
        if not file.exists():
            make, kernel = ROADS[road]
            vectorizer = make(seed).fit([self.images[i] for i in train])
            used = np.concatenate([train, test]) if learned else np.arange(len(self.images))
            vectors = vectorizer.transform([self.images[i] for i in used])
            gram = np.zeros((len(self.images), len(train) if learned else len(used)), dtype=np.float32)
            gram[used] = evaluate_kernel(kernel, vectors, vectors[: gram.shape[1]], n_jobs=-1)
            np.save(file, gram)
            print(f"{road}, {split}: made", flush=True)
        gram = np.load(file, mmap_mode="r")
        return gram if learned else gram[:, train]

    def sum(self, handcrafted: list[tuple[str, float]], networks: list[str], weight: float, *split) -> np.ndarray:
        """Return the sum of the handcrafted roads' kernels and `weight` times the mean of the networks'."""
        total = sum(np.float32(own) * self.of(road, *split) for road, own in handcrafted)
        return total + weight * sum(self.of(road, *split) for road in networks) / max(len(networks), 1)


def accuracy(gram: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    svm = spm.KernelSVC(kernel="precomputed", C=C, n_jobs=-1).fit(gram[train], labels[train])
    return 100 * balanced_accuracy_score(labels[test], svm.predict(gram[test]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--name", default="headline", help="of the table under results/")
    parser.add_argument("--rows", nargs="*", default=[""], help="only rows whose title holds one of these texts")
    parser.add_argument("--kernels", type=Path, default=Path(tempfile.gettempdir()) / "spm-headline")
    arguments = parser.parse_args()
    images, labels = scene15()
    fixed = scene15_fixed()
    kernels = Kernels(images, arguments.kernels)
    inner_cv = spm.PerClassShuffleSplit(n_train=50, n_splits=3, random_state=0).split(fixed[0], labels[fixed[0]])
    inner = [(f"inner{i}", fixed[0][a], fixed[0][b]) for i, (a, b) in enumerate(inner_cv)]
    random_cv = spm.PerClassShuffleSplit(n_train=100, n_splits=max(arguments.splits, 1), random_state=0)
    tens = [(f"random{i}", *split) for i, split in enumerate(random_cv.split(images, labels))][: arguments.splits]

    def scores(
        parts: tuple[list[tuple[str, float]], list[str]],
        weight: float,
        splits: list[tuple[str, np.ndarray, np.ndarray]],
    ):
        return [
            accuracy(kernels.sum(*parts, weight, name, train, test, seed), labels, train, test)
            for seed, (name, train, test) in enumerate(splits)
        ]

    rows, choices = [], []
    chosen_rows = {title: parts for title, parts in ROWS.items() if any(text in title for text in arguments.rows)}
    for title, parts in chosen_rows.items():
        weight = 1.0
        if all(parts):
            means = {w: float(np.mean(scores(parts, w, inner))) for w in WEIGHTS}
            weight = max(means, key=means.__getitem__)
            choices.append([title, *(f"{mean:.1f}" for mean in means.values()), f"{weight:g}"])
        (one,) = scores(parts, weight, [("fixed", *fixed)])
        ten = np.array(scores(parts, weight, tens))
        rows.append([title, f"{one:.1f}", f"{ten.mean():.1f} ± {ten.std():.1f}" if len(ten) else "-"])
        print(rows[-1], flush=True)
    note = f"Mean per-class accuracy, 100 images a class to train, SVM one against the rest, C = {C:g}."
    head = ["road", "fixed split", f"{arguments.splits} random splits"]
    blocks = [note, table(head, rows)]
    if choices:
        blocks.append("What the network's kernel counts, by the mean of three splits inside the fixed training set:")
        blocks.append(table(["sum", *(f"weight {w:g}" for w in WEIGHTS), "chosen"], choices))
    keep(arguments.name, "15-Scene: both roads, and both together", *blocks)


if __name__ == "__main__":
    main()
