"""Files are written whole or not at all, by however many at once."""

import os
import stat
import threading

import pytest

import spm
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
