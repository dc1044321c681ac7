"""Shared libraries: nothing in, what tells whether one was loaded since the last time out, in a microsecond."""

from __future__ import annotations

import ctypes
import sys
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
