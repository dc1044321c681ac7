"""The teaching kit: every exercise is wrong where it is said to be, every solution agrees with the library."""

import ast
import importlib.util
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


def test_the_check_a_student_runs(capsys, tmp_path):
    assert check.main(KIT / "solutions.py") == 0
    assert "15 of 15 are right" in capsys.readouterr().out
    (tmp_path / "mine.py").write_text("def level_weights(n_levels):\n    return n_levels.wrong\n", encoding="utf-8")
    assert check.main(tmp_path / "mine.py") == 15
    said = capsys.readouterr().out
    assert "AttributeError" in said and "0 of 15 are right" in said
