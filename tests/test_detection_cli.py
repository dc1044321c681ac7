"""``spm detect``: learned, used and measured on tiny data as its users run it; what it refuses; the page about it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from test_detection_detectors import scenes
from test_report import check

import spm
from spm import cli
from spm.detection import (
    Objects,
    average_precision,
    confusion_table,
    load_objects,
    load_voc,
    save_coco,
    save_voc,
    save_yolo,
)
from spm.detection.metrics.matching import best_finds
from spm.errors import ImageError, SpmError
from spm.evaluation.detection import find_objects

TINY = ("--proposals", "windows", "--jobs", 1, "--set", "C=0.1")
WORDS = (*TINY, "--set", "vectorizer__encoder__n_words=8", "--set", "proposals__max_boxes=400")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The same images in each of the formats: voc/ with trainval and test, yolo/, coco.json."""
    place = tmp_path_factory.mktemp("detect")
    X, Y = scenes(4)
    tests, truth = scenes(2, first=100)
    paths = []
    for i, image in enumerate(tests):
        paths.append(place / f"t{i}.png")
        Image.fromarray(image).save(paths[-1])
    save_voc(place / "voc", X, Y, split="trainval")
    save_voc(place / "voc", paths, truth, split="test")
    save_yolo(place / "yolo", paths, truth, split="val")
    save_coco(place / "coco.json", paths, truth)
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return place


def spm_(*arguments, cwd):
    """Run a command as its users do."""
    command = [sys.executable, "-m", "spm", "detect", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def model(place):
    status, out, err = spm_("train", "voc", "-o", "m.spm", *WORDS, cwd=place)
    n = sum(map(len, load_voc(place / "voc", "trainval").target))
    assert (status, err) == (0, "")
    assert out == f"m.spm: 2 classes from {n} objects of 4 images (VOC, trainval)\n"
    return place / "m.spm"


@pytest.fixture
def run(capsys, monkeypatch, place):
    monkeypatch.chdir(place)

    def run(*arguments):
        capsys.readouterr()
        try:
            status = cli.main(["detect", *map(str, arguments)])
        except SystemExit as stopped:
            status = stopped.code
        return (status, *capsys.readouterr())

    return run


# Help and usage


@pytest.mark.parametrize("name", ["train", "predict", "evaluate"])
def test_help_explains_every_argument(run, name):
    status, out, err = run(name, "--help")
    assert (status, err) == (0, "")
    arguments = re.search(r"positional arguments:\n(.*?)\n\n", out, re.DOTALL)[1] + out.partition("options:\n")[2]
    entries = re.split(r"\n  (?=\S)", "\n" + arguments.replace("\n\n", "\n"))[1:]
    assert len(entries) >= 6
    assert [entry for entry in entries if len(re.split(r"\s{2,}", entry.strip(), maxsplit=1)) != 2] == []
    assert name in run("--help")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["trian"], "did you mean train?"),
        (["predict", "m.spm", "t0.png", "--mots", "3"], "usage: spm detect predict"),
        (["predict", "m.spm", "t0.png", "--mots", "3"], "--mots 3: did you mean --most?"),
        (["train", "voc"], "-o"),
        (["train", "voc", "-o", "x.spm", "--proposals", "boxes"], "edge-boxes"),
        (["train", "voc", "-o", "x.spm", "--scales", "480,x"], "'480,x' is not a list of sizes"),
        (["predict", "m.spm"], "IMAGE"),
        (["predict", "m.spm", "t0.png", "--most", "0"], "'0' is not a number of objects"),
        (["evaluate", "m.spm", "voc", "--rule", "voc2008"], "voc2010"),
        (["evaluate", "m.spm", "voc", "--iou", "2"], "'2' is neither a number from 0 to 1 nor 0.50:0.95"),
    ],
)
def test_wrong_usage_exits_with_2(run, arguments, message):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "") and message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none: there is no such folder or file; wanted is a folder of VOC's layout"),
        ([".", "--images", "voc"], r"is none of the data sets|knows where its images lie"),
        (["voc", "--split", "tests"], "there is no split 'tests'.*did you mean 'test'"),
        (["voc", "--images", "."], "a folder of VOC's layout knows where its images lie"),
        (["coco.json", "--split", "train"], "a JSON file has no splits"),
        (["voc", "--scales", "100"], "--scales: the preset words has no such option"),
        (["voc", "--preset", "spp"], "preset='spp' is not an option: choose one of 'words'"),
        (["voc", "--set", "positiv_weight=3"], "did you mean positive_weight"),
        (["voc", "--set", "C=-1"], "C must be a finite number above 0"),
        (["voc", "--model", "none.onnx", "--memory", "memory"], "none.onnx"),
        (["voc", "-o", "none/x.spm"], "there is no such folder to save the model in"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(run, arguments, message):
    status, out, err = run("train", "-o", "x.spm", *arguments)
    assert (status, out) == (1, "") and re.search(message, err) and err.count("\n") == 1
    assert not os.path.exists("x.spm")


# Train


def test_a_network_and_scales(run, place, tmp_path):
    pytest.importorskip("onnxruntime")
    from spm._tools.files import read_shipped

    network = tmp_path / "net.onnx"
    network.write_bytes(read_shipped("texture_net.onnx"))
    options = ("--model", network, "--preprocess", "tf", "--scales", "120,160", "--set", "levels=1,2")
    path = tmp_path / "m.spm"
    assert run("train", "voc", "-o", path, *TINY, *options)[0] == 0
    made = spm.load(path)
    assert made.scales == (120, 160) and made.vectorizer.pyramid.levels == (1, 2)
    crops = (*options[:4], "--preset", "rcnn2014", "--set", "proposals__max_boxes=20", "--set", "crop_size=40")
    assert run("train", "voc", "-o", path, *TINY, *crops)[0] == 0
    assert type(spm.load(path)).__name__ == "CropDetector"
    assert run("train", "voc", "-o", path, *TINY, *crops, "--scales", "100")[0] == 1


def test_one_seed_is_one_detector_and_memory_changes_nothing(run, model, tmp_path):
    for options in ((), ("--memory", tmp_path / "memory"), ("--memory", tmp_path / "memory")):
        assert run("train", "voc", "-o", tmp_path / "m.spm", *WORDS, *options)[0] == 0
        assert np.array_equal(spm.load(tmp_path / "m.spm").coef_, spm.load(model).coef_)
    assert list((tmp_path / "memory").rglob("*.npz"))


def test_what_is_proposed_is_kept_for_whoever_looks_again(run, model, tmp_path):
    kept = tmp_path / "kept"
    found, files = [], []
    for options in ((), ("--memory", kept), ("--memory", kept)):
        told = json.loads(run("evaluate", model, "voc", "--json", *options)[1])
        found.append({key: value for key, value in told.items() if key != "seconds"})
        files.append(sorted((path, path.stat().st_mtime_ns) for path in kept.rglob("*") if path.is_file()))
    assert found[0] == found[1] == found[2]
    assert len(files[0]) == 0 and len(files[1]) >= 2 and files[1] == files[2]  # of two images, made once
    assert run("predict", model, "t0.png", "--memory", kept) == run("predict", model, "t0.png")


def test_a_broken_image_stops_a_training_or_is_left_out(run, place, tmp_path):
    X, Y = scenes(4)
    save_voc(tmp_path / "voc", X, Y, split="train")
    (tmp_path / "voc" / "JPEGImages" / "000002.png").write_bytes(b"no image")
    status, out, err = run("train", tmp_path / "voc", "-o", tmp_path / "m.spm", *WORDS)
    assert (status, out) == (1, "") and "000002.png" in err and "(--on-error skip leaves such images out)" in err
    status, out, err = run("train", tmp_path / "voc", "-o", tmp_path / "m.spm", *WORDS, "--on-error", "skip")
    assert status == 0 and out.endswith("of 3 images (VOC, train), 1 skipped\n") and "skipped" in err


def test_boxes_without_any_object_are_refused(run, tmp_path):
    save_voc(tmp_path / "voc", scenes(1)[0], [Objects.none()], split="train")
    status, out, err = run("train", tmp_path / "voc", "-o", tmp_path / "m.spm", *WORDS)
    assert (status, out) == (1, "") and "object" in err


# Predict


def test_predict_prints_a_table(run, model, place):
    status, out, err = run("predict", model, "t0.png", "broken.jpg", "none.jpg", "t1.png", "--most", 3)
    lines = out.splitlines()
    assert status == 0 and lines[0].split() == ["file", "label", "score", "x0", "y0", "x1", "y1"]
    found = spm.load(model).predict([str(place / "t0.png")])[0][:3]
    for line, label, score, box in zip(lines[1:4], found.labels, found.scores, found.boxes, strict=True):
        assert line.split() == ["t0.png", label, f"{score:.3f}", *(f"{edge:.1f}" for edge in box)]
    assert re.match(r"broken\.jpg  \S", lines[4]) and re.fullmatch(r"none\.jpg +there is no such file *", lines[5])
    assert len(lines) == 9 and err.count("spm: skipped") == 2


def test_predict_prints_json_and_nothing_else(run, model, place):
    image = str(place / "t0.png")
    least = spm.load(model).predict([image])[0].scores[2] - 1e-3
    status, out, _ = run("predict", model, "t0.png", "none.jpg", "--json", "--least-score", least)
    document = json.loads(out)
    found = spm.load(model).set_params(least_score=least).predict([image])[0][:10]
    assert status == 0 and document["skipped"] == {"none.jpg": "there is no such file"}
    listed = document["objects"]["t0.png"]
    assert [one["label"] for one in listed] == found.labels.tolist() and list(document["objects"]) == ["t0.png"]
    assert np.allclose([one["box"] for one in listed], found.boxes) and min(one["score"] for one in listed) > least


def test_nothing_found_is_said(run, model):
    status, out, _ = run("predict", model, "t0.png", "--least-score", 100)
    assert status == 0 and out.splitlines()[1].split() == ["t0.png", "nothing"]


def test_predict_stops_where_it_is_told_to_and_where_nothing_is_left(run, model):
    status, out, err = run("predict", model, "none.jpg", "t0.png", "--on-error", "raise")
    assert (status, out) == (1, "") and "none.jpg: there is no such file" in err
    status, out, err = run("predict", model, "none.jpg", "broken.jpg")
    assert status == 1 and "none of the 2 images can be used" in err


def test_drawings_are_whole_and_lie_on_no_photograph(run, model, place, tmp_path):
    folder = tmp_path / "drawn"
    assert run("predict", model, "t0.png", "broken.jpg", "t1.png", "--draw", folder)[0] == 0
    assert sorted(os.listdir(folder)) == ["t0.jpg", "t1.jpg"]
    drawn = np.asarray(Image.open(folder / "t0.jpg").convert("RGB"), float)
    plain = np.asarray(Image.open(place / "t0.png").convert("RGB"), float)
    assert drawn.shape == plain.shape and np.abs(drawn - plain).max() > 60
    before = (folder / "t0.jpg").read_bytes()
    status, _, err = run("predict", model, folder / "t0.jpg", "--draw", folder)
    assert status == 1 and "is one of the photographs" in err and (folder / "t0.jpg").read_bytes() == before
    Image.fromarray(np.uint8(plain)).save(tmp_path / "t0.png")
    status, _, err = run("predict", model, "t0.png", tmp_path / "t0.png", "--draw", folder)
    assert status == 1 and "draw them one by one" in err
    assert run("predict", model, "t0.png", "--draw", tmp_path / "none" / "deeper")[0] == 1


def test_a_model_that_finds_no_objects_is_named(run, tmp_path):
    scenes_ = spm.datasets.make_layouts(2, size=48, n_classes=2)
    path = spm.save(spm.presets.lazebnik2006(n_words=4, levels=(1,)).fit(scenes_.data, scenes_.target), tmp_path / "s")
    status, _, err = run("predict", path, "t0.png")
    assert status == 1 and "holds a Pipeline, which is no detector: spm predict takes it" in err
    assert run("evaluate", "none.spm", "voc")[0] == 1


# Evaluate


def test_evaluate_prints_the_figures_of_the_library(run, model, place):
    data = load_voc(place / "voc", "test")
    found = spm.load(model).predict(data.data)
    expected = average_precision(data.target, found)
    status, out, err = run("evaluate", model, "voc", "--jobs", 1)
    assert (status, err) == (0, "")
    assert out.startswith(f"{100 * expected.mean:.1f} % mean average precision (2 images, VOC, test, ")
    assert str(expected) in out and str(confusion_table(data.target, best_finds(data.target, found))) in out
    document = json.loads(run("evaluate", model, "voc", "--json")[1])
    assert document["mean"] == pytest.approx(expected.mean) and document["skipped"] == {}
    assert document["by_class"] == pytest.approx(expected.by_class) and document["n_images"] == 2
    assert document["n_objects"] == expected.n_objects and document["errors"]["dots"]["objects"] >= 0


def test_all_formats_say_the_same(run, model):
    means = [json.loads(run("evaluate", model, data, "--json")[1]) for data in ("voc", "yolo", "coco.json")]
    assert len({one["mean"] for one in means}) == 1
    assert [one["data"] for one in means] == ["VOC, test", "YOLO, val", "COCO, all"]


def test_rules_and_overlaps(run, model, place):
    pytest.importorskip("pycocotools")
    data = load_voc(place / "voc", "test")
    found = spm.load(model).predict(data.data)
    for rule, iou in (("voc2010", "0.3"), ("coco", "0.50:0.95")):
        document = json.loads(run("evaluate", model, "voc", "--rule", rule, "--iou", iou, "--json")[1])
        value = iou if ":" in iou else float(iou)
        assert document["mean"] == pytest.approx(average_precision(data.target, found, rule=rule, iou=value).mean)


def test_evaluate_leaves_bad_images_out_where_told(run, model, tmp_path):
    X, Y = scenes(2, first=100)
    save_voc(tmp_path / "voc", X, Y, split="test")
    (tmp_path / "voc" / "JPEGImages" / "000001.png").write_bytes(b"no image")
    assert run("evaluate", model, tmp_path / "voc")[0] == 1
    document = json.loads(run("evaluate", model, tmp_path / "voc", "--on-error", "skip", "--json")[1])
    assert document["n_images"] == 1 and len(document["skipped"]) == 1


# What the commands stand on


def test_data_sets_are_told_apart(place, tmp_path):
    assert load_objects(place / "voc").part == "all" and len(load_objects(place / "voc").data) == 6
    assert load_objects(place / "voc", split=("val", "test")).part == "test"
    assert load_objects(place / "yolo" / "data.yaml").format == "YOLO"
    assert load_objects(place / "coco.json", split=("train",), images=place).format == "COCO"
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(SpmError, match=r"none of the data sets that can be read.*it has a\.json: give that file"):
        load_objects(tmp_path)


def test_found_objects_one_by_one(model, place):
    images, told = [str(place / "t0.png"), str(place / "broken.jpg")], []
    found = find_objects(
        spm.load(model), images, on_error="skip", most=1, on_image=lambda i, one: told.append((i, type(one)))
    )
    assert told == [(0, Objects), (1, ImageError)] and found.used == [0] and len(found.objects[0]) == 1
    with pytest.raises(ImageError, match="broken"):
        find_objects(spm.load(model), images)


# The page


@pytest.fixture(scope="module")
def page(model, place):
    pytest.importorskip("matplotlib")
    status, _, err = spm_("evaluate", "m.spm", "voc", "--report", "page.html", cwd=place)
    assert (status, err) == (0, "")
    return place / "page.html"


def test_the_page_holds_all_that_it_needs(page, model, place):
    text = page.read_text(encoding="utf-8")
    read = check(text)
    titles = ["Detection in voc, test", "Classes", "What goes wrong", "What is taken for what", "Missed objects"]
    assert [title for title in titles if title not in read.texts] == [] and len(text) < 3e6
    data = load_voc(place / "voc", "test")
    found = spm.load(model).predict(data.data)
    expected = average_precision(data.target, found)
    assert f"{100 * expected.mean:.1f} %" in read.texts
    for label, ap in expected.by_class.items():
        assert [label, f"{100 * ap:.1f}", str(expected.n_objects[label])] in read.rows
    assert "spm detect evaluate m.spm voc --report page.html" in read.texts
    assert any(alt.startswith("drawn over the photograph: t") for alt in read.all("img", "alt"))


def test_its_pictures_are_of_the_right_finds():
    pytest.importorskip("matplotlib")
    image = np.full((60, 80, 3), 90, np.uint8)
    true = Objects([[5, 5, 40, 40], [50, 10, 70, 30]], ["<dog>", "cat"])
    found = Objects([[5, 5, 40, 42], [0, 40, 30, 60], [5, 5, 38, 40]], ["<dog>"] * 3, [0.9, 0.8, 0.7])
    text = spm.report.detection_page([image], [true], [found], iou="0.50:0.95", rule="voc2010", title="T")
    read = check(text)
    assert "<dog>" not in text and "over overlaps of 0.5 to 0.95" in text
    captions = [t for t, kind in zip(read.texts, read.within, strict=True) if kind == "figcaption"]
    assert "image 0: <dog>, score 0.90, overlap 0.95" in captions and "image 0: cat" in captions
    assert "image 0: <dog>, score 0.80, on background" in captions
    assert "image 0: <dog>, score 0.70, a second find of the same object" in captions
    nothing = check(spm.report.detection_page(["gone.png"], [true], [Objects.none(scored=True)]))
    assert nothing.texts.count("There are none.") == 2 and "The image can no longer be read." in nothing.texts
    with pytest.raises(SpmError, match="one Objects for each of the 2 images"):
        spm.report.detection_page([image, image], [true], [found])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_in_a_browser(browser, page, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 720}, color_scheme=scheme)
    shown, events, requests = context.new_page(), [], []
    for event in ("console", "pageerror", "dialog"):
        shown.on(event, lambda told: events.append(told))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(page.as_uri())
    assert events == [] and [url for url in requests if not url.startswith("data:")] == [page.as_uri()]
    assert shown.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    assert shown.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
    context.close()
