"""Vectors on disk: equal to those in memory, no finished one made again, whole however the process ended."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest

import spm
from spm._tools.files.rows import rows_to_file
from spm.errors import ImageError, SpmError

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 40, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def vec():
    return spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=0).fit(IMAGES[:6])


@pytest.fixture
def made(monkeypatch):
    """The images whose vectors were made, by their first pixels."""
    seen, make = [], spm.PyramidVectorizer._own_cells

    def watched(self, plan, views, image):
        seen.append(int(np.asarray(image).ravel()[0]) if not isinstance(image, str) else image)
        return make(self, plan, views, image)

    monkeypatch.setattr(spm.PyramidVectorizer, "_own_cells", watched)
    return seen


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_file_has_what_transform_returns(vec, tmp_path, n_jobs, dtype):
    vec = spm.PyramidVectorizer(**{**vec.get_params(deep=False), "n_jobs": n_jobs, "dtype": dtype}).fit(IMAGES[:6])
    found = vec.transform(IMAGES, out=tmp_path / "v.npy")
    assert isinstance(found, np.memmap) and not found.flags.writeable and found.dtype == dtype
    np.testing.assert_array_equal(found, vec.transform(IMAGES))
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), found)
    assert sorted(os.listdir(tmp_path)) == ["v.npy", "v.npy.rows"]


def test_processes_write_the_same(vec, tmp_path):
    expected = vec.transform(IMAGES[:8])
    with joblib.parallel_config(backend="loky", n_jobs=2):
        np.testing.assert_array_equal(vec.transform(list(IMAGES[:8]), out=tmp_path / "v.npy"), expected)


def test_nothing_that_is_finished_is_made_again(vec, tmp_path, made):
    path = tmp_path / "v.npy"
    first = np.array(vec.transform(IMAGES, out=path))
    assert len(made) == len(IMAGES)
    made.clear()
    before = os.stat(path).st_mtime_ns
    loaded = spm.load(spm.save(vec, tmp_path / "m.spm")).set_params(n_jobs=2)
    np.testing.assert_array_equal(loaded.transform(IMAGES, out=path), first)  # a loaded model is the same one
    assert made == [] and os.stat(path).st_mtime_ns == before


def test_a_run_that_failed_goes_on_where_it_was(vec, tmp_path, made):
    path, images = tmp_path / "v.npy", [*IMAGES]
    images[9] = "missing.jpg"
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        vec.transform(images, out=path)
    assert not path.exists() and len(made) == 9
    made.clear()
    np.testing.assert_array_equal(vec.transform(IMAGES, out=path), vec.transform(IMAGES))
    assert len(made) == 15 + len(IMAGES)  # and once more for what it is compared with


def test_changed_images_models_and_orders_are_made_anew(vec, tmp_path, made):
    path = tmp_path / "v.npy"
    vec.transform(IMAGES, out=path)
    made.clear()
    others = IMAGES.copy()
    others[[3, 7]] = IMAGES[[7, 3]]
    np.testing.assert_array_equal(vec.transform(others, out=path)[[3, 7]], vec.transform(IMAGES)[[7, 3]])
    assert len(made) == 2 + len(IMAGES)
    other = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=1).fit(IMAGES[:6])
    np.testing.assert_array_equal(other.transform(IMAGES, out=path), other.transform(IMAGES))
    shorter = vec.transform(IMAGES[:5], out=path)
    np.testing.assert_array_equal(shorter, vec.transform(IMAGES[:5]))


def test_rows_that_were_torn_are_made_anew(vec, tmp_path, made):
    """As a machine that lost its power may leave them: told to be finished, and not on the disk."""
    path = tmp_path / "v.npy"
    expected = np.array(vec.transform(IMAGES, out=path))
    content = bytearray(path.read_bytes())
    content[-10] ^= 1  # the last row
    content[200 + expected[0].nbytes] ^= 1  # the second
    path.write_bytes(content)
    made.clear()
    np.testing.assert_array_equal(vec.transform(IMAGES, out=path), expected)
    assert len(made) == 2


def test_other_files_of_that_name_are_replaced_when_all_is_there(vec, tmp_path):
    path = tmp_path / "v.npy"
    path.write_bytes(b"something else")
    with pytest.raises(ImageError):
        vec.transform([IMAGES[0], "missing.jpg"], out=path)
    assert path.read_bytes() == b"something else"
    assert vec.transform(IMAGES[:2], out=path).shape == (2, vec.n_features_out_)


def test_places_where_nothing_can_be_written_are_one_clear_error(vec, tmp_path):
    with pytest.raises(SpmError, match=r"v\.npy: the vectors cannot be written \(No such file"):
        vec.transform(IMAGES, out=tmp_path / "none" / "v.npy")
    with pytest.raises(SpmError, match=r"must be a file with the ending \.npy"):
        vec.transform(IMAGES, out=tmp_path / "v.zip")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpmError, match="cannot be written"):
        vec.transform(IMAGES, out=tmp_path / "file" / "v.npy")


def limited(path, size):
    """Write rows in a process that may write files of so many bytes at most, as on a disk that is full."""
    code = f"""
import resource, numpy as np
from spm.errors import SpmError
from spm._tools.files.rows import rows_to_file
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
try:
    rows_to_file({str(path)!r}, range(100), lambda k: np.full(1000, k), content=lambda k: b"%d" % k, n_jobs=1,
                 made_by=1, n_values=1000, dtype="float32")
except SpmError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_a_full_disk_is_said_at_the_start_and_leaves_nothing_torn(tmp_path):
    path = tmp_path / "v.npy"
    assert "the vectors cannot be written (File too large)" in limited(path, 100_000)
    assert os.listdir(tmp_path) == ["v.npy.rows"]
    assert limited(path, resource.RLIM_INFINITY) == ""
    np.testing.assert_array_equal(np.load(path)[:, 0], np.arange(100))


def test_two_that_write_one_file_do_so_one_after_the_other(tmp_path, caplog):
    path, made, found = tmp_path / "v.npy", [], []

    def make(k):
        made.append(k)
        time.sleep(0.01)
        return [k, k]

    def write():
        options = {"content": lambda k: b"%d" % k, "made_by": 1, "n_values": 2, "dtype": "float32", "n_jobs": 1}
        found.append(rows_to_file(path, range(30), make, **options))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == list(range(30)) and len(found) == 3  # those who came later found all there
    assert all(np.array_equal(table[:, 0], np.arange(30)) for table in found)
    assert "v.npy is in use by another process: waiting for it" in caplog.text


def test_killed_at_any_moment_it_ends_with_the_same_bytes(tmp_path):
    """The long form, 200 kills of every kind of run, is benchmarks/kills.py."""
    code = """
import sys, time, numpy as np
from spm._tools.files.rows import rows_to_file
print("ready", flush=True)
def make(k):
    time.sleep(0.002)
    return np.full(500, k)
rows_to_file(sys.argv[1], range(150), make, content=lambda k: b"%d" % k, n_jobs=2, made_by=1, n_values=500,
             dtype="float32")
"""
    run, path, kills = [sys.executable, "-c", code], tmp_path / "v.npy", 0
    for delay in (0.01, 0.06, 0.1):
        process = subprocess.Popen([*run, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert kills >= 2
    subprocess.run([*run, str(path)], check=True, timeout=120, capture_output=True)
    subprocess.run([*run, str(tmp_path / "w.npy")], check=True, timeout=120, capture_output=True)
    assert path.read_bytes() == (tmp_path / "w.npy").read_bytes()
    assert (tmp_path / "v.npy.rows").read_bytes() == (tmp_path / "w.npy.rows").read_bytes()
    assert len(os.listdir(tmp_path)) == 4
