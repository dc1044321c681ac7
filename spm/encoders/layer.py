"""Layers: the local features of one layer in, their codes out, by what was learned from many such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._tools.parallel import single_threaded
from .._tools.public import public
from .._tools.settings import as_usual
from ..errors import SpmError
from ..features.local import LocalFeatures
from .codes import Codes


@public("spm.encoders")
@dataclass(frozen=True)
class Layer:
    """What turns the local features of one layer into codes; `PyramidVectorizer` has one for each layer, fitted.

    Parameters
    ----------
    reducer : transformer or None
        Fitted.
    encoder : encoder or None
        Fitted. Without one the codes are the values themselves.
    append_xy : bool
        Whether each descriptor is given its position in the image, behind the reducer.
    n_channels : int
        Values in one cell.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 48), dtype=np.uint8)
    >>> vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=2), random_state=0).fit(images)
    >>> vec.layers_[0].channel_names()
    array(['word0', 'word1'], dtype=object)
    """

    reducer: Any
    encoder: Any
    append_xy: bool
    n_channels: int

    @classmethod
    @as_usual
    def learn(
        cls, values: np.ndarray, positions: np.ndarray, *, reduce: Any, encoder: Any, append_xy: bool, fit: Callable
    ) -> Layer:
        """Return the layer that `fit`, which takes a part and descriptors and returns a fitted clone, learns.

        Parameters
        ----------
        values : ndarray of shape (N, D)
            Descriptors.
        positions : ndarray of shape (N, 2), float32
            As `LocalFeatures.positions` has them.
        reduce, encoder : estimator or None
        append_xy : bool
        fit : callable

        Raises
        ------
        SpmError
            For descriptors that one of the parts cannot learn from, none at all among them.
        """
        with single_threaded():  # products have the same last bits for any number of BLAS threads around
            reducer = None if reduce is None else _learned(fit, "reduce", reduce, values)
            described = _described(values, positions, reducer, append_xy)
        fitted = None if encoder is None else _learned(fit, "encoder", encoder, described)
        width = described.shape[1] if fitted is None else len(fitted.get_feature_names_out())
        return cls(reducer, fitted, append_xy, width)

    @as_usual
    def describe(self, local: LocalFeatures) -> np.ndarray:
        """Return the descriptors as the encoder takes them: reduced, and with their positions. Shape (N, D)."""
        return _described(local.values, local.positions() if self.append_xy else None, self.reducer, self.append_xy)

    @as_usual
    def encode(self, local: LocalFeatures) -> Codes:
        """Return the features' codes; an image without features, such as a blank one, has none."""
        values = self.describe(local)
        if self.encoder is None:
            return Codes.plain(values)
        if len(values):
            return self.encoder.encode(values)
        codes = self.encoder.encode(_stand_in(values))
        return Codes(codes.words[:0], codes.weights[:0], codes.moments[:0], codes.n_words)

    @as_usual
    def finish(self, cells: np.ndarray) -> np.ndarray:
        """Centre and scale pooled codes, (n_regions, n_cells, D), as the encoder does: (..., n_channels)."""
        return cells if self.encoder is None else self.encoder.finish(cells)

    def channel_names(self) -> np.ndarray:
        """Return the names of the values in one cell: those of the encoder, or ``x0`` and on without one."""
        if self.encoder is not None:
            return self.encoder.get_feature_names_out()
        return np.array([f"x{d}" for d in range(self.n_channels)], dtype=object)


def _described(values: np.ndarray, positions: Any, reducer: Any, append_xy: bool) -> np.ndarray:
    if reducer is not None:  # most refuse to transform nothing
        some = reducer.transform(values if len(values) else _stand_in(values))
        values = np.asarray(some)[: len(values)]
    return np.hstack([values, positions]) if append_xy else values


def _stand_in(values: np.ndarray) -> np.ndarray:
    """Return one descriptor, to see the shape of what is made of none."""
    return np.zeros((1, values.shape[1]), values.dtype)


def _learned(fit: Callable, name: str, part: Any, values: np.ndarray) -> Any:
    """Return a fitted clone of a part; a refusal names it."""
    try:
        return fit(part, values)
    except SpmError:
        raise
    except ValueError as error:
        kind = type(part).__name__
        if len(values):
            n, d = values.shape
            raise SpmError(f"{name}: {kind} cannot learn from {n} local features of {d} values: {error}") from error
        raise SpmError(
            f"{name}: {kind} has nothing to learn from, as the images have no local features: are they blank? "
            "Give images that show something, or features that lie everywhere, such as DenseSIFT()"
        ) from error
