"""15-Scene's fixed split the straightforward way: OpenCV, scikit-learn and scipy as they come, no spm.

The same grid, patch, vocabulary size, pyramid, kernel and cost as the preset `lazebnik2006`. One image at a time, so
that memory is bounded; each library uses the threads it takes by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import balanced_accuracy_score
from sklearn.svm import SVC

PATCH, STEP, N_WORDS, LEVELS, WEIGHTS = 16, 8, 200, (1, 2, 4), (0.25, 0.25, 0.5)


def describe(path: str, sift: cv2.SIFT) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    height, width = image.shape
    xs = np.arange((width - PATCH) % STEP // 2, width - PATCH + 1, STEP) + PATCH / 2
    ys = np.arange((height - PATCH) % STEP // 2, height - PATCH + 1, STEP) + PATCH / 2
    points = [cv2.KeyPoint(float(x), float(y), PATCH / 6, 0) for y in ys for x in xs]
    points, values = sift.compute(image, points)
    return values, np.array([point.pt for point in points]), (height, width)


def pyramid(words: np.ndarray, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    parts = []
    for side, weight in zip(LEVELS, WEIGHTS, strict=True):
        columns = np.minimum((points[:, 0] * side / width).astype(int), side - 1)
        rows = np.minimum((points[:, 1] * side / height).astype(int), side - 1)
        for row in range(side):
            for column in range(side):
                cell = words[(rows == row) & (columns == column)]
                parts.append(weight * np.bincount(cell, minlength=N_WORDS) / len(words))
    return np.concatenate(parts)


def intersection(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """min(a, b) = (a + b - |a - b|) / 2, summed."""
    return (A.sum(axis=1)[:, None] + B.sum(axis=1)[None, :] - cdist(A, B, "cityblock")) / 2


def main(folder: str, train_list: str) -> None:
    paths = sorted(str(path.relative_to(folder)) for path in Path(folder).glob("*/*.jpg"))
    labels = np.array([path.split("/")[0] for path in paths])
    listed = set(Path(train_list).read_text().split())
    is_train = np.array([path in listed for path in paths])
    sift, random = cv2.SIFT_create(), np.random.default_rng(0)
    sample = []
    for path in random.permutation(np.array(paths)[is_train])[:500]:
        values = describe(f"{folder}/{path}", sift)[0]
        sample.append(values[random.permutation(len(values))[:200]])
    kmeans = KMeans(N_WORDS, n_init=1, random_state=0).fit(np.concatenate(sample))
    vectors = []
    for path in paths:
        values, points, size = describe(f"{folder}/{path}", sift)
        vectors.append(pyramid(kmeans.predict(values), points, size))
    vectors = np.array(vectors)
    train, test = vectors[is_train], vectors[~is_train]
    machine = SVC(kernel="precomputed", C=10).fit(intersection(train, train), labels[is_train])
    predicted = machine.predict(intersection(test, train))
    print(f"{100 * balanced_accuracy_score(labels[~is_train], predicted):.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
