"""Proposals over photographs of VOC 2007's training half: recall, time an image, and which default follows."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

import numpy as np
from _common import data_home, keep, table

from spm._tools.parallel import single_threaded
from spm.detection import EdgeBoxes, SelectiveSearch, SlidingWindows
from spm.detection.proposals.base import new_first, ranked, tidy
from spm.images import read_image

COUNTS = (500, 1000, 2000)
REFERENCE = "fast 400"

ALONE = {
    "fast 200": SelectiveSearch(size=200),
    "fast 300": SelectiveSearch(size=300),
    "fast 400": SelectiveSearch(size=400),
    "fast 500": SelectiveSearch(size=500),
    "quality 200": SelectiveSearch(mode="quality", size=200),
    "quality 300": SelectiveSearch(mode="quality", size=300),
    "edge boxes 300": EdgeBoxes(size=300),
    "edge boxes 400": EdgeBoxes(size=400),
    "edge boxes 500": EdgeBoxes(size=500),
    "edge boxes 400, overlap 0.55": EdgeBoxes(overlap=0.55),
    "edge boxes 400, overlap 0.75": EdgeBoxes(overlap=0.75),
    "windows": SlidingWindows(),
}
"""Proposals and the longest side to which they shrink an image."""

FILLED = [
    ("fast 400", "windows"),
    ("fast 200", "edge boxes 400", "windows"),
    ("fast 300", "edge boxes 400", "windows"),
    ("fast 400", "edge boxes 400", "windows"),
    ("quality 200", "edge boxes 400", "windows"),
    ("edge boxes 400", "windows"),
    ("edge boxes 400, overlap 0.55", "fast 200", "windows"),
    ("edge boxes 400, overlap 0.55", "fast 300", "windows"),
]
"""Those of the first, filled up to 2,000 by the next, as `fill` does."""


CHOICE = (
    "Taken from this: a detector that is given no proposals has the last row (`spm.detection.default_proposals`), "
    "which finds most with 2,000 boxes and is behind none at 500 and 1,000, in three quarters of the time of "
    "selective search at 400. Selective search first and edge boxes after it fit somewhat better, and find less. "
    "Recall a second alone cannot choose: it is highest for what takes no time at all, while convolutions follow "
    "in every case. By themselves, selective search keeps 400 pixels, and edge boxes an overlap of 0.65: better "
    "boxes than at 0.55, more objects than at 0.75."
)


def photographs(n: int) -> tuple[list[Path], list[np.ndarray]]:
    """Return n photographs drawn from the training half, and the boxes of their objects, half-open."""
    root = data_home() / "voc2007" / "VOC2007"
    names = [line.split()[0] for line in (root / "ImageSets" / "Main" / "trainval.txt").read_text().splitlines()]
    names = sorted(random.Random(0).sample(names, min(n, len(names))))
    return [root / "JPEGImages" / f"{name}.jpg" for name in names], [
        np.array([_box(found) for found in ElementTree.parse(root / "Annotations" / f"{name}.xml").iter("bndbox")])
        for name in names
    ]


def _box(found: ElementTree.Element) -> list[float]:
    """Return x0, y0, x1, y1: a file counts from 1 and includes the last pixel."""
    at = {child.tag: float(child.text or 0) for child in found}
    return [at["xmin"] - 1, at["ymin"] - 1, at["xmax"], at["ymax"]]


def overlaps(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the best intersection over union of each true box with any of the boxes."""
    low = np.maximum(boxes[:, None, :2], truth[:, :2])
    high = np.minimum(boxes[:, None, 2:], truth[:, 2:])
    inside = np.prod(np.maximum(high - low, 0), axis=2)
    areas, true_areas = (np.prod(a[:, 2:] - a[:, :2], axis=1) for a in (boxes, truth))
    return (inside / (areas[:, None] + true_areas - inside)).max(axis=0, initial=0)


def figures(found: list[np.ndarray], truths: list[np.ndarray], counts: tuple[int, ...]) -> list[str]:
    """Return recall at 0.5 in per cent and the mean best overlap, for the first boxes of every image."""
    cells = []
    for count in counts:
        best = np.concatenate([overlaps(boxes[:count], truth) for boxes, truth in zip(found, truths, strict=True)])
        cells.append(f"{100 * (best >= 0.5).mean():.1f} / {best.mean():.3f}")
    return cells


def measured(paths: list[Path]) -> tuple[dict[str, list[np.ndarray]], dict[str, list[float]]]:
    """Return each setting's boxes and seconds, image by image; every image passes through all in turn."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in ALONE}
    seconds: dict[str, list[float]] = {name: [] for name in ALONE}
    for path in paths:
        image = read_image(path)
        for name, proposals in ALONE.items():
            start = time.thread_time()
            found[name].append(proposals.propose(image))
            seconds[name].append(time.thread_time() - start)
        for names in FILLED:
            combined = np.concatenate([found[name][-1] for name in names])
            found.setdefault(", then ".join(names), []).append(tidy(combined, image.shape[:2])[: COUNTS[-1]])
            used = [n for k, n in enumerate(names) if sum(len(found[m][-1]) for m in names[:k]) < COUNTS[-1]]
            seconds.setdefault(", then ".join(names), []).append(sum(seconds[name][-1] for name in used))
        print(len(found[REFERENCE]), path.name, flush=True)
    return found, seconds


def row(name: str, found: list[np.ndarray], truths: list[np.ndarray], ratios: np.ndarray, mean: float) -> list[object]:
    """Return a setting's row."""
    cells = figures(found, truths, COUNTS)
    recall = float(cells[-1].split()[0])
    boxes = np.mean([len(boxes) for boxes in found])
    return [name, f"{boxes:.0f}", *cells, f"{mean:.2f}", f"{median(ratios):.2f}", f"{recall / mean:.0f}"]


def orders(boxes: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return a set of boxes in several orders."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    by_size = boxes[np.lexsort([*boxes.T, -areas])]
    draw, position = np.random.RandomState(seed).random_sample(len(boxes)), np.arange(1, len(boxes) + 1)
    rules: dict[str, Callable[[], np.ndarray]] = {
        "largest first": lambda: by_size,
        "random": lambda: by_size[np.argsort(draw)],
        "random x position, largest first": lambda: by_size[np.argsort(draw * position)],
        "random x position, smallest first": lambda: by_size[np.argsort(draw * position[::-1])],
        "random, twins last": lambda: new_first(by_size[np.argsort(draw)]),
        "random x position, largest first, twins last (kept)": lambda: ranked(boxes, seed),
    }
    return {name: rule() for name, rule in rules.items()}


def ordered(found: list[np.ndarray], truths: list[np.ndarray], seeds: int = 3) -> list[list[object]]:
    """Return a row for every order of the same sets."""
    kept: dict[str, list[np.ndarray]] = {}
    for seed in range(seeds):
        for boxes in found:
            for name, order in orders(boxes, seed).items():
                kept.setdefault(name, []).append(order)
    return [[name, *figures(found, truths * seeds, (125, 250, 500, 1000))] for name, found in kept.items()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=60)
    paths, truths = photographs(parser.parse_args().images)
    for proposals in ALONE.values():
        proposals.propose(np.zeros((32, 32, 3), np.uint8))  # compiles
    with single_threaded():
        found, seconds = measured(paths)
    rows = [
        row(name, found[name], truths, np.divide(spent, seconds[REFERENCE]), float(np.mean(spent)))
        for name, spent in seconds.items()
    ]
    note = (
        f"{len(paths)} photographs with {sum(map(len, truths))} objects, drawn from the training half, in which every "
        "choice is made. Cells are recall at an intersection over union of 0.5, in per cent, and the mean best "
        "overlap, for the first boxes of each image in their order; the number after a name is the longest side. "
        "Seconds are of one thread's own time, on a machine that others used as well, those of filled ones the sum of "
        f'their parts; the time beside "{REFERENCE}" is the median over the images, each of which passed through all '
        "settings in turn."
    )
    counts = [f"first {count:,}" for count in COUNTS]
    head = ["proposals", "boxes", *counts, "s an image", f"time / {REFERENCE}", "recall at 2,000 a second"]
    order_note = (
        f'The same sets, those of "{REFERENCE}", in several orders, three seeds. A twin is a box that overlaps '
        "one before it by more than 0.8."
    )
    order_head = ["order", *(f"first {count:,}" for count in (125, 250, 500, 1000))]
    keep(
        "proposals",
        "Proposals: recall and time",
        note,
        table(head, rows),
        CHOICE,
        order_note,
        table(order_head, ordered(found[REFERENCE], truths)),
    )


if __name__ == "__main__":
    main()
