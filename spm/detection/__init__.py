"""Detection: an image in, its objects out; the image is convolved once and every region pooled from its map."""

from .metrics import (
    AveragePrecision,
    CountTable,
    PrecisionRecall,
    average_precision,
    confusion_table,
    error_table,
    precision_recall,
)
from .objects import Objects
from .overlap import iou_matrix, nms

__all__ = [
    "AveragePrecision",
    "CountTable",
    "Objects",
    "PrecisionRecall",
    "average_precision",
    "confusion_table",
    "error_table",
    "iou_matrix",
    "nms",
    "precision_recall",
]
