"""Several roads at once: images in, the sum or the product of the kernels of several vectorizers out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, TypeVar

import numpy as np
from sklearn.base import TransformerMixin, clone
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted

from .._tools.public import public
from ..errors import SpmError, check_choice, check_number
from ..images import check_images, read_image
from ..together import fit_transform_together, transform_together
from .functions import KERNELS, evaluate_kernel

BYTES = 2**28  # of new images' vectors at once
LEAST = 32  # images at once, however long their vectors

Self = TypeVar("Self", bound="KernelCombination")


class KernelCombination(TransformerMixin, _BaseComposition):
    """What the sum and the product of kernels share; the options are those of `KernelSum`."""

    def __init__(
        self, vectorizers: Sequence[tuple[str, Any]], *, kernels: Sequence[Any], n_jobs: int | None = None
    ) -> None:
        self.vectorizers = vectorizers
        self.kernels = kernels
        self.n_jobs = n_jobs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the options, and with `deep` those of the vectorizers under their names."""
        return self._get_params("vectorizers", deep=deep)

    def set_params(self: Self, **params: Any) -> Self:
        """Set options, also a vectorizer's by ``name__option``."""
        self._set_params("vectorizers", **params)
        return self

    def fit(self: Self, X: Any, y: Any = None) -> Self:
        """Fit every vectorizer to the images and keep the training vectors.

        Raises
        ------
        SpmError
            For an unknown kernel, or lists that are not of one length.
        """
        self._fit_with([], X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit, and return the training images' kernel with themselves: shape (n, n), float32."""
        return self._fit_transform_with([], X, y)[0]

    def transform(self, X: Any) -> np.ndarray:
        """Return the kernel of the images with the training images: shape (m, n), float32."""
        check_is_fitted(self)
        return self._transform_with([], X)[0]

    def _shared_key(self) -> Any:
        """Return what others have in common with this one whose parts are used together with its own."""
        return KernelCombination, len(self.vectorizers)

    def _fit_with(self, others: Sequence[KernelCombination], X: Any, y: Any = None) -> list[KernelCombination]:
        """Fit this one and others, each part together with theirs."""
        twins = [self, *others]
        for twin in twins:
            twin._check_options()
        X = check_images(X)
        parts = [[clone(vectorizer) for _, vectorizer in twin.vectorizers] for twin in twins]
        vectors = zip(*(fit_transform_together(alike, X, y) for alike in zip(*parts, strict=True)), strict=True)
        for twin, fitted, own in zip(twins, parts, vectors, strict=True):
            twin.vectorizers_, twin.vectors_ = fitted, list(own)
        return twins

    def _fit_transform_with(self, others: Sequence[KernelCombination], X: Any, y: Any = None) -> list[np.ndarray]:
        return [twin._combine(twin._grams(twin.vectors_)) for twin in self._fit_with(others, X, y)]

    def _transform_with(self, others: Sequence[KernelCombination], X: Any) -> list[np.ndarray]:
        twins = [self, *others]
        X = check_images(X)
        size = max(LEAST, BYTES // sum(vectors[:1].nbytes for twin in twins for vectors in twin.vectors_))
        blocks = []
        for start in range(0, len(X), size):
            block = [X[i] for i in range(start, min(start + size, len(X)))]
            parts = zip(*(twin.vectorizers_ for twin in twins), strict=True)
            vectors = zip(*(transform_together(alike, block) for alike in parts), strict=True)
            blocks.append([twin._combine(twin._grams(own)) for twin, own in zip(twins, vectors, strict=True)])
        return [np.concatenate(grams) for grams in zip(*blocks, strict=True)]

    def _grams(self, vectors: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
        """Yield the kernel of each vectorizer's vectors with its training vectors."""
        for kernel, left, right in zip(self.kernels, vectors, self.vectors_, strict=True):
            yield evaluate_kernel(kernel, left, right, n_jobs=self.n_jobs).astype(np.float32, copy=False)

    def _combine(self, grams: Iterable[np.ndarray]) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define _combine(grams)")

    def _check_options(self) -> None:
        self._validate_names([name for name, _ in self.vectorizers])
        if not len(self.vectorizers) or len(self.kernels) != len(self.vectorizers):
            raise SpmError(
                f"there are {len(self.vectorizers)} vectorizers but {len(self.kernels)} kernels: give one for each"
            )
        for kernel in self.kernels:
            if not callable(kernel):
                check_choice("each of kernels", kernel, KERNELS)

    def check(self, image: Any) -> None:
        """Raise the `ImageError` that this image would raise in `fit` or `transform`."""
        for _, vectorizer in self.vectorizers:
            getattr(vectorizer, "check", read_image)(image)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the columns' names: one a training image."""
        check_is_fitted(self)
        return np.array([f"train{i}" for i in range(len(self.vectors_[0]))], dtype=object)


@public()
class KernelSum(KernelCombination):
    """The weighted sum of the kernels of several vectorizers, as columns against the training images.

    In front of ``KernelSVC(kernel="precomputed")`` it makes one classifier of several kinds of features, each with the
    kernel that fits it. Vectors are never joined. Those of the training images are kept, as each vectorizer makes them
    (``dtype="float16"`` halves long ones); those of new images are made and forgotten some hundred at a time.

    Parameters
    ----------
    vectorizers : list of (str, vectorizer)
        Such as ``[("words", PyramidVectorizer(...)), ("maps", PyramidVectorizer(...))]``; a Pipeline that begins with
        one will do too.
    kernels : sequence of str or callable
        One for each vectorizer: a name in `spm.kernels.KERNELS`, or a function of (A, B).
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
        super().__init__(vectorizers, kernels=kernels, n_jobs=n_jobs)
        self.weights = weights

    def _check_options(self) -> None:
        super()._check_options()
        if self.weights is None:
            return
        weights = [check_number("each of weights", weight, least=0) for weight in self.weights]
        if len(weights) != len(self.vectorizers):
            raise SpmError(
                f"there are {len(self.vectorizers)} vectorizers but {len(weights)} weights: give one for each"
            )

    def _combine(self, grams: Iterable[np.ndarray]) -> np.ndarray:
        weights = [1.0] * len(self.kernels) if self.weights is None else self.weights
        return reduce(np.add, (np.float32(weight) * gram for weight, gram in zip(weights, grams, strict=True)))


@public()
class KernelProduct(KernelCombination):
    """The product of the kernels of several vectorizers, as columns against the training images.

    Two images are alike where every vectorizer finds them so; in the sum any one may. Products of kernels are kernels.
    Options, attributes and use are those of `KernelSum`, without weights: a factor would scale the whole product only.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (6, 32, 48), dtype=np.uint8)
    >>> words = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=0)
    >>> means = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1,), pool="mean"), norm="l2")
    >>> both = spm.KernelProduct([("words", words), ("means", means)], kernels=["intersection", "linear"])
    >>> np.diag(both.fit_transform(images)).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    def _combine(self, grams: Iterable[np.ndarray]) -> np.ndarray:
        return reduce(np.multiply, grams)
