"""Saving and loading: a fitted model in, one file out and back; the file holds arrays and plain values, never code."""

from __future__ import annotations

import copy
import os
import stat
import warnings
from collections.abc import Iterator
from datetime import datetime, timezone
from inspect import signature
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from .. import _HOMES
from .._tools.files import read_at_most, write_whole
from .._tools.libraries import made_with
from .._tools.public import public
from ..errors import SpmError
from ..networks.file import Network
from ._archive import check_archive, is_sealed, seal
from ._origin import OF_THIS_MACHINE, differences, origin_of
from ._skops import skops_io
from ._trees import check_trees, drop_search_trees, grow_search_trees
from ._trusted import TRUSTED

FORMAT = 3  # 2: without seal and origin
MOST = 2**33  # bytes of a file that is read


@public()
def save(model: Any, path: str | os.PathLike[str]) -> Path:
    """Save a fitted model.

    The file is written by skops: arrays and plain values, no pickle. What belongs to this machine, `memory`, `n_jobs`
    and `verbose`, is left out; networks are taken in from their files. With it goes how its features were made, and a
    digest of the whole. An old file of that name stays until the new one is complete.

    Parameters
    ----------
    model : estimator
        Such as a preset, a PyramidVectorizer, or a Pipeline of spm's and scikit-learn's estimators.
    path : path

    Returns
    -------
    pathlib.Path

    Raises
    ------
    SpmError
        If the model holds something that `load` would refuse, such as a function of your own, or if the file cannot
        be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import spm
    >>> path = os.path.join(tempfile.mkdtemp(), "scene.spm")
    >>> _ = spm.save(spm.presets.lazebnik2006(n_words=50), path)
    >>> spm.load(path).named_steps["vectorizer"].encoder
    BagOfWords(n_words=50)
    """
    skops = skops_io()
    if isinstance(model, type) or not hasattr(model, "get_params"):
        raise SpmError(f"{model!r} is no estimator: give a model such as a preset")
    try:
        portable = copy.deepcopy(model)
        _make_portable(portable)
        origin = origin_of(parts_of(portable)) | {"made_with": made_with()}
        origin["made"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        data = skops.dumps({"format": FORMAT, "spm": origin["versions"]["spm"], "origin": origin, "model": portable})
    except Exception as error:  # what cannot be copied or written fails in many ways
        raise SpmError(f"the model cannot be saved: a part of it cannot be written ({error})") from error
    unknown = _unknown_types(skops.get_untrusted_types(data=data))
    if unknown:
        raise SpmError(
            f"the model cannot be saved: it holds {', '.join(unknown)}, which load() would not trust: {_instead(model)}"
        )
    try:
        check_archive(data)
    except SpmError as error:
        raise SpmError(f"the model cannot be saved, since load() would refuse it: {error}") from error
    return write_whole(path, seal(data), "the model")


@public()
def load(path: str | os.PathLike[str]) -> Any:
    """Load a model that `save` wrote.

    Nothing in the file is executed: a file that holds a type outside a fixed list is refused, and nothing outside the
    file is followed. How much it would unpack to is known before anything is: what load takes at its height is a small
    multiple of the file. Where the features were made otherwise than they would be here, a warning says by name what
    differs: versions of spm, OpenCV, Pillow and onnxruntime, options of extractors, networks.

    Parameters
    ----------
    path : path

    Returns
    -------
    estimator

    Raises
    ------
    SpmError
        If the file is missing, is no model of spm's, is damaged or changed, holds a type that is not trusted, would
        unpack to much more than it is, or is of a newer format.
    """
    stored = read_model(path)
    if stored["differing"]:
        warnings.warn(
            f"{path}: features are not made as they were for this model, so that vectors may differ: "
            + "; ".join(stored["differing"]),
            stacklevel=2,
        )
    return stored["model"]


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `save` wrote: the ``model``, its ``origin``, and texts of what of that is ``differing`` here.

    Raises
    ------
    SpmError
        As `load` does.
    """
    data = _read(path)
    try:
        sealed = is_sealed(data)
        check_archive(data)
    except SpmError as error:
        raise SpmError(f"{path}: the file is refused: {error}") from error
    except Exception as error:  # a damaged archive fails in many ways
        raise _damaged(path) from error
    stored = _unpack(path, data)
    if stored["format"] > FORMAT:
        raise SpmError(f"{path}: the model was saved by spm {stored.get('spm')}: upgrade spm to load it")
    if stored["format"] > 2 and not sealed:
        raise SpmError(f"{path}: the file is refused: it has been packed anew, or its end is missing: save it again")
    try:
        for part in list(parts_of(stored["model"])):
            _make_usable(part)
        now = origin_of(parts_of(stored["model"]))
        stored.setdefault("origin", _origin_of_old(stored, now))
        stored["differing"] = differences(stored["origin"], now)
    except Exception as error:  # a crafted file fails in many ways
        raise SpmError(f"{path}: the model is damaged ({error}): it is not loaded") from error
    return stored


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise SpmError(f"{path}: the model cannot be read: this is a pipe or a device, no regular file")
        return read_at_most(path, MOST)
    except OSError as error:
        raise SpmError(f"{path}: the model cannot be read ({error.strerror})") from error


def _damaged(path: str | os.PathLike[str]) -> SpmError:
    return SpmError(f"{path}: this is no model saved by spm, or it is damaged: save it again")


def _unpack(path: str | os.PathLike[str], data: bytes) -> dict[str, Any]:
    """Return what is in a file whose archive was looked over: its types are, before any of them is made."""
    skops = skops_io()
    try:
        unknown = _unknown_types(skops.get_untrusted_types(data=data))
        stored = None if unknown else skops.loads(data, trusted=list(TRUSTED))
    except Exception as error:  # a damaged schema fails in many ways
        raise _damaged(path) from error
    if any(name.startswith("spm.") and name.rpartition(".")[2] in _HOMES for name in unknown):  # by a file's place
        raise SpmError(
            f"{path}: this model was saved by a version of spm from before its release: train and save it anew"
        )
    if unknown:
        raise SpmError(f"{path}: the file holds {', '.join(unknown)}, which spm does not trust: it is not loaded")
    if not isinstance(stored, dict) or not isinstance(stored.get("format"), int) or "model" not in stored:
        raise SpmError(f"{path}: this is no model saved by spm.save")
    return stored


def _make_usable(part: Any) -> None:
    """Make a part of a loaded model ready for use here, or refuse it."""
    if isinstance(part, Network):
        _refuse(part.path is not None or not isinstance(part._content, np.ndarray), "a network outside the file")
    elif hasattr(part, "embed_network"):
        given = [value for name, value in vars(part).items() if name in ("model", "trunk", "origin_")]
        _refuse(any(isinstance(value, os.PathLike) or _leads_away(value) for value in given), "a path of a network")
    _reset(part)
    _give_defaults(part)
    check_trees(part)
    grow_search_trees(part)


def _leads_away(value: Any) -> bool:
    """Whether a text can be a path; names of trunks cannot."""
    return isinstance(value, str) and any(sign in value for sign in (os.sep, "/", "."))


def _refuse(wrong: bool, what: str) -> None:
    if wrong:
        raise SpmError(f"it holds {what}")


def _origin_of_old(stored: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return what a file of format 2 tells of its origin."""
    versions = {"spm": stored.get("spm"), "OpenCV": stored.get("opencv")}
    return {"versions": {name: told for name, told in versions.items() if told}, "features": now["features"]}


def _unknown_types(types: list[str]) -> list[str]:
    return sorted(set(types) - set(TRUSTED))


def _instead(model: Any) -> str:
    """Return what may be saved in place of a model that may not."""
    if hasattr(model, "best_estimator_"):
        return "save the model that the search has found, save(search.best_estimator_, path)"
    return "put a part of spm's or scikit-learn's, or the name of a kernel or metric, in its place"


def _give_defaults(part: Any) -> None:
    """Give an estimator of spm's, saved by an earlier version, its default for each option that came later."""
    if hasattr(part, "get_params") and type(part).__module__.partition(".")[0] == "spm":
        for name, parameter in signature(type(part)).parameters.items():
            if not hasattr(part, name):
                setattr(part, name, parameter.default)


def _make_portable(model: Any) -> None:
    """Reset what belongs to this machine in an estimator and all its parts, and take networks in from their files."""
    for part in parts_of(model):
        _reset(part)
        if hasattr(part, "embed_network"):
            part.embed_network()
        drop_search_trees(part)


def _reset(part: Any) -> None:
    """Reset what belongs to a machine; joblib would load pickles from a folder that a file names as `memory`."""
    for name in set(vars(part) if hasattr(part, "get_params") else ()) & set(OF_THIS_MACHINE):
        setattr(part, name, OF_THIS_MACHINE[name])


def parts_of(thing: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Yield a model and every object inside it once, each before its own parts.

    Examples
    --------
    >>> import spm
    >>> [type(part).__name__ for part in parts_of(spm.PyramidVectorizer(encoder=spm.BagOfWords()))]
    ['PyramidVectorizer', 'BagOfWords']
    """
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type | FunctionType | ModuleType):
        return
    items: Any = ()
    if isinstance(thing, list | tuple | set):
        items = thing
    elif isinstance(thing, dict):
        items = thing.values()
    elif isinstance(thing, np.ndarray):
        items = thing.ravel() if thing.dtype == object else ()
    elif hasattr(thing, "__dict__") or type(thing).__name__ == "Tree":
        seen.add(id(thing))
        yield thing
        items = vars(thing).values() if hasattr(thing, "__dict__") else ()
    for item in list(items):
        yield from parts_of(item, seen)
