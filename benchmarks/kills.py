"""Kills survived: runs are killed at random moments and started again, and must end with the bytes of one undisturbed.

    python benchmarks/kills.py [N_KILLS]        200 by default

A run fits a vectorizer with its compiled code and its local features kept in folders of its own, writes vectors to a
file (`out=`), and saves the model. Each is killed with SIGKILL after a random time, again and again, until it ends.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import keep, table

RUN = """
import sys, numpy as np, spm
folder = sys.argv[1]
print("ready", flush=True)
images = np.random.default_rng(0).integers(0, 256, (60, 96, 96), dtype=np.uint8)
vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=20), memory=f"{folder}/memory", random_state=0)
vec.fit(images[:30]).transform(images, out=f"{folder}/vectors.npy")
spm.save(vec, f"{folder}/model.spm")
"""
RESULTS = ("vectors.npy", "vectors.npy.rows")


def start(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "compiled")}
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder)], stdout=subprocess.PIPE, env=environment)


def outcome(folder: Path) -> dict[str, str]:
    """Return a digest of each result; of the model that of what it says, since a file tells when it was written."""
    import spm

    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in RESULTS}
    model = spm.load(folder / "model.spm")
    found["model.spm"] = hashlib.sha256(model.encoder_.words_.tobytes()).hexdigest()
    left = [path.name for path in folder.iterdir() if path.name.endswith(".part")]
    return found | {"parts left": ", ".join(left)}


def undisturbed(folder: Path) -> tuple[dict[str, str], float]:
    folder.mkdir()
    process = start(folder)
    assert process.stdout is not None
    process.stdout.readline()
    began = time.perf_counter()
    if process.wait():
        raise SystemExit("the undisturbed run fails")
    return outcome(folder), time.perf_counter() - began


def killed(folder: Path, most: float, random: np.random.Generator) -> int:
    """Kill runs until one ends; return how many were."""
    folder.mkdir()
    kills = 0
    while True:
        process = start(folder)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(float(random.uniform(0, most)))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            return kills
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"a run that was killed {kills} times fails")
        kills += 1


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    random = np.random.default_rng(0)
    rows, total, equal = [], 0, 0
    with tempfile.TemporaryDirectory() as home:
        expected, seconds = undisturbed(Path(home, "undisturbed"))
        while total < wanted:
            folder = Path(home, f"run{len(rows)}")
            kills = killed(folder, 1.2 * seconds, random)
            same = {k: v for k, v in outcome(folder).items() if k != "parts left"} == {
                k: v for k, v in expected.items() if k != "parts left"
            }
            total, equal = total + kills, equal + same
            rows.append([len(rows) + 1, kills, "equal" if same else "DIFFERENT"])
            print(rows[-1], flush=True)
    note = (
        f"{total} kills at random moments of {len(rows)} runs (an undisturbed one takes {seconds:.1f} s behind its "
        f"imports): {equal} of {len(rows)} end with the bytes of the undisturbed one."
    )
    keep("kills", "Runs that are killed", note, table(["run", "kills", "result"], rows))


if __name__ == "__main__":
    main()
