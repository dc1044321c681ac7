"""scikit-learn's digits, scaled up to images: a set for quick starts and tests that needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._tools.public import public
from ..errors import check_number

if TYPE_CHECKING:
    from sklearn.utils import Bunch


@public("spm.datasets")
def load_digit_images(size: int = 64) -> Bunch:
    """Scale the 1,797 digits of 8x8 pixels that come with scikit-learn up to images, with fixed halves of every class.

    Parameters
    ----------
    size : int, default=64
        Side of the images in pixels.

    Returns
    -------
    Bunch
        ``data``: ndarray of shape (1797, size, size), uint8, enlarged by cubic interpolation; ``target``: ndarray of
        shape (1797,), int; ``target_names``: ``["0", ..., "9"]``; ``train``, ``test``: the indices of two halves, the
        same on every machine; ``DESCR``.

    Raises
    ------
    SpmError
        When `size` is not a whole number of at least 8.

    Examples
    --------
    >>> digits = load_digit_images(size=32)
    >>> digits.data.shape, digits.data.dtype, len(digits.train), len(digits.test)
    ((1797, 32, 32), dtype('uint8'), 896, 901)
    """
    check_number("size", size, least=8, integer=True)
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    from .._tools.opencv import cv2

    digits = load_digits()
    small = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 0..16 to 0..255
    data = np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in small])
    train, test = stratified_halves(digits.target)
    return Bunch(
        data=data,
        target=digits.target,
        target_names=[str(name) for name in digits.target_names],
        train=train,
        test=test,
        DESCR=f"scikit-learn's digits as grey images of {size}x{size} pixels.\n\n{digits.DESCR}",
    )


def stratified_halves(y: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cut a set into two fixed halves with half of every class in each; of an odd class the second half gets one more.

    Examples
    --------
    >>> import numpy as np
    >>> train, test = stratified_halves(np.array([0, 0, 0, 0, 1, 1, 1]))
    >>> len(train), len(test)
    (3, 4)
    """
    rng = np.random.RandomState(seed)  # its stream is frozen, a Generator's is not
    order = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    train = np.concatenate([members[: len(members) // 2] for members in order])
    test = np.concatenate([members[len(members) // 2 :] for members in order])
    return np.sort(train), np.sort(test)
