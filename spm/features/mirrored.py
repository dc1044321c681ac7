"""Mirror images: an extractor in, one that sees every image and its mirror image out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from .._tools.estimators import OpenParts
from .._tools.options import Options, check_options, optional, part
from .._tools.public import public
from ..images import Mirror, reading_once
from .dense_sift import DenseSIFT
from .local import ExtractorMixin, Views, fingerprint_of


@public()
class Mirrored(ExtractorMixin, OpenParts):
    """Features of an image and of its mirror image, as views that the vectorizer averages.

    Most classes stay what they are in the mirror, but few training sets show every image from both sides. An image and
    its mirror image have one and the same vector here: each is pooled as it is seen, so that what lies on the left
    counts for the right cells too (Chatfield et al. 2014, "Return of the Devil in the Details", who add mirror images
    to Fisher vectors as to networks). A codebook learns from both. Twice the time, and vectors of the same length.

    Parameters
    ----------
    features : extractor, optional
        By default ``DenseSIFT()``. One that makes several views, such as a `FeatureMap` of several sizes, makes twice
        as many.

    Notes
    -----
    ``FeatureMap(flip=True)`` is another thing: it puts the cells of the mirror image back to where they lie in the
    image, so that left and right remain.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> image = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(features=spm.Mirrored(), encoder=spm.BagOfWords(n_words=5), random_state=0)
    >>> vectors = vec.fit([image]).transform([image, image[:, ::-1]])
    >>> np.allclose(vectors[0], vectors[1], atol=1e-6)
    True
    """

    _defaults: ClassVar = {"features": DenseSIFT}
    _options: ClassVar[Options] = {
        "features": optional(part("features")),
    }

    def __init__(self, features: Any = None) -> None:
        self.features = features

    def views(self, image: Any) -> Views:
        """Return the image's views, then those of the mirror image.

        Raises as `features` does.
        """
        inner = self._inner()
        with reading_once(image):
            seen, mirrored = inner.views(image), inner.views(Mirror(image))
        return [*seen, *(tuple(replace(local, mirrored=True) for local in view) for view in mirrored)]

    def check(self, image: Any) -> None:
        """Raise the error that `views` would raise, at less cost where there is a cheaper way."""
        self._inner().check(image)

    def fingerprint(self) -> Any:
        """Return what the views depend on beside the image."""
        return fingerprint_of(self._inner())

    def _inner(self) -> Any:
        check_options(self)
        return self._defaults["features"]() if self.features is None else self.features
