"""Kernels: two sets of vectors in, their Gram matrix out; or vectors whose inner products come close to it."""

from .functions import KERNELS, chi2, evaluate_kernel, hellinger, histogram_intersection, jensen_shannon, linear

__all__ = ["KERNELS", "chi2", "evaluate_kernel", "hellinger", "histogram_intersection", "jensen_shannon", "linear"]
