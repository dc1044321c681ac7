"""Colour spaces for descriptors: an RGB image in, the channels out that are described each by itself."""

from __future__ import annotations

import numpy as np

from .._tools.opencv import cv2

LUMINANCE = {
    "grey": np.array([1], dtype=np.float32),
    "rgb": np.array([1 / 3, 1 / 3, 1 / 3], dtype=np.float32),
    "hsv": np.array([0, 0, 1], dtype=np.float32),
    "opponent": np.array([1, 0, 0], dtype=np.float32),
}
"""What each channel of a colour space counts where contrast is measured, as in VLFeat's PHOW."""

TINT = 0.01  # how much of the luminance the opponent colours keep


def channels_of(image: np.ndarray, color: str) -> list[np.ndarray]:
    """Return the channels of a colour space, as VLFeat's PHOW defines them.

    ``"opponent"`` has the luminance mu = 0.3 R + 0.59 G + 0.11 B, and (R - G) / sqrt(2) and (R + G - 2 B) / sqrt(6),
    both with 0.01 mu added: so where there is no colour, all three have the luminance's descriptor. ``"hsv"`` has hue
    (a whole turn being 255, 0 where there is none), saturation and value.

    Parameters
    ----------
    image : ndarray of shape (h, w) for "grey" or (h, w, 3), uint8
    color : {"grey", "rgb", "hsv", "opponent"}

    Returns
    -------
    list of ndarray of shape (h, w)
        uint8 for "grey" and "rgb", else float32, values in 0..255; opponent colours in -255..255.

    Examples
    --------
    >>> import numpy as np
    >>> red = np.array([[[255, 0, 0]]], np.uint8)
    >>> [f"{channel[0, 0]:.1f}" for channel in channels_of(red, "opponent")]
    ['76.5', '181.1', '104.9']
    """
    if color == "grey":
        return [image]
    if color == "hsv":
        hsv = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2HSV)
        return [channel * np.float32(255 / most) for channel, most in zip(cv2.split(hsv), (360, 1, 1), strict=True)]
    red, green, blue = cv2.split(image)
    if color == "rgb":
        return [red, green, blue]
    red, green, blue = (channel.astype(np.float32) for channel in (red, green, blue))
    mu = np.float32(0.3) * red + np.float32(0.59) * green + np.float32(0.11) * blue
    tint = np.float32(TINT) * mu
    return [mu, (red - green) / np.float32(2**0.5) + tint, (red + green - 2 * blue) / np.float32(6**0.5) + tint]
