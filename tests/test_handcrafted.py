"""What holds for every handcrafted extractor: an estimator, saved safely, the same for all pixel types and workers."""

import pickle

import cv2
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_sample_image

import spm
from spm import BagOfWords, CensusTransform, DenseSIFT, EdgePoints, FixedVocabulary, ImageError, KeypointFeatures

EXTRACTORS = {
    "phow": DenseSIFT(patch_size=(16, 24), step=6, smoothing=1 / 6, contrast_threshold=0.005),
    "phow in colour": DenseSIFT(patch_size=(16, 24), step=6, color="opponent", root=True, dtype="uint8"),
    "hsv": DenseSIFT(color="hsv"),
    "sparse sift": KeypointFeatures(upright=True, max_features=50, root=True),
    "orb": KeypointFeatures(detector="ORB", options={"nfeatures": 60, "edgeThreshold": 9}),
    "edge points": EdgePoints(sigmas=(0.7, 2.0)),
    "census": CensusTransform(shrink=(1, 2)),
}
every = pytest.mark.parametrize("name", EXTRACTORS)

COLOUR = [cv2.resize(load_sample_image(name), (96, 72)) for name in ("china.jpg", "flower.jpg")]
IMAGES = [image[:, ::flip].copy() for image in COLOUR for flip in (1, -1)] + [COLOUR[0][:61, :50].copy()]


def vectorizer(features, **options):
    words = {EdgePoints: FixedVocabulary(n_words=16), CensusTransform: FixedVocabulary(n_words=256)}
    encoder = words.get(type(features), BagOfWords(n_words=6))
    return spm.PyramidVectorizer(features=features, encoder=encoder, random_state=0, **options)


def same(a, b):
    assert len(a) == len(b) == 1 and len(a[0]) == len(b[0])
    for one, other in zip(a[0], b[0], strict=True):
        assert one.grid == other.grid and one.values.dtype == other.values.dtype
        assert np.array_equal(one.values, other.values) and np.array_equal(one.extents, other.extents)


@every
def test_is_an_estimator(name):
    features = EXTRACTORS[name]
    again = pickle.loads(pickle.dumps(clone(features)))
    assert again.get_params() == features.get_params()
    assert type(features)().set_params(**features.get_params()).get_params() == features.get_params()
    same(again.views(COLOUR[0]), features.views(COLOUR[0]))


@every
def test_points_lie_in_the_image_and_rows_are_features(name):
    ((local, *_),) = EXTRACTORS[name].views(COLOUR[1])
    one = EXTRACTORS[name].extract(COLOUR[1])
    assert np.array_equal(one.values, local.values) and len(local) > 20
    assert local.values.dtype in (np.float32, np.uint8) and local.extents.dtype == np.float32
    assert local.grid == (72, 96) and np.array_equal(local.extents[:, :2], local.extents[:, 2:])
    assert ((local.extents > 0) & (local.extents < [96, 72, 96, 72])).all()


@every
def test_any_type_of_pixels_is_taken(name):
    features, grey = EXTRACTORS[name], cv2.cvtColor(COLOUR[0], cv2.COLOR_RGB2GRAY)
    for image in (grey, COLOUR[0]):
        expected = features.views(image)
        same(features.views(image.astype(np.uint16) * 257), expected)
        same(features.views(image / 255), expected)
        same(features.views(np.asfortranarray(image)), expected)
    same(features.views(grey[:, :, None]), features.views(grey))


@every
def test_a_file_is_read_as_its_pixels(name, tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), COLOUR[0][:, :, ::-1])
    same(EXTRACTORS[name].views(path), EXTRACTORS[name].views(COLOUR[0]))
    EXTRACTORS[name].check(path)
    for ask in (EXTRACTORS[name].extract, EXTRACTORS[name].check):
        with pytest.raises(ImageError, match="no such file"):
            ask(tmp_path / "nothing.png")


@every
def test_workers_make_no_difference(name):
    alone, together = (vectorizer(EXTRACTORS[name], n_jobs=n).fit_transform(IMAGES * 3) for n in (1, 2))
    assert np.array_equal(alone, together) and alone.any()


@every
def test_a_fitted_vectorizer_is_saved_and_comes_back(name, tmp_path):
    vec = vectorizer(EXTRACTORS[name]).fit(IMAGES)
    loaded = spm.load(spm.save(vec, tmp_path / "model.spm"))
    assert np.array_equal(loaded.transform(IMAGES), vec.transform(IMAGES))
    assert repr(loaded) == repr(vec)


@every
def test_a_blank_image_among_others_has_a_vector(name):
    blank = np.full((72, 96, 3), 130, np.uint8)
    vec = vectorizer(EXTRACTORS[name], norm="l2").fit([*IMAGES, blank])
    vectors = vec.transform([blank])
    assert vectors.shape == (1, vec.n_features_out_) and np.isfinite(vectors).all()
    if name in ("sparse sift", "orb", "edge points"):
        assert not vectors.any()
