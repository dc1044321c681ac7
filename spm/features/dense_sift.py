"""Dense SIFT: an image in, one descriptor for every patch of a regular lattice out, at one scale or several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from .._tools.opencv import cv2
from .._tools.options import Options, check_options, choice, flag, number, one_or_more, optional, whole
from .._tools.public import public
from ..errors import ImageError
from ..images import Seen, name_of, see_image
from ._sift_loops import describe
from .colours import LUMINANCE, channels_of
from .local import ExtractorMixin, LocalFeatures, Views, put_lattice

N_CELLS = 4  # cells along each side of a patch
N_ORIENTATIONS = 8
N_VALUES = N_CELLS * N_CELLS * N_ORIENTATIONS
ROUNDING = 1e-6  # grey levels in 0..1: more than a blur's rounding, at most 3e-7 on blank images


def dense_sift(
    image: np.ndarray,
    *,
    patch_size: int | Sequence[int] = 16,
    step: int = 8,
    smoothing: float = 0.0,
    window: str = "gaussian",
    norm: str = "lowe",
    root: bool = False,
    color: str = "grey",
    contrast_threshold: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Describe every patch of a lattice by SIFT (Lowe 2004, section 6), upright and at given scales.

    Gradients are differences of the two neighbours, of grey levels in 0..1, the border pixels repeated. Each votes,
    weighted by its magnitude, for the two nearest of 8 orientations and, by distance, for the nearest of 4x4 cells;
    votes reach half a cell beyond the patch. The order of a descriptor is cell row, cell column, orientation, and
    orientation o means o * 45 degrees counter-clockwise from the right: OpenCV's order.

    Parameters
    ----------
    image : ndarray of shape (h, w) for "grey" or (h, w, 3), uint8
    patch_size : int or sequence of int
        Side of a patch in pixels, at least 4; a cell is a quarter of it. Several sizes share one lattice of centres,
        that of the smallest, as far as they fit into the image (to half a pixel, if some are odd and some even).
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
    color : {"grey", "rgb", "hsv", "opponent"}
        The channels that are described each by itself, their descriptors side by side; see `spm.features.colours`.
    contrast_threshold : float
        Patches of less contrast become rows of zeros, in all channels. As in VLFeat, contrast is the mean gradient
        of the patch's luminance, nearly: half the descriptor's sum before its norm, over (3/4 patch_size + 1)^2.

    Returns
    -------
    values : ndarray of shape (N, 128) for "grey" or (N, 384), float32
        Scale by scale, and row by row over the lattice. A patch without any gradient is a row of zeros.
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
    sizes: list[Any] = [patch_size] if np.ndim(patch_size) == 0 else list(patch_size)  # type: ignore[arg-type]
    lattices = [[lattice(length, size, step, min(sizes)) for length in image.shape[:2]] for size in sizes]
    ends = np.cumsum([len(tops) * len(lefts) for tops, lefts in lattices])
    channels = channels_of(image, color)
    values = np.empty((ends[-1], len(channels), N_VALUES), dtype=np.float32)
    centres = np.empty((ends[-1], 2), dtype=np.float32)
    for size, (tops, lefts), end in zip(sizes, lattices, ends, strict=True):
        rows = slice(end - len(tops) * len(lefts), end)
        put_lattice(lefts + size / 2, tops + size / 2, centres[rows])
        totals = np.empty((len(channels), rows.stop - rows.start if contrast_threshold > 0 else 0), dtype=np.float32)
        _fill(values[rows], totals, channels, tops, lefts, size, smoothing, window, norm, root)
        if contrast_threshold > 0:
            contrast = LUMINANCE[color] @ totals / (2 * (size * (N_CELLS - 1) / N_CELLS + 1) ** 2)
            values[rows][contrast < contrast_threshold] = 0
    return values.reshape(len(values), len(channels) * N_VALUES), centres


def _fill(
    values: np.ndarray,
    totals: np.ndarray,
    channels: list[np.ndarray],
    tops: np.ndarray,
    lefts: np.ndarray,
    patch_size: int,
    smoothing: float,
    window: str,
    norm: str,
    root: bool,
) -> None:
    """Set the descriptors of one scale, shape (N, C, 128), and their sums before the norm, (C, N) or (C, 0)."""
    first, weights = cell_weights(patch_size, window)
    keep_short = norm == "lazebnik"
    for c, channel in enumerate(channels):
        magnitude, angle = gradients(channel, smoothing * patch_size / N_CELLS)
        describe(magnitude, angle, tops, lefts, first, weights, keep_short, root, c, values, totals[c])


def lattice(length: int, patch_size: int, step: int, smallest: int | None = None) -> np.ndarray:
    """Return the first pixels of the patches along an axis: as many as fit, centred; none if `length` is too short.

    With `smallest`, the patches have their centres where patches of that size would.

    Examples
    --------
    >>> lattice(30, 16, 8)
    array([ 3, 11])
    >>> lattice(30, 8, 8) + 4, lattice(30, 16, 8, smallest=8) + 8  # the centres of both
    (array([ 7, 15, 23]), array([15]))
    """
    smallest = patch_size if smallest is None else smallest
    centred = max(0, length - smallest) % step // 2
    first = (centred + (smallest - patch_size) // 2) % step
    return np.arange(first, length - patch_size + 1, step, dtype=np.int64)


def gradients(image: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return magnitude (grey levels in 0..1) and angle (in radians, 0..2 pi) of every pixel's gradient.

    Both have shape (h, w) and dtype float32. `image` is uint8, or float32 in 0..255; `sigma` is that of a Gaussian blur
    before, in pixels.
    """
    grey: Any = image
    if sigma > 0:
        size = 2 * int(np.ceil(4 * sigma)) + 1
        grey = cv2.GaussianBlur(image.astype(np.float32), (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1, scale=1 / 255, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1, scale=-1 / 255, borderType=cv2.BORDER_REPLICATE)
    magnitude, angle = cv2.cartToPolar(dx, dy)
    if sigma > 0 or image.dtype != np.uint8:
        cv2.threshold(magnitude, ROUNDING, 0, cv2.THRESH_TOZERO, dst=magnitude)
    return magnitude, angle


@lru_cache(maxsize=64)
def cell_weights(patch_size: int, window: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what each pixel along an axis weighs in each of the four cells.

    Returns
    -------
    first : ndarray of shape (4,), int64, not writable
        The first pixel of each cell's support, counted from the patch's first pixel; it may be negative.
    weights : ndarray of shape (4, T), float32, not writable
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
    weights = np.ascontiguousarray(weights, dtype=np.float32)
    first.flags.writeable = weights.flags.writeable = False
    return first, weights


@public()
class DenseSIFT(ExtractorMixin, BaseEstimator):
    """SIFT descriptors of patches on a regular lattice, at one scale or several, of grey levels or colours.

    The definition is that of `dense_sift`; centres are exact, never rounded to pixels. Several sizes of a patch with
    ``smoothing=1/6`` are the PHOW of Bosch, Zisserman and Munoz 2007 and of VLFeat, whose sizes are 16, 24, 32 and 40.

    Parameters
    ----------
    patch_size : int or sequence of int, default=16
        Side of a patch in pixels, at least 4; several give several scales, with the same centres as far as patches
        fit. A scale at which no patch fits into an image gives none there.
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
    color : {"grey", "rgb", "hsv", "opponent"}, default="grey"
        Which channels are described, as VLFeat's PHOW has them; colour makes rows of three descriptors side by side.
    contrast_threshold : float, default=0.0
        Patches of less contrast become rows of zeros. VLFeat's PHOW has 0.005.
    dtype : {"float32", "uint8"}, default="float32"
        ``"uint8"``: 512 times the value, rounded, at most 255, as OpenCV and VLFeat store SIFT; a quarter of the
        memory.
    max_side : int, optional
        An image whose longer side has more pixels is first shrunk to so many, by averaging areas, as
        `spm.images.see_image` has it; patches and steps are pixels of what is left, and places pixels of the image
        itself. VLFeat's application has 480 for the height, ScSPM and LLC 300.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8)
    >>> spm.DenseSIFT(patch_size=16, step=8).extract(image).values.shape
    (63, 128)
    >>> phow = spm.DenseSIFT(patch_size=(16, 24, 32, 40), step=4, smoothing=1 / 6, color="opponent")
    >>> phow.extract(image).values.shape
    (580, 384)
    """

    _options: ClassVar[Options] = {
        "patch_size": one_or_more(whole(least=N_CELLS), "(16, 24)"),
        "step": whole(least=1),
        "smoothing": number(least=0),
        "window": choice(("gaussian", "flat")),
        "norm": choice(("lowe", "lazebnik")),
        "root": flag,
        "color": choice(LUMINANCE),
        "contrast_threshold": number(least=0),
        "dtype": choice(("float32", "uint8")),
        "max_side": optional(whole(least=1)),
    }

    def __init__(
        self,
        *,
        patch_size: int | Sequence[int] = 16,
        step: int = 8,
        smoothing: float = 0.0,
        window: str = "gaussian",
        norm: str = "lowe",
        root: bool = False,
        color: str = "grey",
        contrast_threshold: float = 0.0,
        dtype: str = "float32",
        max_side: int | None = None,
    ) -> None:
        self.patch_size = patch_size
        self.step = step
        self.smoothing = smoothing
        self.window = window
        self.norm = norm
        self.root = root
        self.color = color
        self.contrast_threshold = contrast_threshold
        self.dtype = dtype
        self.max_side = max_side

    def views(self, image: Any) -> Views:
        """Return the one view of an image, of one layer: the descriptors of its patches.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it; turned to grey, or to colour, as `color` asks.

        Returns
        -------
        list of one tuple of one LocalFeatures
            `values` of shape (N, 128), for colour (N, 384), scale by scale and row by row; `extents` are the patches'
            centres in pixels.

        Raises
        ------
        ImageError
            If the image cannot be read, or is smaller than the smallest patch.
        SpmError
            If an option is not valid.
        """
        seen = self._read(image)
        values, centres = dense_sift(seen.pixels, **{name: getattr(self, name) for name in _DESCRIBES})
        if self.dtype == "uint8":
            values = np.minimum(np.rint(512 * values), 255).astype(np.uint8)
        return [(LocalFeatures.points(values, seen.places(centres), seen.size),)]

    def check(self, image: Any) -> None:
        """Raise the error that `views` would raise, without describing anything."""
        self._read(image)

    def _read(self, image: Any) -> Seen:
        """Return what is seen of the image, which at least the smallest patch fits into."""
        check_options(self)
        smallest = int(np.min(self.patch_size))
        seen = see_image(image, "grey" if self.color == "grey" else "rgb", max_side=self.max_side)
        height, width = seen.pixels.shape[:2]
        if min(height, width) < smallest:
            by, otherwise = "", "enlarge the image"
            if seen.size != (height, width):
                by, otherwise = f", {width} x {height} by max_side={self.max_side},", "raise max_side"
            raise ImageError(
                name_of(image),
                f"the image has {seen.size[1]} x {seen.size[0]} pixels{by} but a patch {smallest} x {smallest}: "
                f"{otherwise} or lower patch_size",
            )
        return seen


_DESCRIBES = ("patch_size", "step", "smoothing", "window", "norm", "root", "color", "contrast_threshold")
