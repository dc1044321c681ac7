"""Reports: results of `spm.evaluate` and `spm.compare` in, one HTML page that needs nothing else out.

A page holds its pictures and its style, runs no script and fetches nothing. It needs matplotlib:
``pip install matplotlib``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .._tools.files import write_whole
from ..errors import SpmError, check_number
from ..evaluation.comparison import COLUMNS
from ..images import check_images
from ..plots._axes import need
from ._html import page, section, table
from ._origin import origin
from ._outcome import MOST_THUMBNAILS, outcome_of
from ._sections import about_data, details, headline, rows_of

__all__ = ["comparison_page", "evaluation_page", "write_page"]


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
        section("All rows", table(list(COLUMNS.values()), rows_of(result.rows), n_texts=3, stacked=True)),
        *(part for name in result.data for part in about_data(result, name, n_evidence, n_jobs)),
        origin(
            {name: (data.images, data.labels) for name, data in result.data.items()},
            models,
            seed=seed,
            command=command,
            skipped=result.skipped,
        ),
    )


def write_page(path: str | os.PathLike[str], text: str) -> Path:
    """Write a page; an old file of that name stays until the new one is complete.

    Raises
    ------
    SpmError
        If the file cannot be written.
    """
    return write_whole(path, text.encode(), "the report")
