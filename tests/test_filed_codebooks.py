"""Codebooks of descriptors in files: the bits that those in memory have, however the files are cut."""

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.frozen import FrozenEstimator

import spm
from spm.codebooks import kmeans as module
from spm.codebooks import source as _source
from spm.codebooks.kmeans import BLOCK, _accumulate, kmeans
from spm.codebooks.mixture import gaussian_mixture
from spm.codebooks.source import GROUP, Filed, Held, count_different, mean_and_variance
from spm.features.stream import DescriptorFiles

IMAGES = np.random.default_rng(1).integers(0, 256, (70, 48, 56), dtype=np.uint8)


def descriptors(n, depth=6, seed=0):
    random = np.random.default_rng(seed)
    middles = 4 * random.normal(size=(30, depth))
    return (middles[random.integers(30, size=n)] + random.normal(size=(n, depth))).astype(np.float32)


def filed(X, folder, cuts):
    """Write descriptors into files that begin anew at some places."""
    paths = []
    for i, part in enumerate(np.split(X, cuts)):
        paths.append(folder / f"{i}.npy")
        np.save(paths[-1], part)
    return DescriptorFiles(paths)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """Groups of two blocks of k-means, so that few descriptors make several."""
    monkeypatch.setattr(_source, "GROUP", 2 * BLOCK)


X = descriptors(5 * BLOCK + 700)
CUTS = {"one file": [], "at blocks": [BLOCK, 4 * BLOCK], "anywhere": [17, 17, 5000, 5001, 13_000, len(X)]}


@pytest.mark.parametrize("cuts", CUTS)
def test_kmeans_has_the_bits_that_it_has_in_memory(tmp_path, cuts):
    here, there = (
        kmeans(X, 40, random_state=0, n_init=2),  # more words than a short list has
        kmeans(filed(X, tmp_path, CUTS[cuts]), 40, random_state=0, n_init=2),
    )
    np.testing.assert_array_equal(here.centers, there.centers)
    assert (here.inertia, here.n_iter) == (there.inertia, there.n_iter)


def test_beyond_a_number_nothing_is_kept_of_each_descriptor(tmp_path, monkeypatch):
    """Every pass is then of all words, which is no worse; the bits are still the same."""
    cloud = np.random.default_rng(0).normal(size=(4 * BLOCK, 12)).astype(np.float32)
    listed = kmeans(cloud, 40, random_state=0)
    monkeypatch.setattr(module, "LISTED", 3 * BLOCK)
    here, there = (kmeans(Y, 40, random_state=0) for Y in (cloud, filed(cloud, tmp_path, [5000])))
    np.testing.assert_array_equal(here.centers, there.centers)
    assert not np.array_equal(here.centers, listed.centers)
    assert here.inertia == pytest.approx(listed.inertia, rel=0.005)
    assert _accumulate(cloud[:9], centers=here.centers, keep=False)[3] == []


@pytest.mark.parametrize("cuts", CUTS)
def test_mixtures_have_the_bits_that_they_have_in_memory(tmp_path, cuts):
    here, there = (gaussian_mixture(Y, 5, random_state=0) for Y in (X, filed(X, tmp_path, CUTS[cuts])))
    for name in ("weights", "means", "variances"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    start = gaussian_mixture(X, 5, max_iter=1, random_state=0)
    again = [gaussian_mixture(Y, 5, start=start, max_iter=3) for Y in (X, filed(X, tmp_path, CUTS[cuts]))]
    np.testing.assert_array_equal(again[0].means, again[1].means)


def test_the_bits_are_the_same_for_threads_and_processes(tmp_path):
    files = filed(X, tmp_path, [9000])
    expected = kmeans(X, 8, random_state=0).centers
    np.testing.assert_array_equal(kmeans(files, 8, random_state=0, n_jobs=2).centers, expected)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        np.testing.assert_array_equal(
            kmeans(files, 8, random_state=0, max_iter=3).centers, kmeans(X, 8, random_state=0, max_iter=3).centers
        )


def test_empty_clusters_start_again_at_the_same_descriptors(tmp_path):
    """Of few different descriptors most clusters lose theirs on the way."""
    random = np.random.default_rng(0)
    few = np.repeat(random.normal(size=(40, 3)), 300, axis=0)[random.permutation(12_000)].astype(np.float32)
    here, there = (kmeans(Y, 38, random_state=3).centers for Y in (few, filed(few, tmp_path, [100, 9000])))
    np.testing.assert_array_equal(here, there)


def test_too_few_different_descriptors_are_counted(tmp_path):
    few = np.tile(np.float32([[0, 1], [2, 3]]), (5000, 1))
    with pytest.raises(spm.SpmError, match="there are only 2 different"):
        kmeans(filed(few, tmp_path, [3]), 3, random_state=0)
    with pytest.raises(spm.SpmError, match="got n_samples=10000"):
        kmeans(filed(few, tmp_path, [3]), 10_001)
    assert count_different(Held(few, 1), 1, BLOCK) == 1


def test_means_and_variances_are_those_of_numpy_and_infinity_is_refused(tmp_path):
    for source in (Held(X, 2), Filed(filed(X, tmp_path, [5]), 1)):
        mean, variance = mean_and_variance(source, 1024)
        np.testing.assert_allclose(mean, X.mean(axis=0, dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(variance, X.var(axis=0, dtype=np.float64), rtol=1e-12)
    for bad in (np.nan, np.inf, -np.inf):
        worse = X.copy()
        worse[7000, 2] = bad
        with pytest.raises(spm.SpmError, match="finite"):
            kmeans(filed(worse, tmp_path, [5]), 4, random_state=0)


def test_some_rows_are_found_in_their_files(tmp_path):
    files = filed(X, tmp_path, CUTS["anywhere"])
    at = np.sort(np.random.default_rng(0).permutation(len(X))[:3000])
    np.testing.assert_array_equal(files.read(files.pieces(0, len(at), at)), X[at])
    np.testing.assert_array_equal(files.read(files.pieces(10, 20, at)), X[at[10:20]])
    np.testing.assert_array_equal(files.read(files.pieces(4999, 5003)), X[4999:5003])
    np.testing.assert_array_equal(Filed(files, 1).rows(at).values, X[at])


def test_what_travels_is_paths_and_sums(tmp_path, monkeypatch):
    """A task names files and rows, and comes back as the sums of its group."""
    sent, come = [], []

    def counted(function, items, **_):
        for item in items:
            sent.append(item[0])
            come.append(function(item))
            yield come[-1]

    monkeypatch.setattr(_source, "in_order", counted)
    kmeans(filed(X, tmp_path, [9000]), 8, random_state=0)
    assert GROUP % BLOCK == 0 and len(sent) > 6
    whole = [pieces for pieces in sent if isinstance(pieces[0][1], slice)]
    assert whole and all(isinstance(path, str) for pieces in sent for path, _ in pieces)
    assert all(rows.dtype == np.uint32 for pieces in sent for _, rows in pieces if not isinstance(rows, slice))
    sums = [found for found in come if isinstance(found, tuple) and np.shape(found[0]) == (8, 6)]
    assert sums


ENCODERS = {
    "BagOfWords": spm.BagOfWords(n_words=5, random_state=0),
    "LLC": spm.LLC(n_words=5, random_state=0),
    "VLAD": spm.VLAD(n_words=5, random_state=0),
    "SoftAssignment": spm.SoftAssignment(n_words=5, sigma=1.0, random_state=0),
    "FisherVector": spm.FisherVector(n_words=3, random_state=0),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_learn_from_files_what_they_learn_from_arrays(tmp_path, name):
    files = filed(X, tmp_path, [5000])
    here, there = (type(ENCODERS[name])(**ENCODERS[name].get_params()).fit(Y) for Y in (X, files))
    np.testing.assert_array_equal(here.transform(X[:50]), there.transform(X[:50]))
    assert there.n_features_in_ == 6


@pytest.mark.parametrize(
    "encoder",
    [
        spm.SoftAssignment(n_words=5),
        spm.BagOfWords(clusterer=KMeans(5)),
        spm.SparseCoding(n_words=5),
        spm.VLAD(n_words=5, local_pca=True),
        spm.VocabularyTree(branching=2, depth=2),
    ],
)
def test_what_learns_from_arrays_alone_says_so(tmp_path, encoder):
    with pytest.raises(spm.SpmError, match="are no array: BagOfWords, LLC"):
        encoder.fit(filed(X, tmp_path, [5000]))


def test_workers_write_the_descriptors_and_the_road_takes_what_was_learned(tmp_path):
    sift = spm.DenseSIFT()
    files = spm.write_descriptors(IMAGES, sift, tmp_path / "new", per_image=9, random_state=0, n_jobs=2)
    assert files.shape == (630, 128) and len(files.paths) == 2
    rows = files.read(files.pieces(0, 9))
    known = {row.tobytes() for row in sift.extract(IMAGES[0]).values}
    assert {row.tobytes() for row in rows} <= known and len({row.tobytes() for row in rows}) == 9
    everything = spm.write_descriptors(IMAGES[:3], sift, tmp_path / "all")
    np.testing.assert_array_equal(
        everything.read(everything.pieces(0, len(everything))),
        np.concatenate([sift.extract(image).values for image in IMAGES[:3]]),
    )
    for encoder in (spm.BagOfWords(n_words=4, random_state=0), spm.FisherVector(n_words=2, random_state=0)):
        vec = spm.PyramidVectorizer(encoder=FrozenEstimator(encoder.fit(files)), n_jobs=1)
        vectors = vec.fit_transform(IMAGES[:4])
        again = spm.load(spm.save(vec, tmp_path / "model.spm"))
        np.testing.assert_array_equal(again.transform(IMAGES[:4]), vectors)


@pytest.mark.parametrize("content", [b"", b"no array", np.zeros(3), np.zeros((3, 2), complex), np.array([[None]])])
def test_files_of_something_else_are_refused(tmp_path, content):
    path = tmp_path / "file.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(spm.SpmError, match=r"file\.npy is no \.npy file of descriptors"):
        DescriptorFiles([path])


def test_no_files_files_of_several_lengths_and_missing_ones_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    np.save(tmp_path / "b.npy", np.zeros((3, 4)))
    with pytest.raises(spm.SpmError, match="got no files"):
        DescriptorFiles([])
    with pytest.raises(spm.SpmError, match=r"got \[2, 4\]"):
        DescriptorFiles([tmp_path / "a.npy", tmp_path / "b.npy"])
    with pytest.raises(spm.SpmError, match=r"none\.npy is no"):
        DescriptorFiles([tmp_path / "none.npy"])
