"""Detection: an image in, its objects out; the image is convolved once and every region pooled from its map."""

from .objects import Objects
from .overlap import iou_matrix, nms

__all__ = ["Objects", "iou_matrix", "nms"]
