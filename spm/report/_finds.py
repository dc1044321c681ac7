"""Found and true objects in, pictures of the best finds, the worst false alarms and what was missed out."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .._tools.parallel import in_threads
from ..detection import Objects, draw, iou_matrix
from ..detection.metrics.matching import DUPLICATE, HIT, MISS, Matches, match_class
from ..detection.metrics.tables import alike, kind_of
from ..errors import ImageError
from ..images import name_of, read_image
from ._html import Html, element, join
from ._pictures import QUALITY, data_uri

MOST = 12  # pictures of a kind
LARGEST = 340  # pixels, the longer side of a picture
NEAR = 0.1  # overlap from which a find is drawn beside a missed object
WORDS = {
    "localisation": "in the wrong place",
    "similar": "on a class that is alike",
    "other": "on another class",
    "background": "on background",
    "duplicate": "a second find of the same object",
}


@dataclass(frozen=True)
class Found:
    """What was found in images, beside what is true.

    Parameters
    ----------
    images : sequence of paths or arrays
    true, found : list of Objects
        One an image.
    labels : ndarray of labels
    iou : float
        By how much a find must overlap an object.
    """

    images: Sequence[Any]
    true: list[Objects]
    found: list[Objects]
    labels: np.ndarray
    iou: float

    def matches(self) -> list[Matches]:
        """Return the finds of each class with their verdicts."""
        return [match_class(self.true, self.found, label, self.iou) for label in self.labels]

    def name(self, i: int) -> str:
        """Return what to call an image: its file's name, or its number."""
        image = self.images[i]
        return os.path.basename(name_of(image)) if isinstance(image, str | os.PathLike) else f"image {i}"


@dataclass(frozen=True)
class Card:
    """A picture to be drawn: of which image, what is found in it, what is true, and what to say.

    `score` says which card of a class comes first, and of which class.
    """

    image: int
    objects: Objects
    truth: Objects
    text: str
    score: float
    label: Any


def galleries(about: Found, *, n_jobs: int | None) -> list[tuple[str, str, Html]]:
    """Return title, note and pictures of each kind of outcome."""
    matches = about.matches()
    kinds = (
        ("The surest finds that are right", BEST_NOTE, _right(about, matches)),
        ("The surest finds that are wrong", WORST_NOTE, _wrong(about, matches)),
        ("Missed objects", MISSED_NOTE, _missed(about, matches)),
    )
    return [(title, note, _pictures(about, _chosen(cards), n_jobs)) for title, note, cards in kinds]


BEST_NOTE = "In colour what was found, in white and dashed what is true. The surest of each class come first."
WORST_NOTE = "False alarms with the highest scores, of each class in turn, and what is true there in white and dashed."
MISSED_NOTE = (
    "True objects, in white and dashed, that no find of their class hits, the largest of each class in turn; in colour "
    "the surest find that touches each, of whatever class."
)


def _right(about: Found, matches: list[Matches]) -> list[Card]:
    cards = []
    for label, match in zip(about.labels, matches, strict=True):
        for k in np.flatnonzero(match.verdict == HIT)[:MOST]:
            i = int(match.image[k])
            text = f"{about.name(i)}: {label}, score {match.scores[k]:.2f}, overlap {match.overlap[k]:.2f}"
            truth = about.true[i][[int(match.target[k])]]
            cards.append(Card(i, about.found[i][[int(match.index[k])]], truth, text, match.scores[k], label))
    return cards


def _wrong(about: Found, matches: list[Matches]) -> list[Card]:
    like = alike(None, about.labels)
    cards = []
    for label, match in zip(about.labels, matches, strict=True):
        for k in np.flatnonzero((match.verdict == MISS) | (match.verdict == DUPLICATE))[:MOST]:
            i = int(match.image[k])
            kind = kind_of(match, k, about.true, about.found, label, like)
            text = f"{about.name(i)}: {label}, score {match.scores[k]:.2f}, {WORDS[kind]}"
            cards.append(Card(i, about.found[i][[int(match.index[k])]], about.true[i], text, match.scores[k], label))
    return cards


def _missed(about: Found, matches: list[Matches]) -> list[Card]:
    cards = []
    for label, match in zip(about.labels, matches, strict=True):
        hit = {(int(match.image[k]), int(match.target[k])) for k in np.flatnonzero(match.verdict == HIT)}
        for i, truth in enumerate(about.true):
            for j in np.flatnonzero((truth.labels == label) & ~truth.difficult):
                if (i, int(j)) in hit:
                    continue
                box = truth.boxes[j]
                nearby = _surest_near(about.found[i], box)
                told = f"; near it {nearby.labels[0]}, {nearby.scores[0]:.2f}" if len(nearby) else ""
                area = float(np.prod(box[2:] - box[:2]))
                cards.append(Card(i, nearby, truth[[int(j)]], f"{about.name(i)}: {label}{told}", area, label))
    return cards


def _surest_near(found: Objects, box: np.ndarray) -> Objects:
    """Return the find with the highest score that touches a box, or none."""
    if not len(found):
        return found
    near = np.flatnonzero(iou_matrix(box[None], found.boxes)[0] >= NEAR)
    return found[near[[int(found.scores[near].argmax())]]] if len(near) else found[[]]


def _chosen(cards: list[Card]) -> list[Card]:
    """Return some cards, the first of each class before the second of any; of equal turn the surest first."""
    order = sorted(cards, key=lambda card: -card.score)
    turns: dict[Any, int] = {}
    ranked = []
    for n, card in enumerate(order):
        turns[card.label] = turn = turns.get(card.label, -1) + 1
        ranked.append((turn, n, card))
    return [card for _, _, card in sorted(ranked, key=lambda item: item[:2])[:MOST]]


def _pictures(about: Found, cards: list[Card], n_jobs: int | None) -> Html:
    if not cards:
        return element("p", "There are none.", class_="note")
    sources = in_threads(lambda card: _picture(about.images[card.image], card), cards, n_jobs=n_jobs)
    figures = []
    for card, source in zip(cards, sources, strict=True):
        picture = (
            element("span", "The image can no longer be read.", class_="absent")
            if source is None
            else element("img", src=source, alt=f"drawn over the photograph: {card.text}", class_="find")
        )
        figures.append(element("figure", picture, element("figcaption", card.text)))
    return element("div", join(figures), class_="cards finds")


def _picture(image: Any, card: Card) -> str | None:
    """Return a small JPEG of an image with objects drawn over it, or None if it can no longer be read."""
    try:
        pixels = read_image(image)
    except ImageError:
        return None
    small = Image.fromarray(pixels)
    small.thumbnail((LARGEST, LARGEST))
    ratio = np.tile([small.width / pixels.shape[1], small.height / pixels.shape[0]], 2)
    drawn = draw(np.asarray(small), _scaled(card.objects, ratio), _scaled(card.truth, ratio))
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "JPEG", quality=QUALITY)
    return data_uri(buffer.getvalue(), "image/jpeg")


def _scaled(objects: Objects, ratio: np.ndarray) -> Objects:
    return Objects(objects.boxes * ratio, objects.labels, objects.scores, objects.difficult)
