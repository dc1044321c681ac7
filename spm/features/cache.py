"""Remembered work: an extractor and an image in, its views out, from joblib's memory where it has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, TypeVar

import PIL

from .._tools.opencv import cv2
from .._tools.settings import usual_settings
from ..errors import SpmError
from ..images import content_of
from .local import Views, fingerprint_of

T = TypeVar("T")


def remembered_views(features: Any, image: Any, memory: Any) -> Views:
    """Return the image's views, kept in a joblib.Memory or under a path, or made anew where that is None."""
    return remembered(_views, features, image, memory)


def _views(key: str, maker: Any, image: Any) -> Views:
    """Return the views of an image; joblib keeps them by `key`."""
    return maker.views(image)


@usual_settings()
def remembered(make: Callable[[str, Any, Any], T], maker: Any, image: Any, memory: Any) -> T:
    """Return ``make(key, maker, image)``, kept in a joblib.Memory or under a path, or made anew where that is None.

    The key is a digest of the image's content, the maker's options and the versions of all that take part. `make` is a
    function of a module, with arguments of these names.
    """
    if memory is None:
        return make("", maker, image)
    import joblib

    memory = memory if hasattr(memory, "cache") else joblib.Memory(memory, verbose=0)
    kept = memory.cache(make, ignore=["maker", "image"], verbose=0)
    return kept(_key(maker, image), maker, image)


def _key(maker: Any, image: Any) -> str:
    """Return what a maker makes of an image depends on, as a digest."""
    import joblib

    from .. import __version__

    digest = blake2b(content_of(image), digest_size=20)
    print_of = fingerprint_of(maker)
    _refuse_functions(maker, print_of[-1])
    made_by = (*print_of, __version__, cv2.__version__, PIL.__version__)
    digest.update(joblib.hash(made_by).encode())
    return digest.hexdigest()


def _refuse_functions(maker: Any, options: Any) -> None:
    """Refuse options that hold a function: by its name it is found again, also after its code was changed."""
    if isinstance(options, Mapping):
        options = list(options.values())
    if isinstance(options, list | tuple | set):
        for option in options:
            _refuse_functions(maker, option)
    elif callable(options) and not isinstance(options, type):
        raise SpmError(
            f"{type(maker).__name__} has a function among its options, {_name_of(options)}: what it makes cannot be "
            "remembered: nobody sees when its code changes. Give a name in its place, or memory=None"
        )


def _name_of(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
