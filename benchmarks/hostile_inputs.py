"""Bad inputs by the tens of thousands: broken files of every format, of models and of networks, arrays, boxes.

    python benchmarks/hostile_inputs.py [N]        100,000 by default, nine tenths of them files of images

Each must end in a result or in one `SpmError`. They are tried in another process, in portions, so that a crash or a
hang of a decoder is seen and counted, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from _common import keep, table

PORTION, PATIENCE = 2000, 600  # inputs, and seconds for them
SHARES = {"image file": 0.9, "array": 0.04, "boxes": 0.03, "model file": 0.015, "network": 0.015}

TRY = """
import json, sys, time, warnings
sys.path.insert(0, sys.argv[1])
import numpy as np
import spm
from collections import Counter
from hostile_files import broken, files
from spm._tools.files import read_shipped
from spm.boxes import check_boxes
from spm.images import read_image
from spm.networks import layers

warnings.simplefilter("ignore")
kind, seed, n, folder = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
random, seen, slowest = np.random.default_rng([seed, len(kind)]), Counter(), 0.0
real = files()
sources = list(real.items())
model = spm.save(spm.BagOfWords(n_words=4, random_state=0).fit(np.random.default_rng(0).random((50, 8))), folder + "/m")
model, network = model.read_bytes(), read_shipped("texture_net.onnx")
image = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=3), random_state=0).fit([image, image[::-1]])
TYPES = ["u1", "i1", "u2", "i8", "f2", "f4", "f8", "c8", "?", "U2", "M8[s]", "O", "V3"]

def one(at):
    if kind == "image file":
        ending, content = sources[at % len(sources)]
        path = f"{folder}/a.{ending}"
        with open(path, "wb") as file:
            file.write(broken(content, random, [other for _, other in sources]))
        return lambda: read_image(path)
    if kind == "model file":
        with open(folder + "/a.spm", "wb") as file:
            file.write(broken(model, random, [network]))
        return lambda: spm.load(folder + "/a.spm")
    if kind == "network":
        content = broken(network, random, [model])
        return lambda: layers(content)
    shape = tuple(random.integers(0, 24, random.integers(0, 5)))
    array = np.frombuffer(random.bytes(int(np.prod(shape)) * 8), "u8").reshape(shape)
    dtype = TYPES[at % len(TYPES)]
    with np.errstate(all="ignore"):
        plain = array.astype("u1") if dtype in ("U2", "M8[s]", "O", "V3") else array.view("f8")
        array = plain.astype(dtype)
    if kind == "array":
        return lambda: read_image(array)
    boxes = [array, random.normal(0, 60, (3, 4)), random.integers(-9, 60, (2, 4))][at % 3]
    return lambda: vec.transform_regions(image, boxes)

for at in range(n):
    print(at, file=sys.stderr, flush=True)
    attempt = one(at)
    start = time.perf_counter()
    try:
        attempt()
        seen["a result"] += 1
    except spm.SpmError:
        seen["SpmError"] += 1
    except BaseException as error:
        seen[f"{type(error).__name__}: {str(error)[:80]}"] += 1
    slowest = max(slowest, time.perf_counter() - start)
print(json.dumps([seen, slowest]))
"""


def portion(kind: str, seed: int, n: int, folder: str) -> tuple[Counter[str], float]:
    """Try some inputs in a process of their own; a crash or a hang counts as one, and the rest is tried by others."""
    tests = str(Path(__file__).parents[1] / "tests")
    run = [sys.executable, "-c", TRY, tests, kind, str(seed), str(n), folder]
    try:
        done = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return Counter({"a hang": 1}), float(PATIENCE)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.isdigit()][-1:]
        return Counter({f"a crash ({done.returncode}) at input {last} of seed {seed}": 1}), 0.0
    seen, slowest = json.loads(done.stdout.splitlines()[-1])
    return Counter(seen), slowest


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rows, tried, start = [], 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for kind, share in SHARES.items():
            left, seed, seen, slowest = round(wanted * share), 0, Counter(), 0.0
            while left > 0:
                found, longest = portion(kind, seed, min(left, PORTION), folder)
                seen, slowest = seen + found, max(slowest, longest)
                left, seed = left - PORTION, seed + 1
            print(kind, dict(seen), slowest, flush=True)
            tried += sum(seen.values())
            other = {outcome: n for outcome, n in seen.items() if outcome not in ("a result", "SpmError")}
            told = "; ".join(f"{n} x {outcome}" for outcome, n in other.items()) or "none"
            rows.append([kind, f"{sum(seen.values()):,}", f"{seen['SpmError']:,}", f"{seen['a result']:,}",
                         told.replace("|", "/"), f"{slowest:.2f}"])  # fmt: skip
    note = f"{tried:,} bad inputs in {time.perf_counter() - start:,.0f} s."
    keep("hostile_inputs", "Bad inputs and their outcomes", note,
         table(["kind", "tried", "one SpmError", "a result", "anything else", "slowest, s"], rows))  # fmt: skip


if __name__ == "__main__":
    main()
