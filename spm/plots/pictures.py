"""Figures of images: one in, its cells and histograms or the bins of its maps out; several, the nearest to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._tools.public import public
from ..errors import SpmError, check_choice, check_number
from ..evidence.voting import region_of, vectorizer_of
from ..features.local import LocalFeatures
from ..images import check_images, read_image
from ..pyramid.bins import bins
from ..pyramid.pyramid import SpatialPyramid
from ._axes import (
    Region,
    fit_labels,
    need,
    outlined,
    panel_size,
    points_of,
    show_grid,
    show_image,
    take_axes,
    text_size,
)

ROW = 1.2  # of the width of an image among others, for it and the line below
THUMBNAIL = 160  # pixels, about, of the longer side of an image among others


@public("spm.plots")
def pyramid(image: Any, model: Any, *, n_channels: int = 12, layer: int = 0, ax: Any = None) -> np.ndarray:
    """Draw the pyramid's cells over an image, one picture a level, and below them the histogram of each cell.

    The histograms show the same channels in every cell: those with the largest values in the image, the largest first
    and darkest. Bars are drawn to the largest of their level; what is normalised over the vector stays comparable
    between cells.

    Parameters
    ----------
    image : path or array
    model : SpatialPyramid, PyramidVectorizer, or Pipeline that begins with one
        A vectorizer must be fitted. A pyramid has no histograms: its cells are drawn alone.
    n_channels : int, default=12
        Words, or other channels, in a histogram.
    layer : int, default=0
        Of features with several layers, which.
    ax : array of Axes, optional
        One for each level, and with histograms as many again.

    Returns
    -------
    ndarray of Axes, of shape (1, L), or (2, L) with histograms

    Raises
    ------
    SpmError
        For a model of another kind, one that is not fitted, an unknown layer or another number of axes.
    ImageError
        If the image cannot be used.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib, numpy as np
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> axes = spm.plots.pyramid(np.zeros((48, 64), np.uint8), spm.SpatialPyramid(levels=(1, 2, 4)))
    >>> [ax.get_title() for ax in axes[0]]
    ['1 × 1, weight 0.25', '2 × 2, weight 0.25', '4 × 4, weight 0.5']
    """
    plain = isinstance(model, SpatialPyramid)
    check_number("n_channels", n_channels, least=1, integer=True)
    vectorizer = None if plain else vectorizer_of(model)
    shape = model if vectorizer is None else vectorizer.pyramid_
    grids, weights = shape.grids(), shape.level_weights()
    pixels = read_image(image)
    size = pixels.shape[:2]
    region = (0.0, 0.0, float(size[1]), float(size[0]))
    if vectorizer is not None:
        cells, names = _cells(vectorizer, image, layer, n_channels)
        region = region_of(vectorizer.features_.extract(image))
    axes = take_axes(ax, 1 if plain else 2, len(grids), panel_size(pixels))
    for level, (rows, columns) in enumerate(grids.tolist()):
        show_image(axes[0, level], pixels)
        show_grid(axes[0, level], region, rows, columns)
        title = f"{rows} × {columns}, weight {weights[level]:.3g}"
        axes[0, level].set_title(title, fontsize="medium")
        if not plain:
            start = int(grids[:level].prod(axis=1).sum())
            values = cells[start : start + rows * columns].reshape(rows, columns, -1)
            _draw_histograms(axes[1, level], values, names, size, region)
    fit_labels(*axes.ravel())
    return axes


def _cells(vectorizer: Any, image: Any, layer: int, n_channels: int) -> tuple[np.ndarray, list[str]]:
    """Return the values (n_cells, n_channels) and names of the channels that are largest in the image."""
    check_number("layer", layer, least=0, integer=True)
    check_choice("layer", layer, range(len(vectorizer.layers_)))
    vector = vectorizer.transform_pyramids([image], [None])[0][0]  # an array, whatever the caller's settings
    n_cells, own = vectorizer.pyramid_.n_cells, vectorizer.layers_[layer]
    start = n_cells * sum(other.n_channels for other in vectorizer.layers_[:layer])
    cells = vector[start : start + n_cells * own.n_channels].reshape(n_cells, own.n_channels)
    most = np.argsort(-np.abs(cells).sum(axis=0), kind="stable")[:n_channels]
    return cells[:, most], own.channel_names()[most].tolist()


def _draw_histograms(ax: Any, values: np.ndarray, names: list[str], size: tuple[int, int], region: Region) -> None:
    """Draw one histogram in each cell, values of shape (rows, columns, n), on axes in the image's pixels."""
    rows, columns, n = values.shape
    x0, y0, x1, y1 = region
    width, height = (x1 - x0) / columns, (y1 - y0) / rows
    signed = bool((values < 0).any())
    scale = height * (0.43 if signed else 0.88) / max(float(np.abs(values).max()), 1e-30)
    i, j, k = np.indices(values.shape)
    bottoms = y0 + height * (i + (0.5 if signed else 0.97))
    lefts = x0 + width * (j + 0.05 + 0.9 * k / n)
    shades = need("matplotlib").colormaps["cividis"](k.ravel() / n)
    ax.bar(lefts.ravel(), -scale * values.ravel(), 0.9 * width / n * 0.9, bottoms.ravel(), align="edge", color=shades)
    rectangle = need("matplotlib.patches").Rectangle
    for corner in np.ndindex(rows, columns):
        place = (x0 + width * corner[1], y0 + height * corner[0])
        ax.add_patch(rectangle(place, width, height, fill=False, linewidth=0.8, clip_on=False))
    ax.set(xlim=(0, size[1]), ylim=(size[0], 0), aspect="equal", yticks=[])
    ax.spines[:].set_visible(False)
    if columns == 1:
        ticks = x0 + width * (0.05 + 0.9 * (np.arange(n) + 0.45) / n)
        ax.set_xticks(ticks, names, rotation=90)
        ax.tick_params(length=0, labelsize=max(text_size((np.inf, points_of(ax)[0] / n), 1, 7), 2))
    else:
        ax.set(xticks=[])


@public("spm.plots")
def feature_map(
    image: Any,
    features: Any,
    *,
    channels: int | Sequence[int] = 3,
    pyramid: SpatialPyramid | None = None,
    layer: int = 0,
    ax: Any = None,
) -> np.ndarray:
    """Draw channels of a network's map where they lie in the image, with the bins that a pyramid cuts them into.

    Bins are drawn as the pyramid pools them: of whole cells, [floor(i H / n), ceil((i + 1) H / n)), so that neighbours
    may share cells. Every second bin is drawn dashed and set in, to tell shared cells apart. A channel's title has its
    least value, which is dark, and its largest, which is bright.

    Parameters
    ----------
    image : path or array
    features : FeatureMap, or a fitted model that begins with a vectorizer of one
    channels : int or sequence of int, default=3
        How many, those that vary most over the image, or which.
    pyramid : SpatialPyramid, optional
        Of a model given, its own; otherwise none.
    layer : int, default=0
        Of features with several layers, which.
    ax : array of Axes, optional
        One for the image and one for each channel; with a pyramid that number for each level.

    Returns
    -------
    ndarray of Axes, of shape (max(L, 1), 1 + n_channels)

    Raises
    ------
    SpmError
        For features that are no maps, an unknown channel or layer, or another number of axes.
    ImageError
        If the image cannot be used.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib, numpy as np
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> maps = spm.presets.spp2014()[0].features
    >>> image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    >>> axes = spm.plots.feature_map(image, maps, channels=[3, 5], pyramid=spm.SpatialPyramid(levels=(1, 2)))
    >>> axes.shape, axes[0, 1].get_title()[:10]
    ((2, 3), 'channel 3:')
    """
    if not hasattr(features, "extract"):
        vectorizer = vectorizer_of(features)
        features, pyramid = vectorizer.features_, pyramid or vectorizer.pyramid_
    check_number("layer", layer, least=0, integer=True)
    layers = features.views(image)[0]
    check_choice("layer", layer, range(len(layers)))
    local = layers[layer]
    if local.stride is None:
        raise SpmError(
            f"{type(features).__name__} makes points, no map: give a FeatureMap, or draw the words (word_map)"
        )
    values = local.values.reshape(*local.grid, -1)  # (rows, columns, channels)
    chosen = _channels(channels, values)
    grids = np.zeros((1, 2), dtype=np.int64) if pyramid is None else pyramid.grids()
    pixels = read_image(image)
    axes = take_axes(ax, len(grids), 1 + len(chosen), panel_size(pixels))
    for row, (down, across) in zip(axes, grids.tolist(), strict=True):
        _draw_maps(row, pixels, local, values, chosen)
        row[0].set_title(f"{down} × {across} bins" if pyramid else "image", fontsize="medium")
        for panel in row if pyramid else ():
            _draw_bins(panel, local, down, across)
    fit_labels(*axes.ravel())
    return axes


def _channels(channels: int | Sequence[int], values: np.ndarray) -> list[int]:
    n = values.shape[2]
    if np.ndim(channels) == 0:
        check_number("channels", channels, least=1, integer=True)
        spread = values.reshape(-1, n).std(axis=0, dtype=np.float64)
        return np.argsort(-spread, kind="stable")[:channels].tolist()
    chosen = np.asarray(channels)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= n:
        raise SpmError(f"channels must be a number of channels or a sequence of some in 0..{n - 1}, got {channels!r}")
    return chosen.tolist()


def _draw_maps(
    row: np.ndarray, pixels: np.ndarray, local: LocalFeatures, values: np.ndarray, chosen: list[int]
) -> None:
    """Draw the image and the channels on axes with one range of pixels."""
    x0, y0, x1, y1 = _frame(local)
    height, width = pixels.shape[:2]
    show_image(row[0], pixels)
    for ax, channel in zip(row[1:], chosen, strict=True):
        ax.imshow(values[:, :, channel], cmap="cividis", extent=(x0, x1, y1, y0), interpolation="nearest")
        low, high = values[:, :, channel].min(), values[:, :, channel].max()
        span = f"{low:.2g} to {high:.2g}".replace("-", "−")
        ax.set_title(f"channel {channel}: {span}", fontsize="medium")
    for ax in row:
        ax.set(xlim=(min(0, x0), max(width, x1)), ylim=(max(height, y1), min(0, y0)), xticks=[], yticks=[])


def _frame(local: LocalFeatures) -> Region:
    """Return where the cells of a map lie: x0, y0, x1, y1 in pixels."""
    (rows, columns), (down, across), (top, left) = local.grid, local.stride or (1.0, 1.0), local.offset
    return left, top, left + columns * across, top + rows * down


def _draw_bins(ax: Any, local: LocalFeatures, rows: int, columns: int) -> None:
    """Draw the bins of a level as rectangles of whole cells, every second one dashed and set in."""
    (down, across), (top, left) = local.stride or (1.0, 1.0), local.offset
    rectangle = need("matplotlib.patches").Rectangle
    for i, (y0, y1) in enumerate(bins(local.grid[0], rows).tolist()):
        for j, (x0, x1) in enumerate(bins(local.grid[1], columns).tolist()):
            odd = (i + j) % 2
            inset = 0.12 + 0.13 * odd
            corner = (left + across * (x0 + inset), top + down * (y0 + inset))
            size = (across * (x1 - x0 - 2 * inset), down * (y1 - y0 - 2 * inset))
            style = {"edgecolor": "#56B4E9" if odd else "white", "linestyle": (0, (3, 1)) if odd else "-"}
            ax.add_patch(
                rectangle(corner, *size, fill=False, linewidth=1.2, path_effects=outlined(2.2, "black"), **style)
            )


@public("spm.plots")
def neighbours(queries: Any, images: Any, positions: Any, distances: Any = None, *, ax: Any = None) -> Any:
    """Draw images beside the images that are nearest to them, as scikit-learn's `NearestNeighbors` finds them.

    Parameters
    ----------
    queries : sequence of paths or arrays, of n images
        One row each.
    images : sequence of paths or arrays
        Among which was searched.
    positions : array-like of shape (n, k), int
        Where in `images` each query's nearest lie, the nearest first: the second of what ``kneighbors`` returns. Rows
        may have different lengths, as those of ``radius_neighbors``.
    distances : array-like of shape (n, k), optional
        Written below them: the first of what ``kneighbors`` returns.
    ax : Axes, optional

    Returns
    -------
    Axes
        `ax.images` holds the images drawn, row by row, the query first.

    Raises
    ------
    SpmError
        For another number of rows than queries, a position that is none, or other shapes of distances.
    ImageError
        If an image cannot be used.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib, numpy as np
    >>> import spm
    >>> from sklearn.neighbors import NearestNeighbors
    >>> matplotlib.use("Agg")
    >>> images = np.random.default_rng(0).integers(0, 256, (6, 32, 48), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=0)
    >>> search = NearestNeighbors(n_neighbors=3, metric="cityblock").fit(vec.fit_transform(images))
    >>> distances, positions = search.kneighbors(vec.transform(images[:2]))
    >>> positions[:, 0].tolist(), len(spm.plots.neighbours(images[:2], images, positions, distances).images)
    ([0, 1], 8)
    """
    queries, images = check_images(queries), check_images(images)
    rows = [np.asarray(row, dtype=np.int64) for row in positions]
    texts = [[""] * len(row) for row in rows]
    if distances is not None:
        texts = [[f"{value:.3g}" for value in row] for row in distances]
    if len(rows) != len(queries) or [len(row) for row in rows] != [len(row) for row in texts]:
        raise SpmError(
            f"positions must have one row for each of the {len(queries)} queries, and distances the same shape, got "
            f"rows of {[len(row) for row in rows]} positions and {[len(row) for row in texts]} distances"
        )
    if any(len(row) and not 0 <= row.min() <= row.max() < len(images) for row in rows):
        raise SpmError(f"positions must lie in 0..{len(images) - 1}, those of the images")
    columns = 1 + max((len(row) for row in rows), default=0)
    ax = take_axes(ax, size=(0.95 * (columns + 0.2), 0.95 * ROW * len(rows) + 0.3))[0, 0]
    for down, query, row, told in zip(ROW * np.arange(len(rows)), queries, rows, texts, strict=True):
        _draw_small(ax, query, 0.0, down)
        for across, (position, text) in enumerate(zip(row.tolist(), told, strict=True)):
            _draw_small(ax, images[position], across + 1.2, down)
            ax.text(across + 1.65, down + 0.93, text, ha="center", va="top", fontsize="x-small")
    ax.set(xlim=(-0.05, columns + 0.2), ylim=(ROW * len(rows), -0.3), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.text(0.45, -0.05, "image", ha="center", fontsize="small")
    ax.text(1.2 + (columns - 1.1) / 2, -0.05, "nearest", ha="center", fontsize="small")
    return ax


def _draw_small(ax: Any, image: Any, x: float, y: float) -> None:
    """Draw an image small, within a square of 0.9 at x and y."""
    pixels = read_image(image)
    step = max(1, max(pixels.shape[:2]) // THUMBNAIL)
    small = _shrunk(pixels, step)
    height, width = 0.9 * np.array(pixels.shape[:2]) / max(pixels.shape[:2])
    left, top = x + (0.9 - width) / 2, y + (0.9 - height) / 2
    ax.imshow(small, extent=(left, left + width, top + height, top), interpolation="antialiased")


def _shrunk(pixels: np.ndarray, step: int) -> np.ndarray:
    """Return the means of blocks of pixels, those at the edges left out."""
    rows, columns = pixels.shape[0] // step, pixels.shape[1] // step
    blocks = pixels[: rows * step, : columns * step].reshape(rows, step, columns, step, -1)
    return blocks.mean(axis=(1, 3)).astype(np.uint8)
