"""Sparse coding: descriptors in, the few signed words whose weighted sum rebuilds each of them out."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .._tools.estimators import learns
from .._tools.numba import njit
from .._tools.options import Options, check_options, flag, number, progress, seed, whole, workers
from .._tools.parallel import in_threads, progress_bar, single_threaded
from .._tools.public import public
from ..errors import SpmError
from .base import EncoderMixin, blocks_of, word_names
from .codes import Codes

CODED = 128  # descriptors coded at once, so that what is made of them stays in the cache
BLOCK = 512  # descriptors whose sums are taken at once; fixed, so that they do not depend on the number of threads
BATCH = 2048  # descriptors between two moves of the words
EAGER = 0.9  # words enter together whose excess over alpha is at least this share of the largest
SWEEPS = 2  # of coordinate descent before each exact solution
ROUNDS = 1000  # at most; about ten are usual
EXACT = 1e-4  # how far from optimal a correlation may be, over alpha
ROUNDING = 2e-6  # and over the largest correlation
DAMPING = 1e-5  # of the exact solutions, where words depend on each other; the optimum stays what it is


@public()
class SparseCoding(EncoderMixin, BaseEstimator):
    """Sparse coding of descriptors (Yang 2009, ScSPM, section 3.1); maximum is how the paper pools the codes.

    The code u of a descriptor x over the words B, all of length one, minimises 1/2 |x - u B|^2 + alpha |u|_1. The
    paper writes |x - u V|^2 + lambda |u|_1, which is the same for alpha = lambda / 2; the authors' program minimises
    this class's form, with 0.15 for alpha, that is lambda = 0.3 in the paper's. The value suits descriptors of length
    one, such as SIFT's.

    Parameters
    ----------
    n_words : int, default=1024
        Size of the vocabulary.
    alpha : float, default=0.15
        What a unit of a weight costs: the larger, the fewer words.
    absolute : bool, default=True
        Whether codes are the absolute values of the weights, as the paper pools them (section 3.2).
    n_iter : int, default=8
        Passes over the descriptors in learning the words.
    random_state : int, RandomState or None
        Draws the first words and the order of the descriptors.
    n_jobs : int or None
        Threads of the learning, as joblib means it; the words are the same for any.
    verbose : bool, default=False
        Whether learning shows progress on standard error after two seconds.

    Attributes
    ----------
    words_ : ndarray of shape (n_words, D), float32
        The vocabulary, each of length one.

    Notes
    -----
    The words are learned by block coordinate descent on running sums over mini-batches (Mairal 2009, algorithms 1 and
    2), each then set to length one.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> encoder = spm.SparseCoding(n_words=2, random_state=0).fit([[1.0, 0.0], [0.0, 1.0]])
    >>> np.sort(encoder.transform([[0.6, -0.8]])).round(2)
    array([[0.45, 0.65]], dtype=float32)
    """

    _options: ClassVar[Options] = {
        "n_words": whole(least=1),
        "alpha": number(above=0),
        "absolute": flag,
        "n_iter": whole(least=1),
        "random_state": seed,
        "n_jobs": workers,
        "verbose": progress,
    }

    def __init__(
        self,
        *,
        n_words: int = 1024,
        alpha: float = 0.15,
        absolute: bool = True,
        n_iter: int = 8,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_words = n_words
        self.alpha = alpha
        self.absolute = absolute
        self.n_iter = n_iter
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @learns
    def fit(self, X: Any, y: Any = None) -> SparseCoding:
        """Learn the vocabulary from descriptors of shape (N, D).

        Raises
        ------
        SpmError
            For fewer descriptors that are not zero than words, or an option out of its bounds.
        """
        check_options(self)
        X = validate_data(self, X, dtype=np.float32)
        options = {"n_iter": self.n_iter, "random_state": self.random_state}
        with single_threaded():  # products have the same last bits for any number of BLAS threads around
            self.words_ = learn_words(X, self.n_words, self.alpha, n_jobs=self.n_jobs, verbose=self.verbose, **options)
        self.of_words(gram_of)
        return self

    def encode(self, values: np.ndarray) -> Codes:
        """Return the codes of descriptors of shape (N, D): the weights of the words that rebuild them."""
        values = self.descriptors(values)
        gram = self.of_words(gram_of)
        parts = [_nonzero(sparse_codes(block @ self.words_.T, gram, self.alpha)) for block in blocks_of(values, CODED)]
        words, weights, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        weights = np.abs(weights) if self.absolute else weights
        return Codes.ragged(words, weights, counts, np.ones((len(values), 1), np.float32), len(self.words_))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the words' names, ``word0`` and on."""
        check_is_fitted(self)
        return word_names(len(self.words_))


def gram_of(words: np.ndarray) -> np.ndarray:
    """Return the products of words with each other: shape (K, K)."""
    return words @ words.T


def _nonzero(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    used = dense != 0
    return np.nonzero(used)[1], dense[used], used.sum(axis=1)


# Learning


def learn_words(
    X: np.ndarray,
    n_words: int,
    alpha: float,
    *,
    n_iter: int = 8,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> np.ndarray:
    """Learn words of length one over which descriptors have sparse codes; the options are `SparseCoding`'s.

    Parameters
    ----------
    X : ndarray of shape (N, D), float32

    Returns
    -------
    ndarray of shape (n_words, D), float32

    Raises
    ------
    SpmError
        For fewer descriptors that are not zero than words.

    Examples
    --------
    >>> import numpy as np
    >>> learn_words(np.float32([[2, 0]]), 1, alpha=0.1)
    array([[1., 0.]], dtype=float32)
    """
    X = X[(X != 0).any(axis=1)]
    if len(X) < n_words:
        raise SpmError(
            f"n_words={n_words} needs at least as many descriptors that are not zero, got n_samples={len(X)}: "
            "take more images or a smaller step, or lower n_words"
        )
    random = check_random_state(random_state)
    words = _unit(X[random.permutation(len(X))[:n_words]])
    A, B = np.zeros((n_words, n_words), np.float32), np.zeros(words.shape, np.float32)
    t = 0
    with progress_bar("sparse coding", total=n_iter, unit="pass", verbose=verbose) as bar:
        for n in range(n_iter):
            order, used = random.permutation(len(X)), np.zeros(n_words, dtype=bool)
            for start in range(0, len(X), BATCH):
                batch = X[order[start : start + BATCH]]
                t += 1
                _learn_from(batch, words, alpha, A, B, share=t**-0.75, n_jobs=n_jobs)
                used |= A.diagonal() > 0
            idle = np.flatnonzero(~used & (n < n_iter - 1))  # what the last pass drew would not be learned
            words[idle] = _unit(X[order[: len(idle)]])
            bar.update()
    return words


def _learn_from(
    batch: np.ndarray,
    words: np.ndarray,
    alpha: float,
    A: np.ndarray,
    B: np.ndarray,
    *,
    share: float,
    n_jobs: int | None,
) -> None:
    """Take a batch's codes into the running means A of u^T u and B of u^T x, and move the words to suit them."""
    moments = partial(_moments, words=words, gram=words @ words.T, alpha=alpha)
    sums = in_threads(moments, blocks_of(batch, BLOCK), n_jobs=n_jobs)
    for mean, parts in zip((A, B), zip(*sums, strict=True), strict=True):
        mean *= 1 - share
        for part in parts:
            mean += share / len(batch) * part
    for k in np.flatnonzero(A.diagonal() > 0):
        word = words[k] + (B[k] - A[k] @ words) / A[k, k]
        if np.linalg.norm(word) > 0:
            words[k] = _unit(word)


def _moments(block: np.ndarray, *, words: np.ndarray, gram: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse import csr_matrix

    codes = csr_matrix(sparse_codes(block @ words.T, gram, alpha))
    return (codes.T @ codes).toarray(), codes.T @ block


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# Coding


def sparse_codes(correlations: np.ndarray, gram: np.ndarray, alpha: float) -> np.ndarray:
    """Return the codes u that minimise 1/2 |x - u B|^2 + alpha |u|_1, by an active set of words.

    Words whose correlation with what is left of x exceeds alpha enter the set, the largest first; two sweeps of
    coordinate descent settle most signs, and an exact solution, cut short where a weight would change its sign, the
    rest (Lee 2006, algorithm 1). It ends when every correlation is as the optimum has it, to 1e-4 alpha.

    Parameters
    ----------
    correlations : ndarray of shape (N, K), float32
        x B^T of each descriptor. Overwritten: what remains is (x - u B) B^T.
    gram : ndarray of shape (K, K), float32
        B B^T.
    alpha : float

    Returns
    -------
    ndarray of shape (N, K), float32

    Examples
    --------
    >>> import numpy as np
    >>> sparse_codes(np.float32([[0.5, -0.25, 0.1]]), np.eye(3, dtype=np.float32), 0.125)
    array([[ 0.375, -0.125,  0.   ]], dtype=float32)
    """
    codes = np.zeros(correlations.shape, dtype=np.float32)
    _code(correlations, gram, np.float32(alpha), codes)
    return codes


@njit
def _code(correlations: np.ndarray, gram: np.ndarray, alpha: Any, codes: np.ndarray) -> None:
    n_words = len(gram)
    active = np.empty(n_words, dtype=np.int64)
    weights, left = np.empty(n_words, dtype=np.float32), np.empty(n_words, dtype=np.float32)
    small, system = np.empty((n_words, n_words), dtype=np.float32), np.empty((n_words, n_words + 1))
    for n in range(len(codes)):
        q, code = correlations[n], codes[n]
        slack = max(np.float32(EXACT) * alpha, np.float32(ROUNDING) * _largest(q))
        size = 0
        for _ in range(ROUNDS):
            size, done = _choose(q, code, alpha, slack, active, size)
            if done:
                break
            for i in range(size):
                weights[i], left[i] = code[active[i]], q[active[i]]
                for j in range(i + 1):
                    small[i, j] = small[j, i] = gram[active[i], active[j]]
            _sweep(small, left, weights, alpha, size)
            _solve_signed(small, left, weights, alpha, size, system)
            for i in range(size):
                step = code[active[i]] - weights[i]
                if step != 0:
                    code[active[i]] = weights[i]
                    _add(q, step, gram[active[i]], n_words)


@njit(fastmath={"nnan", "nsz"})
def _largest(q: np.ndarray) -> Any:
    """Return the largest absolute value: without NaN its order does not matter, and it vectorises."""
    largest = np.float32(0)
    for k in range(len(q)):
        value = abs(q[k])
        largest = value if value > largest else largest
    return largest


@njit
def _add(to: np.ndarray, factor: Any, row: np.ndarray, n: int) -> None:
    for k in range(n):
        to[k] += factor * row[k]


@njit
def _choose(q: np.ndarray, code: np.ndarray, alpha: Any, slack: Any, active: np.ndarray, size: int) -> tuple[int, bool]:
    """Drop the active words of weight zero and add those that should have one; and say whether all is optimal."""
    kept, settled = 0, True
    for i in range(size):
        k = active[i]
        if code[k] != 0:
            active[kept] = k
            kept += 1
            settled = settled and abs(q[k] - np.sign(code[k]) * alpha) <= slack
    worst = _largest(q)
    if worst <= alpha + slack:
        return kept, settled
    bar = max(alpha + slack, alpha + np.float32(EAGER) * (worst - alpha))
    for k in range(len(q)):
        if abs(q[k]) >= bar and code[k] == 0:
            active[kept] = k
            kept += 1
    return kept, False


@njit
def _sweep(small: np.ndarray, left: np.ndarray, weights: np.ndarray, alpha: Any, size: int) -> None:
    """Set each active weight to its best value given the others, a few times."""
    for _ in range(SWEEPS):
        for i in range(size):
            pull = left[i] + small[i, i] * weights[i]
            best = np.float32(0)
            if abs(pull) > alpha:
                best = (pull - np.sign(pull) * alpha) / small[i, i]
            step = weights[i] - best
            if step != 0:
                weights[i] = best
                _add(left, step, small[i], size)


@njit
def _solve_signed(
    small: np.ndarray, left: np.ndarray, weights: np.ndarray, alpha: Any, size: int, system: np.ndarray
) -> None:
    """Go to the exact solution for the present signs, as far as they hold; drop the first to change, and again."""
    used, moves = np.empty(size, dtype=np.int64), np.empty(size)
    stopped = 0
    while stopped >= 0:
        m = 0
        for i in range(size):
            if weights[i] != 0:
                used[m] = i
                m += 1
        for i in range(m):
            system[i, m] = left[used[i]] - np.sign(weights[used[i]]) * alpha
            for j in range(i, m):
                system[i, j] = small[used[i], used[j]]
            system[i, i] += DAMPING
        if not _eliminate(system, m, moves):
            return
        stopped, share = -1, 1.0
        for i in range(m):
            weight = weights[used[i]]
            if moves[i] * weight < 0 and abs(weight) <= share * abs(moves[i]):
                stopped, share = i, abs(weight) / abs(moves[i])
        for i in range(m):
            step = np.float32(share * moves[i]) if i != stopped else -weights[used[i]]
            weights[used[i]] += step
            _add(left, -step, small[used[i]], size)


@njit
def _eliminate(system: np.ndarray, n: int, solution: np.ndarray) -> bool:
    """Solve n equations, the right side in column n, of which the upper half is given; False where rounding wins."""
    for j in range(n):
        if system[j, j] < DAMPING / 10:
            return False
        for i in range(j + 1, n):
            factor = system[j, i] / system[j, j]
            for k in range(i, n + 1):
                system[i, k] -= factor * system[j, k]
    for i in range(n - 1, -1, -1):
        solution[i] = system[i, n]
        for k in range(i + 1, n):
            solution[i] -= system[i, k] * solution[k]
        solution[i] /= system[i, i]
    return True
