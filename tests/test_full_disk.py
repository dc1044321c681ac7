"""Where nothing more can be written: one clear error or warning, never a torn file; and with room all is well."""

import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest

pytest.importorskip("resource", reason="needs limits on the size of files")

CONTENT = bytes(range(256)) * 2000

WORK = """
import json, resource, sys, warnings
from pathlib import Path
import numpy as np
import spm
from spm import report
from spm._tools.download import retrieve
from spm._tools.files.rows import rows_to_file
from spm.detection import Objects, save_coco
from PIL import Image

folder, url, digest, limit = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
images = np.random.default_rng(0).integers(0, 256, (4, 96, 96), dtype=np.uint8)
many = [Objects([[1, 2, 30, 40]] * 300, ["dog"] * 300)] * 40
model = spm.KernelSVC(kernel="intersection").fit(np.random.default_rng(0).random((80, 1000)), np.arange(80) % 2)
paths = [folder / f"{k}.png" for k in range(40)]
if not limit or not paths[0].exists():
    for path in paths:
        Image.fromarray(images[0][:8, :8]).save(path)

def kept(memory):
    vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), memory=memory, random_state=0)
    return vec.fit_transform(images)

expected = kept(None)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
STEPS = {
    "model": lambda: spm.save(model, folder / "model.spm"),
    "vectors": lambda: rows_to_file(folder / "v.npy", range(100), lambda k: np.full(1500, k), made_by=1, n_values=1500,
                                    content=lambda k: b"%d" % k, dtype="float32", n_jobs=1),
    "page": lambda: report.write_page(folder / "page.html", "<p>" * 200_000),
    "annotations": lambda: save_coco(folder / "all.json", paths, many, folder=folder),
    "archive": lambda: retrieve({"name": "a.zip", "urls": [url], "hash": "sha256:" + digest}, folder / "data"),
}
found = {}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    right = bool(np.array_equal(kept(folder / "memory"), expected))
    found["cache"] = [right, sorted({str(warning.message)[-60:] for warning in told})]
for name, step in STEPS.items():
    try:
        step()
        found[name] = "done"
    except spm.SpmError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


class Archive(http.server.BaseHTTPRequestHandler):
    """Gives CONTENT, or what is left of it."""

    def do_GET(self):
        first = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(CONTENT[first:])

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a.zip"
    server.shutdown()
    server.server_close()


@contextmanager
def mounted(folder, options):
    """Mount a disk in memory there; give what mounts it anew with other options."""
    mount = shutil.which("mount")
    made = mount and subprocess.run([mount, "-t", "tmpfs", "-o", options, "none", folder], capture_output=True)
    if not made or made.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield lambda more: subprocess.run([mount, "-o", f"remount,{more}", folder], check=True, capture_output=True)
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(params=["limit", "tmpfs"])
def disk(request, tmp_path):
    """A folder in which files can have 300,000 bytes: each of them, or all together. And what gives them room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limit":
        yield folder, 60_000, lambda: None
        return
    with mounted(folder, "size=300k") as again:
        yield folder, 0, lambda: again("size=30m")


def work(folder, url, limit):
    command = [sys.executable, "-c", WORK, str(folder), url, hashlib.sha256(CONTENT).hexdigest(), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_full_disk_is_one_clear_error_and_nothing_is_torn(disk, url):
    folder, limit, make_room = disk
    full = work(folder, url, limit)
    right, told = full.pop("cache")
    assert right and all("they are made anew" in line for line in told)
    reason = "File too large" if limit else "No space left on device"
    assert {name: error for name, error in full.items() if reason not in error} == {}
    assert len(told) >= 1
    files = [path for path in folder.rglob("*") if path.is_file()]
    halves = {path.name for path in files if path.suffix not in (".png",) and "memory" not in path.parts}
    assert halves <= {"v.npy.rows", "a.zip.part"}  # from which the next call goes on
    make_room()
    right, told = (found := work(folder, url, 0)).pop("cache")
    assert right and told == [] and set(found.values()) == {"done"}
    assert (folder / "data" / "a.zip").read_bytes() == CONTENT
    assert list(folder.rglob("*part*")) == []


def test_a_disk_that_can_only_be_read_is_one_clear_error_and_what_is_there_is_read(tmp_path, url):
    with mounted(tmp_path, "size=30m") as again:
        assert {name for name, how in work(tmp_path, url, 0).items() if how == "done"} > {"model", "vectors"}
        again("ro")
        found = work(tmp_path, url, 1_000_000_000)
        assert found.pop("cache") == [True, []] and found.pop("archive") == "done"  # they are read
        assert {name: error for name, error in found.items() if "Read-only file system" not in error} == {}
