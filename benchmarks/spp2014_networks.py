"""15-Scene by spatial pyramid pooling over one of four networks: every pooling, input policy and size in one table.

Nothing is learned before the SVM, so each configuration is extracted once, and all poolings, the fixed split and the
splits inside its training set are read from Gram matrices of the levels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _common import data_home, keep, scene15, scene15_fixed, table
from joblib import Parallel, delayed

import spm
from spm.evaluation.protocols import Split

NETWORKS: dict[str, dict[str, Any]] = {
    "mobilenetv2": {"file": "mobilenetv2_1.0_features.onnx", "layers": ["out_relu"], "preprocess": "tf"},
    "squeezenet": {
        "file": "squeezenet1.1_fp32.onnx",
        "layers": ["fire9/concat", "fire5/concat"],
        "preprocess": {"mean": (104, 117, 123), "scale": 1.0, "order": "bgr"},
    },
    "resnet18": {"file": "resnet18_to_layer3.onnx", "layers": ["layer3.1"], "preprocess": "imagenet"},
    "vgg16": {"file": "vgg16_to_conv3_3.onnx", "layers": ["relu3_3"], "preprocess": "caffe"},
}
SIZES = (224, 320, 416)
POLICIES = ("warp", "crop", "full")
PARTS = [("mean", 1), ("mean", 2), ("mean", 4), ("max", 1), ("max", 2), ("max", 3), ("max", 4), ("max", 6)]
POOLINGS = {
    "global average": [("mean", 1)],
    "global max": [("max", 1)],
    "average 1/2/4": [("mean", n) for n in (1, 2, 4)],
    "SPP 1/2/4": [("max", n) for n in (1, 2, 4)],
    "SPP 1/2/3/6": [("max", n) for n in (1, 2, 3, 6)],
}
C = 10.0

Parts = dict[tuple[str, int], np.ndarray]  # an array for each of PARTS


def extract(features: spm.FeatureMap, images: list[str]) -> list[Parts]:
    """Return each layer's parts: vectors of all images, the mean over the views, of shape (n, cells * channels)."""
    pyramids = {(how, n): spm.SpatialPyramid(levels=(n,), pool=how) for how, n in PARTS}

    def pooled(image: str) -> list[Parts]:
        layers = zip(*features.views(image), strict=True)
        return [
            {name: np.mean([p.cells(view)[0] for view in views], axis=0).ravel() for name, p in pyramids.items()}
            for views in layers
        ]

    found: list[Parts] = []
    work = Parallel(n_jobs=2, prefer="threads", return_as="generator", batch_size=1)
    for i, layers in enumerate(work(delayed(pooled)(image) for image in images)):
        if not found:
            found = [{n: np.empty((len(images), len(v)), np.float32) for n, v in layer.items()} for layer in layers]
        for kept, layer in zip(found, layers, strict=True):
            for name, vector in layer.items():
                kept[name][i] = vector
    return found


def grams(parts: Parts) -> Parts:
    """Return the inner products of all images' vectors, part by part: each of shape (n, n)."""
    return {name: vectors @ vectors.T for name, vectors in parts.items()}


def normalised(gram: np.ndarray) -> np.ndarray:
    """Return the inner products of the vectors when each has length 1, from those of the vectors as they are."""
    lengths = np.sqrt(np.maximum(gram.diagonal(), np.finfo(np.float32).tiny))
    return gram / lengths[:, None] / lengths[None, :]


def score(gram: np.ndarray, labels: np.ndarray, splits: list[Split], C: float = C) -> np.ndarray:
    """Return the mean per-class accuracy of a linear SVM on every split, in per cent."""
    accuracies = []
    for train, test in splits:
        svm = spm.KernelSVC(kernel="precomputed", C=C, n_jobs=2).fit(gram[np.ix_(train, train)], labels[train])
        right = svm.predict(gram[np.ix_(test, train)]) == labels[test]
        accuracies.append(100 * np.mean([right[labels[test] == name].mean() for name in np.unique(labels)]))
    return np.array(accuracies)


def inner_splits(train: np.ndarray, labels: np.ndarray, n_splits: int = 3) -> list[Split]:
    """Return splits of the training images alone, half of them to train on: what options may be chosen by."""
    cv = spm.PerClassShuffleSplit(n_train=50, n_splits=n_splits, random_state=0)
    return [(train[a], train[b]) for a, b in cv.split(train, labels[train])]


def shown(accuracies: np.ndarray) -> str:
    return f"{accuracies.mean():.1f}" + (f" ± {accuracies.std():.1f}" if len(accuracies) > 1 else "")


class Bench:
    """One network on 15-Scene: extraction, Gram matrices and the rows of the table.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    folder : Path or None
        Where to leave the normalised Gram matrices of the pyramids over the full image.
    """

    def __init__(self, name: str, folder: Path | None) -> None:
        options = dict(NETWORKS[name])
        self.name, self.folder = name, folder
        self.model = data_home() / "weights" / options.pop("file")
        self.options = options
        self.images, self.labels = scene15()
        self.fixed = scene15_fixed()
        self.inner = inner_splits(self.fixed[0], self.labels)
        self.rows: list[list[str]] = []
        self.scores: dict[tuple[str, str, str], tuple[float, float]] = {}

    def run(self, policy: str, size: Any) -> None:
        """Extract with one policy and size, and add the rows of all layers and poolings."""
        features = spm.FeatureMap(self.model, policy=policy, size=size, **self.options)
        by_layer = [grams(parts) for parts in extract(features, self.images)]
        stacks = {layer: [gram] for layer, gram in zip(self.options["layers"], by_layer, strict=True)}
        if len(by_layer) > 1:
            stacks = {self.options["layers"][0]: by_layer[:1], " + ".join(self.options["layers"]): by_layer}
        shown_size = size if isinstance(size, int) else " + ".join(map(str, size))
        for layers, stack in stacks.items():
            for pooling, parts in POOLINGS.items():
                gram = normalised(sum(layer[part] for layer in stack for part in parts))
                self.add(layers, policy, str(shown_size), pooling, gram)

    def add(self, layers: str, policy: str, size: str, pooling: str, gram: np.ndarray) -> None:
        inner, fixed = score(gram, self.labels, self.inner), score(gram, self.labels, [self.fixed])
        self.scores[layers, f"{policy} {size}", pooling] = float(inner.mean()), float(fixed[0])
        self.rows.append([layers, policy, size, pooling, shown(inner), shown(fixed)])
        print(" | ".join(self.rows[-1]), flush=True)
        if self.folder is not None and policy == "full":
            file = f"{self.name}_{layers}_{size}_{pooling}.npy".replace("/", "-").replace(" ", "")
            np.save(self.folder / file, gram)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--several", action="store_true", help="also the mean of all sizes' pooled cells")
    parser.add_argument("--grams", type=Path, help="a folder for the Gram matrices")
    arguments = parser.parse_args()
    if arguments.grams is not None:
        arguments.grams.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.network, arguments.grams)
    for policy in POLICIES:
        for size in arguments.sizes:
            bench.run(policy, size)
    if arguments.several:
        bench.run("full", tuple(arguments.sizes))
    head = ["layers", "policy", "size", "pooling", "inside the training set, 3 splits", "fixed split"]
    keep(
        f"spp2014_{arguments.network}",
        f"15-Scene by SPP over {arguments.network}",
        f"Mean per-class accuracy, linear SVM, C = {C:g}, vectors of length 1.",
        table(head, bench.rows),
    )


if __name__ == "__main__":
    main()
