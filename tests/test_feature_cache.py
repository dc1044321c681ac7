"""What is kept of local features: the same bits, in compact files, by a key made once a pass; never a broken one."""

import pickle
import warnings

import joblib
import numpy as np
import pytest

import spm
from spm import LocalFeatures
from spm.codebooks.nearest import Centres, nearest_words
from spm.features import cache
from spm.features.local import cells_of_map

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)


def same(one, other):
    assert [len(view) for view in one] == [len(view) for view in other]
    for a, b in zip(
        (local for view in one for local in view), (local for view in other for local in view), strict=True
    ):
        for name in ("values", "extents"):
            kept, made = getattr(a, name), getattr(b, name)
            assert kept.dtype == made.dtype and kept.flags.writeable and kept.flags.c_contiguous
            np.testing.assert_array_equal(kept, made)
        names = ("grid", "stride", "offset", "image_size", "mirrored")
        assert [getattr(a, name) for name in names] == [getattr(b, name) for name in names]


def spots(n, seed=0, values=np.float32):
    rng = np.random.default_rng(seed)
    at = rng.uniform(0, 9, (n, 2)).astype(np.float32)
    return LocalFeatures.points(rng.integers(0, 9, (n, 3)).astype(values), at, (10, 12))


def cells(**places):
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    return LocalFeatures(values, cells_of_map(2, 3), (2, 3), stride=(1 / 3, 0.7), image_size=(99, 101), **places)


MADE = {
    "sift": lambda: spm.DenseSIFT(patch_size=(12, 16), dtype="uint8").views(IMAGE),
    "one scale": lambda: spm.DenseSIFT().views(IMAGE),
    "census": lambda: spm.CensusTransform(shrink=(1, 3)).views(IMAGE),
    "some codes": lambda: spm.CensusTransform(extremes=False).views(IMAGE),
    "both sides": lambda: spm.Mirrored(spm.EdgePoints()).views(IMAGE),
    "blank": lambda: spm.EdgePoints().views(np.zeros((20, 20), np.uint8)),
    "a map": lambda: [(cells(),), (cells(mirrored=True, offset=(-1.5, np.float64(1 / 7))),)],
    "one row": lambda: [(LocalFeatures.points(np.ones((3, 1)), np.float32([[1, 2], [3, 2], [4, 2]]), (5, 5)),)],
    "one": lambda: [(spots(1), spots(5, 1, np.float64), spots(0, 2, np.int16))],
    "boxes of any kind": lambda: [(LocalFeatures(np.ones((2, 1)), np.float32([[0, 1, 2, 3], [1, 1, 4, 5]]), (9, 9)),)],
    "extents in float64": lambda: [(LocalFeatures(np.ones((2, 1)), np.array([[0, 1, 0, 1], [1, 1, 1, 1.0]]), (9, 9)),)],
    "grid of numpy's numbers": lambda: [(LocalFeatures(np.ones((1, 1)), np.zeros((1, 4)), tuple(np.int64([4, 4]))),)],
}


@pytest.mark.parametrize("name", MADE)
def test_views_come_back_as_they_were(tmp_path, name):
    made = MADE[name]()
    cache.write_entry(tmp_path / "ab" / "entry", made)
    same(cache.read_entry(tmp_path / "ab" / "entry"), made)
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["entry"]


def test_entries_are_compact(tmp_path):
    """Places on a lattice or a map are not kept: an entry is hardly larger than the values."""
    for name, views in (("sift", spm.DenseSIFT(dtype="uint8")), ("census", spm.CensusTransform())):
        made = views.views(np.tile(IMAGE, (4, 4)))
        cache.write_entry(tmp_path / name, made)
        n_bytes = sum(local.values.nbytes for view in made for local in view)
        assert (tmp_path / name).stat().st_size < n_bytes + 4096


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["cut", "zeros", "noise"])
def test_what_is_broken_is_made_anew(tmp_path, share, kind):
    views = cache.remembering_views(spm.DenseSIFT(), tmp_path)
    made = views(IMAGE)
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    content = path.read_bytes()
    at = int(share * 600)  # in the head
    path.write_bytes(content[:at] + {"cut": b"", "zeros": bytes(600 - at), "noise": b"\xff" * (600 - at)}[kind])
    same(views(IMAGE), made)
    assert path.read_bytes() == content


def test_where_nothing_can_be_kept_a_warning_says_so(tmp_path):
    (tmp_path / "spm").write_bytes(b"")  # a file in the place of the folder
    views = cache.remembering_views(spm.DenseSIFT(), tmp_path)
    with pytest.warns(UserWarning, match="features cannot be kept"):
        same(views(IMAGE), spm.DenseSIFT().views(IMAGE))


@pytest.mark.parametrize("kind", ["path", "memory"])
def test_a_hit_makes_nothing_and_the_key_is_made_once_a_pass(tmp_path, monkeypatch, kind):
    asked, made = [], []
    views_of, print_of = spm.DenseSIFT.views, cache.fingerprint_of
    monkeypatch.setattr(spm.DenseSIFT, "views", lambda self, image: made.append(1) or views_of(self, image))
    monkeypatch.setattr(cache, "fingerprint_of", lambda maker: asked.append(1) or print_of(maker))
    memory = tmp_path if kind == "path" else joblib.Memory(tmp_path, verbose=0)
    vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=3), memory=memory, random_state=0)
    images = [IMAGE, IMAGE[::-1], IMAGE[:, ::-1]]
    vectors = vec.fit_transform(images)
    assert (len(asked), len(made)) == (2, 3)  # the sample's pass and the vectors'
    np.testing.assert_array_equal(vec.transform(images), vectors)
    assert (len(asked), len(made)) == (3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(vec.set_params(memory=None).transform(images), vectors)


def test_what_remembers_goes_to_other_processes(tmp_path):
    views = pickle.loads(pickle.dumps(cache.remembering_views(spm.DenseSIFT(), tmp_path)))
    same(views(IMAGE), views(IMAGE))


# What an encoder needs of its words


def test_assignment_in_blocks_is_assignment(monkeypatch):
    rng = np.random.default_rng(0)
    X, words = rng.normal(size=(500, 8)).astype(np.float32), rng.normal(size=(40, 8)).astype(np.float32)
    nearest = np.square(X[:, None].astype(float) - words).sum(axis=2).argmin(axis=1)
    for products, rows in ((2**21, 1024), (4000, 1), (1, 7), (1, 1)):
        monkeypatch.setattr("spm.codebooks.nearest.PRODUCTS", products)
        monkeypatch.setattr("spm.codebooks.nearest.LEAST_ROWS", rows)
        np.testing.assert_array_equal(nearest_words(X, words), nearest)
        np.testing.assert_array_equal(nearest_words(X, Centres.of(words)), nearest)
    assert nearest_words(X[:0], words).shape == (0,)


@pytest.mark.parametrize("encoder", [spm.BagOfWords(n_words=4), spm.SparseCoding(n_words=4), spm.VLAD(n_words=4)])
def test_what_is_kept_beside_the_words_follows_them_and_is_never_saved(tmp_path, encoder):
    X = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    fitted = encoder.set_params(random_state=0).fit(X)
    codes = fitted.transform(X)
    assert "_of_words" in vars(fitted)
    for copy in (pickle.loads(pickle.dumps(fitted)), spm.load(spm.save(fitted, tmp_path / "encoder.spm"))):
        assert "_of_words" not in vars(copy)
        np.testing.assert_array_equal(copy.transform(X), codes)
    fitted.words_ = np.ascontiguousarray(fitted.words_[::-1])
    np.testing.assert_allclose(abs(fitted.transform(X)).sum(), abs(codes).sum(), rtol=1e-4)
    assert not np.array_equal(fitted.transform(X), codes)
