"""Sparse features: what OpenCV gives, unchanged but for what the options say, and models that can be saved."""

import pickle

import cv2
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_sample_image

import spm
from spm import ImageError, KeypointFeatures, SpmError

PHOTOGRAPH = cv2.resize(cv2.cvtColor(load_sample_image("flower.jpg"), cv2.COLOR_RGB2GRAY), (160, 107))
BLANK = np.full((64, 64), 90, np.uint8)


def make_orb():
    return cv2.ORB_create(nfeatures=40)


def places(points):
    return np.array([point.pt for point in points]) + 0.5


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_is_opencvs_sift():
    local = KeypointFeatures().extract(PHOTOGRAPH)
    points, values = cv2.SIFT_create().detectAndCompute(PHOTOGRAPH, None)
    assert len(points) > 50 and local.grid == (107, 160)
    assert local.values.dtype == local.extents.dtype == np.float32
    assert np.array_equal(local.values, values)
    np.testing.assert_allclose(local.extents, np.hstack([places(points)] * 2), rtol=1e-6)


def test_a_key_point_lies_where_a_pixels_centre_is():
    image = np.zeros((41, 61), np.uint8)
    cv2.circle(image, (40, 20), 4, 255, -1)  # around the centre of pixel (40, 20)
    for precise, shift in ((True, 0), (False, 0.25)):
        options = {"enable_precise_upscale": precise}
        local = KeypointFeatures(options=options, upright=True, max_features=1).extract(image)
        np.testing.assert_allclose(local.extents - shift, [[40.5, 20.5, 40.5, 20.5]], atol=0.01)


def test_options_reach_opencv():
    few = KeypointFeatures(options={"nfeatures": 7}).extract(PHOTOGRAPH)
    assert np.array_equal(few.values, cv2.SIFT_create(nfeatures=7).detectAndCompute(PHOTOGRAPH, None)[1])


def test_upright_points_have_angle_zero_and_are_described_once():
    points = cv2.SIFT_create().detect(PHOTOGRAPH)
    kinds = list(dict.fromkeys((point.pt, point.size, point.octave) for point in points))
    local = KeypointFeatures(upright=True).extract(PHOTOGRAPH)
    assert len(local) == len(kinds) < len(points)
    at = [cv2.KeyPoint(*place, size, 0, 0, octave) for place, size, octave in kinds]
    assert np.array_equal(local.values, cv2.SIFT_create().compute(PHOTOGRAPH, at)[1])


def test_upright_descriptors_turn_with_the_image():
    """By itself SIFT turns its patches with the image, so that a quarter turn changes nothing."""
    square = PHOTOGRAPH[:101, :101]
    cosine = {}
    for upright in (False, True):
        features = KeypointFeatures(upright=upright, options={"enable_precise_upscale": True})
        before, after = (features.extract(image) for image in (square, np.rot90(square).copy()))
        x, y, _, _ = before.extents.T[:, :, None]
        there = np.hypot(after.extents[:, 0] - y, after.extents[:, 1] - (101 - x)) < 0.3
        assert there.any(axis=1).mean() > 0.9
        lengths = np.linalg.norm(before.values, axis=1)[:, None] * np.linalg.norm(after.values, axis=1)
        cosine[upright] = np.median((before.values @ after.values.T / lengths)[there])
    assert cosine[False] > 0.999 and cosine[True] < 0.5


def test_the_strongest_are_kept():
    points, values = cv2.SIFT_create().detectAndCompute(PHOTOGRAPH, None)
    order = np.argsort([-point.response for point in points], kind="stable")[:15]
    local = KeypointFeatures(max_features=15).extract(PHOTOGRAPH)
    assert np.array_equal(local.values, values[order])
    everything = KeypointFeatures(max_features=10**6).extract(PHOTOGRAPH)
    assert len(everything) == len(points)


def test_roots_have_unit_length_and_square_to_shares():
    plain, root = (KeypointFeatures(root=root).extract(PHOTOGRAPH).values for root in (False, True))
    assert root.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(root, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(root**2, plain / plain.sum(axis=1, keepdims=True), atol=1e-6)
    signed = KeypointFeatures(detector="KAZE", root=True).extract(PHOTOGRAPH).values
    assert signed.min() < 0
    np.testing.assert_allclose(np.linalg.norm(signed, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(("name", "bits"), [("ORB", 256), ("BRISK", 512), ("AKAZE", 488)])
def test_binary_descriptors_are_taken_apart_into_bits(name, bits):
    local = KeypointFeatures(detector=name).extract(PHOTOGRAPH)
    assert local.values.dtype == np.uint8 and local.values.shape == (len(local), bits)
    assert len(local) > 5 and set(np.unique(local.values)) == {0, 1}
    if name == "ORB":
        points, packed = cv2.ORB_create().detectAndCompute(PHOTOGRAPH, None)
        assert len(points) == len(local)
        a, b = local.values[:2].astype(float)
        assert np.sum((a - b) ** 2) == cv2.norm(packed[0], packed[1], cv2.NORM_HAMMING)
    assert KeypointFeatures(detector=name).extract(BLANK).values.shape == (0, bits)


def test_one_part_finds_and_another_describes():
    local = KeypointFeatures(detector="FastFeatureDetector", descriptor="SIFT", upright=True).extract(PHOTOGRAPH)
    points = cv2.FastFeatureDetector_create().detect(PHOTOGRAPH)
    for point in points:
        point.angle = 0
    kept, values = cv2.SIFT_create().compute(PHOTOGRAPH, points)
    assert len(kept) > 10 and np.array_equal(local.values, values)


def test_a_name_a_function_and_an_object_are_the_same():
    by = [KeypointFeatures(detector=d) for d in (make_orb, make_orb())]
    by.append(KeypointFeatures(detector="ORB", options={"nfeatures": 40}))
    first, *others = (features.extract(PHOTOGRAPH) for features in by)
    for other in others:
        assert np.array_equal(first.values, other.values) and np.array_equal(first.extents, other.extents)


@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (3, 40), (40, 3)])
def test_an_image_without_key_points_has_no_rows(shape):
    for upright in (False, True):
        local = KeypointFeatures(upright=upright, max_features=5, root=True).extract(np.full(shape, 9, np.uint8))
        assert local.values.shape == (0, 128) and local.extents.shape == (0, 4) and local.grid == shape
        assert local.values.dtype == np.float32


# --- the estimator ----------------------------------------------------------------------------------------------------


def test_an_object_is_shared_by_clones_and_refused_by_pickle_and_save(tmp_path):
    features = KeypointFeatures(detector=make_orb())
    assert clone(features).detector is features.detector
    vec = spm.PyramidVectorizer(features=features, encoder=spm.BagOfWords(n_words=3), random_state=0, n_jobs=2)
    vectors = vec.fit_transform([PHOTOGRAPH, PHOTOGRAPH[:, ::-1].copy()] * 4)
    named = spm.KeypointFeatures(detector="ORB", options={"nfeatures": 40})
    expected = (
        clone(vec).set_params(features=named, n_jobs=1).fit_transform([PHOTOGRAPH, PHOTOGRAPH[:, ::-1].copy()] * 4)
    )
    assert np.array_equal(vectors, expected)
    message = r"detector is an object of OpenCV's.* cannot be pickled or saved: give its name, such as \"SIFT\""
    with pytest.raises(SpmError, match=message):
        pickle.dumps(features)
    with pytest.raises(SpmError, match=message):
        spm.save(vec, tmp_path / "model.spm")
    with pytest.raises(SpmError, match=r"descriptor is an object of OpenCV's.* cannot be remembered"):
        KeypointFeatures(descriptor=make_orb()).fingerprint()


def test_a_function_can_be_pickled_but_not_saved(tmp_path):
    features = KeypointFeatures(detector=make_orb)
    again = pickle.loads(pickle.dumps(features))
    assert np.array_equal(again.extract(PHOTOGRAPH).values, features.extract(PHOTOGRAPH).values)
    with pytest.raises(SpmError, match=r"cannot be saved: .*make_orb"):
        spm.save(features, tmp_path / "model.spm")


@pytest.mark.parametrize("part", ["detector", "descriptor"])
def test_a_function_is_not_remembered(tmp_path, part):
    """Its name would stay when its code is changed."""
    features = KeypointFeatures(**{"detector": "ORB", part: make_orb})
    for made in (features, spm.Mirrored(features)):
        vec = spm.PyramidVectorizer(features=made, encoder=spm.BagOfWords(n_words=3), memory=tmp_path, random_state=0)
        with pytest.raises(
            SpmError, match=r"function among its options, make_orb: .*cannot be remembered.*memory=None"
        ):
            vec.fit([PHOTOGRAPH])
        assert vec.set_params(memory=None).fit([PHOTOGRAPH]).n_features_out_ == 3 * 21
    with pytest.raises(SpmError, match="function among its options"):
        vec.set_params(memory=tmp_path, features=KeypointFeatures(detector=lambda: make_orb())).fit([PHOTOGRAPH])


@pytest.mark.parametrize("library", ["PIL", "cv2"])
def test_features_are_remembered_for_the_versions_that_read_the_image(tmp_path, monkeypatch, library):
    from spm.features import cache

    features = KeypointFeatures(max_features=20)
    before = cache._made_by(cache._views, features)
    assert cache._made_by(cache._views, features) == before
    monkeypatch.setattr(f"{library}.__version__", "0.0")
    assert cache._made_by(cache._views, features) != before


def test_features_are_remembered_by_their_options(tmp_path):
    options = {"encoder": spm.BagOfWords(n_words=3), "memory": tmp_path, "random_state": 0}
    vectors = [
        spm.PyramidVectorizer(features=KeypointFeatures(max_features=n), **options).fit_transform([PHOTOGRAPH])
        for n in (20, 30, 20)
    ]
    assert np.array_equal(vectors[0], vectors[2]) and not np.array_equal(vectors[0], vectors[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detector": "SIFTY"}, "detector='SIFTY' is not an option: choose one of .*'ORB'.*'SIFT'"),
        ({"descriptor": "SURFER"}, "descriptor='SURFER' is not an option"),
        ({"detector": 3}, "detector must be a name such as .*got 3"),
        ({"detector": lambda: 3}, "detector must be"),
        ({"detector": cv2.SIFT}, "detector must be .*function"),
        ({"options": {"colour": 1}}, "detector='SIFT' cannot be made with options={'colour': 1}"),
        ({"detector": make_orb, "options": {"nfeatures": 1}}, "options are a dictionary for a detector given by name"),
        ({"options": [1]}, "options are a dictionary"),
        ({"max_features": 0}, "max_features .* at least 1"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    for ask in (KeypointFeatures(**options).extract, KeypointFeatures(**options).check):
        with pytest.raises(SpmError, match=message):
            ask(PHOTOGRAPH)


def test_where_opencv_fails_it_is_an_image_error():
    with pytest.raises(
        ImageError, match=r"array of shape \(107, 160\): KeypointFeatures\(detector='FREAK'\) fails on it"
    ):
        KeypointFeatures(detector="FREAK").extract(PHOTOGRAPH)  # it only describes
