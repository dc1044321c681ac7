"""The road itself: images in, one vector each out, whichever way their local features are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ._tools.estimators import OpenParts, TakesImages, learns
from ._tools.files.rows import rows_to_file
from ._tools.options import Options, check_options, choice, flag, memory, optional, part, progress, seed, whole, workers
from ._tools.public import public
from .boxes import check_boxes
from .encoders.base import fit_clone
from .encoders.codes import Codes
from .encoders.layer import Layer
from .errors import SpmError
from .features.cache import remembering_views
from .features.dense_sift import DenseSIFT
from .features.local import LocalFeatures
from .features.stream import sample_layers
from .images import check_images, check_one_each, naming
from .pyramid.norms import check_norm, fitting, join, mean_of
from .pyramid.pyramid import Plan, SpatialPyramid, check_pyramid, plan_of
from .pyramid.several import Pooled, Road, travel

View = list[tuple[LocalFeatures, Codes]]  # one view of an image: of each layer the local features and their codes
REGIONS = 64  # vectors made at once, so that what they are made of is not held for all boxes of an image


@public()
class PyramidVectorizer(TakesImages, TransformerMixin, OpenParts):
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
        Where to keep local features between fits: under a path as files of arrays, the fastest way. An entry is found
        again by the file's bytes, the extractor's options (its ``fingerprint()``, if it has one) and the versions of
        spm and OpenCV, never by the file's name.
    n_jobs : int or None
        Workers, as joblib means it: threads, unless the caller's ``joblib.parallel_config`` says otherwise.
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.
    random_state : int, RandomState or None
        Draws the sample, and seeds the nested parts whose own is None.

    Attributes
    ----------
    features_ : extractor
        The clone.
    layers_ : list of spm.encoders.Layer
        What turns each layer of the features into codes: one for SIFT.
    encoder_, reduce_
        The fitted clones of the first layer.
    pyramid_ : SpatialPyramid
        The clone.
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

    _defaults: ClassVar = {"features": DenseSIFT, "pyramid": SpatialPyramid}
    _options: ClassVar[Options] = {
        "features": optional(part("features")),
        "encoder": optional(part("encoder")),
        "pyramid": optional(lambda name, value: check_pyramid(value)),
        "reduce": optional(part("reduce")),
        "append_xy": flag,
        "norm": lambda name, value: check_norm(value),
        "norm_over": choice(("vector", "cell")),
        "sample_size": whole(least=1),
        "sample_per_image": optional(whole(least=1)),
        "dtype": choice(("float32", "float16")),
        "memory": memory,
        "n_jobs": workers,
        "verbose": progress,
        "random_state": seed,
    }

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

    @learns
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
        check_options(self)
        X = check_images(X)
        check_one_each(X, y)
        random = check_random_state(self.random_state)
        features, pyramid = self.part("features"), self.own_pyramid()
        shared = {"random": random, "n_jobs": self.n_jobs, "verbose": self.verbose}
        learned_from = [X[0]] if self.encoder is None and self.reduce is None else X
        views = remembering_views(features, self.memory)
        sample = sample_layers(learned_from, views, size=self.sample_size, per_image=self.sample_per_image, **shared)
        fit = partial(fit_clone, **shared)
        parts = {"reduce": self.reduce, "encoder": self.encoder, "append_xy": self.append_xy}
        layers = [Layer.learn(*drawn, **parts, fit=fit) for drawn in sample]
        cells = pyramid.cell_weights().astype(np.float32)
        self.features_, self.layers_, self.pyramid_ = features, layers, pyramid
        self.value_weights_ = np.concatenate([np.repeat(cells, layer.n_channels) for layer in layers])
        self.n_features_out_ = len(self.value_weights_)
        return self

    def check(self, image: Any) -> None:
        """Raise the `ImageError` that this image would raise in `fit` or `transform`; nothing is learned or kept."""
        self.part("features").check(image)

    def transform(self, X: Any, out: Any = None) -> np.ndarray:
        """Return one vector for every image.

        Parameters
        ----------
        X : sequence of paths or arrays, or one array of shape (n, h, w) or (n, h, w, 3)
        out : path, optional
            A ``.npy`` file for the vectors, which are then never all in memory; what a call has finished there is kept.

        Returns
        -------
        ndarray of shape (n, n_features_out_), of type `dtype`; with `out` the file mapped into memory, read-only
        """
        check_is_fitted(self)
        if out is None:
            return self.transform_pyramids(X, [self.pyramid_])[0]
        told: Any = {"made_by": self, "n_values": self.n_values(), "dtype": self.dtype, "n_jobs": self.n_jobs}
        return rows_to_file(out, check_images(X), self.road([None]).vectors_of, **told, verbose=self.verbose)

    def transform_pyramids(self, X: Any, pyramids: Sequence[SpatialPyramid]) -> list[np.ndarray]:
        """Return what `transform` would return with each of several pyramids, in one pass.

        What is learned does not depend on the pyramid, and every image is described and encoded once; levels that
        pyramids have in common are pooled once.

        Parameters
        ----------
        X : sequence of paths or arrays, or one array of shape (n, h, w) or (n, h, w, 3)
        pyramids : sequence of SpatialPyramid or None
            None stands for the vectorizer's own.

        Returns
        -------
        list of ndarray of shape (n, length with that pyramid), of type `dtype`

        Raises
        ------
        SpmError
            For a pyramid with an option that is not valid, or an image that cannot be used; it names the file.

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
        return travel([self.road(pyramids)], X, n_jobs=self.n_jobs, verbose=self.verbose)[0]

    def road(self, pyramids: Sequence[Any]) -> Road:
        """Return what makes an image's vectors with each pyramid, for a pass over many images; see `travel`."""
        check_is_fitted(self)
        plan, views = self._plan(pyramids), remembering_views(self.features_, self.memory)
        lengths = [n_cells * sum(layer.n_channels for layer in self.layers_) for n_cells in plan.n_cells]
        cells, joined = partial(self._own_cells, plan, views), partial(self._joined, plan, dtype=self.dtype)
        return Road(cells, joined, lengths, self.dtype)

    def _own_cells(self, plan: Plan, views: Any, image: Any) -> Pooled:
        return self._cells_of(None, self._pools(image, plan, self._encoded(image, views)))

    def _vectors_of(self, image: Any, plan: Plan, boxes: Any, pools: Iterable[Any]) -> np.ndarray:
        """Return the vectors of an image's regions, None for the whole, with one pyramid: (n_regions, its length)."""
        with naming(image):
            return self._joined(plan, self._cells_of(boxes, pools))[0]

    def _cells_of(self, boxes: Any, pools: Iterable[Any]) -> Pooled:
        """Return the finished cells of an image's regions, of each layer for each pyramid: (n_regions, n_cells, D)."""
        finish = [layer.finish for layer in self.layers_]
        pooled = ([map(done, pool(boxes)) for done, pool in zip(finish, view, strict=True)] for view in pools)
        return [[mean_of(cells) for cells in zip(*views, strict=True)] for views in zip(*pooled, strict=True)]

    def _joined(self, plan: Plan, layers: Pooled, dtype: str = "float32") -> list[np.ndarray]:
        own = zip(zip(*layers, strict=True), plan.level_cells, plan.cell_weights, strict=True)
        joined = (join(cells, self.norm, self.norm_over, len(sizes), weights) for cells, sizes, weights in own)
        return [fitting(vectors, dtype) for vectors in joined]

    def _pools(self, image: Any, plan: Plan, views: Any = None, n_boxes: int = 1) -> Iterator[list[Any]]:
        """Yield for each view what turns boxes into the cells of each pyramid, one a layer."""
        for view in self._encoded(image) if views is None else views:
            yield [plan.over(local, codes, n_boxes) for local, codes in view]

    def _encoded(self, image: Any, views: Any = None) -> Iterator[View]:
        """Yield an image's views one by one, their layers encoded."""
        views = remembering_views(self.features_, self.memory) if views is None else views
        with naming(image):
            for view in views(image):
                yield [(local, layer.encode(local)) for layer, local in zip(self.layers_, view, strict=True)]

    def _plan(self, pyramids: Sequence[Any]) -> Plan:
        """Return the plan for several pyramids, checked; None stands for the own."""
        if not isinstance(pyramids, Sequence):
            raise SpmError(f"pyramids must be a sequence of SpatialPyramid, got {pyramids!r}")
        return plan_of([self.pyramid_ if pyramid is None else check_pyramid(pyramid) for pyramid in pyramids])

    def own_pyramid(self) -> SpatialPyramid:
        """Return the pyramid that `fit` lays: a clone of `pyramid`, or the default."""
        return self.part("pyramid")

    def roads(self) -> list[tuple[str, PyramidVectorizer]]:
        """Return the roads that an image takes to its vector, by name: this one, which has none."""
        return [("", self)]

    def encode(self, image: Any) -> View:
        """Return the local features of one image and their codes, layer by layer: what the pyramid pools.

        Returns
        -------
        list of (LocalFeatures, Codes)
            One a layer, of the image's first view, which is the image itself at the first size.

        Examples
        --------
        >>> import numpy as np
        >>> import spm
        >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 48), dtype=np.uint8)
        >>> vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), norm=None, random_state=0).fit(images)
        >>> [(local, codes)] = vec.encode(images[0])
        >>> local.values.shape, codes.words.shape
        ((15, 128), (15, 1))
        """
        check_is_fitted(self)
        return next(self._encoded(image))

    def encode_views(self, image: Any) -> list[View]:
        """Return what `encode` returns for each of an image's views: what `transform_regions` can begin with."""
        check_is_fitted(self)
        return list(self._encoded(image))

    def transform_regions(self, image: Any, boxes: Any, views: Sequence[View] | None = None) -> np.ndarray:
        """Return one vector for every box of one image, whose features are extracted and encoded once.

        Parameters
        ----------
        image : path or array
        boxes : array-like of shape (n_boxes, 4)
            x0, y0, x1, y1 in pixels, half-open; one that is malformed or outside the image raises `SpmError`.
        views : sequence, optional
            Of what `encode_views` returns, the views that are averaged; by default all.

        Returns
        -------
        ndarray of shape (n_boxes, n_features_out_), float32
            A box over the whole image has the image's own vector.
        """
        vectors, n = np.empty((len(check_boxes(boxes)), self.n_values()), dtype=np.float32), 0
        for some in self.stream_regions(image, boxes, views):
            vectors[n : n + len(some)] = some
            n += len(some)
        return vectors

    def stream_regions(self, image: Any, boxes: Any, views: Sequence[View] | None = None) -> Iterator[np.ndarray]:
        """Yield what `transform_regions` returns in parts of 64 boxes, so that all are never held."""
        check_is_fitted(self)
        plan, boxes = self._plan([None]), check_boxes(boxes)
        pools = list(self._pools(image, plan, views, len(boxes)))
        for i in range(0, len(boxes), REGIONS):
            yield self._vectors_of(image, plan, boxes[i : i + REGIONS], pools)

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
        plan = self._plan([None])
        return np.stack([self._vectors_of(image, plan, boxes, [own]) for own in self._pools(image, plan)])

    @property
    def encoder_(self) -> Any:
        """The fitted encoder of the first layer."""
        return self.layers_[0].encoder

    @property
    def reduce_(self) -> Any:
        """The fitted `reduce` of the first layer."""
        return self.layers_[0].reducer

    def n_values(self, pyramid: SpatialPyramid | None = None) -> int:
        """Return the length of a vector with a pyramid, by default the own."""
        check_is_fitted(self)
        return (self.pyramid_ if pyramid is None else pyramid).n_cells * sum(own.n_channels for own in self.layers_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the values' names in order: layer (if there are several), level, row and column, then channel."""
        check_is_fitted(self)
        names = []
        for number, layer in enumerate(self.layers_):
            prefix = f"layer{number}_" if len(self.layers_) > 1 else ""
            channels = layer.channel_names()
            names += [f"{prefix}{cell}_{channel}" for cell in self.pyramid_.cell_names() for channel in channels]
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_out_")
