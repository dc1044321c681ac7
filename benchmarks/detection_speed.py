"""R-CNN against SPP on the same boxes: one pass of the network a region, or one an image; what it costs in accuracy.

`python benchmarks/detection_speed.py` times both on 20 photographs of 2,000 boxes each, two workers, part by part in
one run; then both are trained on fewer photographs and boxes: R-CNN's training takes hours on all.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

import numpy as np
from _common import data_home, keep, table

import spm
from spm._tools.parallel import in_order
from spm.detection import CropDetector, RegionDetector, SlidingWindows, default_proposals, load_voc
from spm.detection.regions import CropRegions, MapRegions, mean_colour, warp

N_BOXES, N_CLASSES, JOBS, SIDE = 2000, 20, 2, 224
SCALES = (480, 688)


def vectorizer(size: Any = SIDE) -> spm.PyramidVectorizer:
    """Return ResNet-18 up to its third stage, pooled over 1, 2, 3 and 6."""
    features = spm.FeatureMap(str(data_home() / "weights" / "resnet18_to_layer3.onnx"), size=size)
    pyramid = spm.SpatialPyramid(levels=(1, 2, 3, 6), pool="max", weights=None)
    return spm.PyramidVectorizer(features=features, pyramid=pyramid, norm=None)


class Clock:
    """Seconds that one worker spends, part by part."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = time.thread_time()

    def lap(self, part: str) -> None:
        now = time.thread_time()
        self.parts[part] = self.parts.get(part, 0.0) + now - self._last
        self._last = now


def spp(image: str, vec: Any, weights: np.ndarray) -> dict[str, float]:
    """Convolve once, pool every region."""
    boxes, clock = boxes_of(image)
    views = vec.encode_views(image)
    clock.lap("convolution")
    stream = vec.stream_regions(image, boxes, views)
    while True:
        vectors = next(stream, None)
        clock.lap("pooling")
        if vectors is None:
            return clock.parts
        _ = vectors @ weights.T
        clock.lap("scoring")


def rcnn(image: str, vec: Any, weights: np.ndarray) -> dict[str, float]:
    """Convolve every region."""
    boxes, clock = boxes_of(image)
    pixels, fill, whole = spm.images.read_image(image), mean_colour(vec.features_), [[0, 0, SIDE, SIDE]]
    for box in boxes:
        crop = warp(pixels, box, SIDE, 16, fill)
        views = vec.encode_views(crop)
        clock.lap("convolution")
        vectors = vec.transform_regions(crop, whole, views)
        clock.lap("pooling")
        _ = vectors @ weights.T
        clock.lap("scoring")
    return clock.parts


def boxes_of(image: str) -> tuple[np.ndarray, Clock]:
    """Return the 2,000 boxes of an image and a clock that has the time which they took."""
    clock = Clock()
    boxes = default_proposals().propose(image)
    if len(boxes) < N_BOXES:  # a grid of windows where proposals are fewer
        boxes = np.concatenate([boxes, SlidingWindows(max_boxes=None, stride=0.2).propose(image)])[:N_BOXES]
    clock.lap("proposals")
    return boxes, clock


def timed(road: Any, images: list[str], vec: Any, weights: np.ndarray) -> dict[str, float]:
    """Return seconds an image, by the wall with two workers, split as the workers' own time is."""
    start = time.perf_counter()
    parts = list(in_order(partial(road, vec=vec, weights=weights), images, n_jobs=JOBS, batch=1))
    wall = (time.perf_counter() - start) / len(images)
    sums = {name: sum(own[name] for own in parts) for name in parts[0]}
    return {name: wall * seconds / sum(sums.values()) for name, seconds in sums.items()}


def speeds(images: list[str]) -> tuple[list[Any], list[Any]]:
    """Return the rows of times and of ratios."""
    random = np.random.RandomState(0)
    vec = vectorizer().fit(images[:1])
    weights = random.normal(size=(N_CLASSES, vec.n_features_out_)).astype(np.float32)
    boxes_of(images[0])  # compiled, and warm
    maps = {scale: vectorizer(scale).fit(images[:1]) for scale in SCALES}
    for scale in SCALES:
        spp(images[0], maps[scale], weights)
    times = {f"SPP at {scale}": timed(spp, images, maps[scale], weights) for scale in SCALES}
    times["R-CNN"] = timed(rcnn, images, vec, weights)
    again = {f"SPP at {scale}": timed(spp, images, maps[scale], weights) for scale in SCALES}
    for name, own in again.items():  # measured before and after, since machines are shared
        times[name] = {part: (own[part] + times[name][part]) / 2 for part in own}
    parts = ("convolution", "pooling", "scoring")
    lines, ratios = [], []
    for name, own in times.items():
        total = sum(own[part] for part in parts)
        lines.append((name, *(f"{own[part]:.3f}" for part in ("proposals", *parts)), f"{total:.3f}"))
        rcnn_total = sum(times["R-CNN"][part] for part in parts)
        ratios.append((name, f"{times['R-CNN']['convolution'] / own['convolution']:.0f}", f"{rcnn_total / total:.0f}"))
    return lines, ratios


def correlations(images: list[str]) -> list[Any]:
    """Return how alike the vectors of a region are on both roads, by the box's side as the network sees it."""
    found: dict[int, list[Any]] = {scale: [] for scale in SCALES}
    crops = vectorizer().fit(images[:1])
    for image in images:
        boxes = default_proposals().propose(image)[:60]
        alone = CropRegions(crops, image, SIDE, 16).vectors(boxes)
        for scale in SCALES:
            shared = MapRegions(vectorizer(scale).fit([image]), image).vectors(boxes)
            sides = (
                np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
                * scale
                / min(spm.images.read_image(image).shape[:2])
            )
            found[scale] += [(side, np.corrcoef(a, b)[0, 1]) for side, a, b in zip(sides, alone, shared, strict=True)]
    lines = []
    for scale, pairs in found.items():
        sides, values = np.array(pairs).T
        bounds = [(0, 64), (64, 128), (128, 224), (224, 10**6)]
        lines.append(
            (
                f"SPP at {scale}",
                *(f"{values[(sides >= a) & (sides < b)].mean():.2f}" for a, b in bounds),
                f"{values.mean():.2f}",
            )
        )
    return lines


def accuracy(n_train: int, n_test: int) -> list[Any]:
    """Train both on the same photographs and boxes; return their mAP."""
    train, test = (load_voc(data_home() / "voc2007", split) for split in ("trainval", "test"))
    few = default_proposals().set_params(max_boxes=200)
    made = []
    for name, model in {
        "SPP at 688": RegionDetector(
            vectorizer=vectorizer(), scales=(688,), proposals=few, n_jobs=JOBS, random_state=0
        ),
        "R-CNN": CropDetector(vectorizer=vectorizer(), crop_size=SIDE, proposals=few, n_jobs=JOBS, random_state=0),
    }.items():
        model.fit(list(train.data)[:n_train], list(train.target)[:n_train])
        score = model.score(list(test.data)[:n_test], list(test.target)[:n_test])
        made.append((name, f"{100 * score:.1f}"))
        print(made[-1], flush=True)
    return made


def main() -> None:
    """Time, compare, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--train", type=int, default=120)
    parser.add_argument("--test", type=int, default=100)
    arguments = parser.parse_args()
    images = list(load_voc(data_home() / "voc2007", "test").data)[: arguments.images]
    lines, ratios = speeds(images)
    print(table(["road", "proposals", "convolution", "pooling", "scoring", "all but proposals"], lines), flush=True)
    print(ratios, flush=True)
    alike = correlations(images[:6])
    blocks = [
        f"ResNet-18 up to its third stage (stride 16, 256 channels), 1, 2, 3, 6 pooled by max, 20 classes; {N_BOXES} "
        f"boxes an image, {len(images)} photographs of VOC 2007's, {JOBS} workers. Seconds an image by the wall, split "
        "as the workers' own seconds are; SPP is timed before and after R-CNN.",
        table(["road", "proposals", "convolution", "pooling", "scoring", "all but proposals"], lines),
        "## R-CNN's time over the row's\n\n"
        + table(["road", "convolution", "convolution, pooling and scoring"], ratios),
        "## What the speed costs\n\nCorrelation of a region's two vectors, by the side of the box in pixels as SPP's "
        "network sees it:\n\n" + table(["road", "under 64", "64 to 128", "128 to 224", "over 224", "all"], alike),
    ]
    if arguments.train:
        blocks.append(
            f"Both trained on {arguments.train} photographs with 200 boxes each, and tested on {arguments.test}:\n\n"
            + table(["road", "mAP"], accuracy(arguments.train, arguments.test))
        )
    keep("detection_speed", "R-CNN against SPP: the same network, the same boxes", *blocks)


if __name__ == "__main__":
    main()
