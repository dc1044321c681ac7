"""Extraction of SPP vectors, files to vectors, against the bare onnxruntime loop over the same maps, pair by pair."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
import onnxruntime
from _common import data_home, keep, scene15, table
from spp2014_networks import NETWORKS

import spm
from spm.features.frames import frame_of, prepare, resize, value_tables
from spm.images import read_image
from spm.networks.maps import cut


def session(network: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def bare_loops(network: bytes, inputs: list[np.ndarray], threads: int) -> dict[str, Callable[[], object]]:
    """Return the loops over prepared inputs that do nothing but run the network."""
    wide, narrow = session(network, threads), session(network, 1)
    name = wide.get_inputs()[0].name

    def by_threads() -> object:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda image: narrow.run(None, {name: image})[0].shape, inputs))

    return {
        f"one session, {threads} threads": lambda: [wide.run(None, {name: image})[0].shape for image in inputs],
        f"{threads} threads of one": by_threads,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--networks", nargs="+", default=["mobilenetv2", "squeezenet", "resnet18"])
    arguments = parser.parse_args()
    paths = scene15()[0][:: 4485 // arguments.images][: arguments.images]
    threads, rows = 2, []
    for name in arguments.networks:
        options = dict(NETWORKS[name])
        file = data_home() / "weights" / options.pop("file")
        options["layers"] = options["layers"][:1]
        tables, order = value_tables(options["preprocess"], 3)
        inputs = []
        for path in paths:
            pixels = read_image(path)
            frame = frame_of(pixels.shape[:2], arguments.size, "full")
            inputs.append(prepare(resize(pixels, frame.resized), tables, order))
        loops = bare_loops(bytes(cut(file, options["layers"])), inputs, threads)
        vectorizer = spm.PyramidVectorizer(
            features=spm.FeatureMap(file, size=arguments.size, **options),
            pyramid=spm.SpatialPyramid(levels=(1, 2, 3, 6), pool="max", weights=None),
            norm="l2",
            n_jobs=threads,
        ).fit(paths[:1])
        for given, images in (("files", paths), ("pixels", [read_image(path, "stored") for path in paths])):
            loops[f"spm, {given} to vectors"] = lambda vectorizer=vectorizer, images=images: vectorizer.transform(
                images
            )
        seconds: dict[str, list[float]] = {loop: [] for loop in loops}
        for run in range(arguments.runs + 1):
            for loop, work in loops.items():
                start = time.perf_counter()
                work()
                if run:  # the first warms up
                    seconds[loop].append(time.perf_counter() - start)
        *bare, files, pixels = seconds.values()
        rates = [f"{len(paths) / median(values):.1f}" for values in seconds.values()]
        shares = []
        for ours in (files, pixels):
            ratios = [min(pair) / own for *pair, own in zip(*bare, ours, strict=True)]
            shares.append(f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        rows.append([name, *rates, *shares])
        print(rows[-1], flush=True)
    shares = [f"spm from {given} / faster bare loop" for given in ("files", "pixels")]
    head = ["network", *(f"{loop}, images/s" for loop in loops), *shares]
    note = (
        f"{len(paths)} photographs of 15-Scene, shorter side {arguments.size}, {arguments.runs} runs of each in turn. "
        "The bare loops get prepared inputs; spm resizes, pools and normalises too, and from files reads and decodes."
    )
    keep("extraction", "Extraction against the bare network", note, table(head, rows))


if __name__ == "__main__":
    main()
