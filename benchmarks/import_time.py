"""What `import spm` takes beyond numpy, in fresh processes in turn."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from _common import keep, table

CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(modules: str) -> float:
    printed = subprocess.run([sys.executable, "-c", CODE.format(modules)], capture_output=True, text=True, check=True)
    return float(printed.stdout)


def main() -> None:
    pairs = [(seconds("numpy"), seconds("numpy, spm")) for _ in range(15)]
    alone, both = zip(*pairs, strict=True)
    beyond = median(b - a for a, b in pairs)
    row = [f"{median(alone):.3f}", f"{median(both):.3f}", f"{beyond:.3f}"]
    keep(
        "import_time", "Importing spm", table(["numpy s", "numpy and spm s", "beyond numpy s, median of pairs"], [row])
    )


if __name__ == "__main__":
    main()
