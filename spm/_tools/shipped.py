"""A file's name in, its content out: what ships with spm, wherever Python found the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

PACKAGE = __name__.partition(".")[0]


def read_shipped(name: str) -> bytes:
    """Read a file of ``data/``: inside the package where it was installed, beside it in the tree that it comes from.

    Raises
    ------
    FileNotFoundError

    Examples
    --------
    >>> read_shipped("registry.json")[:1]
    b'{'
    """
    package = files(PACKAGE)
    inside = package.joinpath("data", name)
    if inside.is_file():
        return inside.read_bytes()
    return (Path(str(package)).parent / "data" / name).read_bytes()
