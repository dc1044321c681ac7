"""Proposals: boxes inside the image, each once, one seed one result; OpenCV's sets; filling; remembering."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_sample_image

import spm
from spm import ImageError, SpmError
from spm._tools.parallel import in_order
from spm.detection import EdgeBoxes, GivenBoxes, SelectiveSearch, SlidingWindows, default_proposals, remembered_boxes
from spm.detection.proposals import edges_of, windows
from spm.detection.proposals.base import new_first, ranked, tidy
from spm.errors import MissingDependencyError

PHOTOGRAPH = load_sample_image("china.jpg")
WIDE, TALL = cv2.resize(PHOTOGRAPH, (640, 227)), cv2.resize(PHOTOGRAPH, (300, 732))
SMALL = cv2.resize(PHOTOGRAPH, (160, 107))
BLANK = np.full((48, 64, 3), 77, np.uint8)

QUICK = {
    "fast": SelectiveSearch(size=150),
    "single": SelectiveSearch(mode="single", size=200),
    "quality": SelectiveSearch(mode="quality", size=60),
    "edges": EdgeBoxes(size=200),
    "windows": SlidingWindows(),
    "given": GivenBoxes(lambda image: [[-5, 2, 7, 999], [3, 3, 9, 9], [3, 3, 9, 9], [5000, 0, 5001, 9]]),
    "filled": SelectiveSearch(size=100, max_boxes=500, fill=EdgeBoxes(size=60, fill=SlidingWindows())),
}


def random_boxes(n, seed=0, size=(40, 30)):
    """Boxes in whole pixels; so small an image has many twins."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, size[1] + 1, (n, 2)), rng.integers(0, size[0] + 1, (n, 2))
    boxes = np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=1).astype(float)
    return np.unique(boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)], axis=0)


def overlap(a, b):
    """The slow, obvious intersection over union of two boxes."""
    inside = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)


def as_set(boxes):
    return {tuple(box) for box in np.asarray(boxes).tolist()}


def check(boxes, shape):
    height, width = shape[:2]
    assert boxes.dtype == np.float64 and boxes.ndim == 2 and boxes.shape[1] == 4
    assert len(as_set(boxes)) == len(boxes)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [width, height]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


# --- every kind -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", [WIDE, TALL, SMALL[:, :, 0]], ids=["wide", "tall", "grey"])
@pytest.mark.parametrize("kind", QUICK)
def test_boxes_lie_inside_the_image_each_once_and_the_same_again(kind, image):
    boxes = QUICK[kind].propose(image)
    check(boxes, image.shape)
    assert 2 <= len(boxes) <= (QUICK[kind].max_boxes or len(boxes))
    assert np.array_equal(boxes, clone(QUICK[kind]).propose(image))
    assert (boxes == np.rint(boxes)).all()


@pytest.mark.parametrize("kind", QUICK)
def test_one_seed_is_one_result_for_every_number_of_workers(kind):
    images = [WIDE, SMALL, TALL, BLANK, SMALL[:, :, 0], WIDE[:, ::-1]]
    alone = [QUICK[kind].propose(image) for image in images]
    for n_jobs in (1, 2, 4):
        together = list(in_order(QUICK[kind].propose, images, n_jobs=n_jobs, batch=1))
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_odd_images_do_not_crash():
    """In a process of its own: a crash of OpenCV would end this one."""
    code = """
import numpy as np
from spm.detection import EdgeBoxes, SelectiveSearch, SlidingWindows
rng = np.random.default_rng(0)
for shape in [(1, 1), (1, 2), (2, 1), (1, 500), (500, 1), (2, 2), (3, 3), (5, 7), (20, 20), (32, 33), (40, 2000)]:
    for image in (np.full((*shape, 3), 77, np.uint8), rng.integers(0, 256, shape, dtype=np.uint8)):
        for proposals in (
            SelectiveSearch(), SelectiveSearch(mode="quality", size=50), SelectiveSearch(mode="single", size=None),
            SelectiveSearch(size=1), EdgeBoxes(), EdgeBoxes(sigma=0), EdgeBoxes(size=1), SlidingWindows(),
            SelectiveSearch(size=30, fill=EdgeBoxes(fill=SlidingWindows())),
        ):
            boxes = proposals.propose(image)
            inside = (boxes >= 0).all() and (boxes[:, 2:] <= shape[::-1]).all()
            print(len(boxes), boxes.shape[1] == 4 and inside and (boxes[:, 2:] > boxes[:, :2]).all())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 11 * 2 * 9 and {good for _, good in lines} == {"True"}
    assert any(count == "0" for count, _ in lines)  # an image without a proposal is no error


def test_paths_and_arrays_give_the_same(tmp_path):
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), WIDE[:, :, ::-1])
    for kind in ("fast", "edges", "windows"):
        assert np.array_equal(QUICK[kind].propose(path), QUICK[kind].propose(WIDE))
        assert np.array_equal(QUICK[kind].propose(str(path)), QUICK[kind].propose(WIDE))


@pytest.mark.parametrize("kind", QUICK)
def test_what_cannot_be_read_is_named(kind):
    with pytest.raises(ImageError, match=r"nothing\.jpg"):
        QUICK[kind].propose("nothing.jpg")


@pytest.mark.parametrize(
    ("proposals", "message"),
    [
        (SelectiveSearch(mode="slow"), "mode='slow' is not an option: choose one of 'fast', 'quality', 'single'"),
        (SelectiveSearch(size=0), "size must be a whole number at least 1, got 0"),
        (SelectiveSearch(max_boxes=0), "max_boxes must be a whole number at least 1, got 0"),
        (SelectiveSearch(fill=EdgeBoxes), r"fill must be an object that proposes, such as EdgeBoxes\(\), or None"),
        (SelectiveSearch(random_state="x"), "random_state must be"),
        (EdgeBoxes(size=5001), "size must be at most 5000 pixels, got 5001"),
        (EdgeBoxes(size=None), "size must be a whole number"),
        (EdgeBoxes(overlap=0), "overlap must be a finite number above 0, got 0"),
        (EdgeBoxes(sigma=-1), "sigma must be a finite number at least 0, got -1"),
        (SlidingWindows(scales=[]), "scales must be a sequence"),
        (SlidingWindows(aspects=[0]), "each of aspects must be a finite number above 0, got 0"),
        (SlidingWindows(stride=0), "stride must be"),
        (GivenBoxes([[0, 0, 1, 1]]), "mapping must be a dictionary from image to boxes, or a function, got list"),
        (GivenBoxes(dict), "mapping must be a dictionary"),
    ],
)
def test_options_are_checked(proposals, message):
    with pytest.raises(SpmError, match=message):
        proposals.propose(SMALL)


def test_an_opencv_without_ximgproc_is_explained(monkeypatch):
    monkeypatch.delattr(cv2, "ximgproc")
    for kind in ("fast", "edges"):
        with pytest.raises(MissingDependencyError, match="pip install --force-reinstall opencv-contrib-python"):
            QUICK[kind].propose(SMALL)


def test_proposals_can_be_saved(tmp_path):
    given = GivenBoxes({"a": [[0, 0, 5, 5]], "b": np.ones((1, 4))})
    for proposals in (default_proposals(), given):
        again = spm.load(spm.save(proposals, tmp_path / "proposals.spm"))
        assert repr(again) == repr(proposals)
        if proposals is not given:
            assert np.array_equal(again.propose(SMALL), proposals.propose(SMALL))


# --- order ------------------------------------------------------------------------------------------------------------


def test_tidy_cuts_and_keeps_the_first():
    boxes = [[5, 5, 9, 9], [-3, -3, 4, 4], [0, 0, 4, 4], [8, 0, 12, 4], [2, 2, 2, 4], [5, 5, 9, 9], [4, 3, 3, 4]]
    assert tidy(np.array(boxes, float), (6, 8)).tolist() == [[5, 5, 8, 6], [0, 0, 4, 4]]
    assert tidy(np.empty((0, 4)), (6, 8)).shape == (0, 4)
    assert not np.signbit(tidy(np.array([[-0.0, 0, 4, 4]]), (6, 8))).any()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_is_that_of_its_slow_twin(seed):
    boxes = random_boxes(300, seed)
    by_size = sorted(boxes.tolist(), key=lambda box: (-(box[2] - box[0]) * (box[3] - box[1]), *box[::-1]))
    draw = np.random.RandomState(seed).random_sample(len(boxes))
    keyed = sorted((draw[i] * (i + 1), box) for i, box in enumerate(by_size))
    new, twins = [], []
    for _, box in keyed:
        (twins if any(overlap(box, other) > 0.8 for other in new) else new).append(box)
    assert 4 < len(twins) < len(boxes) - 10
    assert np.array_equal(ranked(boxes, seed), new + twins)
    assert np.array_equal(new_first(np.array([box for _, box in keyed])), new + twins)


def test_the_order_goes_by_the_set_and_the_seed_alone():
    boxes = random_boxes(200)
    shuffled = boxes[np.random.default_rng(3).permutation(len(boxes))]
    assert np.array_equal(ranked(boxes, 0), ranked(shuffled, 0))
    assert not np.array_equal(ranked(boxes, 0), ranked(boxes, 1))
    assert as_set(ranked(boxes, 0)) == as_set(ranked(boxes, None)) == as_set(boxes)
    state = np.random.RandomState(5)
    assert np.array_equal(ranked(boxes, state), ranked(boxes, state))  # it is not used up
    assert np.array_equal(ranked(boxes, state), ranked(boxes, 5))


# --- selective search -------------------------------------------------------------------------------------------------


def opencvs_set(image, switch):
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(image[:, :, ::-1]))
    getattr(search, switch)()
    return {(x, y, x + w, y + h) for x, y, w, h in search.process().tolist()}


@pytest.mark.parametrize(
    ("mode", "switch"), [("fast", "switchToSelectiveSearchFast"), ("single", "switchToSingleStrategy")]
)
def test_is_opencvs_set(mode, switch):
    expected = opencvs_set(SMALL, switch)
    assert len(expected) > 20
    for size in (None, 160, 400):  # it is never enlarged
        assert as_set(SelectiveSearch(mode=mode, size=size, max_boxes=None).propose(SMALL)) == expected
    cut = SelectiveSearch(mode=mode, max_boxes=10).propose(SMALL)
    assert np.array_equal(cut, SelectiveSearch(mode=mode, max_boxes=None).propose(SMALL)[:10])


def test_boxes_are_scaled_back_to_the_image():
    image = np.full((300, 500, 3), 30, np.uint8)
    image[100:220, 50:350] = 200, 40, 40
    for size in (500, 250, 125):
        boxes = SelectiveSearch(size=size).propose(image)
        assert max(overlap(box, (50, 100, 350, 220)) for box in boxes) > 0.95
        assert [0, 0, 500, 300] in boxes.tolist()


def test_grey_images_are_searched_as_colour_ones():
    grey = cv2.cvtColor(SMALL, cv2.COLOR_RGB2GRAY)
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    for kind in ("fast", "edges"):
        assert np.array_equal(QUICK[kind].propose(grey), QUICK[kind].propose(colour))


def test_colours_come_to_opencv_in_its_own_order():
    """Two halves that differ in red and blue only: taken for one another the answer would be another."""
    forward, backward = (as_set(SelectiveSearch().propose(image)) for image in (SMALL, SMALL[:, :, ::-1].copy()))
    assert forward != backward


# --- edge boxes -------------------------------------------------------------------------------------------------------


def slow_edges(image):
    """Sobel's gradients, thinned pixel by pixel."""
    grey = np.pad(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float), 1, mode="reflect")
    height, width = image.shape[:2]
    smooth, slope = np.array([1.0, 2, 1]), np.array([-1.0, 0, 1])
    dx, dy = np.zeros((height, width)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            around = grey[y : y + 3, x : x + 3]
            dx[y, x], dy[y, x] = smooth @ around @ slope, slope @ around @ smooth
    strength = np.sqrt(dx * dx + dy * dy)  # of whole numbers: what is equal is equal
    strength /= strength.max()
    out = np.zeros_like(strength)
    for y in range(height):
        for x in range(width):
            angle = np.degrees(np.arctan2(dy[y, x], dx[y, x]))
            step = {0: (0, 1), 1: (1, 1), 2: (1, 0), 3: (1, -1)}[round(angle / 45) % 4]
            ahead, behind = (
                strength[y + s * step[0], x + s * step[1]]
                if 0 <= y + s * step[0] < height and 0 <= x + s * step[1] < width
                else 0.0
                for s in (1, -1)
            )
            if strength[y, x] >= ahead and strength[y, x] > behind:
                out[y, x] = strength[y, x]
    return out, np.degrees(np.arctan2(dy, dx)) % 180


def test_edges_are_those_of_the_slow_twin():
    image = cv2.resize(PHOTOGRAPH, (47, 31))
    strength, direction = edges_of(image, sigma=0)
    expected, degrees = slow_edges(image)
    assert strength.dtype == direction.dtype == np.float32 and strength.max() == 1
    assert (0 < (expected > 0).mean() < 0.5) and np.abs(strength - expected).max() < 1e-5
    turned = np.abs(np.degrees(direction) - degrees)[expected > 0.01]
    assert np.minimum(turned, 180 - turned).max() < 1e-2


def test_an_image_without_edges_has_no_edge_boxes():
    assert EdgeBoxes().propose(BLANK).shape == (0, 4)
    dust = BLANK + np.random.default_rng(0).integers(0, 2, BLANK.shape, dtype=np.uint8)
    assert edges_of(dust, sigma=2.0)[0].max() < 0.5  # what is weak is not made strong


def test_edge_boxes_are_opencvs_best_first_with_a_fresh_object_each():
    strength, direction = edges_of(SMALL, sigma=2.0)
    fresh = cv2.ximgproc.createEdgeBoxes(maxBoxes=300, beta=0.65)
    corners, scores = fresh.getBoundingBoxes(strength, direction)
    boxes = EdgeBoxes(max_boxes=300).propose(SMALL)
    expected = {(x, y, x + w, y + h): s for (x, y, w, h), s in zip(corners.tolist(), np.ravel(scores), strict=True)}
    assert len(boxes) > 20 and as_set(boxes) == set(expected)
    assert (np.diff([expected[tuple(box)] for box in boxes]) <= 0).all()
    again = fresh.getBoundingBoxes(strength, direction)[0]
    assert as_set(again) != as_set(corners), "a second call answers the same: fresh objects are no longer needed"


def test_edge_boxes_find_what_stands_out():
    image = np.full((240, 320, 3), 40, np.uint8)
    image[60:180, 100:220] = 220
    first = EdgeBoxes().propose(image)[:5]
    assert max(overlap(box, (100, 60, 220, 180)) for box in first) > 0.8


# --- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(60, 80), (31, 300), (1, 50), (7, 7)])
def test_windows_are_those_of_the_slow_twin(size):
    scales, aspects, stride = (0.2, 0.5, 1.0), (0.5, 1.0, 3.0), 0.5
    expected = set()
    height, width = size
    for scale in scales:
        for aspect in aspects:
            wide = min(max(round(scale * (height * width) ** 0.5 * aspect**0.5), 1), width)
            high = min(max(round(scale * (height * width) ** 0.5 / aspect**0.5), 1), height)
            columns, rows = (
                -(-(length - side) // (stride * side)) + 1 for length, side in ((width, wide), (height, high))
            )
            for i in range(int(rows)):
                for j in range(int(columns)):
                    y = round((height - high) * i / (rows - 1)) if rows > 1 else 0
                    x = round((width - wide) * j / (columns - 1)) if columns > 1 else 0
                    expected.add((x, y, x + wide, y + high))
    assert as_set(windows(size, scales=scales, aspects=aspects, stride=stride)) == expected


def test_windows_reach_every_border_and_fill_two_thousand():
    for image in (PHOTOGRAPH, WIDE, TALL, SMALL):
        assert len(SlidingWindows().propose(image)) == 2000
        boxes = SlidingWindows(max_boxes=None).propose(image)
        assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
        assert boxes[:, 2:].max(axis=0).tolist() == [image.shape[1], image.shape[0]]


# --- given boxes ------------------------------------------------------------------------------------------------------


def test_given_boxes_are_found_by_path_file_name_and_stem(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), SMALL)
    for key in (path, str(path), "a.png", "a"):
        for image in (path, str(path)):
            assert GivenBoxes({key: [[1, 2, 3, 4]], "b": []}).propose(image).tolist() == [[1, 2, 3, 4]]
    exact = GivenBoxes({"a": [[0, 0, 1, 1]], "a.png": [[0, 0, 2, 2]], str(path): [[0, 0, 3, 3]]})
    assert exact.propose(path).tolist() == [[0, 0, 3, 3]]
    assert GivenBoxes({"a": []}).propose(path).shape == (0, 4)
    assert GivenBoxes({"a": [[0, 0, 1.5, 1], [0, 0, 9, 9]]}, max_boxes=1).propose(path).tolist() == [[0, 0, 1.5, 1]]


def test_given_boxes_say_what_is_missing_or_malformed(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), SMALL)
    with pytest.raises(ImageError, match=r"a\.png: mapping has no boxes for it.*'b', 'c', 'd' \.\.\. \(4 images\)"):
        GivenBoxes({key: [] for key in "bcde"}).propose(path)
    with pytest.raises(ImageError, match="it has no name to find its boxes by: give paths, or a function"):
        GivenBoxes({"a": []}).propose(SMALL)
    with pytest.raises(ImageError, match=r"a\.png: among its given boxes: box 0 is \[3.0, 0.0, 3.0, 9.0\]"):
        GivenBoxes({"a": [[3, 0, 3, 9]]}).propose(path)


# --- filling ----------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_filled_by_another_after_its_own():
    parts = [SelectiveSearch(size=100), SelectiveSearch(mode="single", size=100), SlidingWindows()]
    found = [part.propose(WIDE).tolist() for part in parts]
    assert len(found[0]) + len(found[1]) < 2000
    chain = clone(parts[0]).set_params(fill=clone(parts[1]).set_params(fill=parts[2]))
    each_once = list(dict.fromkeys(tuple(box) for boxes in found for box in boxes))
    assert len(each_once) < sum(len(boxes) for boxes in found)  # some are found twice
    assert chain.propose(WIDE).tolist() == [list(box) for box in each_once[:2000]]


def test_nothing_is_filled_where_there_are_enough():
    class Refuses:
        def propose(self, image):
            raise AssertionError("asked")

    enough = SelectiveSearch(size=100, max_boxes=5)
    assert np.array_equal(clone(enough).set_params(fill=Refuses(), size=100).propose(WIDE), enough.propose(WIDE))
    with pytest.raises(AssertionError, match="asked"):
        SelectiveSearch(size=100, max_boxes=10**6, fill=Refuses()).propose(WIDE)
    GivenBoxes(lambda image: [], fill=Refuses()).propose(WIDE)  # without a bound there is nothing to fill


def test_a_filler_is_a_nested_part():
    proposals = clone(SelectiveSearch(fill=EdgeBoxes()))
    proposals.set_params(fill__sigma=1.0, fill__fill=SlidingWindows(), size=50)
    assert proposals.fill.sigma == 1.0 and proposals.get_params()["fill__fill__stride"] == 0.4
    with pytest.raises(SpmError, match="sigma must be"):
        proposals.set_params(fill__sigma=-1).propose(SMALL)


# --- remembering ------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """The images for which windows were made."""
    made = []
    original = SlidingWindows._boxes
    monkeypatch.setattr(SlidingWindows, "_boxes", lambda self, *given: made.append(given) or original(self, *given))
    return made


def test_boxes_are_remembered_by_content_and_options(tmp_path, asked):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    for path in (first, second):
        cv2.imwrite(str(path), SMALL)
    proposals, memory = SlidingWindows(max_boxes=50), tmp_path / "memory"
    boxes = remembered_boxes(proposals, first, memory)
    assert np.array_equal(boxes, proposals.propose(first)) and len(asked) == 2
    for path in (first, str(second)):  # of the same content
        assert np.array_equal(remembered_boxes(clone(proposals), path, memory), boxes)
    assert len(asked) == 2
    cv2.imwrite(str(first), BLANK)
    assert len(remembered_boxes(proposals, first, memory)) == 50 and len(asked) == 3
    other = SlidingWindows(max_boxes=50, random_state=1)
    assert not np.array_equal(remembered_boxes(other, second, memory), boxes) and len(asked) == 4
    assert len(remembered_boxes(EdgeBoxes(fill=SlidingWindows()), BLANK, memory)) > 50 and len(asked) == 5
    remembered_boxes(EdgeBoxes(fill=SlidingWindows(stride=0.5)), BLANK, memory)
    assert len(asked) == 6


def test_boxes_are_made_anew_for_another_opencv(tmp_path, asked, monkeypatch):
    proposals = SlidingWindows(max_boxes=50)
    for version in ("4.10", "4.10", "5.1"):
        monkeypatch.setattr(cv2, "__version__", version)
        remembered_boxes(proposals, SMALL, tmp_path)
    assert len(asked) == 2


def test_without_a_memory_nothing_is_kept(asked):
    for _ in range(2):
        remembered_boxes(SlidingWindows(), SMALL, None)
    assert len(asked) == 2


def test_given_boxes_are_never_kept(tmp_path):
    """They go by the name: two files of the same content may have different boxes."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        cv2.imwrite(str(path), SMALL)
    given = GivenBoxes({"a": [[0, 0, 5, 5]], "b": [[0, 0, 6, 6]]})
    for proposals in (given, EdgeBoxes(size=40, fill=given)):
        boxes = [remembered_boxes(proposals, path, tmp_path / "memory") for path in paths]
        assert [0, 0, 5, 5] in boxes[0].tolist() and [0, 0, 6, 6] in boxes[1].tolist()
    assert not (tmp_path / "memory").exists()


def test_views_and_boxes_of_one_image_are_kept_apart(tmp_path):
    from spm.features.cache import remembered_views

    views = remembered_views(spm.EdgePoints(), SMALL, tmp_path)
    boxes = remembered_boxes(SlidingWindows(), SMALL, tmp_path)
    assert isinstance(remembered_views(spm.EdgePoints(), SMALL, tmp_path)[0], tuple) and len(views) == 1
    assert np.array_equal(remembered_boxes(SlidingWindows(), SMALL, tmp_path), boxes)


# --- photographs ------------------------------------------------------------------------------------------------------


def test_objects_of_photographs_are_found(data_home):
    root = data_home / "voc2007" / "VOC2007"
    if not root.is_dir():
        pytest.skip("needs voc2007/VOC2007 beside the other data sets")
    names = sorted(path.stem for path in (root / "Annotations").glob("*.xml"))[:15]
    proposals = default_proposals()
    best = []
    for name in names:
        boxes = proposals.propose(root / "JPEGImages" / f"{name}.jpg")
        assert len(boxes) == 2000
        for found in ET.parse(root / "Annotations" / f"{name}.xml").iter("bndbox"):
            at = {child.tag: float(child.text) for child in found}
            truth = (at["xmin"] - 1, at["ymin"] - 1, at["xmax"], at["ymax"])
            best.append(max(overlap(box, truth) for box in boxes.tolist()))
    assert len(best) > 20 and np.mean(np.array(best) >= 0.5) > 0.75
