"""A server's life: eight threads that ask one model, and what the process holds after thousands of calls.

python benchmarks/long_lived.py [N_CALLS]        20,000 by default
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from _common import keep, table

import spm

PARTS, THREADS, N_IMAGES, N_CLASSES, SCORED = 20, 8, 64, 8, 10


def held() -> tuple[float, int, int, int]:
    """Return MB held, objects of Python's, open files and threads of this process."""
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss / 1e6, len(gc.get_objects()), process.num_fds(), process.num_threads()


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    images = np.random.default_rng(0).integers(0, 256, (N_IMAGES, 96, 96), dtype=np.uint8)
    model = spm.presets.lazebnik2006(n_words=20, random_state=0).fit(images, np.arange(N_IMAGES) % N_CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        model = spm.load(spm.save(model, Path(folder, "model.spm")))
    labels = [model.predict(image[None])[0] for image in images]
    scores = [model.decision_function(image[None]) for image in images]

    def ask(k: int) -> bool:
        at = k % N_IMAGES
        right = model.predict(images[at][None])[0] == labels[at]
        if k % SCORED == 0:
            right = right and np.array_equal(model.decision_function(images[at][None]), scores[at])
        return bool(right)

    rows, right, start = [["0", *(f"{value:,.0f}" for value in held())]], 0, time.perf_counter()
    for part in range(PARTS):
        with ThreadPoolExecutor(THREADS) as pool:
            right += sum(pool.map(ask, range(part * n // PARTS, (part + 1) * n // PARTS)))
        rows.append([f"{(part + 1) * n // PARTS:,}", *(f"{value:,.0f}" for value in held())])
        print(rows[-1], flush=True)
    note = (
        f"{n:,} calls of `predict` of one loaded model from {THREADS} threads in {time.perf_counter() - start:,.0f} s: "
        f"{right:,} have the label that the image has alone; of each tenth call the {N_CLASSES} scores were asked for, "
        "too, and had to be equal to the last bit."
    )
    keep("long_lived", "A model that is asked for a long time", note,
         table(["calls", "MB held", "objects", "files", "threads"], rows))  # fmt: skip


if __name__ == "__main__":
    main()
