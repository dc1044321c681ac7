"""Slow, obvious twins of the fast routines, written from their definitions: loops, exact fractions and float64."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

# --- dense SIFT -------------------------------------------------------------------------------------------------------


def dense_sift(
    image: np.ndarray,
    *,
    patch_size: int = 16,
    step: int = 8,
    smoothing: float = 0.0,
    window: str = "gaussian",
    norm: str = "lowe",
    root: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    magnitude, angle = gradients(image, smoothing * patch_size / 4)
    values, centres = [], []
    for top in starts(image.shape[0], patch_size, step):
        for left in starts(image.shape[1], patch_size, step):
            sums = patch_sums(magnitude, angle, top, left, patch_size, window)
            values.append(normalise_sift(sums, norm, root))
            centres.append([left + patch_size / 2, top + patch_size / 2])
    return np.array(values).reshape(-1, 128), np.array(centres).reshape(-1, 2)


def starts(length: int, patch_size: int, step: int) -> list[int]:
    """As many patches as fit, the pixels left over shared between both sides, the odd one on the far side."""
    n = 0
    while patch_size + n * step <= length:
        n += 1
    left_over = length - (patch_size + (n - 1) * step)
    return [left_over // 2 + k * step for k in range(n)]


def gradients(image: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Magnitude, and angle counter-clockwise in degrees 0..360, of every pixel."""
    grey = blur(image / 255, sigma)
    height, width = grey.shape
    magnitude, angle = np.zeros(grey.shape), np.zeros(grey.shape)
    for y in range(height):
        for x in range(width):
            right = grey[y, min(x + 1, width - 1)] - grey[y, max(x - 1, 0)]
            up = grey[max(y - 1, 0), x] - grey[min(y + 1, height - 1), x]
            magnitude[y, x] = math.hypot(right, up)
            angle[y, x] = np.degrees(np.arctan2(up, right)) % 360
    if sigma > 0:
        magnitude[magnitude <= 1e-6] = 0
    return magnitude, angle


def blur(grey: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with an explicit kernel cut off at four sigma, the border pixels repeated."""
    if sigma == 0:
        return grey
    radius = math.ceil(4 * sigma)
    kernel = np.array([math.exp(-(t**2) / (2 * sigma**2)) for t in range(-radius, radius + 1)])
    kernel /= kernel.sum()
    padded = np.pad(grey, radius, mode="edge")
    down = sum(kernel[t] * padded[t : t + grey.shape[0]] for t in range(len(kernel)))
    return sum(kernel[t] * down[:, t : t + grey.shape[1]] for t in range(len(kernel)))


def patch_sums(
    magnitude: np.ndarray, angle: np.ndarray, top: int, left: int, patch_size: int, window: str
) -> np.ndarray:
    """The votes of all pixels for 4 x 4 cells and 8 orientations, in that order: shape (128,)."""
    cell = patch_size / 4
    sums = np.zeros((4, 4, 8))
    for y in range(magnitude.shape[0]):
        for x in range(magnitude.shape[1]):
            v, u = y + 0.5 - top, x + 0.5 - left  # the pixel's centre, from the patch's corner
            if not (-cell < v < patch_size + cell and -cell < u < patch_size + cell):
                continue
            vote = magnitude[y, x]
            if window == "gaussian":
                squared = (v - patch_size / 2) ** 2 + (u - patch_size / 2) ** 2
                vote *= math.exp(-squared / (2 * (patch_size / 2) ** 2))
            for i in range(4):
                for j in range(4):
                    near = max(0, 1 - abs(v / cell - (i + 0.5))) * max(0, 1 - abs(u / cell - (j + 0.5)))
                    if near == 0:
                        continue
                    for o in range(8):
                        turn = abs(angle[y, x] - 45 * o)
                        sums[i, j, o] += vote * near * max(0, 1 - min(turn, 360 - turn) / 45)
    return sums.ravel()


def normalise_sift(sums: np.ndarray, norm: str, root: bool) -> np.ndarray:
    length = math.sqrt(sum(value**2 for value in sums))
    if length == 0:
        return sums
    if norm == "lowe" or length > 1:
        clipped = [min(value / length, 0.2) for value in sums]
        length = math.sqrt(sum(value**2 for value in clipped))
        sums = np.array([value / length for value in clipped])
    if root:
        sums = np.array([math.sqrt(value / sum(sums)) for value in sums])
    return sums


# --- the pyramid ------------------------------------------------------------------------------------------------------


def pool(codes, extents, regions, border, grids, how) -> np.ndarray:
    """Pool dense codes (N, D) by the one pooling rule: a feature belongs to every cell that its extent overlaps."""
    height, width = border
    pooled = []
    for ax, ay, bx, by in regions:
        cells = []
        for rows, columns in grids:
            in_row = [[overlaps(e[1], e[3], i, rows, ay, by, height) for e in extents] for i in range(rows)]
            in_column = [[overlaps(e[0], e[2], j, columns, ax, bx, width) for e in extents] for j in range(columns)]
            for i in range(rows):
                for j in range(columns):
                    inside = [f for f in range(len(codes)) if in_row[i][f] and in_column[j][f]]
                    cells.append(reduce(codes[inside], how))
        pooled.append(cells)
    return np.array(pooled, dtype=np.float64).reshape(len(pooled), -1, codes.shape[1])


def overlaps(lo, hi, i, n, a, b, border) -> bool:
    """Whether [lo, hi), or the point lo == hi, overlaps cell i of the n cells of [a, b); exact."""
    lo, hi, a, b = Fraction(float(lo)), Fraction(float(hi)), Fraction(float(a)), Fraction(float(b))
    start, stop = a + i * (b - a) / n, a + (i + 1) * (b - a) / n
    if lo == hi:
        return start <= lo < stop or (lo == stop == b == border)
    return lo < stop and hi > start


def reduce(codes: np.ndarray, how: str) -> np.ndarray:
    if len(codes) == 0:
        return np.zeros(codes.shape[1])
    return {"sum": codes.sum(axis=0), "mean": codes.mean(axis=0), "max": codes.max(axis=0)}[how]


def written_out(words, weights, moments, n_words) -> np.ndarray:
    """The codes q (x) m of shape (N, n_words * M), word by word."""
    n_moments = moments.shape[1]
    codes = np.zeros((len(words), n_words * n_moments))
    for n in range(len(words)):
        for word, weight in zip(words[n], weights[n], strict=True):
            for m in range(n_moments):
                codes[n, word * n_moments + m] += weight * moments[n, m]
    return codes


def lazebnik_weights(n_levels: int) -> list[float]:
    last = n_levels - 1
    return [1 / 2**last if level == 0 else 1 / 2 ** (last - level + 1) for level in range(n_levels)]


# --- normalisation ----------------------------------------------------------------------------------------------------


def normalise(vector: np.ndarray, names: tuple[str, ...], n_levels: int = 1) -> np.ndarray:
    """One vector of shape (D,)."""
    values = [float(value) for value in vector]
    for name in names:
        if name == "power":
            values = [math.copysign(math.sqrt(abs(value)), value) for value in values]
        else:
            size = sum(map(abs, values)) / n_levels if name == "l1" else math.sqrt(sum(v**2 for v in values))
            values = [value / size if size > 0 else value for value in values]
    return np.array(values)


# --- codebooks --------------------------------------------------------------------------------------------------------


def squared_distances(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    X, centers = X.astype(np.float64), centers.astype(np.float64)
    return np.array([[sum((x - c) ** 2) for c in centers] for x in X])


def nearest_words(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return np.array([min(range(len(centers)), key=lambda k: row[k]) for row in squared_distances(X, centers)])


def lloyd_step(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Every centre moved to the mean of its descriptors; a centre without any stays."""
    nearest = nearest_words(X, centers)
    members = [X[nearest == k].astype(np.float64) for k in range(len(centers))]
    return np.array([m.mean(axis=0) if len(m) else c for m, c in zip(members, centers, strict=True)])


def inertia(X: np.ndarray, centers: np.ndarray) -> float:
    return float(squared_distances(X, centers).min(axis=1).sum())


# --- kernels ----------------------------------------------------------------------------------------------------------


def histogram_intersection(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    A, B = np.asarray(A, dtype=np.float64), np.asarray(B, dtype=np.float64)
    return np.array([[np.where(a < b, a, b).sum() for b in B] for a in A]).reshape(len(A), len(B))


def chi2(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    A, B = np.asarray(A, dtype=np.float64), np.asarray(B, dtype=np.float64)
    gram = np.zeros((len(A), len(B)))
    for i, a in enumerate(A):
        for k, b in enumerate(B):
            both = (a > 0) & (b > 0)
            gram[i, k] = (2 * a[both] * b[both] / (a[both] + b[both])).sum()
    return gram
