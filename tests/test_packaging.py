"""What is installed: a wheel, an sdist, an editable install, the bare tree; each used in the clone and elsewhere."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from PIL import Image

from spm.datasets import make_layouts

ROOT = Path(__file__).parents[1]
if not (ROOT / "setup.cfg").is_file():
    pytest.skip("packages are built in the clone alone", allow_module_level=True)
pytest.importorskip("setuptools.build_meta")
pytest.importorskip("pip")

URL = "https://github.com/spatial-pyramids/spm"
GENERATED = ("build", "dist", "*.egg-info", "__pycache__", "*_cache", "_build", "site", ".git", ".hypothesis", ".venv")
LEFT = re.compile(r"(?i)(__editable__.*)?(spm|spatial.pyramids)\b")


def quiet(*arguments, cwd, **environment):
    """Run a program in a world without this one's settings and return what it prints."""
    unset = ("PYTHONPATH", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONSAFEPATH")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    command = [os.fspath(argument) for argument in arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=kept | environment, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clone: what git knows or would take, or, where this is no clone, all but what tools have left."""
    target = tmp_path_factory.mktemp("clone") / "clone"
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return Path(shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*GENERATED)))
    listed = quiet("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # and not removed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def build(kind, folder, target):
    """Call one hook of the build back-end, as pip does, and return what it made."""
    code = f"import sys\nfrom setuptools import build_meta\nprint()\nprint(build_meta.build_{kind}(sys.argv[1]))"
    target.mkdir(exist_ok=True)
    return target / quiet(sys.executable, "-c", code, target, cwd=folder).splitlines()[-1]


@pytest.fixture(scope="module")
def before(tree):
    return files_of(tree)


@pytest.fixture(scope="module")
def sdist(tree, before, tmp_path_factory):
    """An sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", tree, folder / "made")) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return next(folder.glob("spatial_pyramids-*"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel that pip makes of the sdist."""
    copy = shutil.copytree(sdist, tmp_path_factory.mktemp("wheel") / "sdist")
    stale = copy / "build" / "lib" / "spm" / "stale.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    return build("wheel", copy, copy.parent)


@pytest.fixture(scope="module")
def editable(tree, before, tmp_path_factory):
    return build("editable", tree, tmp_path_factory.mktemp("editable"))


class Environment:
    """A virtual environment of its own, which sees the packages of this one, but for spm."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        paths = {"base": os.fspath(folder), "platbase": os.fspath(folder)}
        self.bin = Path(sysconfig.get_path("scripts", "venv" if sys.version_info >= (3, 11) else None, vars=paths))
        self.python = self.bin / "python"
        self.site = Path(quiet(self.python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip())
        self.home = folder / "home"
        self.home.mkdir()
        self.seen = self.site / "outer.pth"
        self.see()

    def see(self):
        self.site.mkdir(parents=True, exist_ok=True)  # pip removes a folder that it has emptied
        self.seen.write_text("\n".join(path for path in sys.path if path.endswith("-packages")))

    def pip(self, *arguments):
        """pip must not take this environment's spm for that one's."""
        self.seen.unlink()
        quiet(sys.executable, "-m", "pip", "-q", "--python", self.python, *arguments, cwd=self.home)
        self.see()

    def install(self, made):
        self.pip("install", "--no-index", "--no-deps", "--force-reinstall", made)

    def run(self, *arguments, cwd, **environment):
        return quiet(*arguments, cwd=cwd, HOME=os.fspath(self.home), **environment)

    def left(self):
        """Return what there is of spm, however it is spelled."""
        return sorted(path.name for path in self.site.iterdir() if LEFT.match(path.name))


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "env")


@pytest.fixture
def photos(tmp_path):
    scenes = make_layouts(4, size=64, n_classes=2)
    for i, scene in enumerate(scenes.data):
        path = tmp_path / "elsewhere" / "photos" / "ab"[i // 4] / f"{i % 4}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene).save(path)
    return tmp_path / "elsewhere"


READ = """
import spm
print(spm.__file__)
spm.presets.spp2014(), spm.networks.read_networks(), spm.datasets.fetch.read_registry()
"""


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable", "tree"])
def test_what_ships_is_found_wherever_one_stands(kind, environment, tree, tmp_path, request):
    if kind in ("wheel", "editable"):
        environment.install(request.getfixturevalue(kind))
    elif kind == "sdist":
        copy = shutil.copytree(request.getfixturevalue("sdist"), tmp_path / "sdist")
        environment.install(build("wheel", copy, tmp_path / "made"))
    installed = environment.site if kind in ("wheel", "sdist") else tree
    beside = {"PYTHONPATH": os.fspath(tree)} if kind == "tree" else {}
    for folder, wanted in ((tree, tree), (tmp_path, installed)):
        found = environment.run(environment.python, "-c", READ, cwd=folder, **beside)
        assert Path(found.strip()).resolve() == (wanted / "spm" / "__init__.py").resolve()


def test_the_main_job_from_a_wheel_then_the_clone_then_nothing(environment, wheel, editable, tree, photos):
    """README's two lines one after the other, with nothing exported, and an uninstallation."""
    pytest.importorskip("onnxruntime")
    environment.install(wheel)
    for folder, command in ((tree, [environment.python, "-m", "spm"]), (photos, [environment.bin / "spm"])):
        options = ["--presets", "lazebnik2006,spp2014", "--n-train", "2", "--splits", "1"]
        rows = environment.run(*command, "compare", photos / "photos", *options, "--csv", cwd=folder).splitlines()
        assert len(rows) == 5 and "lazebnik2006" in rows[1] and "spp2014" in rows[4]
    environment.run(environment.bin / "spm", "train", "photos", "-o", "scene.spm", cwd=photos)
    assert "a" in environment.run(environment.bin / "spm", "predict", "scene.spm", "photos/a/0.png", cwd=photos)
    kept = list(environment.home.rglob("compiled/*/*"))
    assert len(kept) > 10, "compiled code is in the user's cache folder"
    assert [path for path in environment.site.rglob("*") if path.suffix in (".nbi", ".nbc", ".pickle")] == []
    environment.install(editable)
    assert "spm" not in environment.left()
    tests = ["-m", "pytest", "-p", "no:cacheprovider", "tests/test_norms.py", "tests/test_binning.py"]
    assert " passed" in environment.run(environment.python, *tests, cwd=tree)
    environment.pip("uninstall", "-y", "spatial-pyramids")
    assert environment.left() == []


def test_a_wheel_holds_the_package_and_what_ships_and_nothing_else(wheel, tree):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = {Path(name).name for name in archive.namelist() if ".dist-info/" in name}
    sources = {f"spm/{name}" for name in files_of(tree / "spm") if name.endswith((".py", "py.typed"))}
    data = {f"spm/data/{name}" for name in files_of(tree / "data") if not name.endswith(".py")}
    assert names == sources | data and {"spm/py.typed", "spm/data/texture_net.onnx"} <= names
    assert {"METADATA", "RECORD", "entry_points.txt", "LICENSE"} <= metadata


def test_an_sdist_holds_the_whole_tree(sdist, before):
    found = files_of(sdist)
    assert sorted(before - found) == []
    added = {name for name in found - before if not name.startswith("spatial_pyramids.egg-info/")}
    assert added == {"PKG-INFO"}
    assert {"tests/reference.py", "docs/index.md", "notebooks/1_visual_words.ipynb", ".ci/run", "setup.py"} <= found


def test_an_sdists_tests_pass_where_it_is_unpacked(sdist, environment):
    tests = ["tests/test_norms.py", "tests/test_binning.py", "tests/test_docs.py::test_links_lead_somewhere"]
    out = quiet(environment.python, "-m", "pytest", "-p", "no:cacheprovider", *tests, cwd=sdist, PYTHONPATH=".")
    assert " passed" in out and "skipped" not in out


def test_the_index_shows_the_readme_with_whole_addresses(wheel, tree):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    shown, readme = metadata.get_payload(), (tree / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^()\s]+)\)", shown)
    assert len(targets) > 10 and [target for target in targets if not target.startswith(f"{URL}/")] == []
    assert f"({URL}/raw/main/docs/pipeline.png)" in shown and f"({URL}/blob/main/CONTRIBUTING.md)" in shown
    assert re.sub(rf"{URL}/(raw|blob)/main/", "", shown) == readme, "all else is as it was"
    assert (metadata["Name"], metadata["Home-page"]) == ("spatial-pyramids", URL)
    addresses = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert {"Source", "Issues", "Changelog"} <= set(addresses)


def test_no_text_names_the_distribution_of_others(tree):
    texts = [tree / name for name in files_of(tree) if name.endswith((".py", ".md", ".ipynb", ".cfg"))]
    named = [path.name for path in texts if re.search(r"\bspm\[|pip install spm\b", path.read_text(encoding="utf-8"))]
    assert named in ([], [Path(__file__).name])
