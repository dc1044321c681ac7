"""Images per second of every handcrafted extractor on photographs of 15-Scene, and PHOW against OpenCV's SIFT."""

from __future__ import annotations

import time
from statistics import median

import cv2
import numpy as np
from _common import keep, scene15, table

import spm
from spm._tools.parallel import single_threaded
from spm.images import read_image

PHOW = {"patch_size": (16, 24, 32, 40), "step": 4, "smoothing": 1 / 6}  # VLFeat's sizes
EXTRACTORS = {
    "DenseSIFT, 16 px, step 8": spm.DenseSIFT(),
    "DenseSIFT, 16 px, step 4": spm.DenseSIFT(step=4),
    "PHOW: 16, 24, 32, 40 px, step 4": spm.DenseSIFT(**PHOW),
    "the same, RootSIFT": spm.DenseSIFT(**PHOW, root=True),
    "the same, contrast threshold": spm.DenseSIFT(**PHOW, contrast_threshold=0.005),
    "the same, RGB": spm.DenseSIFT(**PHOW, color="rgb"),
    "the same, HSV": spm.DenseSIFT(**PHOW, color="hsv"),
    "the same, opponent": spm.DenseSIFT(**PHOW, color="opponent"),
    "sparse SIFT": spm.KeypointFeatures(),
    "sparse SIFT, upright": spm.KeypointFeatures(upright=True),
    "ORB": spm.KeypointFeatures(detector="ORB"),
    "AKAZE": spm.KeypointFeatures(detector="AKAZE"),
    "edge points": spm.EdgePoints(),
    "census": spm.CensusTransform(),
    "census, two scales": spm.CensusTransform(shrink=(1, 2)),
}


def seconds_each(function, images, rounds: int = 5) -> float:
    """Return the least over the rounds of the mean time of an image."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for image in images:
            function(image)
        times.append((time.perf_counter() - start) / len(images))
    return min(times)


def key_points(image: np.ndarray, local: spm.LocalFeatures) -> list[cv2.KeyPoint]:
    """Return the patches of PHOW as OpenCV's key points; one cell is 1.5 times a key point's size."""
    sizes = sizes_of(image).tolist()
    return [
        cv2.KeyPoint(float(x) - 0.5, float(y) - 0.5, size / 6, 0)
        for (x, y, _, _), size in zip(local.extents, sizes, strict=True)
    ]


def sizes_of(image: np.ndarray) -> np.ndarray:
    """Return the patch size of every descriptor of PHOW: a size by itself, on the lattice of all, has as many."""
    smallest = spm.DenseSIFT(step=PHOW["step"]).extract(image).extents
    x, y = smallest[:, 0], smallest[:, 1]
    inner = np.minimum.reduce([x, image.shape[1] - x, y, image.shape[0] - y])
    return np.concatenate([np.full((inner >= size / 2).sum(), size) for size in PHOW["patch_size"]])


def main() -> None:
    paths, labels = scene15()
    chosen = [int(np.flatnonzero(labels == name)[3]) for name in np.unique(labels)]
    images = [read_image(paths[i], "grey") for i in chosen]
    rows = []
    with single_threaded():
        for name, features in EXTRACTORS.items():
            found = [sum(len(local) for local in features.views(image)[0]) for image in images]  # compiles, too
            each = seconds_each(features.views, images)
            width = features.extract(images[0]).values.shape[1]
            rows.append([name, f"{np.mean(found):.0f} x {width}", f"{1e3 * each:.2f}", f"{1 / each:.0f}"])
        phow, sift, ours, theirs = spm.DenseSIFT(**PHOW), cv2.SIFT_create(), [], []
        points = [(image, key_points(image, phow.extract(image))) for image in images]
        for _ in range(3):
            ours.append(seconds_each(phow.extract, images, 1))
            theirs.append(seconds_each(lambda task: sift.compute(*task), points, 1))
    side = f"{np.mean([image.shape[1] for image in images]):.0f} x {np.mean([image.shape[0] for image in images]):.0f}"
    note = f"{len(images)} grey photographs, one of each class, {side} pixels on average; one thread, best of 5 rounds."
    ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
    against = (
        f"PHOW (four sizes, step 4): {1e3 * median(ours):.1f} ms an image; OpenCV's SIFT at the same patches "
        f"{1e3 * median(theirs):.1f} ms: {ratio:.1f} times as long (3 pairs, in turn)."
    )
    head = ["features", "rows x values, mean", "ms an image", "images a second"]
    keep("handcrafted_features", "The handcrafted extractors", note, table(head, rows), against)


if __name__ == "__main__":
    main()
