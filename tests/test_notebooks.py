"""The notebooks as they are committed: run through, with figures, fit to be read on any machine (CI runs them anew)."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
if not NOTEBOOKS:
    pytest.skip("the notebooks are in the clone alone", allow_module_level=True)

MOST_BYTES = 600_000
ELSEWHERE = re.compile(r"/(?:home|root|tmp|work|usr|opt|private|Users)/|[A-Z]:\\\\|site-packages|https?://(?!doi\.org)")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def code_of(cells):
    return [cell for cell in cells if cell["cell_type"] == "code"]


def texts(cell):
    """Everything of a cell's outputs that can be read."""
    for output in cell.get("outputs", []):
        yield "".join(output.get("text", ""))
        yield from ("".join(part) for kind, part in output.get("data", {}).items() if not kind.startswith("image/"))


def test_there_are_seven_in_order():
    assert [path.name[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_", "4_", "5_", "6_", "7_"]


def test_they_are_run_through_in_order_without_errors(cells):
    code = code_of(cells)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]


def test_they_show_figures_and_numbers(cells):
    outputs = [output for cell in code_of(cells) for output in cell["outputs"]]
    assert sum(not {"image/png", "image/jpeg"}.isdisjoint(output.get("data", {})) for output in outputs) >= 2
    assert sum(any(letter.isdigit() for letter in "".join(output.get("text", ""))) for output in outputs) >= 4


def test_they_are_small(path):
    assert path.stat().st_size < MOST_BYTES


def test_they_hold_nothing_of_the_machine_that_ran_them(path, cells):
    read = [text for cell in cells for text in (source(cell), *texts(cell))]
    found = [ELSEWHERE.search(text) for text in read]
    assert not [match.group() for match in found if match]
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}
    assert all(cell["metadata"] == {} for cell in cells)  # no times of execution


def test_every_cell_has_a_name_of_its_own(cells):
    names = [cell["id"] for cell in cells]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[\w-]{1,64}", name) for name in names)


def test_one_variable_at_the_top_leads_to_photographs(cells):
    code = [source(cell) for cell in code_of(cells)]
    assert re.match(r"PHOTOS = None  # ", code[0])
    assert sum("PHOTOS" in text for text in code[1:]) >= 1


def test_they_end_with_what_to_remember_and_what_to_try(cells):
    prose = "\n".join(source(cell) for cell in cells if cell["cell_type"] == "markdown")
    assert "What do you expect?" in prose or "What do you expect" in prose
    assert "## To remember" in prose and "## Try" in prose


def test_links_lead_somewhere(cells):
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#]+)\)", source(cell)):
                assert (ROOT / "notebooks" / target).exists(), target


def test_cells_are_python_of_every_supported_version(cells):
    for cell in code_of(cells):
        ast.parse(source(cell), feature_version=(3, 10))


def test_cells_fit_on_a_screen(cells):
    assert max(source(cell).count("\n") + 1 for cell in code_of(cells)) <= 45


def test_the_papers_table_is_the_benchs():
    quoted = next(path for path in NOTEBOOKS if path.name.startswith("2_")).read_text(encoding="utf-8")
    bench = (ROOT / "benchmarks" / "results" / "lazebnik2006_table.md").read_text(encoding="utf-8")
    figures = re.findall(r"\d\d\.\d ± \d\.\d", bench)
    found = [line for line in json.loads(quoted)["cells"] if "## The paper's table" in source(line)]
    assert figures and re.findall(r"\d\d\.\d ± \d\.\d", source(found[0])) == figures
