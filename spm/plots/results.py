"""Figures of results: counts, rows of a comparison and scores in, matrices and curves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._tools.public import public
from ..errors import SpmError, check_choice
from ..evaluation.results import FEWEST
from ._axes import (
    COLOURS,
    DASHES,
    as_drawn,
    extent_of,
    fit_labels,
    legend_outside,
    name_points,
    points_of,
    take_axes,
    text_size,
)

MARKERS = "osD^vPX*<>h"  # as many as have no divisor in common with the colours: 88 looks
LARGEST = 12.0  # inches, the side of a confusion matrix
TICK = 36.0  # points, the room of a number at an axis
SINGLE, PYRAMID = "single level", "pyramid"

AXES = {
    "levels": "finest grid of the pyramid",
    "values": "values in a vector",
    "words": "words in the vocabulary",
    "seconds": "seconds to train and test",
    "accuracy": "mean per-class accuracy (%)",
    "train_seconds": "seconds to train",
    "test_seconds": "seconds to test",
    "extract_rate": "images a second, features",
    "classify_rate": "images a second, classifier",
    "peak_mb": "peak memory (MB)",
}
"""What an axis of `curve` says; other keys stand for themselves."""


@public("spm.plots")
def confusion(result: Any, classes: Sequence[Any] | None = None, *, ax: Any = None) -> Any:
    """Draw a confusion matrix in per cent of each true class.

    Parameters
    ----------
    result : Bunch or array-like of shape (k, k)
        What `spm.evaluate` returns, or counts, a row a true class.
    classes : sequence, optional
        The classes' names; by default those of `result`, or numbers.
    ax : Axes, optional

    Returns
    -------
    Axes
        Per cents are rounded, and those below one half left out; a class without test images has an empty row. Where
        cells are too small to be written in, the colours alone are drawn.

    Raises
    ------
    SpmError
        For a matrix that is not square or has negative counts, or another number of classes.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> ax = spm.plots.confusion([[3, 1], [0, 2]], ["cat", "dog"])
    >>> [text.get_text() for text in ax.texts], ax.get_title()
    (['75', '25', '100'], '87.5 % right, mean of the classes')
    """
    counts = np.asarray(getattr(result, "confusion", result), dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size or not (counts >= 0).all():
        raise SpmError(f"a confusion matrix must be square, of counts at least 0, got shape {counts.shape}")
    names = [
        as_drawn(name) for name in (getattr(result, "classes", range(len(counts))) if classes is None else classes)
    ]
    if len(names) != len(counts):
        raise SpmError(f"there are {len(names)} classes but {len(counts)} rows in the matrix")
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    side = max(0.36, 1.4 / len(names)) * len(names) + 0.075 * max(map(len, names)) + 1.2
    side = min(side, LARGEST)
    ax = take_axes(ax, size=(side, side))[0, 0]
    drawn = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    ax.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(labelsize=_label_size(ax, len(names)))
    ax.set(xlabel="predicted class", ylabel="true class")
    mean = float(shares.diagonal()[totals[:, 0] > 0].mean()) if totals.any() else 0.0
    ax.set_title(f"{mean:.1f} % right, mean of the classes", fontsize="medium")
    fit_labels(ax)
    _write_shares(ax, shares, drawn)
    return ax


def _label_size(ax: Any, n: int) -> float:
    """Return the size in points of n names beside as many rows."""
    return float(np.clip(0.85 * points_of(ax)[1] / n, 2.5, 9))


def _write_shares(ax: Any, shares: np.ndarray, drawn: Any) -> None:
    room = extent_of(ax)
    size = text_size((room[0] / len(shares), room[1] / len(shares)), 3)
    for (i, j), share in np.ndenumerate(shares) if size else ():
        if share >= 0.5:
            colour = "white" if sum(drawn.cmap(share / 100)[:3]) < 1.6 else "black"
            ax.text(j, i, f"{share:.0f}", ha="center", va="center", fontsize=size, color=colour)


@public("spm.plots")
def curve(rows: Sequence[Mapping[str, Any]], *, x: str = "levels", y: str = "accuracy", ax: Any = None) -> Any:
    """Draw accuracy, or another figure, of the rows of `spm.compare` against what they differ in.

    Parameters
    ----------
    rows : sequence of dict
        As in ``spm.compare(...).rows``; a row has at least the keys `x` and `y`, but for those with an ``error``, which
        are left out. Rows of different ``data``, ``preset`` and ``words`` make lines of their own.
    x : str, default="levels"
        ``"levels"``: the finest grid, with a line for single levels and one for pyramids, as in table 1 of Lazebnik
        2006; ``"seconds"``: to train and test; or any key with numbers, such as ``"values"`` or ``"words"``. Points
        that differ in their levels are named by them, where the axes are two inches wide or more and the name covers
        nothing.
    y : str, default="accuracy"
        Any key with numbers; accuracy is drawn in per cent, with its standard deviation over the splits, of three or
        more.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    SpmError
        For no rows, or a row without the key; the message lists the keys.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> rows = [{"levels": (1,), "accuracy": 0.72}, {"levels": (4,), "accuracy": 0.79},
    ...         {"levels": (1, 2, 4), "accuracy": 0.81}]
    >>> ax = spm.plots.curve(rows)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['single level', 'pyramid']
    """
    checked = [_check_row(row, x, y) for row in rows if not row.get("error")]
    if not checked:
        raise SpmError("there are no rows with figures to draw: give spm.compare(...).rows")
    grids = (
        sorted({_finest(row) for row in checked}, key=lambda grid: (grid[0] * grid[1], grid)) if x == "levels" else []
    )
    ax = take_axes(ax, size=(5.4, 4.2))[0, 0]
    series, wide = _series(checked, x), points_of(ax)[0] > 4 * TICK
    bases = list(dict.fromkeys(base for base, _ in series))
    named: list[tuple[float, float, str, Any]] = []
    for (base, kind), points in series.items():
        k = bases.index(base)
        places = [grids.index(_finest(row)) if grids else float(row[x]) for row in points]
        points = [points[i] for i in np.argsort(places, kind="stable")]
        places = sorted(places)
        scale = 100 if y == "accuracy" else 1
        heights = [scale * row[y] for row in points]
        errors = _errors(points) if y == "accuracy" else None
        style = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
        style["linestyle"] = DASHES[1] if kind == SINGLE else DASHES[0 if k < len(COLOURS) else 2]
        ax.errorbar(places, heights, errors, label=as_drawn(", ".join(filter(None, (base, kind)))), capsize=3, **style)
        texts = [_levels_name(row["levels"]) if "levels" in row else "" for row in points]
        if x != "levels" and wide and len(set(texts)) > 1:
            colours = [style["color"]] * len(texts)
            named += [point for point in zip(places, heights, texts, colours, strict=True) if point[2]]
    _finish_curve(ax, x, y, [f"{r} × {c}" for r, c in grids], [row[x] for row in checked], named)
    return ax


def _errors(rows: list[dict[str, Any]]) -> list[float] | None:
    """Return the standard deviations in per cent, 0 where so few splits tell none; None where no row has one."""
    known = [row.get("std") if row.get("n_splits", FEWEST) >= FEWEST else None for row in rows]
    return [100 * (std or 0) for std in known] if any(std is not None for std in known) else None


def _check_row(row: Mapping[str, Any], x: str, y: str) -> dict[str, Any]:
    """Return the row with its sum of seconds, or raise if it has not what is to be drawn."""
    row = {key: value for key, value in row.items() if value is not None}
    if {"train_seconds", "test_seconds"} <= row.keys():
        row.setdefault("seconds", row["train_seconds"] + row["test_seconds"])
    numbers = [key for key, value in row.items() if isinstance(value, int | float | np.number)]
    drawable = numbers + ["levels"] * bool(np.size(row.get("levels", ())))
    for name, key, choices in (("x", x, drawable), ("y", y, numbers)):
        check_choice(name, key, choices)
    return row


def _finest(row: Mapping[str, Any]) -> tuple[int, int]:
    """Return the rows and columns of the level with the most cells."""
    pairs = [(level, level) if np.ndim(level) == 0 else tuple(level) for level in row["levels"]]
    return max(pairs, key=lambda pair: (pair[0] * pair[1], pair))


def _levels_name(levels: Sequence[Any]) -> str:
    """Name a pyramid by its levels.

    Examples
    --------
    >>> _levels_name((1, 2, 4)), _levels_name((1, (3, 1)))
    ('1+2+4', '1+3×1')
    """
    return "+".join(str(level) if np.ndim(level) == 0 else f"{level[0]}×{level[1]}" for level in levels)


def _series(rows: list[dict[str, Any]], x: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Group the rows into lines, each named by what tells it from the others and by its kind, if there are kinds."""
    keys = [key for key in ("preset", "data", "words", "levels") if key != x and (key != "levels" or x == "words")]
    keys = [key for key in keys if len({str(row.get(key)) for row in rows}) > 1]
    pyramids = any(len(row["levels"]) > 1 for row in rows) if x == "levels" else False
    coarsest = min(_finest(row) for row in rows) if pyramids else None
    series: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        base = ", ".join(_part_of_name(row, key) for key in keys)
        kinds = [""]
        if pyramids:  # the coarsest grid alone begins both lines
            alone = len(row["levels"]) == 1
            kinds = [SINGLE] * alone + [PYRAMID] * (not alone or _finest(row) == coarsest)
        for kind in kinds:
            series.setdefault((base, kind), []).append(row)
    return series


def _part_of_name(row: Mapping[str, Any], key: str) -> str:
    if key != "levels":
        return str(row.get(key, "?"))
    return f"levels {_levels_name(row[key])}" if key in row else "no levels"


def _finish_curve(
    ax: Any, x: str, y: str, grids: list[str], places: list[Any], named: list[tuple[float, float, str, Any]]
) -> None:
    ax.set(xlabel=as_drawn(AXES.get(x, x)), ylabel=as_drawn(AXES.get(y, y)))
    width = points_of(ax)[0]
    name = max((6 + 4.5 * len(text) for _, _, text, _ in named), default=0.0)  # points, beside the last of them
    room = max(min(TICK / width, 0.3), name / max(width - 2 * name, 1.0))
    ax.margins(x=float(np.clip(room, 0.12, 0.45)), y=0.12)
    low, high = ax.get_ylim()
    if y == "accuracy" and high > 100:  # there is room above for bars and labels, but no such accuracy
        ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= 100])
    ax.grid(alpha=0.3)
    legend_outside(ax, fontsize="small", handlelength=2.6)  # room for dashes beside the marker
    if grids:
        ax.set_xticks(range(len(grids)), grids)
    elif min(places) > 0 and max(places) >= 8 * min(places):
        _log_axis(ax, sorted({float(place) for place in places}))
    fit_labels(ax)
    name_points(ax, named)


def _log_axis(ax: Any, places: list[float]) -> None:
    """Make the axis logarithmic, with ticks at the values themselves, as far as they can be read side by side."""
    apart = np.log(places[-1] / places[0]) * TICK / (0.75 * points_of(ax)[0])
    ticks = places[:1]
    for place in places[1:]:
        if np.log(place / ticks[-1]) > apart:
            ticks.append(place)
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{tick:,.0f}" if tick >= 10 else f"{tick:.2g}" for tick in ticks])
    ax.set_xticks([], minor=True)


@public("spm.plots")
def precision_recall(scores: Any, labels: Any, classes: Sequence[Any] | None = None, *, ax: Any = None) -> Any:
    """Draw precision against recall for every class, with its average precision.

    Average precision is the area under the steps of the curve, as scikit-learn's `average_precision_score` has it
    (VOC's of 2007 has eleven points instead).

    Parameters
    ----------
    scores : array-like of shape (n, k), or (n,) for two classes
        Decision values: the higher, the more of the class; of two classes for the second.
    labels : array-like of shape (n,), or bool of shape (n, k)
        The class of each image; or, where one image can be of several classes, whether it is of each.
    classes : sequence, optional
        The classes in the order of the columns, as in `model.classes_`; by default the labels, sorted, or numbers.
    ax : Axes, optional

    Returns
    -------
    Axes
        One line a class, named with its average precision, the best first; a class without an image is left out.

    Raises
    ------
    SpmError
        For shapes that do not match, scores that are not finite, or labels that are no classes.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> ax = spm.plots.precision_recall([0.9, 0.8, 0.1], ["dog", "cat", "cat"])
    >>> ax.lines[0].get_label()
    'dog 1.00'
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    columns, truth, names = _check_scores(scores, labels, classes)
    kept = [k for k in range(len(names)) if truth[:, k].any()]
    averages = {k: float(average_precision_score(truth[:, k], columns[:, k])) for k in kept}
    many = len(kept) > 8
    ax = take_axes(ax, size=(6.2, 4.2))[0, 0]
    for place, k in enumerate(sorted(kept, key=lambda k: -averages[k])):
        precision, recall, _ = precision_recall_curve(truth[:, k], columns[:, k])
        precision[-1] = precision[-2]  # not the 1 that stands for no image found
        style = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place // len(COLOURS) % len(DASHES)]}
        ax.step(recall, precision, where="post", label=as_drawn(f"{names[k]} {averages[k]:.2f}"), **style)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), xlabel="recall", ylabel="precision")
    ax.set_title(f"mean average precision {np.mean(list(averages.values())):.3f}", fontsize="medium")
    ax.grid(alpha=0.3)
    outside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.02), "frameon": False, "borderpad": 0}
    size = float(np.clip(points_of(ax)[1] / (1.55 * (len(kept) + 2)), 3, 8)) if many else 8
    free = many or ax.figure.canvas.figure.get_layout_engine() is not None
    ax.legend(title="average precision", title_fontsize=size, fontsize=size, **(outside if free else {}))
    fit_labels(ax)
    return ax


def _check_scores(scores: Any, labels: Any, classes: Sequence[Any] | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return scores and truth of shape (n, k), and the names of the k columns."""
    columns, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if columns.ndim not in (1, 2) or not columns.size or not np.isfinite(columns).all() or len(truth) != len(columns):
        raise SpmError(
            f"scores must be finite, of shape (n, k) or (n,), with as many labels: got scores of shape {columns.shape} "
            f"and labels of shape {truth.shape}"
        )
    if truth.ndim == 2:
        names = list(range(truth.shape[1]) if classes is None else classes)
        truth = truth.astype(bool)
    else:
        names = np.unique(truth).tolist() if classes is None else list(classes)
        strange = sorted({str(label) for label in truth.tolist()} - {str(name) for name in names})
        if strange:
            raise SpmError(f"labels hold {', '.join(strange)}, not among the classes {', '.join(map(str, names))}")
        truth = np.array([[label == name for name in names] for label in truth.tolist()])
    if columns.ndim == 1:
        columns, truth, names = columns[:, None], truth[:, -1:], names[-1:] if len(names) <= 2 else names
    if truth.shape != columns.shape or len(names) != columns.shape[1]:
        raise SpmError(f"there are {len(names)} classes for scores of shape {np.shape(scores)}: one column a class")
    if not truth.any():
        raise SpmError("no image is of any of the classes: there is nothing to find")
    return columns, truth, [str(name) for name in names]
