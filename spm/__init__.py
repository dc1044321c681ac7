"""Spatial pyramids: bag of visual words, spatial pyramid matching and spatial pyramid pooling on one road.

An image travels through these folders, in this order::

    features/      image -> local features              networks/  an ONNX file -> its maps
    encoders/      local features -> codes              codebooks/ descriptors -> words
    pyramid/       codes -> cells -> vector
    vectorizer.py  image -> vector: the road itself
    kernels/       vectors -> Gram matrix
    classifiers/   vector -> label
    detection/     image -> objects                     nn/       training networks
    presets/       a paper's name -> a model
    evaluation/    models -> figures
    evidence/      a decision -> votes
    plots/  report/  cli/                               figures, pages, commands

What they stand on: `errors.py`, `images/`, `boxes.py`, `_tools/`; beside them: `datasets/`, `storage/`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "SpmError": "errors",
    "ImageError": "errors",
    "fetch_network": "networks.zoo",
    "LocalFeatures": "features.local",
    "ExtractorMixin": "features.local",
    "DenseSIFT": "features.dense_sift",
    "KeypointFeatures": "features.keypoints",
    "EdgePoints": "features.edge_points",
    "CensusTransform": "features.census",
    "FeatureMap": "features.feature_map",
    "Mirrored": "features.mirrored",
    "stream_descriptors": "features.stream",
    "DescriptorFiles": "features.stream",
    "write_descriptors": "features.stream",
    "VocabularyTree": "codebooks.tree",
    "Codes": "encoders.codes",
    "EncoderMixin": "encoders.base",
    "BagOfWords": "encoders.bag_of_words",
    "SoftAssignment": "encoders.soft",
    "SparseCoding": "encoders.sparse_coding",
    "LLC": "encoders.llc",
    "VLAD": "encoders.vlad",
    "FisherVector": "encoders.fisher",
    "FixedVocabulary": "encoders.fixed",
    "SpatialPyramid": "pyramid.pyramid",
    "PyramidVectorizer": "vectorizer",
    "KernelSum": "kernels.sums",
    "KernelProduct": "kernels.sums",
    "HomogeneousMap": "kernels.maps",
    "KernelSVC": "classifiers.svm",
    "MultiViewClassifier": "classifiers.multiview",
    "save": "storage",
    "load": "storage",
    "load_folder": "datasets",
    "load_table": "datasets",
    "info": "presets.identity",
    "PerClassShuffleSplit": "evaluation.splits",
    "predict": "evaluation.prediction",
    "evaluate": "evaluation.protocols",
    "compare": "evaluation.comparison",
}
"""The public names in the order of the road, and the module that each is in."""

_MODULES = (
    "errors",
    "images",
    "networks",
    "kernels",
    "datasets",
    "detection",
    "nn",
    "presets",
    "evidence",
    "plots",
    "report",
)

__all__ = ["__version__", *_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:  # the same once more, in a form that type checkers read; a test holds the two together
    from . import datasets as datasets
    from . import detection as detection
    from . import errors as errors
    from . import evidence as evidence
    from . import images as images
    from . import kernels as kernels
    from . import networks as networks
    from . import nn as nn
    from . import plots as plots
    from . import presets as presets
    from . import report as report
    from .classifiers.multiview import MultiViewClassifier as MultiViewClassifier
    from .classifiers.svm import KernelSVC as KernelSVC
    from .codebooks.tree import VocabularyTree as VocabularyTree
    from .datasets import load_folder as load_folder
    from .datasets import load_table as load_table
    from .encoders.bag_of_words import BagOfWords as BagOfWords
    from .encoders.base import EncoderMixin as EncoderMixin
    from .encoders.codes import Codes as Codes
    from .encoders.fisher import FisherVector as FisherVector
    from .encoders.fixed import FixedVocabulary as FixedVocabulary
    from .encoders.llc import LLC as LLC
    from .encoders.soft import SoftAssignment as SoftAssignment
    from .encoders.sparse_coding import SparseCoding as SparseCoding
    from .encoders.vlad import VLAD as VLAD
    from .errors import ImageError as ImageError
    from .errors import SpmError as SpmError
    from .evaluation.comparison import compare as compare
    from .evaluation.prediction import predict as predict
    from .evaluation.protocols import evaluate as evaluate
    from .evaluation.splits import PerClassShuffleSplit as PerClassShuffleSplit
    from .features.census import CensusTransform as CensusTransform
    from .features.dense_sift import DenseSIFT as DenseSIFT
    from .features.edge_points import EdgePoints as EdgePoints
    from .features.feature_map import FeatureMap as FeatureMap
    from .features.keypoints import KeypointFeatures as KeypointFeatures
    from .features.local import ExtractorMixin as ExtractorMixin
    from .features.local import LocalFeatures as LocalFeatures
    from .features.mirrored import Mirrored as Mirrored
    from .features.stream import DescriptorFiles as DescriptorFiles
    from .features.stream import stream_descriptors as stream_descriptors
    from .features.stream import write_descriptors as write_descriptors
    from .kernels.maps import HomogeneousMap as HomogeneousMap
    from .kernels.sums import KernelProduct as KernelProduct
    from .kernels.sums import KernelSum as KernelSum
    from .networks.zoo import fetch_network as fetch_network
    from .presets.identity import info as info
    from .pyramid.pyramid import SpatialPyramid as SpatialPyramid
    from .storage import load as load
    from .storage import save as save
    from .vectorizer import PyramidVectorizer as PyramidVectorizer
