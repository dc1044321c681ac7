"""Regions: the scale of each box, windows, vectors at the chosen scale, crops with their context."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import spm
from spm.detection.learning.pool import Pool
from spm.detection.learning.svm import learn_machines
from spm.detection.regions import CropRegions, MapRegions, mean_colour, scale_of_boxes, warp

SCALES = (160, 320, 640)


def image(height=60, width=90, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def network(size):
    features = spm.presets.spp2014(size=size)[0].features
    pyramid = spm.SpatialPyramid(levels=(1, 2), pool="max", weights=None)
    return spm.PyramidVectorizer(features=features, pyramid=pyramid, norm=None).fit([image()])


def boxes(n=40, height=60, width=90, seed=1):
    random = np.random.default_rng(seed)
    low = random.uniform(-5, [width - 6, height - 6], (n, 2))
    return np.concatenate([low, low + random.uniform(6, [width, height], (n, 2))], axis=1)


def test_the_scale_of_a_box_is_that_which_brings_it_nearest_to_224_in_side_or_in_area():
    size, scales = (480, 640), (480, 576, 688, 874, 1200)
    for box in boxes(200, *size):
        side = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        in_side = min(range(5), key=lambda k: abs(side * scales[k] / 480 - 224))
        in_area = min(range(5), key=lambda k: abs((side * scales[k] / 480) ** 2 - 224**2))
        assert scale_of_boxes(box[None], size, scales, "side")[0] == in_side
        assert scale_of_boxes(box[None], size, scales, "area")[0] == in_area


def test_the_two_rules_choose_differently():
    box = np.array([[0.0, 0.0, 100.0, 100.0]])  # at 150 it measures 150, at 290 it measures 290
    assert scale_of_boxes(box, (100, 100), (150, 290), "side")[0] == 1
    assert scale_of_boxes(box, (100, 100), (150, 290), "area")[0] == 0


@pytest.mark.parametrize("rule", ["side", "area"])
def test_each_box_is_pooled_from_the_map_of_its_scale(rule):
    picture, where = image(), boxes()
    regions = MapRegions(network(SCALES), picture, SCALES, rule)
    chosen = scale_of_boxes(where, (60, 90), SCALES, rule)
    vectors = regions.vectors(where)
    assert len(set(chosen)) > 1
    for k, size in enumerate(SCALES):
        alone = network(size).transform_regions(picture, where[chosen == k])
        assert np.array_equal(vectors[chosen == k], alone)


def test_features_of_other_sizes_than_the_scales_are_an_error_that_says_how():
    with pytest.raises(spm.SpmError, match=r"see the image 1 times: .*set_params\(features__size=\(160, 320, 640\)\)"):
        MapRegions(network(160), image(), SCALES)


def test_a_scale_that_is_asked_for_takes_the_place_of_the_rule():
    picture, where = image(), boxes()
    vectors = MapRegions(network(SCALES), picture, SCALES).vectors(where, np.full(len(where), 2))
    assert np.array_equal(vectors, network(640).transform_regions(picture, where))


def test_boxes_of_one_window_have_one_vector_and_others_another():
    regions = MapRegions(network((30, 60)), image(), (30, 60))
    where = boxes(300)
    windows, vectors = regions.windows(where), regions.vectors(where)
    _, firsts, own = np.unique(windows, axis=0, return_index=True, return_inverse=True)
    assert 10 < len(firsts) < len(where)
    assert np.array_equal(vectors, vectors[firsts][own.reshape(-1)])
    assert len(np.unique(vectors, axis=0)) > len(firsts) / 2


def test_many_boxes_are_pooled_in_parts_as_if_one_by_one():
    vectorizer, picture, where = network(48), image(), boxes(150)
    one_by_one = np.concatenate([vectorizer.transform_regions(picture, [box]) for box in where])
    assert np.array_equal(vectorizer.transform_regions(picture, where), one_by_one)
    views = vectorizer.encode_views(picture)
    assert np.array_equal(vectorizer.transform_regions(picture, where, views), one_by_one)
    assert vectorizer.transform_regions(picture, np.empty((0, 4))).shape == (0, one_by_one.shape[1])


def test_views_that_are_not_asked_for_are_left_out():
    features = spm.presets.spp2014(size=(48, 96))[0].features
    both = network(48).set_params(features=features).fit([image()])
    views, where = both.encode_views(image()), boxes(9)
    means = (network(48).transform_regions(image(), where) + network(96).transform_regions(image(), where)) / 2
    np.testing.assert_allclose(both.transform_regions(image(), where), means, rtol=1e-6, atol=1e-6)
    assert np.array_equal(
        both.transform_regions(image(), where, views[1:]), network(96).transform_regions(image(), where)
    )


# crops


def sampled(pixels, x, y, fill):
    """The colour at a point of a picture, bilinearly between the centres of pixels; outside it is the fill."""
    x, y = x - 0.5, y - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    value = np.zeros(3)
    for i, j in [(top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)]:
        inside = 0 <= i < pixels.shape[0] and 0 <= j < pixels.shape[1]
        value += (1 - abs(y - i)) * (1 - abs(x - j)) * (pixels[i, j] if inside else np.array(fill))
    return value


@pytest.mark.parametrize("box", [(10, 12, 50, 40), (-20, 30, 40, 70), (70, 5, 130, 90), (3, 3, 5, 58), (0, 0, 90, 60)])
def test_a_crop_has_its_context_and_the_fill_outside(box):
    pixels, fill = image(), (1, 2, 3)
    crop = warp(pixels, np.array(box, dtype=float), 32, 4, fill)
    scale = np.array([box[2] - box[0], box[3] - box[1]]) / 24
    for i in range(0, 32, 5):
        for j in range(0, 32, 5):
            x, y = box[0] + (j + 0.5 - 4) * scale[0], box[1] + (i + 0.5 - 4) * scale[1]
            np.testing.assert_allclose(crop[i, j], sampled(pixels, x, y, fill), atol=10)  # OpenCV counts in 32nds
    whole = warp(pixels, np.array([0.0, 0, 90, 60]), 90, 0, fill)
    assert abs(whole[::1, :].astype(int).mean() - pixels.mean()) < 2


def test_what_a_network_sees_as_zero_is_the_fill():
    assert mean_colour(spm.DenseSIFT()) == (128, 128, 128)
    features = spm.presets.spp2014()[0].features
    assert mean_colour(features.set_params(preprocess="imagenet")) == (124, 116, 104)
    assert mean_colour(features.set_params(preprocess="caffe")) == (124, 117, 104)
    assert mean_colour(features.set_params(preprocess="tf")) == (128, 128, 128)


def test_regions_of_crops_are_images():
    vectorizer, picture, where = network(None), image(), boxes(5)
    regions = CropRegions(vectorizer, picture, 40, 4)
    crops = [warp(picture, box, 40, 4, mean_colour(vectorizer.features)) for box in where]
    assert np.array_equal(regions.vectors(where), vectorizer.transform(crops))
    assert regions.size == (60, 90) and len(regions.vectors(where[:0])) == 0


# machines


def examples(n=400, d=60, k=4, seed=0):
    random = np.random.RandomState(seed)
    X = np.abs(random.randn(n, d)).astype(np.float32)
    X *= 20 / np.linalg.norm(X, axis=1).mean()
    own = random.randint(0, k + 2, n)
    X[np.arange(n), own] += 4
    signs = np.where(own[:, None] == np.arange(k), 1, np.where(random.rand(n, k) < 0.8, -1, 0)).astype(np.int8)
    return X, signs


def pool_of(X, signs, n_jobs=None, **options):
    options = {"C": 1e-3, "positive_weight": 2, "bias": 10, **options}
    pool = Pool(X.shape[1], signs.shape[1], 10**6, random=np.random.RandomState(0), n_jobs=n_jobs, **options)
    pool.add(X, signs)
    return pool


def test_machines_are_those_of_scikit_learn():
    from sklearn.svm import LinearSVC

    X, signs = examples()
    costs, alphas, random = np.where(signs > 0, 2e-3, 1e-3), np.zeros(signs.shape), np.random.RandomState(0)
    learn = partial(learn_machines, bias=10, random=random, n_jobs=None, tolerance=1e-3)
    learn(X[:200], signs[:200], costs[:200], alphas=alphas[:200])
    coef, intercept = learn(X, signs, costs, alphas=alphas)  # goes on from where they are
    for k in range(signs.shape[1]):
        mine = signs[:, k] != 0
        twin = LinearSVC(
            loss="hinge", dual=True, C=1e-3, class_weight={1: 2}, intercept_scaling=10, tol=1e-7, max_iter=10**6
        )
        twin.fit(X[mine], signs[mine, k])
        values = X @ coef[k] + intercept[k]
        np.testing.assert_allclose(values, twin.decision_function(X), atol=5e-3)
        assert np.corrcoef(values, twin.decision_function(X))[0, 1] > 0.99999


def test_machines_do_not_depend_on_threads_and_go_on_from_a_state():
    X, signs = examples(900)
    made = []
    for n_jobs in (1, 2):
        pool = pool_of(X[:600], signs[:600], n_jobs)
        pool.learn()
        if n_jobs == 2:
            state = pool.state()
            pool = pool_of(X[:1], signs[:1], n_jobs)
            pool.restore(state)
        pool.evict(-1.2, 500)
        pool.add(X[600:], signs[600:])
        pool.learn()
        made.append((pool.coef, pool.intercept, pool.signs))
    assert all(np.array_equal(*pair) for pair in zip(*made, strict=True))


def test_what_goes_is_easy_and_objects_stay():
    X, signs = examples()
    pool = pool_of(X, signs)
    pool.learn()
    values = X @ pool.coef.T + pool.intercept
    pool.evict(-1.2, 10**6)
    left = {vector.tobytes(): sign for vector, sign in zip(pool.vectors, pool.signs, strict=True)}
    for vector, sign, value in zip(X, signs, values, strict=True):
        expected = np.where((sign < 0) & (value < -1.2), 0, sign)
        if abs(value + 1.2).min() > 1e-3:
            assert np.array_equal(left.get(vector.tobytes(), np.zeros_like(sign)), expected)
    pool.evict(-1.2, (signs > 0).any(axis=1).sum() + 5)
    assert len(pool) == (signs > 0).any(axis=1).sum() + 5
    assert (pool.signs > 0).any(axis=1).sum() == (signs > 0).any(axis=1).sum()


def test_a_class_without_examples_never_fires():
    X, signs = examples()
    signs[:, 2] = -1
    pool = pool_of(X, signs)
    pool.learn()
    assert pool.intercept[2] == -np.inf and np.isfinite(pool.intercept[[0, 1, 3]]).all()
