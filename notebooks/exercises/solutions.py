"""The fifteen functions of ``exercises.py`` mended; a comment in each says what was wrong."""

import math

import numpy as np


def level_weights(n_levels):
    """Return what each level of a spatial pyramid counts, level 0 being the whole image (Lazebnik 2006, equation 3)."""
    # 1/4, 1/2, 1 is what a match first found at a level counts. A level holds the matches of all finer ones as well, so
    # its own weight is what it adds to that of the level before: 1/4, 1/2 - 1/4, 1 - 1/2.
    return 0.5 ** np.array([n_levels - 1, *range(n_levels - 1, 0, -1)])


def cell_of(x, width, n):
    """Return which of the n cells of an image the place x in 0..width lies in; the right border is in the last."""
    # Rounding moves every cell by half its width; a cell is the whole part of x * n / width.
    return min(math.floor(x * n / width), n - 1)


def word_histogram(words, n_words):
    """Count how often each of the words 0, 1, ..., n_words - 1 occurs."""
    # np.histogram takes edges: range(n_words) are those of n_words - 1 bins, the last two words falling into one.
    return np.bincount(words, minlength=n_words)


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
                # An empty cell is zeros: left out, it moves all cells behind it, and the vector is too short.
                inside = words[(i == row) & (j == column)]
                counts.append(np.bincount(inside, minlength=n_words))
    return np.concatenate(counts)


def normalise_pyramid(counts, n_levels):
    """Make the pyramids of small and large images comparable.

    `counts` has a row for each cell, all levels one below the other. Every level adds up to 1, as it would if each
    image had one local feature in all.
    """
    # Divided cell by cell, a cell with one feature counts as much as one with a thousand: divide by the image's total.
    return counts * n_levels / max(counts.sum(), 1)


def similarity(a, b):
    """Return the intersection of two images' word counts: 1 for equal contents, whatever the images' sizes."""
    # The intersection of plain counts measures how large the images are.
    return np.minimum(a / a.sum(), b / b.sum()).sum()


def pyramid_match(a, b, weights):
    """Return the pyramid match kernel: every value's intersection times the weight of its level, added up."""
    # min(w a, w b) = w min(a, b): the weight goes in once. Roots are for inner products, where it would come in twice.
    return np.minimum(weights * a, weights * b).sum()


def cell_descriptors(image, n, describe):
    """Add up the descriptors of an image's patches in each of n x n cells, by row and column.

    `describe(image)` returns the descriptors (N, D) of all patches that fit, and the patches' centres (N, 2), x and y.
    """
    # Described cell by cell, the patches across the cells' borders are lost, and lattices and gradients change.
    height, width = image.shape
    descriptors, centres = describe(image)
    j, i = np.minimum(np.floor(centres * n / [width, height]), n - 1).T
    return np.array([descriptors[(i == row) & (j == column)].sum(axis=0) for row in range(n) for column in range(n)])


def normalise_descriptor(sums):
    """Normalise one SIFT descriptor so that flat patches stay near zero, as Lazebnik's own code does.

    Cut to length 1, clipped at 0.2, cut to length 1 again.
    """
    # What is shorter than 1 was made longer: the noise of a flat patch became as strong as an edge.
    length = np.linalg.norm(sums)
    if length <= 1:
        return sums
    clipped = np.minimum(sums / length, 0.2)
    return clipped / np.linalg.norm(clipped)


def spp_bins(size, n):
    """Return the first cell of each of n bins over a map of that size, and the one behind its last: shape (n, 2).

    No bin is empty or has padding in it, and every cell is in a bin (He 2014, section 2.2).
    """
    # Bins of one whole width do not fit: 6 of 3 need 18 cells, and of the paper's 13 the first bin sees none.
    return np.array([[math.floor(i * size / n), math.ceil((i + 1) * size / n)] for i in range(n)])


def spp_vector(maps, n):
    """Max-pool maps of shape (C, h, w) into n x n bins: C * n * n values, whatever h and w, by bin and channel."""
    # Windows of ceil(h / n) every floor(h / n) are 9, not 6, over 10 cells: the length changed with the image.
    _, h, w = maps.shape
    pooled = [
        maps[:, top:bottom, left:right].max(axis=(1, 2))
        for top, bottom in spp_bins(h, n)
        for left, right in spp_bins(w, n)
    ]
    return np.concatenate(pooled)


def maximum_of(maps):
    """Return the maximum of each channel of maps of shape (C, h, w)."""
    # From 0 on only maps after a ReLU come out right: a channel below zero everywhere became 0.
    found = np.full(len(maps), -np.inf)
    for c, channel in enumerate(maps):
        for row in channel:
            for value in row:
                found[c] = max(found[c], value)
    return found


def box_on_map(box, stride, grid):
    """Take a box from pixels to cells: x0, y0, x1, y1, rounded outward, and no further than the map.

    A cell is `stride` x `stride` pixels; `grid` is the shape of the map.
    """
    # The shape of an array is rows, then columns: height, then width. On square maps nobody sees the difference.
    height, width = grid
    x0, y0, x1, y1 = box
    left, top = math.floor(x0 / stride), math.floor(y0 / stride)
    right, bottom = math.ceil(x1 / stride), math.ceil(y1 / stride)
    return [max(left, 0), max(top, 0), min(right, width), min(bottom, height)]


def box_overlap(a, b):
    """Return the intersection over union of two boxes x0, y0, x1, y1, half-open: the pixel at x1 lies outside."""
    # "+ 1" counts the last pixel of a box that has it; here it gave boxes that only touch an overlap.
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    area_a, area_b = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (area_a + area_b - width * height)


def unscale(w, b, scale):
    """Return weights and bias for vectors x that give the scores which w and b give for scale * x."""
    # w . (scale x) + b = (scale w) . x + b: the bias stays as it is.
    return scale * w, b


def codebook_sample(descriptors, is_train, n, seed):
    """Draw n local features at random for k-means to learn the visual words of an experiment from.

    `descriptors` has the shape (N, D); `is_train[i]` says whether row i comes from a training image. They are returned
    in their order; all of them, if there are no more than n.
    """
    # Words learned from test images have seen the test: all that is learned is learned from training images.
    order = np.random.default_rng(seed).permutation(np.flatnonzero(is_train))
    return descriptors[np.sort(order[:n])]
