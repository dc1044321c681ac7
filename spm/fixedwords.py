"""Features that are words already: an image in, edge points or census codes out, and the encoder that counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from ._opencv import cv2
from .codes import Codes
from .encoders import EncoderMixin
from .errors import SpmError, check_number
from .images import read_image
from .local import ExtractorMixin, LocalFeatures
from .sift import N_ORIENTATIONS, gradients

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))  # down, right; the first bit first


def edge_points(image: np.ndarray, *, sigmas: Sequence[float], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the points whose gradient in a given direction is over a threshold (Lazebnik 2006, section 4).

    At every scale the image is blurred, and a pixel whose gradient, taken as in `spm.sift`, is over the threshold is a
    point for the nearest of 8 directions, o * 45 degrees counter-clockwise from the right.

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
        magnitude, orientation = gradients(image, sigma)
        over = np.flatnonzero(magnitude > threshold)
        nearest = np.rint(orientation.ravel()[over]).astype(np.uint8) % N_ORIENTATIONS
        words.append(nearest + np.uint8(N_ORIENTATIONS * scale))
        y, x = np.divmod(over, image.shape[1])
        points.append(np.stack([x, y], axis=1).astype(np.float32) + np.float32(0.5))
    return np.concatenate(words), np.concatenate(points)


def census_transform(image: np.ndarray) -> np.ndarray:
    """Compare every pixel with its eight neighbours (Wu and Rehg 2011, section 3.1).

    A bit is 1 where the pixel is at least as bright as the neighbour; the bits of the neighbours, left to right and top
    to bottom, are the code's from the highest to the lowest. Pixels along the border have no code.

    Parameters
    ----------
    image : ndarray of shape (h, w), uint8

    Returns
    -------
    ndarray of shape (h - 2, w - 2), or without elements if a side is shorter than 3; uint8

    Examples
    --------
    >>> import numpy as np
    >>> int(census_transform(np.uint8([[32, 64, 96], [32, 64, 96], [32, 32, 96]]))[0, 0]) == 0b11010110
    True
    """
    rows, columns = max(0, image.shape[0] - 2), max(0, image.shape[1] - 2)
    centre = image[1 : 1 + rows, 1 : 1 + columns]
    codes = np.zeros((rows, columns), dtype=np.uint8)
    for down, right in NEIGHBOURS if codes.size else ():
        codes <<= 1
        codes |= centre >= image[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
    return codes


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

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> image = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(features=spm.EdgePoints(), encoder=spm.FixedVocabulary(n_words=16))
    >>> vec.fit_transform([image]).shape
    (1, 336)
    """

    def __init__(self, *, sigmas: Sequence[float] = (1.0, 2.0), threshold: float = 0.04) -> None:
        self.sigmas = sigmas
        self.threshold = threshold

    def extract(self, image: Any) -> LocalFeatures:
        """Return the edge points of one image.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it; colour is turned to grey.

        Returns
        -------
        LocalFeatures
            `values` of shape (N, 1), uint8: each point's word. A blank image has none.

        Raises
        ------
        ImageError
            If the image cannot be read.
        SpmError
            If an option is not valid.
        """
        grey = self._read(image)
        words, points = edge_points(grey, sigmas=self.sigmas, threshold=self.threshold)
        return LocalFeatures(words[:, None], np.hstack([points, points]), grey.shape)

    def check(self, image: Any) -> None:
        """Raise the error that `extract` would raise, without looking for anything."""
        self._read(image)

    def _read(self, image: Any) -> np.ndarray:
        if np.ndim(self.sigmas) != 1 or not 0 < len(self.sigmas) <= 32:
            raise SpmError(f"sigmas must be a sequence of 1 to 32 numbers such as (1.0, 2.0), got {self.sigmas!r}")
        for sigma in self.sigmas:
            check_number("each of sigmas", sigma, least=0)
        check_number("threshold", self.threshold, above=0)
        return read_image(image, "grey")


class CensusTransform(ExtractorMixin, BaseEstimator):
    """The census code of every pixel; counted in a spatial pyramid, CENTRIST (Wu and Rehg 2011).

    Every feature is one of 256 words, as `census_transform` defines them. ``FixedVocabulary(n_words=256)`` is the
    encoder that counts them.

    Parameters
    ----------
    shrink : sequence of int, default=(1,)
        How many times the image is shrunk. Each is a layer of its own: the vectorizer joins their histograms.
    extremes : bool, default=True
        Whether pixels darker than all their neighbours (code 0) and those at least as bright as all (code 255, as in
        blank regions) count.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> image = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(features=spm.CensusTransform(), encoder=spm.FixedVocabulary(n_words=256))
    >>> vec.fit_transform([image]).shape
    (1, 5376)
    """

    def __init__(self, *, shrink: Sequence[int] = (1,), extremes: bool = True) -> None:
        self.shrink = shrink
        self.extremes = extremes

    def extract(self, image: Any) -> LocalFeatures:
        """Return the codes of one image, at the first of the scales.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it; colour is turned to grey.

        Returns
        -------
        LocalFeatures
            `values` of shape (N, 1), uint8: the code of every pixel that is not on the border, row by row; `extents`
            are the pixels' centres in the image before it is shrunk.

        Raises
        ------
        ImageError
            If the image cannot be read.
        SpmError
            If an option is not valid.
        """
        return self._codes(self._read(image), self.shrink[0])

    def views(self, image: Any) -> list[tuple[LocalFeatures, ...]]:
        """Return the image's one view, of one layer for every scale."""
        grey = self._read(image)
        return [tuple(self._codes(grey, times) for times in self.shrink)]

    def check(self, image: Any) -> None:
        """Raise the error that `extract` would raise, without comparing anything."""
        self._read(image)

    def _codes(self, grey: np.ndarray, times: int) -> LocalFeatures:
        height, width = (max(1, round(side / times)) for side in grey.shape)
        small: Any = grey if times == 1 else cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        codes = census_transform(small)
        extents = np.empty((*codes.shape, 4), dtype=np.float32)
        extents[..., 0::2] = (np.arange(codes.shape[1])[:, None] + 1.5) * (grey.shape[1] / width)
        extents[..., 1::2] = (np.arange(codes.shape[0])[:, None, None] + 1.5) * (grey.shape[0] / height)
        values, extents = codes.reshape(-1, 1), extents.reshape(-1, 4)
        if not self.extremes:
            inner = (values[:, 0] != 0) & (values[:, 0] != 255)
            values, extents = values[inner], extents[inner]
        return LocalFeatures(values, extents, grey.shape)

    def _read(self, image: Any) -> np.ndarray:
        if np.ndim(self.shrink) != 1 or len(self.shrink) == 0:
            raise SpmError(f"shrink must be a sequence of whole numbers such as (1, 2), got {self.shrink!r}")
        for times in self.shrink:
            check_number("each of shrink", times, least=1, integer=True)
        return read_image(image, "grey")


class FixedVocabulary(EncoderMixin, BaseEstimator):
    """Count words that need no learning: a feature's one value is its word's number.

    Parameters
    ----------
    n_words : int, default=256
        Size of the vocabulary: 16 for `EdgePoints` at two scales, 256 for `CensusTransform`.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> spm.FixedVocabulary(n_words=4).fit_transform(np.uint8([[3], [0], [3]]))
    array([[0., 0., 0., 1.],
           [1., 0., 0., 0.],
           [0., 0., 0., 1.]], dtype=float32)
    """

    def __init__(self, *, n_words: int = 256) -> None:
        self.n_words = n_words

    def fit(self, X: Any, y: Any = None) -> FixedVocabulary:
        """Check that `X`, of shape (N, 1), holds words; there is nothing to learn.

        Raises
        ------
        SpmError
            If `X` has not one column of whole numbers in 0..n_words - 1.
        """
        check_number("n_words", self.n_words, least=1, integer=True)
        self._check_words(validate_data(self, X, dtype=np.float32, ensure_min_samples=0))
        return self

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of words of shape (N, 1): each counts one.

        Raises
        ------
        SpmError
            If `values` are not words.
        """
        words = self._check_words(values)
        ones = np.ones(words.shape, dtype=np.float32)
        return Codes(words, ones, ones, self.n_words)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the words' names, ``word0`` and on."""
        check_is_fitted(self)
        return np.array([f"word{k}" for k in range(self.n_words)], dtype=object)

    def _check_words(self, values: np.ndarray) -> np.ndarray:
        """Return the words of shape (N, 1), int32."""
        if values.ndim != 2 or values.shape[1] != 1:
            raise SpmError(
                f"FixedVocabulary takes one column, the words' numbers, got an array of shape {values.shape}"
            )
        words = values.astype(np.int32)
        if len(words) and (words.min() < 0 or words.max() >= self.n_words or not np.array_equal(words, values)):
            raise SpmError(
                f"words must be whole numbers in 0..{self.n_words - 1}, got values in {values.min()}..{values.max()}: "
                "give n_words of the features, 8 for each scale of EdgePoints and 256 for CensusTransform"
            )
        return words

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags
