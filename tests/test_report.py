"""Reports: pages that hold all they need, whatever files and classes are called, and say what the results say."""

import base64
import hashlib
import html
import io
import re
import sys
import xml.etree.ElementTree as ET
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils import Bunch

import spm
from spm import PerClassShuffleSplit, SpmError, cli, plots, presets, report
from spm._tools.text import printable
from spm.datasets import make_layouts
from spm.errors import MissingDependencyError
from spm.evaluation.comparison import COLUMNS, row_cells
from spm.report import _outcome
from spm.report._html import Html, element
from spm.report._origin import data_digest, networks
from spm.report._outcome import MOST_CELLS, MOST_CLASSES, MOST_OF_A_KIND, MOST_OPENED, MOST_THUMBNAILS, spread
from spm.report._pictures import SIDE, drawing, thumbnail
from spm.report._sections import ties

pytest.importorskip("matplotlib")

VOID = {"meta", "img"}
NAMES = ("<script>alert(1)<", "a\"b'&", "$x^{$")  # of classes
FILES = ('<img src="http:x">.png', "a\"b'&.png", "\u202egnp.exe.png", "caf\udce9\n.png", "5.png", "6.png", "7.png")


class Page(HTMLParser):
    """A page, read strictly: elements are nested well, and what they hold is kept."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.within, self.cells, self.style = [], [], [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag == "tr":
            self.cells.append(None)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            self.style += data
        elif data.strip():
            self.texts.append(data)
            self.within.append(self.open[-1])
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data

    @property
    def rows(self):
        """The rows of all tables, as lists of text."""
        rows = []
        for cell in self.cells:
            rows.append([]) if cell is None else rows[-1].append(cell)
        return rows

    def all(self, tag, name):
        return [attributes.get(name) for found, attributes in self.tags if found == tag]

    def after(self, text):
        return self.texts[self.texts.index(text) + 1]


def check(text):
    """Return the page, after what every page must hold to."""
    page = Page(text)
    text.encode("utf-8")
    assert text.startswith("<!DOCTYPE html>") and page.all("meta", "charset")[0] == "utf-8"
    assert not {"script", "link", "iframe", "object", "embed", "base", "form", "svg"} & {t for t, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("srcset", "action")]
        assert "href" not in attributes or (tag == "a" and attributes["href"][0] == "#")
        assert "src" not in attributes or tag == "img"
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) and {href[1:] for href in page.all("a", "href")} <= set(ids)
    assert page.all("img", "src") and all(source.startswith("data:image/") for source in page.all("img", "src"))
    assert None not in page.all("img", "alt") and "" not in page.all("img", "alt")
    assert not re.search(r"url\(|@import|expression", page.style + "".join(filter(None, page.all("img", "style"))))
    policies = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    for source in page.all("img", "src"):
        kind, content = re.fullmatch(r"data:image/(\S+);base64,([A-Za-z0-9+/=]+)", source).groups()
        content = base64.b64decode(content)
        if kind == "svg+xml":
            ET.fromstring(content)
        else:
            Image.open(io.BytesIO(content)).verify()
    return page


def jpegs(page):
    return [source for source in page.all("img", "src") if source.startswith("data:image/jpeg")]


def small(**options):
    return presets.lazebnik2006(n_words=8, random_state=0, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes of scenes, seven of each, under names that try to break out."""
    folder = tmp_path_factory.mktemp("data") / "sc&ne<s>"
    scenes = make_layouts(7, size=64, n_classes=3)
    for i, (image, target) in enumerate(zip(scenes.data, scenes.target, strict=True)):
        (folder / NAMES[target]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / NAMES[target] / FILES[i % 7])
    return folder


@pytest.fixture(scope="module")
def photos(folder):
    bunch = spm.load_folder(folder)
    return Bunch(data=bunch.data, labels=np.asarray(bunch.target_names)[bunch.target])


@pytest.fixture(scope="module")
def result(photos):
    cv = PerClassShuffleSplit(n_train=3, n_splits=2, random_state=0)
    return spm.evaluate(small(), photos.data, photos.labels, cv=cv)


@pytest.fixture(scope="module")
def text(result, photos):
    return report.evaluation_page(
        result, photos.data, photos.labels, model=small(), title="<i>Title</i>", seed=7, command="spm '<b>' \"&\""
    )


# Elements


def test_everything_is_escaped_but_html():
    assert element("p", "<b>", Html("<b>"), 1.5) == "<p>&lt;b><b>1.5</p>".replace("&lt;b>", "&lt;b&gt;")
    assert element("td", colspan=2, class_=None, data_name="\"'<") == (
        '<td colspan="2" data-name="&quot;&#x27;&lt;"></td>'
    )
    assert element("img", alt="\x00\ud800") == '<img alt="\\x00\\ud800">'


def test_what_cannot_be_shown_is_written_out():
    assert printable("a\u202eb\x07\udce9\t") == "a\\u202eb\\x07\\udce9\\t"
    assert printable("Ünï 写真 \u200d👩") == "Ünï 写真 \u200d👩"


def test_spread_takes_the_ends_and_no_more_than_asked():
    assert spread(np.arange(5), 8).tolist() == [0, 1, 2, 3, 4]
    assert spread(np.arange(100), 3).tolist() in ([0, 49, 99], [0, 50, 99])
    assert spread(np.arange(9), 1).tolist() == [0] and spread(np.arange(0), 3).tolist() == []


# The page of an evaluation


def test_an_evaluation_page_holds_all_that_it_needs(text):
    page = check(text)
    titles = ["<i>Title</i>", "Classes", "Right, wrong and missed", "What the decisions rest on", "How to repeat it"]
    assert [title for title in titles if title not in page.texts] == []
    assert len(text) < 3e6


def test_its_numbers_are_those_of_the_result(text, result):
    page = check(text)
    assert f"{100 * result.accuracy:.1f} %" in page.texts, "two splits tell no deviation"
    by_split = f"By split: {', '.join(f'{100 * a:.1f}' for a in result.accuracies)}."
    assert f"{by_split} Two splits tell no deviation; none is given." in page.texts
    assert "2 splits, 9 training and 12 test images" in " ".join(page.texts)
    assert page.rows[0] == ["class", "accuracy %", "tested", "mostly taken for"]
    for row, name, counts, k in zip(page.rows[1:4], result.classes, result.confusion, range(3), strict=True):
        assert row[:3] == [name, f"{100 * counts[k] / counts.sum():.1f}", str(counts.sum())]
        others = {result.classes[j]: counts[j] for j in range(3) if j != k}
        most = max(others.values())
        wanted = (
            {f"{n} ({100 * most / counts.sum():.1f}\xa0%)" for n, c in others.items() if c == most} if most else {"-"}
        )
        assert row[3] in wanted


def test_thumbnails_are_those_of_the_first_split(text, result, photos):
    page = check(text)
    test, predicted = result.predictions[0]
    truth = photos.labels[test]
    for name in result.classes:
        (start,) = (i for i, t in enumerate(page.texts) if t == name and page.within[i] == "h3")
        found = {kind: page.texts[page.texts.index(kind, start) + 1] for kind in ("right", "wrong", "missed")}
        counts = {
            "right": np.sum((truth == name) & (predicted == name)),
            "wrong": np.sum((truth != name) & (predicted == name)),
            "missed": np.sum((truth == name) & (predicted != name)),
        }
        assert found == {kind: f": {count}" for kind, count in counts.items()}
    assert np.sum(truth != predicted) > 0, "the test has something to say"
    shown = [t for t in page.all("img", "title") if t]
    assert len(shown) == 12 + np.sum(truth != predicted) + 12  # a wrong one under both classes; all behind the matrix
    wanted = {
        f"{printable(photos.data[i].rpartition('/')[2])}: {printable(t)}" + (f", taken for {p}" if t != p else "")
        for i, t, p in zip(test, truth, predicted, strict=True)
    }
    assert set(shown) == wanted
    for source in jpegs(page):
        assert max(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).size) <= SIDE


def test_names_are_escaped_everywhere(text):
    page = check(text)
    assert NAMES[0] in page.texts and NAMES[1] in page.texts and NAMES[2] in page.texts
    alts = page.all("img", "alt")
    assert any(printable(name) in alts for name in FILES[:4])
    for name in (*NAMES[:2], *FILES[:4], "<i>Title</i>"):
        assert name not in text


def test_evidence_maps_are_of_tests_and_add_up(text, result, photos):
    page = check(text)
    told = [t for t in page.texts if "Evidence for" in t]
    test, predicted = result.predictions[0]
    assert any("taken for" in t for t in told) and any(", right." in t for t in told)
    right = predicted == photos.labels[test]
    assert len(told) == 2 * min(2, len(set(photos.labels[test][~right]))) + sum(", right." in t for t in told)
    for t in told:
        score, votes, sign, intercept = re.search(r": (\S+) = (\S+) votes (\S) (\S+) intercept$", t).groups()
        number = [float(x.replace("−", "-")) for x in (score, votes, intercept)]
        assert number[0] == pytest.approx(number[1] + (number[2] if sign == "+" else -number[2]), abs=0.016)
    assert sum(source.startswith("data:image/png") for source in page.all("img", "src")) == len(told)
    assert "fitted once more on 9 training images of the first split" in text


def test_it_says_how_to_repeat_it(text, photos, folder):
    page = check(text)
    assert page.after("How to repeat it") == "spm '<b>' \"&\"" and page.after("seed") == "7"
    lines = []
    for path in sorted(folder.glob("*/*"), key=str):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{content}  {path.parent.name}/{path.name}\n".encode(errors="surrogateescape"))
    digest, size = data_digest(photos.data, photos.labels)
    assert digest == hashlib.sha256(b"".join(lines)).hexdigest() and digest in page.texts
    assert size == sum(path.stat().st_size for path in folder.glob("*/*"))
    assert f"spm {spm.__version__}, Python {sys.version.split()[0]}, opencv " in page.after("versions")
    assert f"numpy {np.__version__}" in page.after("versions") and "BagOfWords(n_words=8)" in page.after("model")


def test_the_digest_depends_on_pixels_names_and_labels(photos):
    images, labels = [np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)], np.array(["a", "b"])
    first = data_digest(images, labels)[0]
    assert data_digest(images, labels)[0] == first
    others = [data_digest(images[::-1], labels), data_digest(images, labels[::-1])]
    others += [
        data_digest([images[0].reshape(2, 8), images[1]], labels),
        data_digest(["none.png", "other.png"], labels),
    ]
    assert len({first, *(digest for digest, _ in others)}) == 5


def test_networks_are_told_by_their_content(tmp_path):
    model = presets.spp2014()
    content = bytes(model[0].features.model)
    (tmp_path / "net.onnx").write_bytes(content)
    wanted = hashlib.sha256(content).hexdigest()
    assert list(networks(model).values()) == [wanted]
    assert networks(presets.hybrid(tmp_path / "net.onnx")) == {"net.onnx": wanted}
    assert networks(small()) == {}


def test_the_same_result_gives_the_same_page_and_matplotlib_stays_as_it_was(result, photos, text):
    import matplotlib

    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        again = report.evaluation_page(
            result, photos.data, photos.labels, model=small(), title="<i>Title</i>", seed=7, command="spm '<b>' \"&\""
        )
    assert re.sub("[0-9-]+ [0-9:]+ UTC", "", again) == re.sub("[0-9-]+ [0-9:]+ UTC", "", text)
    assert dict(matplotlib.rcParams) == before


def test_without_a_model_or_maps_nothing_is_fitted(result, photos, monkeypatch):
    monkeypatch.setattr(spm.PyramidVectorizer, "fit", lambda *_: pytest.fail("fitted"))
    for options in ({}, {"model": small(), "n_evidence": 0}):
        page = check(report.evaluation_page(result, photos.data, photos.labels, **options))
        assert "What the decisions rest on" not in page.texts
    assert page.after("seed") == "not told" and "<pre>" not in "".join(page.texts)


@pytest.mark.parametrize(
    ("classifier", "why"),
    [(KNeighborsClassifier(1), "the model has no decision values"), (SVC(), "SVC does not decide by a sum")],
)
def test_a_model_whose_decision_is_no_sum_gets_no_maps_but_a_page(result, photos, classifier, why):
    model = make_pipeline(small()[0], classifier)
    page = check(report.evaluation_page(result, photos.data, photos.labels, model=model))
    assert any(t.startswith(f"There are none: {why}") for t in page.texts)


def test_maps_of_cells_where_features_have_none(monkeypatch):
    """Averaged views have votes of cells alone."""
    pytest.importorskip("onnxruntime")
    drawn = []
    real = plots.evidence
    monkeypatch.setattr(plots, "evidence", lambda *given, **told: drawn.append(told["by"]) or real(*given, **told))
    scenes = make_layouts(4, size=64, n_classes=2)
    for flip, by in ((False, "feature"), (True, "cell")):
        model = presets.spp2014(levels=(1, 2), flip=flip, random_state=0)
        result = spm.evaluate(model, scenes.data, scenes.target, cv=[([0, 1, 4, 5], [2, 6])])
        page = check(report.evaluation_page(result, scenes.data, scenes.target, model=model, n_evidence=1))
        assert any("Evidence for" in t for t in page.texts) and set(drawn) == {by}
        drawn.clear()


def test_arrays_and_numbers_as_labels(result):
    scenes = make_layouts(4, size=32, n_classes=2)
    found = spm.evaluate(small(levels=(1,)), scenes.data, scenes.target)
    page = check(report.evaluation_page(found, scenes.data, scenes.target))
    assert [row[0] for row in page.rows[1:3]] == ["0", "1"]
    assert {alt.partition(" ")[0] for alt in page.all("img", "alt")} == {"image"}


def test_a_file_that_is_gone_leaves_its_name(result, photos):
    data = [f"/gone{path}" if i % 2 else path for i, path in enumerate(photos.data)]
    page = check(report.evaluation_page(result, data, photos.labels))
    absent = [a for t, a in page.tags if t == "span" and a.get("class") == "absent"]
    assert absent and jpegs(page)


def test_skipped_images_are_told(result, photos):
    errors = [(0, spm.ImageError("a<b>.jpg", "it is <bad>"))]
    page = check(report.evaluation_page(Bunch(**{**result, "skipped": errors}), photos.data, photos.labels))
    assert page.rows[-1] == ["a<b>.jpg", "it is <bad>"]


@pytest.mark.parametrize(("n_classes", "n_tests"), [(2, 400), (3 * MOST_CLASSES, 2400)])
def test_the_page_is_bounded(n_classes, n_tests):
    random = np.random.RandomState(0)
    labels = np.sort(np.arange(n_tests) % n_classes)
    predicted = np.where(random.rand(n_tests) < 0.5, labels, random.randint(n_classes, size=n_tests))
    confusion = np.zeros((n_classes, n_classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    names = np.array([f"class {k:03d}" for k in range(n_classes)])
    found = {"accuracy": 0.5, "std": 0.0, "accuracies": [0.5], "n_train": [1], "n_test": [n_tests], "skipped": []}
    found |= {"train_seconds": 1.0, "test_seconds": 1.0, "confusion": confusion, "classes": names}
    found |= {"predictions": [(np.arange(n_tests), names[predicted])], "trained_on": [np.arange(1)]}
    images = random.randint(0, 256, (n_tests, 24, 24), dtype=np.uint8)
    text = report.evaluation_page(Bunch(**found), images, names[labels])
    page = check(text)
    n_kinds, kept = len(_outcome.KINDS), min(n_classes, MOST_CLASSES)
    most = min(MOST_THUMBNAILS, n_kinds * kept * MOST_OF_A_KIND)
    assert len(jpegs(page)) <= most + (MOST_OPENED if n_classes <= MOST_CELLS else 0) and len(text) < 4e6
    assert sum(t == "right" for t in page.texts) == kept
    assert re.search(r": \d+ of \d+", " ".join(page.texts))
    if n_classes > kept:
        assert f"The {kept} of {n_classes} classes with the lowest accuracy are shown." in " ".join(page.texts)


def test_a_large_photograph_becomes_a_small_thumbnail():
    pixels = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    assert len(thumbnail(pixels)) < 12_000


def test_wrong_arguments_are_refused(result, photos):
    with pytest.raises(SpmError, match="one for each of the 21 images"):
        report.evaluation_page(result, photos.data, photos.labels[:-1])
    with pytest.raises(SpmError, match="n_evidence must be"):
        report.evaluation_page(result, photos.data, photos.labels, n_evidence=-1)


def test_drawings_need_no_window_system_and_know_no_formulas():
    def draw(figure):
        figure.subplots().set_title("$x^{$")

    assert drawing(draw, (2, 2)) == drawing(draw, (2, 2))
    with pytest.raises(ValueError, match="x"):
        drawing(draw, (2, 2), math=True)


# The page of a comparison


@pytest.fixture(scope="module")
def compared(folder):
    def broken(*, levels=(1, 2, 4), **options):
        raise MissingDependencyError("<onnxruntime> is missing")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "small", partial(presets.lazebnik2006, n_words=8))
        patch.setitem(presets.PRESETS, "broken", broken)
        cv = PerClassShuffleSplit(n_train=3, n_splits=2, random_state=0)
        yield spm.compare(folder, presets=["small", "broken"], cv=cv)


def test_a_comparison_page_has_every_row_and_column(compared):
    page = check(report.comparison_page(compared, title="T", seed=3, command="spm compare", n_evidence=2))
    cells = [row_cells(row) for row in compared.rows]
    assert page.rows[: 1 + len(compared.rows)] == [list(COLUMNS.values()), *cells]
    assert "Two splits tell no deviation; none is given." in page.texts
    heads = [t for t in page.texts if t.startswith("sc&ne<s>")]
    assert heads[0] == "sc&ne<s>" and "sc&ne<s>, small: classes" in heads
    best = max((row for row in compared.rows if row["error"] is None), key=lambda row: row["accuracy"])
    assert any(t == f"small, {best['pyramid']}, " for t in page.texts)
    assert f"{100 * best['accuracy']:.1f} %" in page.texts and page.after("seed") == "3"
    assert page.after("models") == "all 2"
    kinds = [source.partition(";")[0] for source in page.all("img", "src")]
    assert (
        kinds.count("data:image/svg+xml") == 2 and kinds.count("data:image/png") >= 2
    )  # two curves, the matrix no more


def test_it_shows_what_the_pyramid_mended(compared):
    page = check(report.comparison_page(compared, n_evidence=0))
    labels = compared.data["sc&ne<s>"].labels
    (test, without), (_, with_it) = (compared.details[k].predictions[0] for k in (0, 1))
    without, with_it = np.array(without) == labels[test], np.array(with_it) == labels[test]
    assert f"Right only with the pyramid: {np.sum(with_it & ~without)}" in page.texts
    assert f"Right only without the pyramid: {np.sum(without & ~with_it)}" in page.texts


def rows_like(row, *accuracies, **told):
    return [{**row, "accuracy": accuracy, **told} for accuracy in accuracies]


def test_rows_that_tie_within_their_deviation_are_said_to(compared):
    """Of ten splits by the deviation over them, of one or two by that of a count of right tests."""
    first = compared.rows[0]
    for told, accuracies, equal in (
        ({"std": 0.01, "n_splits": 10}, (0.90, 0.912, 0.92), [2, 1]),
        ({"std": 0.0, "n_splits": 10}, (0.90, 0.912, 0.92), [2]),
        ({"std": 0.0, "n_splits": 2, "n_test": 100}, (0.90, 0.912, 0.92), [2, 1, 0]),
        ({"std": 0.0, "n_splits": 1, "n_test": 100_000}, (0.90, 0.912, 0.92), [2]),
        ({"std": 0.0, "n_splits": 1, "n_test": 100}, (1.0, 1.0, 0.9), [0, 1]),
    ):
        rows = rows_like(first, *accuracies, **told)
        assert ties(rows, first["data"]) == equal
        details = [compared.details[0]] * 3
        text = report.comparison_page(Bunch(**{**compared, "rows": rows, "details": details}), n_evidence=0)
        page = check(text)
        few = f"what {told.get('n_test', 0):,} tests leave to chance"
        lead = f"No single best: {len(equal)} rows tie within {'their deviation' if told['n_splits'] > 2 else few}."
        assert (lead in page.texts) == (len(equal) > 1) and ("Best: " in page.texts) == (len(equal) == 1)
        assert text.count("<strong>") == 2 * len(equal), "bold in the table, and in the words above"
    assert ties([{**first, "error": "none"}], first["data"]) == []


def test_cells_of_the_matrix_open_their_thumbnails(text, result, photos):
    page = check(text)
    test, predicted = result.predictions[0]
    truth = photos.labels[test]
    links = {attributes["href"][1:]: attributes["title"] for tag, attributes in page.tags if tag == "a"}
    pairs = {
        (list(result.classes).index(t), list(result.classes).index(p)) for t, p in zip(truth, predicted, strict=True)
    }
    assert {tuple(map(int, link.split("-")[1:])) for link in links} == pairs and len(pairs) > 3
    for link, told in links.items():
        i, j = map(int, link.split("-")[1:])
        counts = result.confusion[i]
        assert told == f"{result.classes[i]} taken for {result.classes[j]}: {counts[j]} of {counts.sum()}"
        inside = text.partition(f'id="{link}"')[2].partition('class="pair"')[0]
        n = int(np.sum((truth == result.classes[i]) & (predicted == result.classes[j])))
        assert inside.count("<img ") >= min(n, MOST_OF_A_KIND)
        assert (
            html.escape(f"{result.classes[i]}, {'right' if i == j else f'taken for {result.classes[j]}'}: {n}")
            in inside
        )


def test_details_are_those_of_the_rows_and_survive_a_journal(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "small", partial(presets.lazebnik2006, n_words=8))
    options = {"presets": "small", "cv": PerClassShuffleSplit(n_train=3, n_splits=2, random_state=0)}
    whole = spm.compare(folder, **options)

    def stop(row):
        if row["levels"] != (1,):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spm.compare(folder, **options, journal=tmp_path / "j", on_row=stop)
    monkeypatch.setattr("spm.evaluation.comparison.measure", lambda *_: pytest.fail("measured again"))
    resumed = spm.compare(folder, **options, journal=tmp_path / "j")
    for row, one, other in zip(whole.rows, whole.details, resumed.details, strict=True):
        assert one.confusion == other.confusion and one.classes == other.classes == sorted(NAMES)
        assert [list(map(list, p)) for p in one.predictions] == [list(map(list, p)) for p in other.predictions]
        assert one.trained_on == other.trained_on and len(one.trained_on) == 2
        counts = np.array(one.confusion)
        assert np.mean(np.diag(counts) / counts.sum(axis=1)) == pytest.approx(row["accuracy"])
        assert repr(one.model) == repr(other.model) and not hasattr(one.model[0], "n_features_out_")
    assert check(report.comparison_page(resumed, n_evidence=0)).rows[1][:3] == row_cells(whole.rows[0])[:3]


def test_rows_without_levels_or_lengths_are_drawn_as_far_as_they_can(compared):
    rows = [{**row, "levels": None, "values": None, "peak_mb": None} for row in compared.rows]
    page = check(report.comparison_page(Bunch(**{**compared, "rows": rows}), n_evidence=0))
    assert "Accuracy against seconds to train and test a split, with and without the pyramid in one pass." in page.texts
    assert "Accuracy against the length of the vectors." not in page.texts
    rows = [{**row, "levels": [1, [3, 1]]} for row in compared.rows]
    check(report.comparison_page(Bunch(**{**compared, "rows": rows}), n_evidence=0))


# Files and the command line


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    path = report.write_page(tmp_path / "page.html", "one")
    with pytest.raises(UnicodeEncodeError):
        report.write_page(path, "\ud800")
    assert path.read_text() == "one" and [p.name for p in tmp_path.iterdir()] == ["page.html"]
    report.write_page(path, "ü")
    assert path.read_bytes() == "ü".encode()
    with pytest.raises(SpmError, match="cannot be saved"):
        report.write_page(tmp_path / "none" / "page.html", "one")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        return (status, *capsys.readouterr())

    return run


def test_the_commands_write_a_page_and_print_what_they_print_without(run, folder, tmp_path):
    options = (folder, "--set", "n_words=4", "--n-train", 3, "--splits", 2, "--seed", 5, "--jobs", 1)
    path = tmp_path / "page.html"
    status, out, err = run("evaluate", *options, "--report", path)
    assert (status, err) == (0, "") and "page.html" not in out and "lazebnik2006: " in out
    page = check(path.read_text(encoding="utf-8"))
    assert page.texts[0] == "lazebnik2006 on sc&ne<s>" and page.after("seed") == "5"
    command = page.after("How to repeat it")
    assert command.startswith("spm evaluate '") and command.endswith(f"--jobs 1 --report {path}")
    assert out.splitlines()[2].split()[-2:] == page.rows[1][1:3]
    status, out, err = run("compare", *options, "--presets", "lazebnik2006", "--csv", "--report", path)
    assert (status, err) == (0, "") and len(out.splitlines()) == 3
    page = check(path.read_text(encoding="utf-8"))
    assert page.texts[0] == "What the pyramid adds on sc&ne<s>" and len(page.rows) > 3
    assert "Evidence for" in " ".join(page.texts)


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_a_report_that_cannot_be_is_refused_before_the_work(run, folder, tmp_path, monkeypatch, name):
    monkeypatch.setattr("spm.datasets.load_folder", lambda *_: pytest.fail("worked"))
    status, out, err = run(name, folder, "--report", tmp_path)
    assert (status, out) == (1, "") and f"{tmp_path} is a folder: give the name of a file to write the report in" in err
    status, out, err = run(name, folder, "--report", tmp_path / "none" / "page.html")
    assert (status, out) == (1, "") and "there is no such folder to write the report in" in err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = run(name, folder, "--report", tmp_path / "page.html")
    assert (status, out) == (1, "") and "pip install matplotlib" in err


def test_pages_need_matplotlib(result, photos, compared, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        report.evaluation_page(result, photos.data, photos.labels)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        report.comparison_page(compared)


# A browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_in_a_browser(browser, text, compared, tmp_path, width, scheme):
    pages = {"evaluation": text, "comparison": report.comparison_page(compared, n_evidence=1)}
    for name, content in pages.items():
        path = report.write_page(tmp_path / f"{name}.html", content)
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page, events, requests = context.new_page(), [], []
        for event in ("console", "pageerror", "dialog"):
            page.on(event, lambda told, events=events: events.append(told))
        page.on("request", lambda request, requests=requests: requests.append(request.url))
        page.goto(path.as_uri())
        assert events == [] and [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
        assert page.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
        assert [name for name in NAMES if name not in page.inner_text("body")] == []  # read as they are written
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
        context.close()


def opened(browser, path, **size):
    context = browser.new_context(viewport=size)
    page = context.new_page()
    page.goto(path.as_uri())
    return page


def test_a_cell_of_the_matrix_opens_its_photographs_by_pointer_and_by_key(browser, text, tmp_path):
    page = opened(browser, report.write_page(tmp_path / "page.html", text), width=1280, height=720)
    cells = page.locator(".confusion a")
    assert page.locator(".pair:visible").count() == 0
    for k in (1, 2):
        cells.nth(k).click()
        assert page.locator(".pair:visible").count() == 1 and page.locator(".pair:visible img").count() >= 1
        assert page.locator(".pair:visible").get_attribute("id") == cells.nth(k).get_attribute("href")[1:]
        assert cells.nth(k).is_visible() and page.locator(".pair:visible").bounding_box()["y"] < 720
    cells.nth(0).focus()
    page.keyboard.press("Enter")
    assert page.locator(".pair:visible").get_attribute("id") == cells.nth(0).get_attribute("href")[1:]
    page.context.close()


@pytest.mark.parametrize("width", [320, 1200])
def test_on_a_narrow_screen_the_charts_come_before_the_rows(browser, compared, tmp_path, width):
    path = report.write_page(tmp_path / "page.html", report.comparison_page(compared, n_evidence=0))
    page = opened(browser, path, width=width, height=800)
    tops = [
        page.locator(name).first.bounding_box()["y"] for name in ("h1", ".charts .plot", ".rows table", ".confusion")
    ]
    order = [0, 1, 2, 3] if width == 320 else [0, 2, 1, 3]
    assert np.argsort(tops).tolist() == order
    page.context.close()
