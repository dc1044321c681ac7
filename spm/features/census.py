"""The census transform: an image in, a code for every pixel of how it compares with its neighbours out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from .._tools.opencv import cv2
from .._tools.options import Options, check_options, each, flag, optional, whole
from .._tools.public import public
from ..images import Seen, see_image
from .local import ExtractorMixin, LocalFeatures, Views, points_of_lattice

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))  # down, right; the first bit first


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


@public()
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
    max_side : int, optional
        An image whose longer side has more pixels is first shrunk to so many, by averaging areas, as
        `spm.images.see_image` has it. Places stay pixels of the image itself.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> image = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(features=spm.CensusTransform(), encoder=spm.FixedVocabulary(n_words=256))
    >>> vec.fit_transform([image]).shape
    (1, 5376)
    """

    _options: ClassVar[Options] = {
        "shrink": each(whole(least=1), "(1, 2)"),
        "extremes": flag,
        "max_side": optional(whole(least=1)),
    }

    def __init__(self, *, shrink: Sequence[int] = (1,), extremes: bool = True, max_side: int | None = None) -> None:
        self.shrink = shrink
        self.extremes = extremes
        self.max_side = max_side

    def views(self, image: Any) -> Views:
        """Return the one view of an image: of one layer for every scale.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it; colour is turned to grey.

        Returns
        -------
        list of one tuple of LocalFeatures, one for each scale
            `values` of shape (N, 1), uint8: the code of every pixel that is not on the border, row by row; `extents`
            are the pixels' centres in the image before it is shrunk.

        Raises
        ------
        ImageError
            If the image cannot be read.
        SpmError
            If an option is not valid.
        """
        seen = self._read(image)
        return [tuple(self._codes(seen, times) for times in self.shrink)]

    def check(self, image: Any) -> None:
        """Raise the error that `views` would raise, without comparing anything."""
        self._read(image)

    def _codes(self, seen: Seen, times: int) -> LocalFeatures:
        grey = seen.pixels
        height, width = (max(1, round(side / times)) for side in grey.shape)
        small: Any = grey if times == 1 else cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        codes = census_transform(small)
        ys, xs = ((np.arange(codes.shape[k]) + 1.5) * (seen.size[k] / small.shape[k]) for k in (0, 1))
        values, extents = codes.reshape(-1, 1), points_of_lattice(xs, ys)
        if not self.extremes:
            inner = (values[:, 0] != 0) & (values[:, 0] != 255)
            values, extents = values[inner], extents[inner]
        return LocalFeatures(values, extents, seen.size)

    def _read(self, image: Any) -> Seen:
        check_options(self)
        return see_image(image, "grey", max_side=self.max_side)
