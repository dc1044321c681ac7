"""Several pyramids in one pass against each by itself: seconds for the vectors of one set of photographs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

from _common import keep, scene15, table

import spm

SIX = ((1,), (2,), (4,), (1, 2), (1, 2, 4), (1, 2, (3, 1)))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(vectorizer: spm.PyramidVectorizer, sweep: Sequence, images: list[str], repeats: int) -> list[str]:
    """Return the seconds of a sweep, each pyramid by itself and all in one pass, and their ratios."""
    own = vectorizer.pyramid_.get_params()
    pyramids = [spm.SpatialPyramid(**{**own, "levels": levels}) for levels in sweep]
    vectorizer.transform_pyramids(images[:8], pyramids)  # compiles
    runs = [
        (
            sum(seconds(lambda p=pyramid: vectorizer.transform_pyramids(images, [p])) for pyramid in pyramids),
            seconds(lambda: vectorizer.transform_pyramids(images, pyramids)),
            seconds(lambda: vectorizer.transform(images)),
        )
        for _ in range(repeats)
    ]
    least = [f"{min(column):.1f}" for column in zip(*runs, strict=True)][:2]
    return [*least, f"{median(run[0] / run[1] for run in runs):.1f}", f"{median(run[1] / run[2] for run in runs):.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--presets", nargs="+", default=["lazebnik2006", "llc2010", "fisher2010"])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    images, _ = scene15()
    images = images[:: -(-len(images) // arguments.images)]
    rows = []
    for preset in arguments.presets:
        vectorizer = spm.presets.make(preset, n_jobs=-1, random_state=0)[0].fit(images[::5])
        for sweep in (((1,), vectorizer.pyramid_.levels), SIX):
            rows.append([f"`{preset}()`", len(sweep), *measure(vectorizer, sweep, images, arguments.repeats)])
            print(rows[-1], flush=True)
    note = (
        f"{len(images)} photographs of 15-Scene, from files to vectors, two threads; the least seconds and the median "
        f"ratios of {arguments.repeats} runs in turn. Two pyramids are the preset's own and 1x1, six are {SIX}. The "
        "last column says how near the limit is: the preset's own pyramid alone describes and encodes as much. "
        "Learning the codebook, which is done once too, is not in it."
    )
    head = ["preset", "pyramids", "each by itself, s", "in one pass, s", "times faster", "one pass / its own alone"]
    keep("pyramids", "Several pyramids in one pass", note, table(head, rows))


if __name__ == "__main__":
    main()
