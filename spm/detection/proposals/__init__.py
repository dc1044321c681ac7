"""Proposals: an image in, boxes in which an object may be out, best first."""

from .default import default_proposals
from .edge_boxes import EdgeBoxes, edges_of
from .given import GivenBoxes
from .memory import remembered_boxes
from .selective_search import SelectiveSearch
from .windows import SlidingWindows, windows

__all__ = [
    "EdgeBoxes",
    "GivenBoxes",
    "SelectiveSearch",
    "SlidingWindows",
    "default_proposals",
    "edges_of",
    "remembered_boxes",
    "windows",
]
