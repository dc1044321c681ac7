"""What can go wrong, and the argument checks that say so: any value in, the same value or one clear error out."""

from __future__ import annotations

import importlib
import numbers
from collections.abc import Iterable
from typing import Any

from ._tools.public import public
from ._tools.text import printable

LINES = "\n\t"  # characters that lay a message out


@public()
class SpmError(ValueError):
    """The root of every error that spm raises on purpose: it says what, what was wanted, what came, what to do."""

    def __str__(self) -> str:
        return printable(super().__str__(), keep=LINES)


@public()
class ImageError(SpmError):
    """One image cannot be used.

    Parameters
    ----------
    source : str
        The image's file name, or a word such as ``"array"`` for an image in memory.
    reason : str
        What is wrong with it and what to do.

    Attributes
    ----------
    source, reason : str
        As given.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source = source
        self.reason = reason

    def __str__(self) -> str:
        return f"{printable(self.source)}: {printable(self.reason, keep=LINES)}"


class NotFiniteError(SpmError):
    """Values of an image are NaN or infinite; what knows the image makes an `ImageError` of it."""


class MissingDependencyError(SpmError, ImportError):
    """A package that a feature needs is missing or cannot be imported; the message has the command that installs it."""


def need(feature: str, packages: str, module: str) -> Any:
    """Import a module that not everybody has.

    Parameters
    ----------
    feature : str
        What it is needed for, in the plural: the error's first words.
    packages : str
        What to install: their names on the index, whatever spm itself was installed from.
    module : str

    Raises
    ------
    MissingDependencyError

    Examples
    --------
    >>> need("figures", "matplotlib", "math").floor(1.5)
    1
    >>> need("figures", "matplotlib", "no_module.inside")
    Traceback (most recent call last):
    spm.errors.MissingDependencyError: figures need no_module, which cannot be imported (No module named
    'no_module'): pip install matplotlib
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MissingDependencyError(
            f"{feature} need {name}, which cannot be imported ({error}): pip install {packages}"
        ) from error


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Return `value`, or raise `SpmError` listing the choices when it is none of them.

    Examples
    --------
    >>> check_choice("window", "flat", ("flat", "gaussian"))
    'flat'
    """
    choices = list(choices)
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise SpmError(f"{name}={value!r} is not an option: choose one of {listed}")
    return value


def check_number(
    name: str, value: Any, *, above: float | None = None, least: float | None = None, integer: bool = False
) -> Any:
    """Return `value`, or raise `SpmError` when it is not a finite number within the bounds.

    Examples
    --------
    >>> check_number("step", 8, least=1, integer=True)
    8
    """
    kind = numbers.Integral if integer else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool) and abs(float(value)) != float("inf")
    good = good and value == value
    good = good and (above is None or value > above) and (least is None or value >= least)
    if not good:
        bounds = [f"above {above}"] * (above is not None) + [f"at least {least}"] * (least is not None)
        wanted = " ".join(["a whole number" if integer else "a finite number", *bounds])
        raise SpmError(f"{name} must be {wanted}, got {value!r}")
    return value


PARTS = {
    "features": (("get_params", "extract", "views", "check"), "DenseSIFT()"),
    "encoder": (("get_params", "fit", "encode", "finish"), "BagOfWords()"),
    "pyramid": (("get_params", "cells", "cell_weights"), "SpatialPyramid()"),
    "reduce": (("get_params", "fit", "transform"), "PCA()"),
    "clusterer": (("get_params", "fit"), "KMeans(200)"),
    "vectorizer": (("get_params", "fit", "encode_views", "transform_regions"), "PyramidVectorizer()"),
    "proposals": (("get_params", "propose"), "SelectiveSearch()"),
}
"""What each nested part must be able to do, and one that can."""


def check_part(name: str, part: Any) -> Any:
    """Return a nested part, or raise `SpmError` when it is a class or lacks what parts of that name must have.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> check_part("reduce", PCA(2))
    PCA(n_components=2)
    """
    methods, example = PARTS[name]
    lacking = [method for method in methods if not hasattr(part, method)]
    if lacking or isinstance(part, type):
        hint = "an object, not a class" if isinstance(part, type) else f"it lacks {', '.join(lacking)}"
        raise SpmError(f"{name}={part!r} cannot be used ({hint}): give one such as {example}")
    return part
