"""Encoders over the cells of a map, on one road with pooling the map itself; and many views of an image."""

from __future__ import annotations

import argparse
import tempfile
import time

from _common import data_home, keep, scene15, scene15_fixed, table
from sklearn.decomposition import PCA
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline

import spm

ROWS = {  # encoder, reduction, pooling, norm, kernel
    "the map itself": (None, None, "max", "l2", "linear"),
    "BagOfWords(n_words=256)": (spm.BagOfWords(n_words=256), None, "sum", "l1", "intersection"),
    "SoftAssignment(n_words=256)": (spm.SoftAssignment(n_words=256), None, "sum", "l1", "intersection"),
    "LLC(n_words=1024)": (spm.LLC(n_words=1024), None, "max", "l2", "linear"),
    "VLAD(n_words=64)": (spm.VLAD(n_words=64), PCA(64), "sum", ("power", "l2"), "linear"),
    "FisherVector(n_words=64)": (spm.FisherVector(n_words=64), PCA(64), "sum", ("power", "l2"), "linear"),
}
VIEWS = {"sizes": (224, 320, 416), "flip": False, "n_jobs": -1}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=320)
    arguments = parser.parse_args()
    images, labels = scene15()
    train, test = scene15_fixed()
    network = data_home() / "weights" / "mobilenetv2_1.0_features.onnx"
    split = [images[i] for i in train], labels[train], [images[i] for i in test], labels[test]
    rows = []
    with tempfile.TemporaryDirectory() as memory:  # the network runs once over every image

        def road(row: str, levels: tuple[int, ...], kept: str | None = memory):
            encoder, reduce, pool, norm, kernel = ROWS[row]
            vectorizer = spm.PyramidVectorizer(
                features=spm.FeatureMap(network, preprocess="tf", size=arguments.size),
                encoder=encoder,
                reduce=reduce,
                pyramid=spm.SpatialPyramid(levels=levels, pool=pool, weights="lazebnik" if pool == "sum" else None),
                norm=norm,
                memory=kept,
                random_state=0,
                n_jobs=-1,
            )
            return make_pipeline(vectorizer, spm.KernelSVC(kernel=kernel, C=10.0, n_jobs=-1))

        models = {
            f"{row}, {'/'.join(map(str, levels))}": road(row, levels) for row in ROWS for levels in ((1,), (1, 2, 4))
        }
        windows = spm.MultiViewClassifier(road("the map itself", (1, 2, 4), None), **VIEWS)
        models[f"the map itself, 1/2/4, windows of maps at {VIEWS['sizes']}"] = windows
        for name, model in models.items():
            start = time.perf_counter()
            accuracy = 100 * balanced_accuracy_score(split[3], model.fit(*split[:2]).predict(split[2]))
            rows.append([name, f"{accuracy:.1f}", f"{time.perf_counter() - start:.0f}"])
            print(rows[-1], flush=True)
    note = (
        f"MobileNetV2's last map, side {arguments.size}; 15-Scene, fixed split, mean per-class accuracy, C=10. "
        "The seconds are those of training and testing; the maps are made in the first row and remembered."
    )
    keep("codes_over_cells", "Codes over the cells of a map", note, table(["road", "accuracy", "seconds"], rows))


if __name__ == "__main__":
    main()
