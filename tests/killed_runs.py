"""Runs that may be killed: what each does in a folder, what it must leave there, and one that kills them.

Each is a function of a folder that is called again, by another process, until it ends; what it then leaves, told by
`outcome`, must be what an undisturbed one leaves. Processes are forked from one that has imported all, so that a kill
falls into the work and not into imports.
"""

import hashlib
import http.server
import importlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import sklearn.svm  # noqa: F401
from PIL import Image

import spm
from spm import cli
from spm._tools.download import retrieve
from spm._tools.files import write_whole
from spm._tools.files.rows import digest_of
from spm.detection import Objects, RegionDetector, SlidingWindows
from spm.evaluation import comparison, protocols

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 64, 64), dtype=np.uint8)
LABELS = np.arange(40) % 2
CONTENT = np.random.default_rng(1).bytes(600_000)


def small(**options):
    return spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=8), random_state=0, n_jobs=2, **options)


def vectors(folder):
    """Features are kept, and vectors written into a file."""
    vec = small(memory=folder / "memory").fit(IMAGES[:10])
    vec.transform(IMAGES, out=folder / "vectors.npy")


def model(folder):
    """A model is fitted and saved, over the one of before."""
    vec = small().fit(IMAGES[:10])
    for _ in range(5):
        spm.save(vec, folder / "model.spm")


def detection(folder):
    """A detector learns, and keeps how far it is."""
    boxes = [Objects([[4 + k, 6, 36 + k, 40]], ["ab"[k % 2]]) for k in range(6)]
    detector = RegionDetector(
        vectorizer=spm.PyramidVectorizer(
            encoder=spm.BagOfWords(n_words=6), pyramid=spm.SpatialPyramid(levels=(1,)), norm=None
        ),
        proposals=SlidingWindows(scales=(0.5,), aspects=(1.0,), stride=0.5),
        random_state=0,
        memory=folder / "memory",
    )
    spm.save(detector.fit(list(IMAGES[:6]), boxes), folder / "detector.spm")


def network(folder):
    """A network learns, and keeps every epoch."""
    from spm.nn import SPPNetClassifier

    options = {"sizes": (24,), "levels": (1, 2), "batch_size": 4, "device": "cpu", "random_state": 0}
    learned = SPPNetClassifier(trunk="small", epochs=4, checkpoint=folder / "run.pt", **options)
    state = learned.fit(list(IMAGES[:8]), LABELS[:8]).state_
    write_whole(folder / "state", digest_of(state), "what was learned")


def page(folder):
    """Presets are compared, and a page is written about them, by the command."""
    shutil.copytree(folder.parent / "photos", folder / "photos", dirs_exist_ok=True)
    options = ["--presets", "lazebnik2006,vlad2010", "--set", "n_words=6"]
    options += ["--n-train", "4", "--splits", "1", "--jobs", "1"]
    with fixed_figures():
        command = ["compare", str(folder / "photos"), *options, "--report", str(folder / "page.html")]
        if cli.main(command):
            raise SystemExit(1)


@contextmanager
def fixed_figures():
    """Let each piece of work take one second and no memory, since what it takes differs from run to run."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            self.now += 1
            return self.now

    before, protocols.time = protocols.time, Clock()
    figures, comparison._figures = comparison._figures, lambda result: {**figures(result), "peak_mb": 1.0}
    try:
        yield
    finally:
        protocols.time, comparison._figures = before, figures


def download(folder):
    """An archive is brought, continued where it broke off."""
    url = (folder.parent / "url").read_text()
    digest = hashlib.sha256(CONTENT).hexdigest()
    retrieve({"name": "a.zip", "urls": [url], "hash": f"sha256:{digest}"}, folder)


RUNS = {run.__name__: run for run in (vectors, model, detection, download, page, network)}
NEEDS = {"page": ("matplotlib.pyplot", "spm.report._evidence"), "network": ("torch._dynamo", "spm.nn")}
"""What is imported before the first kill: torch loads the first with the first optimizer, for seconds."""


def can(run):
    """Import what a run needs, and say whether it is there."""
    try:
        for name in NEEDS.get(run, ()):
            importlib.import_module(name)
    except ImportError:
        return False
    return True


def outcome(folder):
    """Return a digest of each file that a run has left; of a model that of what it is, since it tells when it was made.

    A page tells its time and its folder, a checkpoint how many seconds each epoch took: those are left out.
    """
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".spm":
            content = digest_of(spm.load(path))
        elif path.suffix == ".html":
            content = re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC", b"", content.replace(bytes(folder), b""))
        elif path.suffix == ".pt":
            content = b""
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


# Killing


def start(run, folder):
    """Start a run in a process of its own; return its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        said = os.open(folder.parent / f"{folder.name}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        RUNS[run](folder)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(child, seconds=None):
    """Wait for a process; kill it after some seconds; return whether it came to its end."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        found, status = os.waitpid(child, 0 if deadline is None else os.WNOHANG)
        if found:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            deadline = None
        else:
            time.sleep(0.002)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if status:
        raise AssertionError(f"a run fails, with status {status}")
    return True


def undisturbed(run, home):
    """Return what a run leaves, and its seconds."""
    folder = home / f"{run}-undisturbed"
    folder.mkdir()
    began = time.monotonic()
    try:
        ended(start(run, folder))
    except AssertionError as error:
        raise AssertionError((home / f"{folder.name}.txt").read_text()) from error
    return outcome(folder), time.monotonic() - began


def killed(run, home, seconds, random, most=None):
    """Kill a run at random moments, `most` times at most, and start it again until it ends; return kills, outcome."""
    folder, kills = Path(tempfile.mkdtemp(prefix=f"{run}-", dir=home)), 0
    while True:
        last = most is not None and kills >= most
        try:
            if ended(start(run, folder), None if last else random.uniform(0, 1.1 * seconds)):
                return kills, outcome(folder)
        except AssertionError as error:
            raise AssertionError((home / f"{folder.name}.txt").read_text()) from error
        kills += 1


def together(run, home):
    """Let two processes do one run in one folder at once; return what they leave."""
    folder = home / f"{run}-together"
    folder.mkdir()
    for child in [start(run, folder) for _ in range(2)]:
        ended(child)
    return outcome(folder)


@contextmanager
def prepared(home):
    """Lay photographs there, and give CONTENT slowly, in ranges, in a process of its own; `url` says where."""
    for k, image in enumerate(IMAGES[:16]):
        place = home / "photos" / "ab"[k % 2] / f"{k}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    child = os.fork()
    if not child:
        serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
        (home / "url.part").write_text(f"http://127.0.0.1:{serving.server_port}/a.zip")
        os.replace(home / "url.part", home / "url")
        try:
            serving.serve_forever()
        finally:
            os._exit(0)
    try:
        while not (home / "url").exists():
            time.sleep(0.01)
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


class Slow(http.server.BaseHTTPRequestHandler):
    """Gives what is asked for in pieces."""

    def do_GET(self):
        first = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        with suppress(ConnectionError):  # whoever asked was killed
            for begin in range(first, len(CONTENT), 30_000):
                self.wfile.write(CONTENT[begin : min(begin + 30_000, len(CONTENT))])
                time.sleep(0.02)

    def log_message(self, *_):
        pass


def main(home, most, *runs):
    """Kill each of the runs so many times; print how often each was killed, and whether it ends as an undisturbed one,
    and whether two at once do.
    """
    random, found = np.random.default_rng(0), {}
    with prepared(home):
        for run in runs:
            expected, seconds = undisturbed(run, home)
            kills, left = killed(run, home, seconds / 2, random, most)  # early, since an undisturbed one was the first
            found[run] = [kills, left == expected, together(run, home) == expected]
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
