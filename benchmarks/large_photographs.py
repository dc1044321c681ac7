"""Folders of 12-megapixel photographs: rates with a part decoded and with all; how far both are apart; accuracy."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from _common import data_home, keep, scene15, table
from PIL import Image

import spm
from spm._tools.parallel import single_threaded
from spm.images import read_image

SIZE = (4000, 3000)  # width and height
GRAIN = 6.0  # grey levels, the standard deviation of the noise that is added


def voc2007() -> list[str]:
    return sorted(map(str, (data_home() / "voc2007" / "VOC2007" / "JPEGImages").glob("*.jpg")))


def enlarged(sources: list[str], folder: Path) -> list[str]:
    """Write photographs of 12 megapixels, made from real ones by enlarging them and adding grain."""
    random, paths = np.random.default_rng(0), []
    for i, source in enumerate(sources):
        pixels = np.asarray(Image.open(source).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
        pixels = pixels + random.normal(0, GRAIN, pixels.shape[:2]).astype(np.float32)[..., None]
        paths.append(str(folder / f"{i}.jpg"))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def seconds_of(work: Callable[[list[Any]], object], paths: list[str]) -> float:
    """Return the processor's seconds of a photograph: what others do on the machine meanwhile counts little."""
    start = time.process_time()
    for path in paths:
        work([path])
    return (time.process_time() - start) / len(paths)


def by_hand(vectorizer: Any, max_side: int, paths: list[str]) -> object:
    """Do it as users do: OpenCV decodes all, and shrinks by averaging."""
    pixels = [cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in paths]
    scale = max_side / max(SIZE)
    small = (round(SIZE[0] * scale), round(SIZE[1] * scale))
    return vectorizer.transform([cv2.resize(image, small, interpolation=cv2.INTER_AREA) for image in pixels])


def rates(paths: list[str], runs: int) -> str:
    """Measure the photographs a second of both roads, in one thread, in turns."""
    fit = scene15()[0][::300]
    words = {side: spm.presets.lazebnik2006(max_side=side, random_state=0)[0].fit(fit) for side in (None, 640)}
    maps = spm.presets.spp2014(size=224)[0].fit(fit)
    rows = []
    for name, ways in {
        "lazebnik2006": {
            "max_side=640": words[640].transform,
            "without it": words[None].transform,
            "shrunk by hand": partial(by_hand, words[None], 640),
        },
        "spp2014": {
            "size=224": maps.transform,
            "all decoded first": lambda some: maps.transform([read_image(path, "stored") for path in some]),
            "shrunk by hand": partial(by_hand, maps, 299),
        },
    }.items():
        turns, peaks = [], []
        with single_threaded():
            for _ in range(runs + 1):
                turns.append({way: seconds_of(work, paths) for way, work in ways.items()})
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        first = next(iter(ways))
        for way in ways:
            ratios = [turn[way] / turn[first] for turn in turns[1:]]
            spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            each = median(turn[way] for turn in turns[1:])
            rows.append([name, way, f"{1000 * each:.0f}", spread, f"{peaks[1]:.0f}, {peaks[-1]:.0f}"])
    head = [
        "preset",
        "way",
        "CPU ms a photograph",
        "times the first way's",
        "peak MB, first turn and last",
    ]
    note = (
        f"{len(paths)} photographs of {SIZE[0]} x {SIZE[1]} pixels, made of photographs of VOC 2007, from files to "
        f"vectors; one thread, {runs} turns; the processor's seconds, ratios within a turn, medians and extremes."
    )
    return f"{note}\n\n{table(head, rows)}"


def deviations(n_images: int) -> str:
    """Measure how far decoding a part is from averaging all pixels, in grey levels."""
    rows = []
    for name, paths in {"VOC 2007": voc2007(), "15-Scene": scene15()[0]}.items():
        for max_side in (120, 60, 30):
            means, far = [], []
            for path in paths[:: max(1, len(paths) // n_images)]:
                part, whole = (read_image(image, max_side=max_side) for image in (path, read_image(path)))
                error = np.abs(part.astype(int) - whole)
                means.append(error.mean())
                far.append(np.percentile(error, 99))
            cells = (f"{value:.1f}" for value in (np.mean(means), max(means), np.median(far)))
            rows.append([name, max_side, len(means), *cells])
    head = ["photographs", "max_side", "number", "mean deviation", "largest mean of a photograph", "99 %, median"]
    note = "How far a file at `max_side` is from all its pixels averaged, in grey levels of 256."
    return f"{note}\n\n{table(head, rows)}"


def accuracies(splits: int) -> str:
    """Measure what the deviation does to classification: photographs of 15-Scene brought down to 60 pixels."""
    paths, labels = scene15()
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == label)[:100] for label in np.unique(labels)]))
    files = [paths[i] for i in chosen]
    pixels = [read_image(read_image(path, "grey"), "grey", max_side=60) for path in files]
    cv = spm.PerClassShuffleSplit(n_train=50, n_test=50, n_splits=splits, random_state=0)
    rows, found = [], {}
    for way, images in {"a part decoded": files, "all averaged": pixels}.items():
        model = spm.presets.lazebnik2006(max_side=60, random_state=0)
        model.set_params(vectorizer__features__patch_size=8, vectorizer__features__step=4)
        found[way] = 100 * np.asarray(spm.evaluate(model, images, labels[chosen], cv=cv).accuracies)
        rows.append([way, f"{found[way].mean():.1f}", f"{found[way].std(ddof=1):.1f}"])
    apart = np.subtract(*found.values())
    rows.append(["difference, split by split", f"{apart.mean():+.1f}", f"{apart.std(ddof=1):.1f}"])
    note = (
        f"Balanced accuracy on {splits} splits of 1,500 photographs of 15-Scene, 50 a class to train and 50 to test, "
        "brought down to 60 pixels, where files are decoded at half their size; SIFT of 8 pixels every 4."
    )
    return f"{note}\n\n{table(['way', 'accuracy, %', 'standard deviation'], rows)}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photographs", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--splits", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = voc2007()
        step = max(1, len(sources) // arguments.photographs)
        speed = rates(enlarged(sources[::step][: arguments.photographs], Path(folder)), arguments.runs)
    blocks = speed, deviations(arguments.images), accuracies(arguments.splits)
    keep("large_photographs", "Large photographs", *blocks)


if __name__ == "__main__":
    main()
