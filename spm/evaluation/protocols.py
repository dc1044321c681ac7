"""Protocols: a model and labelled images in, accuracies over splits out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import confusion_matrix
from sklearn.utils import Bunch

from .._tools.options import check_all_options
from .._tools.parallel import in_order
from .._tools.public import public
from .._tools.settings import as_usual
from ..errors import ImageError, SpmError, check_choice
from ..images import check_images, read_image
from ..pyramid.several import fit_transform_pyramids, transform_pyramids
from .memory import peak_memory
from .results import Evaluation
from .splits import PerClassShuffleSplit

log = logging.getLogger(__name__)

ON_ERROR = ("raise", "skip")
PAPER_N_TRAIN = 100
BALANCED = 2  # times the smallest class that the largest may be for the same number of each to train
BLOCK_BYTES = 2**28  # of vectors that are classified at once
LEAST_BLOCK = 64  # images

Split = tuple[np.ndarray, np.ndarray]  # positions of the images to train on and to test


def _classify(maker: Any, classifiers: Sequence[Any], pyramids: Sequence[Any], images: Sequence[Any]) -> list[Bunch]:
    """Return each pyramid's labels, and the seconds that making vectors and classifying them took.

    Vectors are made once for all, and in blocks, so that long ones do not fill the memory.
    """
    length = sum(n or 1 for n in lengths(maker, pyramids))
    size = len(images) if maker is None else max(BLOCK_BYTES // (4 * length), LEAST_BLOCK)
    found = [Bunch(labels=[], extract_seconds=0.0, classify_seconds=0.0) for _ in pyramids]
    for start in range(0, len(images), size):
        block = images[start : start + size]
        begin = time.perf_counter()
        vectors = [block] if maker is None else _vectors(maker, block, pyramids)
        seconds = time.perf_counter() - begin
        for classifier, own, result in zip(classifiers, vectors, found, strict=True):
            begin = time.perf_counter()
            result.labels.append(classifier.predict(own))
            result.extract_seconds += seconds
            result.classify_seconds += time.perf_counter() - begin
    for result in found:
        result.labels = np.concatenate(result.labels)
    return found


def _vectors(maker: Any, images: Sequence[Any], pyramids: Sequence[Any]) -> list[Any]:
    """Return the vectors with each pyramid: with its own alone just as the classifier behind it was given them."""
    if list(pyramids) == [None]:
        return [maker.transform(images)]
    return transform_pyramids(maker, images, pyramids)


def maker_and_classifier(model: Any) -> tuple[Any, Any]:
    """Return what makes a model's vectors, or None, and what classifies them."""
    several = len(getattr(model, "steps", ())) > 1 and hasattr(model[0], "transform")
    return (model[0], model[1:]) if several else (None, model)


def lengths(maker: Any, pyramids: Sequence[Any]) -> list[int | None]:
    """Return the length of an image's vector with each pyramid, None where it is not known."""
    return [maker.n_values(pyramid) if hasattr(maker, "n_values") else None for pyramid in pyramids]


def employ(model: Any, n_jobs: int | None, verbose: bool) -> None:
    """Set the workers of a model and all its parts, and whether its first part and what is in it show progress."""
    for part, option, value in ((model, "n_jobs", n_jobs), (_first(model), "verbose", verbose)):
        names = [name for name in part.get_params(deep=True) if name.rpartition("__")[2] == option]
        part.set_params(**dict.fromkeys(names, value))


def _first(model: Any) -> Any:
    """Return the part of a model that takes the images."""
    inner = [getattr(model, name, None) for name in ("best_estimator_", "estimator")]  # of a search
    model = next((part for part in inner if part is not None), model)
    return model[0] if hasattr(model, "steps") else model


@public()
def evaluate(
    model: Any,
    images: Any,
    labels: Any,
    *,
    cv: Any = None,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Bunch:
    """Fit and test clones of a model over splits, and count as Lazebnik 2006 does: the mean of per-class accuracies.

    Parameters
    ----------
    model : estimator
    images : sequence of paths or arrays
    labels : array-like of shape (n,)
    cv : splitter, or iterable of (train, test) index arrays, optional
        By default ten random splits with 100 images a class to train, or half of the smallest class where that is
        fewer, and all others to test. Where that is fewer and classes differ by more than twice in size, half of each
        class trains, at most 100, and the log says so.
    on_error : {"raise", "skip"}, default="raise"
        ``"skip"`` drops the images that cannot be used, with their labels, before the splits are drawn. Where there are
        any, the first split is begun twice.
    n_jobs : int or None
        Workers for looking at the images first, with ``"skip"``. The model has its own.
    verbose : bool, default=False
        Likewise, whether to show progress on standard error after two seconds.

    Returns
    -------
    Bunch
        It shows itself as a table. ``accuracy`` and ``std``, mean and standard deviation over the splits of the mean
        per-class accuracy, in 0..1;
        ``accuracies`` (n_splits,); ``overall`` (n_splits,), the share of all test images that are right;
        ``confusion`` (n_classes, n_classes), counts over all splits, a row a true class; ``classes``;
        ``n_train`` and ``n_test`` of each split; ``n_features``, the length of a vector, or None;
        ``train_seconds`` and ``test_seconds`` over all splits, and of the latter ``extract_seconds``, from images to
        vectors, and ``classify_seconds``, from vectors to labels, if the model is a Pipeline; ``peak_bytes``, the most
        memory that the process held meanwhile, or None; ``predictions``, a list of (test positions, labels);
        ``trained_on``, a list of training positions; ``skipped``, a list of (position, ImageError).

    Raises
    ------
    ImageError
        For an image that cannot be used, unless skipped.
    SpmError
        For labels that do not match the images, splits that do not fit them, or a class too small to split.
    """
    check_choice("on_error", on_error, ON_ERROR)
    images, labels = check_images(images), np.asarray(labels)
    if labels.shape != (len(images),):
        raise SpmError(f"labels must be one for each of the {len(images)} images, got shape {labels.shape}")
    cv = list(cv) if isinstance(cv, Iterator) else cv  # it may be gone through twice
    draw, work = partial(splits_of, cv, labels), partial(measure, model, [None], images, labels)
    (result,), skipped = on_usable(images, model, draw, work, on_error=on_error, n_jobs=n_jobs, verbose=verbose)
    return Evaluation(**result, skipped=skipped)


@as_usual
def measure(
    model: Any, pyramids: Sequence[Any], images: Sequence[Any], labels: np.ndarray, splits: Sequence[Split]
) -> list[Bunch]:
    """Return what `evaluate` returns, but for ``skipped``, for a model with each of several pyramids.

    Describing and encoding is done once for all, and counts for each: the seconds, and the most memory held.

    Parameters
    ----------
    model : estimator
        With other pyramids than None, a Pipeline that begins with a `PyramidVectorizer` or a `KernelSum`.
    pyramids : sequence
        As these take them; None is the model's own.
    images, labels
        As for `evaluate`, the images without fault.
    splits : sequence of (train, test) positions
    """
    check_all_options(model)  # before hours of work
    classes = np.unique(labels[np.concatenate([part for split in splits for part in split])])
    with peak_memory() as peak:
        results = [_run_split(model, pyramids, images, labels, split, classes) for split in splits]
    return [_over_splits(own, splits, classes, peak.value) for own in zip(*results, strict=True)]


def _over_splits(results: Sequence[Bunch], splits: Sequence[Split], classes: np.ndarray, peak: int | None) -> Bunch:
    accuracies = np.array([result.accuracy for result in results])
    return Bunch(
        accuracy=float(accuracies.mean()),
        std=float(accuracies.std()),
        accuracies=accuracies,
        overall=np.array([result.overall for result in results]),
        confusion=sum(result.confusion for result in results),
        classes=classes,
        n_train=[len(train) for train, _ in splits],
        n_test=[len(test) for _, test in splits],
        n_features=results[-1].n_features,
        train_seconds=sum(result.train_seconds for result in results),
        test_seconds=sum(result.extract_seconds + result.classify_seconds for result in results),
        extract_seconds=sum(result.extract_seconds for result in results),
        classify_seconds=sum(result.classify_seconds for result in results),
        peak_bytes=peak,
        predictions=[(test, result.labels) for (_, test), result in zip(splits, results, strict=True)],
        trained_on=[train for train, _ in splits],
    )


def default_cv(
    labels: np.ndarray, *, n_train: int | None = None, n_splits: int = 10, random_state: Any = 0
) -> PerClassShuffleSplit:
    """Return the splitter for images of which nothing else is said.

    It is the paper's, with the same number of training images of every class: as many as half of the smallest class,
    at most 100. Where that is fewer than 100 and the largest class is more than twice the smallest, that would waste
    most of the images: then each class gives its share, half of it, at most 100, and the log says so.

    Examples
    --------
    >>> default_cv(np.repeat(["a", "b"], 20)).n_train
    10
    >>> default_cv(np.repeat(["a", "b"], [10, 90])).n_train
    0.5
    """
    options = {"n_splits": n_splits, "random_state": random_state}
    if n_train is not None:
        return PerClassShuffleSplit(n_train=n_train, **options)
    names, counts = np.unique(labels, return_counts=True)
    smallest, largest = int(counts.min()), int(counts.max())
    if smallest < 2:
        raise SpmError(f"class {names.tolist()[counts.argmin()]!r} has one image only: give every class two or more")
    if smallest // 2 >= PAPER_N_TRAIN or largest <= BALANCED * smallest:
        return PerClassShuffleSplit(n_train=min(PAPER_N_TRAIN, smallest // 2), **options)
    log.warning(
        "classes have %d to %d images: half of each trains, %d at most, so %d to %d (n_train=N, on the command line "
        "--n-train N, trains the same number of each)",
        *(smallest, largest, PAPER_N_TRAIN, smallest // 2, min(PAPER_N_TRAIN, largest // 2)),
    )
    return PerClassShuffleSplit(n_train=0.5, max_train=PAPER_N_TRAIN, **options)


def splits_of(cv: Any, labels: np.ndarray, used: np.ndarray) -> list[Split]:
    """Return the splits as positions among all images, without those that are not `used`.

    Raises
    ------
    SpmError
        If no image is used, or `cv` is none of what `evaluate` takes or does not fit the images.
    """
    if not len(used):
        raise SpmError(f"none of the {len(labels)} images can be used")
    if cv is None:
        cv = default_cv(labels[used])
    if hasattr(cv, "split"):
        return [(used[train], used[test]) for train, test in cv.split(used, labels[used])]
    try:
        splits = [(np.asarray(train), np.asarray(test)) for train, test in cv]
    except (TypeError, ValueError):
        splits = []
    parts = [part for split in splits for part in split]
    if not parts or any(part.ndim != 1 or (len(part) and part.dtype.kind not in "iu") for part in parts):
        raise SpmError("cv must be a splitter or an iterable of (train, test) index arrays")
    if any(len(part) and not 0 <= part.min() <= part.max() < len(labels) for part in parts):
        raise SpmError(f"cv holds an index outside 0..{len(labels) - 1}, the positions of the {len(labels)} images")
    splits = [(train[np.isin(train, used)], test[np.isin(test, used)]) for train, test in splits]
    if any(len(train) == 0 or len(test) == 0 for train, test in splits):
        raise SpmError("cv has a split without an image to train on or to test: give at least one of each")
    return splits


def _run_split(
    model: Any, pyramids: Sequence[Any], images: Sequence[Any], labels: np.ndarray, split: Split, classes: np.ndarray
) -> list[Bunch]:
    train, test = split
    maker, classifiers, seconds = _fit(model, pyramids, [images[i] for i in train], labels[train])
    found = _classify(maker, classifiers, pyramids, [images[i] for i in test])
    for own, length, result in zip(seconds, lengths(maker, pyramids), found, strict=True):
        result.train_seconds = own
        result.n_features = length
        result.confusion = confusion_matrix(labels[test], result.labels, labels=classes)
        counts, right = result.confusion.sum(axis=1), result.confusion.diagonal()
        result.accuracy = float((right[counts > 0] / counts[counts > 0]).mean())
        result.overall = right.sum() / counts.sum()
        log.info("split: %d train, %d test, mean per-class accuracy %.4f", len(train), len(test), result.accuracy)
    return found


def _fit(
    model: Any, pyramids: Sequence[Any], images: Sequence[Any], labels: np.ndarray
) -> tuple[Any, list[Any], list[float]]:
    """Return what makes vectors, fitted, a classifier for each pyramid, and the seconds that each took in all."""
    start = time.perf_counter()
    maker, classifier = maker_and_classifier(clone(model))
    vectors = [images] if maker is None else fit_transform_pyramids(maker, images, pyramids, labels)
    shared = time.perf_counter() - start
    classifiers, seconds = [], []
    for own in vectors:
        start = time.perf_counter()
        classifiers.append(clone(classifier).fit(own, labels))
        seconds.append(shared + time.perf_counter() - start)
    return maker, classifiers, seconds


def on_usable(
    images: Sequence[Any],
    model: Any,
    draw: Callable[[np.ndarray], Sequence[Any]],
    work: Callable[[Any], Any],
    *,
    on_error: str,
    n_jobs: int | None = None,
    verbose: bool = False,
    hopeful: bool = True,
) -> tuple[Any, list[tuple[int, ImageError]]]:
    """Do some work on those images that a model can use, and tell of the others.

    A model with a ``check`` says itself where it meets an image that it cannot use (a search over options does not, but
    goes on with a warning). So all are taken to be without fault, which saves reading each once more; only if the work
    fails are they looked at one by one, and it begins anew.

    Parameters
    ----------
    images : sequence
    model : estimator
    draw : callable
        Positions of images in, what each part of the work uses of them out: a tuple of arrays of positions for each.
        Images that the first part does not meet are looked at before, so that no more than that part is in vain.
    work : callable
        What `draw` gave in, a result out.
    on_error, n_jobs, verbose
        As for `evaluate`.
    hopeful : bool, default=True
        False where a fault is known, so that all images are looked at first.

    Returns
    -------
    result, list of (position, ImageError)
    """
    everything, failed = np.arange(len(images)), None
    if on_error == "raise":
        return work(draw(everything)), []
    look: dict[str, Any] = {"n_jobs": n_jobs, "verbose": verbose}
    if hopeful and hasattr(model[0] if hasattr(model, "steps") else model, "check"):
        try:
            parts = draw(everything)
            if not _faults(images, model, np.setdiff1d(everything, np.concatenate(parts[0])), **look):
                return work(parts), []
        except Exception as error:  # splitters have errors of their own for classes of faulty images
            failed = error
    used, skipped = usable(images, model, **look)
    if failed is not None and not skipped:
        raise failed
    return work(draw(used)), skipped


def usable(
    images: Sequence[Any], model: Any, *, n_jobs: int | None, verbose: bool = False
) -> tuple[np.ndarray, list[tuple[int, ImageError]]]:
    """Return the positions of the images that a model can use, and those that it cannot with their errors."""
    everything = np.arange(len(images))
    skipped = _faults(images, model, everything, n_jobs=n_jobs, verbose=verbose)
    for _, error in skipped:
        log.warning("skipped %s", error)
    return np.setdiff1d(everything, [i for i, _ in skipped]), skipped


def _faults(
    images: Sequence[Any], model: Any, positions: np.ndarray, *, n_jobs: int | None, verbose: bool
) -> list[tuple[int, ImageError]]:
    """Return the positions of images that a model cannot use, with their errors."""
    trial = partial(_error_of, check=getattr(_first(model), "check", read_image))
    asked = [images[i] for i in positions]
    errors = in_order(trial, asked, n_jobs=n_jobs, batch=8, label="checking", total=len(asked), verbose=verbose)
    return [(int(i), error) for i, error in zip(positions, errors, strict=True) if error is not None]


def _error_of(image: Any, check: Callable[[Any], Any]) -> ImageError | None:
    """Return the ImageError that `check` raises for an image, or None."""
    try:
        check(image)
    except ImageError as error:
        return error
    return None
