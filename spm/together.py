"""Several pyramids in one pass: vectorizers that differ in their pyramids in, the vectors of each out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def fit_transform_together(vectorizers: Sequence[Any], X: Any, y: Any = None) -> list[np.ndarray]:
    """Fit vectorizers in place, and return the vectors of the images that they learned from, an array of each.

    Those that differ in their pyramids alone learn one codebook, and describe and encode each image once; so do such
    parts of sums and products of kernels. Any others are fitted one after the other.

    Examples
    --------
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 48), dtype=np.uint8)
    >>> pyramids = [spm.SpatialPyramid(levels=levels) for levels in [(1,), (1, 2)]]
    >>> words = [spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), pyramid=pyramid) for pyramid in pyramids]
    >>> [vectors.shape for vectors in fit_transform_together(words, images)]
    [(4, 5), (4, 25)]
    >>> [vectors.shape for vectors in transform_together(words, images[:2])]
    [(2, 5), (2, 25)]
    """
    return _together(
        vectorizers,
        alone=lambda vectorizer: vectorizer.fit(X, y).transform(X),
        shared=lambda first, others: first._fit_transform_with(others, X, y),
    )


def transform_together(vectorizers: Sequence[Any], X: Any) -> list[np.ndarray]:
    """Return the images' vectors by each of the fitted vectorizers; what was learned once is used once."""
    return _together(
        vectorizers,
        alone=lambda vectorizer: vectorizer.transform(X),
        shared=lambda first, others: first._transform_with(others, X),
    )


def _together(
    vectorizers: Sequence[Any],
    alone: Callable[[Any], np.ndarray],
    shared: Callable[[Any, list[Any]], list[np.ndarray]],
) -> list[np.ndarray]:
    if len(vectorizers) == 1:
        return [alone(vectorizers[0])]
    groups: dict[Any, list[int]] = {}
    for place, vectorizer in enumerate(vectorizers):
        key = vectorizer._shared_key() if hasattr(vectorizer, "_shared_key") else place
        groups.setdefault(key, []).append(place)
    vectors: dict[int, np.ndarray] = {}
    for places in groups.values():
        first, *others = (vectorizers[place] for place in places)
        vectors.update(zip(places, shared(first, others) if others else [alone(first)], strict=True))
    return [vectors[place] for place in range(len(vectorizers))]
