"""Normalisation: pooled statistics in, vectors of comparable size out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .._tools.settings import as_usual
from ..errors import NotFiniteError, SpmError, check_choice


def l1(vectors: np.ndarray) -> np.ndarray:
    """Divide each row by the sum of its absolute values; a row of zeros stays."""
    with np.errstate(over="ignore"):
        sizes = np.abs(vectors).sum(axis=-1, keepdims=True)
    return _divide(vectors, sizes)


def l2(vectors: np.ndarray) -> np.ndarray:
    """Divide each row by its Euclidean length; a row of zeros stays."""
    with np.errstate(over="ignore"):
        sizes = np.sqrt(np.square(vectors).sum(axis=-1, keepdims=True))
    return _divide(vectors, sizes)


def power(vectors: np.ndarray) -> np.ndarray:
    """Take the signed square root of every value (Perronnin 2010, section 3.2, with alpha = 1/2)."""
    return np.sign(vectors) * np.sqrt(np.abs(vectors))


def _divide(vectors: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    if not np.isfinite(sizes).all():  # they would be divided to zeros
        raise NotFiniteError(f"values up to {np.abs(vectors).max():g} are too large to be normed in {vectors.dtype}")
    return vectors / np.where(sizes > 0, sizes, 1)


NORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"l1": l1, "l2": l2, "power": power}


def fitting(vector: np.ndarray, dtype: str) -> np.ndarray:
    """Return a vector's values, or raise where they are not finite, or would not be in a type.

    Examples
    --------
    >>> fitting(np.float32([1e5]), "float16")
    Traceback (most recent call last):
    spm.errors.NotFiniteError: its vector has values up to 100000, more than dtype='float16' holds: take norm or float32
    """
    largest = np.abs(vector).max(initial=0)
    if not np.isfinite(largest):
        raise NotFiniteError("its vector has values that are not finite: take norms, or smaller weights")
    if largest > np.finfo(dtype).max:
        hint = "norm or float32" if dtype == "float16" else "norm"
        raise NotFiniteError(f"its vector has values up to {largest:g}, more than dtype={dtype!r} holds: take {hint}")
    return vector


def check_norm(norm: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names in `norm`, in the order of their work.

    Raises
    ------
    SpmError
        For an unknown name; the message lists the choices.

    Examples
    --------
    >>> check_norm(("power", "l2"))
    ('power', 'l2')
    """
    names = () if norm is None else (norm,) if isinstance(norm, str) else norm
    if not isinstance(names, (tuple, list)):
        raise SpmError(f"norm must be a name, a tuple of names or None, got {norm!r}")
    for name in names:
        check_choice("norm", name, NORMS)
    return tuple(names)


def normalise(vectors: np.ndarray, norm: str | Sequence[str] | None, n_levels: int = 1) -> np.ndarray:
    """Apply the named norms, one after the other, along the last axis.

    Parameters
    ----------
    vectors : ndarray of shape (..., D)
    norm : {"l1", "l2", "power"}, a tuple of these, or None
    n_levels : int, default=1
        Levels in a vector. l1 divides by the sum of absolute values over their number: the feature count, for words.

    Returns
    -------
    ndarray of shape (..., D)

    Examples
    --------
    >>> import numpy as np
    >>> normalise(np.array([[3.0, 1.0], [0.0, 0.0]]), "l1")
    array([[0.75, 0.25],
           [0.  , 0.  ]])
    """
    for name in check_norm(norm):
        vectors = NORMS[name](vectors)
        if name == "l1":
            vectors = vectors * n_levels
    return vectors


def mean_of(views: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the cells that an image's views have, of one view its own."""
    return views[0] if len(views) == 1 else np.mean(views, axis=0)


@as_usual
def join(
    layers: Sequence[np.ndarray],
    norm: str | Sequence[str] | None,
    norm_over: str,
    n_levels: int,
    cell_weights: np.ndarray,
) -> np.ndarray:
    """Return the cells of all layers as one vector for each region, normalised, and then weighted by level.

    Parameters
    ----------
    layers : sequence of ndarray of shape (n_regions, n_cells, D)
    norm : {"l1", "l2", "power"}, a tuple of these, or None
    norm_over : {"vector", "cell"}
    n_levels : int
    cell_weights : ndarray of shape (n_cells,), float32

    Returns
    -------
    ndarray of shape (n_regions, n_values)
        By layer, cell and channel.

    Examples
    --------
    >>> cells = np.float32([[[3, 1], [2, 2]]])
    >>> join([cells], "l1", "cell", 1, np.float32([1, 2]))
    array([[0.75, 0.25, 1.  , 1.  ]], dtype=float32)
    """
    if norm_over == "cell":
        layers = [normalise(cells, norm) for cells in layers]
    flat = [cells.reshape(len(cells), np.prod(cells.shape[1:])) for cells in layers]
    copied = norm_over == "vector" and len(check_norm(norm)) > 0  # norms do not write over what they take
    vectors = flat[0] if len(flat) == 1 and copied else np.concatenate(flat, axis=1)
    if norm_over == "vector":
        vectors = normalise(vectors, norm, n_levels)
    if (cell_weights == 1).all():
        return vectors
    ends = np.cumsum([np.prod(cells.shape[1:]) for cells in layers]).tolist()
    with np.errstate(over="ignore"):  # `fitting` names it
        for cells, start, end in zip(layers, [0, *ends], ends, strict=False):
            vectors[:, start:end].reshape(cells.shape)[:] *= cell_weights[:, None]
    return vectors
