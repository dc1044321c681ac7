"""Kernels: two sets of vectors in, their Gram matrix out; or vectors whose inner products come close to it."""

from .functions import chi2, hellinger, histogram_intersection, jensen_shannon, linear
from .table import KERNELS, Kernel, evaluate_kernel

__all__ = [
    "KERNELS",
    "Kernel",
    "chi2",
    "evaluate_kernel",
    "hellinger",
    "histogram_intersection",
    "jensen_shannon",
    "linear",
]
