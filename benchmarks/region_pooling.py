"""Thousands of regions of one image: seconds to pool and to score them, against numpy slices and a plain copy."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from _common import keep, scene15, table

import spm
from spm._tools.parallel import in_threads, single_threaded
from spm.pyramid.norms import join
from spm.pyramid.pyramid import plan_of

GRID, CHANNELS, CLASSES, STRIDE = (43, 57), 512, 20, 16
LEVELS = (1, 2, 3, 6)
PART = 64  # boxes whose vectors are held at once


def boxes_in(height: float, width: float, n: int) -> np.ndarray:
    """Return boxes whose corners are drawn alike over the image, and at least a pixel apart."""
    random = np.random.default_rng(0)
    x, y = np.sort(random.uniform(0, width, (n, 2))), np.sort(random.uniform(0, height, (n, 2)))
    return np.stack([x[:, 0], y[:, 0], x[:, 1] + 1, y[:, 1] + 1], axis=1)


def the_map() -> spm.LocalFeatures:
    height, width = GRID
    i, j = np.divmod(np.arange(height * width), width)
    extents = np.stack([j, i, j + 1, i + 1], axis=1).astype(np.float32)
    values = np.random.default_rng(0).normal(size=(height * width, CHANNELS)).astype(np.float32)
    size = (height * STRIDE, width * STRIDE)
    return spm.LocalFeatures(values, extents, GRID, (STRIDE, STRIDE), (0, 0), size)


def bins_of(regions: np.ndarray):
    """Yield the region's number, the bin's, and the bin's rows and columns."""
    for number, (x0, y0, x1, y1) in enumerate(regions.tolist()):
        h, w, cell = y1 - y0, x1 - x0, 0
        for n in LEVELS:
            for i in range(n):
                rows = slice(y0 + i * h // n, y0 - (-(i + 1) * h // n))
                for j in range(n):
                    yield number, cell, rows, slice(x0 + j * w // n, x0 - (-(j + 1) * w // n))
                    cell += 1


def sliced(values: np.ndarray, regions: np.ndarray, weights: np.ndarray, channels_first: bool) -> np.ndarray:
    """Return the scores by a loop over numpy slices of a map of shape (H, W, D), or (D, H, W)."""
    pooled = np.empty((len(regions), sum(n * n for n in LEVELS), CHANNELS), dtype=np.float32)
    for number, cell, rows, columns in bins_of(regions):
        if channels_first:
            pooled[number, cell] = values[:, rows, columns].max(axis=(1, 2))
        else:
            pooled[number, cell] = values[rows, columns].max(axis=(0, 1))
    return pooled.reshape(len(pooled), -1) @ weights.T


def ours(
    local: spm.LocalFeatures, boxes: np.ndarray, weights: np.ndarray | None, n_jobs: int, how: str = "max", norm=None
) -> np.ndarray:
    """Return the scores part by part; without weights the vectors are pooled and forgotten."""
    plan = plan_of([spm.SpatialPyramid(levels=LEVELS, pool=how)])
    pool = plan.over(local, n_boxes=len(boxes))

    def work(start: int) -> np.ndarray:
        [cells] = pool(boxes[start : start + PART])
        vectors = join([cells], norm, "vector", len(LEVELS), np.ones(cells.shape[1], np.float32)) if norm else cells
        return vectors[:, 0, 0].copy() if weights is None else vectors.reshape(len(cells), -1) @ weights.T

    return np.concatenate(in_threads(work, range(0, len(boxes), PART), n_jobs=n_jobs))


def held(local: spm.LocalFeatures, boxes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the scores with all vectors held at once, on one thread."""
    [cells] = plan_of([spm.SpatialPyramid(levels=LEVELS, pool="max")]).cells(local, boxes)
    return cells.reshape(len(cells), -1) @ weights.T


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every way, which are run one after the other, and that again."""
    for work in ways.values():
        work()  # compiles, and takes memory
    runs = [{name: seconds(work) for name, work in ways.items()} for _ in range(repeats)]
    return {name: [run[name] for run in runs] for name in ways}


def measure_map(n_boxes: int, repeats: int) -> str:
    local = the_map()
    values, boxes = local.values.reshape(*GRID, CHANNELS), boxes_in(GRID[0] * STRIDE, GRID[1] * STRIDE, n_boxes)
    first = np.ascontiguousarray(values.transpose(2, 0, 1))
    regions, length = local.to_grid(boxes).astype(int), sum(n * n for n in LEVELS) * CHANNELS
    weights = np.random.default_rng(1).normal(size=(CLASSES, length)).astype(np.float32)
    source = np.ones(values.nbytes + weights.nbytes + 4 * n_boxes * length, np.uint8)
    target, part = np.empty_like(source), np.ones((PART, length), np.float32)
    with single_threaded():
        np.testing.assert_allclose(ours(local, boxes, weights, 2), sliced(values, regions, weights, False), atol=1e-2)
        slices = "numpy slices of (H, W, D), and one product"
        ways = {
            slices: lambda: sliced(values, regions, weights, False),
            "numpy slices of (D, H, W), and one product": lambda: sliced(first, regions, weights, True),
            "pooled and scored, all vectors held, one thread": lambda: held(local, boxes, weights),
            "pooled and scored in parts, one thread": lambda: ours(local, boxes, weights, 1),
            "pooled and scored in parts, two threads": lambda: ours(local, boxes, weights, 2),
            "the same with norm=l2 in between, two threads": lambda: ours(local, boxes, weights, 2, norm="l2"),
            "pooled alone, one thread": lambda: ours(local, boxes, None, 1),
            "pooled alone, two threads": lambda: ours(local, boxes, None, 2),
            "means pooled alone, two threads": lambda: ours(local, boxes, None, 2, "mean"),
            "scored alone, one thread": lambda: [part @ weights.T for _ in range(0, n_boxes, PART)],
            "floor: np.copyto of the bytes it must read": lambda: np.copyto(target, source),
        }
        times = in_turn(ways, repeats)
    floor = times["floor: np.copyto of the bytes it must read"]
    rows = []
    for name, own in times.items():
        faster = median(a / b for a, b in zip(times[slices], own, strict=True))
        over = median(a / b for a, b in zip(own, floor, strict=True))
        rows.append([name, f"{1e3 * median(own):.1f}", f"{1e3 * min(own):.1f}", f"{faster:.1f}", f"{over:.1f}"])
    note = (
        f"{n_boxes} boxes, levels {LEVELS}, on a map of {GRID[0]} x {GRID[1]} x {CHANNELS}, {CLASSES} classes; a box "
        f"has {(regions[:, 2:] - regions[:, :2]).prod(axis=1).mean():.0f} cells in the mean. Parts have {PART} boxes. "
        f"The floor copies the map, the weights and each pooled value once: {source.nbytes / 1e6:.0f} MB, one thread. "
        f"Median and least milliseconds of {repeats} runs in turn; ratios are medians of pairs of one run."
    )
    return "\n\n".join([note, table(["", "ms, median", "ms, least", "times the slices", "times the floor"], rows)])


def measure_words(n_boxes: int, repeats: int) -> dict[str, float]:
    """Return the least seconds for the boxes of one photograph's words, and for the photograph itself."""
    images, _ = scene15()
    vectorizer = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=200), random_state=0).fit(images[::300])
    [(local, codes)] = vectorizer.encode(images[0])
    boxes, found = boxes_in(*local.grid, n_boxes), {"words": len(local)}
    for how in ("sum", "max"):
        pyramid = spm.SpatialPyramid(levels=(1, 2, 4), pool=how)
        for name, own in ((f"{n_boxes} boxes", boxes), ("the photograph", None)):
            [times] = in_turn({"": lambda p=pyramid, b=own: p.cells(local, b, codes)}, repeats).values()
            found[f"{how}, {name}"] = min(times)
    return found


def elsewhere(folder: str, *arguments: str) -> dict[str, float]:
    """Return `measure_words` of the package in another folder."""
    environment = os.environ | {"PYTHONPATH": folder}
    command = [sys.executable, __file__, "--words-only", *arguments]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--boxes", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--before", help="a folder with an older spm, to compare the pooling of words with")
    parser.add_argument("--words-only", action="store_true", help="print the seconds for words as JSON, and no more")
    arguments = parser.parse_args()
    if arguments.words_only:
        print(json.dumps(measure_words(arguments.boxes, 5 * arguments.repeats)))
        return
    blocks = [measure_map(arguments.boxes, arguments.repeats)]
    words = measure_words(arguments.boxes, 5 * arguments.repeats)
    count = words.pop("words")
    options = ["--boxes", str(arguments.boxes), "--repeats", str(arguments.repeats)]
    before = elsewhere(arguments.before, *options) if arguments.before else {}
    rows = [[name, f"{1e3 * own:.3f}", f"{1e3 * before[name]:.3f}" if before else ""] for name, own in words.items()]
    note = f"One photograph of 15-Scene: {count} SIFT words of 200, levels 1, 2, 4, one thread; the least of many runs."
    blocks += [note, table(["", "ms", "ms, before"], rows)]
    keep("region_pooling", "Pooling and scoring thousands of regions", *blocks)


if __name__ == "__main__":
    main()
