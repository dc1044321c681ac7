"""Figures of a vocabulary: a fitted vectorizer and images in, its words as patches and as places out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._tools.opencv import cv2
from .._tools.public import public
from ..encoders.codes import Codes
from ..errors import SpmError, check_choice, check_number
from ..evidence.voting import vectorizer_of
from ..features.dense_sift import DenseSIFT, lattice
from ..features.local import LocalFeatures
from ..images import check_images, read_image
from ..vectorizer import PyramidVectorizer
from ._axes import (
    COLOURS,
    fit_labels,
    grey_of,
    need,
    panel_size,
    points_of,
    rectangles_of,
    show_image,
    show_key,
    show_rectangles,
    take_axes,
    text_size,
)

GAP = 0.15  # of a patch, between two
LEAST_CONTRAST = 24.0  # grey levels that are stretched from black to white


@public("spm.plots")
def words(
    model: Any,
    images: Any,
    *,
    words: int | Sequence[int] = 10,
    n_nearest: int = 8,
    ax: Any = None,
) -> Any:
    """Draw visual words: the mean of each word's patches, and the patches nearest to the word.

    Patches are cut from the images in grey around the features' centres. Before their mean is taken each is brought
    to the same brightness and contrast, as SIFT sees it, and so are the nearest patches for the drawing. Behind a
    word's number is how often it occurs.

    Parameters
    ----------
    model : PyramidVectorizer, or Pipeline that begins with one
        Fitted, with `DenseSIFT` features and an encoder that has `words_`, such as `BagOfWords`.
    images : sequence of paths or arrays
    words : int or sequence of int, default=10
        How many, the most frequent ones in these images, or which.
    n_nearest : int, default=8
        Patches beside each mean; a word of fewer patches shows those.
    ax : Axes, optional

    Returns
    -------
    Axes
        One row a word; `ax.images` holds one image for each patch, row by row, the mean first.

    Raises
    ------
    SpmError
        For a model that is not fitted or has other features or no words, or an unknown word.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib, numpy as np
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> images = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=4), random_state=0).fit(images)
    >>> len(spm.plots.words(vec, images, words=2, n_nearest=3).images)
    8
    """
    vectorizer = vectorizer_of(model)
    encoder = vectorizer.encoder_
    if not isinstance(vectorizer.features_, DenseSIFT) or not hasattr(encoder, "words_"):
        raise SpmError(
            "patches of words are known for DenseSIFT features and an encoder with words_, such as BagOfWords(), not "
            f"for {type(vectorizer.features_).__name__} and {type(encoder).__name__}: word_map draws where words lie"
        )
    check_number("n_nearest", n_nearest, least=1, integer=True)
    images = check_images(images)
    found = _assigned(vectorizer, images)
    counts = np.bincount(found["word"], minlength=len(encoder.words_))
    chosen = _chosen(words, counts)
    side = min(np.atleast_1d(vectorizer.features_.patch_size).tolist())
    nearest = _nearest(found, chosen, n_nearest)
    means, patches = _patches(images, found, chosen, nearest, side)
    return _draw_words(ax, chosen, counts, means, patches, n_nearest)


def _assigned(vectorizer: PyramidVectorizer, images: Sequence[Any]) -> np.ndarray:
    """Return one record for each patch of the images: image, word, distance, left, top and side."""
    kinds = [("image", int), ("word", int), ("distance", float), ("left", int), ("top", int), ("side", int)]
    records = []
    for i, image in enumerate(images):
        local, codes = vectorizer.encode(image)[0]
        part = np.empty(len(local), dtype=kinds)
        word, values = _most_used(codes), vectorizer.layers_[0].describe(local)
        part["image"], part["word"], part["side"] = i, word, patch_sides(vectorizer.features_, local)
        part["distance"] = np.square(values - vectorizer.encoder_.words_[word]).sum(axis=1)
        part["left"], part["top"] = np.rint(local.extents[:, :2].T - part["side"] / 2)
        records.append(part)
    return np.concatenate(records)


def patch_sides(features: DenseSIFT, local: LocalFeatures) -> np.ndarray:
    """Return the side of each patch, in the order in which `DenseSIFT` gives its scales: shape (N,)."""
    sizes = np.atleast_1d(features.patch_size).tolist()
    counts = [
        int(np.prod([len(lattice(length, size, features.step, min(sizes))) for length in local.grid])) for size in sizes
    ]
    return np.repeat(sizes, counts)


def _most_used(codes: Codes) -> np.ndarray:
    """Return the word that each feature uses most: shape (N,)."""
    return np.take_along_axis(codes.words, codes.weights.argmax(axis=1)[:, None], axis=1)[:, 0]


def _chosen(words: int | Sequence[int], counts: np.ndarray) -> np.ndarray:
    if np.ndim(words) == 0:
        check_number("words", words, least=1, integer=True)
        return np.argsort(-counts, kind="stable")[:words]
    chosen = np.asarray(words)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu":
        raise SpmError(f"words must be a number of words or a sequence of their numbers, got {words!r}")
    if chosen.min() < 0 or chosen.max() >= len(counts):
        raise SpmError(f"words must lie in 0..{len(counts) - 1}, the vocabulary, got {chosen.tolist()}")
    return chosen


def _nearest(found: np.ndarray, chosen: np.ndarray, n: int) -> dict[int, list[int]]:
    """Return the positions of each word's nearest patches, nearest first."""
    nearest = {}
    for word in chosen.tolist():
        own = np.flatnonzero(found["word"] == word)
        nearest[word] = own[np.argsort(found["distance"][own], kind="stable")[:n]].tolist()
    return nearest


def _patches(
    images: Sequence[Any], found: np.ndarray, chosen: np.ndarray, nearest: dict[int, list[int]], side: int
) -> tuple[dict[int, np.ndarray], dict[int, list[np.ndarray]]]:
    """Cut the patches out: the sum of each word's standardised ones, and by position the nearest ones."""
    wanted = {position for positions in nearest.values() for position in positions}
    sums = {word: np.zeros((side, side)) for word in chosen.tolist()}
    kept = {}
    current, grey = -1, np.empty((0, 0), dtype=np.uint8)
    for position in np.flatnonzero(np.isin(found["word"], chosen)).tolist():
        image, word, _, left, top, size = found[position].tolist()
        if image != current:
            current, grey = image, read_image(images[image], "grey")
        patch: Any = grey[top : top + size, left : left + size]
        if position in wanted:
            kept[position] = patch
        if size != side:
            patch = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA)
        sums[word] += (patch - patch.mean()) / max(float(patch.std()), 1.0)
    return sums, {word: [kept[position] for position in positions] for word, positions in nearest.items()}


def _draw_words(
    ax: Any, chosen: np.ndarray, counts: np.ndarray, means: dict[int, np.ndarray], patches: dict[int, Any], n: int
) -> Any:
    labels = [f"word {word} ({counts[word]})" for word in chosen.tolist()]
    pitch, left = 1 + GAP, 0.14 * max(map(len, labels))  # the labels lie on the axes, so that none is cut off
    width, height = (n + 1) * pitch, len(chosen) * pitch - GAP
    ax = take_axes(ax, size=(0.55 * (width + left), 0.55 * (height + 0.5)))[0, 0]
    for row, word in enumerate(chosen.tolist()):
        for k, patch in enumerate([means[word], *patches[word]]):
            x, y = k * pitch + GAP * (k > 0), row * pitch
            ax.imshow(
                _stretched(patch), cmap="gray", vmin=0, vmax=1, extent=(x, x + 1, y + 1, y), interpolation="nearest"
            )
    ax.set(xlim=(-left, width + 0.05), ylim=(height + 0.05, -0.45), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    room = points_of(ax)[0] / (width + left)  # of one patch
    style = {"fontsize": max(text_size((room * left, room), max(map(len, labels))), 3), "va": "center"}
    for row, label in enumerate(labels):
        ax.text(-0.1, row * pitch + 0.5, label, ha="right", **style)
    for x, title in ((0.5, "mean"), (pitch + GAP + (n * pitch - GAP) / 2, "nearest patches" if n > 1 else "nearest")):
        ax.text(x, -0.25, title, ha="center", **style)
    return ax


def _stretched(patch: np.ndarray) -> np.ndarray:
    """Stretch a patch over 0..1, a nearly flat one less, so that noise stays small."""
    low, high = float(patch.min()), float(patch.max())
    spread = max(high - low, LEAST_CONTRAST if patch.dtype == np.uint8 else 1e-9)
    return 0.5 + (patch - (low + high) / 2) / spread


@public("spm.plots")
def word_map(
    image: Any,
    model: Any,
    *,
    words: Sequence[int] | None = None,
    layer: int = 0,
    patch_size: int | None = None,
    ax: Any = None,
) -> Any:
    """Draw every patch, or cell of a map, in the colour of its word over the image.

    Similar words have similar colours: words are coloured by their rank along the first principal component of the
    vocabulary. A patch is drawn as a square of the lattice's step around its centre, so that neighbours do not overlap.

    Parameters
    ----------
    image : path or array
    model : PyramidVectorizer, or Pipeline that begins with one
        Fitted, with an encoder.
    words : sequence of int, optional
        The only words to draw, each in a colour of its own and named in a legend; at most 8.
    layer : int, default=0
        Of features with several layers, which.
    patch_size : int, optional
        Of `DenseSIFT` with several sizes, which; by default the smallest.
    ax : Axes, optional

    Returns
    -------
    Axes
        `ax.collections[0]` holds a rectangle for each patch drawn.

    Raises
    ------
    SpmError
        For a model that is not fitted or has no encoder, or an unknown word, layer or size.
    ImageError
        If the image cannot be used.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib, numpy as np
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> images = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=4), random_state=0).fit(images)
    >>> len(spm.plots.word_map(images[0], vec).collections[0].get_paths())
    49
    """
    vectorizer = vectorizer_of(model)
    if vectorizer.encoder is None:
        raise SpmError("this vectorizer has no encoder and so no words: feature_map draws what it pools")
    check_number("layer", layer, least=0, integer=True)
    check_choice("layer", layer, range(len(vectorizer.layers_)))
    local, codes = vectorizer.encode(image)[layer]
    used, shades = _most_used(codes), _word_colours(vectorizer.layers_[layer].encoder, codes.n_words)
    drawn = _of_one_size(vectorizer.features_, local, patch_size)
    names = [] if words is None else _chosen(list(words), np.zeros(len(shades))).tolist()
    if len(names) > len(COLOURS):
        raise SpmError(f"words must be at most {len(COLOURS)}, as many colours as can be told apart")
    if names:
        shades[names] = need("matplotlib.colors").to_rgba_array(COLOURS[: len(names)])
        drawn &= np.isin(used, names)
    pixels = read_image(image)
    ax = take_axes(ax, size=panel_size(pixels, side=4.0))[0, 0]
    show_image(ax, grey_of(pixels))
    show_rectangles(ax, rectangles_of(local)[drawn], shades[used[drawn]] * (1, 1, 1, 0.75 if names else 0.6))
    show_key(ax, dict(zip((f"word {name}" for name in names), COLOURS, strict=False)))
    n_used = len(np.unique(used[drawn]))
    ax.set_title(f"{drawn.sum()} patches, {n_used} of {len(shades)} words", fontsize="medium")
    fit_labels(ax)
    return ax


def _of_one_size(features: Any, local: LocalFeatures, patch_size: int | None) -> np.ndarray:
    """Return which features are of a size of patch, by default the smallest: bool of shape (N,)."""
    if not isinstance(features, DenseSIFT):
        if patch_size is not None:
            raise SpmError(
                f"patch_size is for DenseSIFT, these are features of {type(features).__name__}: leave it out"
            )
        return np.full(len(local), True)
    sizes = np.atleast_1d(features.patch_size).tolist()
    wanted = min(sizes) if patch_size is None else patch_size
    if wanted not in sizes:
        raise SpmError(f"patch_size={patch_size!r} is none of these features': choose one of {sizes}")
    return patch_sides(features, local) == wanted


def _word_colours(encoder: Any, n_words: int) -> np.ndarray:
    """Return a colour for each word, similar ones for similar words: shape (n_words, 4)."""
    words = getattr(encoder, "words_", np.arange(n_words)[:, None])
    centred = words - words.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    ranks = np.argsort(np.argsort(along, kind="stable"))
    return need("matplotlib").colormaps["viridis"](ranks / max(len(ranks) - 1, 1))
