"""Stages of a long training: a folder, what it depends on and its steps in, each step's arrays made once out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..._tools.files import own_folder, write_whole

Arrays = dict[str, np.ndarray]


class Stages:
    """What a training has done so far, in a folder of its own, or nowhere.

    Parameters
    ----------
    folder : path or None
    key : str
        Stands for all that the results depend on.

    Examples
    --------
    >>> stages = Stages(tempfile.mkdtemp(), "0123")
    >>> stages.made("sum", lambda: {"total": np.array(3)})["total"]
    array(3)
    >>> stages.made("sum", lambda: 1 / 0)["total"]
    array(3)
    """

    def __init__(self, folder: str | os.PathLike[str] | None, key: str) -> None:
        self.folder = None if folder is None else Path(folder) / "spm-detection" / key
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def made(self, name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
        """Return what a step gives, from the folder where an earlier call has left it."""
        known = self.left(name)
        if known is None:
            known = dict(make())
            self.leave(name, known)
        return known

    def left(self, name: str) -> Arrays | None:
        """Return what was left under a name, or None."""
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}

    def leave(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays under a name, in place of what was there."""
        path = self._path(name)
        if path is not None:
            save = partial(np.savez, **arrays)  # type: ignore[arg-type]
            write_whole(path, save, "what the training has done so far")

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.npz"


@contextmanager
def workplace(given: Any) -> Iterator[Any]:
    """Give where things are kept while they are needed: what is given, or a folder that goes again."""
    if given is not None:
        yield given
        return
    with own_folder(tempfile.gettempdir(), "spm") as folder:
        yield _OfThisMachine(folder)


class _OfThisMachine(str):
    """The path of a folder that goes again: on another machine, where it is not, there is none to keep things in."""

    def __reduce__(self) -> tuple[Callable[[str], str | None], tuple[str]]:
        return _if_there, (str(self),)


def _if_there(path: str) -> str | None:
    return path if os.path.isdir(path) else None
