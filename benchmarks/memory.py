"""Memory against the number of images: generated images through `lazebnik2006`, vectors into a file.

    python benchmarks/memory.py [N_IMAGES]      100,000 by default; some minutes, and the disk has to hold the vectors

Images are made one by one as they are asked for, so that what is measured is spm's own memory: what the process holds
(resident, without pages of files), looked at with every image. Each number of images has a process of its own; of the
largest one's way a plot is drawn. Vectors go to a folder in SPM_SCRATCH, or where temporary files go, and are removed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from _common import RESULTS, keep, resident, table

import spm

SIDE, STEPS, FIRST, FEWER = 256, 500, 64, (1000, 100, 10)


class Generated:
    """A sequence of images that are made when they are asked for, each of its number alone."""

    def __init__(self, n: int, watch: object = None) -> None:
        self.n, self.watch = n, watch

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, at: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(self.n))]
        if at >= self.n:
            raise IndexError(at)
        if self.watch is not None:
            self.watch(at)
        random = np.random.default_rng(at)
        coarse = random.integers(0, 256, (16, 16), dtype=np.uint8).repeat(16, axis=0).repeat(16, axis=1)
        return (coarse // 2 + random.integers(0, 128, (SIDE, SIDE), dtype=np.uint8)).astype(np.uint8)


def measure(n: int, n_jobs: int | None = 2) -> tuple[list[tuple[int, float, float]], float, float]:
    """Return (images done, seconds, MB held) along the way, the most MB that were held, and those of the vectors."""
    vec = spm.presets.lazebnik2006(n_jobs=n_jobs, random_state=0)[0].fit(list(Generated(FIRST)[:]))
    vec.transform(Generated(FIRST))  # what is loaded and compiled once is there
    seen: list[tuple[int, float, float]] = []
    every, most, start = max(n // STEPS, 1), 0.0, time.perf_counter()

    def look(at: int) -> None:
        nonlocal most
        held = resident()
        most = max(most, held)
        if at % every == 0:
            seen.append((at, time.perf_counter() - start, held))

    with tempfile.TemporaryDirectory(dir=os.environ.get("SPM_SCRATCH")) as folder:
        vec.transform(Generated(n, look), out=os.path.join(folder, "vectors.npy"))
        look(n)
        size = Path(folder, "vectors.npy").stat().st_size / 1e6
    return seen, most, size


def draw(seen: list[tuple[int, float, float]], path: Path) -> None:
    """Draw what was held over the time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.plot([seconds / 60 for _, seconds, _ in seen], [held for _, _, held in seen], linewidth=1.2)
    axes.set(xlabel="minutes", ylabel="MB held", ylim=(0, 1.25 * max(held for _, _, held in seen)))
    axes.set_title(f"{seen[-1][0]:,} images of {SIDE} x {SIDE} through lazebnik2006, vectors into a file", fontsize=10)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rows, seen = [], []
    for count in [max(n // times, 1) for times in FEWER] + [n]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            seen, most, size = alone.submit(measure, count).result()
        first, seconds = seen[0][2], seen[-1][1]
        rows.append([f"{count:,}", f"{first:.0f}", f"{most:.0f}", f"{size:,.0f}", f"{seconds:,.0f}"])
        print(rows[-1], flush=True)
    draw(seen, RESULTS / "memory.png")
    note = (
        f"Generated images of {SIDE} x {SIDE} through `lazebnik2006` (a fitted one of 200 words, vectors of 4,200 "
        f"values) with n_jobs=2 and `out=`, behind a first pass over {FIRST}. MB are what the process holds, without "
        "pages of files; the most is of looks with every image."
    )
    keep("memory", "Memory against the number of images", note,
         table(["images", "MB held at the start", "most MB held", "MB of vectors", "seconds"], rows),
         "![what is held over the time](memory.png)")  # fmt: skip


if __name__ == "__main__":
    main()
