"""VOC, COCO and YOLO: round trips, the spellings that are about, and what is wrong told with its file."""

import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from spm import ImageError, SpmError
from spm.detection import (
    Objects,
    average_precision,
    load_coco,
    load_voc,
    load_yolo,
    save_coco,
    save_voc,
    save_yolo,
)
from spm.detection.formats.common import image_size
from spm.detection.formats.voc import parse_xml
from spm.errors import MissingDependencyError

WIDTH, HEIGHT = 60, 40
OBJECTS = [
    Objects([[0, 0, 20, 40], [5, 10, 60, 40]], ["dog", "cat"], difficult=[False, True]),
    Objects.none(),
    Objects([[59, 39, 60, 40]], ["cat"]),
]
BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


@pytest.fixture(autouse=True)
def no_warning():
    """What is in order is read without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def picture(path, size=(WIDTH, HEIGHT), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "navy").save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    return [picture(tmp_path / "photos" / name) for name in ("a.jpg", "b c.png", "d.jpeg")]


def by_format(kind, folder, images, objects, **options):
    """Save in one format and load again."""
    if kind == "voc":
        return load_voc(save_voc(folder, images, objects, **options), "train")
    if kind == "yolo":
        pytest.importorskip("yaml")
        return load_yolo(save_yolo(folder, images, objects, difficult=True, **options), "train")
    folder.mkdir(exist_ok=True)
    return load_coco(save_coco(folder / "objects.json", images, objects, **options), os.path.dirname(images[0]))


def without_difficult(objects):
    return [Objects(one.boxes, one.labels, one.scores) for one in objects]


KINDS = ("voc", "coco", "yolo")


# Round trips


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind, photos, tmp_path):
    loaded = by_format(kind, tmp_path / "set", photos, OBJECTS)
    expected = without_difficult(OBJECTS) if kind == "yolo" else OBJECTS
    assert loaded.target == expected and [os.path.basename(path) for path in loaded.data] == [
        "a.jpg",
        "b c.png",
        "d.jpeg",
    ]
    assert loaded.target_names == (sorted(loaded.target_names)) and {"cat", "dog"} <= set(loaded.target_names)
    assert all(Path(ours).read_bytes() == path.read_bytes() for ours, path in zip(loaded.data, photos, strict=True))
    assert "3 images with 3 objects" in loaded.DESCR and all(isinstance(path, str) for path in loaded.data)


edges = st.integers(0, WIDTH - 1).flatmap(lambda x: st.tuples(st.just(x), st.integers(x + 1, WIDTH)))
rows = st.integers(0, HEIGHT - 1).flatmap(lambda y: st.tuples(st.just(y), st.integers(y + 1, HEIGHT)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(edges, rows, st.sampled_from(["cat", "ein Hund", "犬", "😀: x", "a<b&'c\""])), max_size=5))
@pytest.mark.parametrize("kind", KINDS)
def test_every_whole_box_comes_back(kind, tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp(kind)
    boxes = [[x0, y0, x1, y1] for (x0, x1), (y0, y1), _ in drawn]
    objects = [Objects(boxes, [name for *_, name in drawn])]
    names = sorted({name for *_, name in drawn} | {"zebra"})
    options = {} if kind == "voc" else {"target_names": names}
    loaded = by_format(kind, folder / "set", [picture(folder / "images_of_mine" / "1.png")], objects, **options)
    assert loaded.target == objects
    if kind != "voc":
        assert loaded.target_names == names


@pytest.mark.parametrize("kind", KINDS)
def test_fractions_come_back_closely_and_boxes_are_cut_to_the_image(kind, photos, tmp_path):
    objects = [Objects([[0.123456, 7.9, 33.3333333, 39.5], [-5, -5, 100, 100]], ["cat", "dog"])]
    (loaded,) = by_format(kind, tmp_path / "set", photos[:1], objects).target
    np.testing.assert_allclose(loaded.boxes, [[0.123456, 7.9, 33.3333333, 39.5], [0, 0, 60, 40]], atol=2e-6)


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_scores_come_back(kind, photos, tmp_path):
    found = [Objects(one.boxes, one.labels, np.linspace(0.1, 0.9, len(one)) / 3) for one in OBJECTS]
    loaded = by_format(kind, tmp_path / "set", photos, found)
    assert loaded.target == found
    assert float(average_precision(OBJECTS, loaded.target)) == 1


@pytest.mark.parametrize("kind", ["voc", "yolo"])
def test_arrays_become_files(kind, tmp_path):
    arrays = [np.full((HEIGHT, WIDTH, 3), value, np.uint8) for value in (0, 90, 200)]
    loaded = by_format(kind, tmp_path / "set", arrays, without_difficult(OBJECTS))
    assert [os.path.basename(path) for path in loaded.data] == ["000001.png", "000002.png", "000003.png"]
    for path, pixels in zip(loaded.data, arrays, strict=True):
        assert np.array_equal(Image.open(path), pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_are_numbers(kind, photos, tmp_path):
    numbered = [Objects(one.boxes, [["cat", "dog"].index(name) for name in one.labels]) for one in OBJECTS]
    loaded = by_format(kind, tmp_path / "set", photos, numbered, target_names=["cat", "dog"])
    assert loaded.target == without_difficult(OBJECTS)
    with pytest.raises(SpmError, match="indices into the 1 target_names"):
        by_format(kind, tmp_path / "set2", photos, numbered, target_names=["cat"])
    with pytest.raises(SpmError, match=r"labels \['dog'\] are none of target_names"):
        by_format(kind, tmp_path / "set3", photos, OBJECTS, target_names=["cat"])
    with pytest.raises(SpmError, match="a name twice"):
        by_format(kind, tmp_path / "set4", photos, OBJECTS, target_names=["cat", "cat"])


def test_splits_lie_beside_each_other(photos, tmp_path):
    pytest.importorskip("yaml")
    for save, load in ((save_voc, load_voc), (save_yolo, load_yolo)):
        folder = tmp_path / save.__name__
        save(folder, photos[:2], OBJECTS[:2], split="train")
        save(
            folder,
            photos[2:],
            OBJECTS[2:],
            split="test",
            **({"target_names": ["cat", "dog"]} if load is load_yolo else {}),
        )
        assert len(load(folder, "train").data) == 2 and load(folder, "test").target == OBJECTS[2:]
        assert len(load(folder).data) == 3, "all of them"
        with pytest.raises(SpmError, match=r"there is no split 'tset', there is '(test', 'train|train', 'test)'"):
            load(folder, "tset")
    assert load_yolo(folder).split.tolist() == ["train", "train", "test"]


@pytest.mark.parametrize("save", [save_voc, save_yolo])
def test_images_can_stay_where_they_are(save, photos, tmp_path):
    save(tmp_path / "set", photos, OBJECTS, copy=False)
    assert list((tmp_path / "set").rglob("*.jpg")) == [] and len(list((tmp_path / "set").rglob("*.*"))) >= 4


@pytest.mark.parametrize("save", [save_voc, save_yolo, save_coco])
def test_saving_refuses(save, photos, tmp_path):
    target = tmp_path / ("set.json" if save is save_coco else "set")
    for images, objects, message in [
        (photos, OBJECTS[:2], "objects must be a list .* got 2 for 3 images"),
        (photos[:1], [Objects([[70, 0, 80, 10]], ["cat"])], r"box 0, \[70.0, 0.0, 80.0, 10.0\], lies outside .*a.jpg"),
        (photos[:1], ["cat"], "item 0 is of type str"),
    ]:
        with pytest.raises(SpmError, match=message):
            save(target, images, objects)
    with pytest.raises(ImageError, match="no such file"):
        save(target, [tmp_path / "missing.jpg"], [Objects([[0, 0, 1, 1]], ["a"])])


def test_two_images_of_one_name_are_refused(tmp_path):
    images = [picture(tmp_path / place / "1.jpg") for place in ("x", "y")]
    for save in (save_voc, save_yolo):
        with pytest.raises(SpmError, match="images 0 and 1 are both called '1'"):
            save(tmp_path / "set", images, [OBJECTS[2]] * 2)
    again = load_coco(save_coco(tmp_path / "both.json", images, [OBJECTS[2]] * 2), tmp_path)
    assert again.data == [os.fspath(path) for path in images]


def test_a_folder_that_cannot_be_made(photos, tmp_path):
    (tmp_path / "file").write_text("")
    for save in (save_voc, save_yolo):
        with pytest.raises(SpmError, match="cannot be made"):
            save(tmp_path / "file" / "set", photos, OBJECTS)


def test_sizes_are_those_that_are_seen(tmp_path):
    """A camera's photograph on its side: YOLO's parts are those of the upright image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = picture(tmp_path / "images" / "1.jpg", exif=exif)
    assert image_size(path) == (HEIGHT, WIDTH) == image_size(np.zeros((WIDTH, HEIGHT)))
    assert image_size(picture(tmp_path / "2.tif", exif=exif)) in [(HEIGHT, WIDTH), (WIDTH, HEIGHT)]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text("0 0.5 0.5 1 1")
    (tmp_path / "classes.txt").write_text("cat")
    shutil.move(tmp_path / "2.tif", tmp_path / "2.tiff.bak")
    assert load_yolo(tmp_path).target == [Objects([[0, 0, HEIGHT, WIDTH]], ["cat"])]
    (tmp_path / "3.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"3.jpg"):
        image_size(tmp_path / "3.jpg")


# VOC


def voc(tmp_path, *objects, size=(WIDTH, HEIGHT), text=None, name="1"):
    """A folder of one image whose annotation has these objects, or is this text."""
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    text = (
        f"<annotation>{sides}{''.join(f'<object>{one}</object>' for one in objects)}</annotation>"
        if text is None
        else text
    )
    picture(tmp_path / "JPEGImages" / f"{name}.jpg")
    (tmp_path / "Annotations").mkdir(exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "Annotations" / f"{name}.xml").write_bytes(content)
    return tmp_path


def named(*corners, name="dog"):
    return f"<name>{name}</name>{BOX.format(*corners)}"


def test_vocs_pixels_count_from_one_and_the_last_belongs_to_the_box(tmp_path):
    folder = voc(tmp_path, named(1, 11, 20, 40), named(60, 40, 60, 40))
    assert load_voc(folder).target == [Objects([[0, 10, 20, 40], [59, 39, 60, 40]], ["dog", "dog"])]


def test_a_file_that_counts_from_zero_is_told(tmp_path):
    """Where 0 - 1 is taken in unsigned numbers, a box begins at 65535."""
    voc(tmp_path, named(0, 11, 20, 40), named(5, 5, 60, 40))
    voc(tmp_path, named(1, 11, 20, 40), name="2")
    with pytest.warns(UserWarning, match=r"1\.xml: a box begins before 1, so that the file counts from 0") as told:
        first, second = load_voc(tmp_path).target
    assert len(told) == 1 and "2.xml" not in str(told[0].message) and told[0].filename == __file__
    assert first.boxes.tolist() == [[0, 11, 20, 40], [5, 5, 60, 40]] and second.boxes.tolist() == [[0, 10, 20, 40]]


def test_whoever_knows_says_from_what_files_count(tmp_path):
    voc(tmp_path, named(0, 11, 20, 40))
    voc(tmp_path, named(1, 11, 20, 40), name="2")
    first, second = load_voc(tmp_path, first_pixel=0).target  # without a word
    assert first.boxes.tolist() == [[0, 11, 20, 40]] and second.boxes.tolist() == [[1, 11, 20, 40]]
    with pytest.warns(UserWarning, match="1 of 1 boxes reach beyond an image of 60 x 40 pixels and are cut to it"):
        assert load_voc(tmp_path, first_pixel=1).target[0].boxes.tolist() == [[0, 10, 20, 40]]
    with pytest.raises(SpmError, match="first_pixel=2 is not an option: choose one of 0, 1"):
        load_voc(tmp_path, first_pixel=2)


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (0, 0), None])
def test_boxes_beyond_the_image_are_cut_with_a_word(tmp_path, size):
    """Where the file does not say how large the image is, the image does."""
    voc(tmp_path, named(50, 30, 75, 45), named(70, 1, 90, 40, name="cat"), size=size)
    with pytest.warns(UserWarning, match="(?s)1 of 2 boxes reach beyond.*1 of 2 boxes have no area inside"):
        assert load_voc(tmp_path).target == [Objects([[49, 29, 60, 40]], ["dog"])]


def test_many_odd_files_make_one_warning(tmp_path):
    for k in range(9):
        voc(tmp_path, named(0, 0, 9, 9), name=str(k))
    with pytest.warns(UserWarning, match=r"(?s)0\.xml.*1\.xml.*2\.xml.*and 6 more such remarks") as told:
        load_voc(tmp_path)
    assert len(told) == 1 and "3.xml" not in str(told[0].message)


@pytest.mark.parametrize("spelling", ["1", " 1\n", "true", "True"])
def test_difficult_is_read_in_every_spelling(tmp_path, spelling):
    voc(tmp_path, named(1, 1, 9, 9) + f"<difficult>{spelling}</difficult>", named(1, 1, 9, 9), named(1, 1, 5, 5))
    assert load_voc(tmp_path).target[0].difficult.tolist() == [True, False, False]


def test_parts_of_bodies_are_no_objects(tmp_path):
    """VOC 2012 has a box for the head of a person inside the person."""
    part = f"<part><name>head</name>{BOX.format(3, 3, 6, 6)}</part>"
    voc(tmp_path, f"<name>person</name>{part}{BOX.format(1, 1, 20, 30)}")
    assert load_voc(tmp_path).target == [Objects([[0, 0, 20, 30]], ["person"])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object>", r"1\.xml is no annotation in XML: (no element found|.*line 1)"),
        ("", r"1\.xml is no annotation in XML: no element found"),
        ("{}", r"1\.xml is no annotation in XML: .*line 1, column 0"),
        ("<html></html>", r"1\.xml is no annotation of VOC's kind: it is <html>"),
        (b"<annotation>\xff\xfe</annotation>", r"1\.xml is no annotation in XML: .*invalid token"),
        (f"<annotation><object>{BOX.format(1, 1, 2, 2)}</object></annotation>", r"1\.xml: object 1 has no name"),
        (
            f"<annotation><object>{named(1, 1, 'x', 2)}</object></annotation>",
            r"object 1 \(dog\): xmax is 'x', no number",
        ),
        (f"<annotation><object>{named(1, 'nan', 2, 2)}</object></annotation>", r"\(dog\): ymin is 'nan', no number"),
        ("<annotation><object><name>dog</name></object></annotation>", r"1\.xml: object 1 \(dog\): xmin is missing"),
        (
            f"<annotation><object>{named(9, 1, 3, 2)}</object></annotation>",
            r"object 1 \(dog\): its box .* ends before it",
        ),
    ],
)
def test_a_broken_annotation_names_its_file_and_what_is_wrong(tmp_path, text, message):
    voc(tmp_path, text=text)
    with pytest.raises(SpmError, match=message):
        load_voc(tmp_path)


BOMB = """<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "{}"><!ENTITY b "{}">]><annotation>&b;</annotation>"""


@pytest.mark.parametrize(
    "text",
    [
        BOMB.format("a" * 1000, "&a;" * 1000),
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        '<!DOCTYPE annotation SYSTEM "http://localhost/a.dtd"><annotation></annotation>',
    ],
)
def test_entities_are_refused(tmp_path, text):
    voc(tmp_path, text=text)
    with pytest.raises(SpmError, match=r"1\.xml declares a document type, which no annotation needs"):
        load_voc(tmp_path)


def test_annotations_in_other_encodings_are_read(tmp_path):
    text = f"<annotation><object>{named(1, 1, 9, 9, name='Hündin')}</object></annotation>"
    for declared in ("utf-8", "iso-8859-1", "utf-16"):
        content = f'<?xml version="1.0" encoding="{declared}"?>{text}'.encode(declared)
        assert parse_xml(content, tmp_path).findtext("object/name") == "Hündin"


def test_the_folder_is_found_where_a_kit_has_it(tmp_path):
    place = voc(tmp_path / "VOCdevkit" / "VOC2007", named(1, 1, 9, 9))
    for root in (place, place.parent, tmp_path, os.fspath(tmp_path)):
        assert load_voc(root).target == [Objects([[0, 0, 9, 9]], ["dog"])]
    voc(tmp_path / "VOCdevkit" / "VOC2012")
    with pytest.raises(SpmError, match="VOCdevkit holds VOC2007, VOC2012: give one of them"):
        load_voc(place.parent)
    for root, message in [(tmp_path / "no", "there is no such folder"), (place / "JPEGImages", "no Annotations and")]:
        with pytest.raises(SpmError, match=message):
            load_voc(root)


def test_lists_of_voc(tmp_path):
    for name in ("1", "2"):
        voc(tmp_path, named(1, 1, 9, 9), name=name)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, text in {"dog_train": "2  1\n1 -1\n\n", "twice": "1\n1\n", "more": "1\n3\n"}.items():
        (lists / f"{name}.txt").write_text(text)
    assert load_voc(tmp_path, "dog_train").ids == ["2", "1"], "lists of one class have a sign behind"
    for split, message in [
        ("twice", "lists 1 twice"),
        ("more", r"3\.jpg: there is no such image"),
        ("val", "there is no split 'val', there is 'dog_train', 'more', 'twice'"),
    ]:
        with pytest.raises(SpmError, match=message):
            load_voc(tmp_path, split)
    picture(tmp_path / "JPEGImages" / "3.jpg")
    with pytest.raises(SpmError, match=r"3\.xml: the annotation cannot be read: there is no such file"):
        load_voc(tmp_path, "more")


def test_the_photographs_of_voc(data_home):
    from spm.datasets import fetch_voc2007

    loaded, fetched = (
        load_voc(data_home / "voc2007", "test"),
        fetch_voc2007("test", data_home=data_home, download=False),
    )
    assert (loaded.data, loaded.ids, loaded.target_names) == (fetched.data, fetched.ids, fetched.target_names)
    for objects, boxes, labels in zip(loaded.target, fetched.boxes, fetched.labels, strict=True):
        assert np.array_equal(objects.boxes, boxes) and objects.labels.tolist() == [
            fetched.target_names[k] for k in labels
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_photographs_of_voc_in_every_format(kind, data_home, tmp_path):
    loaded = load_voc(data_home / "voc2007", "test")
    again = by_format(kind, tmp_path / "set", loaded.data[:60], loaded.target[:60])
    assert again.target == (without_difficult(loaded.target[:60]) if kind == "yolo" else loaded.target[:60])


# COCO


def coco(tmp_path, **changes):
    """A JSON file of two images and two categories with gaps, its annotations counted from 0."""
    for name in ("1.jpg", "2.jpg"):
        picture(tmp_path / "val" / name)
    whole = {
        "images": [{"id": 9, "file_name": "1.jpg", "width": 60, "height": 40}, {"id": 4, "file_name": "2.jpg"}],
        "annotations": [
            {"id": 0, "image_id": 4, "category_id": 90, "bbox": [10, 5, 20, 30], "iscrowd": 0},
            {"id": 1, "image_id": 4, "category_id": 3, "bbox": [0, 0, 60, 40], "iscrowd": 1},
            {"id": 2, "image_id": 4, "category_id": 3, "bbox": [0, 0, 1.5, 2.5], "ignore": 1},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
    }
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({key: value for key, value in (whole | changes).items() if value is not None}))
    return path


def test_coco_with_gaps_crowds_and_numbers_from_zero(tmp_path):
    loaded = load_coco(coco(tmp_path), tmp_path / "val")
    boxes = [[10, 5, 30, 35], [0, 0, 60, 40], [0, 0, 1.5, 2.5]]
    expected = Objects(boxes, ["toothbrush", "car", "car"], difficult=[False, True, True])
    assert loaded.target == [Objects.none(), expected] and loaded.target_names == ["car", "toothbrush"]
    assert loaded.ids == [9, 4] and loaded.data == [os.fspath(tmp_path / "val" / name) for name in ("1.jpg", "2.jpg")]


def test_a_perfect_find_of_an_object_whose_annotation_is_number_0(tmp_path):
    """Number 0 stands for none in COCO's code, so that this very file gives it no hit."""
    pytest.importorskip("pycocotools")
    true = load_coco(coco(tmp_path), tmp_path / "val").target
    found = [Objects(one.boxes[~one.difficult], one.labels[~one.difficult], [0.5] * (len(one) > 0)) for one in true]
    for rule in ("voc2007", "voc2010", "coco"):
        assert average_precision(true, found, rule=rule)["toothbrush"] == pytest.approx(1)


def test_coco_reads_what_others_write_and_writes_what_others_read(photos, tmp_path):
    tool = pytest.importorskip("pycocotools.coco")
    found = [Objects(one.boxes, one.labels, np.full(len(one), 0.5)) for one in OBJECTS]
    path = save_coco(tmp_path / "objects.json", photos, found)
    theirs = tool.COCO(os.fspath(path))
    assert len(theirs.getAnnIds()) == 3 and theirs.getAnnIds(catIds=theirs.getCatIds(["dog"])) == [1]
    assert (
        theirs.imgs[2]["file_name"] == "b c.png"
        and theirs.anns[1]["bbox"] == [0, 0, 20, 40]
        and theirs.anns[1]["area"] == 800
    )


def test_boxes_of_coco_without_area_or_beyond_the_image(tmp_path):
    boxes = [[10, 5, 0, 30], [50, 30, 20, 30], [59.9999999, 0, 0.0000002, 40]]
    path = coco(tmp_path, annotations=[{"image_id": 9, "category_id": 3, "bbox": box} for box in boxes])
    with pytest.warns(
        UserWarning, match=r"(?s)objects.json: 1.jpg: 1 of 3 boxes reach.*1 of 3 boxes have no area"
    ) as told:
        target = load_coco(path, tmp_path / "val").target
    assert len(told) == 1 and target[0].boxes[0].tolist() == [50, 30, 60, 40] and len(target[0]) == 2


ONE = {"image_id": 9, "category_id": 3, "bbox": [0, 0, 5, 5]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "has no list of images: wanted is a JSON object with images, annotations, categories"),
        ({"categories": {}}, "has no list of categories"),
        ({"annotations": [{"image_id": 9, "category_id": 3}]}, "entry 0 of annotations has no 'bbox'"),
        ({"annotations": [ONE, 5]}, "entry 1 of annotations has no 'image_id'"),
        ({"annotations": [ONE | {"image_id": 5}]}, "annotation 0 speaks of image 5, which is not in the file"),
        ({"annotations": [ONE | {"category_id": "3"}]}, "annotation 0 speaks of category '3'"),
        ({"annotations": [ONE | {"image_id": [9]}]}, r"annotation 0 speaks of image \[9\], which is not in the file"),
        ({"annotations": [ONE | {"category_id": {}}]}, "annotation 0 speaks of category {}"),
        ({"annotations": [ONE | {"bbox": [0, 0, 5]}]}, r"1.jpg: a bbox must be \[left, top, width, height\]"),
        ({"annotations": [ONE | {"bbox": [0, 0, -5, 5]}]}, r"got \[0, 0, -5, 5\]"),
        ({"annotations": [ONE | {"bbox": [0, float("nan"), 5, 5]}]}, r"got \[0, nan, 5, 5\]"),
        ({"annotations": [ONE | {"bbox": [0, 10**400, 5, 5]}]}, "a bbox must be"),
        ({"annotations": [ONE | {"score": None}]}, "a score must be a finite number, got None"),
        ({"images": [{"id": 9, "file_name": "1.jpg"}] * 2}, "two entries for image 9"),
        ({"images": [{"id": None, "file_name": "1.jpg"}]}, "an image's id must be a number"),
        (
            {"images": [{"id": 9, "file_name": "7.jpg"}], "annotations": []},
            "1 of its 1 images are missing, the first is .*7.jpg",
        ),
        ({"categories": [{"id": 3, "name": "car"}, {"id": 4, "name": "car"}], "annotations": []}, "same name, 'car'"),
        ({"categories": [{"id": [], "name": "car"}]}, "a category's id must be a number"),
    ],
)
def test_a_broken_coco_file_says_what_is_wrong(tmp_path, changes, message):
    with pytest.raises(SpmError, match=f"(?s)objects.json.*{message}"):
        load_coco(coco(tmp_path, **changes), tmp_path / "val")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is no JSON: .*line 1"),
        (b"", "is no JSON"),
        (b"[]", "this is a list: results alone do not say"),
        (b"\xff", "is not a text in UTF-8"),
        (b"[" * 200_000, "is no JSON"),
        (b"[" + b"9" * 5000 + b"]", "is no JSON|this is a list"),  # Python refuses to read so long a number
    ],
)
def test_what_is_no_coco_file(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(SpmError, match=f"x.json.*{message}"):
        load_coco(tmp_path / "x.json")
    with pytest.raises(SpmError, match=r"missing.json: the file cannot be read: there is no such file"):
        load_coco(tmp_path / "missing.json")


def test_coco_with_numbers_and_texts_for_ids_and_sizes_that_are_none(tmp_path):
    changes = {
        "categories": [{"id": "a", "name": "van"}, {"id": 3, "name": "car"}],
        "images": [{"id": 9, "file_name": "1.jpg", "width": 10**400, "height": float("inf")}],
        "annotations": [ONE],
    }
    found = load_coco(coco(tmp_path, **changes), tmp_path / "val")
    assert found.target_names == ["car", "van"] and len(found.target[0]) == 1


def test_coco_wants_paths_in_one_folder(photos, tmp_path):
    with pytest.raises(SpmError, match="image 0 is of type ndarray: COCO's file names images, give their paths"):
        save_coco(tmp_path / "x.json", [np.zeros((4, 4))], [Objects.none()])
    with pytest.raises(SpmError, match="does not lie in"):
        save_coco(tmp_path / "x.json", photos, OBJECTS, folder=tmp_path / "else")
    loaded = load_coco(save_coco(tmp_path / "x.json", photos, OBJECTS, folder=tmp_path))
    assert loaded.target == OBJECTS and loaded.data[0] == os.fspath(photos[0]), "from the folder of the file itself"


# YOLO


def yolo(folder, label=None, *, yaml=None, classes="cat\ndog\n", place="images/train", name="1.jpg"):
    """A folder of one image; its label lies where YOLO looks for it."""
    picture(folder / place / name)
    if label is not None:
        lies = folder / place.replace("images", "labels") / name.replace(".jpg", ".txt")
        lies.parent.mkdir(parents=True, exist_ok=True)
        lies.write_text(label)
    (folder / "classes.txt" if yaml is None else folder / "data.yaml").write_text(classes if yaml is None else yaml)
    return folder


@pytest.mark.parametrize("place", ["images/train", "train/images", "images", "train", "."])
def test_folders_of_yolo(tmp_path, place):
    loaded = load_yolo(yolo(tmp_path, "1 0.25 0.5 0.5 1\n\n", place=place))
    assert loaded.target == [Objects([[0, 0, 30, 40]], ["dog"])] and loaded.target_names == ["cat", "dog"]
    assert loaded.split.tolist() == ["train"]


def test_a_folder_of_images_above_the_data_set_is_none_of_its(tmp_path):
    loaded = load_yolo(yolo(tmp_path / "images" / "cats", "1 0.25 0.5 0.5 1", place="train"))
    assert loaded.target == [Objects([[0, 0, 30, 40]], ["dog"])]


@pytest.mark.parametrize("label", [None, "", "\n  \n"])
def test_an_image_without_a_label_has_no_objects(tmp_path, label):
    assert load_yolo(yolo(tmp_path, label)).target == [Objects.none()]


@pytest.mark.parametrize(
    ("yaml", "place"),
    [
        ("train: images/train\nnames: [cat, dog]", "images/train"),
        ("path: .\ntrain:\n  - images/train\nnames:\n  0: cat\n  1: dog\n", "images/train"),
        ("path: /home/somebody/else\ntrain: images/train\nval:\nnames: ['cat', 'dog']\nnc: 2", "images/train"),
        ("train: ../train/images\nnames: [cat, dog]", "train/images"),  # as exporters write it
        ("train: list.txt\nnames: {1: dog, 0: cat}", "images/any"),
    ],
)
def test_spellings_of_data_yaml(tmp_path, yaml, place):
    pytest.importorskip("yaml")
    yolo(tmp_path, "1 0.25 0.5 0.5 1", yaml=yaml, place=place)
    (tmp_path / "list.txt").write_text("./images/any/1.jpg\n")
    for root in (tmp_path, tmp_path / "data.yaml"):
        loaded = load_yolo(root)
        assert loaded.target == [Objects([[0, 0, 30, 40]], ["dog"])] and loaded.target_names == ["cat", "dog"]


def test_splits_of_yolo(tmp_path):
    for split in ("train", "valid", "test"):
        yolo(tmp_path, "0 0.5 0.5 1 1", place=f"{split}/images", name=f"{split}.jpg")
    loaded = load_yolo(tmp_path)
    assert loaded.split.tolist() == ["train", "val", "test"] and len(load_yolo(tmp_path, "val").data) == 1
    with pytest.raises(SpmError, match="there is no split 'vall', there is 'train', 'val', 'test'; did you mean 'val'"):
        load_yolo(tmp_path, "vall")


@pytest.mark.parametrize(
    ("label", "box"),
    [
        ("0 0.25 0.25 0.75 0.25 0.5 1", [15, 10, 45, 40]),  # a triangle
        ("0 0.5 0 1 0.5 0.5 1 0 0.5", [0, 0, 60, 40]),  # a square on its corner, as rotated boxes are given
        ("0 .5 .5 .5 .5 0.9", [15, 10, 45, 30]),  # with a score
        ("0 5e-1 0.50000 +0.5 0.5", [15, 10, 45, 30]),
    ],
)
def test_polygons_and_further_columns(tmp_path, label, box):
    (objects,) = load_yolo(yolo(tmp_path, label)).target
    assert objects.boxes.tolist() == [box] and (objects.scores is not None) == (len(label.split()) == 6)


def test_scores_count_where_every_line_has_one(tmp_path):
    yolo(tmp_path, "0 .5 .5 .5 .5 0.9")
    assert load_yolo(yolo(tmp_path, "1 .5 .5 .5 .5", name="2.jpg")).target[0].scores is None


def test_key_points_behind_the_box(tmp_path):
    pytest.importorskip("yaml")
    text = "train: images/train\nnames: [cat, dog]\nkpt_shape: [2, 2]\n"
    assert load_yolo(yolo(tmp_path, "1 .5 .5 .5 .5 .1 .1 .9 .9", yaml=text)).target[0].boxes.tolist() == [
        [15, 10, 45, 30]
    ]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("0 0.5 0.5 1 1\ncat 0.5 0.5 1 1", "line 2: an object must be numbers, got 'cat 0.5 0.5 1 1'"),
        ("2 0.5 0.5 1 1", "line 1: class 2 is none of the 2 that have a name, 0 and up"),
        ("-1 0.5 0.5 1 1", "class -1 is none"),
        ("0.5 0.5 0.5 1 1", "class 0.5 is none"),
        ("0 0.5 0.5 1", "wanted are class, centre x and y, width and height, or a class and a polygon, got 4 numbers"),
        ("0 0.5 0.5 1 1 1 1 1", "got 8 numbers"),
        ("0 30 20 10 10", "coordinates must be parts of the image's width and height, 0 to 1, got 30"),
        ("0 0.5 0.5 -0.2 0.5", "0 to 1, got -0.2"),
        ("0 nan 0.5 1 1", "finite numbers"),
    ],
)
def test_a_broken_label_names_its_file_and_line(tmp_path, label, message):
    with pytest.raises(
        SpmError, match=rf"labels.train.1\.txt, line \d: .*{message.removeprefix('line 1: ').removeprefix('line 2: ')}"
    ):
        load_yolo(yolo(tmp_path, label))


def test_boxes_of_yolo_beyond_the_image(tmp_path):
    """What rounding has moved by less than half a pixel is nothing to speak of."""
    assert load_yolo(yolo(tmp_path, "0 0.5 0.5 1.001 1.001")).target[0].boxes.tolist() == [[0, 0, 60, 40]]
    with pytest.warns(
        UserWarning, match=r"(?s)labels.train.1\.txt: 1 of 2 boxes reach beyond.*1 of 2 boxes have no area"
    ):
        objects = load_yolo(yolo(tmp_path, "0 0.9 0.5 0.8 1\n0 0.5 0.5 0 1")).target[0]
    assert objects.boxes.tolist() == [[30, 0, 60, 40]]


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: images/train", "data.yaml has no names of classes: wanted is a line such as names"),
        ("names: [cat, cat]\ntrain: images/train", "two classes are called 'cat'"),
        ("names: {0: cat, 2: dog}\ntrain: images/train", r"names must count from 0 without gaps, got \[0, 2\]"),
        ("names: [cat]\ntrain: images/tarin", "train is images/tarin, and there is no such folder or list"),
        ("names: [cat]", "there are no images in it: it names no split"),
        ("a: [", "data.yaml is no YAML"),
        ("- a", "this is a list"),
        ("!!python/object/apply:os.getcwd []", "data.yaml is no YAML"),
    ],
)
def test_a_broken_data_yaml_says_what_is_wrong(tmp_path, yaml, message):
    pytest.importorskip("yaml")
    with pytest.raises(SpmError, match=f"(?s)data.yaml.*{message.removeprefix('data.yaml ')}"):
        load_yolo(yolo(tmp_path, yaml=yaml))


def test_what_is_no_folder_of_yolo(tmp_path):
    with pytest.raises(SpmError, match="there is no such folder"):
        load_yolo(tmp_path / "no")
    picture(tmp_path / "images" / "1.jpg")
    with pytest.raises(SpmError, match=r"there is neither data.yaml nor classes.txt"):
        load_yolo(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\n")
    os.remove(tmp_path / "images" / "1.jpg")
    with pytest.raises(SpmError, match="there are no images in it"):
        load_yolo(tmp_path)
    for name in ("data.yaml", "dataset.yaml"):
        (tmp_path / name).write_text("")
    with pytest.raises(SpmError, match=r"has data.yaml, dataset.yaml: give one of them"):
        load_yolo(tmp_path)


def test_difficult_objects_are_left_out_for_yolo(photos, tmp_path):
    pytest.importorskip("yaml")
    loaded = load_yolo(save_yolo(tmp_path / "set", photos, OBJECTS))
    assert [len(objects) for objects in loaded.target] == [1, 0, 1] and loaded.target[0].labels.tolist() == ["dog"]


def test_classes_of_a_further_split(photos, tmp_path):
    """They are those of data.yaml; with others, numbers would stand for other names."""
    pytest.importorskip("yaml")
    save_yolo(tmp_path / "set", photos, OBJECTS)
    save_yolo(tmp_path / "set", photos[2:], OBJECTS[2:], split="val")
    loaded = load_yolo(tmp_path / "set")
    assert loaded.target_names == ["cat", "dog"] and loaded.split.tolist() == ["train"] * 3 + ["val"]
    with pytest.raises(
        SpmError, match=r"data.yaml has the classes \['cat', 'dog'\], these images have \['dog', 'cat'\]"
    ):
        save_yolo(tmp_path / "set", photos[2:], OBJECTS[2:], split="test", target_names=["dog", "cat"])
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "data.yaml").write_text("path: /data\ntrain: images\nnames: [cat, dog]\n")
    with pytest.raises(SpmError, match="speaks of images in /data: save into a folder of its own"):
        save_yolo(tmp_path / "theirs", photos, OBJECTS)
    with pytest.raises(SpmError, match="no class is known: give target_names"):
        save_yolo(tmp_path / "none", photos[:1], [Objects.none()])
    with pytest.raises(SpmError, match="split='dev' is not an option"):
        save_yolo(tmp_path / "set", photos, OBJECTS, split="dev")


def test_without_pyyaml(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingDependencyError, match=r"YOLO's settings need yaml.*pip install pyyaml"):
        load_yolo(yolo(tmp_path, yaml="names: [cat]"))
    os.remove(tmp_path / "data.yaml")
    assert len(load_yolo(yolo(tmp_path)).data) == 1, "lists of names need it not"
