"""What estimators share: a fit in, one that is made whole or not at all out; parts left open, filled by defaults."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, TypeVar

from sklearn.base import BaseEstimator, clone

from ..errors import SpmError, check_part

Fit = TypeVar("Fit", bound=Callable[..., Any])


def learns(fit: Fit) -> Fit:
    """Make a method that learns one step: it begins without what was learned before, and is undone where it fails.

    So nothing of an earlier fit is left beside what this one learns, and what answers after a failure is the earlier
    model, whole. Attributes whose names end in "_" are what is learned.

    Examples
    --------
    >>> class Mean:
    ...     @learns
    ...     def fit(self, X):
    ...         self.n_ = len(X)
    ...         self.mean_ = sum(X) / self.n_
    >>> mean = Mean()
    >>> mean.fit([1, 3])
    >>> mean.fit([])
    Traceback (most recent call last):
    ZeroDivisionError: division by zero
    >>> vars(mean)
    {'n_': 2, 'mean_': 2.0}
    """

    @wraps(fit)
    def fit_whole(self: Any, *args: Any, **options: Any) -> Any:
        before = dict(vars(self))
        for name in before:
            if name.endswith("_") and not name.startswith("_"):
                delattr(self, name)
        try:
            return fit(self, *args, **options)
        except BaseException:  # Ctrl-C as well
            vars(self).clear()
            vars(self).update(before)
            raise

    return fit_whole  # type: ignore[return-value]


class OpenParts(BaseEstimator):
    """An estimator some of whose parts may be left at None: by default they are those of ``_defaults``."""

    _defaults: ClassVar[dict[str, Callable[[], Any]]] = {}

    def part(self, name: str) -> Any:
        """Return a new part, checked: a clone of what is given, or the default."""
        given = getattr(self, name)
        return self._defaults[name]() if given is None else clone(check_part(name, given))

    def set_params(self: Any, **params: Any) -> Any:
        """Set options, also a part's by ``part__option``; a part left at None is set to its default first.

        Raises
        ------
        SpmError
            For an option of a part that is None and has no default.
        """
        before = dict(vars(self))
        for name in list(params):
            part, nested, _ = name.partition("__")
            if nested and part in self._get_param_names() and params.get(part, getattr(self, part)) is None:
                if part not in self._defaults:
                    raise SpmError(f"{name} cannot be set: there is no {part}; set {part} itself first")
                params[part] = self._defaults[part]()
        try:
            return super().set_params(**params)
        except ValueError:  # a name of nothing
            vars(self).update(before)
            raise


class TakesImages:
    """An estimator whose input are images, which scikit-learn does not look at."""

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn is to know of it."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.no_validation = True
        return tags
