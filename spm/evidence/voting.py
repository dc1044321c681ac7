"""Evidence: a model and an image in, what every cell, word and local feature votes for a class out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from .._tools.public import public
from .._tools.settings import as_usual
from ..encoders.base import EncoderMixin
from ..encoders.codes import Codes
from ..encoders.layer import Layer
from ..errors import SpmError, check_number
from ..features.local import LocalFeatures
from ..pyramid.pyramid import SpatialPyramid
from ..vectorizer import PyramidVectorizer
from .decisions import decisions, steps_of


@public("spm.evidence")
@dataclass(frozen=True)
class LayerVotes:
    """The votes of one vector, or of one layer of it.

    Parameters
    ----------
    name : str
        Of the vectorizer in its `KernelSum` and the layer, as far as there are several; else empty.
    values : ndarray of shape (n_cells, n_channels), float64
        The vote of every value of the vector: a word, or another channel, in a cell.
    channels : ndarray of shape (n_channels,), object
        The channels' names.
    grids : ndarray of shape (L, 2), int64
        Rows and columns of every level.
    region : tuple of 4 floats
        Where the pyramid lies, x0, y0, x1, y1 in pixels: the image, or the part of it that a network saw.
    """

    name: str
    values: np.ndarray
    channels: np.ndarray
    grids: np.ndarray
    region: tuple[float, float, float, float]

    def levels(self) -> list[np.ndarray]:
        """Return the votes of each level's cells: arrays of shape (rows, columns)."""
        cells = np.split(self.values.sum(axis=1), np.cumsum(self.grids.prod(axis=1))[:-1])
        return [level.reshape(grid) for level, grid in zip(cells, self.grids, strict=True)]


@public("spm.evidence")
@dataclass(frozen=True)
class Votes:
    """How one image's decision value for a class comes about; what `votes` returns.

    Parameters
    ----------
    label
        The class.
    intercept : float
        What the classifier gives to every image.
    layers : tuple of LayerVotes
    image_size : (int, int)
        Height and width in pixels.
    """

    label: Any
    intercept: float
    layers: tuple[LayerVotes, ...]
    image_size: tuple[int, int]

    @property
    def score(self) -> float:
        """The decision value: all votes and the intercept."""
        return self.intercept + float(sum(layer.values.sum() for layer in self.layers))

    def largest(self, n: int = 10) -> list[tuple[str, float]]:
        """Return the `n` words or channels with the largest votes for or against, summed over the cells.

        Returns
        -------
        list of (name, vote), the vote that weighs most first
        """
        check_number("n", n, least=1, integer=True)
        names = [f"{layer.name} {channel}".strip() for layer in self.layers for channel in layer.channels]
        sums = np.concatenate([layer.values.sum(axis=0) for layer in self.layers])
        return [(names[k], float(sums[k])) for k in np.argsort(-np.abs(sums), kind="stable")[:n]]

    def heat(self, level: int | None = None) -> np.ndarray:
        """Spread each cell's vote evenly over its pixels.

        Parameters
        ----------
        level : int, optional
            The only level to take, 0 being the first, of every pyramid that has it; by default all.

        Returns
        -------
        ndarray of shape (height, width), float64
            It sums to the votes.
        """
        which = slice(None) if level is None else slice(self._check_level(level), level + 1)
        heat = np.zeros(self.image_size)
        for layer in self.layers:
            for cells in layer.levels()[which]:
                rows, columns = (cells_of_pixels(self.image_size[k], layer.region, k, cells.shape[k]) for k in (0, 1))
                heat += rows.T @ cells @ columns
        return heat

    def _check_level(self, level: int) -> int:
        n_levels = max(len(layer.grids) for layer in self.layers)
        check_number("level", level, least=0, integer=True)
        if level >= n_levels:
            raise SpmError(f"level must be one of the pyramid's levels, 0 to {n_levels - 1}, got {level}")
        return level


def cells_of_pixels(length: int, region: tuple[float, ...], axis: int, n: int) -> np.ndarray:
    """Return each pixel's share of each of the n cells along an axis, 0 for down: shape (n, length), rows sum to one.

    Examples
    --------
    >>> cells_of_pixels(4, (0, 0, 4, 4), 0, 2)
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0. , 0.5, 0.5]])
    """
    low, high = region[1 - axis], region[3 - axis]
    edges = np.linspace(low, high, n + 1)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)  # (n, length)
    return np.maximum(overlap, 0) * n / (high - low)


@public("spm.evidence")
@as_usual
def votes(model: Any, image: Any, label: Any = None) -> Votes:
    """Take the decision value of one image for a class apart into the votes of the values of its vector.

    A linear machine sums w_d x_d over the values d of the vector x, one with the intersection kernel the sums over the
    training vectors s_i of alpha_i min(x_d, s_id), and one with the chi-squared kernel those of alpha_i 2 x_d s_id /
    (x_d + s_id): these terms are the votes, and so for the other kernels that are sums over the values. With the
    intercept they add up to the decision value; nothing is approximated.

    Parameters
    ----------
    model : Pipeline
        Fitted: a `PyramidVectorizer` and a `KernelSVC` or a linear classifier of scikit-learn's, with a
        `HomogeneousMap` or an AdditiveChi2Sampler between them or without; or a `KernelSum` and a `KernelSVC` with a
        precomputed kernel.
    image : path or array
    label : optional
        The class; by default the one that the model predicts. The two classes of a model with only two have opposite
        votes.

    Returns
    -------
    Votes

    Raises
    ------
    ImageError
        If the image cannot be used.
    SpmError
        For a model that is not fitted or whose decision is no sum over values, or an unknown class.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> from spm.evidence import votes
    >>> stripes = np.tile(np.uint8([0, 0, 255, 255]), (32, 8))
    >>> model = spm.presets.lazebnik2006(n_words=2, levels=(1, 2), random_state=0)
    >>> found = votes(model.fit([stripes, stripes.T] * 4, ["up", "across"] * 4), stripes)
    >>> found.label, [level.shape for level in found.layers[0].levels()]
    ('up', [(1, 1), (2, 2)])
    >>> bool(np.isclose(found.score, model.decision_function([stripes])[0], atol=1e-5))
    True
    """
    return class_votes(model, image, [label])[0]


@public("spm.evidence")
@as_usual
def class_votes(model: Any, image: Any, labels: Sequence[Any] | None = None) -> list[Votes]:
    """Take the decision values of one image for several classes apart; its vectors are made once.

    Parameters
    ----------
    model, image
        As for `votes`.
    labels : sequence, optional
        The classes, None among them standing for the one predicted; by default all, in the order of ``classes_``.

    Returns
    -------
    list of Votes

    Raises
    ------
    ImageError, SpmError
        As `votes` does.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> from spm.evidence import class_votes
    >>> stripes = np.tile(np.uint8([0, 0, 255, 255]), (32, 8))
    >>> model = spm.presets.lazebnik2006(n_words=2, levels=(1, 2), random_state=0)
    >>> found = class_votes(model.fit([stripes, stripes.T] * 4, ["up", "across"] * 4), stripes)
    >>> [(one.label, round(one.score, 2)) for one in found]
    [('across', -1.0), ('up', 1.0)]
    """
    roads = steps_of(model)[0].roads()
    found = decisions(model, image, labels)
    locals_ = [road.features_.extract(image) for _, road in roads]
    size = locals_[0].image_size or locals_[0].grid
    regions = [region_of(local) for local in locals_]
    all_votes = []
    for one in found:
        own = zip(roads, one.terms, regions, strict=True)
        layers = [layer for (name, road), terms, region in own for layer in _layers(name, road, terms, region)]
        all_votes.append(Votes(one.label, one.intercept, tuple(layers), size))
    return all_votes


@public("spm.evidence")
@as_usual
def feature_votes(model: Any, image: Any, label: Any = None) -> list[tuple[LocalFeatures, np.ndarray]]:
    """Hand the votes of `votes` on to the local features that they come from.

    What a word votes in a cell goes to the features of the cell that use the word, in the proportion in which their
    codes make up its value; under max pooling to those with the largest. So the features' votes add up to those of the
    cells.

    Parameters
    ----------
    model, image, label
        As for `votes`.

    Returns
    -------
    list of (LocalFeatures, ndarray of shape (N,), float64)
        For each of the layers in `Votes` the local features and their votes.

    Raises
    ------
    SpmError
        As `votes` does, and for images of several views and for encoders whose cells are not sums or maxima of
        codes, such as VLAD and Fisher vectors.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> from spm.evidence import feature_votes
    >>> stripes = np.tile(np.uint8([0, 0, 255, 255]), (32, 8))
    >>> model = spm.presets.lazebnik2006(n_words=2, levels=(1, 2), random_state=0)
    >>> [(local, shares)] = feature_votes(model.fit([stripes, stripes.T] * 4, ["up", "across"] * 4), stripes)
    >>> len(local), shares.shape
    (9, (9,))
    """
    layers = iter(votes(model, image, label).layers)
    found = []
    for _, vectorizer in steps_of(model)[0].roads():
        if len(vectorizer.features_.views(image)) > 1:
            raise SpmError(
                f"the votes of single features are known for one view of an image, but {vectorizer.features_!r} "
                "makes several: show the votes of cells, or give it one size and no mirror image"
            )
        for layer, (local, codes) in zip(vectorizer.layers_, vectorizer.encode(image), strict=True):
            found.append((local, _share(local, codes, layer, vectorizer.pyramid_, next(layers))))
    return found


def region_of(local: LocalFeatures) -> tuple[float, float, float, float]:
    """Return where the pyramid of local features lies in the image: x0, y0, x1, y1 in pixels.

    That is the whole image, but for maps of a network that saw a part of it.
    """
    height, width = local.image_size or local.grid
    if local.stride is None:
        return 0.0, 0.0, float(width), float(height)
    edges = []
    for k, length in ((1, width), (0, height)):  # an edge within a cell of the image's border means the border
        low = local.offset[k]
        high = low + local.stride[k] * local.grid[k]
        edges.append((low if low >= local.stride[k] else 0.0, high if high <= length - local.stride[k] else length))
    (x0, x1), (y0, y1) = edges
    return float(x0), float(y0), float(x1), float(y1)


def vectorizer_of(model: Any) -> PyramidVectorizer:
    """Return the fitted vectorizer that a model is or begins with.

    Raises
    ------
    SpmError
        If there is none, or it is not fitted.
    """
    model = getattr(model, "best_estimator_", model)
    first = model[0] if hasattr(model, "steps") else model
    if hasattr(first, "kernel_of"):
        kind = type(first).__name__
        raise SpmError(f"a {kind} has several vectorizers: give one of them, such as model[0].vectorizers_[0]")
    if not hasattr(first, "roads"):
        raise SpmError(f"{type(first).__name__} is no PyramidVectorizer: give one, or a Pipeline that begins with one")
    if not hasattr(first, "n_features_out_"):
        raise SpmError("this vectorizer is not fitted: call fit(images) first")
    return first


def _layers(name: str, vectorizer: PyramidVectorizer, terms: np.ndarray, region: Any) -> list[LayerVotes]:
    """Cut the votes of a vector into those of its layers."""
    grids = vectorizer.pyramid_.grids()
    n_cells = int(grids.prod(axis=1).sum())
    make = partial(LayerVotes, grids=grids, region=region)
    layers, start = [], 0
    for number, layer in enumerate(vectorizer.layers_):
        end = start + n_cells * layer.n_channels
        called = f"{name} layer{number}".strip() if len(vectorizer.layers_) > 1 else name
        layers.append(make(called, terms[start:end].reshape(n_cells, layer.n_channels), layer.channel_names()))
        start = end
    return layers


def _share(
    local: LocalFeatures, codes: Codes, layer: Layer, pyramid: SpatialPyramid, votes_of: LayerVotes
) -> np.ndarray:
    """Return each feature's part of a layer's votes: shape (N,)."""
    encoder, take_max = layer.encoder, pyramid.pool == "max"
    finished = encoder is not None and type(encoder).finish is not EncoderMixin.finish
    if finished or (codes.n_words > 1 and codes.moments.shape[1] > 1):
        raise SpmError(
            "the votes of single features are known for encoders of words and for plain features, "
            f"not for {type(encoder).__name__}: show the votes of cells"
        )
    values = _sparse(codes)  # (N, D)
    shares = np.zeros(len(local))
    for inside, vote in zip(_members(local, pyramid), votes_of.values, strict=True):
        parts = values[inside]
        if take_max and parts.shape[0]:
            most = parts.max(axis=0).toarray()[0]
            parts.data = (parts.data == most[parts.indices]).astype(np.float64)
        sums = np.asarray(parts.sum(axis=0)).ravel()
        shares[inside] += parts @ np.divide(vote, sums, out=np.zeros_like(vote), where=sums != 0)
    return shares


def _sparse(codes: Codes) -> Any:
    """Return codes of one moment or one word as a sparse matrix (N, D), float64."""
    if codes.n_words == 1:
        return sparse.csr_matrix(codes.toarray().astype(np.float64))
    values = (codes.weights * codes.moments).astype(np.float64)
    starts = np.arange(len(values) + 1) * values.shape[1]
    matrix = sparse.csr_matrix((values.ravel(), codes.words.ravel(), starts), shape=(len(values), codes.n_words))
    matrix.eliminate_zeros()  # a slot of weight zero is empty
    return matrix


def _members(local: LocalFeatures, pyramid: SpatialPyramid) -> np.ndarray:
    """Return which features belong to each cell, bool of shape (n_cells, N), by pooling each feature's own number."""
    numbers = np.arange(len(local), dtype=np.int32)[:, None]
    ones = np.ones((len(local), 1), dtype=np.float32)
    counting = SpatialPyramid(levels=pyramid.levels)
    return counting.cells(local, codes=Codes(numbers, ones, ones, len(local)))[0] > 0
