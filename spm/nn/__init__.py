"""Training networks with spatial pyramid pooling: images and labels in, a trained network out. Needs torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "SPPNetClassifier": "classifier",
    "ShapeBuckets": "buckets",
}
"""The public names and the module that each is in: loaded when asked for, so that this folder imports without torch."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from .buckets import ShapeBuckets as ShapeBuckets
