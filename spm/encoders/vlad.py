"""VLAD: descriptors in, what they differ by from their nearest words, added up, out."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._tools.estimators import learns
from .._tools.options import Options, flag
from .._tools.public import public
from ..codebooks.mixture import moments_of
from .base import WordEncoder
from .codes import Codes


@public()
class VLAD(WordEncoder):
    """Vector of locally aggregated descriptors: for each word the sum of x - c over the descriptors x nearest to it.

    From Jegou et al. 2010, section 3.1; the norms of single words are those of Arandjelovic and Zisserman 2013, section
    3 ("intra-normalisation"). Those of the whole vector are the vectorizer's: ``norm="l2"``, or ``("power", "l2")``.

    Parameters
    ----------
    n_words : int, default=64
    intra : bool, default=True
        Whether each word's sum is brought to length 1 in each cell.
    local_pca : bool, default=False
        Whether each word's differences are turned to the principal axes of its own, which makes power norms fit better
        (Delhumeau et al. 2013, "local coordinate system").
    clusterer, n_init, random_state, n_jobs, verbose
        As for `BagOfWords`.

    Attributes
    ----------
    words_ : ndarray of shape (n_words, D), float32
    axes_ : ndarray of shape (n_words, D, D), float32, or None
        With `local_pca`: of each word a row for each principal axis, that of the largest variance first.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> vlad = spm.VLAD(n_words=2, intra=False, random_state=0).fit([[0.0, 0.0], [0.0, 2.0], [9.0, 1.0], [9.0, 3.0]])
    >>> np.abs(vlad.transform(vlad.words_)).max()
    np.float32(0.0)
    """

    _options: ClassVar[Options] = {
        **WordEncoder._options,
        "intra": flag,
        "local_pca": flag,
    }

    def __init__(
        self,
        *,
        n_words: int = 64,
        intra: bool = True,
        local_pca: bool = False,
        clusterer: Any = None,
        n_init: int = 1,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            n_words=n_words,
            clusterer=clusterer,
            n_init=n_init,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.intra = intra
        self.local_pca = local_pca

    @learns
    def fit(self, X: Any, y: Any = None) -> VLAD:
        """Learn the vocabulary, and with `local_pca` each word's axes, from descriptors of shape (N, D).

        Raises as `BagOfWords` does.
        """
        super().fit(X)
        self.axes_ = None
        if self.local_pca:
            X = np.asarray(X, dtype=np.float32)
            nearest = self._assign(X)
            self.axes_ = np.stack([_axes(X[nearest == k] - word) for k, word in enumerate(self.words_)])
        return self

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D): the nearest word, with moments (1, x - the words' mean)."""
        values = self.descriptors(values)
        words = self._assign(values)[:, None]
        middle = self.words_.mean(axis=0)
        return Codes(words, np.ones(words.shape, np.float32), moments_of(values - middle, 1), len(self.words_))

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Turn the words' counts and sums into differences: (n_regions, n_cells, n_words * D), float32."""
        n_words, d = self.words_.shape
        sums = statistics.reshape(*statistics.shape[:2], n_words, 1 + d)
        apart = sums[..., 1:] - sums[..., :1] * (self.words_ - self.words_.mean(axis=0))
        if self.axes_ is not None:
            apart = np.einsum("kij,...kj->...ki", self.axes_, apart)
        if self.intra:
            lengths = np.linalg.norm(apart, axis=-1, keepdims=True)
            apart = apart / np.where(lengths > 0, lengths, 1)
        return apart.reshape(*statistics.shape[:2], n_words * d)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the values' names, word by word: ``word0_x0`` and on."""
        check_is_fitted(self)
        n_words, d = self.words_.shape
        return np.array([f"word{k}_x{i}" for k in range(n_words) for i in range(d)], dtype=object)


def _axes(differences: np.ndarray) -> np.ndarray:
    """Return the principal axes of differences of shape (n, D), one a row: shape (D, D), float32."""
    _, axes = np.linalg.eigh(differences.T.astype(np.float64) @ differences)
    axes = axes.T[::-1]
    largest = np.abs(axes).argmax(axis=1)[:, None]
    return np.ascontiguousarray(axes * np.sign(np.take_along_axis(axes, largest, axis=1)), dtype=np.float32)
