"""Compiled code: kept in the user's cache folder, never stale, never torn, and not needed where it cannot be kept."""

import ast
import importlib
import math
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_architecture import MODULES, TREES

import spm
from spm._tools import numba as ours
from spm.codebooks.nearest import nearest

PACKAGE = Path(spm.__file__).parent
CALLEE = "from ._tools.numba import njit\n@njit\ndef inner(x):\n    return x + {}\n"
CALLER = "from ._tools.numba import njit\nfrom .one import inner\n@njit\ndef outer(x):\n    return 10 * inner(x)\n"
CALL = """
import sys, numpy as np
from spm.two import outer
print([float(outer(np.dtype(t).type(1))) for t in sys.argv[1:]], sum(outer.stats.cache_hits.values()))
"""


@pytest.fixture
def copy(tmp_path):
    """The wrapper in a package of its own, with a function that calls one of another module."""
    folder = tmp_path / "copy" / "spm"
    for name in ("__init__.py", "errors.py", "_tools"):
        take = shutil.copytree if (PACKAGE / name).is_dir() else shutil.copy
        (folder.parent / "spm").mkdir(parents=True, exist_ok=True)
        take(PACKAGE / name, folder / name)
    (folder / "one.py").write_text(CALLEE.format(1))
    (folder / "two.py").write_text(CALLER)
    return folder


def call(copy, *types, code=CALL, **environment):
    unset = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    home = {"HOME": os.fspath(copy.parents[1] / "home"), "PYTHONPATH": os.fspath(copy.parent)}
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *types],
        capture_output=True, text=True, check=True, timeout=120, cwd=copy.parents[1], env=kept | home | environment,
    )  # fmt: skip


def kept(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.pickle"))


def test_it_is_found_again_in_the_users_cache_folder(copy):
    before = sorted(path for path in copy.rglob("*") if "__pycache__" not in path.parts)
    assert call(copy, "f8").stdout == "[20.0] 0\n"
    names = kept(copy.parents[1] / "home")
    assert len(names) == 2 and all("spm/compiled/spm-" in name and "-numba-" in name for name in names)
    assert call(copy, "f8").stdout == "[20.0] 1\n"
    assert call(copy, "f8", "i8").stdout == "[20.0, 20.0] 1\n" and len(kept(copy.parents[1] / "home")) == 4
    assert sorted(path for path in copy.rglob("*") if "__pycache__" not in path.parts) == before
    assert [path for path in copy.rglob("*") if path.suffix in (".nbi", ".nbc")] == []


def test_numba_cache_dir_rules(copy, tmp_path):
    call(copy, "f8", NUMBA_CACHE_DIR=os.fspath(tmp_path / "chosen"))
    assert len(kept(tmp_path / "chosen")) == 2 and not (tmp_path / "home").exists()


def test_a_change_in_what_a_function_calls_is_seen(copy):
    """With the same size and time stamp, as after unpacking an archive."""
    stamp = os.stat(copy / "one.py")
    assert call(copy, "f8").stdout == "[20.0] 0\n"
    (copy / "one.py").write_text(CALLEE.format(2))
    os.utime(copy / "one.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert call(copy, "f8").stdout == "[30.0] 0\n"
    (copy / "one.py").write_text(CALLEE.format(1))
    assert call(copy, "f8").stdout == "[20.0] 1\n", "what was kept of the first text is still its"


def test_torn_and_foreign_files_are_not_taken(copy):
    call(copy, "f8")
    home = copy.parents[1] / "home"
    for content in (b"", b"\x80", None):
        for path in map(home.joinpath, kept(home)):
            path.write_bytes(path.read_bytes()[:-1] if content is None else content)
        assert call(copy, "f8").stdout == "[20.0] 0\n"
        assert call(copy, "f8").stdout == "[20.0] 1\n"
    outer, inner = sorted(map(home.joinpath, kept(home)), key=lambda path: "one.inner" in path.name)
    shutil.copy(inner, outer)  # whole, but of another function
    assert call(copy, "f8").stdout == "[20.0] 0\n"


@pytest.mark.parametrize("environment", [{"HOME": os.devnull}, {"NUMBA_CACHE_DIR": f"{os.devnull}/inside"}])
def test_where_nothing_can_be_written_all_works_with_one_warning(copy, environment):
    done = call(copy, "f8", "i8", "f4", **environment)
    assert done.stdout == "[20.0, 20.0, 20.0] 0\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("compiled code cannot be kept (") and "Set NUMBA_CACHE_DIR to a folder" in line


def test_a_full_disk_leaves_no_halves_and_one_warning(copy):
    pytest.importorskip("resource")
    full = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    full += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n" + CALL
    done = call(copy, "f8", "i8", code=full)
    assert done.stdout == "[20.0, 20.0] 0\n" and done.stderr.count("cannot be kept") == 1
    assert [path for path in (copy.parents[1] / "home").rglob("*") if path.is_file()] == []
    assert call(copy, "f8").stdout == "[20.0] 0\n" and call(copy, "f8").stdout == "[20.0] 1\n"


def test_a_user_without_a_home_gets_no_folder_where_he_stands(copy, monkeypatch, caplog):
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: Path("~/.cache/spm"))
    monkeypatch.setattr(ours.numba.config, "CACHE_DIR", "")
    with pytest.raises(OSError, match="no home"):
        ours.folder()


def test_processes_at_once_keep_each_kind_of_arguments(copy):
    kinds = ["f8", "f4", "i8", "i4", "u1", "u2"]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda kind: call(copy, kind).stdout, kinds))
    assert found == ["[20.0] 0\n"] * len(kinds)
    assert call(copy, *kinds).stdout == f"{[20.0] * len(kinds)} {len(kinds)}\n"


def test_threads_at_once_get_the_same(copy):
    code = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from spm.two import outer
with ThreadPoolExecutor(8) as pool:
    print(set(map(float, pool.map(lambda i: outer(np.dtype("f4 f8 i4 i8".split()[i % 4]).type(1)), range(64)))))
"""
    assert call(copy, code=code).stdout == call(copy, code=code).stdout == "{20.0}\n"


def test_others_keep_their_caches_where_they_were(copy, tmp_path):
    (tmp_path / "other.py").write_text("from numba import njit\n@njit(cache=True)\ndef f(x):\n    return x\n")
    code = """
import os, numba
before = dict(os.environ), numba.config.CACHE_DIR
from spm.two import outer
outer(1.0)
import other
other.f(1.0)
print(before[0] == dict(os.environ), before[1] == numba.config.CACHE_DIR)
"""
    assert call(copy, code=code, PYTHONPATH=f"{copy.parent}{os.pathsep}{tmp_path}").stdout == "True True\n"
    assert len(list((tmp_path / "__pycache__").glob("other.f-*.nbc"))) == 1


def test_without_compilation_and_without_sources(copy):
    plain = "from spm.two import outer\nprint(outer(1.0))"
    assert call(copy, code=plain, NUMBA_DISABLE_JIT="1").stdout == "20.0\n"
    sources = copy.with_name("sources")
    code = f"import compileall, shutil\ncompileall.compile_dir('{copy}', legacy=True, quiet=1)\n"
    code += f"shutil.copytree('{copy}', '{sources}/spm', ignore=shutil.ignore_patterns('*.py'))"
    call(copy, code=code)
    done = call(copy, "f8", PYTHONPATH=os.fspath(sources))
    assert (done.stdout, done.stderr) == ("[20.0] 0\n", "")


def test_compiled_functions_travel_to_other_processes():
    X = np.random.default_rng(0).random((5, 3))
    again = pickle.loads(pickle.dumps(nearest))
    assert again.py_func.__name__ == "nearest" and np.array_equal(again(X, 2), nearest(X, 2))


def dispatchers():
    """Yield every compiled function of spm's, and the module that it is in."""
    for name in MODULES:
        if ours.MARK in MODULES[name].read_bytes() and name != "_tools.numba":
            module = importlib.import_module(f"spm.{name.removesuffix('.__init__')}")
            yield from ((name, thing) for thing in vars(module).values() if hasattr(thing, "py_func"))


def test_all_that_goes_into_compiled_code_is_in_marked_modules():
    """A number from elsewhere is compiled in, and its change would not be seen."""
    found = list(dispatchers())
    assert len(found) > 30
    for name, dispatcher in found:
        stored = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Name)]
        assigned = {node.id for node in stored if isinstance(node.ctx, ast.Store)}
        for used in dispatcher.py_func.__code__.co_names:
            thing = dispatcher.py_func.__globals__.get(used)
            known = thing is None or thing in (np, math) or hasattr(thing, "py_func")
            assert known or used in assigned, f"{name}.{dispatcher.py_func.__name__} takes {used} from elsewhere"


def test_every_loop_runs_without_the_lock_and_is_kept():
    for name, dispatcher in dispatchers():
        assert dispatcher.targetoptions["nogil"] is True, name
        assert isinstance(dispatcher._cache, ours._Cache), name
