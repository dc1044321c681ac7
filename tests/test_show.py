"""The page that can be touched: it holds what the model's parts say, and answers to the pointer and the keys."""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import spm
from spm import SpmError, cli, presets, report
from spm.errors import MissingDependencyError
from spm.evidence import votes
from spm.plots._axes import rectangles_of
from spm.report._roads import LONGEST, N_PATCHES, TILE
from spm.report._touch import SCRIPT

NAMES = ("</script><b>", "a\"b'&", "$x^{$")  # of classes


@pytest.fixture(scope="module")
def scenes():
    scenes = spm.datasets.make_layouts(6, size=96, n_classes=3)
    return scenes.data, np.array(NAMES)[scenes.target]


def words(n_words=8):
    return presets.lazebnik2006(n_words=n_words, random_state=0)


@pytest.fixture(scope="module")
def both(scenes):
    """Both roads in one model."""
    pytest.importorskip("onnxruntime")
    roads = [("words", words()[0]), ("maps", presets.spp2014(levels=(1, 3), random_state=0)[0])]
    model = make_pipeline(
        spm.KernelSum(roads, kernels=["intersection", "linear"]), spm.KernelSVC(kernel="precomputed", C=10)
    )
    return model.fit(*scenes)


def told(text):
    """Return what a page tells its script, after what every such page must hold to."""
    assert text.startswith("<!DOCTYPE html>") and text.count("<script") == 2 == text.count("</script>")
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert policy.replace("'", "&#x27;") in text and "://" not in text
    assert not re.search(r"\son\w+=|href=|<link|@import", text)
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1])


def picture(source):
    kind, content = re.fullmatch(r"data:image/(\w+);base64,(.*)", source).groups()
    return kind, Image.open(io.BytesIO(base64.b64decode(content)))


# What the page is told


def test_values_are_those_of_the_vector(scenes):
    model = words().fit(*scenes)
    (road,) = told(report.show_page(scenes[0][0], model))["roads"]
    vector = model[0].transform(scenes[0][:1])[0].reshape(21, 8)
    columns = [int(name.removeprefix("word ")) for name in road["names"]]
    assert sorted(columns) == list(range(8)) and not road["hidden"]
    np.testing.assert_allclose(road["values"], vector[:, columns], rtol=1e-3)
    assert (np.diff(np.sum(road["values"], axis=0)) <= 1e-4).all(), "the largest first"
    assert road["levels"] == [[1, 1, 0.25], [2, 2, 0.25], [4, 4, 0.5]] and road["region"] == [0, 0, 1, 1]
    local, codes = model[0].encode(scenes[0][0])[0]
    assert road["counts"] == [int((codes.words == k).sum()) for k in columns] and sum(road["counts"]) == len(local)


def test_votes_are_those_of_the_evidence_and_add_up(scenes, both):
    image = scenes[0][7]
    page = told(report.show_page(image, both, n_units=16))
    scores = both.decision_function([image])[0]
    assert [label["name"] for label in page["labels"]] == [both.classes_[k] for k in np.argsort(-scores)]
    assert [road["title"] for road in page["roads"]] == ["words", "maps"]
    for k, label in enumerate(page["labels"]):
        found = votes(both, image, label["name"])
        total = label["intercept"] + sum(sum(road["sums"][k]) for road in page["roads"])
        assert total == pytest.approx(label["score"], abs=2e-3) == pytest.approx(found.score, abs=2e-3)
        for road, layer in zip(page["roads"], found.layers, strict=True):
            columns = [int(re.search(r"\d+", name)[0]) for name in road["names"]]
            np.testing.assert_allclose(road["votes"][k], layer.values[:, columns], rtol=1e-3, atol=1e-9)
            np.testing.assert_allclose(road["sums"][k], layer.values.sum(axis=1), rtol=1e-3, atol=1e-9)


def test_of_many_channels_the_largest_and_those_that_vote_most_are_there(scenes, both):
    image = scenes[0][7]
    road = told(report.show_page(image, both, n_units=8))["roads"][1]
    assert len(road["names"]) == 8 and road["hidden"]
    columns = {int(name.removeprefix("channel ")) for name in road["names"]}
    values = np.abs(both[0].vectorizers_[1].transform([image])[0]).reshape(10, -1).sum(axis=0)
    assert set(np.argsort(-values)[:6]) <= columns
    weight = np.max([np.abs(votes(both, image, c).layers[1].values).sum(axis=0) for c in both.classes_], axis=0)
    others = [k for k in np.argsort(-weight) if k not in set(np.argsort(-values)[:6])]
    assert columns == {*np.argsort(-values)[:6], *others[:2]}


def test_a_word_is_light_where_its_patches_lie(scenes):
    model = words().fit(*scenes)
    image = scenes[0][0]
    (road,) = told(report.show_page(image, model))["roads"]
    local, codes = model[0].encode(image)[0]
    for name, place in zip(road["names"], road["places"], strict=True):
        light = np.zeros(image.shape[:2], bool)
        own = codes.words[:, 0] == int(name.removeprefix("word "))
        for x0, y0, x1, y1 in np.rint(rectangles_of(local)[own]).astype(int).clip(0).tolist():
            light[y0:y1, x0:x1] = True
        kind, drawn = picture(place)
        assert (kind, drawn.mode, drawn.size) == ("png", "LA", (96, 96))
        assert ((np.asarray(drawn)[:, :, 1] == 0) == light).all()


def test_patches_are_cut_from_the_photograph(scenes):
    model = words().fit(*scenes)
    (road,) = told(report.show_page(scenes[0][0], model))["roads"]
    _, sheet = picture(road["patches"])
    assert sheet.size == (N_PATCHES * TILE, len(road["names"]) * TILE) and road["tiles"] == N_PATCHES
    assert all(0 < found <= N_PATCHES for found in road["found"])
    local, codes = model[0].encode(scenes[0][0])[0]
    unit = int(road["names"][0].removeprefix("word "))
    own = np.flatnonzero(codes.words[:, 0] == unit)
    apart = np.square(local.values[own].astype(float) - model[0].encoder_.words_[unit]).sum(axis=1)
    x, y = np.rint(local.extents[own[apart.argmin()], :2]).astype(int) - 8
    patch = Image.fromarray(scenes[0][0][y : y + 16, x : x + 16]).resize((TILE, TILE), Image.Resampling.BICUBIC)
    first, patch = (np.asarray(p, float).mean(axis=2).ravel() for p in (sheet.crop((0, 0, TILE, TILE)), patch))
    assert np.corrcoef(first, patch)[0, 1] > 0.95  # more contrast, a JPEG


@pytest.mark.parametrize("name", ["phow2008", "llc2010", "scspm2009", "vlad2010", "fisher2010"])
def test_every_encoder_can_be_touched(name, scenes):
    model = getattr(presets, name)(n_words=16, random_state=0).fit(*scenes)
    page = told(report.show_page(scenes[0][0], model))
    for k, label in enumerate(page["labels"]):
        assert label["intercept"] + sum(page["roads"][0]["sums"][k]) == pytest.approx(label["score"], abs=2e-3)
    assert set(page["roads"][0]["names"]) <= {f"word {k}" for k in range(16)}
    if name in ("vlad2010", "fisher2010"):  # a word has many values: their length is shown
        channels = model[0].layers_[0].channel_names()
        cells = model[0].transform(scenes[0][:1])[0].reshape(-1, len(channels))
        own = [bool(re.match(page["roads"][0]["names"][0].replace(" ", "") + "_", text)) for text in channels]
        lengths = np.linalg.norm(cells[:, own].astype(float), axis=1)
        np.testing.assert_allclose(np.array(page["roads"][0]["values"])[:, 0], lengths, rtol=1e-3)


def test_without_a_model_both_roads_are_learned_from_the_photograph():
    pytest.importorskip("onnxruntime")
    image = np.random.default_rng(0).integers(0, 256, (90, 1200, 3), dtype=np.uint8)
    text = report.show_page(image)
    page = told(text)
    assert page["labels"] == [] and [road["title"] for road in page["roads"]] == ["Words", "Maps"]
    assert "learned from this photograph alone" in text
    assert max(picture(page["photograph"])[1].size) == LONGEST == picture(page["roads"][0]["places"][0])[1].size[0]


def test_without_onnxruntime_words_are_shown_alone(scenes, monkeypatch):
    def missing(**options):
        raise MissingDependencyError("onnxruntime is missing")

    monkeypatch.setattr("spm.report._show.spp2014", missing)
    assert [road["title"] for road in told(report.show_page(scenes[0][0]))["roads"]] == ["Words"]


def test_without_votes_there_are_cells_and_words(scenes):
    model = words().fit(*scenes)
    assert "has no classifier" in report.show_page(scenes[0][0], model[0])
    text = report.show_page(scenes[0][0], make_pipeline(words()[0], SVC()).fit(*scenes))
    assert "SVC does not decide by a sum" in text and told(text)["labels"] == [] and told(text)["roads"]


def test_of_many_classes_the_likeliest_are_there(scenes):
    images = [*scenes[0], *(255 - image for image in scenes[0])] * 2
    labels = np.arange(len(images)) % 24
    model = words().fit(images, labels)
    text = report.show_page(images[0], model)
    shown, scores = told(text)["labels"], model.decision_function(images[:1])[0]
    assert [label["score"] for label in shown] == pytest.approx(np.sort(scores)[:3:-1], abs=1e-3)
    assert [label["score"] for label in shown] == pytest.approx([scores[int(x["name"])] for x in shown], abs=1e-3)
    assert "The 20 of 24 classes" in text


def test_what_cannot_be_shown_is_refused(scenes, tmp_path):
    with pytest.raises(SpmError, match="needs a PyramidVectorizer, a KernelSum or a Pipeline"):
        report.show_page(scenes[0][0], SVC())
    with pytest.raises(SpmError, match="not fitted"):
        report.show_page(scenes[0][0], words())
    with pytest.raises(SpmError, match="too small or too plain to learn words from"):
        report.show_page(np.full((64, 64), 128, np.uint8))
    with pytest.raises(SpmError, match="n_units must be"):
        report.show_page(scenes[0][0], n_units=0)
    with pytest.raises(spm.ImageError, match=r"none\.jpg"):
        report.show_page(tmp_path / "none.jpg")


# The command


def test_the_command_writes_the_page(scenes, both, tmp_path):
    Image.fromarray(scenes[0][0]).save(tmp_path / "a<b>.png")
    spm.save(both, tmp_path / "m.spm")
    command = [sys.executable, "-m", "spm", "show", "a<b>.png", "--model", "m.spm", "-o", "page.html"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "page.html: open it in a browser\n", "")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text == report.show_page(tmp_path / "a<b>.png", tmp_path / "m.spm")
    assert "<h1>a&lt;b&gt;.png</h1>" in text and told(text)["labels"]


def test_the_command_refuses_before_the_work(scenes, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "show_page", lambda *_: pytest.fail("worked"))
    assert cli.main(["show", "a.png", "-o", str(tmp_path / "none" / "page.html")]) == 1
    assert "there is no such folder to write the page in" in capsys.readouterr().err
    assert cli.main(["show", "a.png", "-o", str(tmp_path)]) == 1
    assert "is a folder: give the name of a file" in capsys.readouterr().err


def test_the_command_names_no_option_that_it_has_not(tmp_path, capsys):
    assert cli.main(["show", str(tmp_path / "none.jpg"), "-o", str(tmp_path / "page.html")]) == 1
    err = capsys.readouterr().err
    assert "none.jpg: there is no such file" in err and "--on-error" not in err


# In a browser


@pytest.fixture(scope="module")
def files(scenes, both, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    pages = {"both": report.show_page(scenes[0][0], both), "own": report.show_page(scenes[0][0][:, :80])}
    pages["words"] = report.show_page(scenes[0][0], words().fit(*scenes))
    return {name: report.write_page(folder / f"{name}.html", text) for name, text in pages.items()}


@pytest.fixture
def opened(browser, files):
    """Open a page; at the end nothing has gone wrong in it, and nothing was asked of any network."""
    contexts, events, requests = [], [], []

    def open_page(name, width=1280, height=720, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        for event in ("console", "pageerror", "dialog"):
            page.on(event, lambda told: events.append(told))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(files[name].as_uri())
        return page

    yield open_page
    assert events == [] and [url for url in requests if not url.startswith(("data:", "file:"))] == []
    assert sum(url.startswith("file:") for url in requests) == len(contexts)
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["both", "words", "own"])
def test_it_fits_a_lecture_hall_and_a_telephone(opened, name, scheme):
    page = opened(name, scheme=scheme)
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert page.evaluate(size) == [1280, 720], "nothing needs to be scrolled"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    smallest = "Math.min(...[...document.querySelectorAll('p, h1, h2, .row button')]"
    smallest += ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    assert page.evaluate(smallest) >= 14
    assert page.evaluate("[...document.images].every(image => image.naturalWidth)")
    roads = page.evaluate("[...document.querySelectorAll('.road')].map(road => road.getBoundingClientRect().top)")
    assert len(roads) == (1 if name == "words" else 2) and len(set(roads)) == 1, "side by side"
    for road in page.locator(".road").all():
        stage, beside = (road.locator(part).bounding_box() for part in (".stage", ".word"))
        assert 0 < beside["x"] - stage["x"] - stage["width"] < 20, "no gap beside the photograph"
    narrow = opened(name, width=320, height=700, scheme=scheme)
    assert narrow.evaluate("document.documentElement.scrollWidth") == 320


def heights(road):
    return road.evaluate("road => [...road.querySelectorAll('.bars i')].map(bar => parseFloat(bar.style.height))")


def test_the_pointer_on_a_cell_shows_its_histogram(opened, files):
    page = opened("words")
    (told_road,) = told(files["words"].read_text(encoding="utf-8"))["roads"]
    road = page.locator(".road")
    page.get_by_role("button", name="4 × 4").click()
    assert road.locator(".cells button").count() == 16
    level = np.array(told_road["values"][5:])
    for cell in (6, 9):
        road.locator(".cells button").nth(cell).hover()
        np.testing.assert_allclose(heights(road), 100 * level[cell] / level.max(), rtol=1e-3, atol=1e-3)
        assert f"Row {cell // 4 + 1}, column {cell % 4 + 1} of 4 × 4" in road.locator(".told").inner_text()
    road.locator(".cells button").nth(9).click()  # held: the way to the histogram leads over other cells
    road.locator(".cells button").nth(13).hover()
    assert "Row 3, column 2" in road.locator(".told").inner_text()
    page.keyboard.press("Escape")
    road.locator(".cells button").nth(2).hover()
    assert "Row 1, column 3" in road.locator(".told").inner_text()


def test_the_pointer_on_a_word_shows_where_it_lies_and_its_patches(opened, files):
    page = opened("words")
    (told_road,) = told(files["words"].read_text(encoding="utf-8"))["roads"]
    road, light = page.locator(".road"), page.locator(".light")
    assert light.evaluate("light => light.style.backgroundImage") == ""
    for unit in (0, 5):
        road.locator(".bars button").nth(unit).hover()
        source = light.evaluate("light => light.style.backgroundImage")
        assert source == f'url("{told_road["places"][unit]}")'
        name, count = told_road["names"][unit], told_road["counts"][unit]
        assert f"{name}: {count} patch" in road.locator(".word p").inner_text()
        assert road.locator(".patches b:visible").count() == told_road["found"][unit]
        row = road.locator(".patches b").nth(1).evaluate("patch => patch.style.backgroundPositionY")
        assert float(row.rstrip("%")) == pytest.approx(100 * unit / (len(told_road["names"]) - 1), abs=0.01)
    page.mouse.move(2, 2)
    assert light.evaluate("light => light.style.backgroundImage") == ""


def test_the_pointer_on_a_class_shows_what_votes_for_it(opened, files):
    page = opened("both")
    data = told(files["both"].read_text(encoding="utf-8"))
    chips = page.locator(".classes button")
    assert [text.rpartition(" ")[0] for text in chips.all_inner_texts()] == [x["name"] for x in data["labels"]]
    before = [heights(road) for road in page.locator(".road").all()]
    chips.nth(1).hover()
    told_sum = page.locator(".sum").inner_text().replace("−", "-")
    score, intercept, *roads = map(float, re.findall(r"(?<=\s)[+-]?\d[\d.]*(?=\s|$)", told_sum))
    label = data["labels"][1]
    assert told_sum.startswith(label["name"]) and score == pytest.approx(label["score"], abs=0.006)
    assert intercept + sum(roads) == pytest.approx(score, abs=0.03) and len(roads) == 2
    for told_road, road, old in zip(data["roads"], page.locator(".road").all(), before, strict=True):
        levels = [text.replace("−", "-").split()[-1] for text in road.locator(".levels button").all_inner_texts()]
        cells = np.split(told_road["sums"][1], np.cumsum([rows * columns for rows, columns, _ in told_road["levels"]]))
        assert [float(x) for x in levels] == pytest.approx([sum(level) for level in cells[:-1]], abs=0.006)
        shown = [float(text.replace("−", "-")) for text in road.locator(".cells button").all_inner_texts()]
        assert shown == pytest.approx(cells[1].tolist(), abs=0.006)
        assert heights(road) != old
    tops = [road.locator(".stage").bounding_box()["y"] for road in page.locator(".road").all()]
    assert tops[0] == tops[1], "the photographs lie at one height, also with votes on the levels' buttons"
    page.mouse.move(2, 300)
    assert [heights(road) for road in page.locator(".road").all()] == before


def test_it_answers_to_keys_alone(opened):
    page = opened("both")
    active = "document.activeElement.closest('[role=toolbar]').getAttribute('aria-label')"
    road = page.locator(".road").first
    page.keyboard.press("Tab")
    assert page.evaluate(active) == "classes" and page.locator(".classes .on").count() == 1
    page.keyboard.press("ArrowRight")
    second = page.locator(".classes button").nth(1)
    assert second.evaluate("button => button.classList.contains('on')")
    page.keyboard.press("Enter")
    assert second.get_attribute("aria-pressed") == "true"
    stops = []
    for _ in range(3):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(active))
    assert stops == ["levels", "cells", "histogram"], "one stop each"
    assert second.evaluate("button => button.classList.contains('on')"), "held"
    page.keyboard.press("ArrowRight")
    assert road.locator(".light").get_attribute("data-unit") == "" or road.locator(".word strong").count() == 1
    assert road.locator(".bars .on").count() == 1 and "votes" in road.locator(".word p").inner_text()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    assert road.locator(".told").inner_text().startswith("Row 2, column 1")
    page.keyboard.press("3")
    assert road.locator(".cells button").count() == 16
    page.keyboard.press("Escape")
    assert page.locator(".classes .on").count() == 0 and road.locator(".bars .on").count() == 0


def test_what_is_pointed_at_is_told_to_those_who_hear_it(opened):
    page = opened("both")
    assert page.locator("button:not([aria-label]):not(.row button)").count() == 0
    cell = page.locator(".cells button").nth(1)
    assert cell.get_attribute("aria-label") == "row 1, column 2 of 2 × 2"
    page.locator(".classes button").first.hover()
    assert re.search(r", votes [+−]?[\d.]+$", cell.get_attribute("aria-label"))
    assert page.locator("[aria-live=polite]").count() == 5
