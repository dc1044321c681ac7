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
from spm.pyramid.pyramid import pool_together
from spm.together import fit_transform_together, transform_together

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
    together = pool_together(pyramids, local, boxes)
    assert len(together) == len(pyramids) == 15
    for own, cells in zip(pyramids, together, strict=True):
        np.testing.assert_allclose(cells, own.pool(local, boxes), rtol=1e-5, atol=1e-6)


def test_levels_in_common_are_pooled_once(monkeypatch):
    pooled = []
    real = spm.SpatialPyramid._pool_features

    def watched(self, *arguments):
        pooled.append(self.grids().tolist())
        return real(self, *arguments)

    monkeypatch.setattr(spm.SpatialPyramid, "_pool_features", watched)
    local = spm.DenseSIFT().extract(IMAGES[0])
    pool_together([pyramid((1,)), pyramid((1, 2)), pyramid((2, 1)), pyramid((1,), pool="max")], local)
    assert pooled == [[[1, 1], [2, 2]], [[1, 1]]]


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


# --- several vectorizers ----------------------------------------------------------------------------------------------


def sums(*levels, **options):
    """Sums of kernels that differ in their pyramids."""
    return [
        spm.KernelSum(
            [("words", vectorizer(own, **options)), ("means", vectorizer(own, "none", norm="l2", **options))],
            kernels=["intersection", "linear"],
            weights=[1.0, weight],
        )
        for weight, own in enumerate(levels, start=1)
    ]


@pytest.mark.parametrize(
    "kind",
    [
        lambda: [vectorizer(levels) for levels in SWEEP],
        lambda: sums(*SWEEP),
        lambda: [vectorizer((1,)), vectorizer((1, 2)), vectorizer((1, 2), "fisher"), *sums((1,), (1, 2))],
        lambda: [vectorizer((1,), random_state=1), vectorizer((1, 2)), vectorizer((1, 2), norm="l2")],
        lambda: [make_pipeline(vectorizer(levels), PCA(2)) for levels in [(1,), (1, 2)]],
        lambda: [spm.KernelProduct(each.vectorizers, kernels=each.kernels) for each in sums((1,), (2,))],
        lambda: [spm.KernelSum([("one", vectorizer())], kernels=["linear"]), *sums((1,))],
    ],
    ids=["alike", "sums", "of two kinds", "unlike", "pipelines", "products", "sums of other lengths"],
)
def test_vectors_made_together_are_those_of_each_by_itself(kind):
    vectorizers = kind()
    fitted = [clone(each) for each in vectorizers]
    vectors = fit_transform_together(fitted, IMAGES)
    new = transform_together(fitted, IMAGES[:3])
    for each, own, made, made_new in zip(vectorizers, fitted, vectors, new, strict=True):
        alone = clone(each).fit(IMAGES)
        np.testing.assert_allclose(made, alone.transform(IMAGES), atol=1e-5)
        np.testing.assert_allclose(made_new, alone.transform(IMAGES[:3]), atol=1e-5)
        np.testing.assert_allclose(own.transform(IMAGES[:3]), made_new, atol=1e-5)


def test_those_alike_share_their_codebook_and_their_look_at_images():
    words = [vectorizer(levels, features=Counted()) for levels in SWEEP]
    fit_transform_together(words, IMAGES)
    assert all(each.encoders_ is words[0].encoders_ for each in words)
    assert set(Counted.seen.values()) == {2}  # once to learn from, once for its vectors
    Counted.seen.clear()
    transform_together(words, IMAGES)
    assert set(Counted.seen.values()) == {1}


def test_parts_alike_of_sums_are_used_once():
    alike = sums((1,), (1, 2), (4,), features=Counted())
    fit_transform_together(alike, IMAGES)
    Counted.seen.clear()
    transform_together(alike, IMAGES)
    assert set(Counted.seen.values()) == {2}  # one part's and the other's
    others = sums((1,), (1, 2), (4,), features=Counted())
    others[1].set_params(words__encoder=spm.BagOfWords(n_words=3))
    fit_transform_together(others, IMAGES)
    Counted.seen.clear()
    transform_together(others, IMAGES)
    assert set(Counted.seen.values()) == {3}  # the words of the second are its own


def test_fitted_apart_they_share_nothing():
    """The same options, but learned from other images."""
    first, second = vectorizer((1,)).fit(IMAGES[:5]), vectorizer((1, 2)).fit(IMAGES[5:])
    one, two = transform_together([first, second], IMAGES)
    np.testing.assert_array_equal(one, first.transform(IMAGES))
    np.testing.assert_array_equal(two, second.transform(IMAGES))
    assert not np.array_equal(first.encoder_.words_, second.encoder_.words_)


def test_a_wrong_option_of_any_is_refused():
    with pytest.raises(SpmError, match="levels must be a sequence"):
        fit_transform_together([vectorizer((1,)), vectorizer(3)], IMAGES)
    first, second = sums((1,), (2,))
    with pytest.raises(SpmError, match="0 kernels"):
        fit_transform_together([first, second.set_params(kernels=[])], IMAGES)


# --- experiments ------------------------------------------------------------------------------------------------------


def models(kind):
    if kind == "words":
        return [spm.presets.lazebnik2006(n_words=6, levels=levels, random_state=0) for levels in [(1,), (1, 2)]]
    first, second = sums((1,), (1, 2))
    return [make_pipeline(each, spm.KernelSVC(kernel="precomputed")) for each in (first, second)]


@pytest.mark.parametrize("kind", ["words", "sums"])
def test_models_measured_together_have_the_figures_of_each_by_itself(kind):
    splits = [(np.arange(6), np.arange(6, 10)), (np.arange(4, 10), np.arange(4))]
    together = protocols.measure(models(kind), IMAGES, LABELS, splits)
    for model, result in zip(models(kind), together, strict=True):
        alone = spm.evaluate(model, IMAGES, LABELS, cv=splits)
        for name in ("accuracies", "overall", "confusion", "n_features", "n_train", "n_test"):
            np.testing.assert_array_equal(result[name], alone[name])
        for (test, found), (expected, labels) in zip(result.predictions, alone.predictions, strict=True):
            np.testing.assert_array_equal(test, expected)
            np.testing.assert_array_equal(found, labels)
        assert result.test_seconds == pytest.approx(result.extract_seconds + result.classify_seconds)
    assert together[0].extract_seconds == together[1].extract_seconds > 0
    assert together[0].train_seconds != together[1].train_seconds


def test_models_measured_together_look_at_each_test_image_once():
    alike = [model.set_params(vectorizer__features=Counted()) for model in models("words")]
    protocols.measure(alike, IMAGES, LABELS, [(np.arange(6), np.arange(6, 10))])
    assert sorted(Counted.seen.values()) == [1] * 4 + [2] * 6
    assert all(not model[0].__sklearn_is_fitted__() for model in alike)


def test_blocks_of_test_images_hold_the_vectors_of_all(monkeypatch):
    sizes = []
    real = protocols.transform_together
    watched = lambda makers, images: sizes.append(len(images)) or real(makers, images)  # noqa: E731
    monkeypatch.setattr(protocols, "transform_together", watched)
    monkeypatch.setattr(protocols, "LEAST_BLOCK", 1)
    monkeypatch.setattr(protocols, "BLOCK_BYTES", 4 * (6 + 30) * 3)
    protocols.measure(models("words"), IMAGES, LABELS, [(np.arange(4), np.arange(4, 10))])
    assert sizes == [3, 3]


def test_a_comparison_describes_each_image_once_for_both_rows(monkeypatch):
    """Sums of kernels: the rows without a pyramid and with each road's own."""

    def preset(*, levels=None, **options):
        both = sums((1, 2) if levels is None else levels, features=Counted())[0]
        return make_pipeline(both, spm.KernelSVC(kernel="precomputed"))

    images = spm.datasets.make_layouts(6, size=48, n_classes=2)
    monkeypatch.setitem(spm.presets.PRESETS, "sum", preset)
    monkeypatch.setattr(comparison, "BUILT_IN", {"layouts": lambda: images})
    rows = spm.compare(presets="sum").rows
    assert [row["pyramid"] for row in rows] == ["no pyramid (1x1)", "pyramid (each road's own)"]
    assert rows[0]["values"] < rows[1]["values"]
    # Two parts look at each image to test, and to learn from; one looks before at all to learn from, the other at one.
    assert Counter(Counted.seen.values()) == {2: 6, 3: 5, 4: 1}
