"""Detection: an image in, its objects out; the image is convolved once and every region pooled from its map."""

from .detectors import CropDetector, RegionDetector
from .drawing import draw
from .formats import load_coco, load_objects, load_voc, load_yolo, save_coco, save_voc, save_yolo
from .learning.box_regression import BoxRegressor
from .learning.head import FineTunedHead
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
from .proposals import EdgeBoxes, GivenBoxes, SelectiveSearch, SlidingWindows, default_proposals, remembered_boxes
from .union import RegionUnion

__all__ = [
    "AveragePrecision",
    "BoxRegressor",
    "CountTable",
    "CropDetector",
    "EdgeBoxes",
    "FineTunedHead",
    "GivenBoxes",
    "Objects",
    "PrecisionRecall",
    "RegionDetector",
    "RegionUnion",
    "SelectiveSearch",
    "SlidingWindows",
    "average_precision",
    "confusion_table",
    "default_proposals",
    "draw",
    "error_table",
    "iou_matrix",
    "load_coco",
    "load_objects",
    "load_voc",
    "load_yolo",
    "nms",
    "precision_recall",
    "remembered_boxes",
    "save_coco",
    "save_voc",
    "save_yolo",
]
