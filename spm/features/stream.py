"""Streaming: a folder of images in, batches of their descriptors out, or files of them, for what learns from many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .._tools.files import write_whole
from .._tools.parallel import in_order
from .._tools.public import public
from ..errors import SpmError, check_number
from ..images import check_images, naming
from .local import Views

IMAGES = 8  # in one task
IN_FILE = 64  # images of which the descriptors lie in one file
LEAST_PER_IMAGE = 200  # descriptors worth opening an image for


@public()
def stream_descriptors(
    images: Any,
    features: Any,
    *,
    batch_size: int = 20_000,
    per_image: int | None = None,
    layer: int = 0,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Iterator[np.ndarray]:
    """Yield the descriptors of images, taken in random order, in batches; no more than a few are held at a time.

    A codebook is then learned from all the descriptors of a folder, however large, by an estimator with
    ``partial_fit``: scikit-learn's MiniBatchKMeans for words, IncrementalPCA to reduce, MiniBatchDictionaryLearning for
    sparse codes. scikit-learn's FrozenEstimator hands what was learned to an encoder, which fits it no further.

    Parameters
    ----------
    images : sequence of paths or arrays, or one array of shape (n, h, w) or (n, h, w, 3)
    features : extractor
        Such as ``DenseSIFT()``.
    batch_size : int, default=20_000
        Descriptors in a batch. The last takes what is left too, up to as many again.
    per_image : int, optional
        Descriptors, at most, from one image, drawn at random. By default all.
    layer : int, default=0
        Of features with several layers, the one to take.
    random_state : int, RandomState or None
        Orders the images, and draws from them.
    n_jobs : int or None
        Workers, as joblib means it; the batches are the same for every number.
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.

    Yields
    ------
    ndarray of shape (batch_size, D), float32; the last of up to 2 * batch_size - 1 rows

    Raises
    ------
    ImageError
        For an image that cannot be used.
    SpmError
        For an option that is not valid, or a layer that the features do not have.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> from sklearn.cluster import MiniBatchKMeans
    >>> from sklearn.frozen import FrozenEstimator
    >>> images = np.random.default_rng(0).integers(0, 256, (6, 64, 64), dtype=np.uint8)
    >>> words = MiniBatchKMeans(10, random_state=0)
    >>> for batch in stream_descriptors(images, spm.DenseSIFT(), batch_size=100, random_state=0):
    ...     _ = words.partial_fit(batch)
    >>> vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(clusterer=FrozenEstimator(words)))
    >>> vec.fit_transform(images).shape
    (6, 210)
    """
    check_number("batch_size", batch_size, least=1, integer=True)
    check_number("layer", layer, least=0, integer=True)
    if per_image is not None:
        check_number("per_image", per_image, least=1, integer=True)
    images, random = check_images(images), check_random_state(random_state)
    order, seeds = random.permutation(len(images)), random.randint(2**31 - 1, size=len(images))
    tasks = ((images[i], int(seed)) for i, seed in zip(order, seeds, strict=True))
    draw = partial(_draw, features=features, per_image=per_image, layer=layer)
    parts = in_order(draw, tasks, n_jobs=n_jobs, batch=IMAGES, label="descriptors", total=len(images), verbose=verbose)
    return _batched(parts, batch_size)


Piece = tuple[str, Any]  # a file, and which of its rows: a slice, or where they are


@public()
class DescriptorFiles:
    """Descriptors in files, for codebooks of more than a machine can hold.

    `BagOfWords`, `LLC` and `VLAD`, `SoftAssignment` with a `sigma`, and `FisherVector` learn from it in place of an
    array, and learn the same bits. Every pass over the descriptors is cut into groups of 65,536; a worker reads a
    group, and what comes back is its sums. Under ``joblib.parallel_config(backend="dask")`` the workers are those of a
    cluster.

    Parameters
    ----------
    paths : sequence of paths
        ``.npy`` files, each with an array of shape (n, D) of numbers, such as those of `write_descriptors`; every
        worker must find them under these paths.

    Raises
    ------
    SpmError
        For no file at all, one that cannot be read, and arrays of other shapes.

    Examples
    --------
    >>> import tempfile
    >>> import spm
    >>> folder = Path(tempfile.mkdtemp())
    >>> parts = np.random.default_rng(0).random((3, 200, 2), dtype=np.float32)
    >>> for i, part in enumerate(parts):
    ...     np.save(folder / f"{i}.npy", part)
    >>> files = spm.DescriptorFiles(sorted(folder.iterdir()))
    >>> files
    <600 descriptors of 2 values in 3 files>
    >>> one, other = (spm.BagOfWords(n_words=4, random_state=0).fit(X) for X in (files, np.concatenate(parts)))
    >>> np.array_equal(one.words_, other.words_)
    True
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self.paths = [os.fsdecode(path) for path in paths]
        shapes = [_opened(path).shape for path in self.paths]
        widths = {shape[1] for shape in shapes}
        if len(widths) != 1:
            raise SpmError(
                f"descriptors must be of one length, got {sorted(widths) or 'no files'}: give files of one kind"
            )
        self.shape = sum(shape[0] for shape in shapes), widths.pop()
        self._stops = np.cumsum([shape[0] for shape in shapes])

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{len(self)} descriptors of {self.shape[1]} values in {len(self.paths)} files>"

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise SpmError(
            f"{self!r} are no array: BagOfWords, LLC and VLAD, SoftAssignment(sigma=...) and FisherVector learn from "
            "files, by their own clustering alone; for anything else see spm.stream_descriptors"
        )

    def pieces(self, start: int, stop: int, at: np.ndarray | None = None) -> list[Piece]:
        """Return where rows from `start` to `stop` lie; of those at sorted places, if these are given."""
        rows = np.array([start, stop - 1]) if at is None else at[start:stop]
        first, last = np.searchsorted(self._stops, rows[[0, -1]], side="right")
        pieces: list[Piece] = []
        for number in range(first, last + 1):
            stop_here = self._stops[number]
            start_here = self._stops[number - 1] if number else 0
            if at is None:
                own: Any = slice(int(max(start, start_here) - start_here), int(min(stop, stop_here) - start_here))
            else:
                own = (rows[slice(*np.searchsorted(rows, [start_here, stop_here]))] - start_here).astype(np.uint32)
            pieces.append((self.paths[number], own))
        return pieces

    @staticmethod
    def read(pieces: Sequence[Piece]) -> np.ndarray:
        """Return the rows of pieces, joined: float32, shape (n, D)."""
        return np.concatenate([np.asarray(_opened(path)[rows], dtype=np.float32) for path, rows in pieces])


def _opened(path: str) -> np.ndarray:
    try:
        values = np.load(path, mmap_mode="r")
        if values.ndim == 2 and values.dtype.kind in "fiu":
            return values
        reason = f"it has an array of shape {values.shape} of {values.dtype}"
    except (OSError, ValueError, EOFError, AttributeError) as error:
        reason = str(error)
    raise SpmError(f"{path} is no .npy file of descriptors, numbers of shape (n, D): {reason}")


@public()
def write_descriptors(
    images: Any,
    features: Any,
    folder: str | os.PathLike[str],
    *,
    per_image: int | None = None,
    layer: int = 0,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> DescriptorFiles:
    """Write the descriptors of images into files, by the workers themselves: what no machine holds, none is sent.

    Parameters
    ----------
    images : sequence of paths or arrays, or one array of shape (n, h, w) or (n, h, w, 3)
    features : extractor
        Such as ``DenseSIFT()``.
    folder : path
        Is made if need be; on a cluster all workers must reach it. One file for 64 images; those of an earlier call
        are written anew.
    per_image, layer, random_state, n_jobs, verbose
        As for `stream_descriptors`.

    Returns
    -------
    DescriptorFiles
        In the order of the images.

    Raises
    ------
    ImageError
        For an image that cannot be used.
    SpmError
        For an option that is not valid, and a folder that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import spm
    >>> from sklearn.frozen import FrozenEstimator
    >>> images = np.random.default_rng(0).integers(0, 256, (6, 64, 64), dtype=np.uint8)
    >>> files = spm.write_descriptors(images, spm.DenseSIFT(), tempfile.mkdtemp(), per_image=40, random_state=0)
    >>> files
    <240 descriptors of 128 values in 1 files>
    >>> words = spm.BagOfWords(n_words=10, random_state=0).fit(files)
    >>> spm.PyramidVectorizer(encoder=FrozenEstimator(words)).fit_transform(images).shape
    (6, 210)
    """
    check_number("layer", layer, least=0, integer=True)
    if per_image is not None:
        check_number("per_image", per_image, least=1, integer=True)
    images, random = check_images(images), check_random_state(random_state)
    Path(folder).mkdir(parents=True, exist_ok=True)
    seeds = random.randint(2**31 - 1, size=len(images))
    starts = range(0, len(images), IN_FILE)
    ends = [min(start + IN_FILE, len(images)) for start in starts]
    tasks = (
        (
            os.path.join(os.path.abspath(folder), f"{start:09}.npy"),
            [images[i] for i in range(start, end)],
            seeds[start:end],
        )
        for start, end in zip(starts, ends, strict=True)
    )
    work = partial(_write, features=features, per_image=per_image, layer=layer)
    options: dict[str, Any] = {"n_jobs": n_jobs, "total": len(starts), "verbose": verbose}
    return DescriptorFiles(list(in_order(work, tasks, batch=1, label="descriptors", **options)))


def _write(task: tuple[str, Sequence[Any], np.ndarray], **options: Any) -> str:
    """Write the descriptors of some images into one file."""
    path, images, seeds = task
    values = np.concatenate([_draw((image, int(seed)), **options) for image, seed in zip(images, seeds, strict=True)])
    write_whole(path, partial(np.save, arr=values), "the descriptors")
    return path


def _draw(task: tuple[Any, int], features: Any, per_image: int | None, layer: int) -> np.ndarray:
    """Return descriptors of one image, all its views together."""
    image, seed = task
    with naming(image):
        views = features.views(image)
    if layer >= len(views[0]):
        raise SpmError(f"layer={layer} but the features have {len(views[0])}: count from 0")
    values = np.concatenate([view[layer].values for view in views])
    if per_image is not None and len(values) > per_image:
        values = values[np.sort(np.random.RandomState(seed).permutation(len(values))[:per_image])]
    return values.astype(np.float32, copy=False)


def sample_layers(
    images: Sequence[Any],
    views: Callable[[Any], Views],
    *,
    size: int,
    per_image: int | None,
    random: np.random.RandomState,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw a sample of the descriptors of images, for parts that learn from it all at once.

    Parameters
    ----------
    images : sequence of images
    views : callable
        Returns an image's views, such as the method `views` of an extractor.
    size : int
        Descriptors at most.
    per_image : int or None
        At most from one image; None takes as many as it takes to reach `size` with all images, and 200 at least, so
        that of many images only some are opened.
    random : RandomState
    n_jobs, verbose
        As for `stream_descriptors`; the sample is the same for every number of workers.

    Returns
    -------
    list of (values, positions), one a layer
        Descriptors (n, D) in the order of the images, and where they lie, as `LocalFeatures.positions` has it.

    Examples
    --------
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (6, 64, 64), dtype=np.uint8)
    >>> draw = np.random.RandomState(0)
    >>> [(values, positions)] = sample_layers(images, spm.DenseSIFT().views, size=100, per_image=30, random=draw)
    >>> values.shape, positions.shape
    ((100, 128), (100, 2))
    """
    per_image = per_image or max(LEAST_PER_IMAGE, -(-size // len(images)))
    n_images = min(len(images), -(-size // per_image))
    chosen = np.sort(random.permutation(len(images))[:n_images])
    tasks = [(images[i], int(seed)) for i, seed in zip(chosen, random.randint(2**31 - 1, size=n_images), strict=True)]
    draw = partial(_draw_layers, views=views, count=min(per_image, size))
    drawn = list(in_order(draw, tasks, n_jobs=n_jobs, label="sampling", total=len(tasks), verbose=verbose))
    layers = [[np.concatenate(arrays) for arrays in zip(*layer, strict=True)] for layer in zip(*drawn, strict=True)]
    order = random.permutation(max(len(values) for values, _ in layers))
    rows = [np.sort(order[order < len(values)][:size]) for values, _ in layers]
    return [(values[kept], positions[kept]) for (values, positions), kept in zip(layers, rows, strict=True)]


def _draw_layers(
    task: tuple[Any, int], views: Callable[[Any], Views], count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return at most `count` random descriptors of each layer of one image, and where they lie."""
    image, seed = task
    random = np.random.RandomState(seed)
    drawn = []
    with naming(image):
        seen = views(image)
    for layer in zip(*seen, strict=True):  # the layer's views
        values = np.concatenate([local.values for local in layer])
        kept = np.sort(random.permutation(len(values))[:count])
        drawn.append((values[kept], np.concatenate([local.positions() for local in layer])[kept]))
    return drawn


def _batched(parts: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield the rows of the parts, `size` at a time, and last up to twice as many: never too few to learn from.

    Examples
    --------
    >>> [len(batch) for batch in _batched(iter([np.ones((7, 1)), np.ones((6, 1))]), 3)]
    [3, 3, 3, 4]
    """
    held: list[np.ndarray] = []
    n_held = 0
    for part in parts:
        held.append(part)
        n_held += len(part)
        if n_held >= 2 * size:
            rows = np.concatenate(held)
            while len(rows) >= 2 * size:
                yield rows[:size]
                rows = rows[size:]
            held, n_held = [rows], len(rows)
    if n_held:
        yield np.concatenate(held)
