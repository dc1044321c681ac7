"""Slow, obvious twins of the kernels and their explicit maps, written from their definitions in float64."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad


def jensen_shannon(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    return np.array([[sum(map(_jensen_shannon, a, b)) for b in _float64(B)] for a in _float64(A)]).reshape(
        len(A), len(B)
    )


def _jensen_shannon(a: float, b: float) -> float:
    left = a / 2 * math.log2((a + b) / a) if a > 0 else 0.0
    right = b / 2 * math.log2((a + b) / b) if b > 0 else 0.0
    return left + right


def hellinger(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    return np.array([[sum(np.sqrt(a) * np.sqrt(b)) for b in _float64(B)] for a in _float64(A)]).reshape(len(A), len(B))


def _float64(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


SIGNATURES = {  # k(x, y) = sqrt(xy) K(log(y / x)): the K of each kernel, written out from k(exp(-t/2), exp(t/2))
    "intersection": lambda t: min(math.exp(-t / 2), math.exp(t / 2)),
    "chi2": lambda t: 2 / (math.exp(t / 2) + math.exp(-t / 2)),
    "jensen_shannon": lambda t: _jensen_shannon(math.exp(-t / 2), math.exp(t / 2)),
}


def spectrum(kernel: str, omega: float) -> float:
    """The density of a signature at a frequency: its Fourier transform, integrated numerically."""
    signature = SIGNATURES[kernel]
    return 2 * quad(signature, 0, 80, weight="cos", wvar=omega, limit=400)[0] / (2 * math.pi)


def coefficient(kernel: str, j: int, period: float) -> float:
    """The j-th Fourier coefficient of a signature cut to one period, which is then repeated."""
    signature = SIGNATURES[kernel]
    return 2 * quad(signature, 0, period / 2, weight="cos", wvar=2 * math.pi * j / period, limit=400)[0] / period


def homogeneous_map(x: float, coefficients: list[float], period: float, gamma: float) -> list[float]:
    """Vedaldi and Zisserman 2012: the map of one value, its middle value first, then a cosine and a sine of each j."""
    if x == 0:
        return [0.0] * (2 * len(coefficients) - 1)
    size, angle = math.copysign(abs(x) ** (gamma / 2), x), 2 * math.pi * math.log(abs(x)) / period
    mapped = [size * math.sqrt(coefficients[0])]
    for j, coefficient in enumerate(coefficients[1:], start=1):
        length = size * math.sqrt(2 * coefficient)
        mapped += [length * math.cos(j * angle), length * math.sin(j * angle)]
    return mapped
