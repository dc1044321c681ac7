"""Libraries: nothing in, their versions out, and what tells whether a shared one was loaded since the last time."""

from __future__ import annotations

import ctypes
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any


class _Library(ctypes.Structure):
    """``struct dl_phdr_info``, with what glibc and musl append: how many were loaded and unloaded so far."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.c_void_p),
        ("n_headers", ctypes.c_uint16),
        ("loaded", ctypes.c_ulonglong),
        ("unloaded", ctypes.c_ulonglong),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Library), ctypes.c_size_t, ctypes.c_void_p)


def libraries_loaded() -> Any:
    """Return a value that is another one when a shared library was loaded or unloaded since.

    On Linux the loader's own counts. Elsewhere the number of modules: what no import has loaded is not seen there.

    Examples
    --------
    >>> libraries_loaded() == libraries_loaded()
    True
    """
    counts: list[tuple[int, int]] = []

    def first(library: Any, size: int, _: Any) -> int:
        if size >= ctypes.sizeof(_Library):
            counts.append((library.contents.loaded, library.contents.unloaded))
        return 1  # no need for the others

    if _iterate is not None:
        _iterate(_Callback(first), None)
    return counts[0] if counts else len(sys.modules)


def _loader() -> Any:
    try:
        return ctypes.CDLL(None).dl_iterate_phdr if sys.platform != "win32" else None
    except (OSError, AttributeError):
        return None


_iterate = _loader()


def made_with() -> dict[str, str]:
    """Return the versions that figures may depend on, by name."""
    from .. import __version__
    from .opencv import cv2

    names = ("numpy", "scipy", "scikit-learn", "numba", "pillow", "onnxruntime")
    versions = {"python": ".".join(platform.python_version_tuple()[:2]), "spm": __version__, "cv2": cv2.__version__}
    for name in names:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
