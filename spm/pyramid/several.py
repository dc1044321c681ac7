"""Several pyramids at once: whatever makes vectors of images in, its vectors with each of the pyramids out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .._tools.parallel import in_order
from .._tools.settings import usual_settings
from ..errors import NotFiniteError, SpmError
from ..images import check_images, naming, reading_once

Pooled = list[list[np.ndarray]]  # the cells that each layer has with each of several pyramids: (n, n_cells, D)


@dataclass(frozen=True)
class Road:
    """What images' vectors are made by.

    Parameters
    ----------
    pooled_of : callable
        Takes an image; returns the cells that each layer has with each of several pyramids, of shape (1, n_cells, D).
    joined : callable
        Takes the cells of n images; returns their vectors with each of the pyramids, of shape (n, length).
    lengths : list of int
        Of the vectors, one for each pyramid.
    dtype : str
        Of the vectors.
    """

    pooled_of: Callable[[Any], Pooled]
    joined: Callable[[Pooled], list[np.ndarray]]
    lengths: list[int]
    dtype: str

    def vectors_of(self, image: Any) -> list[np.ndarray]:
        """Return an image's vectors, of shape (1, length)."""
        with naming(image):
            return self.joined(self.pooled_of(image))

    def vectors_of_all(self, images: list[Any], pooled: list[Pooled]) -> list[np.ndarray]:
        """Return the vectors of several images, of shape (n, length), of the cells that each has."""
        try:
            layers = [zip(*own, strict=True) for own in zip(*pooled, strict=True)]
            return self.joined([[np.concatenate(cells) for cells in layer] for layer in layers])
        except NotFiniteError:
            for image, own in zip(images, pooled, strict=True):
                with naming(image):  # of which it is
                    self.joined(own)
            raise


def travel(roads: Sequence[Road], X: Any, *, n_jobs: int | None, verbose: Any) -> list[list[np.ndarray]]:
    """Take images along several roads in one pass: every image is read once for all of them, and then forgotten.

    Returns
    -------
    list of list of ndarray of shape (n, length)
        For each road the images' vectors with each of its pyramids.

    Examples
    --------
    >>> road = Road(lambda image: [[image[None, :1] / 2]], lambda pooled: [pooled[0][0][:, 0]], [2], "float32")
    >>> [[halves]] = travel([road], np.ones((3, 5, 2), np.uint8), n_jobs=None, verbose=False)
    >>> halves.tolist()
    [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """
    X = check_images(X)
    kept = [[np.empty((len(X), length), dtype=road.dtype) for length in road.lengths] for road in roads]
    work: dict[str, Any] = {"n_jobs": n_jobs, "label": "vectors", "total": len(X), "verbose": verbose}
    passed = in_order(partial(_pooled_along, roads=roads), X, finish=partial(_joined_along, roads=roads), **work)
    for i, made in enumerate(passed):
        for own, vectors in zip(kept, made, strict=True):
            for into, vector in zip(own, vectors, strict=True):
                into[i] = vector
    return kept


def _pooled_along(image: Any, roads: Sequence[Road]) -> list[Pooled]:
    with reading_once(image), naming(image):
        return [road.pooled_of(image) for road in roads]


def _joined_along(images: list[Any], pooled: list[list[Pooled]], roads: Sequence[Road]) -> list[Any]:
    """Return for every image what it has along each road: its vector with each pyramid."""
    along = zip(roads, zip(*pooled, strict=True), strict=True)
    vectors = [road.vectors_of_all(images, list(own)) for road, own in along]
    return list(zip(*(zip(*own, strict=True) for own in vectors), strict=True))


def transform_side_by_side(makers: Sequence[Any], X: Any, pyramids: Sequence[Sequence[Any]]) -> list[list[np.ndarray]]:
    """Return what `transform_pyramids` returns for each of several makers, each with pyramids of its own.

    Those that have roads, and as many workers, see every image in one pass.
    """
    made: list[Any] = [None] * len(makers)
    passes: dict[Any, list[int]] = {}
    for i, maker in enumerate(makers):
        if hasattr(maker, "road"):
            passes.setdefault((maker.n_jobs, maker.verbose), []).append(i)
        else:
            made[i] = transform_pyramids(maker, X, pyramids[i])
    for (n_jobs, verbose), mine in passes.items():
        own = travel([makers[i].road(pyramids[i]) for i in mine], X, n_jobs=n_jobs, verbose=verbose)
        for i, vectors in zip(mine, own, strict=True):
            made[i] = vectors
    return made


def fit_transform_side_by_side(
    makers: Sequence[Any], X: Any, pyramids: Sequence[Sequence[Any]], y: Any = None
) -> list[list[np.ndarray]]:
    """Fit several makers, each with pyramids of its own, and return what `transform_side_by_side` returns."""
    made: list[Any] = [None] * len(makers)
    with_roads = [i for i, maker in enumerate(makers) if hasattr(maker, "road")]
    for i, maker in enumerate(makers):
        if i in with_roads:
            maker.fit(X, y)
        else:
            made[i] = fit_transform_pyramids(maker, X, pyramids[i], y)
    own = transform_side_by_side([makers[i] for i in with_roads], X, [pyramids[i] for i in with_roads])
    for i, vectors in zip(with_roads, own, strict=True):
        made[i] = vectors
    return made


def fit_transform_pyramids(maker: Any, X: Any, pyramids: Sequence[Any], y: Any = None) -> list[np.ndarray]:
    """Fit what makes vectors of images, and return those with each pyramid; see `transform_pyramids`."""
    if hasattr(maker, "fit_transform_pyramids"):
        return maker.fit_transform_pyramids(X, pyramids, y)
    if hasattr(maker, "transform_pyramids"):
        return maker.fit(X, y).transform_pyramids(X, pyramids)
    _check_own(maker, pyramids)
    with usual_settings():
        return [maker.fit_transform(X, y)] * len(pyramids)


def transform_pyramids(maker: Any, X: Any, pyramids: Sequence[Any]) -> list[np.ndarray]:
    """Return the images' vectors with each pyramid, by anything that makes vectors.

    What has no pyramid to be changed, such as a Pipeline or a transformer of somebody else's, has its own alone: None.

    Raises
    ------
    SpmError
        For another pyramid for such a maker.
    """
    if hasattr(maker, "transform_pyramids"):
        return maker.transform_pyramids(X, pyramids)
    _check_own(maker, pyramids)
    with usual_settings():
        return [maker.transform(X)] * len(pyramids)


def _check_own(maker: Any, pyramids: Sequence[Any]) -> None:
    if any(pyramid is not None for pyramid in pyramids):
        raise SpmError(f"a {type(maker).__name__} cannot take another pyramid: give None for its own")
