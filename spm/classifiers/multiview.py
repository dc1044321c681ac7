"""Multi-view testing: a trained model and one image at several sizes in, the mean of its windows' scores out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted

from .._tools.estimators import learns
from .._tools.options import Options, anything, check_all_options, check_options, each, flag, progress, whole, workers
from .._tools.parallel import in_order
from .._tools.public import public
from .._tools.settings import as_usual
from ..errors import SpmError
from ..images import check_images, reading_once


def windows(image: tuple[int, int], size: int, window: int) -> np.ndarray:
    """Return the windows of an image at one size: its corners, the middles of its sides and its centre.

    Parameters
    ----------
    image : (int, int)
        Height and width in pixels.
    size : int
        The shorter side of the image as the network sees it.
    window : int
        The side of a window in pixels of the image as the network sees it; at most the whole image is taken.

    Returns
    -------
    ndarray of shape (n, 4), float64; n is 1, 3 or 9
        x0, y0, x1, y1 in pixels of the image itself, each window once.

    Examples
    --------
    >>> windows((224, 324), 224, 224).tolist()
    [[0.0, 0.0, 224.0, 224.0], [50.0, 0.0, 274.0, 224.0], [100.0, 0.0, 324.0, 224.0]]
    >>> len(windows((224, 324), 300, 224))
    9
    """
    side = window * min(image) / size
    starts = [np.unique(np.maximum([0, (length - side) / 2, length - side], 0)) for length in image]
    height, width = (min(side, length) for length in image)
    return np.array([[x, y, x + width, y + height] for y in starts[0] for x in starts[1]])


@public()
class MultiViewClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Test an image on many windows of its feature maps (He 2014, section 3.1, "multi-view testing on feature maps").

    The model learns from whole images as it would by itself. To classify, an image is resized to each of `sizes`, its
    map made once a size (and once more mirrored), and from every map nine windows are pooled: corners, middles of the
    sides, centre; three where the window is as high as the image. The scores of all windows are averaged.

    Parameters
    ----------
    estimator : Pipeline
        A vectorizer over a `FeatureMap` and a classifier with a ``decision_function``, such as
        ``spm.presets.spp2014()``.
    sizes : sequence of int, default=(224, 256, 300, 360, 448, 560)
        Shorter sides in pixels; the paper's six make 96 views.
    window : int, default=224
        The side of a window in pixels of the resized image.
    flip : bool, default=True
        Whether mirrored images count as well.
    whole : bool, default=False
        Whether the whole image at each size is one more window.
    n_jobs : int or None
        Images in work at once, as joblib means it.
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.

    Attributes
    ----------
    estimator_ : Pipeline
        The fitted clone.
    classes_ : ndarray of shape (n_classes,)

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
    >>> model = spm.MultiViewClassifier(spm.presets.spp2014(), sizes=(64, 96), window=64)
    >>> model.fit(images, ["a", "a", "b", "b"]).predict(images).shape
    (4,)
    """

    _options: ClassVar[Options] = {
        "estimator": anything,
        "sizes": each(whole(least=1), "(224, 320)"),
        "window": whole(least=1),
        "flip": flag,
        "whole": flag,
        "n_jobs": workers,
        "verbose": progress,
    }

    def __init__(
        self,
        estimator: Any,
        *,
        sizes: Sequence[int] = (224, 256, 300, 360, 448, 560),
        window: int = 224,
        flip: bool = True,
        whole: bool = False,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.estimator = estimator
        self.sizes = sizes
        self.window = window
        self.flip = flip
        self.whole = whole
        self.n_jobs = n_jobs
        self.verbose = verbose

    @learns
    @as_usual
    def fit(self, X: Any, y: Any) -> MultiViewClassifier:
        """Fit the model to whole images.

        Raises
        ------
        SpmError
            For an option that is not valid, or a model that is no vectorizer over a `FeatureMap` and a classifier.
        """
        self._check_options()
        self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_ = self.estimator_[-1].classes_
        return self

    def _check_options(self) -> None:
        check_options(self)
        parts = [part for _, part in getattr(self.estimator, "steps", ())]
        features: Any = getattr(parts[0], "features", None) if parts else None
        sized = hasattr(features, "get_params") and {"size", "flip", "policy"} <= set(features.get_params())
        if len(parts) != 2 or not sized or not hasattr(parts[1], "decision_function"):
            raise SpmError(
                "estimator must be a Pipeline of a vectorizer over a FeatureMap and a classifier with a "
                f"decision_function, such as spm.presets.spp2014(), got {self.estimator!r}"
            )
        check_all_options(self.estimator)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the mean score of all windows: shape (m, n_classes), or (m,) for two classes, float64.

        Raises
        ------
        ImageError
            For an image that cannot be used; the message names the file.
        """
        check_is_fitted(self)
        X = check_images(X)
        work = in_order(self._scores, X, n_jobs=self.n_jobs, label="multi-view", total=len(X), verbose=self.verbose)
        return np.stack(list(work))

    def _scores(self, image: Any) -> np.ndarray:
        vectorizer, classifier = self.estimator_
        vectors = []
        with reading_once(image):
            for size in self.sizes:
                at_size = copy(vectorizer)
                at_size.features_ = clone(vectorizer.features_).set_params(size=size, flip=self.flip, policy="full")
                views = at_size.encode_views(image)
                height, width = views[0][0][0].image_size
                boxes = windows((height, width), size, self.window)
                if self.whole:
                    boxes = np.vstack([boxes, [0, 0, width, height]])
                vectors += [at_size.transform_regions(image, boxes, [view]) for view in views]
        return classifier.decision_function(np.concatenate(vectors)).mean(axis=0)

    def predict(self, X: Any) -> np.ndarray:
        """Return the label of each image: shape (m,)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    def check(self, image: Any) -> None:
        """Raise the `ImageError` that this image would raise in `fit` or `predict`."""
        self.estimator.steps[0][1].check(image)
