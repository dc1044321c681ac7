"""Presets: a paper's name in, a scikit-learn Pipeline, or a detector, with the paper's values out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .best import best_handcrafted
from .handcrafted import fisher2010, lazebnik2006, llc2010, phow2008, scspm2009, vlad2010
from .networks import hybrid, spp2014, sppnet2014
from .registry import GROUPS, PRESETS, expand, make

__all__ = [
    "DETECTORS",
    "GROUPS",
    "PRESETS",
    "best_handcrafted",
    "expand",
    "fisher2010",
    "hybrid",
    "lazebnik2006",
    "llc2010",
    "make",
    "overview",
    "phow2008",
    "rcnn2014",
    "scspm2009",
    "spp2014",
    "sppnet2014",
    "sppnet2014_detection",
    "vlad2010",
    "words_detection",
]

_LATER = {
    "overview": "catalogue",
    "DETECTORS": "detection",
    "rcnn2014": "detection",
    "sppnet2014_detection": "detection",
    "words_detection": "detection",
}
"""Names and modules that load what finds objects: a tenth of what a command for labels imports."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:  # the same once more, in a form that type checkers read
    from .catalogue import overview as overview
    from .detection import DETECTORS as DETECTORS
    from .detection import rcnn2014 as rcnn2014
    from .detection import sppnet2014_detection as sppnet2014_detection
    from .detection import words_detection as words_detection
