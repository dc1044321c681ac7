"""Bad inputs by the tens of thousands: broken files of every format, of models and of networks, arrays, boxes, options.

    python benchmarks/hostile_inputs.py [N]        100,000 by default, nearly four fifths of them files of images

Each must end in a result or in one `SpmError`; what they are is in tests/hostile_kinds.py. They are tried in a process
of its own, so that a crash is seen; one that takes longer than a minute is ended by the system, and counts as a hang.
Behind either the rest goes on in a new process.
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

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
from hostile_kinds import KINDS  # noqa: E402

SECONDS, PORTION, SHOWN = 60, 20_000, 5  # for one input; inputs of a process; and failures in the table
CALLED = {"voc": "VOC's annotations", "yolo": "YOLO's annotations", "coco": "COCO's annotations", "table": "CSV table",
          "image_list": "list of images"}  # fmt: skip

TRY = """
import json, resource, signal, sys, time
sys.path.insert(0, sys.argv[1])
from collections import Counter
from hostile_kinds import Kinds, tried
kind, first, last, folder, seconds = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], int(sys.argv[6])
kinds, seen, slowest = Kinds(folder), Counter(), 0.0
tried(kinds, kind, 0)
signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, whatever it is at
for at in range(first, last):
    signal.alarm(seconds)
    start = time.perf_counter()
    found = tried(kinds, kind, at)
    slowest = max(slowest, time.perf_counter() - start)
    seen[found if found in ("a result", "SpmError") else f"{found} (input {at})"] += 1
    if at % 50 == 0 or at == last - 1:
        signal.alarm(0)
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps([at, seen, slowest, held]), flush=True)
"""


def portion(kind: str, first: int, last: int) -> tuple[int, Counter[str], float, float]:
    """Try some inputs; return the number behind the last one tried, outcomes, the slowest's seconds, the most MB."""
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-c", TRY, str(TESTS), kind, str(first), str(last), folder, str(SECONDS)]
        done = subprocess.run(run, capture_output=True, text=True, errors="replace")
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    at, seen, slowest, held = told[-1] if told else (first - 1, {}, 0.0, 0.0)
    if done.returncode == 0:
        return last, Counter(seen), slowest, held
    if last - first > 1:  # between what was told last and here it is one of a few: tried alone
        return at + 1, Counter(seen), slowest, held
    what = "a hang" if done.returncode == -14 else f"a crash ({done.returncode}: {done.stderr.strip()[-80:]})"
    return last, Counter({f"{what} (input {first})": 1}), slowest, held


def all_of(kind: str, n: int) -> tuple[Counter[str], float, float]:
    """Try `n` inputs of a kind; behind a process that was lost, the next hundred are tried one by one."""
    at, alone, seen, slowest, most = 0, 0, Counter[str](), 0.0, 0.0
    while at < n:
        last = min(at + (1 if alone else PORTION), n)
        behind, found, longest, held = portion(kind, at, last)
        alone = max(alone - 1, 0) if behind == last else 100
        at, seen, slowest, most = behind, seen + found, max(slowest, longest), max(most, held)
    return seen, slowest, most


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rows, tried, others, start = [], 0, 0, time.perf_counter()
    for kind, share in KINDS.items():
        seen, slowest, most = all_of(kind, round(wanted * share))
        other = {outcome: n for outcome, n in seen.items() if outcome not in ("a result", "SpmError")}
        told = "; ".join([str(sum(other.values())), *list(other)[:SHOWN]])
        print(kind, sum(seen.values()), told, f"{slowest:.2f} s, {most:.0f} MB", flush=True)
        tried, others = tried + sum(seen.values()), others + sum(other.values())
        rows.append([CALLED.get(kind, kind.replace("_", " ")), f"{sum(seen.values()):,}", f"{seen['a result']:,}",
                     f"{seen['SpmError']:,}", told.replace("|", "/"), f"{slowest:.2f}", f"{most:.0f}"])  # fmt: skip
    note = (
        f"{tried:,} bad inputs in {time.perf_counter() - start:,.0f} s: {others} of them ended in anything but a "
        f"result or one `SpmError`; crashes and hangs (of {SECONDS} s) count among these."
    )
    head = ["kind", "tried", "a result", "one SpmError", "anything else", "slowest, s", "most MB held"]
    keep("hostile_inputs", "Bad inputs and their outcomes", note, table(head, rows))


if __name__ == "__main__":
    main()
