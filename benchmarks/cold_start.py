"""What one prediction on the command line takes from a cold start, beside the imports that it cannot do without.

Fresh processes in turn: ``spm predict m.spm photo.jpg``, with a model of 200 words, and the imports alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from _common import keep, scene15, table

import spm

FLOOR = "import numpy, scipy, sklearn.svm, numba, cv2"
TURNS = 11


def seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    images, labels = scene15()
    chosen = list(range(0, len(images), 150))
    model = spm.presets.lazebnik2006(random_state=0, n_jobs=-1)
    model.fit([images[i] for i in chosen], labels[chosen])
    with tempfile.TemporaryDirectory() as folder:
        path = str(spm.save(model, Path(folder) / "m.spm"))
        ways = {
            "spm predict m.spm photo.jpg": ("-m", "spm", "predict", path, images[0]),
            f'python -c "{FLOOR}"': ("-c", FLOOR),
        }
        for arguments in ways.values():  # compile, and read from the disk
            seconds(*arguments)
        spent = [[seconds(*arguments) for arguments in ways.values()] for _ in range(TURNS)]
    rows = [[name, f"{median(own):.2f}"] for name, own in zip(ways, zip(*spent, strict=True), strict=True)]
    ratio = median(ours / floor for ours, floor in spent)
    keep("cold_start", "One prediction from a cold start", table(["way", "s"], rows), f"Median of pairs: {ratio:.2f}.")


if __name__ == "__main__":
    main()
