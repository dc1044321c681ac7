"""Evidence maps: a model fitted once more and its tests in, pictures of what voted in a few images out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import clone

from .. import plots
from ..errors import SpmError
from ..evidence.voting import feature_votes
from ..images import read_image
from ._html import Html, element
from ._outcome import Outcome, spread
from ._pictures import drawing, thumbnail

WIDTH = 3.9  # inches, of a map above the list of the largest votes
N_CHANNELS = 8  # in the list


def evidence_maps(outcome: Outcome, model: Any, labels: np.ndarray, n: int) -> Html:
    """Fit a model on the first split's training images and return the evidence maps of `n` of its test images."""
    if not hasattr(model, "decision_function"):
        return element("p", "There are none: the model has no decision values.", class_="note")
    fit = f"The model was fitted once more on {len(outcome.train)} training images"
    fit += " of the first split." if outcome.n_splits > 1 else "."
    try:
        fitted = clone(model).fit([outcome.images[i] for i in outcome.train], labels[outcome.train])
        cards = [card for i in examples(outcome, n).tolist() for card in _cards(outcome, fitted, i)]
    except SpmError as error:
        return element("p", f"There are none: {error}", class_="note")
    note = element("p", f"{NOTE} {fit}", class_="note")
    return element("div", note, element("div", *cards, class_="cards"))


NOTE = (
    "What in an image votes for a class (orange) and what against it (purple), and the words or channels that have "
    "most votes. The votes are exact: with the intercept they add up to the decision value. A missed image "
    "has a map for the class that it was taken for and one for its own."
)


def examples(outcome: Outcome, n: int) -> np.ndarray:
    """Return which tests to show: half of them wrong, as far as there are such, each of another class."""
    right, wrong = (_first_of_classes(outcome, which) for which in (outcome.right, ~outcome.right))
    wrong = spread(wrong, max(n // 2, n - len(right)))
    return np.concatenate([wrong, spread(right, n - len(wrong))])


def _first_of_classes(outcome: Outcome, which: np.ndarray) -> np.ndarray:
    tests = np.flatnonzero(which)
    return np.sort(tests[np.unique(outcome.truth[tests], return_index=True)[1]])


def _cards(outcome: Outcome, fitted: Any, i: int) -> Iterator[Html]:
    """Yield the maps of one test: for the class predicted, and for its own if that is another."""
    truth, predicted, position = outcome.truth[i], outcome.predicted[i], int(outcome.test[i])
    image, name = outcome.images[position], outcome.name(position)
    verdict = "right" if truth == predicted else f"taken for {predicted}"
    small = element("img", src=thumbnail(image), alt=name)
    for label in dict.fromkeys((predicted, truth)):
        source, sum_of = _map(image, fitted, label)
        told = element("span", f"{name}: {truth}, {verdict}. Evidence for {sum_of}")
        picture = element("img", src=source, alt=f"evidence for {label} in {name}", class_="map")
        yield element("figure", element("figcaption", small, told), picture)


def _map(image: Any, fitted: Any, label: Any) -> tuple[str, str]:
    """Return the picture of the votes for a class, and the sum that they are part of."""
    try:
        feature_votes(fitted, image, label)
        by = "feature"
    except SpmError:  # the votes of its cells are known for more models
        by = "cell"
    height, width = read_image(image).shape[:2]
    sides = float(np.clip(3.0 * height / width, 1.2, 4.5)), 2.1
    titles: list[str] = []

    def draw(figure: Any) -> None:
        axes = figure.subplots(2, 1, height_ratios=sides)
        plots.evidence(image, fitted, label, by=by, n_channels=N_CHANNELS, ax=axes)
        titles.append(" ".join(axes[0].get_title().splitlines()))
        axes[0].set_title("")  # said beside the picture, where there is room for any name

    return drawing(draw, (WIDTH, sum(sides) + 0.9), kind="png"), titles[0]
