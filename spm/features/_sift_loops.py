"""The compiled loops of dense SIFT: gradients in, descriptors of a lattice of patches out."""

from __future__ import annotations

import numpy as np

from .._tools.numba import njit

BIN = np.float32(8 / (2 * np.pi))  # orientations in a radian


@njit(fastmath={"contract", "nsz"})
def _vote(magnitude: np.ndarray, angle: np.ndarray, y: int, votes: np.ndarray) -> None:
    """Spread the gradients of row `y` over the orientations, into a row of the ring."""
    r = y % len(votes)
    for x in range(magnitude.shape[1]):
        orientation = angle[y, x] * BIN
        size = magnitude[y, x]
        for o in range(8):
            distance = abs(orientation - np.float32(o))
            distance = min(distance, np.float32(8) - distance)
            votes[r, 8 * x + o] = size * max(np.float32(0), np.float32(1) - distance)


@njit
def _fold(parts: np.ndarray) -> float:
    """Return the sum of 64 numbers, added in one fixed order that vectorises."""
    for half in (32, 16, 8, 4, 2, 1):
        for k in range(half):
            parts[k] += parts[k + half]
    return parts[0]


@njit
def _total(row: np.ndarray, parts: np.ndarray) -> float:
    for k in range(64):
        parts[k] = row[k] + row[k + 64]
    return _fold(parts)


@njit(fastmath={"nsz"})
def _normalise(row: np.ndarray, keep_short: bool, root: bool, parts: np.ndarray) -> None:
    for k in range(64):  # written out twice: as a function it takes 4 % longer
        parts[k] = row[k] * row[k] + row[k + 64] * row[k + 64]
    length = np.sqrt(_fold(parts))
    if length > 0 and not (keep_short and length <= 1):
        scale = np.float32(1) / length
        for k in range(128):
            row[k] = min(row[k] * scale, np.float32(0.2))
        for k in range(64):
            parts[k] = row[k] * row[k] + row[k + 64] * row[k + 64]
        scale = np.float32(1) / np.sqrt(_fold(parts))
        for k in range(128):
            row[k] *= scale
    if root and length > 0:
        scale = np.float32(1) / _total(row, parts)
        for k in range(128):
            row[k] = np.sqrt(row[k] * scale)


@njit(fastmath={"contract", "nsz"})
def _sum_down(votes: np.ndarray, weights: np.ndarray, i: int, start: int, height: int, line: np.ndarray) -> None:
    """Set `line` to the weighted sum of the rows of votes under one row of cells."""
    kept, support = len(votes), weights.shape[1]
    for k in range(len(line)):
        line[k] = 0
    for t in range(0, support, 4):
        y = start + t
        w0 = weights[i, t] if 0 <= y < height else np.float32(0)
        w1 = weights[i, t + 1] if 0 <= y + 1 < height else np.float32(0)
        w2 = weights[i, t + 2] if 0 <= y + 2 < height else np.float32(0)
        w3 = weights[i, t + 3] if 0 <= y + 3 < height else np.float32(0)
        r0, r1, r2, r3 = y % kept, (y + 1) % kept, (y + 2) % kept, (y + 3) % kept
        for k in range(len(line)):
            line[k] += w0 * votes[r0, k] + w1 * votes[r1, k] + w2 * votes[r2, k] + w3 * votes[r3, k]


@njit(fastmath={"contract", "nsz"})
def _sum_across(band: np.ndarray, weights: np.ndarray, j: int, x: int, sums: np.ndarray) -> None:
    """Set `sums` to the weighted sum of the columns of `band` under one column of cells."""
    for k in range(32):
        sums[k] = 0
    for t in range(0, weights.shape[1], 4):
        w0, w1, w2, w3 = weights[j, t], weights[j, t + 1], weights[j, t + 2], weights[j, t + 3]
        for k in range(32):
            sums[k] += w0 * band[x + t, k] + w1 * band[x + t + 1, k] + w2 * band[x + t + 2, k] + w3 * band[x + t + 3, k]


@njit
def describe(
    magnitude: np.ndarray,
    angle: np.ndarray,
    tops: np.ndarray,
    lefts: np.ndarray,
    first: np.ndarray,
    weights: np.ndarray,
    keep_short: bool,
    root: bool,
    channel: int,
    values: np.ndarray,
    totals: np.ndarray,
) -> None:
    """Fill `values` of one channel: votes by row, summed down into rows of cells, then across into cells.

    `totals`, unless it is empty, takes the sums of the descriptors before their norm. `votes` holds the rows of votes
    that one row of patches needs, as a ring, and `band` the votes of its four rows of cells side by side: (x, cell row,
    orientation), with a margin of zeros where supports leave the image.
    """
    height, width = magnitude.shape
    support = weights.shape[1]
    kept = first[3] + support - first[0]
    votes = np.zeros((kept, 8 * width), dtype=np.float32)
    line = np.empty(8 * width, dtype=np.float32)
    band = np.zeros((width + 2 * support, 32), dtype=np.float32)
    sums = np.empty(32, dtype=np.float32)
    row = np.empty(128, dtype=np.float32)
    parts = np.empty(64, dtype=np.float32)
    voted = 0
    for p in range(len(tops)):
        start = tops[p] + first[0]
        for y in range(max(voted, start), min(height, start + kept)):
            _vote(magnitude, angle, y, votes)
            voted = y + 1
        for i in range(4):
            _sum_down(votes, weights, i, tops[p] + first[i], height, line)
            for x in range(width):
                for o in range(8):
                    band[support + x, 8 * i + o] = line[8 * x + o]
        for q in range(len(lefts)):
            for j in range(4):
                _sum_across(band, weights, j, support + lefts[q] + first[j], sums)
                for i in range(4):
                    for o in range(8):
                        row[8 * (4 * i + j) + o] = sums[8 * i + o]
            n = p * len(lefts) + q
            if len(totals) > 0:
                totals[n] = _total(row, parts)
            _normalise(row, keep_short, root, parts)
            for k in range(128):
                values[n, channel, k] = row[k]
