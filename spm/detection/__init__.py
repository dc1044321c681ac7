"""Detection: an image in, its objects out; the image is convolved once and every region pooled from its map."""

from .proposals import EdgeBoxes, GivenBoxes, SelectiveSearch, SlidingWindows, default_proposals, remembered_boxes

__all__ = [
    "EdgeBoxes",
    "GivenBoxes",
    "SelectiveSearch",
    "SlidingWindows",
    "default_proposals",
    "remembered_boxes",
]
