"""Detection: an image in, its objects out; the image is convolved once and every region pooled from its map."""

from .drawing import draw
from .formats import load_coco, load_voc, load_yolo, save_coco, save_voc, save_yolo
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
    "draw",
    "error_table",
    "iou_matrix",
    "load_coco",
    "load_voc",
    "load_yolo",
    "nms",
    "precision_recall",
    "save_coco",
    "save_voc",
    "save_yolo",
]
