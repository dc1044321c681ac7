"""Files are written whole or not at all, by however many at once."""

import hashlib
import http.server
import os
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import spm
from spm._tools.download import retrieve
from spm._tools.files import left, write_whole
from spm.features.cache import read_entry, write_entry


def test_an_old_file_stays_until_the_new_one_is_there(tmp_path, monkeypatch):
    path = write_whole(tmp_path / "a", b"old", "it")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(spm.SpmError, match=r"a: it cannot be saved \(No space left on device\)"):
        write_whole(path, b"new", "it")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_threads_that_save_to_one_path_do_not_break_each_other(tmp_path):
    contents = [bytes([k]) * 200_000 for k in range(3)]
    errors = []

    def save(content):
        try:
            for _ in range(15):
                write_whole(tmp_path / "model", content, "the model")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and os.listdir(tmp_path) == ["model"]
    assert (tmp_path / "model").read_bytes() in contents


def test_permissions_are_those_of_the_file_that_was_there_or_of_any_new_one(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    (tmp_path / "private").write_bytes(b"")
    os.chmod(tmp_path / "private", 0o600)
    mode = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "private")}
    for name in ("plain", "private", "new"):
        write_whole(tmp_path / name, b"x", "it")
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "private")} == mode
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == mode["plain"]


def test_no_folder_is_one_clear_error(tmp_path):
    with pytest.raises(spm.SpmError, match="it cannot be saved"):
        write_whole(tmp_path / "none" / "a", b"", "it")


LEFT = """
import sys, time
from pathlib import Path
from spm._tools.files import left, own_folder, write_whole
def write(file):
    file.write(b"half")
    file.flush()
    print("writes", flush=True)
    time.sleep(600)
with own_folder(sys.argv[1], "unpacking") as folder:
    (folder / "content").write_bytes(b"half")
    write_whole(Path(sys.argv[1]) / "model", write, "the model")
"""


@pytest.mark.skipif(os.name == "nt", reason="nothing is removed on Windows")
def test_what_killed_processes_left_goes_with_the_next_writer_and_what_live_ones_write_stays(tmp_path, monkeypatch):
    processes = [subprocess.Popen([sys.executable, "-c", LEFT, str(tmp_path)], stdout=subprocess.PIPE) for _ in "12"]
    try:
        for process in processes:
            assert process.stdout.readline() == b"writes\n"
        (tmp_path / f".other.0a1b2c3d.00000000{left.END}").write_bytes(b"of another machine")
        (tmp_path / ".mine.part").write_bytes(b"of another program")
        strangers = {path.name for path in tmp_path.iterdir() if not path.name.endswith(left._end())}
        assert len(os.listdir(tmp_path)) == 2 * 2 + len(strangers)

        def written():
            monkeypatch.setattr(left, "_looked", {})  # as in a new process
            write_whole(tmp_path / "page", b"whole", "the page")
            return set(os.listdir(tmp_path)) - strangers - {"page"}

        both = written()
        assert len(both) == 4  # they live
        processes[0].kill()
        processes[0].wait()
        one = written()
        assert one < both and len(one) == 2
        processes[1].kill()
        processes[1].wait()
        write_whole(tmp_path / "page", b"whole", "the page")
        assert one < set(os.listdir(tmp_path))  # a process looks once a minute
        assert written() == set()
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_file_that_is_cleared_away_before_it_is_held_is_made_anew(tmp_path, monkeypatch):
    """Whoever clears up can come between the making of a file and its lock."""
    taken, lock = [], left.lock_of_the_system

    def late(handle, wait):
        if not taken:
            taken.extend(os.listdir(tmp_path))
            os.unlink(tmp_path / taken[0])
        return lock()[0](handle, wait)

    monkeypatch.setattr(left, "lock_of_the_system", lambda: (late, None))
    assert write_whole(tmp_path / "a", b"whole", "it").read_bytes() == b"whole"
    assert len(taken) == 1 and os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="nothing is removed on Windows")
@pytest.mark.parametrize("before", ["open", "_holds"])
def test_a_folder_that_is_cleared_away_before_it_is_held_is_made_anew(tmp_path, monkeypatch, before):
    """Whoever clears up can come before the new folder is opened, and before it is locked."""
    home, taken = (os, "open") if before == "open" else (left, "_holds"), []
    follows = getattr(*home)

    def late(*args, **options):
        if not taken:
            taken.extend(os.listdir(tmp_path))
            os.rmdir(tmp_path / taken[0])
        return follows(*args, **options)

    monkeypatch.setattr(*home, late)
    with left.own_folder(tmp_path, "a") as folder:
        assert folder.is_dir() and folder.name not in taken and len(taken) == 1
    assert os.listdir(tmp_path) == []


def test_where_there_are_no_locks_files_are_written_and_nothing_is_cleared(tmp_path, monkeypatch):
    handle, part = left.own_file(tmp_path, "a")
    os.close(handle)

    def none(handle, wait):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(left, "lock_of_the_system", lambda: (none, None))
    monkeypatch.setattr(left, "_looked", {})
    write_whole(tmp_path / "a", b"whole", "it")
    assert set(os.listdir(tmp_path)) == {"a", part.name}


def test_entries_can_be_read_by_others_as_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_entry(tmp_path / "ab" / "entry", np.eye(2))
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ab/entry")}
    assert len(modes) == 1 and read_entry(tmp_path / "ab" / "entry").tolist() == [[1, 0], [0, 1]]


def test_a_read_only_folder_is_one_clear_error(tmp_path):
    """Held for a user whom permissions bind; to root every folder is open."""
    os.chmod(tmp_path, 0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("no folder is closed to this user")
        with pytest.raises(spm.SpmError, match=r"a: it cannot be saved \(Permission denied\)"):
            write_whole(tmp_path / "a", b"x", "it")
        assert os.listdir(tmp_path) == []
    finally:
        os.chmod(tmp_path, 0o700)


class Slow(http.server.BaseHTTPRequestHandler):
    """Gives a file in pieces, with time between them for others to come."""

    content, asked = bytes(range(256)) * 2000, []

    def do_GET(self):
        self.asked.append(self.headers.get("Range"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        for start in range(0, len(self.content), 64_000):
            self.wfile.write(self.content[start : start + 64_000])
            time.sleep(0.02)

    def log_message(self, *_):
        pass


def test_several_that_fetch_one_archive_at_once_bring_it_once(tmp_path):
    """They would share one part file, and each write into the other's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    digest = hashlib.sha256(Slow.content).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/a.zip"
    found, errors = [], []

    def fetch():
        try:
            found.append(retrieve({"name": "a.zip", "urls": [url], "hash": f"sha256:{digest}"}, tmp_path).read_bytes())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.shutdown()
    server.server_close()
    assert errors == [] and found == [Slow.content] * 4
    assert Slow.asked == [None] and os.listdir(tmp_path) == ["a.zip"]
