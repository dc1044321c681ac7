"""Figures of verdicts: an image and what a model says of it in, the evidence or the detections over the image out."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._tools.public import public
from ..boxes import check_boxes
from ..errors import SpmError, check_choice, check_number
from ..evidence.voting import Votes, cells_of_pixels, feature_votes, votes
from ..features.local import LocalFeatures
from ..images import read_image
from ._axes import (
    COLOURS,
    as_drawn,
    fit_labels,
    grey_of,
    need,
    outlined,
    panel_size,
    points_of,
    rectangles_of,
    show_grid,
    show_image,
    take_axes,
    text_size,
)

AGAINST_FOR = "PuOr_r"  # purple and orange: apart for all kinds of colour blindness
RIM = 2.5  # pixels of the figure around a name
MOST_NAMES = 8  # one below the other
COVER = 0.8  # how much the strongest vote hides of the image


@public("spm.plots")
def evidence(
    image: Any,
    model: Any,
    label: Any = None,
    *,
    by: str = "cell",
    level: int | None = None,
    n_channels: int = 10,
    ax: Any = None,
) -> np.ndarray:
    """Draw what in an image votes for a class, and what against: where, and which words.

    The votes are exact, those of `spm.evidence.votes`: with the intercept they add up to the decision value in the
    title. Orange is for the class, purple against it; the stronger the colour, the more it counts.

    Parameters
    ----------
    image : path or array
    model : Pipeline
        As `spm.evidence.votes` takes it.
    label : optional
        The class; by default the one predicted.
    by : {"cell", "feature"}, default="cell"
        What is coloured: the pyramid's cells, coarser levels spread over finer ones; or the local features to which
        each cell's votes go back.
    level : int, optional
        Of cells, the only level to draw; by default all.
    n_channels : int, default=10
        Words, or other channels, in the list of those that weigh most.
    ax : array of two Axes, or Axes, optional
        For the picture and the list; for one, the picture alone.

    Returns
    -------
    ndarray of Axes, of shape (2,) or (1,)

    Raises
    ------
    SpmError
        As `spm.evidence.votes` and `spm.evidence.feature_votes` do.
    ImageError
        If the image cannot be used.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib, numpy as np
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> stripes = np.tile(np.uint8([0, 0, 255, 255]), (32, 8))
    >>> model = spm.presets.lazebnik2006(n_words=2, levels=(1, 2), random_state=0)
    >>> axes = spm.plots.evidence(stripes, model.fit([stripes, stripes.T] * 4, ["up", "across"] * 4))
    >>> axes[0].get_title().splitlines()[0]
    'up: 1.00'
    """
    check_choice("by", by, ("cell", "feature"))
    check_number("n_channels", n_channels, least=1, integer=True)
    found = votes(model, image, label)
    shares = [] if by == "cell" else feature_votes(model, image, found.label)
    heat = found.heat(level)
    pixels = read_image(image)
    alone = ax is not None and np.size(ax) == 1
    width, height = panel_size(pixels, side=3.6)
    axes = take_axes(ax, 1, 1 if alone else 2, (width + 0.7, height + 0.3))[0]
    show_image(axes[0], grey_of(pixels))
    bar = _draw_cells(axes[0], heat, found, level) if by == "cell" else _draw_features(axes[0], shares, heat.shape)
    votes_alone, intercept = found.score - found.intercept, found.intercept
    sum_of = f"{_text(votes_alone)} votes {'−' if intercept < 0 else '+'} {abs(intercept):.2f} intercept"
    axes[0].set_title(f"{as_drawn(found.label)}: {_text(found.score)}\n= {sum_of}", fontsize="medium")
    if not alone:
        _draw_list(axes[1], found.largest(n_channels))
    fit_labels(*axes, bar)
    return axes


def _text(value: float) -> str:
    """Return a number with two decimals and a true minus.

    Examples
    --------
    >>> _text(-0.5), _text(-0.001)
    ('−0.50', '0.00')
    """
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _draw_heat(ax: Any, heat: np.ndarray, size: tuple[float, float], quantile: float = 1.0) -> Any:
    """Lay votes over an image, with a bar of colours for what lies on an area of `size`, (height, width) pixels.

    Votes beyond the quantile of all have the strongest colour. Returned are the bar's axes.
    """
    heat = heat * size[0] * size[1]
    reach = max(float(np.quantile(np.abs(heat), quantile)), 1e-12)
    norm = need("matplotlib.colors").Normalize(-reach, reach)
    shades = need("matplotlib").colormaps[AGAINST_FOR]
    colours = shades(norm(heat))
    colours[:, :, 3] = COVER * np.sqrt(np.minimum(np.abs(heat) / reach, 1))
    ax.imshow(colours, extent=(0, heat.shape[1], heat.shape[0], 0), interpolation="nearest")
    mappable = need("matplotlib.cm").ScalarMappable(norm, shades)
    bar = ax.figure.colorbar(mappable, ax=ax, shrink=0.8, extend="neither" if quantile == 1 else "both")
    bar.set_label(f"votes in {size[1]:.0f} × {size[0]:.0f} pixels", fontsize="small")
    bar.ax.tick_params(labelsize="small")
    return bar.ax


def _draw_cells(ax: Any, heat: np.ndarray, found: Votes, level: int | None) -> Any:
    """Draw the votes of cells, and where they can be read their numbers, those of coarser levels shared out.

    Returned are the axes of the bar of colours.
    """
    wanted = slice(None) if level is None else slice(level, level + 1)
    layer = max(found.layers, key=lambda layer: layer.grids[wanted].prod(axis=1).max(initial=0))
    rows, columns = layer.grids[wanted].max(axis=0)
    x0, y0, x1, y1 = layer.region
    height, width = (y1 - y0) / rows, (x1 - x0) / columns
    bar = _draw_heat(ax, heat, (height, width))
    show_grid(ax, layer.region, rows, columns)
    down, across = (cells_of_pixels(heat.shape[k], layer.region, k, n) for k, n in ((0, rows), (1, columns)))
    sums = height * down @ heat @ across.T * width  # (rows, columns)
    room = points_of(ax)
    size = text_size((room[0] * width / heat.shape[1], room[1] * height / heat.shape[0]), 6)
    for (i, j), value in np.ndenumerate(sums) if size else ():
        middle = (x0 + width * (j + 0.5), y0 + height * (i + 0.5))
        ax.text(*middle, _text(value), ha="center", va="center", fontsize=size, path_effects=outlined(2, "white"))
    return bar


def _draw_features(ax: Any, found: list[tuple[LocalFeatures, np.ndarray]], size: tuple[int, ...]) -> Any:
    """Draw each feature's vote spread over its square or cell, by the size of the smallest.

    Returned are the axes of the bar of colours.
    """
    heat = np.zeros(size)
    sides = []
    for local, shares in found:
        rectangles = rectangles_of(local)
        sides += [(y1 - y0, x1 - x0) for x0, y0, x1, y1 in rectangles[:1].tolist()]
        corners = np.rint(rectangles).astype(int).clip(0, np.tile(size[::-1], 2))
        for (x0, y0, x1, y1), share in zip(corners.tolist(), shares.tolist(), strict=True):
            heat[y0:y1, x0:x1] += share / max((y1 - y0) * (x1 - x0), 1)
    return _draw_heat(ax, heat, min(sides, default=(1.0, 1.0)), 0.99)  # single features may stand out by far


def _draw_list(ax: Any, largest: list[tuple[str, float]]) -> None:
    """Draw the words or channels with the largest votes as bars, the largest on top."""
    names, values = [as_drawn(name) for name, _ in largest], np.array([vote for _, vote in largest])
    shades = need("matplotlib").colormaps[AGAINST_FOR]
    ax.barh(range(len(names)), values, color=[shades(0.85 if value > 0 else 0.15) for value in values])
    ax.set_yticks(range(len(names)), names, fontsize="small")
    ax.set(ylim=(len(names) - 0.5, -0.5))
    ax.set_xlabel("votes against and for the class", fontsize="small")
    ax.tick_params(axis="x", labelsize="small")
    ax.locator_params(axis="x", nbins=max(int(points_of(ax)[0] / 40), 2))  # the room of a number at an axis
    ax.axvline(0, color="black", linewidth=0.8)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_title("largest votes", fontsize="medium")


@public("spm.plots")
def detections(image: Any, boxes: Any, scores: Any = None, labels: Any = None, *, ax: Any = None) -> Any:
    """Draw boxes over an image, each with its label and score, a colour for each label.

    Names are placed where they stay inside the image and, as far as there is room, off each other.

    Parameters
    ----------
    image : path or array
    boxes : array-like of shape (n, 4)
        x0, y0, x1, y1 in pixels, half-open.
    scores : array-like of shape (n,), optional
    labels : array-like of shape (n,), optional
    ax : Axes, optional

    Returns
    -------
    Axes
        `ax.patches` holds the boxes, the lowest score first, and `ax.texts` the names, the highest first.

    Raises
    ------
    SpmError
        For malformed boxes, or another number of scores or labels.
    ImageError
        If the image cannot be used.
    MissingDependencyError
        If matplotlib is missing.

    Examples
    --------
    >>> import matplotlib, numpy as np
    >>> import spm
    >>> matplotlib.use("Agg")
    >>> ax = spm.plots.detections(np.zeros((60, 80), np.uint8), [[10, 10, 40, 50]], [0.875], ["cat"])
    >>> ax.texts[0].get_text()
    'cat 0.88'
    """
    boxes = check_boxes(boxes)
    for name, given in (("scores", scores), ("labels", labels)):
        if given is not None and len(given) != len(boxes):
            raise SpmError(f"{name} must have one value for each of the {len(boxes)} boxes, got {len(given)}")
    labels = [""] * len(boxes) if labels is None else [str(label) for label in labels]
    numbers = [""] * len(boxes) if scores is None else [_text(score) for score in scores]
    pixels = read_image(image)
    ax = take_axes(ax, size=panel_size(pixels, side=5.0))[0, 0]
    show_image(ax, pixels)
    colours = {label: COLOURS[k % len(COLOURS)] for k, label in enumerate(sorted(set(labels)))}
    rectangle = need("matplotlib.patches").Rectangle
    order = range(len(boxes)) if scores is None else np.argsort(scores, kind="stable").tolist()
    points_of(ax)  # lays the figure out, so that places of text are known
    taken: list[Any] = []
    for k in order:
        x0, y0, x1, y1 = boxes[k]
        effects = outlined(4, "white")
        style = {"fill": False, "edgecolor": colours[labels[k]], "linewidth": 2, "path_effects": effects}
        ax.add_patch(rectangle((x0, y0), x1 - x0, y1 - y0, **style))
    for k in reversed(order):  # the best scores choose first
        name = as_drawn(f"{labels[k]} {numbers[k]}".strip())
        if name:
            _place_name(ax, name, boxes[k], colours[labels[k]], taken)
    return ax


def _place_name(ax: Any, name: str, box: np.ndarray, colour: str, taken: list[Any]) -> None:
    """Write a name at its box: where it leaves the image and covers other names least, at a corner if it can be."""
    height, width = ax.get_ylim()[0], ax.get_xlim()[1]
    x0, y0, x1, y1 = np.clip(box, 0, (width, height, width, height))
    style = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
    bright = sum(need("matplotlib.colors").to_rgb(colour)) > 1.6
    text = ax.text(x0, y0, name, fontsize="small", color="black" if bright else "white", bbox=style, va="top")
    frame = ax.get_window_extent()
    line = text.get_window_extent().padded(RIM).height * height / frame.height  # in pixels of the image
    tops = [y0 - line, y0, y1 - line, y1, *(y0 + k * line for k in range(1, MOST_NAMES))]
    best, least = (x0, tops[0], "left", frame), np.inf
    for y in tops:
        for x, side in ((x0, "left"), (x1, "right")):
            text.set(position=(x, y), ha=side)
            place = text.get_window_extent().padded(RIM)
            covered = sum(_common(place, other) for other in taken) + place.width * place.height - _common(place, frame)
            if covered < least - 1:
                best, least = (x, y, side, place), covered
    text.set(position=best[:2], ha=best[2])
    taken.append(best[3])


def _common(a: Any, b: Any) -> float:
    """Return the area that two boxes of matplotlib's have in common."""
    width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(width, 0.0) * max(height, 0.0)
