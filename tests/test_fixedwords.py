"""Features that are words already: held to their definitions, to cases by hand, and to the encoder that counts them."""

import cv2
import numpy as np
import pytest
import reference_features
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_sample_image
from sklearn.exceptions import NotFittedError

from spm import CensusTransform, EdgePoints, FixedVocabulary, PyramidVectorizer, SpatialPyramid, SpmError
from spm.features.census import census_transform
from spm.features.edge_points import edge_points

PHOTOGRAPH = cv2.resize(cv2.cvtColor(load_sample_image("china.jpg"), cv2.COLOR_RGB2GRAY), (72, 50))


def noise(shape, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint8)


# --- edge points ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigmas", [(1.0, 2.0), (0,), (0.7, 0, 3)])
@pytest.mark.parametrize("threshold", [0.04, 0.3])
def test_edge_points_are_the_definition(sigmas, threshold):
    words, points = edge_points(PHOTOGRAPH[:40, :50], sigmas=sigmas, threshold=threshold)
    slow = reference_features.edge_points(PHOTOGRAPH[:40, :50], sigmas, threshold)
    assert words.dtype == np.uint8 and points.dtype == np.float32
    found = set(zip(words.tolist(), *points.T.tolist(), strict=True))
    assert len(slow) > 10 and len(found) == len(words)
    assert len(found ^ set(slow)) <= 0.01 * len(slow)  # angles half way between two directions, as of 90 degrees / 4
    assert np.array_equal(points[:3], np.array(slow)[:3, 1:])


@pytest.mark.parametrize("turns", range(4))
def test_a_turned_edge_lights_the_direction_that_is_turned(turns):
    """Brighter to the right is 0, and a quarter turn counter-clockwise is two directions on, at both scales."""
    edge = np.repeat(np.uint8([[0] * 16 + [200] * 16]), 32, axis=0)
    words, points = edge_points(np.rot90(edge, turns).copy(), sigmas=(1, 2), threshold=0.04)
    assert set(words.tolist()) == {2 * turns, 8 + 2 * turns}
    across = points[words == 2 * turns, turns % 2]
    assert across.min() >= 12 and across.max() <= 20 and across.mean() == 16


@pytest.mark.parametrize("direction", range(8))
def test_a_ramp_lights_its_direction_alone(direction):
    angle = np.radians(45 * direction)
    y, x = np.mgrid[:21, :21] - 10
    ramp = np.rint(128 + 6 * (np.cos(angle) * x - np.sin(angle) * y)).astype(np.uint8)
    words, _ = edge_points(ramp[2:-2, 2:-2], sigmas=(1,), threshold=0.04)
    inner = words == direction
    assert inner.mean() > 0.75  # the border's pixels have half a gradient across it


def test_the_gradient_is_over_the_threshold_not_at_it():
    edge = np.uint8([[0, 0, 51, 51]])
    assert len(edge_points(edge, sigmas=(0,), threshold=0.19)[0]) == 2
    assert len(edge_points(edge, sigmas=(0,), threshold=0.21)[0]) == 0


# --- census -----------------------------------------------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0, 99), levels=st.sampled_from([2, 4, 256])
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_census_codes_are_the_definition(shape, seed, levels):
    image = noise(shape, seed, 0, levels)
    codes = census_transform(image)
    assert codes.dtype == np.uint8 and codes.shape == (max(0, shape[0] - 2), max(0, shape[1] - 2))
    if min(shape) > 2:
        assert codes.tolist() == reference_features.census(image)


def test_the_papers_example():
    """Wu and Rehg 2011, section 3.1: 11010110 in binary, 214."""
    assert census_transform(np.uint8([[32, 64, 96], [32, 64, 96], [32, 32, 96]])).tolist() == [[214]]


def test_one_bright_pixel_takes_one_bit_from_each_neighbour():
    image = np.zeros((5, 5), np.uint8)
    image[2, 2] = 1
    expected = 255 - np.array([[1, 2, 4], [8, 0, 16], [32, 64, 128]])  # seen from its top left it is the last bit
    assert census_transform(image).tolist() == expected.tolist()


def test_codes_outlast_any_rising_change_of_grey_levels():
    assert np.array_equal(census_transform(PHOTOGRAPH // 2), census_transform(PHOTOGRAPH // 2 * 2 + 1))


def test_codes_lie_at_their_pixels_row_by_row():
    local = CensusTransform().extract(noise((4, 5)))
    assert local.grid == (4, 5) and local.values.shape == (6, 1)
    assert local.extents.dtype == np.float32
    assert local.extents.tolist() == [[x, y, x, y] for y in (1.5, 2.5) for x in (1.5, 2.5, 3.5)]


def test_extremes_can_be_left_out():
    image = noise((30, 40), 1, 0, 6)
    everything, inner = (CensusTransform(extremes=extremes).extract(image) for extremes in (True, False))
    keep = ~np.isin(everything.values[:, 0], (0, 255))
    assert 0 < keep.sum() < len(keep)
    assert np.array_equal(inner.values, everything.values[keep])
    assert np.array_equal(inner.extents, everything.extents[keep])


def test_a_shrunk_image_is_a_layer_whose_points_lie_in_the_whole():
    image = noise((41, 60), 2)
    ((whole, half),) = CensusTransform(shrink=(1, 2)).views(image)
    assert np.array_equal(whole.values, CensusTransform().extract(image).values)
    small = cv2.resize(image, (30, 20), interpolation=cv2.INTER_AREA)
    assert half.values.ravel().tolist() == census_transform(small).ravel().tolist()
    assert half.grid == (41, 60)
    np.testing.assert_allclose(half.extents[0], [3, 1.5 * 41 / 20] * 2, rtol=1e-6)  # the centre of pixel (1, 1)
    np.testing.assert_allclose(half.extents[-1], [57, 18.5 * 41 / 20] * 2, rtol=1e-6)
    assert np.array_equal(CensusTransform(shrink=(2,)).extract(image).values, half.values)


# --- blank and tiny images; options -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 40), (3, 17), (17, 3), (33, 20)])
@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_blank_image_has_no_edges_and_equals_everywhere(shape, level):
    blank = np.full(shape, level, np.uint8)
    assert EdgePoints().extract(blank).values.shape == (0, 1)
    codes = CensusTransform(shrink=(1, 3)).views(blank)[0]
    assert codes[0].values.ravel().tolist() == [255] * (max(0, shape[0] - 2) * max(0, shape[1] - 2))
    assert not CensusTransform(extremes=False).extract(blank).values.size
    for local in codes:
        x, y = local.extents[:, 0], local.extents[:, 1]
        assert ((x > 0) & (x < shape[1]) & (y > 0) & (y < shape[0])).all()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (EdgePoints(sigmas=()), "sigmas must be a sequence of 1 to 32 numbers"),
        (EdgePoints(sigmas=1.0), "sigmas must be a sequence"),
        (EdgePoints(sigmas=(1, -2)), "each of sigmas .* at least 0"),
        (EdgePoints(threshold=0), "threshold .* above 0"),
        (CensusTransform(shrink=2), "shrink must be a sequence"),
        (CensusTransform(shrink=()), "shrink must be a sequence"),
        (CensusTransform(shrink=(1, 0.5)), "each of shrink .* whole number"),
    ],
)
def test_a_wrong_option_is_named(features, message):
    for ask in (features.extract, features.views, features.check):
        with pytest.raises(SpmError, match=message):
            ask(PHOTOGRAPH)


# --- the vocabulary ---------------------------------------------------------------------------------------------------


def test_each_word_counts_one():
    words = noise((50, 1), 3, 0, 7)
    encoder = FixedVocabulary(n_words=7).fit(words)
    assert np.array_equal(encoder.transform(words), np.eye(7, dtype=np.float32)[words[:, 0]])
    assert encoder.transform(words).dtype == np.float32
    assert encoder.encode(words[:0]).toarray().shape == (0, 7)
    assert encoder.get_feature_names_out().tolist() == [f"word{k}" for k in range(7)]
    assert encoder.get_params() == {"n_words": 7} == clone(encoder).get_params()
    FixedVocabulary().fit(words[:0])  # a sample of blank images


def test_an_unfitted_vocabulary_says_so():
    for ask in (FixedVocabulary().transform, FixedVocabulary().get_feature_names_out):
        with pytest.raises(NotFittedError):
            ask([[1]])


@pytest.mark.parametrize("wrong", [[[7.0]], [[-1.0]], [[1.5]]])
def test_what_is_no_word_is_refused(wrong):
    with pytest.raises(SpmError, match=r"whole numbers in 0\.\.6, got .*: give n_words"):
        FixedVocabulary(n_words=7).fit(wrong)
    with pytest.raises(SpmError, match=r"whole numbers in 0\.\.6"):
        FixedVocabulary(n_words=7).encode(np.array(wrong))


def test_descriptors_are_no_words():
    with pytest.raises(SpmError, match=r"takes one column.* shape \(3, 128\)"):
        FixedVocabulary().fit(np.zeros((3, 128)))
    with pytest.raises(SpmError, match=r"n_words .* at least 1"):
        FixedVocabulary(n_words=0).fit([[0]])


@pytest.mark.parametrize(("features", "n_words"), [(EdgePoints(), 16), (CensusTransform(), 256)])
def test_the_pyramid_counts_the_words_of_each_cell(features, n_words):
    vec = PyramidVectorizer(
        features=features, encoder=FixedVocabulary(n_words=n_words), norm=None,
        pyramid=SpatialPyramid(levels=(1, 2), weights=None),
    )  # fmt: skip
    (vector,) = vec.fit_transform([PHOTOGRAPH])
    local = features.extract(PHOTOGRAPH)
    x, y = local.extents[:, 0], local.extents[:, 1]
    counts = [np.bincount(local.values[:, 0], minlength=n_words)]
    for lower in (False, True):
        for right in (False, True):
            inside = ((y >= 25) == lower) & ((x >= 36) == right)
            counts.append(np.bincount(local.values[inside, 0], minlength=n_words))
    assert np.array_equal(vector, np.concatenate(counts))
