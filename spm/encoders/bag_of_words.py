"""Encoders: descriptors in, codes over a learned vocabulary out."""

from __future__ import annotations

import numpy as np

from .._tools.public import public
from .base import WordEncoder
from .codes import Codes


@public()
class BagOfWords(WordEncoder):
    """Hard assignment: a descriptor counts one for its nearest word (Csurka 2004; Lazebnik 2006, section 4).

    Parameters
    ----------
    n_words : int, default=200
        Size of the vocabulary.
    clusterer : estimator, optional
        Any scikit-learn clusterer that learns `cluster_centers_`; its centres become the words, as many as it has.
        One with a method ``assign``, such as `VocabularyTree`, finds the descriptors' words by it.
        By default `spm.codebooks.kmeans.kmeans`.
    n_init : int, default=1
        Independent starts of the default clustering.
    random_state : int, RandomState or None
        Seeds the default clustering, and a given clusterer whose own is None.
    n_jobs : int or None
        Threads of the default clustering, as joblib means it.
    verbose : bool, default=False
        Whether the default clustering shows progress on standard error after two seconds.

    Attributes
    ----------
    words_ : ndarray of shape (n_words, D), float32
        The vocabulary.
    assigner_ : estimator or None
        The fitted clusterer, where it has a method ``assign``.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> descriptors = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0]])
    >>> spm.BagOfWords(n_words=2, random_state=0).fit_transform(descriptors).sum(axis=0)
    array([1., 2.], dtype=float32)
    """

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D): the nearest word, once."""
        words = self._assign(self.descriptors(values))
        ones = np.ones((len(words), 1), dtype=np.float32)
        return Codes(words[:, None], ones, ones, len(self.words_))
