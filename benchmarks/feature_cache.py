"""Local features found again in a folder against describing the photograph anew, in turns of one thread."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _common import keep, scene15, table
from PIL import Image

import spm
from spm._tools.parallel import single_threaded
from spm.features.cache import remembering_views

SIZE = (300, 250)  # width and height
FEATURES: dict[str, Any] = {
    "DenseSIFT()": spm.DenseSIFT(),
    "DenseSIFT(dtype='uint8')": spm.DenseSIFT(dtype="uint8"),
    "Mirrored(DenseSIFT())": spm.Mirrored(),
    "CensusTransform()": spm.CensusTransform(),
    "KeypointFeatures()": spm.KeypointFeatures(),
    "texture net": spm.presets.spp2014()[0].features,
}


def seconds_of(work: Callable[[Any], object], images: list[str]) -> float:
    """Return the processor's seconds of a pass: what others do on the machine meanwhile counts little."""
    start = time.process_time()
    for image in images:
        work(image)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    chosen = scene15()[0][:: 4485 // arguments.images][: arguments.images]
    rows = []
    with tempfile.TemporaryDirectory() as name, single_threaded():
        folder = Path(name)
        photographs = [str(folder / f"{i}.jpg") for i in range(len(chosen))]
        for path, source in zip(photographs, chosen, strict=True):
            Image.open(source).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
        for name, features in FEATURES.items():
            memory = folder / name
            kept = remembering_views(features, memory)
            values = sum(local.values.nbytes for path in photographs for view in kept(path) for local in view)
            size = sum(path.stat().st_size for path in memory.rglob("*") if path.is_file())
            works = {"anew": features.views, "hit": partial(lambda kept, path: kept(path), kept)}
            turns = [{key: seconds_of(work, photographs) for key, work in works.items()} for _ in range(arguments.runs)]
            ratios = [turn["anew"] / turn["hit"] for turn in turns[1:]]  # the first warms up
            low, high = np.percentile(ratios, [25, 75])
            milliseconds = [1000 * median(turn[key] for turn in turns[1:]) / len(photographs) for key in works]
            found = f"{median(ratios):.1f} ({low:.1f} to {high:.1f})"
            rows.append([name, *(f"{each:.2f}" for each in milliseconds), found, f"{size / values:.3f}"])
    head = ["features", "anew, CPU ms", "hit, CPU ms", "anew / hit (quartiles)", "bytes of entries / of values"]
    note = (
        f"{len(chosen)} colour JPEGs of {SIZE[0]} x {SIZE[1]} pixels, made of photographs of 15-Scene; one thread; "
        f"{arguments.runs - 1} passes of each in turn, in the processor's seconds, reading the file counted on both "
        "sides; ratios are those within a turn, medians of all. Entries lie in the system's file cache."
    )
    keep("feature_cache", "Features found again", note, table(head, rows))


if __name__ == "__main__":
    main()
