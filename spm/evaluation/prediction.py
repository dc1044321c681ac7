"""A model and images, or folders of them, in; a table of their labels out, with a row for each that fails too."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._tools.options import flag, optional
from .._tools.parallel import progress_bar
from .._tools.public import public
from ..datasets.listing import walk_images
from ..errors import ImageError, SpmError, check_choice, check_number
from ..images import check_images
from ..storage import load
from .protocols import BLOCK_BYTES, LEAST_BLOCK, ON_ERROR, employ, lengths, maker_and_classifier, usable
from .results import Predictions

log = logging.getLogger(__name__)

BLOCK = 256  # images at once, so that rows come as they are known
KINDS = {"probability": "predict_proba", "decision": "decision_function"}
"""The scores of classes, and the method of a model that gives them; the first that it has is its own kind."""


@public()
def predict(
    model: Any,
    images: Any,
    *,
    top: int = 1,
    scores: bool = False,
    kind: str | None = None,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: bool = False,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> Predictions:
    """Predict the labels of images, and return them as a table.

    Parameters
    ----------
    model : fitted estimator, or path of a saved one
    images : sequence of paths or arrays, or the path of a folder
        Folders, also in the sequence, stand for all images below them.
    top : int, default=1
        How many labels an image gets: the one that the model predicts, then the others by their scores.
    scores : bool, default=False
        Whether each image gets the scores of all classes.
    kind : {"probability", "decision"} or None
        Which scores: probabilities, if the model has learned them (``probability=True``), or decision values. None
        stands for the first of these that the model has.
    on_error : {"raise", "skip"}, default="raise"
        ``"skip"`` goes on without the images that cannot be used: their rows have the reason, and the log a warning.
    n_jobs : int or None
        Workers of a model given by its path. A fitted estimator has its own.
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.
    on_row : callable, optional
        Called with every row as soon as it is there.

    Returns
    -------
    Bunch
        It shows itself as a table. ``rows``, a list of dicts, one for each of the n images: ``file``, ``label``, with
        more than one label also ``score``, ``label2``, ``score2`` and so on, with `scores` the score of every class,
        such as ``"decision coast"``, and ``error``, None or the reason, so that ``pandas.DataFrame(found.rows)`` is
        the table; ``images``, the list of n images, folders written out; ``labels`` (m,) of the m images used; ``used``
        (m,), their positions in ``images``; ``skipped``, a list of (position, ImageError); ``probabilities``
        (m, n_classes) if the model has them, else None; ``scores`` (m, n_classes) if they were asked for, else None;
        ``classes`` (n_classes,), or None.

    Raises
    ------
    ImageError
        For an image that cannot be used, unless skipped.
    SpmError
        For a model that predicts no labels, scores that it does not have, and a folder without images.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> stripes = np.tile(np.uint8([0, 0, 255, 255]), (32, 8))
    >>> X = [stripes, stripes.T] * 4
    >>> model = spm.presets.lazebnik2006(n_words=2, levels=(1,), random_state=0).fit(X, ["up", "across"] * 4)
    >>> spm.predict(model, [stripes.T, "none.jpg"], on_error="skip")
    file      label   error
    image 0   across
    none.jpg          there is no such file
    """
    check_choice("on_error", on_error, ON_ERROR)
    check_number("top", top, least=1, integer=True)
    images = listed(images)
    if isinstance(model, str | os.PathLike):
        model = load(model)
        employ(model, n_jobs, False)
    worker = _Worker.of(model, images, top=top, scores=scores, kind=kind, on_error=on_error, n_jobs=n_jobs)
    rows: list[dict[str, Any]] = []
    found: list[dict[str, np.ndarray]] = []
    skipped: list[tuple[int, ImageError]] = []
    with progress_bar("predicting", total=len(images), unit="image", verbose=verbose) as bar:
        for positions, values, bad in worker.blocks():
            found.append({"used": positions, **values})
            skipped += bad
            for row in worker.rows(positions, values, dict(bad)):
                rows.append(row)
                if on_row is not None:
                    on_row(row)
            bar.update(len(positions) + len(bad))
    whole = {name: _joined(found, name) for name in ("labels", "used", "probabilities", "scores")}
    return Predictions(rows=rows, images=images, **whole, skipped=skipped, classes=worker.classes)


def listed(images: Any) -> list[Any]:
    """Return single images, none of them read yet, with all that is below a folder in its place.

    Raises
    ------
    SpmError
        For what are no images, and a folder without any.
    """
    found: list[Any] = []
    given = [images] if isinstance(images, str | os.PathLike) and os.path.isdir(images) else check_images(images)
    for image in given:
        if isinstance(image, str | os.PathLike) and os.path.isdir(image):
            try:
                inside = walk_images(image)
            except OSError as error:
                raise SpmError(f"{os.fspath(image)}: the folder cannot be read ({error.strerror})") from error
            if not inside:
                raise SpmError(f"{os.fspath(image)}: there are no images in this folder")
            found += inside
        else:
            found.append(image)
    return found


def _joined(found: Sequence[dict[str, np.ndarray]], name: str) -> Any:
    """Return the values of all blocks together, None where there are none."""
    parts = [block[name] for block in found if name in block and len(block["used"])]
    empty = {"labels": np.empty(0, dtype=object), "used": np.empty(0, dtype=int)}
    return np.concatenate(parts) if parts else empty.get(name)


@dataclass
class _Worker:
    """A model at work on images, block by block."""

    model: Any
    maker: Any
    classifier: Any
    images: list[Any]
    top: int
    kind: str | None  # of scores, if any are needed
    all_scores: bool
    on_error: str
    n_jobs: int | None
    classes: np.ndarray | None

    @classmethod
    def of(cls, model: Any, images: list[Any], *, scores: bool, kind: str | None, **options: Any) -> _Worker:
        """Return a worker, of a model that can do what is asked."""
        optional(lambda name, value: check_choice(name, value, KINDS))("kind", kind)
        flag("scores", scores)
        if hasattr(model, "find"):  # a detector, whose modules need not be loaded to know it
            raise SpmError(f"a {type(model).__name__} finds objects: give it to spm detect predict, or use its predict")
        if not hasattr(model, "predict"):
            name = type(model).__name__
            raise SpmError(f"{name} predicts no labels: give a classifier, or a Pipeline that ends in one")
        maker, classifier = maker_and_classifier(model)
        classes = getattr(classifier, "classes_", None)
        kind = _kind(classifier, kind, classes) if options["top"] > 1 or scores else None
        return cls(model, maker, classifier, images, kind=kind, all_scores=scores, classes=classes, **options)

    def blocks(self) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray], list[tuple[int, ImageError]]]]:
        """Yield the positions of images used, what was predicted of them, and positions and errors of the others."""
        length = sum(n or 1 for n in lengths(self.maker, [None]))
        size = min(BLOCK, max(BLOCK_BYTES // (4 * length), LEAST_BLOCK))
        for start in range(0, len(self.images), size):
            positions = np.arange(start, min(start + size, len(self.images)))
            try:
                yield positions, self._predict(positions), []
                continue
            except ImageError:
                if self.on_error == "raise":
                    raise
            block = [self.images[i] for i in positions]
            kept, bad = usable(block, self.model, n_jobs=self.n_jobs)
            good, values, more = self._one_by_one(positions[kept])
            yield good, values, sorted([*((start + i, error) for i, error in bad), *more], key=lambda pair: pair[0])

    def _one_by_one(self, positions: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray], list[Any]]:
        """Return what is predicted of images together, or where that fails, of each that does not."""
        try:
            return positions, self._predict(positions) if len(positions) else {}, []
        except ImageError:
            pass
        good, values, bad = [], [], []
        for i in positions:
            try:
                values.append(self._predict(np.array([i])))
                good.append(i)
            except ImageError as error:
                log.warning("skipped %s", error)
                bad.append((int(i), error))
        joined = {name: np.concatenate([value[name] for value in values]) for name in (values or [{}])[0]}
        return np.array(good, dtype=int), joined, bad

    def _predict(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        block = [self.images[i] for i in positions]
        vectors = block if self.maker is None else self.maker.transform(block)  # just as the classifier was given them
        found = {"labels": np.asarray(self.classifier.predict(vectors))}
        if hasattr(self.classifier, "predict_proba"):
            found["probabilities"] = self.classifier.predict_proba(vectors)
        if self.kind == "decision":
            values = self.classifier.decision_function(vectors)
            found["scores"] = np.stack([-values, values], axis=1) if values.ndim == 1 else values
        elif self.kind is not None:
            found["scores"] = found["probabilities"]
        if "scores" in found and found["scores"].shape != (len(block), len(self.classes)):  # type: ignore[arg-type]
            raise SpmError(
                f"the model's scores are of shape {found['scores'].shape[1:]}, not one for each of its classes: "
                "leave top and scores out"
            )
        return found

    def rows(self, positions: np.ndarray, values: dict[str, Any], bad: dict[int, ImageError]) -> Iterator[dict]:
        """Yield the rows of a block of images in their order."""
        place = {int(i): k for k, i in enumerate(positions)}
        for i in sorted([*place, *bad]):
            image = self.images[i]
            row = {"file": os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {i}", "label": None}
            scores = values["scores"][place[i]] if self.kind is not None and i in place else None
            row["label"] = _plain(values["labels"][place[i]]) if i in place else None
            row |= self._others(row["label"], scores) if self.top > 1 else {}
            if self.all_scores and self.classes is not None:
                names = [f"{self.kind} {label}" for label in self.classes]
                row |= dict(zip(names, [None] * len(names) if scores is None else scores.tolist(), strict=True))
            yield row | {"error": bad[i].reason if i in bad else None}

    def _others(self, label: Any, scores: np.ndarray | None) -> dict[str, Any]:
        """Return the score of a row's label, and the labels behind it with theirs."""
        classes = [] if self.classes is None else self.classes.tolist()
        order = [] if scores is None else sorted(range(len(classes)), key=lambda k: (classes[k] != label, -scores[k]))
        row: dict[str, Any] = {}
        for rank in range(min(self.top, len(classes))):
            number = str(rank + 1) * (rank > 0)
            known = scores is not None
            row |= {f"label{number}": label if rank == 0 else _plain(classes[order[rank]]) if known else None}
            row |= {f"score{number}": float(scores[order[rank]]) if scores is not None else None}
        return row


def _kind(classifier: Any, given: str | None, classes: Any) -> str:
    """Return which scores of a classifier are meant."""
    there = [kind for kind, method in KINDS.items() if hasattr(classifier, method)]
    if classes is None or not there:
        raise SpmError(f"a {type(classifier).__name__} has no scores of its classes: leave top and scores out")
    if given is not None and given not in there:
        how = ": train it with probability=True" if given == "probability" else ""
        raise SpmError(f"kind={given!r}: the model has no such scores, but {' and '.join(there)}{how}")
    return str(given or there[0])


def _plain(label: Any) -> Any:
    """Return a label as Python has it; several of one image as text."""
    if np.ndim(label) > 0:
        return " ".join(str(part) for part in np.asarray(label).tolist())
    return label.item() if hasattr(label, "item") else label
