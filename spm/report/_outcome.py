"""One outcome: predictions and the images they are for in, the confusion matrix and thumbnails of a page out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import plots
from .._tools.text import printable
from ..images import name_of
from ._html import Html, element, join, table
from ._pictures import drawing, thumbnails

MOST_THUMBNAILS = 600  # on a page
MOST_OF_A_KIND = 8  # in a class
MOST_CLASSES = 100  # with thumbnails, or named in the confusion matrix
MOST_CELLS = 40  # classes of a matrix that is a table
MOST_OPENED = 240  # thumbnails, or pairs of classes, that the matrix opens
LONGEST_NAME = 24  # letters, on the axes of the matrix
PIXELS = 96  # of a page, an inch
LEAST_SCALE = 0.65  # of a drawing on a narrow screen

KINDS = {"right": None, "wrong": "is", "missed": "as"}
"""What is shown of a class, and what is written under it: nothing, what it is, or what it was taken as."""

NOTE = (
    "Right: images of the class that were recognised. Wrong: images of other classes that were taken for it, with "
    "their own class. Missed: images of the class that were taken for another, with that class."
)


@dataclass(frozen=True)
class Outcome:
    """What came out for one model on one data set.

    Parameters
    ----------
    images : sequence of paths or arrays
    classes : ndarray of shape (k,)
    confusion : ndarray of shape (k, k)
        Over all splits.
    train, test : ndarray of int
        Positions of the images of the first split.
    truth, predicted : ndarray of shape (n_test,)
        Labels of those that test.
    n_splits : int
    """

    images: Sequence[Any]
    classes: np.ndarray
    confusion: np.ndarray
    train: np.ndarray
    test: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    n_splits: int

    @property
    def right(self) -> np.ndarray:
        """Whether each of the images that test was recognised."""
        return self.truth == self.predicted

    def name(self, position: int) -> str:
        """Return what to call the image at `position`: its file's name, or its number."""
        image = self.images[position]
        return os.path.basename(name_of(image)) if isinstance(image, str | os.PathLike) else f"image {position}"


def outcome_of(found: Any, images: Sequence[Any], labels: np.ndarray) -> Outcome:
    """Return the outcome that `spm.evaluate`, or a row of `spm.compare`, found."""
    classes, confusion, train = map(np.asarray, (found["classes"], found["confusion"], found["trained_on"][0]))
    test, predicted = map(np.asarray, found["predictions"][0])
    return Outcome(images, classes, confusion, train, test, labels[test], predicted, len(found["predictions"]))


def accuracies(outcome: Outcome) -> np.ndarray:
    """Return the accuracy of every class over all splits, NaN for one that was not tested."""
    totals = outcome.confusion.sum(axis=1)
    return np.divide(outcome.confusion.diagonal(), totals, out=np.full(len(totals), np.nan), where=totals > 0)


def class_table(outcome: Outcome) -> Html:
    """Return the table of the classes: accuracy, number of tests, and what each is most often taken for."""
    rows = []
    for k, (share, counts) in enumerate(zip(accuracies(outcome), outcome.confusion, strict=True)):
        others = np.where(np.arange(len(counts)) == k, 0, counts)
        most = int(others.argmax())
        often = f"{outcome.classes[most]} ({100 * others[most] / counts.sum():.1f}\xa0%)" if others[most] else "-"
        text = f"{100 * share:.1f}" if counts.any() else "-"
        bar = element("span", text, class_="share", style=f"--share: {0 if np.isnan(share) else 100 * share:.1f}%")
        rows.append([outcome.classes[k], bar, counts.sum(), often])
    return table(["class", "accuracy %", "tested", "mostly taken for"], rows, n_texts=1)


def matrix(outcome: Outcome, n_jobs: int | None, name: str = "") -> Html:
    """Return the confusion matrix: a table whose cells open their thumbnails, or of many classes a picture.

    `name` tells it from the other matrices of a page.
    """
    if len(outcome.classes) > MOST_CELLS:
        return _drawn_matrix(outcome)
    pairs = _pairs(outcome)
    each = int(np.clip(MOST_OPENED // max(len(pairs), 1), 1, MOST_OF_A_KIND))
    shown = {pair: spread(tests, each) for pair, tests in pairs.items()}
    positions = [outcome.test[tests] for tests in shown.values()]
    pictures = thumbnails(outcome.images, np.concatenate(positions) if positions else [], n_jobs)
    names, key = outcome.classes, f"m{hashlib.sha256(printable(name).encode()).hexdigest()[:8]}"
    head = [element("th", ""), *(element("th", element("span", name), scope="col") for name in names)]
    rows = [
        element("tr", element("th", name, scope="row"), *(_cell(outcome, i, j, pairs, key) for j in range(len(names))))
        for i, name in enumerate(names)
    ]
    inside = element("table", element("thead", element("tr", *head)), element("tbody", join(rows)), class_="confusion")
    opened = [
        element("div", _pair_title(outcome, pair, len(tests), len(pairs[pair])), strip(outcome, tests, pictures, None),
                class_="pair", id=f"{key}-{pair[0]}-{pair[1]}")
        for pair, tests in shown.items()
    ]  # fmt: skip
    splits = f", over {outcome.n_splits} splits" if outcome.n_splits > 1 else ""
    of_first = " of the first split" if outcome.n_splits > 1 else ""
    caption = f"Confusion matrix: per cent of each true class{splits}. Rows are true classes, columns predicted ones; "
    caption += f"an underlined number opens its photographs{of_first}."
    table_of = element("div", inside, class_="scrolled", tabindex=0)
    return element("figure", table_of, element("figcaption", caption), *opened, id=key)


def _pairs(outcome: Outcome) -> dict[tuple[int, int], np.ndarray]:
    """Return the tests of each pair of a true and a predicted class, of the most frequent pairs, wrong ones first."""
    place = {name: k for k, name in enumerate(outcome.classes.tolist())}
    found: dict[tuple[int, int], list[int]] = {}
    for test, (truth, predicted) in enumerate(zip(outcome.truth.tolist(), outcome.predicted.tolist(), strict=True)):
        found.setdefault((place[truth], place[predicted]), []).append(test)
    order = sorted(found, key=lambda pair: (pair[0] == pair[1], -len(found[pair]), pair))
    return {pair: np.array(found[pair]) for pair in order[:MOST_OPENED]}


def _cell(outcome: Outcome, i: int, j: int, pairs: Mapping[tuple[int, int], Any], key: str) -> Html:
    """Return one cell of the matrix, a link where there are thumbnails to open."""
    count, total = int(outcome.confusion[i, j]), max(int(outcome.confusion[i].sum()), 1)
    told = f"{outcome.classes[i]} taken for {outcome.classes[j]}: {count} of {total}"
    share = f"{100 * count / total:.0f}" if count else "·"
    inside = element("a", share, href=f"#{key}-{i}-{j}", title=told) if (i, j) in pairs else share
    heat = f"--heat: {100 * count / total:.0f}%" if count else None
    return element("td", inside, class_="figure", style=heat, title=told)


def _pair_title(outcome: Outcome, pair: tuple[int, int], n_shown: int, n: int) -> Html:
    truth, predicted = (outcome.classes[k] for k in pair)
    what = f"{truth}, right" if pair[0] == pair[1] else f"{truth}, taken for {predicted}"
    return element("h4", f"{what}: {f'{n_shown} of {n}' if n > n_shown else n}")


def _drawn_matrix(outcome: Outcome) -> Html:
    names = [_short(printable(name)) for name in outcome.classes]
    if len(names) > MOST_CLASSES:
        names = [""] * len(names)
    side = float(np.clip(0.36 * len(names) + 0.075 * max(map(len, names)) + 1.2, 3.0, 14.0))
    size = (side, side)
    source = drawing(lambda figure: plots.confusion(outcome.confusion, names, ax=figure.subplots()), size)
    splits = f", over {outcome.n_splits} splits" if outcome.n_splits > 1 else ""
    caption = f"Confusion matrix: per cent of each true class{splits}."
    return plot(source, side, "Confusion matrix", caption)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def plot(source: str, width: float, alt: str, caption: str) -> Html:
    """Return a drawing of so many inches with its caption: made smaller as far as it can be read, then scrolled."""
    least = f"min-width: {LEAST_SCALE * PIXELS * width:.0f}px"
    picture = element("div", element("img", src=source, alt=alt, style=least), class_="plot", tabindex=0)
    return element("figure", picture, element("figcaption", caption))


def galleries(outcome: Outcome, *, most: int, n_jobs: int | None) -> Html:
    """Return a row of thumbnails for every class: right, wrong and missed; at most `most` thumbnails in all."""
    order = np.argsort(np.nan_to_num(accuracies(outcome), nan=2.0), kind="stable")  # the worst first
    kept = np.sort(order[:MOST_CLASSES])
    each = int(np.clip(most // (len(KINDS) * len(kept)), 1, MOST_OF_A_KIND))
    members = {(k, kind): found for k in kept.tolist() for kind, found in _kinds(outcome, outcome.classes[k])}
    shown = {key: spread(found, each) for key, found in members.items()}
    pictures = thumbnails(outcome.images, outcome.test[np.concatenate(list(shown.values()))], n_jobs)
    notes = [NOTE]
    if outcome.n_splits > 1:
        notes.append(f"All are tests of the first of {outcome.n_splits} splits.")
    if len(kept) < len(outcome.classes):
        notes.append(f"The {len(kept)} of {len(outcome.classes)} classes with the lowest accuracy are shown.")
    parts = [element("p", " ".join(notes), class_="note")]
    for k in kept.tolist():
        columns = [_column(outcome, kind, shown[k, kind], len(members[k, kind]), pictures) for kind in KINDS]
        parts += [element("h3", outcome.classes[k]), element("div", *columns, class_="kinds")]
    return join(parts)


def _kinds(outcome: Outcome, name: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield where among the tests a class was right, wrongly found and missed."""
    true, found = outcome.truth == name, outcome.predicted == name
    for kind, which in (("right", true & found), ("wrong", ~true & found), ("missed", true & ~found)):
        yield kind, np.flatnonzero(which)


def spread(items: np.ndarray, n: int) -> np.ndarray:
    """Return at most `n` of the items, evenly spread.

    Examples
    --------
    >>> spread(np.arange(10), 4)
    array([0, 3, 6, 9])
    """
    return items if len(items) <= n else items[np.linspace(0, len(items) - 1, n).round().astype(int)]


def _column(outcome: Outcome, kind: str, shown: np.ndarray, total: int, pictures: dict[int, str | None]) -> Html:
    count = f": {len(shown)} of {total}" if total > len(shown) else f": {total}"
    title = element("h4", element("span", kind, class_=kind), count)
    return element("div", title, strip(outcome, shown, pictures, KINDS[kind]))


def strip(outcome: Outcome, shown: np.ndarray, pictures: dict[int, str | None], relation: str | None) -> Html:
    """Return thumbnails side by side: of the tests at `shown`, with the true label for "is", the predicted for "as"."""
    figures = []
    for i in shown.tolist():
        position = int(outcome.test[i])
        name, truth, predicted = outcome.name(position), outcome.truth[i], outcome.predicted[i]
        about = f"{name}: {truth}" if truth == predicted else f"{name}: {truth}, taken for {predicted}"
        source = pictures[position]
        picture = (
            element("img", src=source, alt=name, title=about) if source else element("span", name, class_="absent")
        )
        captions = [element("figcaption", {"is": truth, "as": predicted}[relation])] if relation else []
        figures.append(element("figure", picture, *captions))
    return element("div", *figures, class_="strip")
