"""What the benches share: where the data lie, what ran, and a table that is printed and kept."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

import spm

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "scikit-learn", "opencv-contrib-python", "numba", "pillow", "onnxruntime")


def data_home() -> Path:
    """Return the folder of the data sets: SPM_DATA, or shared/data beside the repository."""
    home = Path(os.environ.get("SPM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (home / "scene15").is_dir():
        raise SystemExit("15-Scene is not there: set SPM_DATA to a folder that has scene15/<Class>/*.jpg")
    return home


def scene15() -> tuple[list[str], np.ndarray]:
    """Return the paths and the labels of the 4,485 photographs."""
    bunch = spm.load_folder(data_home() / "scene15")
    return bunch.data, np.asarray(bunch.target_names)[bunch.target]


def scene15_fixed() -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the fixed split: 100 a class to train, all others to test."""
    from spm.datasets import read_train_list

    home = data_home()
    return read_train_list(home / "scene15_fixed_train.txt", spm.load_folder(home / "scene15"))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def keep(name: str, title: str, *blocks: str) -> None:
    """Print the blocks and write them to results/NAME.md with the command, the date and the versions."""
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    versions = ", ".join([f"spm {spm.__version__}", *(f"{package} {version(package)}" for package in PACKAGES)])
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    head = f"# {title}\n\n`{command}`, {datetime.date.today()}; {machine}; {versions}.\n"
    text = "\n\n".join([head.rstrip(), *blocks]) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


def resident() -> float:
    """Return what this process holds, in MB, without the pages of files that it has mapped."""
    import psutil

    told = psutil.Process().memory_info()
    return (told.rss - getattr(told, "shared", 0)) / 1e6
