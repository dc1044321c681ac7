"""Images a second of every encoder at equal vocabulary, in one thread: encoding and pooling of the same dense SIFT.

`python benchmarks/encoders.py --words 4096 --encoders BagOfWords,SoftAssignment,LLC --name encoders_4096`
has those that a large vocabulary is used with. The floor is the bare product of descriptors and words.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
from _common import keep, scene15, scene15_fixed, table

import spm
from spm._tools.parallel import single_threaded

POOLS = {"LLC": "max", "SparseCoding": "max"}


def encoders(n_words: int) -> dict[str, object]:
    return {
        "BagOfWords": spm.BagOfWords(n_words=n_words),
        "SoftAssignment, all words": spm.SoftAssignment(n_words=n_words),
        "SoftAssignment, 5 nearest": spm.SoftAssignment(n_words=n_words, n_neighbors=5),
        "LLC": spm.LLC(n_words=n_words),
        "SparseCoding": spm.SparseCoding(n_words=n_words),
        "VLAD": spm.VLAD(n_words=n_words),
        "FisherVector": spm.FisherVector(n_words=n_words),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", type=int, default=256)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--encoders", default="", help="beginnings of names, parted by commas; all by default")
    parser.add_argument("--name", default="encoders")
    arguments = parser.parse_args()
    paths = scene15()[0]
    features = spm.DenseSIFT(patch_size=16, step=8)
    chosen = [paths[i] for i in scene15_fixed()[0][:: 1500 // arguments.images][: arguments.images]]
    local = [features.extract(path) for path in chosen]
    sample = np.concatenate([each.values for each in local]).astype(np.float32)
    fitted = {
        name: encoder.set_params(random_state=0, n_jobs=-1).fit(sample)
        for name, encoder in encoders(arguments.words).items()
        if name.startswith(tuple(arguments.encoders.split(",")))
    }
    words, products = fitted["BagOfWords"].words_, []
    seconds: dict[str, list[float]] = {name: [] for name in fitted}
    lengths = {}
    with single_threaded():
        for run in range(arguments.runs + 1):
            start = time.perf_counter()
            for each in local:
                each.values @ words.T
            if run:
                products.append(time.perf_counter() - start)
            for name, encoder in fitted.items():
                pyramid = spm.SpatialPyramid(levels=(1, 2, 4), pool=POOLS.get(name, "sum"), weights=None)
                start = time.perf_counter()
                for each in local:
                    codes = encoder.encode(each.values)
                    lengths[name] = encoder.finish(pyramid.cells(each, codes=codes)).size
                if run:  # the first warms up
                    seconds[name].append(time.perf_counter() - start)
    base, floor = median(seconds["BagOfWords"]), median(products)
    rows = [
        [
            name,
            lengths[name],
            f"{len(local) / median(times):.0f}",
            f"{median(times) / base:.1f}",
            f"{median(times) / floor:.1f}",
        ]
        for name, times in seconds.items()
    ]
    note = (
        f"{arguments.words} words, {len(local)} photographs, {len(sample) // len(local)} descriptors of 128 "
        f"values each, levels 1, 2 and 4, one thread; medians of {arguments.runs} runs in turn, extraction not counted."
    )
    head = ["encoder", "values of a vector", "images/s", "times the seconds of BagOfWords", "times the bare product"]
    keep(arguments.name, "Encoders at equal vocabulary", note, table(head, rows))


if __name__ == "__main__":
    main()
