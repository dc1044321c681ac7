"""Remembered features: an extractor and an image in, its views out, from joblib's memory where it has them."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from .._tools.opencv import cv2
from ..images import content_of
from .local import Views, fingerprint_of


def remembered_views(features: Any, image: Any, memory: Any) -> Views:
    """Return the image's views, kept in a joblib.Memory or under a path, or made anew where that is None."""
    if memory is None:
        return features.views(image)
    import joblib

    memory = memory if hasattr(memory, "cache") else joblib.Memory(memory, verbose=0)
    views = memory.cache(_views, ignore=["features", "image"], verbose=0)
    return views(_key(features, image), features, image)


def _views(key: str, features: Any, image: Any) -> Views:
    """Return the views of an image; joblib keeps them by `key`."""
    return features.views(image)


def _key(features: Any, image: Any) -> str:
    """Return what an image's local features depend on, as a digest."""
    import joblib

    from .. import __version__

    digest = blake2b(content_of(image), digest_size=20)
    made_by = (*fingerprint_of(features), __version__, cv2.__version__)
    digest.update(joblib.hash(made_by).encode())
    return digest.hexdigest()
