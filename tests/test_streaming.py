"""Streaming: the batches are all the descriptors, each once, the same for every number of workers."""

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.frozen import FrozenEstimator

import spm
from spm import ImageError, SpmError, stream_descriptors
from spm.features.stream import _batched

IMAGES = np.random.default_rng(0).integers(0, 256, (19, 40, 48), dtype=np.uint8)
SIFT = spm.DenseSIFT()
EACH = [SIFT.extract(image).values.astype(np.float32) for image in IMAGES]
N = sum(map(len, EACH))


def rows(parts):
    """Return the rows of all parts as a sorted list: a multiset that can be compared."""
    return sorted(map(tuple, np.concatenate(parts).tolist()))


def stream(images=IMAGES, features=SIFT, **options):
    return list(stream_descriptors(images, features, **{"random_state": 0, **options}))


@pytest.mark.parametrize("batch_size", [1, 7, N - 1, N, 10 * N])
def test_the_batches_are_all_descriptors_each_once(batch_size):
    batches = stream(batch_size=batch_size)
    assert rows(batches) == rows(EACH)
    assert all(batch.dtype == np.float32 and batch.shape[1] == 128 for batch in batches)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (max(N // batch_size, 1) - 1)


def test_a_batch_is_never_too_small():
    for n in range(3, 40):
        sizes = [len(batch) for batch in _batched(iter(np.split(np.ones((n, 1)), [1, min(9, n)])), 3)]
        assert sum(sizes) == n and set(sizes[:-1]) <= {3} and 3 <= sizes[-1] < 6
    assert list(_batched(iter([]), 3)) == []


def test_images_come_in_random_order_each_whole():
    parts = np.split(np.concatenate(stream()), np.cumsum([len(EACH[0])] * 18))  # all are of one size
    order = [next(i for i in range(19) if np.array_equal(part, EACH[i])) for part in parts]
    assert sorted(order) == list(range(19)) and order != list(range(19))
    assert not np.array_equal(np.concatenate(stream(random_state=1)), np.concatenate(parts))


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_the_same_for_every_number_of_workers(n_jobs):
    one, more = stream(batch_size=50, per_image=9), stream(batch_size=50, per_image=9, n_jobs=n_jobs)
    assert len(one) == len(more) and all(map(np.array_equal, one, more))


def test_per_image_draws_so_many_different_ones_of_each_image():
    parts = np.split(np.concatenate(stream(per_image=4)), 19)
    drawn = [[i for i in range(19) if set(rows([part])) <= set(rows([EACH[i]]))] for part in parts]
    assert sorted(drawn) == [[i] for i in range(19)]
    assert all(len(np.unique(part, axis=0)) == 4 for part in parts)
    assert rows(stream(per_image=10**6)) == rows(EACH)


def test_a_layer_is_taken_of_several_views_together():
    class Layered(spm.DenseSIFT):
        def views(self, image):
            made = lambda part: super(Layered, self).views(part)[0][0]  # noqa: E731
            return [(made(image[:16]), made(part)) for part in (image, image[:, ::-1].copy())]

    both = [view[1].values for image in IMAGES for view in Layered().views(image)]
    assert rows(stream(features=Layered(), layer=1)) == rows(both)
    with pytest.raises(SpmError, match="layer=2 but the features have 2: count from 0"):
        stream(features=Layered(), layer=2)


def test_no_more_images_are_read_than_are_needed():
    read = []

    class Counting(spm.DenseSIFT):
        def views(self, image):
            read.append(1)
            return super().views(image)

    images = np.concatenate([IMAGES] * 10)
    batches = stream_descriptors(images, Counting(), batch_size=10, random_state=0)
    assert read == []
    next(batches)
    batches.close()
    assert len(read) < 100


def test_an_image_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photograph")
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        stream([IMAGES[0], str(tmp_path / "bad.jpg")])


@pytest.mark.parametrize("option", ["batch_size", "per_image", "layer"])
def test_wrong_options_are_refused_at_once(option):
    with pytest.raises(SpmError, match=f"{option} must be .* got -1"):
        stream_descriptors(IMAGES, SIFT, **{option: -1})


def test_a_codebook_is_learned_batch_by_batch():
    words = MiniBatchKMeans(8, n_init=1, random_state=0)
    for batch in stream(batch_size=100):
        words.partial_fit(batch)
    encoder = spm.BagOfWords(clusterer=FrozenEstimator(words))
    vec = spm.PyramidVectorizer(encoder=encoder, pyramid=spm.SpatialPyramid(levels=(1,)), norm=None)
    counts = vec.fit_transform(IMAGES)
    assert np.array_equal(vec.encoder_.words_, words.cluster_centers_.astype(np.float32))
    expected = [np.bincount(words.predict(values), minlength=8) for values in EACH]
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), expected / np.sum(expected, axis=1)[:, None])
