"""What all figures share: axes given or made, images and grids on them, colours and sizes that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .._tools.text import printable
from ..errors import SpmError
from ..errors import need as _need
from ..features.local import LocalFeatures
from ..images import read_image

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
"""Apart for all kinds of colour blindness: those of Okabe and Ito, an ochre in place of their yellow."""

DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))

SMALLEST = 4.0  # points: text below that is left out
SCATTERED = 6.0  # pixels, the side of the square that stands for a point on no lattice
MARK = 7.0  # points, what a point takes
BELOW = 12.0  # points, a line of text below axes
PANEL = 2.6  # inches, the side of one picture in a figure of several

Region = tuple[float, float, float, float]

need = partial(_need, "figures", "matplotlib")


def as_drawn(name: Any) -> str:
    """Return a name, such as that of a class, so that matplotlib draws it as it is, whatever is in it.

    Between two dollar signs it would read mathematics, and leave what begins with ``_`` out of a legend.

    Examples
    --------
    >>> as_drawn("caf\\udce9"), as_drawn("_$1"), as_drawn(7)
    ('caf\\\\udce9', ' _\\\\$1', '7')
    """
    text = printable(name)
    if need("matplotlib").rcParams["text.parse_math"]:
        text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def take_axes(ax: Any, rows: int = 1, columns: int = 1, size: tuple[float, float] = (PANEL, PANEL)) -> np.ndarray:
    """Return axes of shape (rows, columns): those given, or of a new figure with panels of `size` inches.

    Raises
    ------
    SpmError
        For another number of axes, or something that is none.
    """
    if ax is None:
        figsize = (columns * size[0], rows * size[1])
        return need("matplotlib.pyplot").subplots(rows, columns, figsize=figsize, squeeze=False, layout="constrained")[
            1
        ]
    axes = np.array(ax, dtype=object).ravel()
    strange = [type(each).__name__ for each in axes if not hasattr(each, "imshow")]
    if strange or len(axes) != rows * columns:
        wanted = "one matplotlib axes" if rows * columns == 1 else f"{rows} x {columns} matplotlib axes"
        found = strange[0] if strange else f"{len(axes)} axes"
        raise SpmError(f"ax must be {wanted}, got {found}: leave it out for a new figure")
    return axes.reshape(rows, columns)


def panel_size(pixels: np.ndarray, side: float = PANEL) -> tuple[float, float]:
    """Return width and height in inches for a picture of an image, with room for a title."""
    ratio = np.clip(pixels.shape[1] / pixels.shape[0], 0.4, 2.5)
    return side * float(np.sqrt(ratio)), side / float(np.sqrt(ratio)) + 0.3


def grey_of(pixels: np.ndarray) -> np.ndarray:
    """Return pixels in grey, still as RGB: what colours are laid over."""
    return np.repeat(read_image(pixels, "grey")[:, :, None], 3, axis=2)


def show_image(ax: Any, pixels: np.ndarray) -> Any:
    """Draw an image with its pixels' edges on whole numbers, as spm counts coordinates, and no ticks."""
    height, width = pixels.shape[:2]
    ax.set(xticks=[], yticks=[], aspect="equal")
    drawn = ax.imshow(pixels, extent=(0, width, height, 0), interpolation="nearest")
    ax.set(xlim=(0, width), ylim=(height, 0))
    return drawn


def show_grid(ax: Any, region: Region, rows: int, columns: int) -> None:
    """Draw the lines of a grid over its region, light on a dark rim: seen on any image."""
    lines = need("matplotlib.collections").LineCollection
    x0, y0, x1, y1 = region
    across = [[(x0, y), (x1, y)] for y in np.linspace(y0, y1, rows + 1)]
    down = [[(x, y0), (x, y1)] for x in np.linspace(x0, x1, columns + 1)]
    for width, shade in ((2.2, "black"), (1.0, "white")):
        ax.add_collection(lines(across + down, colors=shade, linewidths=width, capstyle="projecting"))


def show_rectangles(ax: Any, rectangles: np.ndarray, colours: np.ndarray) -> Any:
    """Fill rectangles (N, 4), x0, y0, x1, y1, with colours (N, 4), without seams."""
    x0, y0, x1, y1 = rectangles.T
    corners = np.stack([x0, y0, x1, y0, x1, y1, x0, y1], axis=1).reshape(-1, 4, 2)
    collection = need("matplotlib.collections").PolyCollection(
        corners, facecolors=colours, edgecolors="none", antialiased=False
    )
    return ax.add_collection(collection, autolim=False)


def rectangles_of(local: LocalFeatures) -> np.ndarray:
    """Return where local features are drawn, (N, 4) x0, y0, x1, y1 in pixels.

    Those are the cells of a map; of points on a lattice squares as large as its step, of others small ones.

    Examples
    --------
    >>> centres = np.array([[8, 8], [16, 8]], np.float32)
    >>> rectangles_of(LocalFeatures(np.ones((2, 128), np.float32), np.hstack([centres, centres]), grid=(16, 24)))
    array([[ 4.,  4., 12., 12.],
           [12.,  4., 20., 12.]])
    """
    if local.stride is not None:
        across, down = local.stride[1], local.stride[0]
        return local.extents * (across, down, across, down) + np.tile(local.offset[::-1], 2)
    lines = [np.unique(local.extents[:, k]) for k in (0, 1)]
    gaps = np.concatenate([np.diff(line) for line in lines])
    if len(gaps) and len(lines[0]) * len(lines[1]) <= 4 * len(local):
        half = float(np.median(gaps)) / 2
    else:  # points that are on no lattice
        half = SCATTERED / 2
    return local.extents + np.array([-half, -half, half, half])


def show_key(ax: Any, colours: Mapping[str, Any]) -> None:
    """Name colours in a legend below the axes, where it hides nothing."""
    if colours:
        patch = need("matplotlib.patches").Patch
        handles = [patch(color=colour, label=as_drawn(name)) for name, colour in colours.items()]
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4, frameon=False, fontsize=7)


def outlined(width: float = 2.0, colour: str = "white") -> list[Any]:
    """Return the path effect that gives text a rim, so that it can be read on any image."""
    return [need("matplotlib.patheffects").withStroke(linewidth=width, foreground=colour)]


SIDES = ((1, -1), (1, 1), (-1, -1), (-1, 1), (1, -2.2), (1, 2.2), (-1, -2.2), (-1, 2.2), (0, -1.6), (0, 1.6))
"""Where a point's name may stand: right or left of it, below or above, the nearest first."""


def name_points(ax: Any, points: Sequence[tuple[float, float, str, Any]]) -> None:
    """Write names beside points, (x, y, name, colour), where they cover neither each other nor a point.

    A name that fits nowhere inside the axes is left out: names on top of each other tell nothing.
    """
    points_of(ax)  # lays the figure out, so that places are known
    box = need("matplotlib.transforms").Bbox
    places = ax.transData.transform([point[:2] for point in points])
    half = MARK * ax.figure.canvas.figure.dpi / 72 / 2
    taken = [box.from_extents(x - half, y - half, x + half, y + half) for x, y in places]
    for x, y, name, colour in points:
        text = ax.annotate(name, (x, y), (0, 0), textcoords="offset points", fontsize="x-small", color=colour)
        text.set_path_effects(outlined(2, "white"))
        for right, up in SIDES:
            text.set_position((5 * right, 4 * up))
            text.set(ha={1: "left", 0: "center", -1: "right"}[right], va="top" if up < 0 else "bottom")
            place = text.get_window_extent()
            inside = place.x0 > ax.bbox.x0 and place.x1 < ax.bbox.x1 and place.y0 > ax.bbox.y0 and place.y1 < ax.bbox.y1
            if inside and not any(place.overlaps(other) for other in taken):
                taken.append(place)
                break
        else:
            text.remove()


def legend_outside(ax: Any, **style: Any) -> None:
    """Name the lines of axes below them, where a legend covers no point, if the figure makes room and there is some."""
    handles, names = ax.get_legend_handles_labels()
    if not any(names):
        return
    figure = ax.figure.canvas.figure
    width, height = points_of(ax)
    columns = min(2, len(names), int(width / (45 + 4.5 * max(map(len, names)))))  # of a mark and small letters
    if figure.get_layout_engine() is None or not columns or height < BELOW * (len(names) / columns + 8):
        ax.legend(handles, names, framealpha=0.8, **style)
        return
    down = need("matplotlib.transforms").ScaledTranslation(0, -2.9 * BELOW / 72, figure.dpi_scale_trans)
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": ax.transAxes + down}
    ax.legend(handles, names, ncols=columns, frameon=False, borderaxespad=0, **place, **style)


def points_of(ax: Any) -> tuple[float, float]:
    """Return the width and height of axes in points, as they come out after the figure's layout."""
    figure = ax.figure.canvas.figure  # not a subfigure
    figure.draw_without_rendering()
    return extent_of(ax)


def extent_of(ax: Any) -> tuple[float, float]:
    """Return the width and height of axes in points, as they are."""
    box, dpi = ax.get_window_extent(), ax.figure.canvas.figure.dpi
    return box.width * 72 / dpi, box.height * 72 / dpi


def fit_labels(*axes: Any) -> None:
    """Make titles and the names of axes small enough to end where their axes end."""
    points_of(axes[0])
    for ax in axes:
        width, height = extent_of(ax)
        for text, room in ((ax.title, width), (ax.xaxis.label, width), (ax.yaxis.label, height)):
            longest = max(map(len, text.get_text().split("\n")))
            if longest:
                text.set_fontsize(min(text.get_fontsize(), max(SMALLEST, room / (0.58 * longest))))


def text_size(room: tuple[float, float], longest: int, most: float = 9.0) -> float:
    """Return the size in points of text of `longest` letters that fits into `room` points, 0 where none does.

    Examples
    --------
    >>> text_size((30, 20), 3), text_size((6, 6), 3)
    (9.0, 0.0)
    """
    size = min(most, 0.9 * room[0] / (0.62 * max(longest, 1)), 0.75 * room[1])
    return size if size >= SMALLEST else 0.0
