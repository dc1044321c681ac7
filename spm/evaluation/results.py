"""What was predicted, evaluated or compared in, the same as a table of text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.utils import Bunch

from .._tools.text import Table, printable

FEWEST = 3  # splits that tell a standard deviation
COLUMNS = {
    "data": "data",
    "preset": "preset",
    "pyramid": "pyramid",
    "accuracy": "accuracy %",
    "values": "values",
    "extract_rate": "extract /s",
    "classify_rate": "classify /s",
    "train_seconds": "train s",
    "peak_mb": "peak MB",
}
"""The columns of a comparison's table, and what stands above them."""

CLASS_COLUMNS = ["class", "accuracy %", "tested"]
MOST_ROWS = 20  # of predictions, in a repr


class Evaluation(Bunch):
    """What `spm.evaluate` returns: a Bunch that shows itself as its table."""

    def __repr__(self) -> str:
        return f"{summary(self)}\n{aligned(CLASS_COLUMNS, class_rows(self), n_texts=1)}"


class Comparison(Bunch):
    """What `spm.compare` returns: a Bunch that shows itself as its table."""

    def __repr__(self) -> str:
        return aligned(list(COLUMNS.values()), [row_cells(row) for row in self["rows"]], n_texts=3)


class Predictions(Bunch):
    """What `spm.predict` returns: a Bunch that shows itself as its table."""

    def __repr__(self) -> str:
        rows, more = self["rows"][:MOST_ROWS], len(self["rows"]) - MOST_ROWS
        if not rows:
            return "no predictions"
        text = aligned(list(rows[0]), [[cell_text(value) for value in row.values()] for row in rows], n_texts=2)
        return text + (f"\n... and {more} more" if more > 0 else "")


def aligned(head: list[str], rows: Sequence[list[str]], *, n_texts: int) -> str:
    """Return a table as text, the first so many columns to the left, the others to the right.

    Examples
    --------
    >>> print(aligned(["class", "tested"], [["cat", "4"], ["mouse", "12"]], n_texts=1))
    class  tested
    cat         4
    mouse      12
    """
    widths = [[row[k] for row in rows if k < len(row) - (len(row) < len(head))] for k in range(len(head))]
    table = Table(head, widths, n_texts=n_texts)
    return "\n".join(table.aligned(row).rstrip() for row in [head, *rows])


def cell_text(value: Any) -> str:
    """Return a value of a row as text: a number with four digits behind the point, nothing for None.

    Examples
    --------
    >>> cell_text(0.25), cell_text("cat"), cell_text(None)
    ('0.2500', 'cat', '')
    """
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else printable(value)


def summary(result: Bunch) -> str:
    """Return the line that says how good a model is."""
    n_splits = len(result["accuracies"])
    about = f"{n_splits} split{'s' * (n_splits > 1)}, {result['n_train'][0]} train, {result['n_test'][0]} test images"
    return f"{percent(result['accuracy'], result['std'], n_splits)} % mean per-class accuracy ({about})"


def percent(accuracy: float, std: float, n_splits: int) -> str:
    """Return an accuracy in percent with its deviation, where there are splits enough to tell one.

    Examples
    --------
    >>> percent(0.5, 0.01, 10), percent(0.5, 0.0, 2)
    ('50.0 ± 1.0', '50.0')
    """
    return f"{100 * accuracy:.1f}" + (f" ± {100 * std:.1f}" if n_splits >= FEWEST else "")


def class_rows(result: Bunch) -> list[list[str]]:
    """Return a row of text for every class of an evaluation, a cell for each of `CLASS_COLUMNS`."""
    return [
        [str(name), f"{100 * row[i] / row.sum():.1f}" if row.any() else "-", str(row.sum())]
        for i, (name, row) in enumerate(zip(result["classes"], result["confusion"], strict=True))
    ]


def class_records(result: Bunch) -> list[dict[str, Any]]:
    """Return what is known of every class of an evaluation, for a table that programs read.

    Each has the ``class``, its ``accuracy`` in 0..1, how many images were ``tested`` over all splits and how many of
    them were ``right``, and what it is most often ``taken_for``, and how many times; None where there is none.
    """
    records = []
    for i, (name, row) in enumerate(zip(result["classes"], result["confusion"], strict=True)):
        others = row.copy()
        others[i] = 0
        most = int(others.argmax())
        records.append(
            {
                "class": str(name),
                "accuracy": float(row[i] / row.sum()) if row.any() else None,
                "tested": int(row.sum()),
                "right": int(row[i]),
                "taken_for": str(result["classes"][most]) if others[most] else None,
                "times": int(others[most]),
            }
        )
    return records


def row_cells(row: dict[str, Any]) -> list[str]:
    """Return a row of `compare` as text, one cell for each of `COLUMNS`; without figures, the reason is the fourth.

    Examples
    --------
    >>> row_cells({"data": "digits", "preset": "lazebnik2006", "pyramid": "no pyramid (1x1)", "accuracy": 0.5,
    ...            "std": 0.01, "values": 200, "extract_rate": 410.2, "classify_rate": 51234.5, "train_seconds": 1.0,
    ...            "peak_mb": None, "n_splits": 10, "error": None})
    ['digits', 'lazebnik2006', 'no pyramid (1x1)', '50.0 ± 1.0', '200', '410', '51000', '1.0', '-']
    """
    texts = [row["data"], row["preset"], row["pyramid"]]
    if row["error"] is not None:
        return [*texts, row["error"]]
    accuracy = percent(row["accuracy"], row["std"], row["n_splits"])
    rates = [None if row[name] is None else float(f"{row[name]:.2g}") for name in ("extract_rate", "classify_rate")]
    figures = zip(
        [row["values"], *rates, row["train_seconds"], row["peak_mb"]], ["d", ".0f", ".0f", ".1f", ".0f"], strict=True
    )
    return [*texts, accuracy, *("-" if value is None else format(value, how) for value, how in figures)]
