"""True objects and found ones in, the parts of a detector's page out: precisions, curves, tables, pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..detection import AveragePrecision, CountTable, Objects, PrecisionRecall
from ._finds import Found, galleries
from ._html import Html, element, join, section, table
from ._pictures import drawing

MOST_CURVES = 40
SIZE = (2.3, 1.9)  # inches, of a curve
ERRORS_NOTE = (
    "Of each class's best finds, as many as it has objects: hits, and false alarms by their cause. Localisation: an "
    "object of the class is there, but overlaps too little. Similar and other: on an object of a class that is alike, "
    "or not. Duplicate: a further find of an object that is hit. Ignored: a find of a difficult object."
)
CONFUSION_NOTE = (
    "Of the same finds. Rows are what objects are, columns what they were found as; the last row has false "
    "alarms on nothing, the last column what was not found."
)


def percent(share: float) -> str:
    """Return a share in per cent, or a dash where it is not known."""
    return "-" if np.isnan(share) else f"{100 * share:.1f}"


def headline(measured: AveragePrecision, n_images: int) -> Html:
    """Return the first lines about a detector."""
    ious = list(measured.by_iou)
    overlap = f"at an overlap of {ious[0]:g}" if len(ious) == 1 else f"over overlaps of {ious[0]:g} to {ious[-1]:g}"
    n_objects = sum(measured.n_objects.values())
    strong = element("strong", f"{percent(measured.mean)} %")
    facts = f"{n_images} images with {n_objects} objects of {len(measured.by_class)} classes, difficult ones "
    line = element("p", strong, " mean average precision", class_="headline")
    return join([line, element("p", f"{facts}not counted; {overlap}, by the rule {measured.rule}.", class_="note")])


def class_table(measured: AveragePrecision) -> Html:
    """Return the table of the classes, the best first."""
    rows = []
    known = {label: -1.0 if np.isnan(ap) else ap for label, ap in measured.by_class.items()}
    for label in sorted(known, key=lambda label: -known[label]):
        share = max(known[label], 0.0)
        text = percent(measured.by_class[label])
        bar = element("span", text, class_="share", style=f"--share: {100 * share:.1f}%")
        rows.append([label, bar, measured.n_objects[label]])
    return table(["class", "average precision %", "objects"], rows, n_texts=1)


def curves(found: Mapping[Any, PrecisionRecall], measured: AveragePrecision) -> Html:
    """Return a small curve of precision over recall for each class, the best first."""
    able = [label for label, curve in found.items() if curve.n_objects]
    shown = sorted(able, key=lambda label: -measured.by_class[label])[:MOST_CURVES]
    figures = []
    for label in shown:
        source = drawing(partial(_curve, curve=found[label]), SIZE)
        text = f"{label}: {percent(measured.by_class[label])} %"
        alt = f"precision over recall of {label}, average precision {percent(measured.by_class[label])} per cent"
        figures.append(element("figure", element("img", src=source, alt=alt), element("figcaption", text)))
    note = "Precision over recall at the overlap of the tables below."
    if len(shown) < len(found):
        note += f" {len(shown)} of {len(found)} classes are drawn, those that have objects."
    return element("div", element("p", note, class_="note"), element("div", join(figures), class_="curves"))


def _curve(figure: Any, curve: PrecisionRecall) -> None:
    axes = figure.subplots()
    corners = _corners(curve.recall)
    recall = np.append(0.0, curve.recall[corners])
    precision = np.append(curve.precision[:1], curve.precision[corners])
    if len(corners):
        axes.plot(recall, precision, linewidth=1.2)
        axes.fill_between(recall, precision, alpha=0.2)
    axes.set(xlim=(0, 1), ylim=(0, 1.04), xlabel="recall", ylabel="precision", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.tick_params(labelsize=7)
    axes.xaxis.label.set_size(8)
    axes.yaxis.label.set_size(8)


def _corners(recall: np.ndarray) -> np.ndarray:
    """Return where a curve turns: the first and the last find at each recall; those between lie on a line down.

    Examples
    --------
    >>> _corners(np.array([0.0, 0.0, 0.0, 0.5, 1.0, 1.0]))
    array([0, 2, 3, 4, 5])
    """
    rises = np.flatnonzero(np.diff(recall) > 0)
    return np.unique([0, *rises, *(rises + 1), len(recall) - 1]) if len(recall) else np.empty(0, dtype=int)


def error_rows(errors: CountTable) -> Html:
    """Return the table of errors, with a last row for all classes."""
    rows = [[label, *counts] for label, counts in zip(errors.rows, errors.counts.tolist(), strict=True)]
    total = [element("strong", value) for value in ("all", *errors.counts.sum(axis=0).tolist())]
    return table(["class", *errors.columns], [*rows, total], n_texts=1)


def confusion_rows(confusion: CountTable) -> Html:
    """Return the table of what is taken for what, each cell shaded by its share of its row."""
    head = [element("th", ""), *(element("th", element("span", name), scope="col") for name in confusion.columns)]
    body = []
    for name, counts in zip(confusion.rows, confusion.counts.tolist(), strict=True):
        total = max(sum(counts), 1)
        cells = [
            element("td", n or "·", class_="figure", style=f"--heat: {100 * n / total:.0f}%" if n else None,
                    title=f"{name} found as {found}: {n}")
            for n, found in zip(counts, confusion.columns, strict=True)
        ]  # fmt: skip
        body.append(element("tr", element("th", name, scope="row"), *cells))
    parts = element("thead", element("tr", *head)), element("tbody", join(body))
    return element("div", element("table", *parts, class_="confusion"), class_="scrolled", tabindex=0)


def parts_of(
    about: Found,
    measured: AveragePrecision,
    found: Mapping[Any, PrecisionRecall],
    errors: CountTable,
    confusion: CountTable,
    *,
    n_jobs: int | None,
) -> Iterator[Html]:
    """Yield the parts of the page in order, but for the last."""
    yield headline(measured, len(about.true))
    yield section("Classes", element("div", class_table(measured), curves(found, measured), class_="beside"))
    yield section("What goes wrong", element("p", ERRORS_NOTE, class_="note"), error_rows(errors))
    yield section("What is taken for what", element("p", CONFUSION_NOTE, class_="note"), confusion_rows(confusion))
    for title, note, pictures in galleries(about, n_jobs=n_jobs):
        yield section(title, element("p", note, class_="note"), pictures)


def objects_digest(objects: Sequence[Objects]) -> tuple[str, int]:
    """Return a SHA-256 of all boxes, labels and marks of difficulty, and how many there are.

    Examples
    --------
    >>> objects_digest([Objects([[0, 0, 9, 9]], ["dog"])])[1]
    1
    """
    digest = hashlib.sha256()
    for one in objects:
        rows = zip(one.boxes.tolist(), one.labels.tolist(), one.difficult.tolist(), strict=True)
        digest.update(repr(list(rows)).encode(errors="surrogateescape"))
    return digest.hexdigest(), sum(map(len, objects))
