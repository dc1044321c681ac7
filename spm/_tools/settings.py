"""Settings: whatever others have set for the whole process in, the usual settings for inner work out."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_entered = threading.local()  # scikit-learn's settings and numpy's are those of a thread


@contextmanager
def usual_settings() -> Iterator[None]:
    """Let inner calls see the settings that scikit-learn and numpy start with.

    ``sklearn.set_config(transform_output="pandas")`` is for results: a part asked for arrays must not answer with
    frames. ``numpy.seterr(all="raise")`` would make of every number too small to be held an error. Both belong to a
    thread, so that workers enter this too. What the caller gets is shaped after it is left, by the caller's settings.

    Examples
    --------
    >>> import sklearn
    >>> with sklearn.config_context(transform_output="pandas"), usual_settings():
    ...     sklearn.get_config()["transform_output"]
    'default'
    """
    if getattr(_entered, "already", False):
        yield
        return
    import numpy as np
    from sklearn import config_context

    usual = config_context(transform_output="default", array_api_dispatch=False)
    with usual, np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        _entered.already = True
        try:
            yield
        finally:
            _entered.already = False


def as_usual(function: F) -> F:
    """Let every call of a function see the usual settings; inside another such call it takes no time.

    Examples
    --------
    >>> import numpy as np
    >>> @as_usual
    ... def halved(x):
    ...     return x / 2
    >>> with np.errstate(under="raise"):
    ...     halved(np.float32(1e-45))
    np.float32(0.0)
    """

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if getattr(_entered, "already", False):  # every image comes by here several times
            return function(*args, **kwargs)
        with usual_settings():
            return function(*args, **kwargs)

    return cast(F, called)


def without_names(estimator: T) -> T:
    """Return an estimator that takes arrays without a warning, where it was fitted to a frame: itself, or a copy.

    Examples
    --------
    >>> import pandas, sklearn.svm
    >>> machine = sklearn.svm.LinearSVC().fit(pandas.DataFrame({"a": [0.0, 1.0]}), [0, 1])
    >>> hasattr(machine, "feature_names_in_"), hasattr(without_names(machine), "feature_names_in_")
    (True, False)
    """
    if "feature_names_in_" not in vars(estimator):
        return estimator
    unnamed: Any = copy.copy(estimator)
    del unnamed.feature_names_in_
    return unnamed
