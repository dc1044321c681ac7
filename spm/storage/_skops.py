"""skops, imported in one place: nothing in, its functions out, without the libraries that no model file needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

LEFT_OUT = "sklearn.externals.array_api_compat."  # for arrays of torch, dask and cupy, each of which it imports


def skops_io() -> ModuleType:
    """Return ``skops.io``.

    skops walks through all packages of scikit-learn when it is imported, and so imports torch where it is installed,
    which takes longer than a prediction. They are left out of that walk; whoever asks for them later gets them.
    """
    if "skops.io" in sys.modules:
        return sys.modules["skops.io"]
    with _left_out():
        import skops.io
    return skops.io


@contextmanager
def _left_out() -> Iterator[None]:
    sys.meta_path.insert(0, _Refusing)
    try:
        yield
    finally:
        sys.meta_path.remove(_Refusing)


class _Refusing:
    """What is asked first for every module."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Refuse a package as one that is not installed."""
        if name.startswith(LEFT_OUT) and name.removeprefix(LEFT_OUT).partition(".")[0] in ("torch", "dask", "cupy"):
            raise ModuleNotFoundError(f"{name} is left out while skops is imported", name=name)
