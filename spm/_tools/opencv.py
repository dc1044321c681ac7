"""OpenCV, imported in one place, so that a system without its graphics library gets one clear error."""

from __future__ import annotations

from ..errors import MissingDependencyError

try:
    import cv2
except ImportError as error:
    raise MissingDependencyError(
        f"OpenCV cannot be imported ({error}). If the system's libGL is missing, either install it "
        "(Debian, Ubuntu: apt-get install libgl1), or replace the package: pip uninstall -y opencv-contrib-python && "
        "pip install opencv-contrib-python-headless"
    ) from error

__all__ = ["cv2"]
