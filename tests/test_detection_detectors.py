"""Detectors: fitted on pasted objects, found again; options, seeds, workers, stops, heads, saving, what is no error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import spm
from spm.detection import (
    CropDetector,
    FineTunedHead,
    GivenBoxes,
    Objects,
    RegionDetector,
    SlidingWindows,
    average_precision,
    iou_matrix,
)
from spm.detection.learning import box_regression, mining
from spm.detection.learning.stages import Stages
from spm.errors import SpmError

PATTERNS = {"dots": (slice(None, None, 6), slice(None, None, 6)), "bars": (slice(None), slice(None, None, 6))}


def scene(seed, n=2, height=120, width=160):
    """A photograph of noise with patterned squares pasted in, and where they are."""
    random = np.random.RandomState(seed)
    image = random.randint(90, 166, (height, width, 3)).astype(np.uint8)
    boxes, labels = [], []
    for _ in range(n):
        side = random.randint(30, 56)
        x, y = random.randint(0, width - side), random.randint(0, height - side)
        box = [x, y, x + side, y + side]
        if boxes and iou_matrix([box], boxes).max() > 0.05:
            continue
        label = sorted(PATTERNS)[random.randint(2)]
        image[y : y + side, x : x + side] = 40
        rows, columns = PATTERNS[label]
        image[y : y + side, x : x + side][rows, columns] = 230
        image[y : y + side, x : x + side][1:, 1:][rows, columns] = 230
        boxes.append(box)
        labels.append(label)
    return image, Objects(boxes, labels) if boxes else Objects.none()


def scenes(n, first=0, **options):
    X, y = zip(*(scene(first + i, **options) for i in range(n)), strict=True)
    return list(X), list(y)


WINDOWS = SlidingWindows(scales=(0.23, 0.28, 0.34, 0.4), aspects=(1.0,), stride=0.25)


def vectorizer(**options):
    features = spm.presets.spp2014(size=160)[0].features
    pyramid = spm.SpatialPyramid(levels=(1, 2), pool="max", weights=None)
    return spm.PyramidVectorizer(features=features, pyramid=pyramid, norm=None)


def detector(kind=RegionDetector, **options):
    options = {"vectorizer": vectorizer(), "proposals": WINDOWS, "C": 0.1, "random_state": 0, **options}
    return kind(**options)


X, Y = scenes(12)
X_NEW, Y_NEW = scenes(6, first=100)


@pytest.fixture(scope="module")
def fitted():
    return detector().fit(X, Y)


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(p.boxes, q.boxes) and np.array_equal(p.labels, q.labels) and np.array_equal(p.scores, q.scores)
        for p, q in zip(a, b, strict=True)
    )


def test_what_was_pasted_is_found(fitted):
    found = fitted.predict(X_NEW)
    assert fitted.score(X_NEW, Y_NEW) > 0.9
    assert fitted.score(X_NEW, Y_NEW) == average_precision(Y_NEW, found).mean
    assert fitted.classes_.tolist() == ["bars", "dots"]
    for image, objects in zip(X_NEW, found, strict=True):
        height, width = image.shape[:2]
        assert (objects.boxes >= 0).all() and (objects.boxes <= [width, height, width, height]).all()
        assert (np.diff(objects.scores) <= 0).all() and (objects.scores > fitted.least_score).all()
        for label in fitted.classes_:
            own = iou_matrix(*[objects.boxes[objects.labels == label]] * 2)
            assert (own[~np.eye(len(own), dtype=bool)] <= fitted.nms_iou).all()


def test_the_crop_detector_finds_it_too():
    crops = detector(CropDetector, crop_size=64, context=6, n_jobs=2)
    assert crops.fit(X, Y).score(X_NEW, Y_NEW) > 0.6


@pytest.mark.parametrize(
    "options",
    [
        {"scales": (80, 120, 200)},
        {"scales": (80, 120, 200), "scale_rule": "area"},
        {"hard_negatives": False, "max_negatives": 300},
        {"box_regression": False},
        {"voting_iou": 0.5},
        {"voting_iou": 0.5, "box_regression": False},
        {"feature_norm": None, "C": 1.0},
        {"head": FineTunedHead(hidden=(32,), n_steps=60, learning_rate=0.05)},
        {"vectorizer": None},
    ],
    ids=[
        "scales",
        "area",
        "drawn negatives",
        "boxes as proposed",
        "voting",
        "proposals vote",
        "norm as it is",
        "head",
        "words",
    ],
)
def test_each_ingredient_works(options):
    model = detector(**options).fit(X, Y)
    least = 0.4 if "head" in options or "vectorizer" in options else 0.8  # chance finds next to nothing
    assert model.score(X_NEW, Y_NEW) > least
    assert same(detector(**options, n_jobs=2).fit(X, Y).predict(X_NEW), model.predict(X_NEW))


def test_the_decision_values_are_those_of_vectors(fitted):
    boxes = WINDOWS.propose(X_NEW[0])
    vectors = fitted.vectorizer_.transform_regions(X_NEW[0], boxes) * np.float32(fitted.scale_)
    expected = vectors.astype(np.float64) @ fitted.coef_.T + fitted.intercept_
    np.testing.assert_allclose(fitted.decision_function(X_NEW[0], boxes), expected, rtol=1e-4, atol=1e-4)


def test_objects_and_their_classes_are_told_apart_by_the_machines(fitted):
    """Hard negatives are no easier than the bound, and objects stand above what is against them."""
    for image, own in zip(X, Y, strict=True):
        if len(own):
            values = fitted.decision_function(image, own.boxes)
            mine = values[np.arange(len(own)), np.searchsorted(fitted.classes_, own.labels)]
            assert (mine > values.min(axis=1)).all()


def test_vectors_have_the_mean_norm(fitted):
    norms = [np.linalg.norm(fitted.vectorizer_.transform_regions(x, WINDOWS.propose(x)), axis=1) for x in X]
    assert np.concatenate(norms).mean() * fitted.scale_ == pytest.approx(20, rel=0.05)


def test_one_seed_is_one_result_and_a_refit_too(fitted):
    again = detector().fit(X, Y)
    assert np.array_equal(again.coef_, fitted.coef_) and same(again.predict(X_NEW), fitted.predict(X_NEW))
    assert np.array_equal(again.fit(X, Y).coef_, fitted.coef_)


def test_scikit_learn_searches_and_validates():
    scores = cross_val_score(detector(box_regression=False), X, np.array(Y, dtype=object), cv=2)
    assert scores.shape == (2,) and (scores > 0.2).all()
    search = GridSearchCV(detector(box_regression=False), {"C": [1e-6, 0.1]}, cv=2).fit(X, np.array(Y, dtype=object))
    assert search.best_params_ == {"C": 0.1}
    assert clone(detector()).set_params(vectorizer__norm="l2").vectorizer.norm == "l2"


def test_a_saved_detector_says_the_same(fitted, tmp_path):
    for model in (fitted, detector(head=FineTunedHead(hidden=(8,), n_steps=5), memory=tmp_path / "m").fit(X, Y)):
        loaded = spm.load(spm.save(model, tmp_path / "model.spm"))
        assert same(loaded.predict(X_NEW), model.predict(X_NEW)) and loaded.memory is None


def test_images_without_objects_or_proposals_are_no_errors():
    blank = np.full((50, 70, 3), 128, np.uint8)
    boxes = {image.tobytes(): WINDOWS.propose(image) for image in X}
    proposals = GivenBoxes(lambda image: boxes.get(image.tobytes(), np.empty((0, 4))))
    images, objects = [blank, *X, blank], [Objects.none(), *Y, Objects.none()]
    model = detector(proposals=proposals).fit(images, objects)
    assert len(model.predict([blank])[0]) == 0
    first = detector(proposals=proposals).fit(images[:3], objects[:3])  # begins without a single negative
    assert np.isfinite(first.coef_).all()


def test_one_class_alone_and_one_example_alone_are_no_errors():
    own = [Objects(y.boxes, ["thing"] * len(y)) for y in Y]
    assert detector().fit(X, own).score(X_NEW, [Objects(y.boxes, ["thing"] * len(y)) for y in Y_NEW]) > 0.4
    single = [Objects(y.boxes, range(10 * i, 10 * i + len(y))) for i, y in enumerate(Y)]
    model = detector().fit(X, single)
    assert len(model.classes_) == sum(map(len, Y)) and np.isfinite(model.coef_).all()


def test_difficult_objects_are_left_out_where_asked():
    hard = [Objects(y.boxes, y.labels, difficult=y.labels == "dots") for y in Y]
    model = detector(use_difficult=False).fit(X, hard)
    assert model.classes_.tolist() == ["bars", "dots"]
    assert not any("dots" in found.labels for found in model.predict(X_NEW))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": (80, 0)}, "each of scales"),
        ({"scales": 80}, "scales must be a sequence"),
        ({"scale_rule": "longest"}, "scale_rule='longest' is not an option"),
        ({"head": "cnn"}, "head must be 'svm', 'mlp' or a transformer"),
        ({"vectorizer": spm.DenseSIFT()}, "vectorizer=DenseSIFT"),
        ({"proposals": "boxes"}, "proposals='boxes' cannot be used"),
        ({"vectorizer": None, "scales": (80,)}, "has no option size"),
        ({"vectorizer": spm.PyramidVectorizer(norm="l3")}, "norm"),
        ({"memory": 3}, "memory must be a path"),
    ],
)
def test_a_wrong_option_is_one_clear_error(options, message):
    with pytest.raises(SpmError, match=message):
        detector(**options).fit(X, Y)


def test_wrong_truth_is_one_clear_error():
    with pytest.raises(SpmError, match="got 3 for 12 images"):
        detector().fit(X, Y[:3])
    with pytest.raises(SpmError, match="no object in any image"):
        detector().fit(X, [Objects.none()] * len(X))
    with pytest.raises(SpmError, match=r"image 0.*outside"):
        detector().fit(X, [Objects([[500, 500, 600, 600]], ["dots"]), *Y[1:]])
    with pytest.raises(SpmError, match="context=40"):
        detector(CropDetector, crop_size=64, context=40).fit(X, Y)
    with pytest.raises(spm.ImageError, match=r"gone\.jpg"):
        detector().fit(["gone.jpg", *X[1:]], Y)


# the parts of training


def test_offsets_are_undone_by_moving():
    random = np.random.default_rng(0)
    low = random.uniform(0, 50, (2, 30, 2))
    boxes, truth = np.concatenate([low, low + random.uniform(5, 60, (2, 30, 2))], axis=2)
    np.testing.assert_allclose(box_regression.moved(boxes, box_regression.offsets(boxes, truth)), truth)


def test_regressed_boxes_are_those_of_ridge_on_whitened_offsets():
    random = np.random.default_rng(0)
    X = random.normal(size=(50, 7)).astype(np.float32)
    boxes = np.concatenate([low := random.uniform(0, 50, (50, 2)), low + random.uniform(20, 60, (50, 2))], axis=1)
    truth = box_regression.moved(boxes, X[:, :4] * 0.1 + random.normal(size=(50, 4)) * 0.05)
    learned = box_regression.BoxRegressor.learn(X, boxes, truth, 10.0)
    wanted = box_regression.offsets(boxes, truth)
    centred = wanted - wanted.mean(axis=0)
    d, V = np.linalg.eigh(centred.T @ centred / 50)
    T = V @ np.diag(1 / np.sqrt(d + 0.001)) @ V.T
    ones = np.hstack([X, np.ones((50, 1))])
    beta = np.linalg.solve(ones.T @ ones + 10 * np.eye(8), ones.T @ (centred @ T))
    offsets = ones @ beta @ np.linalg.inv(T) + wanted.mean(axis=0)
    np.testing.assert_allclose(learned.move(X, boxes), box_regression.moved(boxes, offsets), rtol=1e-3, atol=1e-2)
    before, after = ((moved - truth) ** 2 for moved in (boxes, learned.move(X, boxes)))
    assert after.mean() < before.mean() / 2


def test_boxes_of_one_window_are_one_example():
    class Windows:
        def windows(self, boxes):
            return np.round(boxes / 10)

        def vectors(self, boxes):
            return np.round(boxes / 10).astype(np.float32)

    boxes = np.array([[0, 0, 50, 50], [1, 1, 51, 51], [100, 100, 150, 150], [101, 101, 149, 149], [300, 0, 350, 40]])
    truth, classes = boxes[:1].astype(float), np.array([1])
    example = mining.Example(7, Windows(), boxes.astype(float), truth, classes)
    rules = mining.Rules(n_classes=3)
    stream = lambda regions, boxes: [(np.arange(len(boxes)), regions.vectors(boxes))]  # noqa: E731
    found = mining.look_through(example, rules, None, stream)
    assert found.keys == [(7, 0, 0, 5, 5), (7, 10, 10, 15, 15), (7, 30, 0, 35, 4)]
    assert found.against.tolist() == [[True, False, True], [True, True, True], [True, True, True]]
    machines = np.zeros((3, 4), np.float32), np.array([-2, 0.5, -1.00005], np.float32)
    hard = mining.look_through(example, rules, machines, stream)
    assert hard.against.tolist() == [[False, False, True], [False, True, True], [False, True, True]]
    assert hard.hardness.tolist() == pytest.approx([-1.00005, 0.5, 0.5])


def test_stages_keep_what_was_made(tmp_path):
    stages, calls = Stages(tmp_path, "key"), []
    for _ in range(2):
        made = stages.made("step", lambda: calls.append(1) or {"a": np.arange(3)})
        assert made["a"].tolist() == [0, 1, 2]
    assert calls == [1] and Stages(tmp_path, "other").left("step") is None
    assert Stages(None, "").made("step", lambda: {"a": np.arange(2)})["a"].tolist() == [0, 1]


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from test_detection_detectors import X, Y, detector
detector(memory=sys.argv[2], retrain_after=20, max_negatives=200).fit(X * 2, Y * 2)
print("done")
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_training_that_was_killed_goes_on_and_ends_with_the_same(tmp_path):
    whole = detector(retrain_after=20, max_negatives=200).fit(X * 2, Y * 2)
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("spm-detection/*/machines.npz")) and time.monotonic() < deadline:
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    left = next(tmp_path.glob("spm-detection/*/machines.npz"))
    with np.load(left) as arrays:
        assert int(arrays["next"]) < 24  # it was stopped before its end
    resumed = detector(memory=tmp_path, retrain_after=20, max_negatives=200).fit(X * 2, Y * 2)
    assert np.array_equal(resumed.coef_, whole.coef_) and np.array_equal(resumed.intercept_, whole.intercept_)
    assert same(resumed.predict(X_NEW), whole.predict(X_NEW))
