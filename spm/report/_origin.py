"""Where figures come from: a model and images in, versions, digests and the command to repeat them out."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from .. import __version__
from .._tools.opencv import cv2
from ..errors import ImageError
from ..features.feature_map import FeatureMap
from ..images import content_of
from ..networks.file import Network
from ._html import Html, element, join, section, table

PACKAGES = ("numpy", "scipy", "scikit-learn", "pillow", "joblib", "numba", "onnxruntime", "onnx", "matplotlib")


def versions() -> dict[str, str]:
    """Return the versions of all that has a part in the figures.

    Examples
    --------
    >>> list(versions())[:4]
    ['spm', 'Python', 'opencv', 'numpy']
    """
    found = {"spm": __version__, "Python": platform.python_version(), "opencv": cv2.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not there
            continue
    return found


def data_digest(images: Sequence[Any], labels: np.ndarray) -> tuple[str, int]:
    """Return one SHA-256 for all images with their names and labels, and how many bytes they have.

    It is that of the lines which ``sha256sum`` prints for the files, ``<SHA-256>  <class>/<name>``, in the order of the
    images; an array has its position for a name, and its shape and type before its bytes. A file that cannot be read
    counts as an empty one.

    Examples
    --------
    >>> digest, size = data_digest([np.zeros((2, 2), np.uint8)], np.array(["a"]))
    >>> digest[:12]
    'a0ff8f67721f'
    """
    digest, size = hashlib.sha256(), 0
    for name, image in zip(_names(images, labels), images, strict=True):
        try:
            content = content_of(image)
        except ImageError:
            content = b""
        size += len(content)
        digest.update(f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest(), size


def _names(images: Sequence[Any], labels: np.ndarray) -> Iterable[str]:
    paths = [os.path.abspath(os.fsdecode(image)) if isinstance(image, str | os.PathLike) else None for image in images]
    folders = [os.path.dirname(path) for path in paths if path is not None]
    try:
        root = os.path.commonpath(folders)
    except ValueError:  # there are none, or they lie on several drives
        root = None
    for i, (path, label) in enumerate(zip(paths, labels.tolist(), strict=True)):
        name = str(i) if path is None else os.path.basename(path)
        if path is not None and root is not None:
            name = os.path.relpath(path, root).replace(os.sep, "/")
        yield name if name.startswith(f"{label}/") else f"{label}/{name}"


def networks(model: Any) -> dict[str, str]:
    """Return the SHA-256 of every file of a network in a model by its name, or that of a content by its size."""
    parts = model.get_params(deep=True).values() if hasattr(model, "get_params") else ()
    found = {}
    for part in (part for part in parts if isinstance(part, FeatureMap)):
        network = Network.of(part.model)
        if network.path is None:
            found[repr(network)] = hashlib.sha256(bytes(network)).hexdigest()
        found |= {os.path.basename(path): hashlib.sha256(content_of(path)).hexdigest() for path in network.files}
    return found


def origin(
    data: dict[str, tuple[Sequence[Any], np.ndarray]],
    models: Sequence[Any],
    *,
    seed: Any,
    command: str | None,
    skipped: Sequence[tuple[str, str]],
    more: Sequence[tuple[str, Any]] = (),
    note: str | None = None,
) -> Html:
    """Return the part of a page that says how to come to its figures again, also by `more` facts."""
    facts: list[tuple[str, Any]] = [("seed", "not told" if seed is None else seed)]
    for name, (images, labels) in data.items():
        digest, size = data_digest(images, labels)
        about = f"{name}{': ' if name else ''}{len(images)} images, {size:,} bytes, SHA-256 "
        facts.append(("data", element("span", about, element("code", digest))))
    facts += more
    found = {name: digest for model in models for name, digest in networks(model).items()}
    facts += [("network", element("span", f"{n}: SHA-256 ", element("code", d))) for n, d in found.items()]
    facts += _models(models)
    facts.append(("versions", ", ".join(f"{name} {number}" for name, number in versions().items())))
    facts.append(("machine", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} cores"))
    facts.append(("made", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")))
    parts = [element("dl", *(join([element("dt", name), element("dd", value)]) for name, value in facts))]
    if command is not None:
        parts.insert(0, element("pre", element("code", command)))
    parts.append(element("p", note or DIGEST_NOTE, class_="note"))
    if skipped:
        title = element("summary", f"{len(skipped)} images were skipped")
        parts.append(element("details", title, table(["image", "why"], skipped, n_texts=2)))
    return section("How to repeat it", *parts)


def _models(models: Sequence[Any]) -> list[tuple[str, Html]]:
    """Return what the models are; of several, only when asked for."""
    texts = [element("code", text) for text in dict.fromkeys(" ".join(repr(model).split()) for model in models)]
    if len(texts) <= 1:
        return [("model", text) for text in texts]
    listed = (element("p", text) for text in texts)
    return [("models", element("details", element("summary", f"all {len(texts)}"), *listed))]


DIGEST_NOTE = (
    "The digest of the data is the SHA-256 of the lines that sha256sum prints for its files, with their paths in the "
    "folder, class by class in order."
)
