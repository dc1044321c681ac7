"""Kills survived: runs are killed at random moments and started again, and must end with the bytes of one undisturbed.

    python benchmarks/kills.py [N_KILLS]        200 by default

What runs is in tests/killed_runs.py. Each is killed with SIGKILL after a random time, again and again, until it ends.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import keep, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from killed_runs import RUNS, can, killed, prepared, undisturbed

SHARES = {"vectors": 50, "model": 40, "detection": 40, "download": 50, "page": 10, "network": 10}


def several(run: str, wanted: int, home: Path, random: np.random.Generator) -> list[object]:
    """Kill a run so many times, from its beginning each time that it has ended; return a row of the table."""
    expected, seconds = undisturbed(run, home)
    ends, kills, most, equal = 0, 0, 0, 0
    while kills < wanted:
        n, left = killed(run, home, seconds, random, wanted - kills)
        ends, kills, most, equal = ends + 1, kills + n, max(most, n), equal + (left == expected)
        if left != expected:
            print(run, [name for name in set(left) | set(expected) if left.get(name) != expected.get(name)], flush=True)
    what = (RUNS[run].__doc__ or "").strip()
    return [what, kills, ends, most, f"{equal} of {ends}", len(expected), f"{seconds:.1f}"]


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    random, rows, start = np.random.default_rng(0), [], time.perf_counter()
    with tempfile.TemporaryDirectory() as place, prepared(Path(place)):
        for run, share in SHARES.items():
            if can(run):
                rows.append(several(run, max(round(wanted * share / sum(SHARES.values())), 1), Path(place), random))
                print(rows[-1], flush=True)
    kills, ends = (sum(row[column] for row in rows) for column in (1, 2))
    equal = sum(int(str(row[4]).split()[0]) for row in rows)
    note = (
        f"{kills} kills by SIGKILL at random moments, in {time.perf_counter() - start:,.0f} s: {equal} of {ends} runs "
        "that were killed and called again until they ended left what the undisturbed one left, and nothing else: "
        "no file more, none less, each with the same bytes (a model's file tells when it was saved: what is in it is "
        "compared; of a page all but its time, its clock standing still; of a network's training the network, not the "
        "checkpoint)."
    )
    head = ["run", "kills", "runs ended", "most kills of one", "equal", "files compared", "seconds undisturbed"]
    keep("kills", "Runs that are killed", note, table(head, rows))


if __name__ == "__main__":
    main()
