"""Average precision by three rules, curves and tables: slow twins, COCO's two libraries, cases that users have met."""

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from reference_metrics import slow_coco, slow_curve, slow_verdicts, slow_voc2007, slow_voc2010

import spm
from spm import SpmError
from spm.datasets.voc import CLASSES
from spm.detection import (
    Objects,
    average_precision,
    confusion_table,
    error_table,
    precision_recall,
)
from spm.detection.metrics.coco import LIBRARIES, coco_precision
from spm.detection.metrics.tables import KINDS, VOC_SIMILAR
from spm.errors import MissingDependencyError

NAMES = ("cat", "cow", "dog")
RULES = ("voc2007", "voc2010", "coco")


@pytest.fixture(params=LIBRARIES)
def library(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def only(library, monkeypatch):
    """One of COCO's libraries, the other hidden."""
    monkeypatch.setattr(
        "spm.detection.metrics.precision.coco_precision", lambda *args: coco_precision(*args, (library,))
    )


def some_objects(rng, n, difficult=0.0):
    first = rng.integers(0, 20, (n, 2))
    boxes = np.hstack([first, first + rng.integers(4, 12, (n, 2))])
    return Objects(boxes, rng.choice(NAMES, n), difficult=rng.random(n) < difficult)


def some_finds(rng, objects, n):
    """Some near objects, some elsewhere, many of equal scores."""
    near = objects[rng.integers(0, len(objects), n)] if len(objects) else objects
    labels = np.where(rng.random(len(near)) < 0.6, near.labels, rng.choice(NAMES, len(near)))
    boxes, else_ = near.boxes + rng.integers(-1, 2, (len(near), 4)), some_objects(rng, n // 2)
    labels = np.concatenate([labels, else_.labels]) if len(near) else else_.labels
    return Objects(np.concatenate([boxes, else_.boxes]), labels, rng.integers(0, 20, len(labels)) / 20)


def some_images(seed, n_images=12):
    rng = np.random.default_rng(seed)
    true = [some_objects(rng, rng.integers(0, 7), difficult=0.2) for _ in range(n_images)]
    return true, [some_finds(rng, objects, rng.integers(0, 12)) for objects in true]


def scattered(seed, n_objects=40, n_images=6):
    """Objects far from each other, where COCO's matching and VOC's agree; finds near them and elsewhere."""
    rng = np.random.default_rng(seed)
    true, found = [], []
    for _ in range(n_images):
        places = 100 * np.stack(np.divmod(rng.permutation(n_objects), 10), axis=1)
        size = rng.integers(20, 60, (n_objects, 2))
        boxes = np.hstack([places, places + size])
        there = rng.random(n_objects) < 0.7
        labels = rng.choice(NAMES, n_objects)
        true.append(Objects(boxes[there], labels[there]))
        moved = boxes + rng.integers(-7, 8, boxes.shape)
        twice = np.concatenate([np.arange(n_objects), rng.choice(n_objects, n_objects // 4)])
        labels = np.where(rng.random(len(twice)) < 0.8, labels[twice], rng.choice(NAMES, len(twice)))
        found.append(Objects(moved[twice] + rng.integers(0, 2), labels, rng.random(len(twice))))
    return true, found


# Against the slow twins


@pytest.mark.parametrize("iou", [0.1, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_vocs_rules_equal_their_slow_twins(seed, iou):
    true, found = some_images(seed)
    curves = precision_recall(true, found, iou=iou)
    results = {rule: average_precision(true, found, iou=iou, rule=rule) for rule in ("voc2007", "voc2010")}
    for name in NAMES:
        verdicts, n = slow_verdicts(true, found, name, Fraction(str(iou)))
        recall, precision = slow_curve(verdicts, n)
        np.testing.assert_allclose(curves[name].recall, np.array(recall, float), rtol=1e-14)
        np.testing.assert_allclose(curves[name].precision, np.array(precision, float), rtol=1e-14)
        assert curves[name].n_objects == results["voc2007"].n_objects[name] == n
        assert results["voc2007"][name] == pytest.approx(float(slow_voc2007(recall, precision)), rel=1e-12)
        assert results["voc2010"][name] == pytest.approx(float(slow_voc2010(recall, precision)), rel=1e-12)
    for result in results.values():
        assert result.mean == float(result) == pytest.approx(np.mean(list(result.by_class.values())))


def test_the_images_before_hold_all_that_matters():
    true, found = some_images(0)
    kinds = {v for name in NAMES for v in slow_verdicts(true, found, name, Fraction(1, 2))[0]}
    assert kinds == {"tp", "fp", None} and 0 < float(average_precision(true, found)) < 1


def test_recall_of_three_in_ten_reaches_three_tenths():
    """0.1 * 3 is more than 0.3: whoever compares those loses a point of eleven."""
    boxes = [[20 * k, 0, 20 * k + 9, 9] for k in range(10)]
    true, found = [Objects(boxes, ["cat"] * 10)], [Objects(boxes[:3], ["cat"] * 3, [3, 2, 1])]
    assert float(average_precision(true, found)) == pytest.approx(4 / 11)
    assert float(average_precision(true, found, rule="voc2010")) == pytest.approx(3 / 10)


@pytest.mark.parametrize("seed", range(3))
def test_coco_and_voc_agree_where_objects_lie_apart(seed, library):
    """The same matching: so COCO's precision at 101 recalls is that of VOC's curve."""
    true, found = scattered(seed)
    ious = [0.5, 0.75]
    table = coco_precision(true, found, NAMES, ious, library=(library,))
    for row, iou in zip(table, ious, strict=True):
        for name, column in zip(NAMES, row.T, strict=True):
            verdicts, n = slow_verdicts(true, found, name, Fraction(str(iou)))
            assert 5 < verdicts.count("tp") < n and verdicts.count("fp") > 5
            expected = slow_coco(*slow_curve(verdicts, n))
            np.testing.assert_allclose(column, np.array(expected, float), atol=1e-9)


def test_cocos_two_libraries_agree(monkeypatch):
    for name in LIBRARIES:
        pytest.importorskip(name)
    for true, found in (some_images(5), scattered(6)):
        tables = [coco_precision(true, found, NAMES, [0.5, 0.8], library=(name,)) for name in LIBRARIES]
        np.testing.assert_allclose(*tables, atol=1e-9)


# Cases that users have met


def test_a_perfect_find_of_one_object(only):
    """In both libraries an annotation whose id is 0 counts as none."""
    one = Objects([[10, 10, 40, 40]], ["cat"])
    for rule in RULES:
        assert float(average_precision([one], [Objects(one.boxes, one.labels, [0.1])], rule=rule)) == pytest.approx(1)


def test_a_false_alarm_on_an_image_without_objects_counts(only):
    one = Objects([[10, 10, 40, 40]], ["cat"])
    found = [Objects(one.boxes, one.labels, [0.8]), Objects([[5, 5, 15, 15]], ["cat"], [0.9])]
    for rule in RULES:
        assert float(average_precision([one, Objects.none()], found, rule=rule)) == pytest.approx(0.5)


def test_more_than_a_hundred_boxes_in_an_image(only):
    boxes = [[20 * (k % 15), 20 * (k // 15), 20 * (k % 15) + 9, 20 * (k // 15) + 9] for k in range(150)]
    true, found = [Objects(boxes, ["cat"] * 150)], [Objects(boxes, ["cat"] * 150, np.arange(150) / 150)]
    assert float(average_precision(true, found, rule="coco")) == pytest.approx(67 / 101)  # recall ends at 100 of 150
    assert float(average_precision(true, found, rule="coco", max_per_image=150)) == pytest.approx(1)
    assert float(average_precision(true, found, rule="coco", max_per_image=1000)) == pytest.approx(1)
    assert float(average_precision(true, found)) == 1 and len(precision_recall(true, found)["cat"].recall) == 150
    assert float(average_precision(true, found, rule="voc2010", max_per_image=75)) == pytest.approx(0.5)


def test_difficult_objects_are_neither_hit_nor_miss(only):
    true = [Objects([[0, 0, 40, 40], [100, 0, 200, 100]], ["cat", "cat"], difficult=[False, True])]
    hit, on_difficult, inside = [0, 0, 40, 40], [100, 0, 200, 99], [120, 20, 150, 50]

    def precisions(*boxes):
        found = [Objects(boxes, ["cat"] * len(boxes), np.arange(len(boxes), 0, -1) / 10)]
        return [float(average_precision(true, found, rule=rule)) for rule in RULES]

    assert precisions(hit) == pytest.approx([1, 1, 1]), "recall does not count it"
    assert precisions(on_difficult, hit) == pytest.approx([1, 1, 1])
    assert precisions(on_difficult, on_difficult, hit) == pytest.approx([1, 1, 1]), "nor is a second find of it a miss"
    assert precisions(inside, hit) == pytest.approx([0.5, 0.5, 1]), "a miss by VOC's rule, forgiven by COCO's of crowds"
    assert precisions(on_difficult) == pytest.approx([0, 0, 0])


def test_no_finds_at_all(only):
    """pycocotools' own way of taking finds in raises IndexError."""
    true = [Objects([[0, 0, 9, 9]], ["cat"]), Objects([[0, 0, 9, 9]], ["dog"])]
    for nothing in ([Objects.none()] * 2, [Objects.none(scored=True), Objects([], [])]):
        for rule in RULES:
            result = average_precision(true, nothing, rule=rule)
            assert result.by_class == {"cat": 0, "dog": 0} and float(result) == 0
        assert len(precision_recall(true, nothing)["cat"].recall) == 0


def test_classes_without_an_object_are_told_and_left_out_of_the_mean(only):
    true = [Objects([[0, 0, 9, 9], [20, 0, 29, 9]], ["cat", "dog"], difficult=[False, True])]
    found = [Objects([[0, 0, 9, 9], [50, 0, 59, 9]], ["cat", "Cat"], [0.5, 0.9])]
    for rule in RULES:
        result = average_precision(true, found, rule=rule)
        assert result["cat"] == pytest.approx(1) and math.isnan(result["Cat"]) and math.isnan(result["dog"])
        assert float(result) == pytest.approx(1) and result.n_objects == {"Cat": 0, "cat": 1, "dog": 0}
        assert math.isnan(float(average_precision([Objects.none()], found, rule=rule)))
    assert np.isnan(precision_recall(true, found)["Cat"].recall).all()


# Options and results


def test_several_overlaps(only):
    true, found = scattered(3)
    for rule in RULES:
        result = average_precision(true, found, rule=rule, iou="0.50:0.95")
        each = {iou: average_precision(true, found, rule=rule, iou=iou) for iou in result.by_iou}
        assert list(each) == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
        assert result.by_iou == pytest.approx({iou: float(one) for iou, one in each.items()})
        assert float(result) == pytest.approx(np.mean(list(result.by_iou.values())))
        assert result["cat"] == pytest.approx(np.mean([one["cat"] for one in each.values()]))
        assert average_precision(true, found, rule=rule, iou=np.array([0.5, 0.75])).by_iou.keys() == {0.5, 0.75}


def test_cocos_headline_is_the_librarys_own(library, tmp_path):
    """By the library's public way: files, loadRes and summarize."""
    from spm.detection.metrics.coco import _data, coco_library

    true, found = scattered(4)
    coco, evaluation = coco_library((library,))
    truth = _data(coco, true, NAMES)
    truth.dataset["info"] = {}  # pycocotools 2.0.10 asks for it
    results = list(_data(coco, found, NAMES).anns.values())
    results = [{key: one[key] for key in ("image_id", "category_id", "bbox", "score")} for one in results]
    run = evaluation(truth, truth.loadRes(results), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    ours = average_precision(true, found, rule="coco", iou="0.50:0.95")
    assert [float(ours), ours.by_iou[0.5], ours.by_iou[0.75]] == pytest.approx(list(run.stats[:3]), abs=1e-9)


@pytest.mark.parametrize("labels", [[3, 7], np.array([3, 7], np.uint8), [True, False], ["ä", "b c"]])
def test_labels_of_every_kind(labels, only):
    true = [Objects([[0, 0, 9, 9], [20, 0, 29, 9]], labels)]
    found = [Objects(true[0].boxes, labels, [0.5, 0.6])]
    for rule in RULES:
        result = average_precision(true, found, rule=rule)
        assert result.by_class == pytest.approx(dict.fromkeys(np.asarray(labels).tolist(), 1))
        assert str(result).splitlines()[-1].split() == ["mean", "2", "1.000"]
    assert confusion_table(true, found).counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert error_table(true, found).counts[:, :2].tolist() == [[1, 1], [1, 1]]


def test_nothing_is_printed(only, capfd):
    true, found = some_images(1)
    average_precision(true, found, rule="coco")
    assert capfd.readouterr() == ("", "")


def test_threads_do_not_lose_the_output(only, capsys):
    true, found = some_images(1)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda k: float(average_precision(true, found, rule="coco")), range(12)))
    print("still there")
    assert len(set(results)) == 1 and capsys.readouterr().out == "still there\n"


def test_the_order_of_images_and_finds_changes_nothing_but_ties():
    true, found = scattered(7)  # no equal scores
    rng = np.random.default_rng(0)
    images = rng.permutation(len(true))
    shuffled = [found[i][rng.permutation(len(found[i]))] for i in images]
    for rule in ("voc2007", "voc2010"):
        again = average_precision([true[i] for i in images], shuffled, rule=rule)
        assert again.by_class == average_precision(true, found, rule=rule).by_class


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "voc"}, "rule='voc' is not an option: choose one of 'voc2007', 'voc2010', 'coco'"),
        ({"iou": 1.5}, "iou must be a number from 0 to 1, got 1.5"),
        ({"iou": "0.5:0.9"}, "iou='0.5:0.9' is not an option"),
        ({"iou": []}, "iou is empty"),
        ({"max_per_image": 0}, "max_per_image must be a whole number at least 1"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(SpmError, match=message):
        average_precision([Objects.none()], [Objects.none()], **options)


@pytest.mark.parametrize("measure", [average_precision, precision_recall, error_table, confusion_table])
def test_lists_are_checked(measure):
    one = Objects([[0, 0, 9, 9]], ["cat"])
    for true, found, message in [
        ([one], [one], "y_pred must have scores, item 0 has none"),
        ([one], [], "y_pred must be a list .* got 0 for 1 images"),
        ([], [], "y_true is empty"),
        ([one], [Objects([[0, 0, 9, 9]], [1], [0.5])], "labels of y_true and y_pred are names in some"),
        (one, [one], "y_true must be a list"),
    ]:
        with pytest.raises(SpmError, match=message):
            measure(true, found)


def test_without_either_library():
    code = """
import sys
sys.modules.update({"pycocotools": None, "faster_coco_eval": None})
from spm.detection import Objects, average_precision
from spm.errors import MissingDependencyError
one = Objects([[0, 0, 9, 9]], ["cat"], [1])
print(float(average_precision([one], [one])))
try:
    average_precision([one], [one], rule="coco")
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    first, second = done.stdout.splitlines()
    assert first == "1.0" and "COCO's rules need" in second and "pip install pycocotools" in second


def test_a_missing_library_is_named():
    assert issubclass(MissingDependencyError, ImportError) and spm.detection.average_precision is average_precision


# Tables


@pytest.mark.parametrize("per_object", [None, 1.0, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_errors_add_up(seed, per_object):
    true, found = some_images(seed, n_images=20)
    table = error_table(true, found, similar=[("cat", "dog")], per_object=per_object)
    assert table.rows == list(NAMES) and table.columns == list(KINDS)
    for name in NAMES:
        verdicts, n = slow_verdicts(true, found, name, Fraction(1, 2))
        counted = verdicts if per_object is None else verdicts[: math.ceil(per_object * n)]
        assert table[name, "objects"] == n == table[name, "hit"] + table[name, "missed"]
        assert table[name, "hit"] == counted.count("tp") and table[name, "ignored"] == counted.count(None)
        false = sum(table[name, kind] for kind in ("localisation", "similar", "other", "background", "duplicate"))
        assert false == counted.count("fp")
    if per_object is None:
        assert (table.counts.sum(axis=0) > 0).all(), "every kind occurs"


def test_each_kind_of_error():
    true = [
        Objects(
            [[0, 0, 100, 100], [200, 0, 300, 100], [400, 0, 500, 100], [600, 0, 700, 100], [800, 0, 900, 100]],
            ["dog", "cat", "car", "dog", "dog"],
            difficult=[False, False, False, True, False],
        )
    ]
    finds = {
        "hit": [0, 0, 100, 90],
        "duplicate": [0, 0, 100, 80],
        "localisation": [0, 0, 100, 49],
        "similar": [200, 0, 300, 10],
        "other": [400, 0, 500, 10],
        "background": [400, 0, 500, 9],
        "ignored": [600, 0, 700, 60],
    }
    for k, (kind, box) in enumerate(finds.items()):
        found = [Objects([[0, 0, 100, 90], box], ["dog"] * 2, [0.9, 0.1]) if k else Objects([box], ["dog"], [0.9])]
        table = error_table(true, found, per_object=None)
        counts = dict(zip(table.columns, table.counts[table.rows.index("dog")].tolist(), strict=True))
        expected = dict.fromkeys(KINDS, 0) | {"objects": 2, "hit": 1, "missed": 1}
        expected[kind] += k > 0
        assert counts == expected
        assert table["cat", "missed"] == table["car", "missed"] == 1


def test_classes_that_are_alike():
    """VOC's groups by themselves, but not where labels are others'; groups of one's own rule."""
    assert {name for group in VOC_SIMILAR for name in group} == set(CLASSES) - {"bottle", "pottedplant", "tvmonitor"}
    true = [Objects([[0, 0, 9, 9]], ["aeroplane"])]
    found = [Objects([[0, 0, 9, 9]], ["bird"], [0.5])]
    assert error_table(true, found, per_object=None)["bird", "similar"] == 1
    assert error_table(true, found, per_object=None, similar=[])["bird", "other"] == 1
    more = [Objects([[0, 0, 9, 9], [20, 0, 29, 9]], ["aeroplane", "kite"])]
    assert error_table(more, found, per_object=None)["bird", "other"] == 1
    assert error_table(more, found, per_object=None, similar=[{"bird", "aeroplane"}])["bird", "similar"] == 1
    with pytest.raises(SpmError, match="similar names 'brid', which no object has: the labels are 'aeroplane', 'bird'"):
        error_table(true, found, similar=[("aeroplane", "brid")])
    with pytest.raises(SpmError, match="per_object must be a finite number above 0"):
        error_table(true, found, per_object=0)


@pytest.mark.parametrize("seed", range(3))
def test_confusions_add_up(seed):
    true, found = some_images(seed, n_images=20)
    table, errors = confusion_table(true, found), error_table(true, found, per_object=None)
    assert table.rows == [*NAMES, "background"] and table.columns == [*NAMES, "missed"]
    for name in NAMES:
        row, column = (table.counts[table.rows.index(name)], table.counts[:, table.columns.index(name)])
        assert table[name, name] == errors[name, "hit"] and row.sum() == errors[name, "objects"]
        assert (
            column.sum()
            == sum(name == label for objects in found for label in objects.labels) - errors[name, "ignored"]
        )
    assert table["background", "missed"] == 0 and (table.counts[:3, :3].sum() > np.diag(table.counts).sum())


def test_what_is_taken_for_what():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 10], [90, 0, 99, 9]]
    true = [Objects(boxes[:3], ["horse", "person", "cow"], difficult=[False, False, True])]
    found = [Objects(boxes, ["person", "person", "cow", "cow"], [0.9, 0.8, 0.7, 0.6])]
    table = confusion_table(true, found)
    assert (table["person", "person"], table["horse", "person"], table["background", "cow"]) == (1, 1, 1)
    assert table.counts.sum() == 3, "the find of the difficult cow is left out, and so is the cow"
    few = confusion_table(true, found, min_score=0.75)
    assert few["background", "cow"] == 0 and few["person", "person"] == few["horse", "person"] == 1
    none = confusion_table(true, [Objects.none()], min_score=0.5)
    assert none["horse", "missed"] == none["person", "missed"] == 1 == none.counts.sum() - 1


def test_tables_read_well():
    true, found = some_images(0)
    table = confusion_table(true, found)
    lines = str(table).splitlines()
    assert lines[0].split() == [*NAMES, "missed"] and len({len(line) for line in lines}) == 1 and len(lines) == 5
    pandas = pytest.importorskip("pandas")
    pandas.testing.assert_frame_equal(table.to_frame(), pandas.DataFrame(table.counts, table.rows, table.columns))
    with pytest.raises(SpmError, match="'cot' is none of 'cat', 'cow', 'dog', 'background'"):
        table["cot", "cat"]
