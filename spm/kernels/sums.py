"""Several roads at once: images in, the sum or the product of the kernels of several vectorizers out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from functools import reduce
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import TransformerMixin, clone
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted

from .._tools.estimators import learns
from .._tools.options import Options, anything, callable_or, check_options, choice, each, number, optional, workers
from .._tools.public import public
from ..errors import SpmError
from ..images import check_images, read_image
from ..pyramid.several import fit_transform_side_by_side, transform_side_by_side
from .table import KERNELS, evaluate_kernel

BYTES = 2**28  # of new images' vectors at once
LEAST = 32  # images at once, however long their vectors

Self = TypeVar("Self", bound="KernelCombination")


class KernelCombination(TransformerMixin, _BaseComposition):
    """What the sum and the product of kernels share; the options are those of `KernelSum`."""

    _options: ClassVar[Options] = {
        "vectorizers": anything,
        "kernels": each(callable_or(choice(KERNELS)), '["intersection", "linear"]'),
        "n_jobs": workers,
    }

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
        self._learn(X, [None], y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit, and return the training images' kernel with themselves: shape (n, n), float32."""
        return self.fit_transform_pyramids(X, [None], y)[0]

    def fit_transform_pyramids(self, X: Any, pyramids: Sequence[Any], y: Any = None) -> list[np.ndarray]:
        """Fit with several pyramids in one pass, and return the training images' kernel with themselves for each.

        Parameters
        ----------
        X : sequence of paths or arrays, or one array of shape (n, h, w) or (n, h, w, 3)
        pyramids : sequence
            Each a SpatialPyramid for all vectorizers; or a sequence of one for each, None standing for a vectorizer's
            own; or None for all their own.
        y : ignored by spm's vectorizers

        Returns
        -------
        list of ndarray of shape (n, n), float32
        """
        self._learn(X, pyramids, y)
        return [self.kernel_of(vectors, vectors) for _, vectors in self.trained_]

    def transform(self, X: Any) -> np.ndarray:
        """Return the kernel of the images with the training images: shape (m, n), float32."""
        return self.transform_pyramids(X, [None])[0]

    def transform_pyramids(self, X: Any, pyramids: Sequence[Any]) -> list[np.ndarray]:
        """Return what `transform` returns with each of the pyramids that `fit_transform_pyramids` was given, or some.

        Raises
        ------
        SpmError
            For a pyramid with which there are no training vectors.
        """
        check_is_fitted(self)
        own = [self._of_parts(pyramid) for pyramid in pyramids]
        trained = [self._training_vectors(pyramids) for pyramids in own]
        X = check_images(X)
        size = max(LEAST, BYTES // sum(vectors[:1].nbytes for parts in trained for vectors in parts))
        blocks = []
        for start in range(0, len(X), size):
            block = [X[i] for i in range(start, min(start + size, len(X)))]
            made = transform_side_by_side(self.vectorizers_, block, list(zip(*own, strict=True)))
            pairs = zip(zip(*made, strict=True), trained, strict=True)
            blocks.append([self.kernel_of(vectors, training) for vectors, training in pairs])
        return [np.concatenate(grams) for grams in zip(*blocks, strict=True)]

    def own_pyramid(self) -> list[Any]:
        """Return the pyramid of each vectorizer; None for a part that has none, such as a Pipeline."""
        return [part.own_pyramid() if hasattr(part, "own_pyramid") else None for _, part in self.vectorizers]

    def roads(self) -> list[tuple[str, Any]]:
        """Return the fitted vectorizers by name: the roads that an image takes.

        Raises
        ------
        SpmError
            If a part is something else, such as a Pipeline, whose values belong to no cells.
        """
        found = []
        for (name, _), fitted in zip(self.vectorizers, self.vectorizers_, strict=True):
            if not hasattr(fitted, "roads"):
                raise SpmError(
                    f"the votes of {name!r} in this {type(self).__name__} are not known: it is a "
                    f"{type(fitted).__name__}, not a PyramidVectorizer, whose values belong to cells"
                )
            found += [(f"{name} {inner}".strip(), road) for inner, road in fitted.roads()]
        return found

    def n_values(self, pyramid: Any = None) -> int | None:
        """Return how many values all vectors of an image have together with a pyramid; None where a part is unknown."""
        check_is_fitted(self)
        own = zip(self.vectorizers_, self._of_parts(pyramid), strict=True)
        lengths = [part.n_values(its) if hasattr(part, "n_values") else None for part, its in own]
        return None if any(length is None for length in lengths) else sum(length or 0 for length in lengths)

    @property
    def vectors_(self) -> list[np.ndarray]:
        """The training vectors of each vectorizer, with the first of the pyramids."""
        return self.trained_[0][1]

    @learns
    def _learn(self, X: Any, pyramids: Sequence[Any], y: Any) -> None:
        """Fit every vectorizer, and keep its training vectors with every pyramid."""
        self._check_options()
        X = check_images(X)
        own = [self._of_parts(pyramid) for pyramid in pyramids]
        parts = [clone(vectorizer) for _, vectorizer in self.vectorizers]
        made = fit_transform_side_by_side(parts, X, list(zip(*own, strict=True)), y)
        self.vectorizers_ = parts
        self.trained_ = [(its, list(vectors)) for its, vectors in zip(own, zip(*made, strict=True), strict=True)]

    def _of_parts(self, pyramid: Any) -> list[Any]:
        """Return the pyramid of each part, where one for all is given, one for each, or None for each one's own."""
        own = self.own_pyramid()
        if pyramid is None or hasattr(pyramid, "cells"):
            pyramid = [pyramid] * len(own)
        if not isinstance(pyramid, Sequence) or len(pyramid) != len(own):
            raise SpmError(f"a pyramid must be one for all {len(own)} vectorizers or one for each, got {pyramid!r}")
        return [mine if given is None else given for mine, given in zip(own, pyramid, strict=True)]

    def _training_vectors(self, pyramids: list[Any]) -> list[np.ndarray]:
        for trained, vectors in self.trained_:
            if repr(trained) == repr(pyramids):
                return vectors
        raise SpmError(
            f"there are no training vectors with {pyramids!r}: give it to fit_transform_pyramids, or fit once more"
        )

    def kernel_of(self, vectors: Sequence[np.ndarray], training: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """Return the kernel of vectors, one array for each vectorizer, with the training vectors: (m, n), float32."""
        return self._combine(self._grams(vectors, self.vectors_ if training is None else training))

    def _grams(self, vectors: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the kernel of each vectorizer's vectors with its training vectors."""
        for kernel, left, right in zip(self.kernels, vectors, training, strict=True):
            yield evaluate_kernel(kernel, left, right, n_jobs=self.n_jobs).astype(np.float32, copy=False)

    def _combine(self, grams: Iterable[np.ndarray]) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define _combine(grams)")

    def _check_options(self) -> None:
        self._validate_names([name for name, _ in self.vectorizers])
        n = len(self.vectorizers)
        for name in ("kernels", "weights"):
            given = getattr(self, name, None)
            if isinstance(given, Sized) and not isinstance(given, str) and (len(given) != n or not n):
                raise SpmError(f"there are {n} vectorizers but {len(given)} {name}: give one for each")
        check_options(self)

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
    trained_ : list of (pyramids, vectors)
        The same for every pyramid that it was fitted with: the pyramid of each vectorizer, and its training vectors.

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

    _options: ClassVar[Options] = {
        **KernelCombination._options,
        "weights": optional(each(number(least=0), "(1.0, 0.5)")),
    }

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

    def road_weights(self) -> list[float]:
        """Return what each vectorizer's kernel counts."""
        return [1.0] * len(self.kernels) if self.weights is None else list(self.weights)

    def _combine(self, grams: Iterable[np.ndarray]) -> np.ndarray:
        pairs = zip(self.road_weights(), grams, strict=True)
        return reduce(np.add, (np.float32(weight) * gram for weight, gram in pairs))


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
