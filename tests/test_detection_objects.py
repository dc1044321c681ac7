"""Objects, overlap and suppression: what they hold, what they refuse, and the slow twin of each loop."""

import copy
import pickle
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_metrics import count_squares, slow_iou, slow_nms
from sklearn.model_selection import KFold, cross_val_score

from spm import SpmError
from spm.detection import Objects, iou_matrix, nms
from spm.detection.objects import check_objects, classes_of
from spm.detection.overlap import voted

BOX = [0, 0, 9, 9]
TWO = Objects([BOX, [5.5, -3, 20, 4]], ["cat", "dog"], [0.25, 0.75], [True, False])


def random_boxes(rng, n, size=12, low=0):
    first = rng.integers(low, low + size, (n, 2))
    return np.hstack([first, first + rng.integers(1, size, (n, 2))])


# Objects


def test_objects_hold_checked_arrays():
    assert TWO.boxes.dtype == TWO.scores.dtype == np.float64 and TWO.difficult.dtype == bool and len(TWO) == 2
    assert Objects([BOX], [3]).difficult.tolist() == [False] and Objects([BOX], [3]).scores is None
    with pytest.raises(AttributeError):
        TWO.boxes = 1


@pytest.mark.parametrize(
    "labels", [["a"], [1], [np.int64(1)], [True], np.array(["a"], object), np.array([7], np.uint8), [2.0], ("é",)]
)
def test_labels_of_every_kind(labels):
    one = Objects([BOX], labels)
    assert one.labels.shape == (1,) and one.labels[0] == labels[0] and one.labels.dtype.kind != "O"
    assert one == Objects([BOX], np.asarray(labels)) and classes_of([one]).tolist() == [labels[0]]


@pytest.mark.parametrize("empty", [Objects.none(), Objects([], []), Objects([], np.array([], "U3")), TWO[[]], TWO[:0]])
def test_empty_objects(empty):
    assert len(empty) == 0 and empty.boxes.shape == (0, 4) and empty.labels.shape == empty.difficult.shape == (0,)
    assert empty.labels.dtype.kind in "iU" and repr(empty).startswith("Objects([], []") and list(empty) == []
    assert classes_of([empty, TWO]).tolist() == ["cat", "dog"]


def test_equality_and_copies():
    assert (
        TWO == copy.deepcopy(TWO) == pickle.loads(pickle.dumps(TWO)) == TWO[[1, 0]][::-1] == TWO[np.array([True, True])]
    )
    assert TWO[::-1] != TWO and Objects(TWO.boxes, TWO.labels, TWO.scores) != TWO and TWO != "two"
    assert Objects.none() == Objects([], []) != Objects.none(scored=True)
    assert Objects([BOX], ["a"]) != Objects([BOX], ["a"], [1.0]) and Objects([BOX], ["a"]) != Objects([BOX], [0])


def test_parts_of_objects():
    assert TWO[1] == TWO[-1] == TWO[[False, True]] == TWO[1:] == TWO[np.int64(1)] == list(TWO)[1]
    assert TWO[TWO.scores > 1] == Objects.none(scored=True)
    with pytest.raises(IndexError, match="object 2 of 2"):
        TWO[2]


def test_objects_read_well():
    assert repr(TWO) == (
        "Objects([[0, 0, 9, 9], [5.5, -3, 20, 4]], ['cat', 'dog'], scores=[0.25, 0.75], difficult=[True, False])"
    )
    assert eval(repr(TWO)) == TWO
    many = Objects([BOX] * 6, list("aabcde"), np.arange(6) / 10, [True] + [False] * 5)
    assert repr(many) == "<6 objects: 2 a, 1 b, 1 c, 1 d, ...; scores 0 to 0.5; 1 difficult>"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 0, 0, 5]], ["a"]), "x1 must exceed x0"),
        (([BOX], ["a", "b"]), r"labels must be one for each of the 1 boxes, got shape \(2,\)"),
        (([BOX], "a"), "labels must be one for each of the 1 boxes, got 'a'"),
        (([BOX, BOX], [["a"], ["b", "c"]]), "flat sequence"),
        (([BOX, BOX], np.array(["a", 1], object)), "all names or all whole numbers"),
        (([BOX], [1.5]), "all names or all whole numbers"),
        (([BOX], [float("nan")]), "all names or all whole numbers"),
        (([BOX], ["a"], [float("nan")]), "score of object 0 is nan"),
        (([BOX], ["a"], ["high"]), "scores must be numbers"),
        (([BOX], ["a"], [0.5, 0.5]), "scores must be one for each"),
        (([BOX], ["a"], None, [2]), "difficult must be True or False"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(SpmError, match=message):
        Objects(*arguments)


def test_numpy_and_scikit_learn_take_each_for_one_thing():
    """Where they did not, `cross_val_score` would cut the objects of an image into numbers."""
    y = [TWO, Objects.none(), TWO[:1]]
    for array in (np.array(y), np.asarray(y, dtype=object)):
        assert array.shape == (3,) and array[0] is TWO

    class Counts:
        def fit(self, X, y):
            assert all(isinstance(objects, Objects) for objects in y)
            return self

        def score(self, X, y):
            return len(check_objects(y, length=len(X))[0])

        def get_params(self, deep=True):
            return {}

    from sklearn.base import BaseEstimator

    counts = type("Counts", (Counts, BaseEstimator), {})()
    assert cross_val_score(counts, [0, 1, 2], y, cv=KFold(3)).tolist() == [2, 0, 1]
    assert cross_val_score(counts, [0, 1, 2], np.array(y), cv=3).tolist() == [2, 0, 1]


def test_lists_of_objects_are_checked():
    pandas = pytest.importorskip("pandas")
    y = [TWO, Objects.none()]
    assert check_objects(y) == check_objects(tuple(y)) == check_objects(np.array(y), length=2) == y
    assert check_objects(pandas.Series(y)) == y and check_objects([], length=0) == []
    assert check_objects(y, scored=True) == y, "an image without objects needs no scores"
    for wrong, message in [
        (TWO, "put it into a list"),
        ("ab", "got str"),
        ({0: TWO}, "got dict"),
        ([TWO, None], "item 1 is of type NoneType"),
        ([TWO, Objects([BOX], [3])], "names in some images and numbers in others"),
    ]:
        with pytest.raises(SpmError, match=message):
            check_objects(wrong)
    with pytest.raises(SpmError, match="got 2 for 3 images"):
        check_objects(y, length=3)
    with pytest.raises(SpmError, match="y_pred must have scores, item 1 has none"):
        check_objects([TWO, Objects([BOX], ["a"])], scored=True, name="y_pred")


# Overlap


def test_overlap_equals_counting_squares():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 30), random_boxes(rng, 40, low=-5)
    expected = [[float(count_squares(one, other)) for other in b.tolist()] for one in a.tolist()]
    np.testing.assert_allclose(iou_matrix(a, b), expected, rtol=1e-14)
    assert [[float(slow_iou(one, other)) for other in b.tolist()] for one in a.tolist()] == expected
    assert iou_matrix(a, b[:0]).shape == (30, 0) and iou_matrix([], b).shape == (0, 40)


def test_overlap_of_fractions_and_borders():
    assert iou_matrix([[0, 0, 1, 1]], [[1, 0, 2, 1], [0.5, 0, 1.5, 1], [0, 0, 1e-3, 1]])[0].tolist() == pytest.approx(
        [0, 1 / 3, 1e-3]
    )


@pytest.mark.parametrize("iou", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("n_classes", [1, 3])
def test_suppression_equals_its_slow_twin(iou, n_classes):
    rng = np.random.default_rng(1)
    for n in (0, 1, 2, 60):
        boxes, scores = random_boxes(rng, n), rng.integers(0, 5, n) / 4  # many equal scores
        labels = rng.choice(list("abc")[:n_classes], n)
        assert nms(boxes, scores, labels, iou=iou).tolist() == slow_nms(
            boxes.tolist(), scores, labels, Fraction(str(iou))
        )
        if n_classes == 1:
            assert nms(boxes, scores, iou=iou).tolist() == nms(boxes, scores, labels, iou=iou).tolist()


def test_equal_scores_keep_the_lowest_index():
    assert nms([BOX] * 5, [0.5] * 5).tolist() == [0]
    assert nms([BOX, [50, 0, 60, 9]] * 3, [0.5] * 6).tolist() == [0, 1]


def test_float16_equals_float32():
    """Areas over 65,504 are infinite in float16, and infinity over infinity is no overlap."""
    rng = np.random.default_rng(2)
    boxes = (random_boxes(rng, 200, size=600) // 2 * 2).astype(np.float16)
    scores = rng.random(200).astype(np.float16)
    single = nms(boxes.astype(np.float32), scores.astype(np.float32))
    assert nms(boxes, scores).tolist() == single.tolist() and 1 < len(single) < 100
    with np.errstate(over="ignore"):
        assert np.isinf(boxes[:, 2] * boxes[:, 3]).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(-500, 500), st.integers(-500, 500))
def test_where_the_origin_lies_changes_nothing(seed, x, y):
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, 25), rng.random(25)
    assert nms(boxes + np.array([x, y, x, y]), scores).tolist() == nms(boxes, scores).tolist()


def test_an_overlap_of_just_the_bound_stays():
    assert nms([[0, 0, 2, 1], [0, 0, 1, 1]], [1, 0], iou=0.5).tolist() == [0, 1]
    assert nms([[0, 0, 2, 1], [0, 0, 1, 1]], [1, 0], iou=0.49).tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([BOX], [float("nan")]), "score 0 is NaN"),
        (([BOX], [0.5, 0.5]), r"one for each of the 1 boxes, got shape \(2,\)"),
        (([BOX], ["a"]), "scores must be numbers"),
        (([BOX], [0.5], ["a", "b"]), "labels must be one for each of the 1 boxes"),
        (([BOX], [0.5], None, 1.5), "iou must be a number from 0 to 1"),
        (([[0, 0, 0, 1]], [0.5]), "x1 must exceed"),
    ],
)
def test_suppression_refuses(arguments, message):
    with pytest.raises(SpmError, match=message):
        nms(*arguments)


def test_scores_beyond_all_bounds_have_an_order():
    assert nms([BOX, [20, 0, 30, 9]], [-np.inf, np.inf]).tolist() == [1, 0]


def test_an_ordered_dict_is_no_list():
    with pytest.raises(SpmError, match="OrderedDict"):
        check_objects(OrderedDict(a=TWO))


# Voting


def slow_voted(kept, boxes, scores, iou):
    moved = []
    for box in kept:
        near = [
            (other, score)
            for other, score in zip(boxes, scores, strict=True)
            if slow_iou(box, other) >= iou and score > 0
        ]
        total = sum(score for _, score in near)
        moved.append([sum(s * o[k] for o, s in near) / total for k in range(4)] if near else list(box))
    return np.array(moved).reshape(-1, 4)


@given(st.integers(0, 2**32 - 1))
def test_boxes_vote_as_the_slow_twin_does(seed):
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, 12), rng.normal(size=12)
    kept = boxes[nms(boxes, scores)]
    np.testing.assert_allclose(
        voted(kept, boxes, scores, 0.5), slow_voted(kept.tolist(), boxes.tolist(), scores, 0.5), atol=1e-9
    )


def test_no_box_votes():
    none = np.empty((0, 4))
    assert voted(none, none, np.empty(0), 0.5).shape == (0, 4)
    assert voted(np.array([BOX]), np.array([BOX]), np.array([-1.0]), 0.5).tolist() == [BOX]
