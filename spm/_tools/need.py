"""A feature and the module it needs in, the module out, or one error that names both and how to install it."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingDependencyError


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
