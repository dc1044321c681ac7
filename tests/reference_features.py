"""Slow, obvious twins of the handcrafted features beside dense SIFT at one scale: loops, and float64."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import reference

# --- dense SIFT at several scales, in colour --------------------------------------------------------------------------


def channels(image: np.ndarray, color: str) -> tuple[list[np.ndarray], list[float]]:
    """The channels of an image of 0..1, and the weights of their contrasts."""
    if color == "grey":
        return [image], [1]
    red, green, blue = image[:, :, 0], image[:, :, 1], image[:, :, 2]
    if color == "rgb":
        return [red, green, blue], [1 / 3, 1 / 3, 1 / 3]
    if color == "hsv":
        hsv = np.array([[colorsys.rgb_to_hsv(*pixel) for pixel in row] for row in image])
        return [hsv[:, :, 0], hsv[:, :, 1], hsv[:, :, 2]], [0, 0, 1]
    mu = 0.3 * red + 0.59 * green + 0.11 * blue
    first, second = (red - green) / math.sqrt(2), (red + green - 2 * blue) / math.sqrt(6)
    return [mu, first + 0.01 * mu, second + 0.01 * mu], [1, 0, 0]


def dense_sift(image, *, patch_size, step, smoothing, color, root, contrast_threshold):
    planes, luminance = channels(image / 255, color)
    values, centres = [], []
    for size in patch_size:
        fields = [reference.gradients(255 * plane, smoothing * size / 4) for plane in planes]
        for y in axis(image.shape[0], size, min(patch_size), step):
            for x in axis(image.shape[1], size, min(patch_size), step):
                sums = [
                    reference.patch_sums(*field, y - size // 2, x - size // 2, size, "gaussian") for field in fields
                ]
                contrast = sum(w * s.sum() for w, s in zip(luminance, sums, strict=True)) / 2 / (3 * size / 4 + 1) ** 2
                parts = [reference.normalise_sift(s, "lowe", root) for s in sums]
                values.append(np.concatenate(parts) * (contrast >= contrast_threshold))
                centres.append([x, y])
    return np.array(values), np.array(centres)


def axis(length: int, size: int, smallest: int, step: int) -> list[float]:
    """The centres, for even sizes, at which patches of the smallest size lie and one of this size fits."""
    centres = [first + smallest // 2 for first in reference.starts(length, smallest, step)]
    return [centre for centre in centres if size / 2 <= centre <= length - size / 2]


# --- words ------------------------------------------------------------------------------------------------------------


def edge_points(image: np.ndarray, sigmas: list[float], threshold: float) -> list[tuple[int, float, float]]:
    found = []
    for scale, sigma in enumerate(sigmas):
        magnitude, angle = reference.gradients(image, sigma)
        for y in range(image.shape[0]):
            for x in range(image.shape[1]):
                if magnitude[y, x] > threshold:
                    found.append((8 * scale + round(angle[y, x] / 45) % 8, x + 0.5, y + 0.5))
    return found


def census(image: np.ndarray) -> list[list[int]]:
    codes = []
    for y in range(1, image.shape[0] - 1):
        codes.append([])
        for x in range(1, image.shape[1] - 1):
            window = image[y - 1 : y + 2, x - 1 : x + 2].ravel().tolist()
            bits = ["1" if window[4] >= window[k] else "0" for k in (0, 1, 2, 3, 5, 6, 7, 8)]
            codes[-1].append(int("".join(bits), 2))
    return codes
