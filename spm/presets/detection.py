"""Detectors: names of papers and an ONNX file in, detectors with the papers' values out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._tools.public import public
from ..detection import CropDetector, RegionDetector, SelectiveSearch
from ..detection.base import Detector, words_vectorizer
from ..pyramid.pyramid import SpatialPyramid
from ..vectorizer import PyramidVectorizer
from ._shared import Levels
from .networks import feature_map

SIDE = 224  # what the networks of today are trained on, in place of the 227 of the authors' AlexNet


@public("spm.presets")
def words_detection(
    *, memory: Any = None, n_jobs: int | None = None, verbose: bool = False, random_state: Any = None
) -> RegionDetector:
    """Return the handcrafted detector: regions as spatial pyramids of 200 SIFT words, all else as in SPP-net.

    No paper's: the detector of `sppnet2014_detection` with words over 1x1, 2x2 and 4x4 cells, square roots of shares,
    in place of a network's maps. It needs no network.

    Parameters
    ----------
    memory, n_jobs, verbose, random_state
        As for `spm.detection.RegionDetector`.

    Returns
    -------
    spm.detection.RegionDetector

    Examples
    --------
    >>> import spm
    >>> spm.presets.words_detection().vectorizer.encoder
    BagOfWords()
    """
    return RegionDetector(
        vectorizer=words_vectorizer(),
        proposals=SelectiveSearch(),
        memory=memory,
        n_jobs=n_jobs,
        verbose=verbose,
        random_state=random_state,
    )


@public("spm.presets")
def rcnn2014(
    model: Any = None,
    *,
    layers: str | Sequence[str] | None = None,
    preprocess: Any = None,
    levels: Levels = (6,),
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> CropDetector:
    """Return R-CNN as in Girshick, Donahue, Darrell and Malik 2014: one pass of the network for every region.

    From the paper and the authors' files: selective search in fast mode, some 2,000 boxes (section 2.1); each warped to
    a square with 16 pixels of context (appendix A; here 224, where their network takes 227); features scaled to a mean
    norm of 20, C 0.001, positives weigh 2, bias feature 10, objects are the positives and boxes of an overlap under 0.3
    the negatives, one pass of hard negatives (``rcnn_train.m``); box regression by ridge of 1,000 from boxes that
    overlap by more than 0.6 (appendix C); suppression over 0.3.

    Parameters
    ----------
    model : path, bytes or spm.networks.Network, optional
        An ONNX file. By default the small network that ships with spm.
    layers : str or sequence of str, optional
        As `FeatureMap` takes them.
    preprocess : str or dict, optional
        As `FeatureMap` takes it; ``"imagenet"`` by default for a `model` of your own.
    levels : sequence, default=(6,)
        Bins that each crop's map is pooled into: 6 x 6 is pool5 of their network.
    memory, n_jobs, verbose, random_state
        As for `spm.detection.RegionDetector`.

    Returns
    -------
    spm.detection.CropDetector

    Examples
    --------
    >>> import spm
    >>> spm.presets.rcnn2014().context
    16
    """
    features = feature_map(model, layers=layers, preprocess=preprocess, size=SIDE, policy="warp", flip=False)
    return CropDetector(
        vectorizer=_vectorizer(features, levels),
        proposals=SelectiveSearch(),
        crop_size=SIDE,
        context=16,
        memory=memory,
        n_jobs=n_jobs,
        verbose=verbose,
        random_state=random_state,
    )


@public("spm.presets")
def sppnet2014_detection(
    model: Any = None,
    *,
    layers: str | Sequence[str] | None = None,
    preprocess: Any = None,
    levels: Levels = (1, 2, 3, 6),
    scales: Sequence[int] = (688,),
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> RegionDetector:
    """Return SPP-net's detector as in He, Zhang, Ren and Sun 2014, section 4: convolve once, pool every region.

    From the paper and the authors' files: selective search in fast mode, some 2,000 boxes (section 4.1); the image at a
    shorter side of 688, or with ``scales=(480, 576, 688, 874, 1200)`` each box at that which brings it nearest to 224
    pixels (``Script_spp_voc.m``; the paper has 864 for 874); a pyramid of 1x1, 2x2, 3x3 and 6x6 bins, max-pooled;
    features scaled to a mean norm of 20, C 0.001, positives weigh 2, bias feature 10, objects are the positives and
    boxes of an overlap under 0.3 the negatives, one pass of hard negatives (``spp_train.m``); box regression by ridge
    of 4,000 from boxes that overlap by more than 0.5; suppression over 0.3.

    Parameters
    ----------
    model, layers, preprocess
        As for `rcnn2014`.
    levels : sequence, default=(1, 2, 3, 6)
        The grids of the pyramid: n for n x n cells, or (rows, columns).
    scales : sequence of int, default=(688,)
        Shorter sides in pixels at which the network sees an image.
    memory, n_jobs, verbose, random_state
        As for `spm.detection.RegionDetector`.

    Returns
    -------
    spm.detection.RegionDetector

    Examples
    --------
    >>> import spm
    >>> spm.presets.sppnet2014_detection().scales
    (688,)
    """
    features = feature_map(model, layers=layers, preprocess=preprocess, size=688, policy="full", flip=False)
    return RegionDetector(
        vectorizer=_vectorizer(features, levels),
        proposals=SelectiveSearch(),
        scales=tuple(scales),
        memory=memory,
        n_jobs=n_jobs,
        verbose=verbose,
        random_state=random_state,
    )


def _vectorizer(features: Any, levels: Levels) -> PyramidVectorizer:
    pyramid = SpatialPyramid(levels=levels, pool="max", weights=None)
    return PyramidVectorizer(features=features, pyramid=pyramid, norm=None)


DETECTORS: dict[str, Callable[..., Detector]] = {
    "words": words_detection,
    "sppnet2014_detection": sppnet2014_detection,
    "rcnn2014": rcnn2014,
}
"""What ``spm detect train --preset`` takes."""
