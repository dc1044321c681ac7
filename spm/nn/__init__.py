"""Training networks with spatial pyramid pooling: images and labels in, a trained network out. Needs torch.

Everything that imports torch lies in this folder, and is loaded when it is asked for: ``import spm`` and ``spm.nn``
work without torch, and what needs it says how to install it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import need

_HOMES = {
    "RegionHead": "region_head",
    "SpatialPyramidPooling": "layer",
    "SPPNet": "sppnet",
    "SPPNetClassifier": "training.classifier",
    "ShapeBuckets": "training.buckets",
    "Trunk": "trunks",
    "plain_net": "sppnet",
    "spp_net": "sppnet",
    "trunk": "trunks",
    "LiveNetwork": "live",
    "load_weights": "weights",
}
"""The public names, and the module that each is in."""

_WITHOUT_TORCH = ("ShapeBuckets",)

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _WITHOUT_TORCH:
        need("networks that learn", "torch", "torch")
    return getattr(need("networks that learn", "torch", f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:  # the same once more, in a form that type checkers read
    from .layer import SpatialPyramidPooling as SpatialPyramidPooling
    from .live import LiveNetwork as LiveNetwork
    from .region_head import RegionHead as RegionHead
    from .sppnet import SPPNet as SPPNet
    from .sppnet import plain_net as plain_net
    from .sppnet import spp_net as spp_net
    from .training.buckets import ShapeBuckets as ShapeBuckets
    from .training.classifier import SPPNetClassifier as SPPNetClassifier
    from .trunks import Trunk as Trunk
    from .trunks import trunk as trunk
    from .weights import load_weights as load_weights
