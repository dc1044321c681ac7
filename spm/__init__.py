"""Spatial pyramids: bag of visual words, spatial pyramid matching and spatial pyramid pooling on one road."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "VLAD": "vlad",
    "SoftAssignment": "soft",
    "LLC": "locality",
    "FisherVector": "fisher",
    "BagOfWords": "encoders",
    "CensusTransform": "fixedwords",
    "DenseSIFT": "sift",
    "EdgePoints": "fixedwords",
    "FeatureMap": "featuremap",
    "FixedVocabulary": "fixedwords",
    "HomogeneousMap": "kernel_maps",
    "ImageError": "errors",
    "KernelSVC": "svm",
    "KernelProduct": "combination",
    "KernelSum": "combination",
    "KeypointFeatures": "keypoints",
    "LocalFeatures": "local",
    "Mirrored": "mirrored",
    "MultiViewClassifier": "multiview",
    "PerClassShuffleSplit": "splits",
    "PyramidVectorizer": "vectorizer",
    "SparseCoding": "sparse_coding",
    "SpatialPyramid": "pyramid",
    "SpmError": "errors",
    "VocabularyTree": "vocabulary_tree",
    "compare": "comparison",
    "evaluate": "protocols",
    "fetch_network": "networks",
    "load": "storage",
    "load_folder": "datasets",
    "predict": "protocols",
    "save": "storage",
    "stream_descriptors": "streaming",
}
_MODULES = ("datasets", "kernels", "networks", "plots", "presets", "report")

__all__ = ["__version__", *sorted(_HOMES), *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from . import datasets as datasets
    from . import kernels as kernels
    from . import networks as networks
    from . import plots as plots
    from . import presets as presets
    from . import report as report
    from .combination import KernelProduct as KernelProduct
    from .combination import KernelSum as KernelSum
    from .comparison import compare as compare
    from .datasets import load_folder as load_folder
    from .encoders import BagOfWords as BagOfWords
    from .errors import ImageError as ImageError
    from .errors import SpmError as SpmError
    from .featuremap import FeatureMap as FeatureMap
    from .fisher import FisherVector as FisherVector
    from .fixedwords import CensusTransform as CensusTransform
    from .fixedwords import EdgePoints as EdgePoints
    from .fixedwords import FixedVocabulary as FixedVocabulary
    from .kernel_maps import HomogeneousMap as HomogeneousMap
    from .keypoints import KeypointFeatures as KeypointFeatures
    from .local import LocalFeatures as LocalFeatures
    from .locality import LLC as LLC
    from .mirrored import Mirrored as Mirrored
    from .multiview import MultiViewClassifier as MultiViewClassifier
    from .networks import fetch_network as fetch_network
    from .protocols import evaluate as evaluate
    from .protocols import predict as predict
    from .pyramid import SpatialPyramid as SpatialPyramid
    from .sift import DenseSIFT as DenseSIFT
    from .soft import SoftAssignment as SoftAssignment
    from .sparse_coding import SparseCoding as SparseCoding
    from .splits import PerClassShuffleSplit as PerClassShuffleSplit
    from .storage import load as load
    from .storage import save as save
    from .streaming import stream_descriptors as stream_descriptors
    from .svm import KernelSVC as KernelSVC
    from .vectorizer import PyramidVectorizer as PyramidVectorizer
    from .vlad import VLAD as VLAD
    from .vocabulary_tree import VocabularyTree as VocabularyTree
