"""The comparison: presets in, one table out of what the pyramid adds to each, in accuracy, length, time and memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from .._tools.public import public
from .._tools.text import nearest
from ..datasets import load_digit_images, load_folder, make_layouts
from ..errors import ImageError, SpmError, check_choice
from ..presets import PRESETS, expand, make
from ..pyramid.pyramid import SpatialPyramid
from .journal import Journal, content_key, key_of, made_with, state_of
from .protocols import ON_ERROR, default_cv, measure, splits_of, usable

BUILT_IN: dict[str, Callable[[], Bunch]] = {"layouts": make_layouts, "digits": load_digit_images}
"""The sets that need no download."""

DEFAULTS = ("lazebnik2006", "spp2014")
"""The presets that stand for the two roads: visual words and a feature map."""

PAPER_LEVELS = (1, 2, 4)
"""The pyramid of Lazebnik 2006, for presets that have none of their own."""

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


MANY_IMAGES = 1000  # beyond which one split must do by default

FIGURES: tuple[str, ...] = ("accuracy", "std", "values", "extract_rate", "classify_rate")
FIGURES += ("train_seconds", "test_seconds", "peak_mb", "n_splits", "n_train", "n_test")
DETAILS = ("classes", "confusion", "predictions", "trained_on")


@public()
def compare(
    folder: str | os.PathLike[str] | None = None,
    *,
    presets: str | Sequence[str] = DEFAULTS,
    options: Mapping[str, Any] | None = None,
    cv: Any = None,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: int = 0,
    journal: str | os.PathLike[str] | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> Bunch:
    """Measure what the pyramid adds: every preset without it, and with it.

    Both rows of a preset are made in one pass: one codebook is learned, and each image described and encoded once. Such
    shared work counts in each row's seconds and rates, and its memory in each row's.

    Parameters
    ----------
    folder : path, optional
        One folder a class, as `load_folder` takes it. By default two sets that need no download, each with one fixed
        split: `make_layouts`, whose classes differ by place alone, and scikit-learn's digits as images.
    presets : str or sequence of str, default=("lazebnik2006", "spp2014")
        Names of presets, or of groups of them: ``"all"``, ``"all-handcrafted"``.
    options : mapping, optional
        Options of the presets, such as ``{"model": "net.onnx", "n_words": 400}``; each goes to those presets that have
        it. ``levels`` takes the place of each preset's own pyramid.
    cv : splitter or iterable of (train, test) index arrays, optional
        For a folder; by default random splits as for `evaluate`, ten up to 1,000 images and one beyond, so that the
        table is there in minutes.
    on_error, n_jobs, verbose
        As for `evaluate` and `PyramidVectorizer`.
    random_state : int, default=0
        Seeds the models.
    journal : path, optional
        A file that keeps a preset's rows as soon as they are there, and is deleted when the comparison is complete:
        called again after it was stopped, with the same arguments, the comparison goes on from there. Rows of other
        images, networks, options or versions of libraries are not taken.
    on_row : callable, optional
        Called with every row as soon as it is there.

    Returns
    -------
    Bunch
        ``rows``, a list of dicts with the keys ``data``, ``preset``, ``pyramid``, ``levels``, ``accuracy`` and ``std``
        (mean per-class accuracy over the splits, in 0..1), ``values`` (length of a vector), ``extract_rate`` and
        ``classify_rate`` (test images a second, from images to vectors and from vectors to labels), ``train_seconds``
        and ``test_seconds`` (mean of a split), ``peak_mb`` (the most memory that the process held meanwhile, in units
        of 10^6 bytes), ``n_splits``, ``n_train``, ``n_test``, ``error``: None, or why the row has no figures, such
        as a package or a network that is missing, and ``kept``: whether the row is of an earlier run (`journal`);
        ``skipped``, a list of (image, message); ``details``, for each row None or a Bunch with the ``model``, not
        fitted, and ``classes``, ``confusion``, ``predictions`` and ``trained_on`` as `evaluate` returns them, but as
        lists; and ``data``, by name the ``images`` and ``labels`` of each data set.

    Raises
    ------
    SpmError
        For an unknown preset or option, `cv` without a folder, or a folder that is none of images.
    ImageError
        For an image that cannot be used, unless skipped.

    Examples
    --------
    >>> import spm
    >>> rows = spm.compare(presets="lazebnik2006", options={"n_words": 20}).rows  # doctest: +SKIP
    >>> [row["pyramid"] for row in rows[:2]]  # doctest: +SKIP
    ['no pyramid (1x1)', 'pyramid (1x1 + 2x2 + 4x4)']
    """
    names = expand(presets)
    options = dict(options or {})
    _check_options(names, options)
    check_choice("on_error", on_error, ON_ERROR)
    if folder is None and cv is not None:
        raise SpmError("cv is for a folder: the sets used without one have a fixed split")
    shared = {"n_jobs": n_jobs, "verbose": verbose, "random_state": random_state}
    kept = Journal(journal)
    rows: list[dict[str, Any]] = []
    details: list[Bunch | None] = []
    skipped: dict[str, str] = {}
    sets: dict[str, Bunch] = {}
    for data in _data_sets(folder, cv):
        sets[data.name] = Bunch(images=data.images, labels=data.labels)
        for name in names:
            for trial, figures in _measured(_trials(data, name, options, on_error, shared), kept):
                skipped.update(figures["skipped"])
                figures_of = {name: figures[name] for name in (*FIGURES, "error")}
                rows.append({**trial.head, **figures_of, "kept": trial.key in kept.earlier})
                details.append(trial.detail(figures))
                if on_row is not None:
                    on_row(rows[-1])
    kept.close()
    return Bunch(rows=rows, skipped=list(skipped.items()), details=details, data=sets)


def data_names(folder: str | os.PathLike[str] | None) -> list[str]:
    """Return the names of the data sets that `compare` uses.

    Examples
    --------
    >>> data_names(None), data_names("photos/")
    (['layouts', 'digits'], ['photos'])
    """
    return list(BUILT_IN) if folder is None else [os.path.basename(os.path.abspath(folder))]


def default_splits(n_images: int) -> int:
    """Return how many random splits are made of a folder by default."""
    return 10 if n_images <= MANY_IMAGES else 1


def pyramids_of(preset: str, levels: Any = None) -> dict[str, Any]:
    """Return what is compared for a preset: its levels by what to call them; None where each part has its own.

    Examples
    --------
    >>> pyramids_of("lazebnik2006")
    {'no pyramid (1x1)': (1,), 'pyramid (1x1 + 2x2 + 4x4)': (1, 2, 4)}
    """
    own = _options_of(preset)["levels"].default if levels is None else levels
    if own is None:
        whole = "pyramid (each road's own)"
    else:
        grids = SpatialPyramid(levels=own).grids().tolist()
        if grids == [[1, 1]]:  # a preset without a pyramid of its own
            own, grids = PAPER_LEVELS, [(n, n) for n in PAPER_LEVELS]
        whole = f"pyramid ({' + '.join(f'{rows}x{columns}' for rows, columns in grids)})"
    return {"no pyramid (1x1)": (1,), whole: own}


def _options_of(preset: str) -> Mapping[str, Any]:
    return signature(PRESETS[preset]).parameters


def _check_options(presets: Sequence[str], options: Mapping[str, Any]) -> None:
    known = {name for preset in presets for name in _options_of(preset)} - {"n_jobs", "verbose", "random_state"}
    for name in options:
        if name not in known:
            near = nearest(name, sorted(known))
            meant = f"did you mean {' or '.join(near)}? They have" if near else "they have"
            raise SpmError(f"none of the presets has an option {name!r}: {meant} {', '.join(sorted(known))}")


@dataclass
class _Data:
    """A data set, its splits, and what each preset can use of it."""

    name: str
    images: Sequence[Any]
    labels: np.ndarray
    cv: Any
    usable: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.cv, Iterator):
            self.cv = list(self.cv)  # it is gone through more than once
        if self.cv is None:
            self.cv = default_cv(self.labels, n_splits=default_splits(len(self.labels)))
        splits = splits_of(self.cv, self.labels, np.arange(len(self.labels)))  # wrong ones are refused before any work
        paths = isinstance(self.images[0], str)
        files = [state_of(path) for path in self.images] if paths else self.images
        self.key = key_of(self.name, files, self.labels, splits)


def _data_sets(folder: Any, cv: Any) -> Iterator[_Data]:
    for name in data_names(folder):
        bunch = BUILT_IN[name]() if folder is None else load_folder(folder)
        labels = np.asarray(bunch.target_names)[bunch.target]
        yield _Data(name, bunch.data, labels, [(bunch.train, bunch.test)] if folder is None else cv)


@dataclass
class _Trial:
    """One row to be measured: a preset and its options on a data set."""

    data: _Data
    preset: str
    pyramid: str
    options: dict[str, Any]
    on_error: str
    shared: dict[str, Any]

    @property
    def head(self) -> dict[str, Any]:
        levels = self.options.get("levels")
        return {"data": self.data.name, "preset": self.preset, "pyramid": self.pyramid, "levels": levels}

    @property
    def key(self) -> str:
        """A digest of all that the figures depend on."""
        options = {name: content_key(value) for name, value in self.options.items()}
        kind = (made_with(), *DETAILS)
        return key_of(kind, self.data.key, self.preset, options, self.on_error, self.shared["random_state"])

    def model(self) -> Any:
        """Return the preset's model, not fitted."""
        return make(self.preset, **self.options, **self.shared)

    def own_pyramid(self) -> Any:
        """Return the pyramid in which alone the model differs from those of the preset's other rows."""
        return self.model()[0].own_pyramid()

    def detail(self, figures: dict[str, Any]) -> Bunch | None:
        """Return what else is known of a row that has figures."""
        if figures["error"] is not None:
            return None
        return Bunch(model=self.model(), **{name: figures[name] for name in DETAILS})

    def usable(self) -> Any:
        """Return the positions of the images that the preset can use, and those that it cannot with their errors."""
        known, shared = self.data.usable, self.shared
        if self.preset not in known:
            options = {"on_error": self.on_error, "n_jobs": shared["n_jobs"], "verbose": shared["verbose"]}
            known[self.preset] = usable(self.data.images, self.model(), **options)
        return known[self.preset]


def _trials(
    data: _Data, preset: str, options: Mapping[str, Any], on_error: str, shared: dict[str, Any]
) -> list[_Trial]:
    """Return a preset's rows to be: without a pyramid, and with it."""
    own = {name: value for name, value in options.items() if name in _options_of(preset)}
    pyramids = pyramids_of(preset, own.pop("levels", None))
    return [
        _Trial(data, preset, pyramid, own | ({} if levels is None else {"levels": levels}), on_error, shared)
        for pyramid, levels in pyramids.items()
    ]


def _measured(trials: Sequence[_Trial], kept: Journal) -> Iterator[tuple[_Trial, dict[str, Any]]]:
    """Yield each of a preset's trials with its figures; those that were not kept are measured in one pass."""
    figures = {trial.key: kept.get(trial.key) for trial in trials}
    missing = [trial for trial in trials if figures[trial.key] is None]
    for trial, found in zip(missing, _measure_together(missing), strict=True):
        figures[trial.key] = found
        if found["error"] is None:
            kept.add(trial.key, found)
    for trial in trials:
        yield trial, figures[trial.key]  # type: ignore[misc]


def _measure_together(trials: Sequence[_Trial]) -> list[dict[str, Any]]:
    """Return the figures of a preset's trials, or why there are none; only a faulty image stops the comparison."""
    if not trials:
        return []
    data = trials[0].data
    try:
        used, bad = trials[0].usable()
        splits = splits_of(data.cv, data.labels, used)
        if hasattr(trials[0].model()[0], "own_pyramid"):
            pyramids = [trial.own_pyramid() for trial in trials]
            results = measure(trials[0].model(), pyramids, data.images, data.labels, splits)
        else:  # a network that learns: with each pyramid another one
            results = [measure(trial.model(), [None], data.images, data.labels, splits)[0] for trial in trials]
    except ImageError:
        raise
    except SpmError as error:
        return [{**dict.fromkeys(FIGURES), "skipped": [], "error": str(error)}] * len(trials)
    skipped = [(error.source, error.reason) for _, error in bad]
    return [{**_figures(result), "skipped": skipped, "error": None} for result in results]


def _figures(result: Bunch) -> dict[str, Any]:
    n_splits, n_tested = len(result.accuracies), sum(result.n_test)
    return {
        "accuracy": result.accuracy,
        "std": result.std,
        "values": result.n_features,
        "extract_rate": n_tested / result.extract_seconds if result.extract_seconds else None,
        "classify_rate": n_tested / result.classify_seconds,
        "train_seconds": result.train_seconds / n_splits,
        "test_seconds": result.test_seconds / n_splits,
        "peak_mb": None if result.peak_bytes is None else result.peak_bytes / 1e6,
        "n_splits": n_splits,
        "n_train": result.n_train[0],
        "n_test": result.n_test[0],
        "classes": result.classes.tolist(),
        "confusion": result.confusion.tolist(),
        "predictions": [(test.tolist(), found.tolist()) for test, found in result.predictions],
        "trained_on": [train.tolist() for train in result.trained_on],
    }


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
    accuracy = f"{100 * row['accuracy']:.1f}" + (f" ± {100 * row['std']:.1f}" if row["n_splits"] > 1 else "")
    rates = [None if row[name] is None else float(f"{row[name]:.2g}") for name in ("extract_rate", "classify_rate")]
    figures = zip(
        [row["values"], *rates, row["train_seconds"], row["peak_mb"]], ["d", ".0f", ".0f", ".1f", ".0f"], strict=True
    )
    return [*texts, accuracy, *("-" if value is None else format(value, how) for value, how in figures)]
