"""The road itself: images in, one vector each out, whichever way their local features are made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ._tools.parallel import in_order, single_threaded
from ._tools.public import public
from .encoders.base import seed_if_unset
from .encoders.codes import Codes
from .errors import PARTS, SpmError, check_choice, check_number, check_part
from .features.cache import Views, remembered_views
from .features.dense_sift import DenseSIFT
from .features.local import LocalFeatures
from .images import check_images
from .pyramid.norms import check_norm, normalise
from .pyramid.pyramid import POOLS, SpatialPyramid, pool_together

MOST_PER_TASK, TASKS = 8, 64  # images in one task at most, and tasks at least where there are so many images
LEAST_PER_IMAGE = 200  # descriptors worth opening an image for


@public()
class PyramidVectorizer(TransformerMixin, BaseEstimator):
    """Turn images into vectors: local features, codes, spatial pyramid, normalisation.

    To images what `sklearn.feature_extraction.text.CountVectorizer` is to text. Images are streamed: one is read,
    turned into its vector and forgotten, so memory does not grow with their number. In order: the pyramid pools the
    codes, unweighted; the encoder finishes each cell; `norm`; the levels' weights.

    Parameters
    ----------
    features : extractor, optional
        Makes the local features. By default ``DenseSIFT()``.
    encoder : encoder, optional
        Turns each local feature into a code, such as ``BagOfWords()``. By default none: the features themselves are
        pooled, which is what the cells of a CNN want.
    pyramid : SpatialPyramid, optional
        By default ``SpatialPyramid()``.
    reduce : transformer, optional
        Fitted on the sampled descriptors and applied before the encoder, such as ``PCA(64)``.
    append_xy : bool, default=False
        Whether each descriptor is given its place, after `reduce`: x / width - 1/2 and y / height - 1/2 of its centre.
        With an encoder it stands for a pyramid, or goes beside one (Sanchez 2012, section 3; VLFeat's "xy").
    norm : {"l1", "l2", "power"}, a tuple of these, or None, default="l1"
        Applied in order. l1 divides by the sum of absolute values over the number of levels.
    norm_over : {"vector", "cell"}, default="vector"
        What is normalised: the whole vector, or each cell by itself.
    sample_size : int, default=50_000
        Descriptors, at most, that `reduce` and `encoder` learn from.
    sample_per_image : int, optional
        Descriptors, at most, from one image. By default as many as it takes to reach `sample_size` with all images,
        and 200 at least, so that of many images only some are opened.
    dtype : {"float32", "float16"}, default="float32"
        Of the vectors that `transform` returns; float16 holds long ones, such as Fisher vectors, in half the memory.
    memory : joblib.Memory or path, optional
        Where to keep local features between fits. An entry is found again by the file's bytes, the extractor's
        options (its ``fingerprint()``, if it has one) and the versions of spm and OpenCV, never by the file's name.
    n_jobs : int or None
        Workers, as joblib means it: threads, unless the caller's ``joblib.parallel_config`` says otherwise.
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.
    random_state : int, RandomState or None
        Draws the sample, and seeds the nested parts whose own is None.

    Attributes
    ----------
    encoders_, reducers_ : list
        The fitted clones, one for every layer of the features (one for SIFT), or None each.
    encoder_, reduce_
        Those of the first layer.
    pyramid_ : SpatialPyramid
        The fitted clone.
    value_weights_ : ndarray of shape (n_features_out_,), float32
        What each value counts: the weight of its level.
    n_features_out_ : int
        Length of a vector.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 48), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=0)
    >>> vec.fit_transform(images).shape
    (4, 105)
    """

    def __init__(
        self,
        *,
        features: Any = None,
        encoder: Any = None,
        pyramid: SpatialPyramid | None = None,
        reduce: Any = None,
        append_xy: bool = False,
        norm: str | Sequence[str] | None = "l1",
        norm_over: str = "vector",
        sample_size: int = 50_000,
        sample_per_image: int | None = None,
        dtype: str = "float32",
        memory: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.features = features
        self.encoder = encoder
        self.pyramid = pyramid
        self.reduce = reduce
        self.append_xy = append_xy
        self.norm = norm
        self.norm_over = norm_over
        self.sample_size = sample_size
        self.sample_per_image = sample_per_image
        self.dtype = dtype
        self.memory = memory
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> PyramidVectorizer:
        """Learn the vocabulary from a sample of the images' descriptors.

        Parameters
        ----------
        X : sequence of paths or arrays, or one array of shape (n, h, w) or (n, h, w, 3)
        y : ignored

        Raises
        ------
        ImageError
            For an image that cannot be used; the message names the file.
        SpmError
            For an option that is not valid, or too few descriptors for the encoder.
        """
        self._check_options()
        X = check_images(X)
        random = check_random_state(self.random_state)
        self.features_ = self._extractor()
        layers = self._sample(X, random)  # the descriptors of each layer, and their places
        self.reducers_, self.encoders_, self.widths_ = [], [], []
        for values, places in layers:
            reducer = self._fit_part(self.reduce, values, random, n_jobs=self.n_jobs)
            values = self._described(values, places, reducer)
            self.reducers_.append(reducer)
            encoder = self._fit_part(self.encoder, values, random, n_jobs=self.n_jobs, verbose=self.verbose)
            self.encoders_.append(encoder)
            self.widths_.append(values.shape[1] if encoder is None else len(encoder.get_feature_names_out()))
        self._lay_pyramid()
        return self

    def _lay_pyramid(self) -> None:
        """Fit the pyramid over what was learned: nothing but this depends on it."""
        self.pyramid_ = SpatialPyramid() if self.pyramid is None else clone(self.pyramid)
        cells = self.pyramid_.cell_weights().astype(np.float32)
        self.value_weights_ = np.concatenate([np.repeat(cells, width) for width in self.widths_])
        self.n_features_out_ = len(self.value_weights_)

    def check(self, image: Any) -> None:
        """Raise the `ImageError` that this image would raise in `fit` or `transform`; nothing is learned or kept."""
        self._extractor().check(image)

    def _extractor(self) -> Any:
        return DenseSIFT() if self.features is None else clone(self.features)

    def _check_options(self) -> None:
        check_norm(self.norm)
        check_choice("norm_over", self.norm_over, ("vector", "cell"))
        check_choice("dtype", self.dtype, ("float32", "float16"))
        check_number("sample_size", self.sample_size, least=1, integer=True)
        if self.sample_per_image is not None:
            check_number("sample_per_image", self.sample_per_image, least=1, integer=True)
        if not (self.memory is None or isinstance(self.memory, str | os.PathLike) or hasattr(self.memory, "cache")):
            raise SpmError(f"memory must be a path or a joblib.Memory, got {self.memory!r}")
        for name in PARTS:
            if getattr(self, name) is not None:
                check_part(name, getattr(self, name))
        if self.pyramid is not None:
            self.pyramid.level_weights()
            check_choice("pool", self.pyramid.pool, POOLS)

    def _fit_part(self, part: Any, values: np.ndarray, random: np.random.RandomState, **shared: Any) -> Any:
        """Return a fitted clone that takes over the seed and those `shared` options that it leaves open."""
        if part is None:
            return None
        fitted = clone(part)
        seed_if_unset(fitted, random.randint(2**31 - 1))
        options = fitted.get_params(deep=False)
        unset = [name for name in shared if name in options and (options[name] is None or options[name] is False)]
        fitted.set_params(**{name: shared[name] for name in unset})
        with single_threaded():  # the number of threads can change the last bits
            return fitted.fit(values)

    def _described(self, values: np.ndarray, places: np.ndarray, reducer: Any) -> np.ndarray:
        """Return descriptors as the encoder takes them: reduced, and with their places."""
        values = values if reducer is None else reducer.transform(values)
        return np.hstack([values, places]) if self.append_xy else values

    def _sample(self, X: Sequence[Any], random: np.random.RandomState) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return each layer's descriptors of randomly chosen images, and their places, in the order of the images."""
        learns = self.encoder is not None or self.reduce is not None
        per_image = self.sample_per_image or max(LEAST_PER_IMAGE, -(-self.sample_size // len(X)))
        n_images = min(len(X), -(-self.sample_size // per_image)) if learns else 1
        chosen = np.sort(random.permutation(len(X))[:n_images])
        tasks = [(X[i], int(seed)) for i, seed in zip(chosen, random.randint(2**31 - 1, size=n_images), strict=True)]
        draw = partial(self._draw, count=min(per_image, self.sample_size))
        drawn = list(self._in_order(draw, tasks, "sampling"))
        layers = [[np.concatenate(arrays) for arrays in zip(*layer, strict=True)] for layer in zip(*drawn, strict=True)]
        order = random.permutation(max(len(values) for values, _ in layers))
        rows = [np.sort(order[order < len(values)][: self.sample_size]) for values, _ in layers]
        return [(values[kept], places[kept]) for (values, places), kept in zip(layers, rows, strict=True)]

    def _draw(self, task: tuple[Any, int], count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return at most `count` random descriptors of each layer of one image, and their places."""
        image, seed = task
        random = np.random.RandomState(seed)
        drawn = []
        for layer in zip(*self._views(image), strict=True):  # the layer's views
            values = np.concatenate([local.values for local in layer])
            kept = np.sort(random.permutation(len(values))[:count])
            drawn.append((values[kept], np.concatenate([_places(local) for local in layer])[kept]))
        return drawn

    def _views(self, image: Any) -> Views:
        return remembered_views(self.features_, image, self.memory)

    def transform(self, X: Any) -> np.ndarray:
        """Return one vector for every image.

        Parameters
        ----------
        X : sequence of paths or arrays, or one array of shape (n, h, w) or (n, h, w, 3)

        Returns
        -------
        ndarray of shape (n, n_features_out_), of type `dtype`

        Raises
        ------
        ImageError
            For an image that cannot be used; the message names the file.
        """
        check_is_fitted(self)
        return self._transform_with([], X)[0]

    def transform_pyramids(self, X: Any, pyramids: Sequence[SpatialPyramid]) -> list[np.ndarray]:
        """Return what `transform` would return with each of several pyramids, in one pass.

        What is learned does not depend on the pyramid, and every image is described and encoded once; levels that
        pyramids have in common are pooled once.

        Parameters
        ----------
        X : sequence of paths or arrays, or one array of shape (n, h, w) or (n, h, w, 3)
        pyramids : sequence of SpatialPyramid

        Returns
        -------
        list of ndarray of shape (n, length with that pyramid), of type `dtype`

        Raises
        ------
        ImageError
            For an image that cannot be used; the message names the file.
        SpmError
            For a pyramid with an option that is not valid.

        Examples
        --------
        >>> import numpy as np
        >>> import spm
        >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 48), dtype=np.uint8)
        >>> vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=0).fit(images)
        >>> sweep = [spm.SpatialPyramid(levels=levels) for levels in [(1,), (2,), (1, 2)]]
        >>> [vectors.shape for vectors in vec.transform_pyramids(images, sweep)]
        [(4, 5), (4, 20), (4, 25)]
        """
        check_is_fitted(self)
        if not isinstance(pyramids, Sequence):
            raise SpmError(f"pyramids must be a sequence of SpatialPyramid, got {pyramids!r}")
        twins = [clone(self).set_params(pyramid=pyramid)._learn_from(self) for pyramid in pyramids]
        return twins[0]._transform_with(twins[1:], X) if twins else []

    def _shared_key(self) -> Any:
        """Return what vectorizers have in common whose images are described and encoded once: all but the pyramid."""
        import joblib

        if self.__sklearn_is_fitted__():
            return id(self.encoders_)
        return joblib.hash(clone(self).set_params(pyramid=None))

    def _learn_from(self, other: PyramidVectorizer) -> PyramidVectorizer:
        """Take over what another has learned that differs in its pyramid alone."""
        self._check_options()
        self.features_, self.widths_ = other.features_, other.widths_
        self.reducers_, self.encoders_ = other.reducers_, other.encoders_
        self._lay_pyramid()
        return self

    def _fit_transform_with(self, others: Sequence[PyramidVectorizer], X: Any, y: Any = None) -> list[np.ndarray]:
        """Fit this one and hand what it learned to others of the same `_shared_key`; return the vectors of each."""
        self.fit(X, y)
        return self._transform_with([other._learn_from(self) for other in others], X)

    def _transform_with(self, others: Sequence[PyramidVectorizer], X: Any) -> list[np.ndarray]:
        """Return the vectors by this one and by others that share what it learned."""
        twins = [self, *others]
        X = check_images(X)
        kept = [np.empty((len(X), twin.n_features_out_), dtype=twin.dtype) for twin in twins]
        for i, vectors in enumerate(self._in_order(partial(self._vectors, twins=twins), X, "vectors")):
            for own, vector in zip(kept, vectors, strict=True):
                own[i] = vector
        return kept

    def _vectors(self, image: Any, twins: Sequence[PyramidVectorizer]) -> list[np.ndarray]:
        return [vectors[0] for vectors in self._vectors_of(self._views(image), None, twins)]

    def transform_regions(self, image: Any, boxes: Any) -> np.ndarray:
        """Return one vector for every box of one image, whose features are extracted and encoded once.

        Parameters
        ----------
        image : path or array
        boxes : array-like of shape (n_boxes, 4)
            x0, y0, x1, y1 in pixels, half-open.

        Returns
        -------
        ndarray of shape (n_boxes, n_features_out_), float32
            A box over the whole image has the image's own vector.

        Raises
        ------
        SpmError
            For a malformed box, or one that lies wholly outside the image.
        """
        check_is_fitted(self)
        return self._vectors_of(self._views(image), boxes, [self])[0]

    def transform_views(self, image: Any, boxes: Any = None) -> np.ndarray:
        """Return what `transform` and `transform_regions` average: a vector for each view by itself.

        Parameters
        ----------
        image : path or array
        boxes : array-like of shape (n_boxes, 4), optional
            As for `transform_regions`; by default the whole image.

        Returns
        -------
        ndarray of shape (n_views, n_boxes or 1, n_features_out_), float32
            Views as the extractor has them, such as the sizes of a `FeatureMap`, each with its mirror image.
        """
        check_is_fitted(self)
        return np.stack([self._vectors_of([view], boxes, [self])[0] for view in self._views(image)])

    def _vectors_of(self, views: Views, boxes: Any, twins: Sequence[PyramidVectorizer]) -> list[np.ndarray]:
        """Return the vectors of the image's regions, shape (n_regions, n_features_out_), by each of the twins."""
        layers = []
        for layer, (reducer, encoder) in enumerate(zip(self.reducers_, self.encoders_, strict=True)):
            pooled = (self._pool_layer(view[layer], reducer, encoder, boxes, twins) for view in views)
            layers.append([_mean(cells) for cells in zip(*pooled, strict=True)])
        return [twin._joined(cells) for twin, cells in zip(twins, zip(*layers, strict=True), strict=True)]

    def _pool_layer(
        self, local: LocalFeatures, reducer: Any, encoder: Any, boxes: Any, twins: Sequence[PyramidVectorizer]
    ) -> list[np.ndarray]:
        """Return each twin's cells of one layer of one view: (n_regions, n_cells, D)."""
        values = self._described(local.values, _places(local), reducer)
        codes = Codes.plain(values) if encoder is None else encoder.encode(values)
        pooled = pool_together([twin.pyramid_ for twin in twins], local, boxes, codes)
        return pooled if encoder is None else [encoder.finish(cells) for cells in pooled]

    def _joined(self, layers: Sequence[np.ndarray]) -> np.ndarray:
        """Return the cells of all layers as vectors, normalised and weighted."""
        if self.norm_over == "cell":
            layers = [normalise(cells, self.norm) for cells in layers]
        joined = np.concatenate([cells.reshape(len(cells), np.prod(cells.shape[1:])) for cells in layers], axis=1)
        if self.norm_over == "vector":
            joined = normalise(joined, self.norm, len(self.pyramid_.levels))
        return joined * self.value_weights_

    def _in_order(self, function: Any, images: Sequence[Any], label: str) -> Iterator[Any]:
        batch = min(max(len(images) // TASKS, 1), MOST_PER_TASK)  # few images may be slow ones: no worker waits long
        options: dict[str, Any] = {"n_jobs": self.n_jobs, "verbose": self.verbose}
        return in_order(function, images, batch=batch, label=label, total=len(images), **options)

    @property
    def encoder_(self) -> Any:
        """The fitted encoder of the first layer."""
        return self.encoders_[0]

    @property
    def reduce_(self) -> Any:
        """The fitted `reduce` of the first layer."""
        return self.reducers_[0]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the values' names in order: layer (if there are several), level, row and column, then channel."""
        check_is_fitted(self)
        cells = self.pyramid_.cell_names()
        names = []
        for layer, (encoder, width) in enumerate(zip(self.encoders_, self.widths_, strict=True)):
            prefix = f"layer{layer}_" if len(self.encoders_) > 1 else ""
            channels = [f"x{d}" for d in range(width)] if encoder is None else encoder.get_feature_names_out()
            names += [f"{prefix}{cell}_{channel}" for cell in cells for channel in channels]
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_out_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.no_validation = True
        return tags


def _mean(views: Sequence[np.ndarray]) -> np.ndarray:
    return views[0] if len(views) == 1 else np.mean(views, axis=0)


def _places(local: LocalFeatures) -> np.ndarray:
    """Return where the features' centres lie between the image's borders, -1/2 to 1/2: shape (N, 2), float32."""
    centres = (local.extents[:, :2] + local.extents[:, 2:]) / 2
    return (centres / np.array(local.grid[::-1], dtype=np.float32) - 0.5).astype(np.float32, copy=False)
