"""Files are written whole or not at all, by however many at once."""

import hashlib
import http.server
import os
import stat
import threading
import time

import pytest

import spm
from spm._tools.download import retrieve
from spm._tools.files import write_whole


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
