"""Several pyramids at once: whatever makes vectors of images in, its vectors with each of the pyramids out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._tools.settings import usual_settings
from ..errors import SpmError


def fit_transform_pyramids(maker: Any, X: Any, pyramids: Sequence[Any], y: Any = None) -> list[np.ndarray]:
    """Fit what makes vectors of images, and return those with each pyramid; see `transform_pyramids`."""
    if hasattr(maker, "fit_transform_pyramids"):
        return maker.fit_transform_pyramids(X, pyramids, y)
    _check_own(maker, pyramids)
    with usual_settings():
        return [maker.fit_transform(X, y)] * len(pyramids)


def transform_pyramids(maker: Any, X: Any, pyramids: Sequence[Any]) -> list[np.ndarray]:
    """Return the images' vectors with each pyramid, by anything that makes vectors.

    What has no pyramid to be changed, such as a Pipeline or a transformer of somebody else's, has its own alone: None.

    Raises
    ------
    SpmError
        For another pyramid for such a maker.
    """
    if hasattr(maker, "transform_pyramids"):
        return maker.transform_pyramids(X, pyramids)
    _check_own(maker, pyramids)
    with usual_settings():
        return [maker.transform(X)] * len(pyramids)


def _check_own(maker: Any, pyramids: Sequence[Any]) -> None:
    if any(pyramid is not None for pyramid in pyramids):
        raise SpmError(f"a {type(maker).__name__} cannot take another pyramid: give None for its own")
