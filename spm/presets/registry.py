"""The table of presets: a name, or that of a group, in, the presets out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from typing import Any

from sklearn.pipeline import Pipeline

from .._tools.public import public
from .._tools.text import nearest
from ..errors import SpmError, check_choice
from .best import best_handcrafted
from .handcrafted import fisher2010, lazebnik2006, llc2010, phow2008, scspm2009, vlad2010
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
        For an unknown name; the message names the nearest, and lists the presets and groups.

    Examples
    --------
    >>> expand(["hybrid", "all"])[:2]
    ['hybrid', 'lazebnik2006']
    """
    found: list[str] = []
    for name in [names] if isinstance(names, str) else names:
        check_preset(name, (*PRESETS, *GROUPS))
        found += GROUPS[name]() if name in GROUPS else [name]
    return list(dict.fromkeys(found))


@public("spm.presets")
def make(name: str, **options: Any) -> Pipeline:
    """Return the preset of that name.

    Raises
    ------
    SpmError
        For an unknown name or option; the message names the nearest, and lists all.

    Examples
    --------
    >>> make("lazebnik2006", n_words=100).named_steps["vectorizer"].encoder
    BagOfWords(n_words=100)
    >>> make("lazebnik2006", n_wrods=100)
    Traceback (most recent call last):
    spm.SpmError: lazebnik2006 has no option 'n_wrods': did you mean n_words? It has n_words, levels, max_side, ...
    """
    own = options_of(PRESETS[check_preset(name, PRESETS)])
    for option in options:
        if own and option not in own:
            near = nearest(option, own)
            meant = f"did you mean {' or '.join(near)}? " if near else others_with(option)
            raise SpmError(f"{name} has no option {option!r}: {meant}It has {', '.join(own)}")
    return PRESETS[name](**options)


def check_preset(name: str, choices: Iterable[str]) -> str:
    """Return the name of a preset if it is one of the choices.

    Raises
    ------
    SpmError
        It names the nearest, and all.

    Examples
    --------
    >>> check_preset("lazebnik2060", ["lazebnik2006", "spp2014"])
    Traceback (most recent call last):
    spm.SpmError: preset='lazebnik2060' is not an option: did you mean 'lazebnik2006'? Choose one of
    'lazebnik2006', 'spp2014'
    """
    choices = list(choices)
    near = nearest(name, choices) if isinstance(name, str) and name not in choices else []
    if near:
        meant = " or ".join(map(repr, near))
        listed = ", ".join(map(repr, choices))
        raise SpmError(f"preset={name!r} is not an option: did you mean {meant}? Choose one of {listed}")
    return str(check_choice("preset", name, choices))


def options_of(preset: Callable[..., Any]) -> list[str]:
    """Return the names of a preset's options; none for one that takes any.

    Examples
    --------
    >>> options_of(lazebnik2006)[:2]
    ['n_words', 'levels']
    """
    parameters = signature(preset).parameters
    return [] if any(own.kind is own.VAR_KEYWORD for own in parameters.values()) else list(parameters)


def others_with(option: str) -> str:
    """Return a sentence with the presets that have an option, to be read before what a preset has itself.

    Examples
    --------
    >>> others_with("layers"), others_with("patch")
    ('spp2014 and hybrid have it. ', '')
    """
    found = [name for name, preset in PRESETS.items() if option in options_of(preset)]
    return f"{' and '.join(found)} {'have' if len(found) > 1 else 'has'} it. " if found else ""
