"""The comparison: presets and pyramids in, one table of accuracy, vector length and seconds out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from .datasets import load_digit_images, load_folder, make_layouts
from .errors import SpmError, check_choice
from .presets import PRESETS, make
from .protocols import ON_ERROR, Split, measure, splits_of, usable

PYRAMIDS: dict[str, tuple[int, ...]] = {
    "no pyramid (1x1)": (1,),
    "level 1 alone (2x2)": (2,),
    "level 2 alone (4x4)": (4,),
    "pyramid (1x1 + 2x2 + 4x4)": (1, 2, 4),
}
"""What is compared for every preset: the bag of words, each finer level by itself, and the whole pyramid."""

BUILT_IN: dict[str, Callable[[], Bunch]] = {"layouts": make_layouts, "digits": load_digit_images}
"""The sets that need no download."""

COLUMNS = {
    "data": "data",
    "preset": "preset",
    "pyramid": "pyramid",
    "accuracy": "accuracy %",
    "values": "values",
    "train_seconds": "train s",
    "test_seconds": "test s",
}


def compare(
    folder: str | os.PathLike[str] | None = None,
    *,
    presets: str | Sequence[str] = ("lazebnik2006",),
    cv: Any = None,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: int = 0,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> Bunch:
    """Measure what the pyramid adds: every preset without it, with each level alone, and with the whole.

    Parameters
    ----------
    folder : path, optional
        One folder a class, as `load_folder` takes it. By default two sets that need no download, each with one fixed
        split: `make_layouts`, whose classes differ by place alone, and scikit-learn's digits as images.
    presets : str or sequence of str, default=("lazebnik2006",)
        Names of presets.
    cv : splitter or iterable of (train, test) index arrays, optional
        For a folder; by default as for `evaluate`.
    on_error, n_jobs, verbose
        As for `evaluate` and `PyramidVectorizer`.
    random_state : int, default=0
        Seeds the models.
    on_row : callable, optional
        Called with every row as soon as it is there.

    Returns
    -------
    Bunch
        ``rows``, a list of dicts with the keys ``data``, ``preset``, ``pyramid``, ``levels``, ``accuracy`` and ``std``
        (mean per-class accuracy over the splits, in 0..1), ``values`` (length of a vector), ``train_seconds`` and
        ``test_seconds`` (files to labels, mean of a split), ``n_splits``, ``n_train``, ``n_test``; and ``skipped``,
        a list of (image, message).

    Raises
    ------
    SpmError
        For an unknown preset or option, `cv` without a folder, or a folder that is none of images.
    """
    names = [presets] if isinstance(presets, str) else list(presets)
    for name in names:
        check_choice("preset", name, PRESETS)
    check_choice("on_error", on_error, ON_ERROR)
    if folder is None and cv is not None:
        raise SpmError("cv is for a folder: the sets used without one have a fixed split")
    if isinstance(cv, Iterator):
        cv = list(cv)  # it is gone through more than once
    rows: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    options = {"n_jobs": n_jobs, "verbose": verbose, "random_state": random_state}
    for data, images, labels, given in _data_sets(folder):
        for name in names:
            model = make(name, **options)
            used, bad = usable(images, model, on_error=on_error, n_jobs=n_jobs, verbose=verbose)
            skipped.update({error.source: error.reason for _, error in bad})
            splits = splits_of(cv if given is None else given, labels, used)
            for pyramid, levels in PYRAMIDS.items():
                result = measure(make(name, levels=levels, **options), images, labels, splits)
                rows.append({"data": data, "preset": name, "pyramid": pyramid, "levels": levels, **_figures(result)})
                if on_row is not None:
                    on_row(rows[-1])
    return Bunch(rows=rows, skipped=list(skipped.items()))


def data_names(folder: str | os.PathLike[str] | None) -> list[str]:
    """Return the names of the data sets that `compare` uses.

    Examples
    --------
    >>> data_names(None), data_names("photos/")
    (['layouts', 'digits'], ['photos'])
    """
    return list(BUILT_IN) if folder is None else [os.path.basename(os.path.abspath(folder))]


def _data_sets(folder: Any) -> Iterator[tuple[str, Any, np.ndarray, list[Split] | None]]:
    """Yield each data set's name, images, labels and, if it has fixed ones, splits."""
    for name in data_names(folder):
        bunch = BUILT_IN[name]() if folder is None else load_folder(folder)
        splits = [(bunch.train, bunch.test)] if folder is None else None
        yield name, bunch.data, np.asarray(bunch.target_names)[bunch.target], splits


def _figures(result: Bunch) -> dict[str, Any]:
    n_splits = len(result.accuracies)
    return {
        "accuracy": result.accuracy,
        "std": result.std,
        "values": result.n_features,
        "train_seconds": result.train_seconds / n_splits,
        "test_seconds": result.test_seconds / n_splits,
        "n_splits": n_splits,
        "n_train": result.n_train[0],
        "n_test": result.n_test[0],
    }


def row_cells(row: dict[str, Any]) -> list[str]:
    """Return a row of `compare` as text, one cell for each of `COLUMNS`.

    Examples
    --------
    >>> row_cells({"data": "digits", "preset": "lazebnik2006", "pyramid": "no pyramid (1x1)", "accuracy": 0.5,
    ...            "std": 0.01, "values": 200, "train_seconds": 1.0, "test_seconds": 2.0, "n_splits": 10})
    ['digits', 'lazebnik2006', 'no pyramid (1x1)', '50.0 ± 1.0', '200', '1.0', '2.0']
    """
    accuracy = f"{100 * row['accuracy']:.1f}" + (f" ± {100 * row['std']:.1f}" if row["n_splits"] > 1 else "")
    times = [f"{row[key]:.1f}" for key in ("train_seconds", "test_seconds")]
    return [row["data"], row["preset"], row["pyramid"], accuracy, str(row["values"]), *times]
