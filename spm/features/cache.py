"""Remembered work: an extractor and an image in, its views out, from a folder where they were kept."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from .._tools.files import write_whole
from .._tools.opencv import cv2
from .._tools.settings import as_usual
from ..errors import SpmError
from ..images import content_of, reading_once
from .local import LocalFeatures, Views, cells_of_map, fingerprint_of, points_of_lattice

MARK = b"spm entry 1\n"
ALIGN = 64  # bytes; where arrays begin in an entry


def remembered_views(features: Any, image: Any, memory: Any) -> Views:
    """Return the image's views, kept in a joblib.Memory or under a path, or made anew where that is None."""
    return remembered(_views, features, image, memory)


def remembering_views(features: Any, memory: Any) -> Callable[[Any], Views]:
    """Return what `remembered_views` calls: a function of an image, for a pass over many."""
    return Remembering(_views, features, memory)


def _views(key: str, maker: Any, image: Any) -> Views:
    """Return the views of an image; joblib keeps them by `key`."""
    return maker.views(image)


def remembered(make: Callable[[str, Any, Any], Any], maker: Any, image: Any, memory: Any) -> Any:
    """Return ``make(key, maker, image)``, kept in a joblib.Memory or under a path, or made anew where that is None."""
    return Remembering(make, maker, memory)(image)


class Remembering:
    """What makes something of images, or finds again what it has made; all that is the same for all is done once.

    The key is a digest of the image's content, the maker's options and the versions of all that take part. Under a path
    an entry is a file of arrays, read in one go; a joblib.Memory keeps entries as it does by itself.

    Parameters
    ----------
    make : callable
        A function of a module, with arguments (key, maker, image).
    maker : estimator
    memory : joblib.Memory, path or None

    Raises
    ------
    SpmError
        If an option of the maker is a function: nobody sees when its code changes.

    Examples
    --------
    >>> import tempfile
    >>> import spm
    >>> views = Remembering(_views, spm.DenseSIFT(), tempfile.mkdtemp())
    >>> image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    >>> first, again = views(image)[0][0], views(image)[0][0]
    >>> first is again, np.array_equal(first.values, again.values), np.array_equal(first.extents, again.extents)
    (False, True, True)
    """

    @as_usual
    def __init__(self, make: Callable[[str, Any, Any], Any], maker: Any, memory: Any) -> None:
        self._make, self._maker = make, maker
        self._folder, self._kept, self._made_by = None, None, b""
        if memory is None:
            return
        self._made_by = _made_by(make, maker)
        if hasattr(memory, "cache"):
            self._kept = memory.cache(make, ignore=["maker", "image"], verbose=0)
        else:
            self._folder = entries_in(memory)

    @as_usual
    def __call__(self, image: Any) -> Any:
        """Return what is made of an image."""
        with reading_once(image):
            if self._kept is None and self._folder is None:
                return self._make("", self._maker, image)
            digest = blake2b(content_of(image), digest_size=20)
            digest.update(self._made_by)
            key = digest.hexdigest()
            if self._kept is not None:
                return self._kept(key, self._maker, image)
            path = entry_of(self._folder, key)  # type: ignore[arg-type]
            found = read_entry(path)
            if found is None:
                found = self._make(key, self._maker, image)
                write_entry(path, found)
            return found


def _made_by(make: Callable[..., Any], maker: Any) -> bytes:
    """Return what a maker makes of an image depends on beside the image, as a digest."""
    import joblib

    from .. import __version__

    print_of = fingerprint_of(maker)
    _refuse_functions(maker, print_of[-1])
    versions = (__version__, cv2.__version__, PIL.__version__)
    return joblib.hash((make.__module__, make.__qualname__, *print_of, *versions)).encode()


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


def location_of(memory: Any) -> Any:
    """Return the folder of a joblib.Memory, or the path that was given in its place."""
    return getattr(memory, "location", memory)


# Entries


def entries_in(memory: Any) -> Path:
    """Return the folder of the entries that are kept under a path, or beside those of a joblib.Memory."""
    return Path(os.fsdecode(location_of(memory))) / "spm"


def entry_of(folder: Path, key: str) -> Path:
    """Return the file of the entry that is found by a key, in one of few hundred folders."""
    return folder / key[:2] / key


def write_entry(path: Path, made: Any) -> None:
    """Keep an array or views in a file, whole or not at all; where that cannot be done, a warning says so.

    A head in JSON says what the arrays behind it are. Extents that follow from a grid or a lattice are left out.
    """
    arrays: list[np.ndarray] = []
    told = _tell(made, arrays)
    shapes = [[array.dtype.str, array.shape] for array in arrays]
    head = json.dumps({"made": told, "arrays": shapes}, default=lambda number: number.item()).encode()
    parts = [MARK, len(head).to_bytes(8, "little"), head]
    parts.append(bytes(-sum(map(len, parts)) % ALIGN))
    for array in arrays:
        parts += [np.ascontiguousarray(array).tobytes(), bytes(-array.nbytes % ALIGN)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda file: file.writelines(parts), "an entry", flush=False)  # a broken one is not read
    except (OSError, SpmError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        why = getattr(cause, "strerror", error)
        warnings.warn(f"{path}: features cannot be kept ({why}); they are made anew", stacklevel=2)


def read_entry(path: Path) -> Any:
    """Return what was kept in a file, or None where there is none, or one that is not whole.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "entry"
    >>> read_entry(path) is None
    True
    >>> write_entry(path, np.eye(2))
    >>> read_entry(path).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    try:
        with open(path, "rb") as file:
            content = np.empty(os.fstat(file.fileno()).st_size, dtype=np.uint8)
            if file.readinto(content.data) != len(content) or content[: len(MARK)].tobytes() != MARK:
                return None
        start = len(MARK) + 8
        end = start + int.from_bytes(content[len(MARK) : start].tobytes(), "little")
        head = json.loads(content[start:end].tobytes())
        arrays = []
        for kind, shape in head["arrays"]:
            start = end + -end % ALIGN
            end = start + np.dtype(kind).itemsize * int(np.prod(shape))
            arrays.append(content[start:end].view(kind).reshape(shape))
        return _hear(head["made"], arrays)
    except (OSError, ValueError, KeyError, TypeError, IndexError):  # a damaged file fails in many ways
        return None


def _tell(made: Any, arrays: list[np.ndarray]) -> Any:
    """Return in plain values what was made, its arrays put into the list."""
    if isinstance(made, np.ndarray):
        arrays.append(made)
        return None
    return [[_tell_local(local, arrays) for local in view] for view in made]


def _tell_local(local: LocalFeatures, arrays: list[np.ndarray]) -> dict[str, Any]:
    kind, places = _places(local)
    arrays += [local.values, *places]
    plain = {name: getattr(local, name) for name in ("grid", "stride", "offset", "image_size", "mirrored")}
    return {"kind": kind, **plain}


def _places(local: LocalFeatures) -> tuple[str, list[np.ndarray]]:
    """Return how the places of features are kept, and in which arrays."""
    extents = local.extents
    if extents.dtype != np.float32:
        return "extents", [extents]
    if local.stride is not None and np.array_equal(extents, cells_of_map(*map(int, local.grid))):
        return "map", []
    points = extents[:, :2]
    if len(points) == 0 or not np.array_equal(points, extents[:, 2:]):
        return "extents", [extents]
    across = len(points) if (points[:, 1] == points[0, 1]).all() else int((points[:, 1] != points[0, 1]).argmax())
    xs, ys = points[:across, 0], points[::across, 1]
    if len(points) == len(xs) * len(ys) and np.array_equal(extents, points_of_lattice(xs, ys)):
        return "lattice", [xs, ys]
    return "points", [points]


def _hear(told: Any, arrays: list[np.ndarray]) -> Any:
    """Return what was told."""
    if told is None:
        return arrays[0]
    left = iter(arrays)
    return [tuple(_hear_local(local, left) for local in view) for view in told]


def _hear_local(told: dict[str, Any], left: Any) -> LocalFeatures:
    values, kind, grid = next(left), told.pop("kind"), tuple(told.pop("grid"))
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    if kind == "map":
        extents = _map(*grid).copy()
    elif kind == "lattice":
        extents = points_of_lattice(next(left), next(left))
    else:
        extents = next(left)
        extents = np.hstack([extents, extents]) if kind == "points" else extents
    return LocalFeatures(values, extents, grid, **plain)


_map = lru_cache(maxsize=64)(cells_of_map)
