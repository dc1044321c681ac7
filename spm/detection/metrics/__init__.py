"""True objects and found ones in, figures out: average precision by three rules, curves, tables of errors."""

from .precision import AveragePrecision, PrecisionRecall, average_precision, precision_recall
from .tables import CountTable, confusion_table, error_table

__all__ = [
    "AveragePrecision",
    "CountTable",
    "PrecisionRecall",
    "average_precision",
    "confusion_table",
    "error_table",
    "precision_recall",
]
