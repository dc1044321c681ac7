"""Several vectorizers side by side: an image or its regions in, their vectors joined out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from joblib import parallel_config
from sklearn.pipeline import FeatureUnion

from .._tools.public import public
from ..errors import check_part


@public("spm.detection")
class RegionUnion(FeatureUnion):
    """Vectorizers whose vectors are joined, for images as for their regions, such as the maps of two networks.

    scikit-learn's `FeatureUnion` of `PyramidVectorizer`, each with its own features, pyramid and norm, that also
    describes regions: what a detector takes as its `vectorizer`. Every image is described and encoded once by each.

    Parameters
    ----------
    transformer_list : list of (str, PyramidVectorizer)
    n_jobs : int or None
        Of what is done for each part by itself.
    transformer_weights : dict of str to float, optional
        What the vectors of each are multiplied by. Networks differ in the size of their values; machines and heads see
        most what is largest.
    verbose : bool, default=False
    verbose_feature_names_out : bool, default=True

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> from spm.detection import RegionUnion
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 48), dtype=np.uint8)
    >>> fine = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(2,), pool="mean"), norm=None)
    >>> words = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=0)
    >>> both = RegionUnion([("fine", fine), ("words", words)]).fit(images)
    >>> both.transform_regions(images[0], [[0, 0, 32, 32], [8, 8, 40, 32]]).shape
    (2, 617)
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> RegionUnion:
        """Fit every part.

        Raises
        ------
        SpmError
            If a part describes no regions.
        """
        for _, part in self.transformer_list:
            check_part("vectorizer", part)
        with parallel_config("threading"):
            super().fit(X, y, **params)
        return self

    @property
    def parts(self) -> list[Any]:
        """The vectorizers."""
        return [part for _, part in self.transformer_list]

    @property
    def n_features_out_(self) -> int:
        """The length of a vector."""
        return sum(part.n_features_out_ for part in self.parts)

    def encode_views(self, image: Any) -> list[Any]:
        """Return of each view of the image the layers of all parts, as `PyramidVectorizer.encode_views` has them."""
        of_parts = (part.encode_views(image) for part in self.parts)
        return [list(chain.from_iterable(layers)) for layers in zip(*of_parts, strict=True)]

    def transform_regions(self, image: Any, boxes: Any, views: Sequence[Any] | None = None) -> np.ndarray:
        """Return one vector for every box of one image: shape (n_boxes, n_features_out_), float32."""
        none = np.empty((0, self.n_features_out_), dtype=np.float32)
        return np.concatenate([none, *self.stream_regions(image, boxes, views)])

    def stream_regions(self, image: Any, boxes: Any, views: Sequence[Any] | None = None) -> Iterator[np.ndarray]:
        """Yield what `transform_regions` returns in parts, so that all are never held."""
        views = self.encode_views(image) if views is None else views
        streams, layer = [], 0
        for part in self.parts:
            end = layer + len(part.layers_)
            streams.append(part.stream_regions(image, boxes, [view[layer:end] for view in views]))
            layer = end
        weights = self.transformer_weights or {}
        factors = [np.float32(weights.get(name, 1)) for name, _ in self.transformer_list]
        for some in zip(*streams, strict=True):
            yield np.concatenate([own * factor for own, factor in zip(some, factors, strict=True)], axis=1)
