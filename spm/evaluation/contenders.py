"""What is compared, a preset's name or a model of one's own, in; the rows to be and the model of each out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any
from uuid import uuid4

from sklearn.base import clone

from .._tools.text import nearest
from ..errors import SpmError
from ..presets import GROUPS, PRESETS, expand, make
from ..pyramid.pyramid import SpatialPyramid
from ..storage import load
from .journal import content_key
from .protocols import employ

PAPER_LEVELS = (1, 2, 4)
"""The pyramid of Lazebnik 2006, for presets that have none of their own."""

WITHOUT = "no pyramid (1x1)"
EACH_OWN = "pyramid (each road's own)"
AS_IT_IS = "as it is"
KNOWN_CODE = ("spm", "sklearn", "numpy", "builtins", "functools")  # whose versions are part of a journal's key
OF_WORK = ("n_jobs", "verbose", "memory")


class Preset:
    """A preset in a comparison: with its pyramid and without.

    Parameters
    ----------
    name : str
    options : mapping
        Those that it has not are left out.
    shared : mapping
        Options that all presets have: `n_jobs`, `verbose`, `random_state`.
    """

    def __init__(self, name: str, options: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        self.name, self.shared = name, shared
        self.options = {option: value for option, value in options.items() if option in options_of(name)}
        self.levels = self.options.pop("levels", None)

    def pyramids(self) -> dict[str, Any]:
        """Return the levels of every row by what to call them; None where each part has its own."""
        return pyramids_of(self.name, self.levels)

    def model(self, levels: Any) -> Any:
        """Return the model of a row, not fitted."""
        given = {} if levels is None else {"levels": levels}
        return make(self.name, **self.options, **given, **self.shared)

    def own_pyramid(self, levels: Any) -> Any:
        """Return the pyramid in which alone a row's model differs from those of the other rows, None for its own."""
        return self.model(levels)[0].own_pyramid()

    def depends_on(self, levels: Any) -> Any:
        """Return all that a row's figures depend on, beside the data."""
        given = {} if levels is None else {"levels": levels}
        options = {name: content_key(value) for name, value in (self.options | given).items()}
        return self.name, options, self.shared["random_state"]


class Own:
    """A model of one's own in a comparison: with its pyramid and without if that can be changed, else as it is.

    Parameters
    ----------
    name : str
    model : estimator, or path of a saved one
        It is not fitted itself, but copies of it.
    shared : mapping
        `n_jobs` and `verbose` for a model that comes from a file.
    """

    def __init__(self, name: str, model: Any, shared: Mapping[str, Any]) -> None:
        self.name, self.shared = name, shared
        self.base = load(model) if isinstance(model, str | os.PathLike) else model
        if hasattr(self.base, "find"):
            raise SpmError(f"{name} is a detector: spm detect evaluate measures it, compare takes classifiers")
        if isinstance(self.base, type) or not all(hasattr(self.base, part) for part in ("get_params", "predict")):
            raise SpmError(f"models: {name!r} must be an estimator that takes images and predicts, or the path of one")
        self.base = clone(self.base)
        if isinstance(model, str | os.PathLike):
            employ(self.base, shared.get("n_jobs"), bool(shared.get("verbose")))

    def pyramids(self) -> dict[str, Any]:
        """Return the levels of every row by what to call them."""
        own = self._own_pyramids()
        if not own or not all(isinstance(part, SpatialPyramid) for part in own):
            return {AS_IT_IS: None}
        levels = [part.levels for part in own]
        grids = [SpatialPyramid(levels=each).grids().tolist() for each in levels]
        if all(each == [[1, 1]] for each in grids):
            return {WITHOUT: (1,)}
        same = all(each == grids[0] for each in grids)
        return {WITHOUT: (1,), _told(grids[0]) if same else EACH_OWN: levels[0] if same else None}

    def model(self, levels: Any) -> Any:
        """Return the model of a row, not fitted."""
        model = clone(self.base)
        if levels is not None and self._is_without(levels):
            maker = model[0]
            if hasattr(maker, "vectorizers"):
                for name, part in maker.vectorizers:
                    if hasattr(part, "own_pyramid"):
                        maker.set_params(**{f"{name}__pyramid": _one_cell(part.own_pyramid())})
            else:
                maker.set_params(pyramid=_one_cell(maker.own_pyramid()))
        return model

    def own_pyramid(self, levels: Any) -> Any:
        """Return the pyramid in which alone a row's model differs from those of the other rows."""
        return self.model(levels)[0].own_pyramid()

    def depends_on(self, levels: Any) -> Any:
        """Return all that a row's figures depend on, beside the data; what is never the same where code is unknown."""
        parts = self.model(levels).get_params(deep=True)
        kinds = {name: f"{type(part).__module__}.{type(part).__qualname__}" for name, part in parts.items()}
        functions = [part.__module__ for part in parts.values() if callable(part) and hasattr(part, "__module__")]
        if any(code.partition(".")[0] not in KNOWN_CODE for code in [*kinds.values(), *map(str, functions)]):
            return uuid4().hex
        values = {
            name: content_key(part)
            for name, part in parts.items()
            if name.rpartition("__")[2] not in OF_WORK and not hasattr(part, "get_params") and not _holds_parts(part)
        }
        return self.name, kinds, values

    def _is_without(self, levels: Any) -> bool:
        return list(levels) == [1] and len(self.pyramids()) > 1

    def _maker(self) -> Any:
        return self.base[0] if len(getattr(self.base, "steps", ())) > 1 else None

    def _own_pyramids(self) -> list[Any]:
        own = self._maker().own_pyramid() if hasattr(self._maker(), "own_pyramid") else []
        return [part for part in (own if isinstance(own, list) else [own]) if part is not None]


Contender = Preset | Own


def _holds_parts(value: Any) -> bool:
    """Whether a value is a list of named parts, such as a Pipeline's steps; each of them is known by itself."""
    return isinstance(value, list | tuple) and any(
        isinstance(item, tuple) and any(hasattr(part, "get_params") for part in item) for item in value
    )


def _one_cell(pyramid: Any) -> Any:
    weights = {} if isinstance(pyramid.weights, str) else {"weights": None}  # a list has one for each level
    return clone(pyramid).set_params(levels=(1,), **weights)


def _told(grids: Sequence[Sequence[int]]) -> str:
    return f"pyramid ({' + '.join(f'{rows}x{columns}' for rows, columns in grids)})"


def pyramids_of(preset: str, levels: Any = None) -> dict[str, Any]:
    """Return what is compared for a preset: its levels by what to call them; None where each part has its own.

    Examples
    --------
    >>> pyramids_of("lazebnik2006")
    {'no pyramid (1x1)': (1,), 'pyramid (1x1 + 2x2 + 4x4)': (1, 2, 4)}
    """
    own = options_of(preset)["levels"].default if levels is None else levels
    if own is None:
        return {WITHOUT: (1,), EACH_OWN: None}
    grids = SpatialPyramid(levels=own).grids().tolist()
    if grids == [[1, 1]]:  # a preset without a pyramid of its own
        own, grids = PAPER_LEVELS, [(n, n) for n in PAPER_LEVELS]
    return {WITHOUT: (1,), _told(grids): own}


def options_of(preset: str) -> Mapping[str, Any]:
    """Return the parameters of a preset by name, as `inspect.signature` has them."""
    return signature(PRESETS[preset]).parameters


def check_options(presets: Sequence[str], options: Mapping[str, Any]) -> None:
    """Refuse an option that none of the presets has.

    Raises
    ------
    SpmError
        It names the nearest, and all that there are.
    """
    known = {name for preset in presets for name in options_of(preset)} - {"n_jobs", "verbose", "random_state"}
    for name in options:
        if name not in known:
            near = nearest(name, sorted(known))
            meant = f"did you mean {' or '.join(near)}? They have" if near else "they have"
            raise SpmError(f"none of the presets has an option {name!r}: {meant} {', '.join(sorted(known))}")


def separate(presets: str | Sequence[str], models: Mapping[str, Any] | None) -> tuple[list[str], dict[str, Any]]:
    """Return the names of presets, those of groups written out, and models by name, also those whose files are named.

    Raises
    ------
    SpmError
        For an unknown preset, a file that is not there, a name that is used twice, and nothing at all.

    Examples
    --------
    >>> separate(["lazebnik2006", "models/my.spm"], None)
    (['lazebnik2006'], {'my.spm': 'models/my.spm'})
    """
    named = [presets] if isinstance(presets, str) else list(presets)
    files = [name for name in named if name not in (*PRESETS, *GROUPS) and _is_file(name)]
    bare = [os.path.basename(path) for path in files]
    own = {path if bare.count(name) > 1 else name: path for path, name in zip(files, bare, strict=True)}
    names = expand([name for name in named if name not in files])
    for name, model in (models or {}).items():
        if name in own or name in PRESETS:
            raise SpmError(f"models: {name!r} is the name of another: give each a name of its own")
        own[name] = model
    if not names and not own:
        raise SpmError("there is nothing to compare: give presets, models or both")
    return names, own


def _is_file(name: str) -> bool:
    return name.endswith(".spm") or os.path.isfile(name) or os.sep in name


def contenders(
    names: Sequence[str], models: Mapping[str, Any], options: Mapping[str, Any], shared: Mapping[str, Any]
) -> list[Contender]:
    """Return all that is compared, in order: presets, then models of one's own."""
    check_options(names, options)
    given: list[Contender] = [Preset(name, options, shared) for name in names]
    return given + [Own(str(name), model, shared) for name, model in models.items()]
