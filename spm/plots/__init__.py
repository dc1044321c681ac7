"""Figures: images, models and results in, matplotlib axes out.

Every function draws on the axes that it is given, or on a figure of its own, and returns them; none changes
matplotlib's settings or needs a screen. They need matplotlib: ``pip install matplotlib``.
"""

from .pictures import feature_map, neighbours, pyramid
from .results import confusion, curve, precision_recall
from .verdicts import detections, evidence
from .vocabulary import word_map, words

__all__ = [
    "confusion",
    "curve",
    "detections",
    "evidence",
    "feature_map",
    "neighbours",
    "precision_recall",
    "pyramid",
    "word_map",
    "words",
]
