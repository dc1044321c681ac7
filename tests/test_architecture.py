"""The architecture: floors, light imports, honest names, modules and bodies of a readable size."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spm

ROOT = Path(spm.__file__).parent

FLOORS = [
    ("errors", "images", "boxes", "_tools"),
    ("networks",),
    ("features",),
    ("codebooks",),
    ("encoders",),
    ("pyramid",),
    ("vectorizer",),
    ("kernels",),
    ("classifiers",),
    ("storage",),
    ("datasets",),
    ("detection",),
    ("nn",),
    ("presets",),
    ("evaluation",),
    ("evidence",),
    ("plots",),
    ("report",),
    ("cli",),
    ("__main__", "__init__"),
]
"""The road from top to bottom: a folder, or a file beside them, imports from those before it."""
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
HEAVY = ["torch", "onnxruntime", "matplotlib", "numba", "sklearn", "scipy", "cv2", "skops"]

MAX_LINES = 400
MAX_BODY = 40
MAX_FILES = 12  # in a folder, beside its __init__


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def floor_of(name):
    """Return a module's floor: its own, or that of the package which holds it."""
    return FLOOR_OF.get(name.partition(".")[0])


def imported(name):
    """Return the modules of spm's that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").partition(".")[0] == "spm"):
            found |= _targets(node, name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "spm":
                    found.add(alias.name.partition(".")[2] or "__init__")
    return found - {name}


def _targets(node, name):
    """Return the modules that one ``from ... import`` statement reaches."""
    base = name.split(".")[: -node.level] if node.level else []
    base += (node.module or "").split(".")[0 if node.level else 1 :] if node.module else []
    targets = set()
    for alias in node.names:
        if not base and alias.name in ("__version__", "_HOMES"):  # constants that stand before all imports
            continue
        inner = ".".join([*base, alias.name])
        choices = (inner, f"{inner}.__init__", ".".join(base), ".".join([*base, "__init__"]))
        targets.add(next(choice for choice in choices if choice in MODULES))
    return targets


def imports_of_others(name):
    """Return the first names of the packages that a module imports from elsewhere."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found


# Floors


def test_every_module_has_a_floor():
    without = [name for name in MODULES if floor_of(name) is None]
    assert without == [], "give these a floor in FLOORS"


def test_imports_are_found_in_every_form():
    """The reader of imports itself: known ones, which stand in different forms."""
    assert {"vectorizer", "encoders.bag_of_words", "_tools.public"} <= imported("presets.handcrafted")
    assert {"presets.__init__", "evaluation.protocols", "storage.__init__"} <= imported("evaluation.contenders")
    assert {"_tools.opencv"} <= imported("_tools.parallel")  # inside a function
    assert {"errors"} <= imported("datasets.folder")  # from one floor up
    assert {"datasets.folder"} <= imported("datasets.__init__")
    assert "__init__" not in imported("vectorizer")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_lower_floors_or_its_own(name):
    placed = [other for other in [name, *imported(name)] if floor_of(other) is not None]  # each has: see above
    assert [other for other in placed if floor_of(other) > floor_of(placed[0])] == []


def test_no_circle_of_imports():
    done, under_way = set(), []

    def visit(name):
        assert name not in under_way, f"a circle: {' -> '.join([*under_way, name])}"
        if name not in done:
            under_way.append(name)
            for other in sorted(imported(name)):
                visit(other)
            done.add(under_way.pop())

    for name in MODULES:
        visit(name)


PLACES = [("torch", "nn."), ("skops", "storage"), ("matplotlib", "report"), ("numba", "_tools.numba")]


@pytest.mark.parametrize(("package", "place"), PLACES)
def test_some_packages_are_imported_in_one_place_only(package, place):
    assert [name for name in MODULES if package in imports_of_others(name) and not name.startswith(place)] == []


# Imports and names


def modules_after(statement, *names):
    """Return which of these modules are loaded after a statement in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.split()


def test_importing_spm_is_light():
    assert modules_after("import spm", *HEAVY, "numpy") == []
    assert modules_after("import spm, spm.cli; spm.cli._parser().format_help()", *HEAVY, "numpy") == []
    assert modules_after("import spm; spm.DenseSIFT", "cv2", "numba") == ["cv2", "numba"]  # it would be seen


def test_using_everything_has_no_effects_and_loads_no_network_library_or_figures():
    code = """
import logging, random, sys, numpy
def state():
    return list(logging.root.handlers), random.getstate(), numpy.random.get_state()[1].tolist()
before = state()
import spm
for name in spm.__all__:
    getattr(spm, name)
import spm.cli
print(state() == before, logging.getLogger("spm").handlers == [])
print(*[name for name in ("torch", "onnx", "onnxruntime", "matplotlib", "skops") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("True True\n\n", "")


def test_every_public_name_is_there():
    assert len(spm.__all__) == len(set(spm.__all__)) and dir(spm) == sorted(spm.__all__)
    for name in spm.__all__:
        assert getattr(spm, name) is not None
    for name in ("nothing", "Compare", "_private"):
        with pytest.raises(AttributeError, match=name):
            getattr(spm, name)


@pytest.mark.parametrize("name", sorted({"errors", "images", *spm._MODULES}))  # the guide names these two
def test_every_public_module_is_there_in_a_fresh_interpreter(name):
    code = f"import spm; print(spm.{name}.__name__, '{name}' in dir(spm))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == [f"spm.{name}", "True"]


def test_no_module_bears_the_name_of_a_public_function():
    functions = {name for name in spm.__all__ if inspect.isfunction(getattr(spm, name))}
    assert {"compare", "evaluate", "load", "predict", "save"} <= functions
    assert functions & {name.partition(".")[0] for name in MODULES} == set()


def test_nested_data_sets_are_public_too():
    from spm import datasets

    for name in datasets.__all__:
        assert getattr(datasets, name) is not None


# Size and documentation


def functions_of(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function):
    """Return how many lines a function has after its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_a_folder_can_be_looked_over():
    folders = {path.parent for path in MODULES.values()}
    counts = {str(f.relative_to(ROOT)): len(list(f.glob("*.py"))) - 1 for f in folders}
    assert {folder: n for folder, n in counts.items() if n > MAX_FILES} == {}
    shown = {name.partition(".")[0] for name in MODULES if not name.startswith("_")}  # what ls shows of the road
    assert len(shown) <= 21


def test_the_folders_are_named_in_the_order_of_the_road():
    """By the names of `import spm`, by what it says of itself, and in CONTRIBUTING.md (see its own test)."""
    road = [name for floor in FLOORS for name in floor]
    homes = [floor_of(home) for home in spm._HOMES.values()]
    assert homes == sorted(homes)
    named = [name for name in re.findall(r"(\w+)(?:/|\.py)", spm.__doc__) if name in road]
    assert [name for name in road if name not in ("__main__", "__init__") and name not in named] == []


@pytest.mark.parametrize("name", MODULES)
def test_modules_and_bodies_are_of_a_readable_size(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    assert [f.name for f in functions_of(TREES[name]) if body_lines(f) > MAX_BODY] == []


def test_bodies_are_short_on_the_whole():
    lengths = sorted(body_lines(function) for tree in TREES.values() for function in functions_of(tree))
    assert len(lengths) > 100 and lengths[len(lengths) // 2] <= 15


def undocumented(tree):
    """Yield the public functions, classes and methods without a docstring; an override of scikit-learn's has its."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        overloaded = any(getattr(decorator, "id", None) == "overload" for decorator in node.decorator_list)
        if ast.get_docstring(node) is None and not overloaded:
            yield node.name
        for method in node.body if isinstance(node, ast.ClassDef) else []:
            setter = isinstance(method, ast.FunctionDef) and method.decorator_list
            public = isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
            if public and not setter and ast.get_docstring(method) is None:
                yield f"{node.name}.{method.name}"


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_is_documented(name):
    tree = TREES[name]
    assert ast.get_docstring(tree), "a module opens with one sentence"
    if not name.rpartition(".")[2].startswith("_"):
        assert list(undocumented(tree)) == []


SCRIPTS = [
    path for folder in ("benchmarks", "docs", "notebooks") for path in sorted((ROOT.parent / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_scripts_import_of_spm_is_there(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "spm":
            home = ROOT.joinpath(*node.module.split(".")[1:])
            text = next(file for file in (home / "__init__.py", home.with_suffix(".py")) if file.is_file()).read_text()
            for alias in node.names:
                there = re.search(rf"\b{alias.name}\b", text) or (home / f"{alias.name}.py").exists()
                assert there or (home / alias.name).is_dir(), f"{path.name}: {node.module} has no {alias.name}"
