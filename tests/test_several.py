"""Several pyramids in one pass: what each vectorizer makes by itself, from one codebook and one look at each image."""

from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import spm
from spm import SpmError
from spm.evaluation import comparison, protocols
from spm.features.local import LocalFeatures
from spm.pyramid import pyramid as pooling
from spm.pyramid.pyramid import plan_of
from spm.pyramid.several import fit_transform_pyramids, transform_pyramids

RANDOM = np.random.default_rng(0)
STRIPES = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (48, 6))
IMAGES = [(STRIPES if i % 2 else STRIPES.T) + RANDOM.integers(0, 90, (48, 48), dtype=np.uint8) for i in range(10)]
LABELS = np.array(["across", "down"] * 5)
SWEEP = [(1,), (1, 2, 4), (2, (3, 1)), (4, 2, 1), (1, 1)]

encoders = {
    "none": None,
    "words": spm.BagOfWords(n_words=6),
    "soft": spm.SoftAssignment(n_words=6),
    "fisher": spm.FisherVector(n_words=3),
    "vlad": spm.VLAD(n_words=4),
}


def pyramid(levels, **options):
    return spm.SpatialPyramid(levels=levels, **options)


def vectorizer(levels=(1, 2), encoder="words", **options):
    own = {"pyramid": pyramid(levels), "encoder": encoders[encoder], "random_state": 0}
    return spm.PyramidVectorizer(**{**own, **options})


class Counted(spm.DenseSIFT):
    """Dense SIFT that counts how often each image is described."""

    seen: ClassVar[Counter] = Counter()

    def views(self, image):
        Counted.seen[image.tobytes()] += 1
        return super().views(image)


@pytest.fixture(autouse=True)
def forget():
    Counted.seen = Counter()


# --- pooling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boxes", [None, [[0, 0, 20, 30], [8, 4, 48, 48], [1, 1, 2, 2]]])
@pytest.mark.parametrize("size", [0, 3])
def test_several_pyramids_are_pooled_as_each_by_itself(boxes, size):
    low = RANDOM.uniform(0, 45, (60, 2)).astype(np.float32)
    local = LocalFeatures(RANDOM.random((60, 5), np.float32), np.hstack([low, low + size]), grid=(48, 48))
    pyramids = [pyramid(levels, pool=how) for levels in SWEEP for how in ("sum", "mean", "max")]
    together = plan_of(pyramids).cells(local, boxes)
    assert len(together) == len(pyramids) == 15
    for own, cells in zip(pyramids, together, strict=True):
        np.testing.assert_allclose(cells, own.cells(local, boxes), rtol=1e-5, atol=1e-6)


def test_levels_in_common_are_pooled_once(monkeypatch):
    pooled = []

    class Watched(pooling.Pooler):
        def pool(self, regions, levels):
            pooled.append((self.how, levels.grids.tolist()))
            return super().pool(regions, levels)

    monkeypatch.setattr(pooling, "Pooler", Watched)
    local = spm.DenseSIFT().extract(IMAGES[0])
    plan_of([pyramid((1,)), pyramid((1, 2)), pyramid((2, 1)), pyramid((1,), pool="max")]).cells(local)
    assert pooled == [("sum", [[1, 1], [2, 2]]), ("max", [[1, 1]])]


def test_a_plan_is_made_once_for_equal_pyramids():
    assert plan_of([pyramid((1, 2)), pyramid(((1, 1),))]) is plan_of([pyramid([1, (2, 2)]), pyramid((1,))])
    assert plan_of([pyramid((1, 2))]) is not plan_of([pyramid((1, 2), weights=None)])


# --- one vectorizer, several pyramids ---------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_over", ["vector", "cell"])
@pytest.mark.parametrize("encoder", encoders)
def test_vectors_of_a_sweep_are_those_of_each_pyramid_by_itself(encoder, norm_over):
    options = {"encoder": encoder, "norm": "l2", "norm_over": norm_over, "reduce": PCA(8)}
    sweep = [pyramid(levels, weights=weights) for levels in SWEEP for weights in ("lazebnik", None)]
    fitted = vectorizer(**options).fit(IMAGES)
    near = 2e-4 if encoder == "fisher" else 1e-5  # it takes differences of sums, which joined cells round otherwise
    for own, vectors in zip(sweep, fitted.transform_pyramids(IMAGES[:4], sweep), strict=True):
        alone = vectorizer(own.levels, **options).set_params(pyramid=own).fit(IMAGES).transform(IMAGES[:4])
        np.testing.assert_allclose(vectors, alone, atol=near)
        assert vectors.dtype == np.float32


def test_a_sweep_over_views_and_layers():
    network = spm.presets.spp2014(flip=True)[0].features
    options = {"encoder": "none", "features": network, "norm": "l2"}
    images = [np.dstack([image] * 3) for image in IMAGES[:3]]
    sweep = [pyramid((1,), pool="max"), pyramid((1, 3), pool="mean")]
    fitted = vectorizer(**options).fit(images)
    for own, vectors in zip(sweep, fitted.transform_pyramids(images, sweep), strict=True):
        alone = vectorizer(**options).set_params(pyramid=own).fit_transform(images)
        np.testing.assert_allclose(vectors, alone, atol=1e-6)


def test_a_sweep_leaves_the_vectorizer_as_it_was():
    fitted = vectorizer(dtype="float16").fit(IMAGES)
    before = fitted.transform(IMAGES)
    assert [vectors.dtype for vectors in fitted.transform_pyramids(IMAGES, [pyramid((1,)), None])] == [np.float16] * 2
    assert fitted.transform_pyramids(IMAGES, []) == []
    np.testing.assert_array_equal(fitted.transform(IMAGES), before)
    np.testing.assert_array_equal(fitted.transform_pyramids(IMAGES, (pyramid((1, 2)),))[0], before)


def test_a_sweep_describes_each_image_once():
    fitted = vectorizer(features=Counted()).fit(IMAGES)
    Counted.seen.clear()
    fitted.transform_pyramids(IMAGES, [pyramid(levels) for levels in SWEEP])
    assert len(Counted.seen) == len(IMAGES) and set(Counted.seen.values()) == {1}


def test_what_is_no_sweep_is_refused():
    fitted = vectorizer().fit(IMAGES)
    with pytest.raises(SpmError, match="pyramids must be a sequence of SpatialPyramid, got SpatialPyramid"):
        fitted.transform_pyramids(IMAGES, pyramid((1,)))
    with pytest.raises(SpmError, match=r"pyramid=\(1, 2\) cannot be used"):
        fitted.transform_pyramids(IMAGES, [(1, 2)])
    with pytest.raises(SpmError, match="levels must be a sequence"):
        fitted.transform_pyramids(IMAGES, [pyramid(4)])
    with pytest.raises(NotFittedError):
        vectorizer().transform_pyramids(IMAGES, [pyramid((1,))])


# --- sums and products of kernels -------------------------------------------------------------------------------------


def combined(levels=(1, 2), kind=spm.KernelSum, **options):
    """A sum of kernels of words and of means, all with these levels."""
    parts = [("words", vectorizer(levels, **options)), ("means", vectorizer(levels, "none", norm="l2", **options))]
    return kind(parts, kernels=["intersection", "linear"])


@pytest.mark.parametrize("kind", [spm.KernelSum, spm.KernelProduct])
def test_kernels_of_a_sweep_are_those_of_each_pyramid_by_itself(kind):
    sweep = [pyramid(levels) for levels in SWEEP]
    both = combined(kind=kind)
    grams = both.fit_transform_pyramids(IMAGES, sweep)
    new = both.transform_pyramids(IMAGES[:3], sweep)
    for own, gram, other, length in zip(sweep, grams, new, map(both.n_values, sweep), strict=True):
        alone = combined(own.levels, kind).fit(IMAGES)
        np.testing.assert_allclose(gram, alone.fit_transform(IMAGES), rtol=1e-5)
        np.testing.assert_allclose(other, alone.transform(IMAGES[:3]), rtol=1e-5)
        assert length == alone.n_values() == own.n_cells * (6 + 128)


def test_a_pyramid_for_each_part_and_the_parts_own():
    both = combined((4,))
    items = [[pyramid((1,)), pyramid((1, 2))], [None, pyramid((2,))], None]
    grams = both.fit_transform_pyramids(IMAGES, items)
    parts = dict(both.vectorizers)
    for (of_words, of_means), gram in zip([((1,), (1, 2)), ((4,), (2,)), ((4,), (4,))], grams, strict=True):
        parts["words"].set_params(pyramid=pyramid(of_words))
        parts["means"].set_params(pyramid=pyramid(of_means))
        alone = spm.KernelSum([(name, clone(part)) for name, part in parts.items()], kernels=both.kernels)
        np.testing.assert_allclose(gram, alone.fit_transform(IMAGES), rtol=1e-5)


def test_each_part_looks_once_at_each_image_for_all_pyramids():
    both = combined(features=Counted())
    both.fit_transform_pyramids(IMAGES, [pyramid(levels) for levels in SWEEP])
    assert Counter(Counted.seen.values()) == {3: 9, 4: 1}  # words learn from all, means look at one, both at all again
    Counted.seen.clear()
    both.transform_pyramids(IMAGES, [pyramid((1,)), pyramid((4, 2, 1))])
    assert set(Counted.seen.values()) == {2}


def test_a_fit_with_one_pyramid_has_no_training_vectors_with_another():
    both = combined((1, 2)).fit(IMAGES)
    np.testing.assert_array_equal(both.transform_pyramids(IMAGES[:2], [pyramid((1, 2))])[0], both.transform(IMAGES[:2]))
    with pytest.raises(SpmError, match=r"no training vectors with .*levels=\(4,\).*fit_transform_pyramids"):
        both.transform_pyramids(IMAGES[:2], [pyramid((4,))])
    with pytest.raises(SpmError, match="one for all 2 vectorizers or one for each"):
        both.fit_transform_pyramids(IMAGES, [[pyramid((1,))]])


def test_a_part_without_a_pyramid_keeps_its_own():
    piped = make_pipeline(vectorizer(), PCA(2, random_state=0))
    both = spm.KernelSum([("piped", piped), ("words", vectorizer())], kernels=["linear", "intersection"])
    one, other = both.fit_transform_pyramids(IMAGES, [[None, pyramid((1,))], [None, pyramid((2,))]])
    piped_gram = (lambda V: V @ V.T)(clone(piped).fit_transform(IMAGES))
    for gram, levels in ((one, (1,)), (other, (2,))):
        words = vectorizer(levels).fit_transform(IMAGES)
        np.testing.assert_allclose(gram, piped_gram + spm.kernels.histogram_intersection(words), rtol=1e-4, atol=1e-5)
    assert both.n_values([None, pyramid((2,))]) is None
    with pytest.raises(SpmError, match="a Pipeline cannot take another pyramid: give None for its own"):
        both.fit_transform_pyramids(IMAGES, [pyramid((1,))])


def test_whatever_makes_vectors_makes_them_with_its_own_pyramid():
    piped = make_pipeline(vectorizer(), PCA(2, random_state=0))
    made = fit_transform_pyramids(piped, IMAGES, [None, None])
    again = transform_pyramids(piped, IMAGES[:3], [None])
    np.testing.assert_allclose(made[1], clone(piped).fit_transform(IMAGES), atol=1e-5)
    np.testing.assert_allclose(again[0], made[0][:3], atol=1e-5)
    with pytest.raises(SpmError, match="cannot take another pyramid"):
        transform_pyramids(piped, IMAGES, [pyramid((1,))])


def test_a_wrong_option_of_any_is_refused():
    with pytest.raises(SpmError, match="levels must be a sequence"):
        combined().fit_transform_pyramids(IMAGES, [pyramid((1,)), pyramid(3)])
    with pytest.raises(SpmError, match="0 kernels"):
        combined().set_params(kernels=[]).fit_transform_pyramids(IMAGES, [None])


# --- experiments ------------------------------------------------------------------------------------------------------


LEVELS = [(1,), (1, 2)]


def model_of(kind, levels=(4,), **options):
    if kind == "words":
        return spm.presets.lazebnik2006(n_words=6, levels=levels, random_state=0)
    return make_pipeline(combined(levels, **options), spm.KernelSVC(kernel="precomputed"))


@pytest.mark.parametrize("kind", ["words", "sums"])
def test_a_model_measured_with_several_pyramids_has_the_figures_of_each_by_itself(kind):
    splits = [(np.arange(6), np.arange(6, 10)), (np.arange(4, 10), np.arange(4))]
    together = protocols.measure(model_of(kind), [pyramid(levels) for levels in LEVELS], IMAGES, LABELS, splits)
    for levels, result in zip(LEVELS, together, strict=True):
        alone = spm.evaluate(model_of(kind, levels), IMAGES, LABELS, cv=splits)
        for name in ("accuracies", "overall", "confusion", "n_features", "n_train", "n_test"):
            np.testing.assert_array_equal(result[name], alone[name])
        for (test, found), (expected, labels) in zip(result.predictions, alone.predictions, strict=True):
            np.testing.assert_array_equal(test, expected)
            np.testing.assert_array_equal(found, labels)
        assert result.test_seconds == pytest.approx(result.extract_seconds + result.classify_seconds)
    assert together[0].extract_seconds == together[1].extract_seconds > 0
    assert together[0].train_seconds != together[1].train_seconds


def test_a_model_measured_with_several_pyramids_looks_at_each_test_image_once():
    model = model_of("words").set_params(vectorizer__features=Counted())
    pyramids = [pyramid(levels) for levels in LEVELS]
    protocols.measure(model, pyramids, IMAGES, LABELS, [(np.arange(6), np.arange(6, 10))])
    assert sorted(Counted.seen.values()) == [1] * 4 + [2] * 6
    assert not model[0].__sklearn_is_fitted__()


def test_blocks_of_test_images_hold_the_vectors_of_all(monkeypatch):
    sizes = []
    real = protocols.transform_pyramids
    watched = lambda maker, images, pyramids: sizes.append(len(images)) or real(maker, images, pyramids)  # noqa: E731
    monkeypatch.setattr(protocols, "transform_pyramids", watched)
    monkeypatch.setattr(protocols, "LEAST_BLOCK", 1)
    monkeypatch.setattr(protocols, "BLOCK_BYTES", 4 * (6 + 30) * 3)
    pyramids = [pyramid(levels) for levels in LEVELS]
    protocols.measure(model_of("words"), pyramids, IMAGES, LABELS, [(np.arange(4), np.arange(4, 10))])
    assert sizes == [3, 3]


def test_a_comparison_describes_each_image_once_for_both_rows(monkeypatch):
    """Sums of kernels: the rows without a pyramid and with each road's own."""

    def preset(*, levels=None, **options):
        both = combined((1, 2) if levels is None else levels, features=Counted())
        return make_pipeline(both, spm.KernelSVC(kernel="precomputed"))

    images = spm.datasets.make_layouts(6, size=48, n_classes=2)
    monkeypatch.setitem(spm.presets.PRESETS, "sum", preset)
    monkeypatch.setattr(comparison, "BUILT_IN", {"layouts": lambda: images})
    rows = spm.compare(presets="sum").rows
    assert [row["pyramid"] for row in rows] == ["no pyramid (1x1)", "pyramid (each road's own)"]
    assert rows[0]["values"] < rows[1]["values"]
    # Two parts look at each image to test, and to learn from; one looks before at all to learn from, the other at one.
    assert Counter(Counted.seen.values()) == {2: 6, 3: 5, 4: 1}
