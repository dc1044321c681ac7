"""Sixteen small functions, each with one mistake that people really make: find it and mend it.

A docstring says what its function ought to do. ``python check.py`` says which of them do.
"""

import math

import numpy as np


def level_weights(n_levels):
    """Return what each level of a spatial pyramid counts, level 0 being the whole image (Lazebnik 2006, equation 3)."""
    return 2.0 ** np.arange(1 - n_levels, 1)


def cell_of(x, width, n):
    """Return which of the n cells of an image the place x in 0..width lies in; the right border is in the last."""
    return min(round(x * n / width), n - 1)


def word_histogram(words, n_words):
    """Count how often each of the words 0, 1, ..., n_words - 1 occurs."""
    return np.histogram(words, bins=range(n_words))[0]


def pyramid_counts(words, rows, columns, n_words, levels):
    """Count each word in each cell of a pyramid.

    `rows[n]` and `columns[n]`, in 0..1, say where the word `words[n]` lies. The counts of all cells come one after the
    other, by level, row and column, in one vector.
    """
    counts = []
    for n in levels:
        i = np.minimum(np.floor(rows * n), n - 1)
        j = np.minimum(np.floor(columns * n), n - 1)
        for row in range(n):
            for column in range(n):
                inside = words[(i == row) & (j == column)]
                if len(inside) == 0:
                    continue
                counts.append(np.bincount(inside, minlength=n_words))
    return np.concatenate(counts)


def normalise_pyramid(counts, n_levels):
    """Make the pyramids of small and large images comparable.

    `counts` has a row for each cell, all levels one below the other. Every level adds up to 1, as it would if each
    image had one local feature in all.
    """
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def similarity(a, b):
    """Return the intersection of two images' word counts: 1 for equal contents, whatever the images' sizes."""
    return np.minimum(a, b).sum()


def pyramid_match(a, b, weights):
    """Return the pyramid match kernel: every value's intersection times the weight of its level, added up."""
    return np.minimum(np.sqrt(weights) * a, np.sqrt(weights) * b).sum()


def cell_descriptors(image, n, describe):
    """Add up the descriptors of an image's patches in each of n x n cells, by row and column.

    `describe(image)` returns the descriptors (N, D) of all patches that fit, and the patches' centres (N, 2), x and y.
    """
    height, width = image.shape
    sums = []
    for i in range(n):
        for j in range(n):
            cell = image[i * height // n : (i + 1) * height // n, j * width // n : (j + 1) * width // n]
            descriptors, _ = describe(cell)
            sums.append(descriptors.sum(axis=0))
    return np.array(sums)


def normalise_descriptor(sums):
    """Normalise one SIFT descriptor so that flat patches stay near zero, as Lazebnik's own code does.

    Cut to length 1, clipped at 0.2, cut to length 1 again.
    """
    clipped = np.minimum(sums / np.linalg.norm(sums), 0.2)
    return clipped / np.linalg.norm(clipped)


def spp_bins(size, n):
    """Return the first cell of each of n bins over a map of that size, and the one behind its last: shape (n, 2).

    No bin is empty or has padding in it, and every cell is in a bin (He 2014, section 2.2).
    """
    side = math.ceil(size / n)
    padding = math.ceil((side * n - size) / 2)
    starts = np.arange(n) * side - padding
    return np.clip(np.stack([starts, starts + side], axis=1), 0, size)


def spp_vector(maps, n):
    """Max-pool maps of shape (C, h, w) into n x n bins: C * n * n values, whatever h and w, by bin and channel."""
    _, h, w = maps.shape
    window, stride = (math.ceil(h / n), math.ceil(w / n)), (h // n, w // n)
    pooled = []
    for top in range(0, h - window[0] + 1, stride[0]):
        for left in range(0, w - window[1] + 1, stride[1]):
            pooled.append(maps[:, top : top + window[0], left : left + window[1]].max(axis=(1, 2)))
    return np.concatenate(pooled)


def maximum_of(maps):
    """Return the maximum of each channel of maps of shape (C, h, w)."""
    found = np.zeros(len(maps))
    for c, channel in enumerate(maps):
        for row in channel:
            for value in row:
                found[c] = max(found[c], value)
    return found


def box_on_map(box, stride, grid):
    """Take a box from pixels to cells: x0, y0, x1, y1, rounded outward, and no further than the map.

    A cell is `stride` x `stride` pixels; `grid` is the shape of the map.
    """
    width, height = grid
    x0, y0, x1, y1 = box
    left, top = math.floor(x0 / stride), math.floor(y0 / stride)
    right, bottom = math.ceil(x1 / stride), math.ceil(y1 / stride)
    return [max(left, 0), max(top, 0), min(right, width), min(bottom, height)]


def box_overlap(a, b):
    """Return the intersection over union of two boxes x0, y0, x1, y1, half-open: the pixel at x1 lies outside."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + 1, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + 1, 0)
    area_a, area_b = ((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return width * height / (area_a + area_b - width * height)


def unscale(w, b, scale):
    """Return weights and bias for vectors x that give the scores which w and b give for scale * x."""
    return scale * w, scale * b


def codebook_sample(descriptors, is_train, n, seed):
    """Draw n local features at random for k-means to learn the visual words of an experiment from.

    `descriptors` has the shape (N, D); `is_train[i]` says whether row i comes from a training image. They are returned
    in their order; all of them, if there are no more than n.
    """
    order = np.random.default_rng(seed).permutation(len(descriptors))
    return descriptors[np.sort(order[:n])]
