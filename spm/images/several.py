"""Several images at once: whatever users give as images in, a sequence of single images out, none of them read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from .._tools.public import public
from ..errors import SpmError
from .reading import name_of


@public("spm.images")
def check_images(images: Any) -> Sequence[Any]:
    """Return `images` as a sequence of single images, none of them read yet.

    Parameters
    ----------
    images : sequence of paths or arrays, or one array of shape (n, height, width) or (n, height, width, channels)

    Raises
    ------
    SpmError
        For one image instead of several, an empty sequence, or something that is no sequence.

    Examples
    --------
    >>> import numpy as np
    >>> len(check_images(np.zeros((5, 32, 32), np.uint8)))
    5
    """
    hint = "give a list of file names, a list of arrays, or one array of shape (n, height, width[, channels])"
    if isinstance(images, str | os.PathLike | Image.Image):
        raise SpmError(f"images={name_of(images)!r} is one image: put it into a list, [image]")
    if isinstance(images, np.ndarray) and images.dtype.kind not in "OUS":
        single = images.ndim == 2 or (images.ndim == 3 and images.shape[2] in (3, 4))
        if single or images.ndim not in (3, 4):
            raise SpmError(f"images of shape {images.shape} are not several images: {hint}; one image goes as [image]")
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__") or isinstance(images, bytes | dict):
        raise SpmError(f"images of type {type(images).__name__} are no sequence: {hint}")
    if hasattr(images, "to_numpy"):  # of pandas or polars; a pandas Series is indexed by its labels
        images = images.to_numpy()
    if isinstance(images, np.ndarray) and images.dtype.kind in "OUS" and images.ndim == 2:
        if images.shape[1] != 1:
            raise SpmError(
                f"images has {images.shape[1]} columns: give the one that holds the paths, such as table['path']"
            )
        images = images[:, 0]
    if len(images) == 0:
        raise SpmError(f"images is empty: {hint}")
    return images


@public("spm.images")
def check_one_each(images: Sequence[Any], labels: Any) -> None:
    """Check that there is one label, or row of labels, for every image, where there are any.

    Raises
    ------
    SpmError

    Examples
    --------
    >>> check_one_each(["a.jpg", "b.jpg"], ["left"])
    Traceback (most recent call last):
    spm.SpmError: y must have one label for each of the 2 images, got 1
    """
    if labels is not None and (n := np.shape(labels)[0] if np.ndim(labels) else 0) != len(images):
        raise SpmError(f"y must have one label for each of the {len(images)} images, got {n}")
