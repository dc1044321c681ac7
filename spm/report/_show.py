"""A photograph and a model in, one page out on which the pyramid can be touched: cells, words, classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from .._tools.public import public
from .._tools.settings import as_usual
from .._tools.text import printable
from ..errors import ImageError, MissingDependencyError, SpmError, check_number
from ..evidence import Votes, class_votes
from ..images import name_of, read_image
from ..presets import lazebnik2006, spp2014
from ..storage import load
from ._html import Html, element, join, page
from ._html import data as json_data
from ._roads import document, layers_of, photograph, rounded
from ._touch import SCRIPT, STYLE

OWN_WORDS = 50  # learned from the photograph alone
MOST_CLASSES = 20  # those with the highest decision values


@public("spm.report")
@as_usual
def show_page(image: Any, model: Any = None, *, n_units: int = 48, title: str | None = None) -> str:
    """Return a page on which the pyramid of one photograph can be touched.

    The pointer, or the keys, on a cell show its histogram; on a word where it lies in the photograph, and its patches;
    on a class what votes for it, level by level, cell by cell and word by word. The roads of a model stand side by
    side; of an image's several views, such as its mirror image, the first is shown. The page holds all it needs: it
    fetches nothing, and runs one script, its own. matplotlib is not needed.

    Parameters
    ----------
    image : path or array
    model : fitted estimator, or path of a saved one, optional
        A `PyramidVectorizer`, a `KernelSum`, or a Pipeline that begins with one. With a classifier that decides by a
        sum over the vector's values (see `spm.evidence.votes`) the page has the classes, the 20 with the highest
        decision values at most. Without a model 50 words are learned from this photograph alone, beside the maps of
        the small network that ships with spm, where onnxruntime is installed; there are no classes then.
    n_units : int, default=48
        Words, or channels, of each road that can be pointed at, at most: the most frequent in the photograph, and of a
        model with classes, for one in four, those with most votes.
    title : str, optional
        By default the file's name.

    Returns
    -------
    str
        HTML. Names of files and classes are escaped. `write_page` writes it.

    Raises
    ------
    ImageError
        If the image cannot be used.
    SpmError
        For a model of another kind or one that is not fitted, or too plain a photograph to learn words from.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> stripes = np.tile(np.uint8([0, 0, 255, 255]), (32, 8))
    >>> model = spm.presets.lazebnik2006(n_words=2, levels=(1, 2), random_state=0)
    >>> text = spm.report.show_page(stripes, model.fit([stripes, stripes.T] * 4, ["up", "across"] * 4))
    >>> text[:15], "https:" in text
    ('<!DOCTYPE html>', False)
    """
    check_number("n_units", n_units, least=4, integer=True)
    pixels = read_image(image)
    if isinstance(model, str | os.PathLike):
        model = load(model)
    roads = _own_roads(image) if model is None else _roads_of(model)
    votes, note = _votes(model, image)
    layers = layers_of(roads, image)
    documents = [document(layer, k, pixels, votes, n_units) for k, layer in enumerate(layers)]
    labels = [
        {"name": printable(one.label), "score": rounded(one.score), "intercept": rounded(one.intercept)}
        for one in votes
    ]
    name = os.path.basename(name_of(image)) if isinstance(image, str | os.PathLike) else "A photograph"
    parts = [_skeleton(documents, name, note), json_data("data", _whole(pixels, labels, documents))]
    return page(title or name, *parts, script=SCRIPT, style=STYLE, class_="touch")


def _whole(pixels: Any, labels: list[dict[str, Any]], documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return all that the script is told."""
    ratio = rounded(pixels.shape[1] / pixels.shape[0])
    return {"photograph": photograph(pixels), "ratio": ratio, "labels": labels, "roads": documents}


def _own_roads(image: Any) -> list[tuple[str, Any]]:
    """Return both roads, learned from one photograph alone; without onnxruntime the first."""
    try:
        roads = [("", lazebnik2006(n_words=OWN_WORDS, random_state=0)[0].fit([image]))]
    except ImageError:
        raise
    except SpmError as error:
        raise SpmError(
            f"this photograph is too small or too plain to learn words from ({error}): give a model"
        ) from error
    with suppress(MissingDependencyError):  # words are shown alone
        roads.append(("", spp2014(random_state=0)[0].fit([image])))
    return roads


def _roads_of(model: Any) -> list[tuple[str, Any]]:
    """Return the fitted vectorizers of a model by name.

    Raises
    ------
    SpmError
        If it has none, or they are not fitted.
    """
    model = getattr(model, "best_estimator_", model)
    first = model[0] if hasattr(model, "steps") else model
    if not hasattr(first, "roads"):
        raise SpmError(
            f"a page to touch needs a PyramidVectorizer, a KernelSum or a Pipeline that begins with one, got "
            f"{type(first).__name__}: give a model such as spm.presets.lazebnik2006() returns, fitted"
        )
    if not (hasattr(first, "n_features_out_") or hasattr(first, "vectors_")):
        raise SpmError("this model is not fitted: call fit(images, labels) first")
    return first.roads()


def _votes(model: Any, image: Any) -> tuple[list[Votes], str]:
    """Return the votes for the classes, the likeliest first, and what there is to say about them."""
    if model is None:
        return [], "No model was given: the words are learned from this photograph alone, and there are no classes."
    if not hasattr(getattr(model, "best_estimator_", model), "steps"):
        return [], "The model has no classifier, so there are no classes."
    try:
        votes = sorted(class_votes(model, image), key=lambda one: -one.score)
    except SpmError as error:
        return [], f"What votes for a class cannot be shown: {error}"
    if len(votes) <= MOST_CLASSES:
        return votes, ""
    return votes[:MOST_CLASSES], f"The {MOST_CLASSES} of {len(votes)} classes with the highest decision values."


def _skeleton(documents: Sequence[dict[str, Any]], name: str, note: str) -> Html:
    """Return the page's parts, which the script fills."""
    classes = element("div", class_="classes row", role="toolbar", aria_label="classes")
    total = element("p", class_="sum", aria_live="polite")
    roads = [_road(told, k, name) for k, told in enumerate(documents)]
    kind = "roads single" if len(roads) == 1 else "roads"
    told = [element("p", note, class_="note")] if note else []
    without = element("noscript", element("p", "This page needs JavaScript: what it shows is made by its own script."))
    return join([*told, classes, total, element("div", *roads, class_=kind), _keys(), without])


def _road(told: dict[str, Any], k: int, name: str) -> Html:
    stage = element(
        "div",
        element("img", alt=f"{name}, with the cells of the pyramid over it"),
        element("div", class_="light"),
        element("div", class_="cells", role="toolbar", aria_label="cells"),
        class_="stage",
    )
    levels = element("div", class_="levels row", role="toolbar", aria_label="levels")
    return element(
        "section",
        element("div", element("h2", told["title"]), levels, class_="head"),
        stage,
        element("div", element("p", aria_live="polite"), element("div", class_="patches"), class_="word"),
        element("p", class_="told", aria_live="polite"),
        element("div", class_="bars", role="toolbar", aria_label="histogram"),
        element("p", told["about"], class_="about"),
        class_="road",
        data_road=k,
    )


def _keys() -> Html:
    keys = (
        ("Tab", "go on"),
        ("arrows", "move"),
        ("Enter", "hold, as a click does"),
        ("1–9", "level"),
        ("Esc", "let go"),
    )
    told = [part for key, text in keys for part in (element("kbd", key), f" {text}  ")]
    return element("p", *told, class_="keys")
