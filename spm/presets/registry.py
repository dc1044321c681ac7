"""The table of presets: a name, or that of a group, in, the presets out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from .._tools.public import public
from ..errors import check_choice
from .handcrafted import best_handcrafted, fisher2010, lazebnik2006, llc2010, phow2008, scspm2009, vlad2010
from .networks import hybrid, spp2014, sppnet2014

PRESETS: dict[str, Callable[..., Pipeline]] = {
    "lazebnik2006": lazebnik2006,
    "phow2008": phow2008,
    "scspm2009": scspm2009,
    "llc2010": llc2010,
    "vlad2010": vlad2010,
    "fisher2010": fisher2010,
    "best_handcrafted": best_handcrafted,
    "spp2014": spp2014,
    "hybrid": hybrid,
    "sppnet2014": sppnet2014,
}

TRAINED = ("sppnet2014",)
"""Networks that learn themselves, for minutes or hours, and need torch: compared where they are named."""

GROUPS: dict[str, Callable[[], list[str]]] = {
    "all": lambda: [name for name in PRESETS if name not in TRAINED],
    "all-handcrafted": lambda: [name for name in PRESETS if name not in ("spp2014", "hybrid", *TRAINED)],
}


@public("spm.presets")
def expand(names: str | Sequence[str]) -> list[str]:
    """Return the names of presets with those of groups written out, each preset once.

    Raises
    ------
    SpmError
        For an unknown name; the message lists the presets and groups.

    Examples
    --------
    >>> expand(["hybrid", "all"])[:2]
    ['hybrid', 'lazebnik2006']
    """
    found: list[str] = []
    for name in [names] if isinstance(names, str) else names:
        check_choice("preset", name, (*PRESETS, *GROUPS))
        found += GROUPS[name]() if name in GROUPS else [name]
    return list(dict.fromkeys(found))


@public("spm.presets")
def make(name: str, **options: Any) -> Pipeline:
    """Return the preset of that name.

    Raises
    ------
    SpmError
        For an unknown name; the message lists the presets.

    Examples
    --------
    >>> make("lazebnik2006", n_words=100).named_steps["vectorizer"].encoder
    BagOfWords(n_words=100)
    """
    return PRESETS[check_choice("preset", name, PRESETS)](**options)
