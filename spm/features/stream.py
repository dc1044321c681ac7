"""Streaming: a folder of images in, batches of their descriptors out, for what learns batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .._tools.parallel import in_order
from .._tools.public import public
from ..errors import SpmError, check_number
from ..images import check_images, naming
from .local import Views

IMAGES = 8  # in one task
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
