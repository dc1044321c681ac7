"""Sparse features: an image in, the descriptors of the key points that a detector finds in it out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from .._tools.opencv import cv2
from .._tools.options import Options, anything, check_options, flag, optional, whole
from .._tools.public import public
from ..errors import ImageError, SpmError, check_choice
from ..images import name_of, see_image
from .local import ExtractorMixin, LocalFeatures, Views

_one_at_a_time = threading.Lock()
_BINARY = (cv2.NORM_HAMMING, cv2.NORM_HAMMING2)


@public()
class KeypointFeatures(ExtractorMixin, BaseEstimator):
    """Descriptors of detected key points, by any of OpenCV's features: SIFT (Lowe 2004), ORB, AKAZE, ...

    Parameters
    ----------
    detector : str, callable or cv2.Feature2D, default="SIFT"
        What finds the key points: the name of a class in `cv2` or `cv2.xfeatures2d`; a function without arguments that
        returns a `cv2.Feature2D`; or such an object, of which threads take turns. OpenCV's objects can be neither
        pickled nor saved, and functions not saved; neither can be remembered (`memory`). What is to be needs a name.
    descriptor : str, callable or cv2.Feature2D, optional
        What describes them. By default the detector. Some, such as ``"FastFeatureDetector"``, only find, and some, such
        as ``"FREAK"``, only describe.
    options : mapping, optional
        Arguments of the detector's ``create``, such as ``{"contrastThreshold": 0.02}``, if it is given by name.
    upright : bool, default=False
        Whether to describe every key point unrotated; those that differ by nothing else are one. AKAZE and KAZE turn
        their patches anyhow, unless their own options say otherwise.
    max_features : int, optional
        Keep those of greatest response, at most so many. ORB by itself has 500, ``options={"nfeatures": ...}`` more.
    root : bool, default=False
        Take square roots of the values divided by their sum (RootSIFT, Arandjelovic and Zisserman 2012, section 2),
        of absolute values with the sign kept where some are negative, as KAZE's are. Bits are left as they are.
    max_side : int, optional
        An image whose longer side has more pixels is first shrunk to so many, by averaging areas, as
        `spm.images.see_image` has it. Places stay pixels of the image itself.

    Notes
    -----
    Values are as OpenCV has them: SIFT's are whole numbers to 255, 512 times those of unit length, as
    ``DenseSIFT(dtype="uint8")`` has them. Binary descriptors are taken apart into bits, so that the squared Euclidean
    distance, by which words are learned, is Hamming's. OpenCV's SIFT places its points a quarter of a pixel too far
    right and down; ``options={"enable_precise_upscale": True}`` mends it.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> image = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)
    >>> spm.KeypointFeatures(max_features=20, upright=True).extract(image).values.shape
    (20, 128)
    >>> spm.KeypointFeatures(detector="ORB").extract(image).values.shape[1]
    256
    """

    _options: ClassVar[Options] = {
        "detector": anything,
        "descriptor": anything,
        "options": anything,
        "upright": flag,
        "max_features": optional(whole(least=1)),
        "root": flag,
        "max_side": optional(whole(least=1)),
    }

    def __init__(
        self,
        *,
        detector: Any = "SIFT",
        descriptor: Any = None,
        options: Mapping[str, Any] | None = None,
        upright: bool = False,
        max_features: int | None = None,
        root: bool = False,
        max_side: int | None = None,
    ) -> None:
        self.detector = detector
        self.descriptor = descriptor
        self.options = options
        self.upright = upright
        self.max_features = max_features
        self.root = root
        self.max_side = max_side

    def views(self, image: Any) -> Views:
        """Return the one view of an image, of one layer: the descriptors of its key points.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it; colour is turned to grey.

        Returns
        -------
        list of one tuple of one LocalFeatures
            `values` of shape (N, D): float32, or uint8 bits for binary descriptors; `extents` are the key points,
            pixel centres being at +0.5. An image without key points has none.

        Raises
        ------
        ImageError
            If the image cannot be read, or OpenCV fails on it, as some detectors do on images of a few pixels.
        SpmError
            If an option is not valid.
        """
        detector, descriptor = self._makers()
        seen = see_image(image, "grey", max_side=self.max_side)
        shared = any(isinstance(part, cv2.Feature2D) for part in (self.detector, self.descriptor))
        with _one_at_a_time if shared else nullcontext():
            try:
                points, values = self._describe(detector, descriptor, seen.pixels)
            except cv2.error as error:
                raise ImageError(name_of(image), f"{self!r} fails on it: {error}") from error
        centres = np.array([point.pt for point in points], dtype=np.float32).reshape(-1, 2) + np.float32(0.5)
        return [(LocalFeatures.points(values, seen.places(centres), seen.size),)]

    def check(self, image: Any) -> None:
        """Raise the error that `views` would raise, without detecting anything."""
        self._makers()
        see_image(image, "grey", max_side=self.max_side)

    def fingerprint(self) -> dict[str, Any]:
        """Return what the features depend on, for the vectorizer's `memory`.

        Raises
        ------
        SpmError
            If the detector is an object of OpenCV's, into which nobody can see. Functions are refused by the `memory`.
        """
        self._refuse_objects("remembered", "")
        return self.get_params(deep=False)

    def _describe(self, detector: Any, descriptor: Any, grey: np.ndarray) -> tuple[list[Any], np.ndarray]:
        """Return the key points and their descriptors, shape (N, D)."""
        points = list(detector.detect(grey))
        if self.upright:
            for point in points:
                point.angle = 0
            points = list({(point.pt, point.size, point.octave): point for point in points}.values())
        if self.max_features is not None:
            points = sorted(points, key=lambda point: -point.response)[: self.max_features]
        points, values = descriptor.compute(grey, points) if points else ([], None)
        if values is None:
            kind = np.float32 if descriptor.descriptorType() == cv2.CV_32F else np.uint8
            values = np.empty((0, descriptor.descriptorSize()), dtype=kind)
        if descriptor.defaultNorm() in _BINARY:
            return list(points), np.unpackbits(values, axis=1)
        if self.root:
            values = values.astype(np.float32, copy=False)
            sums = np.abs(values).sum(axis=1, keepdims=True)
            values = np.copysign(np.sqrt(np.abs(values) / np.where(sums > 0, sums, 1)), values)
        return list(points), values

    def _makers(self) -> tuple[Any, Any]:
        """Return the detector and the descriptor, made anew for this image if they are not objects."""
        check_options(self)
        if self.options is not None and not (isinstance(self.options, Mapping) and isinstance(self.detector, str)):
            raise SpmError(f"options are a dictionary for a detector given by name, got {self.options!r}")
        detector = _feature("detector", self.detector, self.options or {})
        return detector, detector if self.descriptor is None else _feature("descriptor", self.descriptor, {})

    def _refuse_objects(self, what: str, otherwise: str = ", or a function that makes it") -> None:
        for name in ("detector", "descriptor"):
            if isinstance(getattr(self, name), cv2.Feature2D):
                raise SpmError(
                    f'{name} is an object of OpenCV\'s, which cannot be {what}: give its name, such as "SIFT", and '
                    f"options{otherwise}"
                )

    def __sklearn_clone__(self) -> KeypointFeatures:
        return type(self)(**self.get_params(deep=False))  # OpenCV's objects cannot be copied: they are shared

    def __getstate__(self) -> dict[str, Any]:
        self._refuse_objects("pickled or saved")
        return super().__getstate__()


def _feature(name: str, given: Any, options: Mapping[str, Any]) -> Any:
    """Return an object of OpenCV's from its name, from a function that makes one, or as it is."""
    feature = given
    if isinstance(given, str):
        kinds = _kinds()
        try:
            feature = kinds[check_choice(name, given, sorted(kinds))].create(**options)
        except (cv2.error, TypeError) as error:
            raise SpmError(f"{name}={given!r} cannot be made with options={dict(options)}: {error}") from error
    elif callable(given) and not isinstance(given, type):
        feature = given()
    if not isinstance(feature, cv2.Feature2D):
        wanted = 'a name such as "SIFT", a cv2.Feature2D or a function without arguments that returns one'
        raise SpmError(f"{name} must be {wanted}, got {given!r}")
    return feature


def _kinds() -> dict[str, Any]:
    """Return OpenCV's kinds of features by name; which module has them differs with its version."""
    kinds = {}
    for module in (getattr(cv2, "xfeatures2d", None), cv2):
        for name, kind in vars(module).items() if module else ():
            if isinstance(kind, type) and issubclass(kind, cv2.Feature2D) and hasattr(kind, "create"):
                kinds[name.removeprefix("xfeatures2d_")] = kind
    return kinds
