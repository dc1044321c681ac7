"""Sections: a result of `spm.evaluate` or `spm.compare` in, the parts of its page in order out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import plots
from ..evaluation.comparison import COLUMNS, row_cells
from ..evaluation.results import FEWEST, percent
from ..pyramid.pyramid import SpatialPyramid
from ._evidence import evidence_maps
from ._html import Html, element, join, section, table
from ._outcome import MOST_THUMBNAILS, Outcome, class_table, galleries, matrix, outcome_of, plot, spread, strip
from ._pictures import drawing, thumbnails

CURVES = {
    "values": "the length of the vectors",
    "seconds": "seconds to train and test a split, with and without the pyramid in one pass",
}
SIZE = (4.6, 3.6)  # inches, of a curve without its legend
LINE = 0.11  # inches, of the legend, for each preset
FEW_NOTE = "Two splits tell no deviation; none is given."
MENDED = 16  # thumbnails of what the pyramid mended or broke


def headline(result: Any) -> Html:
    """Return the first lines about an evaluation."""
    n_splits = len(result["accuracies"])
    strong = element("strong", percent(result["accuracy"], result["std"], n_splits) + " %")
    facts = (
        f"{n_splits} split{'s' * (n_splits > 1)}, {result['n_train'][0]} training and {result['n_test'][0]} test images"
    )
    seconds = f"{result['train_seconds']:.1f} s to train, {result['test_seconds']:.1f} s to test"
    lines = [f"{facts}; {seconds}."]
    if n_splits > 1:
        few = "" if n_splits >= FEWEST else f" {FEW_NOTE}"
        lines.append(f"By split: {', '.join(f'{100 * value:.1f}' for value in result['accuracies'])}.{few}")
    score_line = element("p", strong, " mean per-class accuracy", class_="headline")
    return join([score_line, *(element("p", line, class_="note") for line in lines)])


def details(
    outcome: Outcome, labels: np.ndarray, model: Any, *, name: str = "", most: int, n_evidence: int, n_jobs: int | None
) -> Iterator[Html]:
    """Yield what there is to say of one model on one data set, under headings that begin with `name`."""
    titles = ("classes", "right, wrong and missed", "what the decisions rest on")
    classes, pictures, rest = (f"{name}: {text}" if name else text.capitalize() for text in titles)
    yield section(
        classes, element("div", element("div", class_table(outcome)), matrix(outcome, n_jobs, name), class_="beside")
    )
    yield section(pictures, galleries(outcome, most=most, n_jobs=n_jobs))
    if model is not None and n_evidence > 0:
        yield section(rest, evidence_maps(outcome, model, labels, n_evidence))


def about_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[Html]:
    """Yield the table of all rows and what there is to say about it."""
    yield table(list(COLUMNS.values()), rows_of(rows), n_texts=3, stacked=True)
    if any(row["error"] is None and 1 < row["n_splits"] < FEWEST for row in rows):
        yield element("p", FEW_NOTE, class_="note")


def rows_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """Yield the rows of the table, in bold the best of each data set and those that tie with it."""
    bold = {k for name in dict.fromkeys(row["data"] for row in rows) for k in ties(rows, name)}
    for k, row in enumerate(rows):
        cells: list[Any] = row_cells(dict(row))
        yield [*cells[:3], element("strong", cells[3]), *cells[4:]] if k in bold else cells


def ties(rows: Sequence[Mapping[str, Any]], data: str) -> list[int]:
    """Return which rows of a data set have the highest accuracy, or one that cannot be told from it; the highest first.

    Two rows tie that are no further apart than the larger of their deviations: that over the splits, or, of so few
    splits that they tell none, that of a count of right tests, the root of a (1 - a) / n.

    Examples
    --------
    >>> row = {"data": "x", "std": 0.01, "n_splits": 10, "n_test": 50, "error": None}
    >>> ties([row | {"accuracy": accuracy} for accuracy in (0.90, 0.912, 0.92)], "x")
    [2, 1]
    """
    found = [k for k, row in enumerate(rows) if row["data"] == data and row["error"] is None]
    found.sort(key=lambda k: -rows[k]["accuracy"])
    spreads = {k: _deviation(rows[k]) for k in found}
    highest = rows[found[0]]["accuracy"] if found else 0.0
    return [k for k in found if highest - rows[k]["accuracy"] <= max(spreads[k], spreads[found[0]]) + 1e-12]


def _deviation(row: Mapping[str, Any]) -> float:
    if row["n_splits"] >= FEWEST:
        return float(row["std"])
    return float(np.sqrt(row["accuracy"] * (1 - row["accuracy"]) / row["n_test"]))


def about_data(result: Any, name: str, n_evidence: int, n_jobs: int | None) -> Iterator[Html]:
    """Yield the sections about one data set, and on it the row with the highest accuracy."""
    data, equal = result.data[name], ties(result.rows, name)
    if not equal:
        return
    best = equal[0]
    row, found = result.rows[best], result.details[best]
    splits = f"{row['n_splits']} split{'s' * (row['n_splits'] > 1)}"
    note = f"{splits}, {row['n_train']} training and {row['n_test']} test images."
    curves = _curves([row for row in result.rows if row["data"] == name and row["error"] is None])
    outcome = outcome_of(found, data.images, data.labels)
    verdict = _verdict([result.rows[k] for k in equal])
    mended = _mended(result, best, outcome, n_jobs)
    yield section(name, verdict, element("p", note, class_="note"), curves, mended, class_="charts")
    about, most = f"{name}, {row['preset']}", MOST_THUMBNAILS // len(result.data)
    yield from details(outcome, data.labels, found.model, name=about, most=most, n_evidence=n_evidence, n_jobs=n_jobs)


def _verdict(rows: Sequence[Mapping[str, Any]]) -> Html:
    """Return the best row, or those that tie for it."""
    told = [
        element("span", f"{row['preset']}, {row['pyramid']}, ", element("strong", percent(*_figures(row)) + " %"))
        for row in rows
    ]
    if len(told) == 1:
        return element("p", "Best: ", told[0], class_="headline")
    known = rows[0]["n_splits"] >= FEWEST
    within = "their deviation" if known else f"what {rows[0]['n_test']:,} tests leave to chance"
    lead = element("p", f"No single best: {len(told)} rows tie within {within}.", class_="headline")
    listed = element("ul", *(element("li", one) for one in told))
    return join([lead, listed, element("p", "The first of them is looked at below.", class_="note")])


def _figures(row: Mapping[str, Any]) -> tuple[float, float, int]:
    return row["accuracy"], row["std"], row["n_splits"]


def _curves(rows: list[dict[str, Any]]) -> Html:
    """Return accuracy against what it costs."""
    told = [{key: value for key, value in row.items() if value is not None} for row in map(_plain, rows)]
    figures = []
    for x, text in CURVES.items():
        drawn = [row for row in told if x in row or x == "seconds"]  # vectors may be of unknown length

        def draw(figure: Any, x: str = x, drawn: list[Any] = drawn) -> None:
            plots.curve(drawn, x=x, ax=figure.subplots())

        if drawn:
            size = SIZE[0], SIZE[1] + LINE * (len({row["preset"] for row in drawn}) + 1)
            picture = drawing(draw, size, math=True)
            figures.append(plot(picture, size[0], f"accuracy against {text}", f"Accuracy against {text}."))
    return element("div", *figures, class_="beside plots")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose levels are all whole numbers or all pairs, in tuples."""
    levels = row["levels"]
    if levels is None:
        return row
    square = all(np.ndim(level) == 0 for level in levels)
    return row | {"levels": tuple(levels if square else map(tuple, SpatialPyramid(levels=levels).grids().tolist()))}


def _mended(result: Any, best: int, outcome: Outcome, n_jobs: int | None) -> Html:
    """Return thumbnails of the tests that the pyramid of the best row's preset made right, and made wrong."""
    row = result.rows[best]
    pair = [k for k, r in enumerate(result.rows) if (r["data"], r["preset"]) == (row["data"], row["preset"])]
    found = [result.details[k] for k in pair if result.details[k] is not None]
    if len(found) != 2 or any(not np.array_equal(one.predictions[0][0], outcome.test) for one in found):
        return Html()
    without, with_it = (np.asarray(one.predictions[0][1]) == outcome.truth for one in found)
    parts = []
    for text, which in (("only with", with_it & ~without), ("only without", without & ~with_it)):
        tests = np.flatnonzero(which)
        shown = spread(tests, MENDED)
        count = f"{len(shown)} of {len(tests)}" if len(tests) > len(shown) else str(len(tests))
        pictures = thumbnails(outcome.images, outcome.test[shown], n_jobs)
        title = element("h3", f"Right {text} the pyramid: {count}")
        parts.append(element("div", title, strip(outcome, shown, pictures, None)))
    return element("div", *parts, class_="beside plots")
