"""Detectors: an image in, its objects out; every region pooled from one map, or one pass of the network a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .._tools.options import Options, choice, each, optional, whole
from .._tools.public import public
from ..errors import SpmError
from ..vectorizer import PyramidVectorizer
from .base import Detector
from .regions import RULES, CropRegions, MapRegions, vectorizers_of


@public("spm.detection")
class RegionDetector(Detector):
    """R-CNN with spatial pyramid pooling: the image is described once, and every region pooled (He 2014, section 4).

    With the maps of a network this is SPP-net's detector; with SIFT words, the default, a detector by spatial pyramid
    matching. One linear machine a class scores the regions; all defaults are the values of the authors' released code
    (SPP_net: ``spp_train.m``, ``Script_spp_voc.m``), but where said.

    Parameters
    ----------
    vectorizer : PyramidVectorizer or RegionUnion, optional
        Describes regions; a union joins what several networks say. By default 200 SIFT words over 1x1, 2x2 and 4x4
        cells, square roots of shares.
    proposals : proposer, optional
        Where objects may be. By default ``default_proposals()``: edge boxes, filled up by selective search.
    scales : sequence of int, optional
        Shorter sides in pixels at which a network sees the image, of which each box is pooled from one; the authors
        have 688, or (480, 576, 688, 874, 1200). By default the vectorizer's own views, averaged.
    scale_rule : {"side", "area"}, default="side"
        By what a box's scale is the one that brings it nearest to 224 x 224: its side, as SPP_net, or its area, as
        fast-rcnn.
    C : float, default=0.001
        What a training error costs.
    positive_weight : float, default=2
        What an error on an object costs, over `C`.
    intercept_scaling : float, default=10
        The value appended to each vector; its weight, the intercept, is regularised like others.
    feature_norm : float or None, default=20
        Vectors are multiplied by what brings their mean norm, over 200 boxes of 200 images, to this; None for as they
        are.
    negative_iou : float, default=0.3
        A box stands against a class whose objects it overlaps by less.
    hard_negatives : bool, default=True
        Whether the images are gone through once for boxes that the machines of the moment find hard. Without,
        `max_negatives` boxes are drawn at random.
    add_above, evict_below : float, default=-1.0001, -1.2
        A box comes in when its decision value is above the one, and goes when it falls below the other.
    retrain_after : int, default=2000
        So many boxes that are new to a class let machines be learned anew.
    negatives_per_image : int, default=100
        The hardest boxes of an image that come in at most, but for the first image, which gives all. The authors' code
        has no bound; without one, where objects are few, every box is hard, and machines are learned anew at each
        image.
    max_negatives : int, default=8000
        Boxes at most that are held against classes, all together; when there are more, the easiest go. It bounds the
        memory, that of as many vectors. The authors' code has no bound.
    use_difficult : bool, default=True
        Whether difficult objects are learned from, as in the released training.
    head : {"svm", "mlp"} or transformer, default="svm"
        ``"mlp"``: fully connected layers are trained on windows first, ``FineTunedHead()``, and machines learned on
        the last hidden one (section 4.2, fine-tuning). A transformer is fitted to vectors and classes, -1 for
        background.
    machines : bool, default=True
        Whether linear machines score. Without them the head does, by its ``predict_proba``: scores are probabilities
        then, and `least_score` is one (Girshick 2015, "Fast R-CNN", section 5.4, finds it as good). Of few objects it
        is better: a head learns from all boxes near an object, machines from the object's own alone.
    windows_per_image : int, default=64
        That a head learns from, a quarter of them objects, each at a scale of its own; the mirror image has as many.
    background_iou : (float, float), default=(0.1, 0.5)
        By how much windows without an object overlap objects: at least, and less than.
    far_share : float, default=0
        Share of these windows that overlap objects by less. A head that scores by itself must know some: it meets
        them in every image, where machines meet them as hard negatives.
    box_regression : bool, default=True
        Whether boxes are moved by what their vectors tell.
    regression_alpha : float, default=4000
        Of the ridge regression.
    regression_iou : float, default=0.5
        It learns from boxes that overlap an object by more.
    max_pairs : int, default=1000
        Of those at most, a class. The authors' code has no bound.
    least_score : float, default=-1.5
        Decision value above which a box is an object.
    nms_iou : float, default=0.3
        A box gives way to a surer one of its class that it overlaps by more; once more when boxes have been moved.
    voting_iou : float, optional
        Of those that gave way, the ones that overlap a box by as much pull it to their mean, each by its score where
        that is above 0; 0.5 is usual (Gidaris 2015). By default none does, as in the authors' code.
    max_per_image : int, default=100
        Objects of each class at most.
    memory : joblib.Memory or path, optional
        Where to keep proposals, and each step of a training, which goes on where it was stopped.
    n_jobs : int or None
        Workers, as joblib means it. Results do not depend on it.
    verbose : bool, default=False
        Whether to show progress on standard error after two seconds.
    random_state : int, RandomState or None
        Seeds the parts whose own is None, and all that is drawn.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (n_classes, n_features), float32
    intercept_ : ndarray of shape (n_classes,), float32
    scale_ : float
        What vectors are multiplied by.
    regressors_ : list of BoxRegressor or None
    head_ : transformer or None
    vectorizer_, proposals_
        The fitted clones.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import GivenBoxes, Objects, RegionDetector
    >>> image = np.full((64, 96), 128, np.uint8)
    >>> image[16:48, 16:48:4] = 255  # stripes
    >>> image[16:48:4, 56:88] = 255
    >>> boxes = [[16, 16, 48, 48], [56, 16, 88, 48]]
    >>> truth = Objects(boxes, ["up", "across"])
    >>> proposals = GivenBoxes(lambda image: boxes + [[0, 0, 20, 20], [30, 30, 70, 60]])
    >>> detector = RegionDetector(proposals=proposals, C=1, box_regression=False, random_state=0)
    >>> detector.set_params(vectorizer__encoder__n_words=4, vectorizer__features__step=4).fit([image], [truth])
    RegionDetector(...)
    >>> detector.predict([image])[0].labels[:2].tolist()
    ['across', 'up']
    """

    _options: ClassVar[Options] = {
        **Detector._options,
        "scales": optional(each(whole(least=1), "(480, 576, 688, 874, 1200)")),
        "scale_rule": choice(RULES),
    }

    def __init__(
        self,
        *,
        vectorizer: PyramidVectorizer | None = None,
        proposals: Any = None,
        scales: Sequence[int] | None = None,
        scale_rule: str = "side",
        C: float = 1e-3,
        positive_weight: float = 2,
        intercept_scaling: float = 10,
        feature_norm: float | None = 20,
        negative_iou: float = 0.3,
        hard_negatives: bool = True,
        add_above: float = -1.0001,
        evict_below: float = -1.2,
        retrain_after: int = 2000,
        negatives_per_image: int = 100,
        max_negatives: int = 8000,
        use_difficult: bool = True,
        head: Any = "svm",
        machines: bool = True,
        windows_per_image: int = 64,
        background_iou: Sequence[float] = (0.1, 0.5),
        far_share: float = 0.0,
        box_regression: bool = True,
        regression_alpha: float = 4000,
        regression_iou: float = 0.5,
        max_pairs: int = 1000,
        least_score: float = -1.5,
        nms_iou: float = 0.3,
        voting_iou: float | None = None,
        max_per_image: int = 100,
        memory: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.vectorizer = vectorizer
        self.proposals = proposals
        self.scales = scales
        self.scale_rule = scale_rule
        self.C = C
        self.positive_weight = positive_weight
        self.intercept_scaling = intercept_scaling
        self.feature_norm = feature_norm
        self.negative_iou = negative_iou
        self.hard_negatives = hard_negatives
        self.add_above = add_above
        self.evict_below = evict_below
        self.retrain_after = retrain_after
        self.negatives_per_image = negatives_per_image
        self.max_negatives = max_negatives
        self.use_difficult = use_difficult
        self.head = head
        self.machines = machines
        self.windows_per_image = windows_per_image
        self.background_iou = background_iou
        self.far_share = far_share
        self.box_regression = box_regression
        self.regression_alpha = regression_alpha
        self.regression_iou = regression_iou
        self.max_pairs = max_pairs
        self.least_score = least_score
        self.nms_iou = nms_iou
        self.voting_iou = voting_iou
        self.max_per_image = max_per_image
        self.memory = memory
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _own_vectorizer(self) -> PyramidVectorizer:
        vectorizer = super()._own_vectorizer()
        for part in vectorizers_of(vectorizer) if self.scales is not None else ():
            features = part.part("features")
            if "size" not in features.get_params():
                raise SpmError(
                    f"scales={self.scales!r} are sizes at which a network sees the image, and "
                    f"{type(features).__name__} has no option size: leave scales at None"
                )
            part.set_params(features=features.set_params(size=tuple(self.scales or ())))
        return vectorizer

    def _open(self, image: Any) -> MapRegions:
        return MapRegions(self.vectorizer_, image, self.scales, self.scale_rule)


@public("spm.detection")
class CropDetector(Detector):
    """R-CNN: every region is cut out, warped to a square and described by itself (Girshick 2014).

    What `RegionDetector` does at one pass an image, this one does at one pass a region: the costly twin, with the same
    options but for the scales.

    Parameters
    ----------
    vectorizer, proposals
        As for `RegionDetector`; each region is an image to it.
    crop_size : int, default=227
        Side of the square, in pixels.
    context : int, default=16
        Of these, how many lie around the region on each side; what is outside the image is the network's mean colour.
    C, positive_weight, intercept_scaling, feature_norm, negative_iou, hard_negatives, add_above, evict_below
        As for `RegionDetector`.
    retrain_after, negatives_per_image, max_negatives, use_difficult, head, machines, windows_per_image
        As for `RegionDetector`.
    background_iou, far_share
        As for `RegionDetector`.
    box_regression, regression_alpha, regression_iou, max_pairs
        As for `RegionDetector`, with R-CNN's own values by default: ``rcnn_train_bbox_regressor.m``.
    least_score, nms_iou, voting_iou, max_per_image, memory, n_jobs, verbose, random_state
        As for `RegionDetector`.

    Notes
    -----
    Crops go through the network one by one, each worker its own. On a processor's core more at once are slower: of
    ResNet-18 to its third stage one crop of 224 takes 15.1 ms alone and 17.0 in a batch of 32.
    """

    _options: ClassVar[Options] = {
        **Detector._options,
        "crop_size": whole(least=1),
        "context": whole(least=0),
    }

    def __init__(
        self,
        *,
        vectorizer: PyramidVectorizer | None = None,
        proposals: Any = None,
        crop_size: int = 227,
        context: int = 16,
        C: float = 1e-3,
        positive_weight: float = 2,
        intercept_scaling: float = 10,
        feature_norm: float | None = 20,
        negative_iou: float = 0.3,
        hard_negatives: bool = True,
        add_above: float = -1.0001,
        evict_below: float = -1.2,
        retrain_after: int = 2000,
        negatives_per_image: int = 100,
        max_negatives: int = 8000,
        use_difficult: bool = True,
        head: Any = "svm",
        machines: bool = True,
        windows_per_image: int = 64,
        background_iou: Sequence[float] = (0.1, 0.5),
        far_share: float = 0.0,
        box_regression: bool = True,
        regression_alpha: float = 1000,
        regression_iou: float = 0.6,
        max_pairs: int = 1000,
        least_score: float = -1.5,
        nms_iou: float = 0.3,
        voting_iou: float | None = None,
        max_per_image: int = 100,
        memory: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.vectorizer = vectorizer
        self.proposals = proposals
        self.crop_size = crop_size
        self.context = context
        self.C = C
        self.positive_weight = positive_weight
        self.intercept_scaling = intercept_scaling
        self.feature_norm = feature_norm
        self.negative_iou = negative_iou
        self.hard_negatives = hard_negatives
        self.add_above = add_above
        self.evict_below = evict_below
        self.retrain_after = retrain_after
        self.negatives_per_image = negatives_per_image
        self.max_negatives = max_negatives
        self.use_difficult = use_difficult
        self.head = head
        self.machines = machines
        self.windows_per_image = windows_per_image
        self.background_iou = background_iou
        self.far_share = far_share
        self.box_regression = box_regression
        self.regression_alpha = regression_alpha
        self.regression_iou = regression_iou
        self.max_pairs = max_pairs
        self.least_score = least_score
        self.nms_iou = nms_iou
        self.voting_iou = voting_iou
        self.max_per_image = max_per_image
        self.memory = memory
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _own_vectorizer(self) -> PyramidVectorizer:
        if 2 * self.context >= self.crop_size:
            raise SpmError(f"context={self.context} on each side leaves nothing of a crop of {self.crop_size} pixels")
        return super()._own_vectorizer()

    def _open(self, image: Any) -> CropRegions:
        return CropRegions(self.vectorizer_, image, self.crop_size, self.context)
