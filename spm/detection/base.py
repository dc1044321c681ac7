"""What detectors share: images with objects in, machines out; an image in, its objects out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._tools.estimators import OpenParts, learns
from .._tools.options import (
    Options,
    check_all_options,
    check_options,
    each,
    flag,
    memory,
    number,
    optional,
    part,
    progress,
    seed,
    share,
    whole,
    workers,
)
from .._tools.parallel import in_order
from ..encoders.bag_of_words import BagOfWords
from ..errors import SpmError
from ..features.cache import location_of
from ..features.local import fingerprint_of
from ..images import check_images, content_of, naming, reading_once
from ..pyramid.pyramid import SpatialPyramid
from ..vectorizer import PyramidVectorizer
from .learning.box_regression import moved
from .learning.head import behind
from .learning.stages import Stages, workplace
from .learning.training import Training, numbered
from .metrics import average_precision
from .objects import Objects, check_objects, classes_of
from .overlap import nms, voted
from .proposals import default_proposals, remembered_boxes
from .regions import joined, vectorizers_of


def words_vectorizer() -> PyramidVectorizer:
    """Return what regions are described by where nothing is given: SIFT words over 1x1, 2x2 and 4x4 cells."""
    return PyramidVectorizer(
        encoder=BagOfWords(n_words=200), pyramid=SpatialPyramid(levels=(1, 2, 4)), norm=("l1", "power")
    )


class Detector(OpenParts):
    """What both detectors share: all but how a region becomes a vector."""

    _defaults: ClassVar = {"vectorizer": words_vectorizer, "proposals": default_proposals}
    _options: ClassVar[Options] = {
        "vectorizer": optional(part("vectorizer")),
        "proposals": optional(part("proposals")),
        "C": number(above=0),
        "positive_weight": number(above=0),
        "intercept_scaling": number(above=0),
        "feature_norm": optional(number(above=0)),
        "negative_iou": number(above=0),
        "hard_negatives": flag,
        "add_above": number(),
        "evict_below": number(),
        "retrain_after": whole(least=1),
        "negatives_per_image": whole(least=1),
        "max_negatives": whole(least=1),
        "use_difficult": flag,
        "head": lambda name, value: _check_head(value),
        "machines": flag,
        "windows_per_image": whole(least=4),
        "background_iou": lambda name, value: _check_range(name, value),
        "far_share": share,
        "box_regression": flag,
        "regression_alpha": number(least=0),
        "regression_iou": number(least=0),
        "max_pairs": whole(least=1),
        "least_score": number(),
        "nms_iou": number(least=0),
        "voting_iou": optional(number(above=0)),
        "max_per_image": whole(least=1),
        "memory": memory,
        "n_jobs": workers,
        "verbose": progress,
        "random_state": seed,
    }

    vectorizer_: PyramidVectorizer
    coef_: Any
    intercept_: Any
    regressors_: list[Any]

    @learns
    def fit(self: Any, X: Any, y: Any) -> Any:
        """Learn from images and their objects.

        With `memory`, a training that was stopped goes on where it was when called again, and ends with the same.

        Parameters
        ----------
        X : sequence of paths or arrays
        y : list of Objects
            One for each image; an image may have none.

        Raises
        ------
        ImageError
            For an image that cannot be used; the message names the file.
        SpmError
            For an option that is not valid, another number of `Objects` than of images, or no object at all.
        """
        check_options(self)
        self._check_scorer()
        X = check_images(X)
        y = check_objects(y, length=len(X))
        self.classes_ = classes_of(y)
        own = numbered(y, self.classes_, self.use_difficult)
        random = check_random_state(self.random_state)
        vectorizer, proposals = self._own_vectorizer(), self.part("proposals")
        for given in (vectorizer, proposals):
            check_all_options(given)
            if "random_state" in given.get_params() and given.random_state is None:
                given.set_params(random_state=int(random.randint(2**31 - 1)))
        self.vectorizer_, self.proposals_ = vectorizer.fit(X), proposals
        with workplace(self.memory) as place:
            key = self._key_of(X, own) if self.memory is not None else ""
            stages = Stages(location_of(self.memory), key)
            propose = partial(remembered_boxes, proposals, memory=place)
            shared = (len(self.classes_), self._open, propose, stages, random)
            training = Training(self, X, own, *shared)
            self.coef_, self.intercept_, self.regressors_ = training.run()
        self.scale_, self.plain_scale_, self.head_ = training.scale, training.plain_scale, training.head
        return self

    def predict(self, X: Any) -> list[Objects]:
        """Return the objects of every image, the surest first.

        Parameters
        ----------
        X : sequence of paths or arrays

        Returns
        -------
        list of Objects
            With scores: decision values, or with ``machines=False`` probabilities.

        Raises
        ------
        ImageError
            For an image that cannot be used; the message names the file.
        """
        check_is_fitted(self)
        X = check_images(X)
        options = {"n_jobs": self.n_jobs, "verbose": self.verbose, "label": "objects", "total": len(X)}
        return list(in_order(self.find, X, batch=1, **options))

    def score(self, X: Any, y: Any) -> float:
        """Return the mean average precision at an overlap of 0.5, as PASCAL VOC 2007 measures it."""
        return float(average_precision(check_objects(y), self.predict(X)).mean)

    def decision_function(self, image: Any, boxes: Any) -> np.ndarray:
        """Return the decision value of every class for boxes of one image: shape (n_boxes, n_classes), float32."""
        check_is_fitted(self)
        return self._values(self._open(image), np.asarray(boxes, dtype=np.float64))

    def _values(self, regions: Any, boxes: np.ndarray) -> np.ndarray:
        """Return decision values; boxes of one window are described once, and so many at a time."""
        _, firsts, own = np.unique(regions.windows(boxes), axis=0, return_index=True, return_inverse=True)
        scored = ((rows, self._score(vectors)) for rows, vectors in regions.stream(boxes[firsts]))
        return joined(scored, len(firsts), len(self.classes_))[own.reshape(-1)]

    def _score(self, vectors: np.ndarray) -> np.ndarray:
        if self.machines:
            return (behind(self.head_, vectors) * np.float32(self.scale_)) @ self.coef_.T + self.intercept_
        values, said = np.zeros((len(vectors), len(self.classes_)), dtype=np.float32), self.head_.classes_
        if len(vectors):
            values[:, said[said >= 0]] = self.head_.predict_proba(vectors)[:, said >= 0]
        return values

    def _check_scorer(self) -> None:
        """Refuse a head that cannot do what is asked of it."""
        wanted = "transform" if self.machines else "predict_proba"
        if self.head != "mlp" and not (self.machines and self.head == "svm") and not hasattr(self.head, wanted):
            task = (
                "machines want vectors of the head" if self.machines else "machines=False leaves the scores to the head"
            )
            raise SpmError(
                f"{task}, and head={self.head!r} has no {wanted}: give head='mlp', or such as spm.nn.RegionHead()"
            )

    def find(self, image: Any) -> Objects:
        """Return the objects of one image, the surest first, as `predict` does for several.

        Raises
        ------
        ImageError
            For an image that cannot be used; the message names the file.
        """
        check_is_fitted(self)
        with reading_once(image), naming(image):
            boxes = remembered_boxes(self.proposals_, image, self.memory)
            if not len(boxes):
                return Objects.none(scored=True)
            regions = self._open(image)
            values = self._values(regions, boxes)
            able = [self._able(boxes, values[:, k]) for k in range(len(self.classes_))]
            moves = self._moves(regions, boxes, able)
            own = zip(able, values.T, moves, strict=True)
            found = [self._placed(boxes[at], mine[at], by, regions.size) for at, mine, by in own]
        kept, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        labels = np.repeat(self.classes_, [len(own) for _, own in found])
        order = np.argsort(-scores, kind="stable")
        return Objects(kept[order], labels[order], scores[order])

    def _able(self, boxes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the places of the boxes of a class that may be objects: of many on one the surest, or all to vote."""
        able = np.flatnonzero(values > self.least_score)
        return able[self._surest(boxes[able], values[able])] if self.voting_iou is None else able

    def _surest(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        return nms(boxes, scores, iou=self.nms_iou)[: self.max_per_image]

    def _moves(self, regions: Any, boxes: np.ndarray, able: list[np.ndarray]) -> list[np.ndarray | None]:
        """Return for each class how its boxes are to be moved, or None; a box is described once for all classes."""
        learned = [k for k, regressor in enumerate(self.regressors_) if regressor is not None]
        moves: list[np.ndarray | None] = [None] * len(able)
        places = np.unique(np.concatenate([able[k] for k in learned])) if learned else np.empty(0, dtype=int)
        if not len(places):
            return moves
        coef = np.concatenate([self.regressors_[k].coef for k in learned]).T * np.float32(self.plain_scale_)
        intercept = np.concatenate([self.regressors_[k].intercept for k in learned])
        said = ((rows, vectors @ coef + intercept) for rows, vectors in regions.stream(boxes[places]))
        offsets = joined(said, len(places), len(intercept))
        for i, k in enumerate(learned):
            moves[k] = offsets[np.searchsorted(places, able[k]), 4 * i : 4 * i + 4].astype(np.float64)
        return moves

    def _placed(
        self, boxes: np.ndarray, scores: np.ndarray, by: np.ndarray | None, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes of a class and their scores: moved, clipped, suppressed once more and put to the vote."""
        scores = scores.astype(np.float64)
        if by is not None and len(boxes):
            height, width = size
            boxes = np.clip(moved(boxes, by), 0, [width, height, width, height])
            real = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)
            boxes, scores = boxes[real], scores[real]
        kept = self._surest(boxes, scores)
        if self.voting_iou is None:
            return boxes[kept], scores[kept]
        return voted(boxes[kept], boxes, scores, self.voting_iou), scores[kept]

    def _own_vectorizer(self) -> PyramidVectorizer:
        """Return the vectorizer that `fit` fits."""
        vectorizer = self.part("vectorizer")
        for own in vectorizers_of(vectorizer):
            own.set_params(n_jobs=self.n_jobs)
        return vectorizer

    def _open(self, image: Any) -> Any:
        """Return the regions of an image."""
        raise TypeError(f"{type(self).__name__} must define _open(image)")

    def _key_of(self, X: Sequence[Any], y: list[Objects]) -> str:
        """Return what all that is learned depends on, as a digest."""
        import joblib

        from .. import __version__

        digest = blake2b(digest_size=16)
        for image, own in zip(X, y, strict=True):
            digest.update(blake2b(content_of(image), digest_size=16).digest())
            digest.update(own.boxes.tobytes() + own.labels.astype(np.int64).tobytes())
        parts = {"": self, "proposals__": self.proposals_, "vectorizer__": self.vectorizer_}
        options = {at + name: value for at, own in parts.items() for name, value in own.get_params(deep=True).items()}
        digest.update(joblib.hash([__version__, type(self).__name__, _plain(options)]).encode())
        seen = [fingerprint_of(part.features_) for part in vectorizers_of(self.vectorizer_)]
        digest.update(joblib.hash(seen).encode())
        return digest.hexdigest()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "head_")


def _plain(options: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the options on which results depend; parts stand for themselves by kind, features by their fingerprint."""
    plain = []
    for name, value in sorted(options.items()):
        last = name.rpartition("__")[2]
        if last not in ("memory", "n_jobs", "verbose", "mapping") and "__features__" not in name:
            plain.append((name, _by_kind(value)))
    return plain


def _by_kind(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_by_kind(each) for each in value]
    return type(value).__qualname__ if hasattr(value, "get_params") else value


def _check_head(head: Any) -> Any:
    able = hasattr(head, "fit") and (hasattr(head, "transform") or hasattr(head, "predict_proba"))
    if not (isinstance(head, str) and head in ("svm", "mlp")) and (not able or isinstance(head, type)):
        raise SpmError(f"head must be 'svm', 'mlp' or a transformer such as FineTunedHead(), got {head!r}")
    return head


def _check_range(name: str, value: Any) -> Any:
    value = each(number(least=0), "(0.1, 0.5)")(name, value)
    if len(value) != 2:
        raise SpmError(f"{name} must be two overlaps, such as (0.1, 0.5), got {value!r}")
    return value
