"""Reports: results of `spm.evaluate` and `spm.compare`, or objects found, in, one page that needs nothing else out.

A page holds its pictures and its style and fetches nothing. Those about results run no script and need matplotlib:
``pip install matplotlib``; the one about a single photograph, on which the pyramid can be touched, runs its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from .._tools.files import write_whole
from ..detection import average_precision, confusion_table, error_table, precision_recall
from ..detection.metrics.matching import best_finds, check_pair
from ..errors import SpmError, check_number
from ..images import check_images
from ..plots._axes import need
from ._detection import objects_digest, parts_of
from ._finds import Found
from ._html import element, page, section
from ._origin import origin
from ._outcome import MOST_THUMBNAILS, outcome_of
from ._sections import about_data, about_rows, details, headline
from ._show import show_page

__all__ = ["comparison_page", "detection_page", "evaluation_page", "show_page", "write_page"]


def evaluation_page(
    result: Any,
    images: Any,
    labels: Any,
    *,
    model: Any = None,
    title: str = "Evaluation",
    seed: int | None = None,
    command: str | None = None,
    n_evidence: int = 4,
    n_jobs: int | None = None,
) -> str:
    """Return a page about an evaluation: accuracies, confusion matrix, thumbnails, evidence maps, how to repeat it.

    Parameters
    ----------
    result : Bunch
        What `spm.evaluate` returned.
    images : sequence of paths or arrays
        As they were given to it.
    labels : array-like of shape (n,)
        Likewise.
    model : estimator, optional
        Likewise. It is fitted once more, on the first split, for the evidence maps; without it there are none.
    title : str
    seed : int, optional
        What the page says of the seed.
    command : str, optional
        The command that repeats it all.
    n_evidence : int, default=4
        Test images to show evidence maps of; 0 saves the fit.
    n_jobs : int or None
        Threads that make thumbnails.

    Returns
    -------
    str
        HTML. Names of files and classes are escaped.

    Raises
    ------
    SpmError
        For labels that do not match the images, or a bad `n_evidence`.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> stripes = np.tile(np.uint8([0, 0, 255, 255]), (32, 8))
    >>> images, labels = [stripes, stripes.T] * 4, ["up", "across"] * 4
    >>> model = spm.presets.lazebnik2006(n_words=2, levels=(1,), random_state=0)
    >>> result = spm.evaluate(model, images, labels)
    >>> spm.report.evaluation_page(result, images, labels, model=model)[:15]
    '<!DOCTYPE html>'
    """
    need("matplotlib")
    check_number("n_evidence", n_evidence, least=0, integer=True)
    images, labels = check_images(images), np.asarray(labels)
    if labels.shape != (len(images),):
        raise SpmError(f"labels must be one for each of the {len(images)} images, got shape {labels.shape}")
    outcome = outcome_of(result, images, labels)
    skipped = [(error.source, error.reason) for _, error in result["skipped"]]
    return page(
        title,
        headline(result),
        *details(outcome, labels, model, most=MOST_THUMBNAILS, n_evidence=n_evidence, n_jobs=n_jobs),
        origin(
            {"": (images, labels)},
            [] if model is None else [model],
            seed=seed,
            command=command,
            skipped=skipped,
        ),
    )


def comparison_page(
    result: Any,
    *,
    title: str = "Comparison",
    seed: int | None = None,
    command: str | None = None,
    n_evidence: int = 4,
    n_jobs: int | None = None,
) -> str:
    """Return a page about a comparison: its table and curves, and for each data set the best row in detail.

    Parameters
    ----------
    result : Bunch
        What `spm.compare` returned.
    title, seed, command, n_jobs
        As for `evaluation_page`.
    n_evidence : int, default=4
        Test images of every data set to show evidence maps of, for which the best row's model is fitted once more, on
        the first split; 0 saves the fits.

    Returns
    -------
    str
        HTML. Names of files and classes are escaped.

    Raises
    ------
    SpmError
        For a bad `n_evidence`.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import spm
    >>> result = spm.compare(presets="lazebnik2006", options={"n_words": 20})  # doctest: +SKIP
    >>> spm.report.write_page("page.html", spm.report.comparison_page(result))  # doctest: +SKIP
    """
    need("matplotlib")
    check_number("n_evidence", n_evidence, least=0, integer=True)
    models = [found.model for found in result.details if found is not None]
    return page(
        title,
        section("All rows", *about_rows(result.rows), class_="rows"),
        *(part for name in result.data for part in about_data(result, name, n_evidence, n_jobs)),
        origin(
            {name: (data.images, data.labels) for name, data in result.data.items()},
            models,
            seed=seed,
            command=command,
            skipped=result.skipped,
        ),
    )


def detection_page(
    images: Any,
    y_true: Any,
    y_pred: Any,
    *,
    iou: Any = 0.5,
    rule: str = "voc2007",
    model: Any = None,
    title: str = "Detection",
    command: str | None = None,
    skipped: Sequence[tuple[str, str]] = (),
    n_jobs: int | None = None,
) -> str:
    """Return a page about what a detector found: precisions, curves, errors, confusions, and finds drawn.

    Parameters
    ----------
    images : sequence of paths or arrays
    y_true, y_pred : list of Objects
        What is true in each, and what was found, with scores.
    iou, rule
        As for `spm.detection.average_precision`. Curves, tables and pictures go by an overlap of 0.5 where `iou` is no
        single number.
    model : detector, optional
        What the page says of where its figures come from.
    title, command
        As for `evaluation_page`.
    skipped : sequence of (name, reason)
        Images that could not be used.
    n_jobs : int or None
        Threads that draw.

    Returns
    -------
    str
        HTML. Names of files and classes are escaped.

    Raises
    ------
    SpmError
        For lists of other lengths, and as `spm.detection.average_precision`.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import Objects
    >>> image = np.full((60, 80), 128, np.uint8)
    >>> true, found = Objects([[5, 5, 40, 40]], ["dog"]), Objects([[5, 5, 40, 44]], ["dog"], [0.8])
    >>> detection_page([image], [true], [found])[:15]
    '<!DOCTYPE html>'
    """
    need("matplotlib")
    images = check_images(images)
    true, found, labels = check_pair(y_true, y_pred)
    if len(true) != len(images):
        raise SpmError(f"y_true must have one Objects for each of the {len(images)} images, got {len(true)}")
    measured = average_precision(true, found, iou=iou, rule=rule)
    overlap = float(iou) if isinstance(iou, Real) else 0.5
    tables = (
        precision_recall(true, found, iou=overlap),
        error_table(true, found, iou=overlap),
        confusion_table(true, best_finds(true, found), iou=overlap),
    )
    digest, n_objects = objects_digest(true)
    facts = [("objects", element("span", f"{n_objects}, SHA-256 of boxes and labels ", element("code", digest)))]
    return page(
        title,
        *parts_of(Found(images, true, found, labels, overlap), measured, *tables, n_jobs=n_jobs),
        origin(
            {"": (images, np.full(len(images), "."))},
            [] if model is None else [model],
            seed=getattr(model, "random_state", None),
            command=command,
            skipped=skipped,
            more=facts,
            note=PATHS_NOTE,
        ),
    )


PATHS_NOTE = (
    "The digest of the data is the SHA-256 of the lines that sha256sum prints for its files, as ./name in their "
    "folder, in the order of the list."
)


def write_page(path: str | os.PathLike[str], text: str) -> Path:
    """Write a page; an old file of that name stays until the new one is complete.

    Raises
    ------
    SpmError
        If the file cannot be written.
    """
    return write_whole(path, text.encode(), "the report")
