"""How a model's features were made: a model in, versions and options by name out; two of these in, what differs out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import PIL

from .._tools.opencv import cv2
from ..networks.file import Network

Origin = dict[str, Any]
SHOWN = 60  # characters of an option in a message
OF_THIS_MACHINE = {"memory": None, "n_jobs": None, "verbose": False}


def origin_of(parts: Iterable[Any]) -> Origin:
    """Return what the features of a model depend on beside the images.

    Parameters
    ----------
    parts : iterable
        Every object in the model.

    Returns
    -------
    dict
        ``"versions"``: of spm and of what reads and filters images, by name; ``"features"``: the options of each
        extractor, by its kind and place, networks by a digest of their content.

    Examples
    --------
    >>> import spm
    >>> told = origin_of([spm.DenseSIFT(step=4)])
    >>> list(told["versions"]), told["features"]["DenseSIFT 1"]["step"]
    (['spm', 'OpenCV', 'Pillow'], '4')
    """
    from .. import __version__

    versions = {"spm": __version__, "OpenCV": cv2.__version__, "Pillow": PIL.__version__}
    features: dict[str, dict[str, str]] = {}
    for part in parts:
        if isinstance(part, Network):
            versions |= _version_of("onnxruntime")
        if hasattr(part, "views") and hasattr(part, "get_params"):
            options = part.get_params(deep=False)
            kind, told = type(part).__name__, {k: _text(v) for k, v in options.items() if k not in OF_THIS_MACHINE}
            if (kind, told) not in [(name.partition(" ")[0], known) for name, known in features.items()]:
                features[f"{kind} {len(features) + 1}"] = told  # not once more as fitted, and as in other parts
    return {"versions": versions, "features": features}


def _version_of(package: str) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return {package: version(package)}
    except PackageNotFoundError:
        return {}


def _text(value: Any) -> str:
    """Return what stands for an option: parts that are estimators are told of by themselves."""
    if isinstance(value, Network):
        return f"network {value.digest}"
    return type(value).__name__ if hasattr(value, "get_params") else repr(value)


def differences(then: Origin, now: Origin) -> list[str]:
    """Return what differs between two origins, each by its name; what only one of them tells of is no difference.

    Examples
    --------
    >>> then = {"versions": {"Pillow": "11.3.0"}, "features": {"DenseSIFT 1": {"step": "8", "pad": "1"}}}
    >>> now = {"versions": {"Pillow": "13.0.0"}, "features": {"DenseSIFT 1": {"step": "4"}}}
    >>> differences(then, now)
    ['Pillow was 11.3.0 and is 13.0.0', "DenseSIFT 1's pad was 1 and is no more", "DenseSIFT 1's step was 8 and is 4"]
    """
    found = []
    for name, version in then["versions"].items():
        here = now["versions"].get(name)
        if here != version:
            found.append(f"{name} was {version} and is {here or 'not installed'}")
    for name in sorted({*then["features"], *now["features"]}):
        one, other = then["features"].get(name), now["features"].get(name)
        if one is None or other is None:
            found.append(f"the extractor {name} is {'new' if one is None else 'missing'}")
            continue
        for option in sorted(one):
            if option not in other:
                found.append(f"{name}'s {option} was {one[option]:.{SHOWN}} and is no more")
            elif one[option] != other[option]:
                found.append(f"{name}'s {option} was {one[option]:.{SHOWN}} and is {other[option]:.{SHOWN}}")
    return found
