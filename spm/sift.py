"""Dense SIFT: a grey image in, one descriptor for every patch of a regular lattice out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from sklearn.base import BaseEstimator

from ._opencv import cv2
from .errors import ImageError, SpmError, check_choice, check_number
from .images import name_of, read_image
from .local import ExtractorMixin, LocalFeatures

N_CELLS = 4  # cells along each side of a patch
N_ORIENTATIONS = 8
N_VALUES = N_CELLS * N_CELLS * N_ORIENTATIONS
ROUNDING = 1e-6  # grey levels in 0..1: more than a blur's rounding, at most 3e-7 on blank images


def dense_sift(
    image: np.ndarray,
    *,
    patch_size: int = 16,
    step: int = 8,
    smoothing: float = 0.0,
    window: str = "gaussian",
    norm: str = "lowe",
    root: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Describe every patch of a lattice by SIFT (Lowe 2004, section 6), upright and at one scale.

    Gradients are differences of the two neighbours, of grey levels in 0..1, the border pixels repeated. Each votes,
    weighted by its magnitude, for the two nearest of 8 orientations and, by distance, for the nearest of 4x4 cells;
    votes reach half a cell beyond the patch. The order of a descriptor is cell row, cell column, orientation, and
    orientation o means o * 45 degrees counter-clockwise from the right: OpenCV's order.

    Parameters
    ----------
    image : ndarray of shape (h, w), uint8
    patch_size : int
        Side of a patch in pixels, at least 4; a cell is a quarter of it.
    step : int
        Pixels from one patch to the next. The lattice is centred in the image.
    smoothing : float
        Sigma of a Gaussian blur before the gradients, in cells, cut off at four sigma; 0 for none. After a blur,
        gradients of 1e-6 and less count as zero: they may be rounding alone, and a blank patch would become noise.
    window : {"gaussian", "flat"}
        Whether votes fade from the patch's centre, with a sigma of half the patch.
    norm : {"lowe", "lazebnik"}
        ``"lowe"``: to unit length, clipped at 0.2, to unit length again. ``"lazebnik"``: the same, but only for
        descriptors longer than 1, so that flat patches stay short and are not blown up to noise.
    root : bool
        Take square roots of the values divided by their sum (Arandjelovic and Zisserman 2012, section 2).

    Returns
    -------
    values : ndarray of shape (N, 128), float32
        Row by row over the lattice. A patch without any gradient is a row of zeros.
    centres : ndarray of shape (N, 2), float32
        x and y of the patches' centres, pixel centres being at +0.5.

    Examples
    --------
    >>> import numpy as np
    >>> edge = np.repeat(np.array([0, 255], np.uint8), 8)[:, None] * np.ones(16, np.uint8)
    >>> values, centres = dense_sift(edge, patch_size=16)
    >>> centres
    array([[8., 8.]], dtype=float32)
    >>> np.flatnonzero(values.reshape(16, 8).any(axis=0))  # grey levels rise downwards: 6 * 45 degrees
    array([6])
    """
    height, width = image.shape
    tops, lefts = lattice(height, patch_size, step), lattice(width, patch_size, step)
    magnitude, orientation = gradients(image, smoothing * patch_size / N_CELLS)
    first, weights = cell_weights(patch_size, window)
    values = np.empty((len(tops) * len(lefts), N_VALUES), dtype=np.float32)
    _describe(magnitude, orientation, tops, lefts, first, weights, norm == "lazebnik", root, values)
    centres = np.empty((len(values), 2), dtype=np.float32)
    centres[:, 0] = np.tile(lefts + patch_size / 2, len(tops))
    centres[:, 1] = np.repeat(tops + patch_size / 2, len(lefts))
    return values, centres


def lattice(length: int, patch_size: int, step: int) -> np.ndarray:
    """Return the first pixels of the patches along an axis: as many as fit, centred; none if `length` is too short.

    Examples
    --------
    >>> lattice(30, 16, 8)
    array([ 3, 11])
    """
    room = length - patch_size
    if room < 0:
        return np.empty(0, dtype=np.int64)
    return np.arange(room % step // 2, room + 1, step, dtype=np.int64)


def gradients(image: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return magnitude (grey levels in 0..1) and orientation (in bins of 45 degrees, 0..8) of every pixel's gradient.

    Both have shape (h, w) and dtype float32. `sigma` is that of a Gaussian blur before, in pixels.
    """
    grey: Any = image
    if sigma > 0:
        size = 2 * int(np.ceil(4 * sigma)) + 1
        grey = cv2.GaussianBlur(image.astype(np.float32), (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1, scale=1 / 255, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1, scale=-1 / 255, borderType=cv2.BORDER_REPLICATE)
    magnitude, angle = cv2.cartToPolar(dx, dy)
    if sigma > 0:
        cv2.threshold(magnitude, ROUNDING, 0, cv2.THRESH_TOZERO, dst=magnitude)
    angle *= np.float32(N_ORIENTATIONS / (2 * np.pi))
    return magnitude, angle


def cell_weights(patch_size: int, window: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what each pixel along an axis weighs in each of the four cells.

    Returns
    -------
    first : ndarray of shape (4,), int64
        The first pixel of each cell's support, counted from the patch's first pixel; it may be negative.
    weights : ndarray of shape (4, T), float32
        The weights of the T pixels from there on, T a multiple of four.
    """
    cell = patch_size / N_CELLS
    centres = (np.arange(N_CELLS) + 0.5) * cell
    first = np.floor(centres - cell).astype(np.int64)
    pixels = first[:, None] + np.arange(4 * int(np.ceil((2 * cell + 1) / 4))) + 0.5  # (4, T)
    weights = np.maximum(0, 1 - np.abs(pixels - centres[:, None]) / cell)
    if window == "gaussian":
        weights *= np.exp(-0.5 * ((pixels - patch_size / 2) / (patch_size / 2)) ** 2)
    if not weights[:, -4:].any():
        weights = weights[:, :-4]
    return first, np.ascontiguousarray(weights, dtype=np.float32)


class DenseSIFT(ExtractorMixin, BaseEstimator):
    """SIFT descriptors of patches on a regular lattice, at one scale or several.

    The definition is that of `dense_sift`; centres are exact, never rounded to pixels.

    Parameters
    ----------
    patch_size : int or sequence of int, default=16
        Side of a patch in pixels, at least 4; several give several scales. A scale at which no patch fits into an
        image gives none there.
    step : int, default=8
        Pixels from one patch to the next.
    smoothing : float, default=0.0
        Sigma of a Gaussian blur before the gradients, in cells (quarters of a patch), so that it grows with the
        patches. VLFeat's PHOW has 1/6, OpenCV's SIFT 1.52 pixels for every size.
    window : {"gaussian", "flat"}, default="gaussian"
        Whether votes fade from the patch's centre (Lowe 2004) or count alike (Lazebnik 2006).
    norm : {"lowe", "lazebnik"}, default="lowe"
        ``"lazebnik"`` leaves the descriptors of flat patches short; ``"lowe"`` brings all to unit length.
    root : bool, default=False
        RootSIFT (Arandjelovic and Zisserman 2012).
    dtype : {"float32", "uint8"}, default="float32"
        ``"uint8"``: 512 times the value, rounded, at most 255, as OpenCV and VLFeat store SIFT; a quarter of the
        memory.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8)
    >>> spm.DenseSIFT(patch_size=16, step=8).extract(image).values.shape
    (63, 128)
    """

    def __init__(
        self,
        *,
        patch_size: int | Sequence[int] = 16,
        step: int = 8,
        smoothing: float = 0.0,
        window: str = "gaussian",
        norm: str = "lowe",
        root: bool = False,
        dtype: str = "float32",
    ) -> None:
        self.patch_size = patch_size
        self.step = step
        self.smoothing = smoothing
        self.window = window
        self.norm = norm
        self.root = root
        self.dtype = dtype

    def extract(self, image: Any) -> LocalFeatures:
        """Return the descriptors of one image.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it; colour is turned to grey.

        Returns
        -------
        LocalFeatures
            `values` of shape (N, 128), scale by scale and row by row; `extents` are the patches' centres in pixels.

        Raises
        ------
        ImageError
            If the image cannot be read, or is smaller than the smallest patch.
        SpmError
            If an option is not valid.
        """
        sizes, grey = self._read(image)
        names = ("step", "smoothing", "window", "norm", "root")
        options: dict[str, Any] = {name: getattr(self, name) for name in names}
        scales = [dense_sift(grey, patch_size=size, **options) for size in sizes]
        values, centres = scales[0] if len(scales) == 1 else map(np.concatenate, zip(*scales, strict=True))
        if self.dtype == "uint8":
            values = np.minimum(np.rint(512 * values), 255).astype(np.uint8)
        return LocalFeatures(values, np.hstack([centres, centres]), grey.shape)

    def check(self, image: Any) -> None:
        """Raise the error that `extract` would raise, without describing anything."""
        self._read(image)

    def _read(self, image: Any) -> tuple[list[int], np.ndarray]:
        """Return the patch sizes and the grey image, which at least the smallest patch fits into."""
        sizes = self._check_options()
        grey = read_image(image, "grey")
        height, width = grey.shape
        if min(height, width) < min(sizes):
            raise ImageError(
                name_of(image),
                f"the image has {width} x {height} pixels but a patch {min(sizes)} x {min(sizes)}: "
                "enlarge the image or lower patch_size",
            )
        return sizes, grey

    def _check_options(self) -> list[int]:
        sizes: list[Any] = [self.patch_size] if np.ndim(self.patch_size) == 0 else list(self.patch_size)  # type: ignore
        if not sizes:
            raise SpmError("patch_size must be a whole number or several, got an empty sequence")
        for size in sizes:
            check_number("patch_size", size, least=N_CELLS, integer=True)
        check_number("step", self.step, least=1, integer=True)
        check_number("smoothing", self.smoothing, least=0)
        check_choice("window", self.window, ("gaussian", "flat"))
        check_choice("norm", self.norm, ("lowe", "lazebnik"))
        check_choice("dtype", self.dtype, ("float32", "uint8"))
        return sizes


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _vote(magnitude: np.ndarray, orientation: np.ndarray, y: int, votes: np.ndarray) -> None:
    """Spread the gradients of row `y` over the orientations, into a row of the ring."""
    r = y % len(votes)
    for x in range(magnitude.shape[1]):
        angle = orientation[y, x]
        size = magnitude[y, x]
        for o in range(8):
            distance = abs(angle - np.float32(o))
            distance = min(distance, np.float32(8) - distance)
            votes[r, 8 * x + o] = size * max(np.float32(0), np.float32(1) - distance)


@njit(nogil=True, cache=True)
def _fold(parts: np.ndarray) -> float:
    """Return the sum of 64 numbers, added in one fixed order that vectorises."""
    for half in (32, 16, 8, 4, 2, 1):
        for k in range(half):
            parts[k] += parts[k + half]
    return parts[0]


@njit(nogil=True, cache=True, fastmath={"nsz"})
def _normalise(row: np.ndarray, keep_short: bool, root: bool, parts: np.ndarray) -> None:
    for k in range(64):
        parts[k] = row[k] * row[k] + row[k + 64] * row[k + 64]
    length = np.sqrt(_fold(parts))
    if length > 0 and not (keep_short and length <= 1):
        scale = np.float32(1) / length
        for k in range(128):
            row[k] = min(row[k] * scale, np.float32(0.2))
        for k in range(64):
            parts[k] = row[k] * row[k] + row[k + 64] * row[k + 64]
        scale = np.float32(1) / np.sqrt(_fold(parts))
        for k in range(128):
            row[k] *= scale
    if root and length > 0:
        for k in range(64):
            parts[k] = row[k] + row[k + 64]
        scale = np.float32(1) / _fold(parts)
        for k in range(128):
            row[k] = np.sqrt(row[k] * scale)


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _sum_down(votes: np.ndarray, weights: np.ndarray, i: int, start: int, height: int, line: np.ndarray) -> None:
    """Set `line` to the weighted sum of the rows of votes under one row of cells."""
    kept, support = len(votes), weights.shape[1]
    for k in range(len(line)):
        line[k] = 0
    for t in range(0, support, 4):
        y = start + t
        w0 = weights[i, t] if 0 <= y < height else np.float32(0)
        w1 = weights[i, t + 1] if 0 <= y + 1 < height else np.float32(0)
        w2 = weights[i, t + 2] if 0 <= y + 2 < height else np.float32(0)
        w3 = weights[i, t + 3] if 0 <= y + 3 < height else np.float32(0)
        r0, r1, r2, r3 = y % kept, (y + 1) % kept, (y + 2) % kept, (y + 3) % kept
        for k in range(len(line)):
            line[k] += w0 * votes[r0, k] + w1 * votes[r1, k] + w2 * votes[r2, k] + w3 * votes[r3, k]


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _sum_across(band: np.ndarray, weights: np.ndarray, j: int, x: int, sums: np.ndarray) -> None:
    """Set `sums` to the weighted sum of the columns of `band` under one column of cells."""
    for k in range(32):
        sums[k] = 0
    for t in range(0, weights.shape[1], 4):
        w0, w1, w2, w3 = weights[j, t], weights[j, t + 1], weights[j, t + 2], weights[j, t + 3]
        for k in range(32):
            sums[k] += w0 * band[x + t, k] + w1 * band[x + t + 1, k] + w2 * band[x + t + 2, k] + w3 * band[x + t + 3, k]


@njit(nogil=True, cache=True)
def _describe(
    magnitude: np.ndarray,
    orientation: np.ndarray,
    tops: np.ndarray,
    lefts: np.ndarray,
    first: np.ndarray,
    weights: np.ndarray,
    keep_short: bool,
    root: bool,
    values: np.ndarray,
) -> None:
    """Fill `values`: votes by row, summed down into rows of cells, then across into cells.

    `votes` holds the rows of votes that one row of patches needs, as a ring, and `band` the votes of its four rows of
    cells side by side: (x, cell row, orientation), with a margin of zeros where supports leave the image.
    """
    height, width = magnitude.shape
    support = weights.shape[1]
    kept = first[3] + support - first[0]
    votes = np.zeros((kept, 8 * width), dtype=np.float32)
    line = np.empty(8 * width, dtype=np.float32)
    band = np.zeros((width + 2 * support, 32), dtype=np.float32)
    sums = np.empty(32, dtype=np.float32)
    row = np.empty(128, dtype=np.float32)
    parts = np.empty(64, dtype=np.float32)
    voted = 0
    for p in range(len(tops)):
        start = tops[p] + first[0]
        for y in range(max(voted, start), min(height, start + kept)):
            _vote(magnitude, orientation, y, votes)
            voted = y + 1
        for i in range(4):
            _sum_down(votes, weights, i, tops[p] + first[i], height, line)
            for x in range(width):
                for o in range(8):
                    band[support + x, 8 * i + o] = line[8 * x + o]
        for q in range(len(lefts)):
            for j in range(4):
                _sum_across(band, weights, j, support + lefts[q] + first[j], sums)
                for i in range(4):
                    for o in range(8):
                        row[8 * (4 * i + j) + o] = sums[8 * i + o]
            _normalise(row, keep_short, root, parts)
            for k in range(128):
                values[p * len(lefts) + q, k] = row[k]
