"""The teaching kit: every exercise is wrong where it is said to be, every solution agrees with the library."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spm
from spm.features.dense_sift import dense_sift
from spm.pyramid.bins import bins

KIT = Path(__file__).parents[1] / "notebooks" / "exercises"
if not KIT.is_dir():
    pytest.skip("the teaching kit is in the clone alone", allow_module_level=True)


def load(name):
    spec = importlib.util.spec_from_file_location(f"kit_{name}", KIT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check, exercises, solutions = load("check"), load("exercises"), load("solutions")
ONE = np.array([1.0])
WORD, PLACE = np.array([2]), np.array([0.9])


def patches(image):
    """One value for every patch of 16 x 16 pixels, every 8."""
    _, centres = dense_sift(image, patch_size=16, step=8)
    return np.ones((len(centres), 1)), centres


STATED = {  # a call, what the exercise makes of it, what is right
    "level_weights": ((3,), [0.25, 0.5, 1.0], spm.SpatialPyramid(levels=(1, 2, 4)).level_weights()),
    "cell_of": ((1.1, 4, 2), 1, 0),
    "word_histogram": (([0, 1, 2, 3, 3], 4), [1, 1, 3], [1, 1, 1, 2]),
    "pyramid_counts": ((WORD, PLACE, PLACE, 3, (1, 2)), [0, 0, 1] * 2, [0, 0, 1] + [0] * 9 + [0, 0, 1]),
    "normalise_pyramid": ((np.array([[8, 2], [8, 1], [0, 1]]), 2), None, [[0.8, 0.2], [0.8, 0.1], [0, 0.1]]),
    "similarity": ((np.array([3, 1]), np.array([12, 4])), 4, 1),
    "pyramid_match": ((ONE, ONE, np.array([0.25])), 0.5, 0.25),
    "cell_descriptors": ((np.zeros((32, 32), np.uint8), 2, patches), np.ones((4, 1)), [[1], [2], [2], [4]]),
    "normalise_descriptor": ((np.full(128, 0.01),), np.full(128, 128**-0.5), np.full(128, 0.01)),
    "spp_bins": ((13, 6), bins(13, 6, "padded"), bins(13, 6)),
    "spp_vector": ((np.arange(10.0).reshape(1, 1, 10).repeat(6, 1), 6), None, np.tile([1, 3, 4, 6, 8, 9], 6)),
    "maximum_of": ((np.full((1, 2, 2), -3.0),), [0], [-3]),
    "box_on_map": (([0, 0, 160, 32], 16, (2, 10)), [0, 0, 2, 2], [0, 0, 10, 2]),
    "box_overlap": (([0, 0, 10, 10], [10, 0, 20, 10]), 1 / 21, 0),
    "unscale": ((ONE, 3.0, 2.0), (2, 6), (2, 3)),
    "codebook_sample": ((np.array([[1.0], [9.0]]), np.array([True, False]), 2, 0), [[1], [9]], [[1]]),
}


def flat(value):
    return np.concatenate([np.ravel(part) for part in value]) if isinstance(value, tuple) else np.asarray(value)


def same(got, wanted):
    return flat(got).shape == flat(wanted).shape and np.allclose(flat(got), flat(wanted), atol=1e-6)


@pytest.mark.parametrize("name", check.CASES)
def test_an_exercise_is_wrong_in_a_stated_case_and_its_solution_right(name):
    call, wrong, right = STATED[name]
    assert same(getattr(solutions, name)(*call), right)
    got = getattr(exercises, name)(*call)
    assert wrong is None or same(got, wrong)
    assert not same(got, right)


@pytest.mark.parametrize("name", check.CASES)
def test_a_solution_agrees_with_the_library_and_the_exercise_does_not(name):
    assert check.agrees(name, getattr(solutions, name), tries=50)
    with np.errstate(all="ignore"):
        assert not check.agrees(name, getattr(exercises, name))


def functions_of(name):
    tree = ast.parse((KIT / f"{name}.py").read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_both_files_have_the_same_functions_and_promises_and_every_one_has_a_case_and_a_hint():
    given, mended = functions_of("exercises"), functions_of("solutions")
    assert list(given) == list(mended) == list(check.CASES) == list(STATED)
    hints = (KIT / "README.md").read_text(encoding="utf-8")
    for name, function in given.items():
        assert ast.get_docstring(function) == ast.get_docstring(mended[name])
        assert f"| `{name}` |" in hints


def test_every_solution_says_why():
    lines = (KIT / "solutions.py").read_text(encoding="utf-8").splitlines()
    for function in functions_of("solutions").values():
        assert any(line.strip().startswith("# ") for line in lines[function.lineno : function.end_lineno])


def cells(words, rows, columns, n_words, levels, weigh=np.floor, **options):
    """The counts of a pyramid, with room for mistakes."""
    counts = []
    for n in levels:
        i, j = np.minimum(weigh(rows * n), n - 1), np.minimum(weigh(columns * n), n - 1)
        for cell in np.ndindex(n, n):
            inside = words[(i == cell[0]) & (j == cell[1])]
            counts.append(np.bincount(inside, **(options or {"minlength": n_words})))
    return np.concatenate(counts)


def shared_of_far_boxes(a, b):
    """Overlap without a look at whether there is any: two negative sides make a positive area."""
    shared = np.prod(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def change_in_place(a, b, weights):
    a *= weights
    b *= weights
    return np.minimum(a, b).sum() * 2


right, fixed = vars(solutions), np.random.default_rng
WRONG = {  # mistakes that the hints name, and their neighbours
    "level_weights": [
        lambda n: np.full(n, 1 / n),
        lambda n: right["level_weights"](n)[::-1],
        lambda n: 0.5 ** np.arange(n, 0, -1),
        lambda n: np.array([0.25, 0.25, 0.5]),
    ],
    "cell_of": [
        lambda x, width, n: int(x * n / width),  # the right border is in no cell
        lambda x, width, n: min(round(x * n / width), n - 1),
        lambda x, width, n: max(int(np.ceil(x * n / width)) - 1, 0),
        lambda x, width, n: min(int(x // (width // n + 1)), n - 1),
        lambda x, width, n: min(int(x / width * 2), n - 1),
    ],
    "word_histogram": [
        lambda words, n: np.bincount(words),
        lambda words, n: np.bincount(words, minlength=5),
        lambda words, n: np.histogram(words, range(n))[0],
        lambda words, n: np.bincount(words, minlength=n) > 0,
        lambda words, n: np.bincount(words, minlength=n) / len(words),
        lambda words, n: np.bincount(words, minlength=n + 1),
        lambda words, n: None,
        lambda words, n: [[1], [1, 2]],
    ],
    "pyramid_counts": [
        lambda *a: cells(*a, minlength=0),
        lambda *a: cells(*a, weigh=np.round),
        lambda words, rows, columns, *a: cells(words, columns, rows, *a),
        lambda words, rows, columns, *a: cells(words, np.where(rows == 1, 9, rows), columns, *a) * (rows < 1).all(),
        lambda *a: cells(*a[:4], a[4][::-1]),
        lambda *a: cells(*a) / max(len(a[0]), 1),
    ],
    "normalise_pyramid": [
        lambda counts, n: counts / max(counts.sum(), 1),
        lambda counts, n: counts * 2 / max(counts.sum(), 1),
        lambda counts, n: counts * n / counts.sum(),  # an image without features
        lambda counts, n: counts / np.maximum(counts.sum(axis=1, keepdims=True), 1),
        lambda counts, n: counts / np.maximum(counts.sum(axis=0, keepdims=True), 1),
        lambda counts, n: counts / max(np.linalg.norm(counts), 1),
    ],
    "similarity": [
        lambda a, b: np.minimum(a, b).sum() / min(a.sum(), b.sum()),
        lambda a, b: np.minimum(a, b).sum() / a.sum(),
        lambda a, b: np.minimum(a, b).sum() / np.maximum(a, b).sum(),
        lambda a, b: (a / np.linalg.norm(a)) @ (b / np.linalg.norm(b)),
    ],
    "pyramid_match": [
        lambda a, b, w: np.minimum(a, b).sum(),
        lambda a, b, w: (w * w * np.minimum(a, b)).sum(),
        lambda a, b, w: (np.minimum(a, b) / w).sum(),
        lambda a, b, w: np.minimum(a, w * b).sum(),
        change_in_place,
    ],
    "cell_descriptors": [
        lambda image, n, describe: right["cell_descriptors"](image.T, n, describe),
        lambda image, n, describe: right["cell_descriptors"](image, 2, describe),
        lambda image, n, describe: right["cell_descriptors"](image, n, describe).mean(axis=0, keepdims=True),
        lambda image, n, describe: np.concatenate(list(right["cell_descriptors"](image, n, describe))),
    ],
    "normalise_descriptor": [
        lambda sums: np.minimum(sums / np.linalg.norm(sums), 0.2),
        lambda sums: sums / max(np.linalg.norm(sums), 1),
        lambda sums: np.minimum(sums / max(np.linalg.norm(sums), 1), 0.2),  # not made 1 again
        lambda sums: sums / np.linalg.norm(sums) if sums.any() else sums,
    ],
    "spp_bins": [
        lambda size, n: [[i * size // n, (i + 1) * size // n] for i in range(n)],
        lambda size, n: [[i * -(-size // n), min((i + 1) * -(-size // n), size)] for i in range(n)],
        lambda size, n: [[i * (size // n), (i + 1) * (size // n)] for i in range(n)],
        lambda size, n: [[round(i * size / n), round((i + 1) * size / n)] for i in range(n)],
        lambda size, n: [[i * size // n, max((i + 1) * size // n, i * size // n + 1)] for i in range(n)],
    ],
    "spp_vector": [
        lambda maps, n: right["spp_vector"](np.maximum(maps, 0), n),
        lambda maps, n: right["spp_vector"](maps.swapaxes(1, 2), n),
        lambda maps, n: right["spp_vector"](maps, n).reshape(-1, 2).T.ravel(),
        lambda maps, n: np.ravel([right["spp_vector"](maps, 6)[: 2 * n * n]]),
    ],
    "maximum_of": [
        lambda maps: np.maximum(maps.max(axis=(1, 2)), 0),
        lambda maps: np.abs(maps).max(axis=(1, 2)),
        lambda maps: np.full(len(maps), maps.max()),
        lambda maps: maps[:, 0].max(axis=1),
    ],
    "box_on_map": [
        lambda box, stride, grid: right["box_on_map"](box, stride, grid[::-1]),
        lambda box, stride, grid: right["box_on_map"](box, 16, grid),
        lambda box, stride, grid: [round(edge / stride) for edge in box],
        lambda box, stride, grid: [edge // stride + (i > 1) for i, edge in enumerate(box)],
        lambda box, stride, grid: [int(np.floor(e / s)) for e, s in zip(box, [stride] * 4, strict=True)],
        lambda box, stride, grid: [*(e // stride for e in box[:2]), *right["box_on_map"](box, stride, grid)[2:]],
    ],
    "box_overlap": [
        lambda a, b: right["box_overlap"](a, b) > 0.5,
        lambda a, b: right["box_overlap"]([*a[:2], *a[2:] - 1], [*b[:2], *b[2:] - 1]),  # without the last pixels
        lambda a, b: right["box_overlap"](a[[0, 1, 3, 2]], b[[0, 1, 3, 2]]),  # width and height swapped
        shared_of_far_boxes,
    ],
    "unscale": [
        lambda w, b, scale: (w / scale, b),
        lambda w, b, scale: (w, b * scale),
        lambda w, b, scale: (w * scale, b / scale),
        lambda w, b, scale: w * scale,
    ],
    "codebook_sample": [
        lambda values, train, n, seed: values[np.sort(fixed(seed).permutation(len(values))[:n])],
        lambda values, train, n, seed: values[train],
        lambda values, train, n, seed: values[train][:n],
        lambda values, train, n, seed: values[fixed(seed).permutation(np.flatnonzero(train))[:n]],
        lambda values, train, n, seed: values[np.sort(fixed(0).permutation(np.flatnonzero(train))[:n])],
        lambda values, train, n, seed: values[np.sort(fixed(seed).choice(np.flatnonzero(train), n))],
        lambda values, train, n, seed: values[~train],
    ],
}


@pytest.mark.parametrize("name", check.CASES)
def test_the_cases_come_upon_every_mistake(name):
    with np.errstate(all="ignore"):
        assert [i for i, wrong in enumerate(WRONG[name]) if check.agrees(name, wrong)] == []


@pytest.mark.parametrize("name", check.CASES)
def test_a_counterexample_has_the_call_and_both_values(name):
    call, *rest = check.counterexample(name, getattr(exercises, name))
    assert call.startswith(f"{name}(") and max(map(len, (call, *rest))) < 400
    assert rest[-1].startswith("wanted ") or "Error: " in rest[-1]
    assert check.counterexample("level_weights", exercises.level_weights) == [
        "level_weights(2)",
        "gives [0.5, 1. ]",
        "wanted [0.5, 0.5]",
    ]


def test_what_a_function_changes_spoils_neither_the_case_nor_its_report():
    def spoil(words, n_words):
        words[:] = 9
        return words

    call, *_ = check.counterexample("word_histogram", spoil)
    assert "9" not in call


def test_the_check_a_student_runs(capsys, tmp_path):
    assert check.main(KIT / "solutions.py") == 0
    assert "16 of 16 are right" in capsys.readouterr().out
    (tmp_path / "mine.py").write_text("def level_weights(n_levels):\n    return n_levels.wrong\n", encoding="utf-8")
    assert check.main(tmp_path / "mine.py") == 16
    said = capsys.readouterr().out
    assert "AttributeError" in said and "0 of 16 are right" in said
    assert f"{tmp_path / 'mine.py'} has no function of this name" in said


@pytest.mark.parametrize(
    ("arguments", "content", "status", "message"),
    [
        (["--help"], None, 0, "usage: check.py"),
        (["none.py"], None, 1, "none.py: there is no such file"),
        (["."], None, 1, "there is no such file"),
        (["mine.py"], "def cell_of(:\n", 1, "mine.py, line 1: "),
        (["mine.py"], "import nowhere\n", 1, "mine.py cannot be imported: ModuleNotFoundError"),
        (["mine.txt"], "x = 1\n", 1, "this is no Python file"),
        (["one.py", "two.py"], None, 2, "unrecognized arguments"),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_line(tmp_path, arguments, content, status, message):
    if content is not None:
        (tmp_path / arguments[0]).write_text(content, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, KIT / "check.py", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status and message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr and (status != 1 or done.stderr.count("\n") == 1)
