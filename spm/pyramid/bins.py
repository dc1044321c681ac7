"""Bins: a feature map's length and a number of bins in, the cells of each bin out, by the right recipe or a wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import check_choice, check_number


def _spp(size: int, n: int) -> np.ndarray:
    i = np.arange(n)
    return np.stack([i * size // n, -(-(i + 1) * size // n)], axis=1)


def _padded(size: int, n: int) -> np.ndarray:
    kernel = -(-size // n)
    padding = (kernel * n - size + 1) // 2
    count = (size + 2 * padding - kernel) // kernel + 1
    start = np.arange(count) * kernel - padding
    return np.clip(np.stack([start, start + kernel], axis=1), 0, size)


def _sliding(size: int, n: int) -> np.ndarray:
    kernel, stride = -(-size // n), max(size // n, 1)
    start = np.arange((size - kernel) // stride + 1) * stride
    return np.stack([start, start + kernel], axis=1)


RECIPES: dict[str, tuple[Callable[[int, int], np.ndarray], str]] = {
    "spp": (_spp, "bin i from floor(i h / n) to ceil((i + 1) h / n)"),
    "padded": (_padded, "kernel = stride = ceil(h / n), padded on both sides"),
    "sliding": (_sliding, "window ceil(h / n), stride floor(h / n), no padding"),
}


def bins(size: int, n: int, recipe: str = "spp") -> np.ndarray:
    """Return which cells of a map each bin covers along one axis.

    Parameters
    ----------
    size : int
        Cells of the map along the axis.
    n : int
        Bins that are wanted.
    recipe : {"spp", "padded", "sliding"}, default="spp"
        ``"spp"``: those of SPP-net's own code (He 2014, section 2.2), of adaptive pooling, and of `SpatialPyramid`.
        The others are widespread and wrong: ``"padded"``, a pooling layer with kernel = stride = ceil(size / n), leaves
        bins of padding alone; ``"sliding"``, kernel ceil(size / n) and stride floor(size / n), gives another number of
        bins, or leaves cells out.

    Returns
    -------
    ndarray of shape (n, 2), int64; of the wrong recipes perhaps another number
        The first cell of each bin and the one behind its last. A bin whose both are equal is empty.

    Raises
    ------
    SpmError
        For a number that is not a positive whole one, or an unknown recipe.

    Examples
    --------
    The paper's own case, 13 cells in 6 bins, and its training size of 180 pixels, 10 cells in 6 bins:

    >>> bins(13, 6).tolist()
    [[0, 3], [2, 5], [4, 7], [6, 9], [8, 11], [10, 13]]
    >>> bins(13, 6, "padded").tolist()
    [[0, 0], [0, 3], [3, 6], [6, 9], [9, 12], [12, 13]]
    >>> len(bins(10, 6, "sliding"))
    9
    """
    check_number("size", size, least=1, integer=True)
    check_number("n", n, least=1, integer=True)
    return RECIPES[check_choice("recipe", recipe, RECIPES)][0](int(size), int(n))


def draw_bins(size: int, n: int) -> str:
    """Draw the bins of every recipe beside each other, a line a bin, with what is wrong about them.

    Examples
    --------
    >>> print(draw_bins(5, 3))
    bin i from floor(i h / n) to ceil((i + 1) h / n): right
      ##...
      .###.
      ...##
    kernel = stride = ceil(h / n), padded on both sides: other bins
      #....
      .##..
      ...##
    window ceil(h / n), stride floor(h / n), no padding: 4 bins instead of 3
      ##...
      .##..
      ..##.
      ...##
    """
    lines = []
    for recipe, (_, title) in RECIPES.items():
        found = bins(size, n, recipe)
        verdict = ", ".join(faults(found, size, n))
        if not verdict:
            verdict = "right" if np.array_equal(found, bins(size, n)) else "other bins"
        lines += [f"{title}: {verdict}", *("  " + "." * a + "#" * (b - a) + "." * (size - b) for a, b in found)]
    return "\n".join(lines)


def faults(found: np.ndarray, size: int, n: int) -> list[str]:
    """Say what is wrong with bins: their number, empty ones, cells in none.

    Examples
    --------
    >>> faults(bins(10, 4, "sliding"), 10, 4)
    ['1 cell in no bin']
    """
    empty = int((found[:, 0] == found[:, 1]).sum())
    left_out = size - len({cell for a, b in found.tolist() for cell in range(a, b)})
    said = [f"{len(found)} bins instead of {n}"] if len(found) != n else []
    said += [f"{empty} empty {'bin' if empty == 1 else 'bins'}"] if empty else []
    return said + ([f"{left_out} {'cell' if left_out == 1 else 'cells'} in no bin"] if left_out else [])
