"""The comparison: presets and own models in, what the pyramid adds to accuracy, length, time and memory out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from .._tools.public import public
from ..datasets import load_digit_images, load_folder, make_layouts
from ..errors import ImageError, SpmError, check_choice
from .contenders import Contender, contenders, pyramids_of, separate
from .journal import Journal, key_of, made_with, state_of
from .protocols import ON_ERROR, Split, default_cv, measure, on_usable, splits_of
from .results import COLUMNS, Comparison, row_cells

__all__ = ["BUILT_IN", "COLUMNS", "DEFAULTS", "compare", "data_names", "default_splits", "pyramids_of", "row_cells"]

BUILT_IN: dict[str, Callable[[], Bunch]] = {"layouts": make_layouts, "digits": load_digit_images}
"""The sets that need no download."""

DEFAULTS = ("lazebnik2006", "spp2014")
"""The presets that stand for the two roads: visual words and a feature map."""

MANY_IMAGES = 1000  # beyond which one split must do by default

FIGURES: tuple[str, ...] = ("accuracy", "std", "values", "extract_rate", "classify_rate")
FIGURES += ("train_seconds", "test_seconds", "peak_mb", "n_splits", "n_train", "n_test")
DETAILS = ("classes", "confusion", "predictions", "trained_on")


@public()
def compare(
    folder: str | os.PathLike[str] | Bunch | None = None,
    *,
    presets: str | Sequence[str] = DEFAULTS,
    models: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    cv: Any = None,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: int = 0,
    journal: str | os.PathLike[str] | Journal | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> Bunch:
    """Measure what the pyramid adds: every preset without it, and with it.

    Both rows of a preset are made in one pass: one codebook is learned, and each image described and encoded once. Such
    shared work counts in each row's seconds and rates, and its memory in each row's.

    Parameters
    ----------
    folder : path or Bunch, optional
        One folder a class, as `load_folder` takes it; or what `load_table` and its like return, whose ``train`` and
        ``test``, if it has them, are the one split. By default two sets that need no download, each with one fixed
        split: `make_layouts`, whose classes differ by place alone, and scikit-learn's digits as images.
    presets : str or sequence of str, default=("lazebnik2006", "spp2014")
        Names of presets, or of groups of them, ``"all"`` and ``"all-handcrafted"``, or of files that `spm.save` wrote.
    models : mapping of str to estimator or path, optional
        Models of your own by what to call them, such as ``{"mine": pipeline}``, and files that `spm.save` wrote.
        Copies of them are fitted, with their own options and seeds. A Pipeline that begins with a `PyramidVectorizer`
        or a `KernelSum` has a row with its pyramid and one without, any other model one row as it is.
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
        images, networks, options or versions of libraries are not taken. A `Journal` in its place is left as it is at
        the end, for those who have more to do with the rows before they may go.
    on_row : callable, optional
        Called with every row as soon as it is there.

    Returns
    -------
    Bunch
        It shows itself as the table. ``rows``, a list of dicts with the keys ``data``, ``preset`` (or what a model is
        called), ``pyramid``, ``levels``, ``accuracy`` and ``std``
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
        For an unknown preset or option, a model that is none, `cv` without a folder, or a folder that is none of
        images.
    ImageError
        For an image that cannot be used, unless skipped.

    Examples
    --------
    >>> import spm
    >>> rows = spm.compare(presets="lazebnik2006", options={"n_words": 20}).rows  # doctest: +SKIP
    >>> [row["pyramid"] for row in rows[:2]]  # doctest: +SKIP
    ['no pyramid (1x1)', 'pyramid (1x1 + 2x2 + 4x4)']
    """
    names, own = separate(presets, models)
    check_choice("on_error", on_error, ON_ERROR)
    if folder is None and cv is not None:
        raise SpmError("cv is for a folder: the sets used without one have a fixed split")
    shared = {"n_jobs": n_jobs, "verbose": verbose, "random_state": random_state}
    compared = contenders(names, own, options or {}, shared)
    kept = journal if isinstance(journal, Journal) else Journal(journal)
    rows: list[dict[str, Any]] = []
    details: list[Bunch | None] = []
    skipped: dict[str, str] = {}
    sets: dict[str, Bunch] = {}
    for data in _data_sets(folder, cv):
        sets[data.name] = Bunch(images=data.images, labels=data.labels)
        for contender in compared:
            for trial, figures in _measured(_trials(data, contender, on_error), kept):
                skipped.update(figures["skipped"])
                figures_of = {name: figures[name] for name in (*FIGURES, "error")}
                rows.append({**trial.head, **figures_of, "kept": trial.key in kept.earlier})
                details.append(trial.detail(figures))
                if on_row is not None:
                    on_row(rows[-1])
    if kept is not journal:
        kept.close()
    return Comparison(rows=rows, skipped=list(skipped.items()), details=details, data=sets)


def data_names(folder: Any) -> list[str]:
    """Return the names of the data sets that `compare` uses.

    Examples
    --------
    >>> data_names(None), data_names("photos/")
    (['layouts', 'digits'], ['photos'])
    """
    if folder is None:
        return list(BUILT_IN)
    if isinstance(folder, Mapping):
        folder = folder.get("folder", "images")
    return [os.path.basename(os.path.abspath(folder))]


def default_splits(n_images: int) -> int:
    """Return how many random splits are made of a folder by default."""
    return 10 if n_images <= MANY_IMAGES else 1


@dataclass
class _Data:
    """A data set, its splits, and whether a preset has met an image in it that it could not use."""

    name: str
    images: Sequence[Any]
    labels: np.ndarray
    cv: Any
    faulty: bool = False  # as far as is known

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
        bunch = BUILT_IN[name]() if folder is None else folder if isinstance(folder, Mapping) else load_folder(folder)
        own = None if folder is not None and not isinstance(folder, Mapping) else split_of(bunch)
        if np.ndim(bunch["target"]) != 1:
            raise SpmError(f"{name}: a comparison needs one label an image, got shape {np.shape(bunch['target'])}")
        labels = np.asarray(bunch["target_names"])[bunch["target"]]
        yield _Data(name, bunch["data"], labels, own if cv is None else cv)


def split_of(bunch: Mapping[str, Any]) -> list[Split] | None:
    """Return the one split that a data set has of its own, or None.

    Raises
    ------
    SpmError
        If it has none to train or none to test.
    """
    if not {"train", "test"} <= set(bunch):
        return None
    for part in ("train", "test"):
        if not len(bunch[part]):
            raise SpmError(f"the data set's own split has no images to {part}: give cv, or load it with split=False")
    return [(np.asarray(bunch["train"]), np.asarray(bunch["test"]))]


@dataclass
class _Trial:
    """One row to be measured: a contender with a pyramid on a data set."""

    data: _Data
    contender: Contender
    pyramid: str
    levels: Any
    on_error: str

    @property
    def head(self) -> dict[str, Any]:
        return {
            "data": self.data.name,
            "preset": self.contender.name,
            "pyramid": self.pyramid,
            "levels": self.levels,
        }

    @cached_property
    def key(self) -> str:
        """A digest of all that the figures depend on."""
        return key_of((made_with(), *DETAILS), self.data.key, self.contender.depends_on(self.levels), self.on_error)

    def model(self) -> Any:
        """Return the model, not fitted."""
        return self.contender.model(self.levels)

    def detail(self, figures: dict[str, Any]) -> Bunch | None:
        """Return what else is known of a row that has figures."""
        if figures["error"] is not None:
            return None
        return Bunch(model=self.model(), **{name: figures[name] for name in DETAILS})


def _trials(data: _Data, contender: Contender, on_error: str) -> list[_Trial]:
    """Return a contender's rows to be: without a pyramid, and with it."""
    return [_Trial(data, contender, pyramid, levels, on_error) for pyramid, levels in contender.pyramids().items()]


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
    data, shared = trials[0].data, trials[0].contender.shared
    options = {"on_error": trials[0].on_error, "n_jobs": shared["n_jobs"], "verbose": shared["verbose"]}
    draw, work = partial(splits_of, data.cv, data.labels), partial(_run, trials)
    try:
        results, bad = on_usable(data.images, trials[0].model(), draw, work, **options, hopeful=not data.faulty)
    except ImageError:
        raise
    except SpmError as error:
        return [{**dict.fromkeys(FIGURES), "skipped": [], "error": str(error)}] * len(trials)
    data.faulty |= bool(bad)
    skipped = [(error.source, error.reason) for _, error in bad]
    return [{**_figures(result), "skipped": skipped, "error": None} for result in results]


def _run(trials: Sequence[_Trial], splits: Sequence[Split]) -> list[Bunch]:
    """Return what was found in each of a preset's trials: in one pass, but for networks that learn with a pyramid."""
    data, model = trials[0].data, trials[0].model()
    if hasattr(model, "steps") and hasattr(model[0], "own_pyramid"):
        pyramids = [trial.contender.own_pyramid(trial.levels) for trial in trials]
        return measure(model, pyramids, data.images, data.labels, splits)
    return [measure(trial.model(), [None], data.images, data.labels, splits)[0] for trial in trials]


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
