"""Options: declarations of what each option of an estimator may be in, one clear error for one that is not out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import SpmError, check_choice, check_number, check_part

Check = Callable[[str, Any], Any]
"""Takes an option's name and value; returns the value, or raises `SpmError`."""

Options = Mapping[str, Check]
"""What an estimator's class declares as ``_options``: a check for each of its options."""


def check_options(estimator: Any) -> None:
    """Check every option of an estimator against what its class declares.

    Raises
    ------
    SpmError
        For the first that is not valid; the message has its name, what is wanted and what came.

    Examples
    --------
    >>> import spm
    >>> check_options(spm.DenseSIFT(step=0))
    Traceback (most recent call last):
    spm.SpmError: step must be a whole number at least 1, got 0
    """
    for name, check in estimator._options.items():
        check(name, getattr(estimator, name))


def check_all_options(model: Any) -> None:
    """Check the options of all parts of a model, such as a Pipeline's, that declare what they may be.

    So a part that works last is refused before the first one works.

    Raises
    ------
    SpmError
        For the first that is not valid.

    Examples
    --------
    >>> import spm
    >>> check_all_options(spm.presets.lazebnik2006(C=-1))
    Traceback (most recent call last):
    spm.SpmError: C must be a finite number above 0, got -1
    """
    for part in (model, *model.get_params(deep=True).values()):
        if hasattr(part, "_options") and not isinstance(part, type):
            check_options(part)


def whole(least: int) -> Check:
    """Declare a whole number, `least` or more; numpy's count as Python's."""
    return lambda name, value: check_number(name, value, least=least, integer=True)


def number(*, least: float | None = None, above: float | None = None) -> Check:
    """Declare a finite number within bounds."""
    return lambda name, value: check_number(name, value, least=least, above=above)


def share(name: str, value: Any) -> Any:
    """Check a number from 0 to below 1."""
    if check_number(name, value, least=0) >= 1:
        raise SpmError(f"{name} must be below 1, got {value!r}")
    return value


def choice(choices: Iterable[Any]) -> Check:
    """Declare one of several names."""
    listed = tuple(choices)
    return lambda name, value: check_choice(name, value, listed)


def flag(name: str, value: Any) -> Any:
    """Check a yes or no, Python's or numpy's."""
    return value if _is_flag(value) else check_choice(name, value, (False, True))


def _is_flag(value: Any) -> bool:
    return type(value).__name__ in ("bool", "bool_")


def optional(check: Check) -> Check:
    """Declare that None will do as well."""
    return lambda name, value: None if value is None else check(name, value)


def each(check: Check, example: str) -> Check:
    """Declare a sequence, one value at least, of which every value passes; `example` is one that does."""

    def check_each(name: str, value: Any) -> Any:
        flat = hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, str | bytes | dict)
        if not flat or getattr(value, "ndim", 1) != 1:
            raise SpmError(f"{name} must be a sequence such as {example}, got {value!r}")
        if not len(value):
            raise SpmError(f"{name} must be a sequence such as {example}, got an empty sequence")
        for item in value:
            check(f"each of {name}", item)
        return value

    return check_each


def one_or_more(check: Check, example: str) -> Check:
    """Declare one value, or a sequence of such."""
    several = each(check, example)
    return lambda name, value: check(name, value) if isinstance(value, str) or _is_one(value) else several(name, value)


def _is_one(value: Any) -> bool:
    return not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0


def part(kind: str) -> Check:
    """Declare a nested part that can do what `spm.errors.PARTS` asks of its kind."""
    return lambda name, value: check_part(kind, value)


def callable_or(check: Check) -> Check:
    """Declare a function, or what passes the check."""
    return lambda name, value: value if callable(value) else check(name, value)


def anything(name: str, value: Any) -> Any:
    """Check nothing: the value is looked at where it is used."""
    return value


def memory(name: str, value: Any) -> Any:
    """Check where to keep things: a joblib.Memory, a path or None."""
    if not (value is None or isinstance(value, str | os.PathLike) or hasattr(value, "cache")):
        raise SpmError(f"{name} must be a path or a joblib.Memory, got {value!r}")
    return value


def seed(name: str, value: Any) -> Any:
    """Check a `random_state`: None, a whole number, or a RandomState."""
    from sklearn.utils import check_random_state

    try:
        check_random_state(value)
    except ValueError as error:
        hint = "None, a whole number from 0 to 4294967295 or a numpy.random.RandomState"
        raise SpmError(f"{name} must be {hint}, got {value!r}") from error
    return value


def workers(name: str, value: Any) -> Any:
    """Check `n_jobs`: None, or a whole number other than 0."""
    if value is not None and check_number(name, value, integer=True) == 0:
        raise SpmError(f"{name} must be a number of workers, -1 for one a core, or None, got 0")
    return value


def progress(name: str, value: Any) -> Any:
    """Check `verbose`: yes or no, or a whole number as scikit-learn has it."""
    return value if _is_flag(value) else check_number(name, value, least=0, integer=True)
