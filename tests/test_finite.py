"""Values that are not finite are named where they arise: the image, the layer of the road, the option."""

import re

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator

import spm
from spm.errors import NotFiniteError
from spm.kernels.maps import coefficients
from spm.kernels.table import KERNELS
from spm.pyramid.norms import normalise

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 40, 48), dtype=np.uint8)
AT = np.array([[8, 8, 8, 8], [20, 8, 20, 8]], np.float32)
bad = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])


class Given(spm.ExtractorMixin, BaseEstimator):
    """Two features, of a value that hangs on whether the image is black."""

    def __init__(self, value=1.0, black=np.nan):
        self.value = value
        self.black = black

    def views(self, image):
        value = self.black if not spm.images.read_image(image).any() else self.value
        return [(spm.LocalFeatures(np.float32([[value], [1]]), AT, grid=(40, 48)),)]


@pytest.fixture
def black(tmp_path):
    path = tmp_path / "black.png"
    Image.fromarray(np.zeros((40, 48), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("pool", ["sum", "mean", "max"])
@bad
def test_features_that_are_not_finite_name_the_image(black, value, pool):
    pyramid = spm.SpatialPyramid(levels=(1,), pool=pool)
    made = spm.PyramidVectorizer(features=Given(black=value), pyramid=pyramid).fit(IMAGES)
    for call in (
        lambda: made.transform([*IMAGES, black]),
        lambda: made.encode(black),
        lambda: made.transform_views(black),
        lambda: made.transform_regions(black, [[0, 0, 9, 9]]),
        lambda: spm.PyramidVectorizer(features=made.features, encoder=spm.BagOfWords(n_words=1)).fit([black, black]),
        lambda: list(spm.stream_descriptors([black], made.features)),
    ):
        with pytest.raises(spm.ImageError, match=r"black.png: local features have values that are not finite"):
            call()


@bad
def test_codes_that_are_not_finite_are_refused_before_they_are_pooled(value):
    with pytest.raises(NotFiniteError, match="codes have values that are not finite"):
        spm.Codes.plain(np.float32([[1], [value]]))
    with pytest.raises(NotFiniteError, match="codes have values that are not finite"):
        spm.Codes(np.zeros((1, 1), np.int32), np.float32([[value]]), np.ones((1, 1), np.float32), 1)
    with pytest.raises(NotFiniteError, match="extents"):
        spm.LocalFeatures(np.ones((1, 1), np.float32), np.float32([[value, 0, 0, 0]]), grid=(4, 4))


def test_a_vector_too_large_for_float16_names_image_and_option(black):
    pyramid = spm.SpatialPyramid(levels=(1,), pool="sum")
    made = spm.PyramidVectorizer(features=Given(black=1e5), pyramid=pyramid, norm=None, dtype="float16").fit(IMAGES)
    with pytest.raises(
        spm.ImageError, match=r"black.png: its vector has values up to 100001, more than dtype='float16'"
    ):
        made.transform([*IMAGES, black])
    many = [*list(IMAGES) * 40, black, *IMAGES]  # several images are normed together
    with pytest.raises(spm.ImageError, match=r"black.png: its vector has values up to 100001, more than"):
        made.transform(many)
    np.testing.assert_array_equal(made.transform(many[:160])[-4:], made.transform(IMAGES))
    assert made.transform_regions(black, [[0, 0, 48, 40]]).dtype == np.float32
    made.set_params(dtype="float32").transform([black])
    assert np.isfinite(made.set_params(dtype="float16", norm="l2").transform([black])).all()


def test_a_sum_beyond_float32_names_the_image(black):
    pyramid = spm.SpatialPyramid(levels=(1,), pool="sum", weights=(3,))
    made = spm.PyramidVectorizer(features=Given(black=2e38), pyramid=pyramid, norm=None).fit(IMAGES)
    with pytest.raises(spm.ImageError, match=r"black.png: its vector has values that are not finite"):
        made.transform([black])


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_values_too_large_for_a_norm_do_not_become_zeros(norm):
    with pytest.raises(NotFiniteError, match="too large to be normed in float32"):
        normalise(np.full((1, 2), 3e38, np.float32), norm)


@pytest.mark.parametrize("period", [0.5, 9.7, 400, 5000, 1e5, 1e300])
@pytest.mark.parametrize("window", ["rectangular", "uniform"])
@pytest.mark.parametrize("kernel", ["intersection", "chi2", "jensen_shannon"])
def test_a_map_of_any_period_is_finite(kernel, window, period):
    mapped = spm.HomogeneousMap(kernel=kernel, window=window, period=period, order=3).fit_transform(
        RANDOM.random((3, 4))
    )
    assert np.isfinite(mapped).all()


@pytest.mark.parametrize("kernel", ["intersection", "chi2", "jensen_shannon"])
def test_a_long_period_keeps_what_the_spectrum_says(kernel):
    """Beyond where the signature ends, both windows have the same coefficients."""
    found = (coefficients(kernel, order=3, window=window, period=5000) for window in ("rectangular", "uniform"))
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_jensen_shannons_signature_is_the_same_far_from_zero():
    t = np.linspace(-30, 30, 121)
    bits = np.exp(t / 2) * np.logaddexp(0, -t) + np.exp(-t / 2) * np.logaddexp(0, t)
    np.testing.assert_allclose(KERNELS["jensen_shannon"].signature(t), bits / (2 * np.log(2)), rtol=1e-12)
    assert KERNELS["jensen_shannon"].signature(np.array([-1e4, 1e4])).tolist() == [0, 0]


def test_a_map_whose_values_grow_too_large_names_the_option():
    with pytest.raises(spm.SpmError, match=re.escape("gamma=3 makes of 1e+38 more than float32 holds")):
        spm.HomogeneousMap(gamma=3).fit_transform(np.float32([[1e38]]))


@pytest.mark.parametrize("beta", [1e-4, 1e-12, 1e-300])
@pytest.mark.parametrize("scale", [1e-25, 1e-10, 1.0, 1e3, 1e18])
@pytest.mark.parametrize("apart", [0, 1e-8, 1e-6, 1e-4, 1e-3, 1])
def test_llc_of_words_that_hardly_differ(apart, scale, beta):
    random = np.random.default_rng(0)
    words = ((random.random(8) + apart * random.random((40, 8))) * scale).astype(np.float32)
    encoder = spm.LLC(beta=beta)
    encoder.words_, encoder.assigner_ = words, None
    far = (100 * scale * random.random((5, 8))).astype(np.float32)
    weights = encoder.encode(np.vstack([words[:10], words[:5] * np.float32(1 + 1e-6), far])).weights
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-6 * np.abs(weights).max())


def test_a_sigma_too_small_to_share_anything_out_says_so():
    encoder = spm.SoftAssignment(n_words=2, sigma=1e-30, random_state=0).fit(RANDOM.random((9, 2)))
    with pytest.raises(spm.SpmError, match="codes have values that are not finite"), np.errstate(all="ignore"):
        encoder.encode(RANDOM.random((3, 2)))


def test_a_kernel_of_ones_own_that_is_not_finite_is_refused():
    X, y = RANDOM.random((6, 2)), [0, 1] * 3
    with pytest.raises(spm.SpmError, match="the kernel has values that are not finite"):
        spm.KernelSVC(kernel=lambda A, B: np.full((len(A), len(B)), np.nan)).fit(X, y)
    fitted = spm.KernelSVC(kernel=lambda A, B: A @ B.T).fit(X, y)
    fitted.kernel = lambda A, B: np.full((len(A), len(B)), np.inf)
    with pytest.raises(spm.SpmError, match="the kernel has values that are not finite"):
        fitted.predict(X)
