"""Training: images with their objects and a detector's options in, what the detector learns out, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from ..._tools.parallel import in_order
from ...boxes import mirror_boxes
from ...errors import ImageError, SpmError
from ...images import name_of, read_image
from ..objects import Objects
from ..overlap import iou_matrix
from ..regions import Stream
from .box_regression import BoxRegressor
from .head import FineTunedHead, behind
from .mining import GROUP, Example, Found, Miner, Rules, draw_negatives, look_through, window_keys
from .pool import Pool
from .rows import RowsOnDisk
from .stages import Arrays, Stages, workplace

Regions = Any
NORM_IMAGES, NORM_BOXES = 200, 200  # over which the mean norm is taken, as in the authors' code


class Training:
    """One training of a detector: what it learns from, and the steps in the order in which they are taken.

    Parameters
    ----------
    options : RegionDetector or CropDetector
        Whose options hold.
    X : sequence of images
    y : list of Objects
        The classes' numbers in place of labels.
    n_classes : int
    open_regions : callable
        Takes an image and returns its regions.
    propose : callable
        Takes an image and returns its boxes.
    stages : Stages
    random : RandomState

    Attributes
    ----------
    head : transformer or None
    scale : float
        What brings vectors, behind the head, to the mean norm.
    plain_scale : float
        What brings vectors to it that no head has seen: boxes are regressed from these.
    """

    def __init__(
        self,
        options: Any,
        X: Any,
        y: list[Objects],
        n_classes: int,
        open_regions: Callable[[Any], Regions],
        propose: Callable[[Any], np.ndarray],
        stages: Stages,
        random: np.random.RandomState,
    ) -> None:
        self.options, self.X, self.y, self.n_classes = options, X, y, n_classes
        self.open_regions, self.propose, self.stages, self.random = open_regions, propose, stages, random
        self.head: Any = None
        self._no_boxes = np.empty(0, dtype=int)
        self.scale = self.plain_scale = 1.0

    def run(self) -> tuple[np.ndarray | None, np.ndarray | None, list[BoxRegressor | None]]:
        """Learn all; return the machines' weights and intercepts, if there are any, and the box regressors."""
        draws = [np.random.RandomState(seed) for seed in self.random.randint(2**31 - 1, size=4)]
        with workplace(self.stages.folder) as folder:
            self._folder = Path(str(folder))  # no more than a path: what lies there is read here alone
            near, seen = self._look_first(draws[0])
            self.plain_scale = self.scale = self._scale_of(seen["norms"])
            regressors = self._learn_regressors(near, seen)
            if self.options.head != "svm":
                self._learn_head(draws[1])
        if not self.options.machines:
            return None, None, regressors
        if self.head is not None:
            self.scale = self._scale_of(self.stages.made("norms", lambda: self._look_at_norms(draws[2]))["norms"])
        pool, positives = self._begin_pool(seen["vectors"], seen["windows"], draws[3])
        del seen
        self._mine(pool, positives, draws[3])
        return pool.coef, pool.intercept, regressors

    def scaled(self, regions: Regions, boxes: np.ndarray) -> Stream:
        """Yield places of boxes and their vectors as the machines see them."""
        for rows, vectors in regions.stream(boxes):
            yield rows, behind(self.head, vectors) * np.float32(self.scale)

    def _boxes_of(self, i: int) -> np.ndarray:
        """Return an image's boxes: its objects first, then what is proposed."""
        return np.concatenate([self.y[i].boxes, self.propose(self.X[i])])

    def _each(self, function: Callable[[int], Any], images: Any, label: str) -> Iterator[Any]:
        """Yield what a function gives for images by number, in order, from workers."""

        def named(task: tuple[int, Any, Objects]) -> Any:
            i, image, own = task
            try:
                with self._at_hand(i, image, own):
                    return function(i)
            except ImageError:
                raise
            except SpmError as error:
                raise SpmError(f"image {i} ({name_of(image)}) and its objects: {error}") from error

        images = list(images)
        options = {"n_jobs": self.options.n_jobs, "verbose": self.options.verbose}
        tasks = ((i, self.X[i], self.y[i]) for i in images)
        return in_order(named, tasks, batch=1, label=label, total=len(images), **options)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "X": {}, "y": {}}  # another process is given each image with its task

    @contextmanager
    def _at_hand(self, i: int, image: Any, own: Objects) -> Iterator[None]:
        if not isinstance(self.X, dict):
            yield
            return
        self.X[i], self.y[i] = image, own
        try:
            yield
        finally:
            del self.X[i], self.y[i]

    def _rows(self, name: str, look: Callable[[int], tuple[np.ndarray, Arrays]]) -> tuple[RowsOnDisk, Arrays]:
        """Return vectors of all images, which lie in a file, and what else a look at each image gives, joined."""
        path = self._folder / f"{name}.rows"

        def make() -> Arrays:
            others: list[Arrays] = []

            def vectors() -> Iterator[np.ndarray]:
                for own, other in self._each(look, range(len(self.X)), name):
                    others.append(other)
                    yield own

            scales = RowsOnDisk.write(path, vectors())
            return {"scales": scales, **{key: np.concatenate([own[key] for own in others]) for key in others[0]}}

        seen = self.stages.made(name, make)
        return RowsOnDisk(path, seen.pop("scales"), self.options.vectorizer_.n_features_out_), seen

    # all that needs no machines, in one look at each image

    def _look_first(self, random: np.random.RandomState) -> tuple[RowsOnDisk, Arrays]:
        """Return the vectors of boxes near objects; what is known of these, objects' vectors and windows, and norms."""
        pairs = self._choose_pairs(random)
        drawn = self._draw_norms(random)

        def look(i: int) -> tuple[np.ndarray, Arrays]:
            own, mine = self.y[i], pairs[pairs[:, 0] == i]
            boxes = self._boxes_of(i)
            near, others = boxes[mine[:, 1]], boxes[len(own) :][drawn.get(i, self._no_boxes)]
            regions = self.open_regions(self.X[i])
            norms = [np.linalg.norm(vectors, axis=1) for _, vectors in regions.stream(others)]
            seen = {
                "classes": mine[:, 3],
                "boxes": near,
                "truth": own.boxes[mine[:, 2]],
                "norms": np.concatenate([*norms, np.empty(0)]),
            }
            if self.options.machines:
                seen |= {"vectors": regions.vectors(own.boxes), "windows": regions.windows(own.boxes)}
            return regions.vectors(near), seen

        return self._rows("first look", look)

    def _choose_pairs(self, random: np.random.RandomState) -> np.ndarray:
        """Choose boxes that lie near an object, so many of each class: image, box, object and class, (n, 4)."""
        if not self.options.box_regression:
            return np.empty((0, 4), dtype=int)
        found = list(self._each(self._pairs_of, range(len(self.X)), "proposals"))
        images = np.repeat(np.arange(len(found)), [len(own) for own in found])
        pairs = np.column_stack([images, np.concatenate(found)])
        of_classes = [np.flatnonzero(pairs[:, 3] == k) for k in range(self.n_classes)]
        chosen = [random.permutation(mine)[: self.options.max_pairs] for mine in of_classes]
        return pairs[np.sort(np.concatenate(chosen))]

    def _pairs_of(self, i: int) -> np.ndarray:
        """Return the boxes of an image that lie near an object: box, object and class, (n, 3)."""
        own = self.y[i]
        boxes = self._boxes_of(i)
        found = iou_matrix(boxes, own.boxes)
        best = found.argmax(axis=1) if len(own) else np.zeros(len(boxes), dtype=int)
        near = np.flatnonzero(found.max(axis=1, initial=-1.0) > self.options.regression_iou)
        return np.column_stack([near, best[near], own.labels[best[near]] if len(own) else best[near]]).astype(int)

    # the mean norm of vectors

    def _draw_norms(self, random: np.random.RandomState) -> dict[int, np.ndarray]:
        """Draw 200 boxes of 200 images: of each image their places among its proposals."""
        if self.options.feature_norm is None:
            return {}
        images = np.sort(random.permutation(len(self.X))[:NORM_IMAGES])
        seeds = random.randint(2**31 - 1, size=len(images))
        drawn = {}
        for i, seed in zip(images.tolist(), seeds, strict=True):
            n = len(self.propose(self.X[i]))
            drawn[i] = np.sort(np.random.RandomState(seed).permutation(n)[:NORM_BOXES])
        return drawn

    def _look_at_norms(self, random: np.random.RandomState) -> dict[str, np.ndarray]:
        """Return the norms of some boxes' vectors behind the head."""
        drawn = self._draw_norms(random)

        def norms(i: int) -> np.ndarray:
            regions = self.open_regions(self.X[i])
            parts = regions.stream(self.propose(self.X[i])[drawn[i]])
            return np.concatenate([np.linalg.norm(behind(self.head, own), axis=1) for _, own in parts] or [np.empty(0)])

        return {"norms": np.concatenate([*self._each(norms, drawn, "norms"), np.empty(0)])}

    def _scale_of(self, norms: np.ndarray) -> float:
        """Return what brings vectors to the wanted mean norm."""
        mean = norms.mean() if len(norms) else 0.0
        return float(self.options.feature_norm / mean) if mean > 0 else 1.0

    # a head, fine-tuned on windows

    def _learn_head(self, random: np.random.RandomState) -> None:
        given = FineTunedHead() if self.options.head == "mlp" else self.options.head
        head = clone(given)
        if getattr(head, "random_state", 0) is None:
            head.set_params(random_state=int(random.randint(2**31 - 1)))
        windows, seen = self._rows("windows", partial(self._windows, seeds=random.randint(2**31 - 1, size=len(self.X))))
        self.head = head.fit(windows, seen["classes"])

    def _windows(self, i: int, seeds: np.ndarray) -> tuple[np.ndarray, Arrays]:
        """Draw windows of an image and its mirror image: a quarter of objects, each at a scale of its own."""
        random, own = np.random.RandomState(seeds[i]), self.y[i]
        boxes = self._boxes_of(i)
        found = iou_matrix(boxes, own.boxes)
        best, drawn = found.max(axis=1, initial=0), len(own) + random.permutation(len(boxes) - len(own))
        n_objects, n_beside, n_far = self._shares()
        least, most = self.options.background_iou
        near = drawn[best[drawn] >= most]
        objects = np.concatenate([random.permutation(len(own)), near])[:n_objects]  # objects themselves come first
        beside = drawn[(best[drawn] >= least) & (best[drawn] < most)][:n_beside]
        chosen = np.concatenate([objects, beside, drawn[best[drawn] < least][:n_far]])
        classes = np.full(len(chosen), -1)
        if len(own):
            classes[: len(objects)] = own.labels[found[objects].argmax(axis=1)]
        vectors = [np.empty((0, self.options.vectorizer_.n_features_out_), dtype=np.float32)]
        for image, where in self._both_ways(self.X[i], boxes[chosen]) if len(chosen) else ():
            regions = self.open_regions(image)
            vectors.append(regions.vectors(where, random.randint(regions.n_scales, size=len(where))))
        return np.concatenate(vectors), {"classes": np.tile(classes, 2)}

    def _shares(self) -> tuple[int, int, int]:
        """Return how many windows of an image are of objects, of background beside them, and far from them."""
        objects = round(self.options.windows_per_image / 4)
        background = self.options.windows_per_image - objects
        far = round(background * self.options.far_share)
        return objects, background - far, far

    def _both_ways(self, image: Any, boxes: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
        yield image, boxes
        pixels = read_image(image, "stored")
        yield np.ascontiguousarray(pixels[:, ::-1]), mirror_boxes(boxes, pixels.shape[1])

    # boxes, regressed

    def _learn_regressors(self, near: RowsOnDisk, seen: Arrays) -> list[BoxRegressor | None]:
        regressors: list[BoxRegressor | None] = []
        for k in range(self.n_classes):
            mine = np.flatnonzero(seen["classes"] == k)
            vectors = near[mine] * np.float32(self.plain_scale)
            known = vectors, seen["boxes"][mine], seen["truth"][mine], self.options.regression_alpha
            regressors.append(BoxRegressor.learn(*known) if len(mine) > 1 else None)
        return regressors

    # machines, one a class

    def _begin_pool(
        self, vectors: np.ndarray, windows: np.ndarray, random: np.random.RandomState
    ) -> tuple[Pool, dict[tuple[float, ...], int]]:
        """Return the pool with the objects themselves, each window once, and where each window is in it."""
        ends = np.cumsum([len(own) for own in self.y])
        of_images = np.split(windows, ends[:-1])
        keys = [key for i, own in enumerate(of_images) for key in window_keys(i, own)]
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        at = np.array([places[key] for key in keys])
        _, firsts = np.unique(at, return_index=True)
        signs = np.zeros((len(places), self.n_classes), dtype=np.int8)
        signs[at, np.concatenate([own.labels for own in self.y]).astype(int)] = 1
        positive = behind(self.head, vectors[firsts]) * np.float32(self.scale)
        options = self.options
        pool = Pool(
            positive.shape[1],
            self.n_classes,
            len(places) + options.max_negatives,
            C=options.C,
            positive_weight=options.positive_weight,
            bias=options.intercept_scaling,
            random=random,
            n_jobs=options.n_jobs,
        )
        pool.add(positive, signs)
        return pool, places

    def _mine(self, pool: Pool, positives: dict[tuple[float, ...], int], random: np.random.RandomState) -> None:
        """Go through all images for examples against the classes."""
        options = self.options
        rules = Rules(
            self.n_classes,
            options.negative_iou,
            options.add_above,
            options.evict_below,
            options.retrain_after,
            options.negatives_per_image,
        )
        miner = Miner(pool, positives, rules)
        if not options.hard_negatives:
            self._draw(miner, rules, random)
            return
        start, left = 0, self.stages.left("machines")
        if left is not None:
            start = int(left.pop("next"))
            pool.restore(left)
        else:
            miner.first(look_through(self._example(0), rules, None, self.scaled))
        while start < len(self.X):
            images = range(start, min(start + GROUP, len(self.X)))
            look = partial(self._look, rules=rules, machines=miner.machines())
            learned = miner.group(list(self._each(look, images, f"hard negatives from {start}")))
            start = images.stop
            if start == len(self.X):
                miner.end()
            if learned or start == len(self.X):
                self.stages.leave("machines", {**pool.state(), "next": np.array(start)})

    def _look(self, i: int, rules: Rules, machines: tuple[np.ndarray, np.ndarray]) -> Found:
        return look_through(self._example(i), rules, machines, self.scaled)

    def _draw(self, miner: Miner, rules: Rules, random: np.random.RandomState) -> None:
        """Learn from negatives drawn at random, as many from each image."""
        each = max(self.options.max_negatives // len(self.X), 1)
        seeds = random.randint(2**31 - 1, size=len(self.X))

        def draw(i: int) -> Found:
            return draw_negatives(self._example(i), rules, each, np.random.RandomState(seeds[i]), self.scaled)

        miner.group(self._each(draw, range(len(self.X)), "negatives"))
        miner.end()

    def _example(self, i: int) -> Example:
        own = self.y[i]
        boxes = self._boxes_of(i)
        return Example(i, self.open_regions(self.X[i]), boxes, own.boxes, own.labels)


def numbered(y: list[Objects], classes: np.ndarray, use_difficult: bool) -> list[Objects]:
    """Return objects with the numbers of their classes as labels, with or without the difficult ones.

    Raises
    ------
    SpmError
        If nothing is left to learn from.
    """
    numbers = []
    for own in y:
        kept = own if use_difficult else own[~np.asarray(own.difficult, dtype=bool)]
        at = np.searchsorted(classes, kept.labels) if len(kept) else np.empty(0, dtype=int)
        numbers.append(Objects(kept.boxes, at, difficult=kept.difficult))
    if not any(map(len, numbers)):
        raise SpmError("y has no object in any image: a detector learns from some at least")
    return numbers
