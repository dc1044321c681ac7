"""A fixed vocabulary: features that are words already in, their counts out."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from .._tools.estimators import learns
from .._tools.options import Options, check_options, whole
from .._tools.public import public
from ..encoders.codes import Codes
from ..errors import SpmError
from .base import EncoderMixin, word_names


@public()
class FixedVocabulary(EncoderMixin, BaseEstimator):
    """Count words that need no learning: a feature's one value is its word's number.

    Parameters
    ----------
    n_words : int, default=256
        Size of the vocabulary: 16 for `EdgePoints` at two scales, 256 for `CensusTransform`.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> spm.FixedVocabulary(n_words=4).fit_transform(np.uint8([[3], [0], [3]]))
    array([[0., 0., 0., 1.],
           [1., 0., 0., 0.],
           [0., 0., 0., 1.]], dtype=float32)
    """

    _options: ClassVar[Options] = {
        "n_words": whole(least=1),
    }

    def __init__(self, *, n_words: int = 256) -> None:
        self.n_words = n_words

    @learns
    def fit(self, X: Any, y: Any = None) -> FixedVocabulary:
        """Check that `X`, of shape (N, 1), holds words; there is nothing to learn.

        Raises
        ------
        SpmError
            If `X` has not one column of whole numbers in 0..n_words - 1.
        """
        check_options(self)
        self._check_words(validate_data(self, X, dtype=np.float32, ensure_min_samples=0))
        return self

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of words of shape (N, 1): each counts one.

        Raises
        ------
        SpmError
            If `values` are not words.
        """
        words = self._check_words(values)
        ones = np.broadcast_to(np.float32(1), words.shape)  # of no size: there may be one of these for every pixel
        return Codes(words, ones, ones, self.n_words)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the words' names, ``word0`` and on."""
        check_is_fitted(self)
        return word_names(self.n_words)

    def _check_words(self, values: np.ndarray) -> np.ndarray:
        """Return the words of shape (N, 1), int32."""
        if values.ndim != 2 or values.shape[1] != 1:
            raise SpmError(
                f"FixedVocabulary takes one column, the words' numbers, got an array of shape {values.shape}"
            )
        words = values.astype(np.int32)
        whole = np.can_cast(values.dtype, np.int32) or np.array_equal(words, values)
        if len(words) and (words.min() < 0 or words.max() >= self.n_words or not whole):
            raise SpmError(
                f"words must be whole numbers in 0..{self.n_words - 1}, got values in {values.min()}..{values.max()}: "
                "give n_words of the features, 8 for each scale of EdgePoints and 256 for CensusTransform"
            )
        return words

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags
