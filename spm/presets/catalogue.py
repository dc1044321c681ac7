"""The presets' names in, what there is to know before one is chosen out: paper, purpose, needs, options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from inspect import getdoc, signature
from typing import Any

from sklearn.utils import Bunch

from .._tools.public import public
from .._tools.text import Table
from ..errors import MissingDependencyError
from .detection import DETECTORS
from .registry import PRESETS

NO_PAPER = "no paper's"

CATALOGUE = {  # name: paper, what it is, the extra that it needs
    "lazebnik2006": ("Lazebnik, Schmid, Ponce 2006", "spatial pyramid matching: 200 SIFT words, 1x1 + 2x2 + 4x4", ""),
    "phow2008": ("VLFeat, after Bosch et al. 2007", "SIFT at four sizes, 600 words, the chi-squared kernel", ""),
    "scspm2009": ("Yang, Yu, Gong, Huang 2009", "sparse codes, max-pooled, a linear SVM", ""),
    "llc2010": ("Wang et al. 2010", "locality-constrained codes, max-pooled, a linear SVM", ""),
    "vlad2010": ("Jegou et al. 2010", "VLAD: differences to 64 words", ""),
    "fisher2010": ("Perronnin, Sanchez, Mensink 2010", "improved Fisher vectors of 256 Gaussians", ""),
    "best_handcrafted": (NO_PAPER, "Fisher vectors, words and census codes, and mirror images", ""),
    "spp2014": ("He, Zhang, Ren, Sun 2014", "spatial pyramid pooling of a network's map, a linear SVM", "cnn"),
    "hybrid": (NO_PAPER, "the kernels of lazebnik2006 and spp2014 added", "cnn"),
    "sppnet2014": ("He, Zhang, Ren, Sun 2014", "a network that learns, at two sizes, with a pyramid in it", "nn"),
    "words": (NO_PAPER, "detector: regions as pyramids of SIFT words", ""),
    "sppnet2014_detection": ("He, Zhang, Ren, Sun 2014", "detector: regions pooled from one map", "cnn"),
    "rcnn2014": ("Girshick et al. 2014", "detector: the network run on every region", "cnn"),
}
"""What ``spm presets`` shows, in its order: those for labels, then the detectors of ``spm detect``."""

AS_THERE = re.compile(r"As (?:for )?`([\w.]+)`(?: takes (?:it|them))?(?=[.,;:])")  # what a docstring leaves to another

PACKAGES = {"cnn": ("onnxruntime", "onnx"), "nn": ("torch",)}


class Overview(Bunch):
    """What `spm.presets.overview` returns: a Bunch that shows itself as a table."""

    def __repr__(self) -> str:
        rows = [[row["name"], row["paper"], row["about"], row["needs"]] for row in self["rows"]]
        head = ["name", "paper", "what it is", "needs"]
        table = Table(head, list(zip(*rows, strict=True)), n_texts=len(head))
        return "\n".join(table.aligned(row).rstrip() for row in [head, *rows])


@public("spm.presets")
def overview() -> Overview:
    """Return what there is to know of all presets, those of detectors too.

    Returns
    -------
    Bunch
        It shows itself as a table. ``rows``, a list of dicts: ``name``, ``paper``, ``about``, ``needs``, the extra to
        install, if any, and ``here``, whether it is installed.

    Examples
    --------
    >>> import spm
    >>> spm.presets.overview().rows[0]["paper"]
    'Lazebnik, Schmid, Ponce 2006'
    """
    rows = []
    for name, (paper, about, extra) in CATALOGUE.items():
        here = all(find_spec(package) is not None for package in PACKAGES.get(extra, ()))
        rows.append({"name": name, "paper": paper, "about": about, "needs": _needs(extra, here), "here": here})
    return Overview(rows=rows)


def _needs(extra: str, here: bool) -> str:
    if not extra:
        return "nothing more"
    return f"extra {extra} ({'installed' if here else 'missing'})"


def options_with_help(preset: str) -> list[dict[str, Any]]:
    """Return the options of a preset: ``name``, ``default``, and ``about``, what its docstring says of it.

    Where the docstring leaves that to another's ("As for `lazebnik2006`"), the other's words stand in the place.

    Examples
    --------
    >>> options_with_help("lazebnik2006")[0]
    {'name': 'n_words', 'default': 200, 'about': 'The paper\\'s "strong features" have 200 or 400.'}
    >>> options_with_help("spp2014")[-1]["about"] == options_with_help("lazebnik2006")[-1]["about"]
    True
    """
    function = {**PRESETS, **DETECTORS}[preset]
    return [
        {"name": name, "default": parameter.default, "about": _about(function, name)}
        for name, parameter in signature(function).parameters.items()
    ]


def _about(function: Any, name: str) -> str:
    """Return what the docstring of a function or class says of one parameter, in the end."""
    text = _parameters(getdoc(function) or "").get(name, "")
    left_to = AS_THERE.match(text)
    if left_to is None:
        return text
    try:
        there = _about(_named(left_to[1]), name)
    except MissingDependencyError:  # of an extra that is not installed here
        there = ""
    if not there:  # or it has another name there
        return text
    rest = text[left_to.end() :].lstrip(".,;: ")
    return f"{there} {rest[:1].upper()}{rest[1:]}".strip()


def _named(name: str) -> Any:
    """Return the preset, or what `spm` or one of its folders calls by a name."""
    module, _, last = name.rpartition(".")
    return {**PRESETS, **DETECTORS}.get(name) or getattr(import_module(module or __package__.partition(".")[0]), last)


def _parameters(doc: str) -> Mapping[str, str]:
    """Return what a docstring says of each parameter."""
    about: dict[str, str] = {}
    names: list[str] = []
    for line in doc.partition("Parameters\n----------\n")[2].partition("\nReturns\n")[0].splitlines():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
        else:
            for name in names:
                about[name] = f"{about.get(name, '')} {line.strip()}".strip()
    return about
