"""Data sets: folders, train lists, generated sets, downloads from a server that breaks off, errs or is not there."""

import hashlib
import io
import os
import re
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import requests
from sklearn.cluster import KMeans
from sklearn.svm import LinearSVC

from spm import datasets
from spm._tools import download
from spm._tools.image_files import image_suffixes
from spm.datasets import archives, fetch, layouts, listing, voc
from spm.errors import SpmError


def _data_home():
    return Path(os.environ.get("SPM_DATA") or Path(__file__).resolve().parents[1].parent / "shared" / "data")


def needs(part):
    reason = f"{part} is not under {_data_home()}: set SPM_DATA to the folder that holds it"
    return pytest.mark.skipif(not (_data_home() / part).exists(), reason=reason)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


# Folders and train lists


def test_lists_images_by_class_in_order(tmp_path):
    names = ["b/2.JPG", "b/10.webp", "b/deep/er/1.tiff", "a/1.jpeg", "a/notes.txt", "a/.hidden.jpg", "loose.jpg"]
    touch(tmp_path, *names, ".DS_Store", ".ipynb_checkpoints/1.jpg", "__MACOSX/1.jpg", "b/.thumbs/1.jpg")
    images = datasets.load_folder(tmp_path)
    assert images.data == [str(tmp_path / name) for name in ("a/1.jpeg", "b/10.webp", "b/2.JPG", "b/deep/er/1.tiff")]
    assert images.target.tolist() == [0, 1, 1, 1] and images.target.dtype.kind == "i"
    assert images.target_names == ["a", "b"]
    assert "4 images in 2 classes" in images.DESCR
    assert datasets.load_folder(str(tmp_path)).data == images.data


def reasons(images):
    return {os.path.relpath(path, images.folder): reason for path, reason in images.skipped}


def test_every_kind_of_file_that_is_read_is_listed(tmp_path):
    names = [f"a/{i:02d}{suffix}" for i, suffix in enumerate(sorted(image_suffixes()))]
    names += [name.replace("a/", "b/").upper() for name in names]
    images = datasets.load_folder(touch(tmp_path, *names))
    assert images.data == [str(tmp_path / name) for name in sorted(names)] and images.skipped == []
    assert {".avif", ".jfif", ".jpe", ".pgm", ".ppm", ".jp2"} <= {os.path.splitext(name)[1] for name in names}


def test_what_is_left_out_is_listed_with_the_reason_and_named_once(tmp_path, caplog):
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "b/deep/2.jpg", "c/x.txt", "loose.png", "readme.md")
    touch(tmp_path, "a/notes.txt", "a/1.jpg.xmp", "a/film.mpg", "a/print.eps", "a/no suffix", "a/._1.jpg")
    touch(tmp_path, "@eaDir/a/SYNOFILE_THUMB_M.jpg", "a/@eaDir/1.jpg/SYNOFILE_THUMB_XL.jpg", "b/.@__thumb/1.jpg")
    touch(tmp_path, "#recycle/old.jpg", "b/@__thumb/1.jpg", "b/deep/__MACOSX/2.jpg", "b/Thumbs.db", ".git/x.png")
    images = datasets.load_folder(tmp_path, exclude_empty=True)
    assert images.data == [str(tmp_path / name) for name in ("a/1.jpg", "b/1.jpg", "b/deep/2.jpg")]
    folders = ["@eaDir", "a/@eaDir", "b/.@__thumb", "#recycle", "b/@__thumb", "b/deep/__MACOSX", ".git"]
    others = ["a/notes.txt", "a/1.jpg.xmp", "a/film.mpg", "a/print.eps", "a/no suffix", "readme.md", "c/x.txt"]
    assert reasons(images) == {
        **dict.fromkeys(folders, listing.HIDDEN_FOLDER),
        **dict.fromkeys(others, listing.OTHER),
        **dict.fromkeys(["a/._1.jpg", "b/Thumbs.db"], listing.HIDDEN_FILE),
        "loose.png": listing.BESIDE,
        "c": listing.EMPTY,
    }
    (record,) = caplog.records
    said = record.getMessage()
    assert record.levelname == "WARNING" and said.startswith(f"{tmp_path}: left out 18: ")
    assert "7 hidden folder, or the system's own (#recycle, .git, @eaDir, ...)" in said
    assert "1 class folder without images (c)" in said and "1 in no class folder (loose.png)" in said


def test_nothing_is_said_of_a_clean_folder_nor_loudly_of_hidden_files(tmp_path, caplog):
    caplog.set_level("INFO")
    assert datasets.load_folder(touch(tmp_path, "a/1.jpg", "b/1.jpg")).skipped == [] and caplog.records == []
    assert len(datasets.load_folder(touch(tmp_path, ".DS_Store", "a/Thumbs.db")).skipped) == 2
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_an_empty_class_says_what_was_left_out_of_it(tmp_path):
    with pytest.raises(SpmError, match=r"class folder b .*left out there: 1 no image by its extension \(b/1\.txt\)"):
        datasets.load_folder(touch(tmp_path, "a/1.jpg", "a/2.txt", "b/1.txt"))


@pytest.fixture
def link(tmp_path):
    def link(name, target):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.symlink(target, tmp_path / name)
        except OSError:
            pytest.skip("this system makes no links")

    return link


def test_links_are_followed(tmp_path, link):
    touch(tmp_path, "store/x/1.jpg", "store/x/deep/2.jpg", "store/y/3.jpg", "set/a/0.jpg")
    link("set/a/more", tmp_path / "store" / "x")
    link("set/b", tmp_path / "store" / "y")
    link("set/b/4.jpg", tmp_path / "store" / "x" / "1.jpg")
    images = datasets.load_folder(tmp_path / "set")
    names = ["a/0.jpg", "a/more/1.jpg", "a/more/deep/2.jpg", "b/3.jpg", "b/4.jpg"]
    assert images.data == [str(tmp_path / "set" / name) for name in names]
    assert images.target.tolist() == [0, 0, 0, 1, 1] and images.skipped == []


def test_links_that_lead_back_are_not_followed(tmp_path, link):
    touch(tmp_path, "set/a/1.jpg", "set/b/deep/2.jpg", "other/3.jpg")
    for name, target in {
        "set/a/itself": "itself",
        "set/a/here": ".",
        "set/a/up": "..",
        "set/a/top": "/",
        "set/self": ".",
        "set/above": "..",
        "set/b/deep/up": "..",
        "set/b/other": "../../other",
        "other/back": ".",
        "other/far": "../set/b",
        "other/gone": "nowhere",
    }.items():
        link(name, target)
    images = datasets.load_folder(tmp_path / "set")
    assert images.data == [str(tmp_path / "set" / name) for name in ("a/1.jpg", "b/deep/2.jpg", "b/other/3.jpg")]
    assert reasons(images) == {
        "a/itself": listing.OTHER,
        **dict.fromkeys(["a/here", "a/up", "a/top", "self", "above", "b/deep/up", "b/other/back"], listing.BACK),
        "b/other/far": listing.TWICE,
        "b/other/gone": listing.OTHER,
    }


def test_a_folder_that_two_links_lead_to_is_listed_once_and_by_its_own_path(tmp_path, link):
    touch(tmp_path, "a/real/1.jpg", "a/real/deep/2.jpg", "out/3.jpg")
    link("a/0", "real")
    link("a/1", tmp_path / "out")
    link("a/2", tmp_path / "out")
    link("a/real/9", "deep")
    images = datasets.load_folder(tmp_path, exclude_empty=True)
    assert [os.path.relpath(path, tmp_path / "a") for path in images.data[:3]] == [
        "1/3.jpg",
        "real/1.jpg",
        "real/deep/2.jpg",
    ]
    assert {name for name, reason in reasons(images).items() if reason == listing.TWICE} == {"a/0", "a/2", "a/real/9"}


def test_many_links_to_one_another_are_followed_once_each(tmp_path, link):
    for i in range(14):
        touch(tmp_path, f"set/all/f{i}/{i}.jpg")
        for j in range(14):
            link(f"set/all/f{i}/to{j}", f"../f{j}")
    assert len(datasets.load_folder(tmp_path / "set").data) == 14


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch, caplog):
    touch(tmp_path, "a/1.jpg", "a/closed/2.jpg", "b/3.jpg")
    real = os.scandir

    def scandir(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    images = datasets.load_folder(tmp_path)
    assert len(images.data) == 2
    assert reasons(images) == {"a/closed": f"{listing.UNREADABLE} (Permission denied)"}
    assert "folder that cannot be read (Permission denied) (a/closed)" in caplog.text
    with pytest.raises(SpmError, match=r"closed: the folder cannot be read \(Permission denied\)"):
        datasets.load_folder(tmp_path / "a" / "closed")


def test_one_class_is_enough(tmp_path):
    assert datasets.load_folder(touch(tmp_path, "a/1.png")).target.tolist() == [0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["1.jpg", "2.png"],
            "2 images lie directly in it; wanted is one sub-folder for each class: .*cats/1.jpg.*",
        ),
        (["readme.txt"], "no images in it; wanted is"),
        (["a/1.jpg", "b/1.txt", "c/.2.jpg"], "no images in the class folders b, c .*exclude_empty=True"),
    ],
)
def test_says_what_is_wrong_with_a_folder(tmp_path, names, message):
    with pytest.raises(SpmError, match=message):
        datasets.load_folder(touch(tmp_path, *names))


def test_a_folder_named_with_a_slash_is_told_with_one(tmp_path):
    with pytest.raises(SpmError, match=f": {re.escape(str(tmp_path))}/cats/1.jpg"):
        datasets.load_folder(f"{touch(tmp_path, '1.jpg')}/")
    with pytest.raises(SpmError, match=r"or a table with a file and its label in each row: .*--labels FILE$"):
        datasets.load_folder(tmp_path)


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    with pytest.raises(SpmError, match="no such folder"):
        datasets.load_folder(tmp_path / "nowhere")
    with pytest.raises(SpmError, match="is a file, not a folder"):
        datasets.load_folder(touch(tmp_path, "a.zip") / "a.zip")


def test_empty_classes_can_be_left_out(tmp_path):
    images = datasets.load_folder(touch(tmp_path, "a/1.txt", "b/1.jpg"), exclude_empty=True)
    assert images.target_names == ["b"] and images.target.tolist() == [0]


def listed(tmp_path, text):
    images = datasets.load_folder(touch(tmp_path / "set", "a/1.jpg", "a/2.jpg", "b/c/1.jpg", "b/2.jpg"))
    (tmp_path / "train.txt").write_text(text, encoding="utf-8")
    return datasets.read_train_list(tmp_path / "train.txt", images)


def test_listed_images_train_and_the_others_test(tmp_path):
    train, test = listed(tmp_path, "\ufeff# chosen\n\nb/c/1.jpg\r\n  ./a/2.jpg\n")
    assert (train.tolist(), test.tolist()) == ([1, 3], [0, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/1.jpg\n\na/9.jpg\n", "line 3: there is no image 'a/9.jpg' in .*set"),
        ("a/1.jpg\nb/2.jpg\na/1.jpg\n", "line 3: 'a/1.jpg' was listed before, on line 1"),
        ("# nothing\n", "lists 0 of 4 images"),
        ("a/1.jpg\na/2.jpg\nb/2.jpg\nb/c/1.jpg\n", "lists 4 of 4 images.*left to test"),
    ],
)
def test_says_what_is_wrong_with_a_list(tmp_path, text, message):
    with pytest.raises(SpmError, match=message):
        listed(tmp_path, text)


def test_a_missing_list_and_a_list_that_is_no_text_are_refused(tmp_path):
    images = datasets.load_folder(touch(tmp_path, "a/1.jpg", "a/2.jpg"))
    with pytest.raises(SpmError, match="No such file"):
        datasets.read_train_list(tmp_path / "train.txt", images)
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpmError, match="not text in UTF-8"):
        datasets.read_train_list(tmp_path / "train.txt", images)


NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("there", "listed_as"), [(NFC, NFD), (NFD, NFC)])
def test_a_list_may_write_accents_otherwise_than_the_folder(tmp_path, there, listed_as):
    images = datasets.load_folder(touch(tmp_path / "set", f"{there}/{there} 1.jpg", f"{there}/2.jpg"))
    (tmp_path / "train.txt").write_text(f"{listed_as}/{listed_as} 1.jpg\n", encoding="utf-8")
    train, test = datasets.read_train_list(tmp_path / "train.txt", images)
    assert [images.data[i].endswith("1.jpg") for i in (*train, *test)] == [True, False]
    (tmp_path / "train.txt").write_text(f"{NFC}/2.jpg\n{NFD}/2.jpg\n", encoding="utf-8")
    with pytest.raises(SpmError, match=f"line 2: '{NFD}/2.jpg' was listed before, on line 1"):
        datasets.read_train_list(tmp_path / "train.txt", images)


def test_names_that_differ_in_this_alone_are_told_apart(tmp_path):
    images = datasets.load_folder(touch(tmp_path / "set", f"a/{NFC}.jpg", f"a/{NFD}.jpg", "a/\u212b.jpg"))
    if len(images.data) < 3:
        pytest.skip("this file system takes them for the same")
    for name in (NFC, NFD):
        (tmp_path / "train.txt").write_text(f"a/{name}.jpg\n", encoding="utf-8")
        ((train,), _) = datasets.read_train_list(tmp_path / "train.txt", images)
        assert images.data[train].endswith(f"{name}.jpg")
    touch(tmp_path / "set", "a/\u00c5.jpg", "a/A\u030a.jpg")
    images = datasets.load_folder(tmp_path / "set")
    os.remove(tmp_path / "set" / "a" / "\u00c5.jpg")
    images = datasets.load_folder(tmp_path / "set")
    (tmp_path / "train.txt").write_text("a/\u00c5.jpg\n", encoding="utf-8")
    with pytest.raises(SpmError, match="2 of the same letters, written differently"):
        datasets.read_train_list(tmp_path / "train.txt", images)


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_a_list_of_names_that_are_not_utf_8(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    for name in (b"caf\xe9.jpg", b"th\xe9.jpg", b"x\x85y.jpg", "a\u2028b.jpg".encode()):
        try:
            open(os.path.join(os.fsencode(tmp_path), b"set", b"a", name), "wb").close()
        except OSError:
            pytest.skip("this file system takes no such names")
    images = datasets.load_folder(tmp_path / "set")
    (tmp_path / "train.txt").write_bytes(b"a/caf\xe9.jpg\r\na/x\x85y.jpg\n" + "a/a\u2028b.jpg".encode())
    train, test = datasets.read_train_list(tmp_path / "train.txt", images)
    assert [os.path.basename(os.fsencode(images.data[i])) for i in test] == [b"th\xe9.jpg"] and len(train) == 3


# Sets made here


def test_digits_are_enlarged_and_halved_by_class():
    from sklearn.datasets import load_digits

    digits = datasets.load_digit_images(size=40)
    assert digits.data.shape == (1797, 40, 40) and digits.data.dtype == np.uint8
    grey = load_digits().images * 255 / 16
    assert np.abs(digits.data[:, 2::5, 2::5] - grey).max() <= 1  # the middles of the enlarged pixels
    assert sorted([*digits.train, *digits.test]) == list(range(1797))
    gap = np.bincount(digits.target[digits.test]) - np.bincount(digits.target[digits.train])
    assert set(gap) <= {0, 1}
    assert digits.train[:5].tolist() == [3, 5, 7, 8, 9]
    assert digits.target_names == list("0123456789")


def test_layouts_come_in_halves_and_repeat_for_a_seed():
    scenes = datasets.make_layouts(5, size=48, n_classes=4)
    assert scenes.data.shape == (20, 48, 48, 3) and scenes.data.dtype == np.uint8
    assert np.bincount(scenes.target[scenes.train]).tolist() == [2] * 4
    assert np.bincount(scenes.target[scenes.test]).tolist() == [3] * 4
    assert np.array_equal(scenes.data, datasets.make_layouts(5, size=48, n_classes=4).data)
    assert not np.array_equal(scenes.data, datasets.make_layouts(5, size=48, n_classes=4, random_state=1).data)
    assert len(np.unique(scenes.data.reshape(20, -1), axis=0)) == 20


def test_arrangements_differ_and_the_first_eight_have_the_same_neighbours():
    rings = layouts.arrangements()
    assert len(set(rings)) == 24 and all(sorted(ring) == sorted(datasets.MATERIALS) for ring in rings)
    for group in (rings[:8], rings[8:16], rings[16:]):
        assert len({frozenset(frozenset((ring[i - 1], ring[i])) for i in range(4)) for ring in group}) == 1
    for half in (rings[:4], rings[4:8]):  # every material at every corner once
        assert all(len(set(corner)) == 4 for corner in zip(*half, strict=True))
    assert len(datasets.make_layouts(2, size=32, n_classes=24).target_names) == 24


def test_reserved_boxes_are_half_of_each_photograph_and_never_shown(monkeypatch):
    import sklearn.datasets

    whole = {name: sklearn.datasets.load_sample_image(name) for name in datasets.RESERVED_BOXES}
    spoiled = {name: image.copy() for name, image in whole.items()}
    for name, (x0, y0, x1, y1) in datasets.RESERVED_BOXES.items():
        height, width = whole[name].shape[:2]
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        assert (x1 - x0) * (y1 - y0) >= height * width / 2
        spoiled[name][y0:y1, x0:x1] = np.random.RandomState(0).randint(256, size=(y1 - y0, x1 - x0, 3))
    for name, (a0, b0, a1, b1) in datasets.MATERIALS.values():
        x0, y0, x1, y1 = datasets.RESERVED_BOXES[name]
        assert min(a1, x1) <= max(a0, x0) or min(b1, y1) <= max(b0, y0)
    scenes = datasets.make_layouts(6, size=64)
    monkeypatch.setattr(sklearn.datasets, "load_sample_image", spoiled.__getitem__)
    assert np.array_equal(datasets.make_layouts(6, size=64).data, scenes.data)


def test_layouts_are_dark_to_a_bag_and_clear_to_a_pyramid():
    scenes = datasets.make_layouts(24, size=64)
    blocks = scenes.data.reshape(len(scenes.data), 8, 8, 8, 8, 3).astype(float)  # image, row, y, column, x, colour
    local = np.concatenate([blocks.mean(axis=(2, 4)), blocks.std(axis=(2, 4))], axis=-1)
    words = KMeans(24, n_init=1, random_state=0).fit_predict(local.reshape(-1, 6)).reshape(-1, 8, 8)
    counts = np.eye(24)[words]
    bag = counts.mean(axis=(1, 2))
    quarters = counts.reshape(-1, 2, 4, 2, 4, 24).mean(axis=(2, 4)).reshape(len(bag), -1)

    def accuracy(vectors):
        model = LinearSVC(C=10, random_state=0).fit(vectors[scenes.train], scenes.target[scenes.train])
        return model.score(vectors[scenes.test], scenes.target[scenes.test])

    assert accuracy(bag) < 2 / 8
    assert accuracy(quarters) > 5 / 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: datasets.make_layouts(1), "n_per_class"),
        (lambda: datasets.make_layouts(2, size=16), "size"),
        (lambda: datasets.make_layouts(2, n_classes=25), "at most 24"),
        (lambda: datasets.load_digit_images(size=4), "size"),
    ],
)
def test_options_out_of_range_are_refused(make, message):
    with pytest.raises(SpmError, match=message):
        make()


# Downloads


class Server(ThreadingHTTPServer):
    """Serves `content` at every address; `breaks` lists after how many bytes each of the next answers breaks off."""

    def __init__(self, content, breaks=(), ranges=True):
        self.content, self.breaks, self.ranges, self.asked = content, list(breaks), ranges, []
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted, size = self.headers.get("Range"), len(self.server.content)
        self.server.asked.append(wanted)
        if self.path == "/missing":
            return self.send_error(404)
        start = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        if start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        end = start + self.server.breaks.pop(0) if self.server.breaks else size
        self.wfile.write(self.server.content[start:end])

    def log_message(self, *args):
        pass


CONTENT = np.random.RandomState(0).bytes(400_000)


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(*args, **options):
        servers.append(Server(*args, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


NOWHERE = "http://127.0.0.1:9/file"


def archive_of(content, *urls, name="set.zip", **more):
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "urls": list(urls) or [NOWHERE], "hash": f"sha256:{digest}", "inner": [], **more}


def test_a_broken_download_goes_on_where_it_broke_off(tmp_path, serve):
    server = serve(CONTENT, breaks=[150_000, 100_000])
    loader = download.ResumableDownloader(tmp_path / "file.part", wait=0)
    loader(server.url)
    assert (tmp_path / "file.part").read_bytes() == CONTENT
    starts = [int(asked[6:-1]) for asked in server.asked[1:]]
    assert server.asked[0] is None and len(starts) == 2 and 0 < starts[0] < starts[1]


def test_a_later_call_goes_on_too(tmp_path, serve):
    server = serve(CONTENT, breaks=[200_000])
    with pytest.raises(requests.RequestException):
        download.ResumableDownloader(tmp_path / "file.part", retries=0)(server.url)
    kept = (tmp_path / "file.part").stat().st_size
    assert 0 < kept <= 200_000
    download.ResumableDownloader(tmp_path / "file.part")(server.url)
    assert server.asked[1] == f"bytes={kept}-" and (tmp_path / "file.part").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(tmp_path, serve):
    server = serve(CONTENT, breaks=[200_000], ranges=False)
    download.ResumableDownloader(tmp_path / "file.part", wait=0)(server.url)
    assert len(server.asked) == 2 and (tmp_path / "file.part").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more"], ids=["whole", "too long"])
def test_a_part_that_is_whole_is_taken_and_one_too_long_dropped(tmp_path, serve, part):
    (tmp_path / "file.part").write_bytes(part)
    download.ResumableDownloader(tmp_path / "file.part")(serve(CONTENT).url)
    assert (tmp_path / "file.part").read_bytes() == CONTENT


def test_a_connection_that_always_drops_is_given_up(tmp_path, serve):
    server = serve(CONTENT, breaks=[100_000] + [0] * 10)
    with pytest.raises(requests.RequestException):
        download.ResumableDownloader(tmp_path / "file.part", retries=3, wait=0)(server.url)
    assert len(server.asked) == 4


def test_retrieves_by_the_next_address_and_keeps_what_is_there(tmp_path, serve):
    bad, good = serve(b"an error page"), serve(CONTENT)
    archive = archive_of(CONTENT, good.url.replace("/file", "/missing"), bad.url, good.url)
    assert download.retrieve(archive, tmp_path).read_bytes() == CONTENT
    assert len(good.asked) == 2
    download.retrieve(archive, tmp_path)
    assert len(good.asked) == 2
    assert os.listdir(tmp_path) == ["set.zip"]


def test_a_wrong_hash_is_an_error_and_the_file_is_removed(tmp_path, serve):
    with pytest.raises(SpmError, match="another hash and was removed"):
        download.retrieve(archive_of(CONTENT, serve(CONTENT[::-1]).url), tmp_path)
    assert os.listdir(tmp_path) == []


def test_without_a_network_the_error_says_what_to_do(tmp_path, serve):
    with pytest.raises(SpmError) as caught:
        download.retrieve(archive_of(CONTENT), tmp_path)
    for wanted in (NOWHERE, "cannot be reached", str(tmp_path / "set.zip"), "SPM_DATA", "data_home", "sha256:"):
        assert wanted in str(caught.value)
    (tmp_path / "set.zip").write_bytes(CONTENT[:100])
    with pytest.raises(SpmError, match="What lies there has another hash"):
        download.retrieve(archive_of(CONTENT), tmp_path)


def test_data_home_is_the_argument_then_the_variable_then_the_cache(monkeypatch):
    monkeypatch.setenv("SPM_DATA", "/some/where")
    assert datasets.get_data_home("~/sets") == Path.home() / "sets"
    assert datasets.get_data_home() == Path("/some/where")
    monkeypatch.delenv("SPM_DATA")
    assert datasets.get_data_home().name == "spm"


# Archives


def tarred(members, mode="w", kind=tarfile.REGTYPE):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "/etc/hosts"
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("filters", [True, False], ids=["filter", "own check"])
@pytest.mark.parametrize("name", ["../out.jpg", "a/../../out.jpg", "/out.jpg", "link"])
def test_nothing_lands_outside_the_folder(tmp_path, monkeypatch, filters, name):
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    elif not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no tarfile filters")
    kind = tarfile.SYMTYPE if name == "link" else tarfile.REGTYPE
    (tmp_path / "a.tar").write_bytes(tarred({name: b""}, kind=kind))
    (tmp_path / "a.zip").write_bytes(zipped({name: b""}))
    (tmp_path / "in").mkdir()
    if not (filters and name == "/out.jpg"):  # the filter takes the leading slash off and goes on
        with pytest.raises(SpmError, match="cannot be unpacked"):
            archives.unpack(tmp_path / "a.tar", tmp_path / "in")
    if name != "link":
        with pytest.raises(SpmError, match="would land outside"):
            archives.unpack(tmp_path / "a.zip", tmp_path / "in")
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "a.zip", "in"]
    assert not os.path.exists("/out.jpg")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_a_damaged_archive_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(SpmError, match="cannot be unpacked"):
        archives.unpack(tmp_path / name, tmp_path)


# Public sets

SCENES = ["MITcoast", "CALsuburb", "PARoffice", "livingroom"]


def register(monkeypatch, key, **more):
    registry = fetch.read_registry()
    registry[key].update(more)
    monkeypatch.setattr(fetch, "read_registry", lambda: registry)


def test_every_hash_of_the_registry_is_documented():
    registry = fetch.read_registry()
    for archive in [archive for entry in registry.values() for archive in entry["archives"]]:
        assert re.fullmatch("md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", archive["hash"])
        assert archive["hash_source"] and all(url.startswith("http") for url in archive["urls"])
    assert len(set(registry["scene15"]["classes_by_number"])) == 15


def test_scene15_is_downloaded_once_and_gets_its_usual_names(tmp_path, monkeypatch, serve):
    content = zipped({f"{name}/image_{i:04d}.jpg": b"x" for name in SCENES for i in (2, 1)})
    server = serve(content, breaks=[200])
    register(monkeypatch, "scene15", archives=[archive_of(content, server.url, name="scene_categories.zip")])
    with pytest.raises(SpmError, match=r"15-Scene is not under .* download=False.*Or: .*figshare"):
        datasets.fetch_scene15(data_home=tmp_path / "new", download=False)
    for _ in range(2):
        images = datasets.fetch_scene15(data_home=tmp_path / "new")
        assert images.target_names == ["Coast", "LivingRoom", "Office", "Suburb"]
        folders = [Path(path).parent.name for path in images.data[::2]]
        assert folders == ["MITcoast", "livingroom", "PARoffice", "CALsuburb"]
        assert images.data[0] == str(tmp_path / "new/scene15/MITcoast/image_0001.jpg")
        assert images.target.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert sorted(os.listdir(tmp_path / "new")) == ["scene15", "scene_categories.zip"]
    assert (tmp_path / "new/scene15").stat().st_mode & 0o050 == (tmp_path / "new").stat().st_mode & 0o050


def test_an_archive_placed_by_hand_needs_no_network(tmp_path, monkeypatch):
    content = zipped({f"{name}/1.jpg": b"x" for name in SCENES})
    register(monkeypatch, "scene15", archives=[archive_of(content, name="scene_categories.zip")])
    (tmp_path / "scene_categories.zip").write_bytes(content)
    (tmp_path / "scene15").mkdir()
    assert len(datasets.fetch_scene15(data_home=tmp_path, download=False).data) == 4


def test_numbered_scene_folders_laid_by_hand_are_named(tmp_path):
    touch(tmp_path, *(f"scene15/15-Scene/{number:02d}/1.jpg" for number in range(15)))
    images = datasets.fetch_scene15(data_home=tmp_path, download=False)
    assert images.target_names == sorted(fetch.read_registry()["scene15"]["classes_by_number"])
    assert [Path(path).parent.name for path in images.data[:3]] == ["00", "05", "06"]  # Bedroom, Coast, Forest


def test_an_archive_without_class_folders_is_refused(tmp_path, monkeypatch):
    content = zipped({"readme.txt": b"x"})
    register(monkeypatch, "scene15", archives=[archive_of(content, name="scene_categories.zip")])
    (tmp_path / "scene_categories.zip").write_bytes(content)
    with pytest.raises(SpmError, match="does not hold the expected folders of 15-Scene"):
        datasets.fetch_scene15(data_home=tmp_path)
    assert os.listdir(tmp_path) == ["scene_categories.zip"]


def test_caltech101_is_unpacked_twice_and_comes_without_its_background(tmp_path, monkeypatch, serve):
    names = ["101_ObjectCategories/" + name for name in ("ant/image_0001.jpg", "bass/image_0001.jpg")]
    names += ["101_ObjectCategories/BACKGROUND_Google/" + name for name in ("image_0001.jpg", "tmp")]
    inner = tarred(dict.fromkeys(names, b"x"), mode="w:gz")
    content = zipped(
        {
            "caltech-101/101_ObjectCategories.tar.gz": inner,
            "__MACOSX/caltech-101/._101_ObjectCategories.tar.gz": b"x",
            "caltech-101/Annotations.tar": b"x",
        }
    )
    archive = archive_of(content, serve(content).url, name="caltech-101.zip", inner=["101_ObjectCategories.tar.gz"])
    register(monkeypatch, "caltech101", archives=[archive])
    assert datasets.fetch_caltech101(data_home=tmp_path).target_names == ["ant", "bass"]
    whole = datasets.fetch_caltech101(data_home=tmp_path, background=True, download=False)
    assert whole.target_names == ["BACKGROUND_Google", "ant", "bass"]
    assert whole.target.tolist() == [0, 1, 2]


def annotation(*objects):
    corners = "<xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>60</ymax>"
    texts = [
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{corners}</bndbox>"
        "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for name, difficult in objects
    ]
    return f"<annotation>{''.join(texts)}</annotation>".encode()


def devkit(split, **images):
    members = {f"Annotations/{name[1:]}.xml": annotation(*objects) for name, objects in images.items()}
    members |= {f"JPEGImages/{name[1:]}.jpg": b"x" for name in images}
    members[f"ImageSets/Main/{split}.txt"] = "".join(f"{name[1:]}\n" for name in images).encode()
    return tarred({f"VOCdevkit/VOC2007/{name}": content for name, content in members.items()})


def test_voc2007_gives_labels_boxes_and_what_is_difficult(tmp_path, monkeypatch, serve):
    trainval = devkit("trainval", _000001=[("dog", 0), ("dog", 1), ("cat", 1)], _000002=[])
    test = devkit("test", _000003=[("tvmonitor", 0)])
    server = serve(trainval)
    first = archive_of(trainval, server.url, name="trainval.tar", splits=["train", "val", "trainval"])
    register(monkeypatch, "voc2007", archives=[first, archive_of(test, name="test.tar", splits=["test"])])
    images = datasets.fetch_voc2007(data_home=tmp_path)
    assert images.ids == ["000001", "000002"]
    assert images.data[0] == str(tmp_path / "voc2007/VOC2007/JPEGImages/000001.jpg")
    assert images.boxes[0].tolist() == [[10, 20, 30, 60]] * 3 and images.boxes[1].shape == (0, 4)
    assert [images.target_names[label] for label in images.labels[0]] == ["dog", "dog", "cat"]
    assert images.difficult[0].tolist() == [False, True, True]
    dog, cat = images.target_names.index("dog"), images.target_names.index("cat")
    assert images.target.shape == (2, 20) and np.argwhere(images.target).tolist() == [[0, dog]]
    assert np.argwhere(images.ignored).tolist() == [[0, cat]]
    with pytest.raises(SpmError, match="the split 'test' of PASCAL VOC 2007 is not under"):
        datasets.fetch_voc2007("test", data_home=tmp_path, download=False)
    (tmp_path / "test.tar").write_bytes(test)
    assert datasets.fetch_voc2007("test", data_home=tmp_path).ids == ["000003"]  # beside what is there
    assert datasets.fetch_voc2007("trainval", data_home=tmp_path).ids == images.ids
    assert len(server.asked) == 1
    with pytest.raises(SpmError, match="choose one of 'train', 'val', 'trainval', 'test'"):
        datasets.fetch_voc2007("dev", data_home=tmp_path)


@pytest.mark.parametrize("text", [annotation(("unicorn", 0)), b"<annotation>", annotation(("dog", 0))[:-30]])
def test_a_broken_annotation_is_named(tmp_path, text):
    (tmp_path / "000001.xml").write_bytes(text)
    with pytest.raises(SpmError, match=r"000001\.xml is not an annotation"):
        voc.read_annotation(tmp_path / "000001.xml")


@needs("scene15")
def test_scene15_as_published_is_used_in_place(monkeypatch):
    monkeypatch.setattr(download, "retrieve", None)
    images = datasets.fetch_scene15(data_home=_data_home())
    assert len(images.data) == 4485 and len(images.target_names) == 15
    assert np.bincount(images.target).tolist()[:3] == [216, 360, 328]  # Bedroom, Coast, Forest
    if (_data_home() / "scene15_fixed_train.txt").exists():
        train, test = datasets.read_train_list(_data_home() / "scene15_fixed_train.txt", images)
        assert np.bincount(images.target[train]).tolist() == [100] * 15 and len(test) == 2985


@needs("voc2007")
def test_voc2007_boxes_lie_in_their_images():
    from PIL import Image

    images = datasets.fetch_voc2007(data_home=_data_home(), download=False)
    assert images.target.shape == (len(images.data), 20) and (images.target | images.ignored).any(axis=1).all()
    assert min(boxes.min() for boxes in images.boxes) == 0  # no pixel off at the left and top
    for path, boxes in list(zip(images.data, images.boxes, strict=True))[::25]:
        width, height = Image.open(path).size
        assert (boxes[:, :2] < boxes[:, 2:]).all() and (boxes[:, 2:] <= [width, height]).all()
