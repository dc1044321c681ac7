"""Presets: a paper's name in, a scikit-learn Pipeline, or a detector, with the paper's values out."""

from .best import best_handcrafted
from .catalogue import overview
from .detection import DETECTORS, rcnn2014, sppnet2014_detection, words_detection
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
