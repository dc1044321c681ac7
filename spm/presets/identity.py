"""A saved model's file in, what it is out: its preset, options, classes, network and origin, and what differs here."""

from __future__ import annotations

import os
from typing import Any

from sklearn.utils import Bunch

from .._tools.libraries import made_with
from .._tools.public import public
from .._tools.text import printable
from ..errors import SpmError
from ..networks.file import Network
from ..storage.models import parts_of, read_model
from .catalogue import CATALOGUE
from .detection import DETECTORS
from .registry import PRESETS, TRAINED

OF_WORK = ("n_jobs", "verbose", "memory", "random_state")  # options that no preset decides
EARLY = {"OpenCV": "cv2", "Pillow": "pillow"}  # what files of early versions tell of, by the names of packages
SHOWN_CLASSES = 30
UNITS = ("bytes", "kB", "MB", "GB")


class Identity(Bunch):
    """What `spm.info` returns: a Bunch that shows itself line by line."""

    def __repr__(self) -> str:
        lines = list(_lines(self))
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {printable(text)}" for name, text in lines)


@public()
def info(path: str | os.PathLike[str]) -> Identity:
    """Say what a saved model is.

    Parameters
    ----------
    path : path
        A file that `save` wrote.

    Returns
    -------
    Bunch
        It shows itself line by line. ``file`` and its size in ``bytes``; ``kind``, the names of the model's class and
        of its steps; ``preset``, the name of the preset that it is nearest to, or None, and ``options``, a dict of
        those in which it differs from that, by the names that ``--set`` and `set_params` take; ``classes``, the list
        of its labels, or None; ``n_features``, the length of an image's vector, or None; ``networks``, a list of dicts
        with the ``bytes`` and the ``digest`` of each as it is in the file, cut behind its layers; ``made``, when it
        was saved, in UTC, or None for files of early versions; ``made_with``, versions by name; ``differs``, by name
        the version there and the one here, None for what is missing.

    Raises
    ------
    SpmError
        As for `load`.

    Examples
    --------
    >>> import os, tempfile
    >>> import spm
    >>> path = spm.save(spm.presets.lazebnik2006(n_words=50), os.path.join(tempfile.mkdtemp(), "scene.spm"))
    >>> found = spm.info(path)
    >>> found.preset, found.options, found.differs
    ('lazebnik2006', {'vectorizer__encoder__n_words': 50}, {})
    """
    stored = read_model(path)
    model, origin = stored["model"], stored["origin"]
    there = origin.get("made_with") or {EARLY.get(name, name): version for name, version in origin["versions"].items()}
    here = made_with()
    preset, options = recognise(model)
    return Identity(
        file=os.fspath(path),
        bytes=os.stat(path).st_size,
        kind=kind_of(model),
        preset=preset,
        options=options,
        classes=_classes(model),
        n_features=_n_values(model),
        networks=_networks(model),
        made=origin.get("made"),
        made_with=there,
        differs={name: (version, here.get(name)) for name, version in there.items() if here.get(name) != version},
    )


def kind_of(model: Any) -> str:
    """Return what a model is made of.

    Examples
    --------
    >>> import spm
    >>> kind_of(spm.presets.lazebnik2006())
    'Pipeline of PyramidVectorizer, KernelSVC'
    """
    steps = [type(step).__name__ for _, step in getattr(model, "steps", ())]
    return type(model).__name__ + (f" of {', '.join(steps)}" if steps else "")


def recognise(model: Any) -> tuple[str | None, dict[str, Any]]:
    """Return the preset that has a model's parts and most of its options, and the options in which they differ.

    Examples
    --------
    >>> import spm
    >>> recognise(spm.presets.spp2014(levels=(1, 2)))
    ('spp2014', {'vectorizer__pyramid__levels': (1, 2)})
    """
    own = _options(model)
    kinds = {name: value for name, value in own.items() if isinstance(value, type)}
    learns = any(kind.__name__ == "SPPNetClassifier" for kind in kinds.values())  # its presets load torch
    best: tuple[str | None, dict[str, Any]] = (None, {})
    for name, preset in {**PRESETS, **DETECTORS}.items():
        if learns != (name in TRAINED):
            continue
        try:
            other = preset()
        except SpmError:  # its package is missing
            continue
        its = _options(other)
        if type(other) is not type(model) or {k: v for k, v in its.items() if isinstance(v, type)} != kinds:
            continue
        embedded = _embedded(other)  # as in a file
        differing = {k: v for k, v in own.items() if not (_same(v, its.get(k)) or _same(v, embedded.get(k)))}
        if best[0] is None or len(differing) < len(best[1]):
            best = name, differing
    return best


def _embedded(model: Any) -> dict[str, Any]:
    """Return the options of a model whose networks are cut as `save` cuts them; the model is changed."""
    try:
        for part in list(parts_of(model)):
            if hasattr(part, "embed_network"):
                part.embed_network()
    except SpmError:  # the package that cuts is missing: then networks are told as other ones
        return {}
    return _options(model)


def _options(model: Any) -> dict[str, Any]:
    """Return the options of a model and its parts by name, a part's type for the part itself."""
    found = {}
    for name, value in model.get_params(deep=True).items():
        if name.rpartition("__")[2] not in OF_WORK and not _holds_parts(value):
            found[name] = type(value) if hasattr(value, "get_params") and not isinstance(value, type) else value
    return found


def _holds_parts(value: Any) -> bool:
    """Whether a value is a list of named parts, such as a Pipeline's steps; each of them is known by itself."""
    return isinstance(value, list | tuple) and any(
        isinstance(item, list | tuple) and any(hasattr(part, "get_params") for part in item) for item in value
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    try:
        return bool(a == b)
    except (ValueError, TypeError):  # arrays
        return False


def _classes(model: Any) -> list[Any] | None:
    classes = getattr(model, "classes_", None)
    return None if classes is None else [label.item() if hasattr(label, "item") else label for label in classes]


def _n_values(model: Any) -> int | None:
    """Return the length of an image's vector, None where it is not known."""
    maker = model[0] if hasattr(model, "steps") else getattr(model, "vectorizer_", model)
    try:
        return int(maker.n_values(None))
    except (AttributeError, TypeError, ValueError):  # of another kind, of unknown length, not fitted
        return None


def _networks(model: Any) -> list[dict[str, Any]]:
    found = {part.digest: part for part in parts_of(model) if isinstance(part, Network)}
    return [{"bytes": len(bytes(network)), "digest": digest} for digest, network in found.items()]


def _lines(found: Identity) -> Any:
    """Yield the lines of what there is to say: a name and a text."""
    yield "file", f"{found['file']} ({_size(found['bytes'])})"
    yield "kind", found["kind"]
    yield "preset", _preset_text(found)
    for name, value in found["options"].items() if found["preset"] else ():
        yield "  option", f"{name}={value!r}"
    classes = found["classes"]
    if classes is None:
        yield "classes", "none: not fitted, or no classifier"
    else:
        more = ["..."] * (len(classes) > SHOWN_CLASSES)
        yield "classes", f"{len(classes)}: {', '.join([*map(str, classes[:SHOWN_CLASSES]), *more])}"
    if found["n_features"] is not None:
        yield "vector", f"{found['n_features']:,} values"
    for network in found["networks"]:
        yield "network", f"{_size(network['bytes'])}, digest {network['digest']}"
    yield "made", found["made"] or "not known: the file is of an early version"
    yield "made with", ", ".join(f"{name} {version}" for name, version in found["made_with"].items())
    differs = [f"{name} {there} there, {here or 'none'} here" for name, (there, here) in found["differs"].items()]
    yield "differs here", "; ".join(differs) or "nothing"


def _preset_text(found: Identity) -> str:
    name = found["preset"]
    if name is None:
        return "none has these parts"
    return f"{name}, {'with other options' if found['options'] else 'as it is'} ({CATALOGUE[name][0]})"


def _size(n: float) -> str:
    """Return a number of bytes as text.

    Examples
    --------
    >>> _size(999), _size(1_500_000)
    ('999 bytes', '1.5 MB')
    """
    k = 0
    while n >= 1000 and k < len(UNITS) - 1:
        n, k = n / 1000, k + 1
    return f"{n:.0f} {UNITS[k]}" if k == 0 else f"{n:.1f} {UNITS[k]}"
