"""Bytes that a search makes up, led by which lines of spm they reach, as files of strangers: images and models.

    python benchmarks/fuzz_files.py image|model [-runs=100000] [options of libFuzzer]

It needs atheris (``pip install atheris``, Linux). It starts from small files of every format, and ends with the input
that raises anything but `SpmError`; without one, after so many runs. `hostile_inputs.py` needs no such tool.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
with atheris.instrument_imports(include=["spm"]):
    from hostile_files import files

    import spm
    from spm.images import read_image

READ = {"image": read_image, "model": spm.load}
"""What reads a file of each kind."""


def seeds_of(kind: str, folder: Path) -> None:
    """Put into a folder what the search starts from."""
    if kind == "image":
        for name, content in files().items():
            (folder / name).write_bytes(content)
    else:
        spm.save(spm.DenseSIFT(), folder / "extractor.spm")
        spm.save(spm.presets.lazebnik2006(), folder / "model.spm")


def main() -> None:
    """Search until the runs are over, or one fails."""
    if len(sys.argv) < 2 or sys.argv[1] not in READ:
        raise SystemExit(__doc__)
    kind = sys.argv.pop(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path, seeds = Path(folder) / f"tried.{kind}", Path(folder) / "seeds"
        seeds.mkdir()
        seeds_of(kind, seeds)

        def try_one(content: bytes) -> None:
            path.write_bytes(content)
            with suppress(spm.SpmError):
                READ[kind](path)

        atheris.Setup([*sys.argv, "-max_len=20000", str(seeds)], try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
