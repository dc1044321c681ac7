"""15-Scene's fixed split, files to accuracy: the preset against the straightforward way, as whole processes in turn."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from _common import data_home, keep, table


def run(command: list[str]) -> tuple[float, float, str]:
    """Run a command and return its wall seconds, its peak resident memory in MB and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, printed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    folder, train_list = str(data_home() / "scene15"), str(data_home() / "scene15_fixed_train.txt")
    ours = [sys.executable, "-m", "spm", "evaluate", folder, "--train-list", train_list, "--json"]
    theirs = [sys.executable, str(Path(__file__).parent / "straightforward.py"), folder, train_list]
    run(ours)  # compiled code goes to its cache, files to memory
    results: dict[str, list[tuple[float, float, float]]] = {"spm": [], "straightforward": []}
    for _ in range(runs):
        seconds, memory, printed = run(ours)
        results["spm"].append((seconds, memory, 100 * json.loads(printed)["accuracy"]))
        seconds, memory, printed = run(theirs)
        results["straightforward"].append((seconds, memory, float(printed)))
        print({name: figures[-1] for name, figures in results.items()}, flush=True)
    rows = []
    for name, figures in results.items():
        seconds, memory, accuracy = zip(*figures, strict=True)
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
        rows.append([name, f"{median(seconds):.1f}", spread, f"{max(memory):.0f}", f"{accuracy[0]:.1f}"])
    pairs = [b[0] / a[0] for a, b in zip(results["spm"], results["straightforward"], strict=True)]
    head = ["way", "wall s, median", "range", "peak MB", "mean per-class accuracy %"]
    note = f"{runs} runs each, in turn; imports included, compiled code cached; 4,485 photographs, 1,500 to train."
    ratio = f"Straightforward / spm, pair by pair: median {median(pairs):.1f}, least {min(pairs):.1f}."
    keep("scene15_fixed", "15-Scene's fixed split, files to accuracy", note, table(head, rows), ratio)


if __name__ == "__main__":
    main()
