"""Dense SIFT against OpenCV's SIFT at the same patches, one thread, and against its own floor."""

from __future__ import annotations

import time
from statistics import median

import cv2
import numpy as np
from _common import keep, table
from sklearn.datasets import load_sample_image

from spm._tools.parallel import single_threaded
from spm.features.dense_sift import dense_sift, gradients

PATCH = 16


def seconds(function, repeats: int = 15) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def multiplications(image: np.ndarray, step: int) -> float:
    """Return the multiply-adds of separable sums: a row of patches sums 4 x 8 rows of votes, a patch 16 x 8 x 8."""
    height, width = image.shape
    rows, columns = (height - PATCH) // step + 1, (width - PATCH) // step + 1
    return rows * 4 * 8 * 8 * width + rows * columns * 16 * 8 * 8


def main() -> None:
    photograph = cv2.cvtColor(load_sample_image("china.jpg"), cv2.COLOR_RGB2GRAY)
    image = cv2.resize(photograph, (300, 250), interpolation=cv2.INTER_AREA)
    sift = cv2.SIFT_create()
    rows = []
    with single_threaded():
        for step in (8, 4):
            _, centres = dense_sift(image, patch_size=PATCH, step=step)
            points = [cv2.KeyPoint(float(x), float(y), PATCH / 6, 0) for x, y in centres]
            ours, theirs, ratios = [], [], []
            for _ in range(9):
                ours.append(seconds(lambda step=step: dense_sift(image, patch_size=PATCH, step=step)))
                theirs.append(seconds(lambda points=points: sift.compute(image, points), 4))
                ratios.append(theirs[-1] / ours[-1])
            floor = 1e3 * seconds(lambda: gradients(image, 0.0))
            rate = multiplications(image, step) / median(ours) / 1e9
            rows.append(
                [step, len(centres), f"{1e3 * median(ours):.2f}", f"{1e3 * median(theirs):.2f}",
                 f"{median(ratios):.1f}", f"{min(ratios):.1f}", f"{floor:.2f}", f"{rate:.1f}"]
            )  # fmt: skip
    head = [
        "step",
        "patches",
        "spm ms",
        "OpenCV ms",
        "ratio, median",
        "least",
        "of which gradients ms",
        "GMAC/s in all",
    ]
    note = f"300 x 250 pixels, {PATCH}-pixel patches, one thread, Gaussian window; 9 pairs, in turn."
    keep("dense_sift", "Dense SIFT against OpenCV's SIFT at the same patches", note, table(head, rows))


if __name__ == "__main__":
    main()
