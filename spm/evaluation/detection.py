"""A fitted detector and images in, the objects of those that can be used out, and why the others cannot be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sklearn.utils import Bunch

from .._tools.parallel import in_order
from ..detection import Objects
from ..errors import ImageError, check_choice
from .protocols import ON_ERROR

log = logging.getLogger(__name__)


def find_objects(
    model: Any,
    images: Sequence[Any],
    *,
    on_error: str = "raise",
    most: int | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    on_image: Callable[[int, Any], None] | None = None,
) -> Bunch:
    """Find the objects of images, one image at a time.

    Parameters
    ----------
    model : fitted RegionDetector or CropDetector
        Its own workers are not used: `n_jobs` images are looked at at once.
    images : sequence of paths or arrays
    on_error : {"raise", "skip"}, default="raise"
        ``"skip"`` drops the images that cannot be used, logs a warning for each and reports them.
    most : int, optional
        How many objects of an image are kept, the surest. By default all.
    n_jobs : int or None
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.
    on_image : callable, optional
        Called with each position and what was found there, `Objects` or an `ImageError`, as soon as it is known.

    Returns
    -------
    Bunch
        ``objects``, a list of m `Objects`; ``used``, their positions in `images`; ``skipped``, a list of
        (position, ImageError).

    Raises
    ------
    ImageError
        For an image that cannot be used, unless skipped.
    """
    check_choice("on_error", on_error, ON_ERROR)
    found = Bunch(objects=[], used=[], skipped=[])
    look = partial(_look, model=model, on_error=on_error, most=most)
    results = in_order(look, images, n_jobs=n_jobs, batch=1, label="objects", total=len(images), verbose=verbose)
    for i, result in enumerate(results):
        if isinstance(result, ImageError):
            log.warning("skipped %s", result)
            found.skipped.append((i, result))
        else:
            found.objects.append(result)
            found.used.append(i)
        if on_image is not None:
            on_image(i, result)
    return found


def _look(image: Any, model: Any, on_error: str, most: int | None) -> Objects | ImageError:
    try:
        return model.find(image)[:most]
    except ImageError as error:
        if on_error == "raise":
            raise
        return error
