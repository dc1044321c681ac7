"""Memory against the number of images: a folder of generated images through `lazebnik2006`, vectors into a file.

    python benchmarks/memory.py [N_IMAGES]      100,000 by default; some hours, and the disk has to hold the vectors

Images are made one by one as they are asked for, so that what is measured is spm's own memory: what the process holds
(resident, without pages of files) at every hundredth part of the way.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from _common import keep, table

import spm

SIDE, STEPS, FIRST = 256, 100, 64


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


def resident() -> float:
    """Return what this process holds, in MB, without the pages of files that it has mapped."""
    told = psutil.Process().memory_info()
    return (told.rss - getattr(told, "shared", 0)) / 1e6


def measure(n: int, folder: str, n_jobs: int | None = 2) -> tuple[list[tuple[int, float]], float]:
    """Return (images done, MB held) along the way, and the seconds that it took."""
    vec = spm.presets.lazebnik2006(n_jobs=n_jobs, random_state=0)[0].fit(list(Generated(FIRST)[:]))
    seen: list[tuple[int, float]] = []
    every = max(n // STEPS, 1)
    start = time.perf_counter()
    vec.transform(Generated(n, lambda i: seen.append((i, resident())) if i % every == 0 else None),
                  out=os.path.join(folder, "vectors.npy"))  # fmt: skip
    return [*seen, (n, resident())], time.perf_counter() - start


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(dir=os.environ.get("SPM_SCRATCH")) as folder:
        seen, seconds = measure(n, folder)
        size = Path(folder, "vectors.npy").stat().st_size / 1e6
    held = np.array([memory for _, memory in seen])
    later = held[len(held) // 10 :]
    note = (
        f"{n:,} generated images of {SIDE} x {SIDE} through `lazebnik2006` with n_jobs=2 and `out=`, a file of "
        f"{size:,.0f} MB, in {seconds:,.0f} s. Behind the first tenth the process holds {later.min():.0f} to "
        f"{later.max():.0f} MB."
    )
    rows = [[f"{i:,}", f"{memory:.0f}"] for i, memory in seen[:: max(len(seen) // 20, 1)]]
    keep("memory", "Memory against the number of images", note, table(["images", "MB held"], rows))


if __name__ == "__main__":
    main()
