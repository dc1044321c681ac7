"""Several roads at once: images in, the sum of the kernels of several vectorizers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import TransformerMixin, clone
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted

from .errors import SpmError, check_choice, check_number
from .images import check_images
from .kernels import KERNELS, evaluate_kernel


class KernelSum(TransformerMixin, _BaseComposition):
    """The weighted sum of the kernels of several vectorizers, as columns against the training images.

    In front of ``KernelSVC(kernel="precomputed")`` it makes one classifier of several kinds of features, each with the
    kernel that fits it. Feature vectors are never joined: only one vectorizer's are worked on at a time.

    Parameters
    ----------
    vectorizers : list of (str, vectorizer)
        Such as ``[("words", PyramidVectorizer(...)), ("maps", PyramidVectorizer(...))]``.
    kernels : sequence of {"intersection", "chi2", "linear"} or callable
        One for each vectorizer.
    weights : sequence of float, optional
        One for each vectorizer, at least 0; by default all 1.
    n_jobs : int or None
        Threads of the kernels, as joblib means it.

    Attributes
    ----------
    vectorizers_ : list of fitted clones
    vectors_ : list of ndarray
        The training vectors of each.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (6, 32, 48), dtype=np.uint8)
    >>> words = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=0)
    >>> means = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1,), pool="mean"), norm="l2")
    >>> both = spm.KernelSum([("words", words), ("means", means)], kernels=["intersection", "linear"])
    >>> gram = both.fit_transform(images)
    >>> gram.shape, np.diag(gram).round(3).tolist()
    ((6, 6), [2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    """

    def __init__(
        self,
        vectorizers: Sequence[tuple[str, Any]],
        *,
        kernels: Sequence[Any],
        weights: Sequence[float] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.vectorizers = vectorizers
        self.kernels = kernels
        self.weights = weights
        self.n_jobs = n_jobs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the options, and with `deep` those of the vectorizers under their names."""
        return self._get_params("vectorizers", deep=deep)

    def set_params(self, **params: Any) -> KernelSum:
        """Set options, also a vectorizer's by ``name__option``."""
        self._set_params("vectorizers", **params)
        return self

    def fit(self, X: Any, y: Any = None) -> KernelSum:
        """Fit every vectorizer to the images and keep the training vectors."""
        self._fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit, and return the training images' kernel with themselves: shape (n, n), float32."""
        self._fit(X, y)
        return self._sum(self.vectors_)

    def transform(self, X: Any) -> np.ndarray:
        """Return the kernel of the images with the training images: shape (m, n), float32."""
        check_is_fitted(self)
        X = check_images(X)
        return self._sum([vectorizer.transform(X) for vectorizer in self.vectorizers_])

    def _fit(self, X: Any, y: Any) -> None:
        self._check_options()
        X = check_images(X)
        self.vectorizers_ = [clone(vectorizer).fit(X, y) for _, vectorizer in self.vectorizers]
        self.vectors_ = [vectorizer.transform(X) for vectorizer in self.vectorizers_]

    def _check_options(self) -> None:
        self._validate_names([name for name, _ in self.vectorizers])
        if len(self.kernels) != len(self.vectorizers):
            raise SpmError(f"there are {len(self.vectorizers)} vectorizers but {len(self.kernels)} kernels")
        for kernel in self.kernels:
            if not callable(kernel):
                check_choice("each of kernels", kernel, KERNELS)
        weights = [check_number("each of weights", weight, least=0) for weight in self.weights or ()]
        if weights and len(weights) != len(self.vectorizers):
            raise SpmError(f"there are {len(self.vectorizers)} vectorizers but {len(weights)} weights")

    def _sum(self, vectors: list[np.ndarray]) -> np.ndarray:
        total = np.zeros((len(vectors[0]), len(self.vectors_[0])), dtype=np.float32)
        weights = self.weights or [1.0] * len(vectors)
        for weight, kernel, left, right in zip(weights, self.kernels, vectors, self.vectors_, strict=True):
            total += np.float32(weight) * evaluate_kernel(kernel, left, right, n_jobs=self.n_jobs)
        return total

    def check(self, image: Any) -> None:
        """Raise the `ImageError` that this image would raise in `fit` or `transform`."""
        for _, vectorizer in self.vectorizers:
            vectorizer.check(image)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the columns' names: one a training image."""
        check_is_fitted(self)
        return np.array([f"train{i}" for i in range(len(self.vectors_[0]))], dtype=object)
