"""Features that are words already: an image in, edge points or census codes out, and the encoder that counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from .._tools.options import Options, check_options, each, number, optional, whole
from .._tools.public import public
from ..errors import SpmError
from ..images import Seen, see_image
from ._sift_loops import BIN
from .dense_sift import N_ORIENTATIONS, gradients
from .local import ExtractorMixin, LocalFeatures, Views

MOST_SCALES = 32  # so that words fit a byte


def edge_points(image: np.ndarray, *, sigmas: Sequence[float], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the points whose gradient in a given direction is over a threshold (Lazebnik 2006, section 4).

    At every scale the image is blurred, and a pixel whose gradient, taken as in `spm.features.dense_sift`, is over the
    threshold is a point for the nearest of 8 directions, o * 45 degrees counter-clockwise from the right.

    Parameters
    ----------
    image : ndarray of shape (h, w), uint8
    sigmas : sequence of float
        The scales: sigmas of the Gaussian blurs, in pixels; 0 for none.
    threshold : float
        In grey levels of 0..1, from one neighbour of a pixel to the other.

    Returns
    -------
    words : ndarray of shape (N,), uint8
        8 * scale + direction.
    points : ndarray of shape (N, 2), float32
        x and y, pixel centres being at +0.5; scale by scale and row by row.

    Examples
    --------
    >>> import numpy as np
    >>> edge = np.uint8([[255, 255, 0, 0]])  # brighter to the left: 4 * 45 degrees
    >>> words, points = edge_points(edge, sigmas=[0], threshold=0.5)
    >>> words, points[:, 0]
    (array([4, 4], dtype=uint8), array([1.5, 2.5], dtype=float32))
    """
    words, points = [], []
    for scale, sigma in enumerate(sigmas):
        magnitude, angle = gradients(image, sigma)
        over = np.flatnonzero(magnitude > threshold)
        nearest = np.rint(angle.ravel()[over] * BIN).astype(np.uint8) % N_ORIENTATIONS
        words.append(nearest + np.uint8(N_ORIENTATIONS * scale))
        y, x = np.divmod(over, image.shape[1])
        points.append(np.stack([x, y], axis=1).astype(np.float32) + np.float32(0.5))
    return np.concatenate(words), np.concatenate(points)


def _check_sigmas(name: str, sigmas: Any) -> Any:
    if np.ndim(sigmas) != 1 or not 0 < len(sigmas) <= MOST_SCALES:
        raise SpmError(f"{name} must be a sequence of 1 to {MOST_SCALES} numbers such as (1.0, 2.0), got {sigmas!r}")
    return each(number(least=0), "(1.0, 2.0)")(name, sigmas)


@public()
class EdgePoints(ExtractorMixin, BaseEstimator):
    """Oriented edge points at several scales: the weak features of Lazebnik 2006, section 4.

    Every feature is one of 8 words for each scale, by the direction in which the image gets brighter; the definition is
    that of `edge_points`. ``FixedVocabulary(n_words=16)`` is the encoder that counts them.

    Parameters
    ----------
    sigmas : sequence of float, default=(1.0, 2.0)
        The scales: sigmas of the Gaussian blurs, in pixels.
    threshold : float, default=0.04
        The least gradient of a point, in grey levels of 0..1, from one neighbour of a pixel to the other.
    max_side : int, optional
        An image whose longer side has more pixels is first shrunk to so many, by averaging areas, as
        `spm.images.see_image` has it. Places stay pixels of the image itself.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> image = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(features=spm.EdgePoints(), encoder=spm.FixedVocabulary(n_words=16))
    >>> vec.fit_transform([image]).shape
    (1, 336)
    """

    _options: ClassVar[Options] = {
        "sigmas": _check_sigmas,
        "threshold": number(above=0),
        "max_side": optional(whole(least=1)),
    }

    def __init__(
        self, *, sigmas: Sequence[float] = (1.0, 2.0), threshold: float = 0.04, max_side: int | None = None
    ) -> None:
        self.sigmas = sigmas
        self.threshold = threshold
        self.max_side = max_side

    def views(self, image: Any) -> Views:
        """Return the one view of an image, of one layer: its edge points.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it; colour is turned to grey.

        Returns
        -------
        list of one tuple of one LocalFeatures
            `values` of shape (N, 1), uint8: each point's word. A blank image has none.

        Raises
        ------
        ImageError
            If the image cannot be read.
        SpmError
            If an option is not valid.
        """
        seen = self._read(image)
        words, points = edge_points(seen.pixels, sigmas=self.sigmas, threshold=self.threshold)
        return [(LocalFeatures.points(words[:, None], seen.places(points), seen.size),)]

    def check(self, image: Any) -> None:
        """Raise the error that `views` would raise, without looking for anything."""
        self._read(image)

    def _read(self, image: Any) -> Seen:
        check_options(self)
        return see_image(image, "grey", max_side=self.max_side)
