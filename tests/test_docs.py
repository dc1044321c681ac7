"""The documentation: every Python block of the user guide runs, and the reference has every public name."""

import doctest
import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import spm
from spm._tools.files import read_shipped

DOCS = Path(__file__).parents[1] / "docs"
if not DOCS.is_dir():
    pytest.skip("the documentation is in the clone alone", allow_module_level=True)

PAGES = [DOCS / "index.md", *sorted((DOCS / "guide").glob("*.md"))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """What the guide's examples name: photos/, train.txt, labels.csv, holiday.jpg, broken.jpg and net.onnx."""
    scenes = spm.datasets.make_layouts(8, size=64, n_classes=2)
    for i, scene in enumerate(scenes.data):
        path = tmp_path / "photos" / ("coast", "forest")[i // 8] / f"{i % 8 + 1}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene).save(path)
    shutil.copy(path, tmp_path / "holiday.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "net.onnx").write_bytes(read_shipped("texture_net.onnx"))
    page = (DOCS / "guide" / "images.md").read_text(encoding="utf-8")
    (tmp_path / "train.txt").write_text(re.search(r"```text\n(.*?)```", page, re.DOTALL)[1], encoding="utf-8")
    page = (DOCS / "guide" / "tables.md").read_text(encoding="utf-8")
    (tmp_path / "labels.csv").write_text(re.search(r"```text\n(.*?)```", page, re.DOTALL)[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def blocks_of(page):
    """Yield first line and code of every block fenced as python; those that need more are fenced as {code-block}."""
    text = page.read_text(encoding="utf-8")
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield text.count("\n", 0, block.start(1)), block.group(1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_guide_runs(page, desk):
    if page.stem == "maps":
        pytest.importorskip("onnxruntime")
    names = {}
    for line, code in blocks_of(page):
        if code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), line)
            failed = doctest.DocTestRunner(optionflags=FLAGS).run(test, clear_globs=False).failed
            names = test.globs
            assert failed == 0, f"{page.name}, line {line}: see the captured output"
        else:
            exec(compile("\n" * line + code, page, "exec"), names)


def test_the_readme_runs(desk):
    for module in ("onnxruntime", "torch"):
        pytest.importorskip(module)
    names = {}
    for line, code in blocks_of(DOCS.parent / "README.md"):
        smaller = code.replace("n_train=100, n_splits=10", "n_train=4, n_splits=2")  # the desk has few photographs
        exec(compile("\n" * line + smaller, "README.md", "exec"), names)
    assert names["photos"].target_names == ["coast", "forest"] and type(names["model"][0].features) is spm.FeatureMap


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "notebooks/exercises/README.md"])
def test_links_lead_somewhere(page):
    path = DOCS.parent / page
    targets = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []
    assert targets or page != "README.md"


def load(name, monkeypatch):
    """Import a script of the documentation."""
    monkeypatch.syspath_prepend(DOCS)
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_road_is_what_its_script_draws(tmp_path, monkeypatch):
    for module in ("matplotlib", "onnxruntime"):
        pytest.importorskip(module)
    pipeline = load("pipeline", monkeypatch)
    figure = pipeline.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts]
    assert {"SPM, spatial pyramid matching", "SPP, spatial pyramid pooling", "1 × 1", "label"} <= {t for t, _ in boxes}
    for i, (text, box) in enumerate(boxes):
        assert box.x0 > 0 and box.y0 > 0 and box.x1 < figure.bbox.x1 and box.y1 < figure.bbox.y1, f"{text} is cut off"
        assert [other for other, found in boxes[:i] if box.overlaps(found)] == [], text
    monkeypatch.setattr(pipeline, "draw", lambda: figure)
    pipeline.save(tmp_path / "pipeline.png")
    made, kept = Image.open(tmp_path / "pipeline.png"), Image.open(DOCS / "pipeline.png")
    assert made.size == kept.size and kept.mode == "P" and "transparency" not in kept.info  # seen on dark pages too
    assert (DOCS / "pipeline.png").stat().st_size < 200_000
    difference = np.abs(np.asarray(made.convert("RGB"), float) - np.asarray(kept.convert("RGB"), float))
    assert difference.mean() < 12  # other versions of matplotlib and of fonts set letters a little apart


@pytest.mark.parametrize(("page", "path"), [("README.md", "docs/pipeline.png"), ("docs/index.md", "pipeline.png")])
def test_the_picture_of_the_road_is_shown(page, path):
    text = (DOCS.parent / page).read_text(encoding="utf-8")
    assert re.search(rf"!\[[^\]]{{40,}}\]\({re.escape(path)}\)", text)


def test_the_reference_has_every_public_name(tmp_path, monkeypatch):
    for module in ("docutils", "matplotlib", "torch"):
        pytest.importorskip(module)
    conf = load("conf", monkeypatch)
    conf.write_reference(tmp_path)
    listed = (tmp_path / "index.rst").read_text(encoding="utf-8").split()
    assert [name for name in spm._HOMES if f"spm.{name}" not in listed] == []
    assert [name for name in spm.nn.__all__ if f"spm.nn.{name}" not in listed] == []
    modules = {"kernels": "histogram_intersection", "presets": "lazebnik2006", "datasets": "make_layouts"}
    for module, name in modules.items():
        assert f"spm.{module}.{name}" in listed
        assert f":: {name}\n" in (tmp_path / f"{module}.rst").read_text(encoding="utf-8")
