"""`predict` of one photograph by a loaded model, in one thread, against its stages called bare one after the other."""

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
from _common import keep, scene15, scene15_fixed, table
from PIL import Image

import spm
from spm._tools.parallel import single_threaded
from spm.codebooks.nearest import nearest_words
from spm.features.dense_sift import dense_sift
from spm.features.frames import frame_of, prepare, resize, value_tables
from spm.images import read_image
from spm.kernels import histogram_intersection
from spm.networks.session import open_network

SIZE = (300, 250)  # width and height


def stages_of_words(model: Any, path: str) -> dict[str, Callable[[], object]]:
    """Return the stages of `lazebnik2006`, each on what the one before it has made."""
    vectorizer, classifier = model
    pixels = read_image(path, "grey")
    features, words = vectorizer.features_, vectorizer.encoder_.words_
    [(local,)] = features.views(path)
    codes = vectorizer.encoder_.encode(local.values)
    vector = vectorizer.transform([path])
    return {
        "reading": lambda: read_image(path, "grey"),
        "describing": lambda: dense_sift(pixels, patch_size=features.patch_size, step=features.step),
        "assigning": lambda: nearest_words(local.values, words),
        "pooling": lambda: vectorizer.pyramid_.cells(local, codes=codes),
        "kernel": lambda: histogram_intersection(vector, classifier.X_fit_) @ classifier.dual_coef_.T,
    }


def stages_of_maps(model: Any, path: str) -> dict[str, Callable[[], object]]:
    """Return the stages of `spp2014`."""
    vectorizer, classifier = model
    features, pixels = vectorizer.features_, read_image(path, "stored")
    network = open_network(features.model, features.layers, features.tokens_before)
    tables, order = value_tables(features.preprocess, network.graph.channels)
    frame = frame_of(pixels.shape[:2], features.size, features.policy)
    [(local,)] = features.views(path)
    vector = vectorizer.transform([path])
    return {
        "reading": lambda: read_image(path, "stored"),
        "describing": lambda: network.run(prepare(resize(pixels, frame.resized), tables, order)),
        "assigning": lambda: None,
        "pooling": lambda: vectorizer.pyramid_.cells(local),
        "kernel": lambda: vector @ classifier.coef_.T,
    }


PRESETS = {"lazebnik2006": stages_of_words, "spp2014": stages_of_maps}


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Return the processor's seconds of one call: what others do on the machine meanwhile counts little."""
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def turns_of(works: dict[str, Callable[[], object]], runs: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each work in every turn; in a turn one comes after the other, and the first warms up."""
    turns = [{name: seconds_of(work, repeats) for name, work in works.items()} for _ in range(runs + 1)][1:]
    return {name: [turn[name] for turn in turns] for name in works}


def one_by_one(stages: dict[str, Callable[[], object]]) -> None:
    """Call every stage, as a photograph meets them: each finds its data where the others have left them."""
    for stage in stages.values():
        stage()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    paths, labels = scene15()
    train = scene15_fixed()[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photograph = str(Path(folder) / "photograph.jpg")
        Image.open(paths[0]).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(photograph, quality=90)
        for name, stages_of in PRESETS.items():
            model = spm.presets.make(name, random_state=0).fit([paths[i] for i in train], labels[train])
            loaded = spm.load(spm.save(model, Path(folder) / f"{name}.spm"))
            stages = stages_of(loaded, photograph)
            with single_threaded():
                works = {
                    "predict": partial(loaded.predict, [photograph]),
                    "bare": partial(one_by_one, stages),
                    **stages,
                }
                turns = turns_of(works, arguments.runs, arguments.repeats)
            ratios = [one / other for one, other in zip(turns["predict"], turns["bare"], strict=True)]
            shares = [median(p / w for p, w in zip(turns[s], turns["predict"], strict=True)) for s in stages]
            low, high = np.percentile(ratios, [25, 75])
            found = f"{median(ratios):.2f} ({low:.2f} to {high:.2f})"
            rows.append([name, f"{1000 * median(turns['predict']):.2f}", *(f"{share:.2f}" for share in shares), found])
    head = [
        "preset",
        "predict, CPU ms",
        *(f"{s} / predict" for s in stages),
        "predict / stages one after the other (quartiles)",
    ]
    note = (
        f"One colour JPEG of {SIZE[0]} x {SIZE[1]} pixels, models trained on {len(train)} photographs of 15-Scene, "
        f"saved and loaded; one thread. {arguments.runs} turns, in each {arguments.repeats} calls of predict, of the "
        "stages one after the other, and of each by itself, in the processor's seconds; ratios are those within a "
        "turn, medians of all. By itself a stage finds its data in the processor's cache."
    )
    keep("one_photograph", "One photograph", note, table(head, rows))


if __name__ == "__main__":
    main()
