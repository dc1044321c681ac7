"""Labels in, indices of training and test images out: so many, or a share, of every class train, the rest test."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import BaseShuffleSplit
from sklearn.utils import check_random_state

from .._tools.options import Options, check_options, optional, seed, whole
from .._tools.public import public
from ..errors import SpmError, check_number


def per_class_split(
    y: np.ndarray, n_train: float, n_test: int | None, rng: np.random.RandomState, max_train: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one split with `n_train` training images of every class.

    Parameters
    ----------
    y : ndarray of shape (n,)
        The label of every image.
    n_train : int or float
        Training images of each class, or below 1 the share of each class, rounded down, but one image at least.
    n_test : int or None
        Test images of each class at most; None takes all the rest.
    rng : RandomState
    max_train : int or None
        Training images of each class at most.

    Returns
    -------
    train, test : ndarray of int
        Indices into `y`, each in random order.

    Raises
    ------
    SpmError
        When a class has no image left to test on.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array(["coast"] * 5 + ["forest"] * 3)
    >>> train, test = per_class_split(y, 2, None, np.random.RandomState(0))
    >>> np.unique(y[train], return_counts=True)[1], np.unique(y[test], return_counts=True)[1]
    (array([2, 2]), array([3, 1]))
    """
    classes, codes = np.unique(y, return_inverse=True)
    counts = np.bincount(codes)
    wanted = np.maximum(np.floor(n_train * counts), 1).astype(int) if n_train < 1 else np.full(len(counts), n_train)
    wanted = np.minimum(wanted, len(y) if max_train is None else max_train)
    _check_counts(classes, counts, n_train, wanted)
    train, test = [], []
    for code, (count, n) in enumerate(zip(counts, wanted, strict=True)):
        members = np.flatnonzero(codes == code)[rng.permutation(count)]
        train.append(members[:n])
        test.append(members[n : None if n_test is None else n + n_test])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))


def _check_counts(classes: np.ndarray, counts: np.ndarray, n_train: float, wanted: np.ndarray) -> None:
    small = np.flatnonzero(counts < wanted + 1)
    if len(small):
        listed = ", ".join(f"{classes.tolist()[i]!r} ({counts[i]})" for i in small[:5])
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        raise SpmError(
            f"n_train={n_train} needs at least {wanted[small[0]] + 1} images of every class, one of them to test on; "
            f"too few of {listed}{more}: lower n_train or leave these classes out"
        )


@public()
class PerClassShuffleSplit(BaseShuffleSplit):
    """Random splits with a fixed number of training images of every class: the protocol of scene recognition.

    Lazebnik, Schmid and Ponce (2006, section 5) train on 100 images a class of 15-Scene and test on all the rest,
    and on Caltech-101 train on 30 a class and test on at most 50, ten times over (``n_train=30, n_test=50``).
    Works wherever scikit-learn takes a `cv`.

    Classes of very different sizes are better served by a share of each, as ``n_train=0.5``.

    Parameters
    ----------
    n_train : int or float, default=100
        Training images of each class, or below 1 the share of each class, rounded down, but one image at least.
    n_test : int or None, default=None
        Test images of each class at most; None takes all the rest.
    n_splits : int, default=10
        Number of splits.
    random_state : int, RandomState or None, default=0
        An integer gives the same splits at every call of `split`.
    max_train : int or None, default=None
        Training images of each class at most: ``n_train=0.5, max_train=100`` is half of each class, but 100 at most.

    Examples
    --------
    >>> cv = PerClassShuffleSplit(n_train=2, n_splits=3)
    >>> y = ["coast", "forest"] * 4
    >>> [(len(train), len(test)) for train, test in cv.split(y, y)]
    [(4, 4), (4, 4), (4, 4)]
    """

    _options: ClassVar[Options] = {
        "n_train": lambda name, value: _check_n_train(name, value),
        "n_test": optional(whole(least=1)),
        "n_splits": whole(least=1),
        "random_state": seed,
        "max_train": optional(whole(least=1)),
    }

    def __init__(
        self,
        *,
        n_train: float = 100,
        n_test: int | None = None,
        n_splits: int = 10,
        random_state: int | np.random.RandomState | None = 0,
        max_train: int | None = None,
    ) -> None:
        self.n_train = n_train
        self.n_test = n_test
        self.n_splits = n_splits
        self.random_state = random_state
        self.max_train = max_train

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the indices of training and test images, split by split.

        Parameters
        ----------
        X : sequence of n images, or anything of that length
            Only its length is used.
        y : array-like of shape (n,)
            The label of every image.
        groups : object
            Ignored; there as scikit-learn's interface has it.

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        SpmError
            For missing labels, options out of range, and a class with no image left to test on.
        """
        check_options(self)
        if y is None:
            raise SpmError("PerClassShuffleSplit draws from every class: it needs the labels y, got None")
        if np.ndim(y) != 1:
            raise SpmError(f"PerClassShuffleSplit needs one label for each image, got y of shape {np.shape(y)}")
        return super().split(X, y, groups)

    def _iter_indices(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        labels = np.asarray(y)
        rng = check_random_state(self.random_state)
        for _ in range(self.n_splits):
            yield per_class_split(labels, self.n_train, self.n_test, rng, self.max_train)


def _check_n_train(name: str, value: Any) -> Any:
    """Check a number of images, or a share above 0 and below 1."""
    share = isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral) and 0 < float(value) < 1
    return value if share else check_number(name, value, least=1, integer=True)
