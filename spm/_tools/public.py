"""Public names: what users import in, the same under the name of its public home out, wherever its file lies."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def public(home: str = "spm") -> Callable[[T], T]:
    """Return a decorator that gives a class or function its public home.

    Saved models, pickles and cache keys name what they hold by ``__module__``: by the home they outlive every move of
    a file. Doctest looks for examples by the same name, so that it has to be told of them.

    Examples
    --------
    >>> from spm import DenseSIFT
    >>> DenseSIFT.__module__
    'spm'
    """

    def name(thing: T) -> T:
        examples = vars(sys.modules[thing.__module__]).setdefault("__test__", {})
        examples[thing.__name__] = thing  # type: ignore[attr-defined]
        thing.__module__ = home
        return thing

    return name
