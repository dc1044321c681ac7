"""The spatial pyramid: held to the one pooling rule, computed exactly, and to what must hold of any pyramid."""

import pickle
import re
from itertools import pairwise

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from spm import LocalFeatures, SpatialPyramid, SpmError
from spm.encoders.codes import Codes
from spm.pyramid.levels import Levels
from spm.pyramid.pooling import pool_codes

POOLS = ("sum", "mean", "max")


def point_features(values, places, grid):
    """Features with values (N, D) at x, y."""
    places = np.asarray(places, dtype=np.float32).reshape(-1, 2)
    values = np.asarray(values, dtype=np.float32)
    return LocalFeatures(values[:, None] if values.ndim == 1 else values, np.hstack([places, places]), grid)


def map_features(values, stride=1):
    """The cells of a map of shape (H, W, D), as an extractor returns them."""
    height, width, depth = values.shape
    i, j = (axis.ravel() for axis in np.mgrid[:height, :width])
    extents = np.stack([j, i, j + 1, i + 1], axis=1).astype(np.float32)
    size = (height * stride, width * stride)
    return LocalFeatures(values.reshape(-1, depth), extents, (height, width), (stride, stride), (0, 0), size)


def pool(local, levels, how="sum", **options):
    return SpatialPyramid(levels=levels, pool=how).cells(local, **options)


def random_points(n, grid, seed=0, depth=3):
    """Points on a lattice of eighths of a pixel, the far borders included; small whole values, exact in float32."""
    random = np.random.default_rng(seed)
    places = random.integers(0, 8 * np.array(grid[::-1]) + 1, (n, 2)) / 8
    return point_features(random.integers(-9, 10, (n, depth)), places, grid)


# --- the twin ---------------------------------------------------------------------------------------------------------

level = st.one_of(st.integers(1, 9), st.tuples(st.integers(1, 6), st.integers(1, 6)))
levels = st.lists(level, min_size=1, max_size=3)
grid = st.tuples(st.integers(1, 60), st.integers(1, 60))


def as_pairs(levels):
    return [(item, item) if isinstance(item, int) else item for item in levels]


def assert_is_the_rule(local, levels, how, codes, regions):
    """Compare `pool_codes` with its twin, for regions on the grid."""
    regions = np.asarray(regions, dtype=np.float64)
    grids = Levels.of(SpatialPyramid(levels=levels).grids())
    fast = pool_codes(codes, local.extents, regions, local.grid, grids, how)
    written = reference.written_out(codes.words, codes.weights, codes.moments, codes.n_words)
    slow = reference.pool(written, local.extents, regions, local.grid, as_pairs(levels), how)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, slow, rtol=1e-6, atol=1e-6)


@st.composite
def regions(draw, grid, part):
    """The whole grid, and boxes whose edges are multiples of 1 / part."""
    found = [[0, 0, grid[1], grid[0]]]
    for _ in range(draw(st.integers(0, 2))):
        x, y = (sorted(draw(st.sets(st.integers(0, part * side), min_size=2, max_size=2))) for side in grid[::-1])
        found.append([x[0] / part, y[0] / part, x[1] / part, y[1] / part])
    return found


@given(
    data=st.data(), grid=grid, n=st.integers(0, 25), seed=st.integers(0, 999), levels=levels, how=st.sampled_from(POOLS)
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_points_follow_the_rule(data, grid, n, seed, levels, how):
    local = random_points(n, grid, seed)
    assert_is_the_rule(local, levels, how, Codes.plain(local.values), data.draw(regions(grid, 8)))


@given(
    data=st.data(),
    grid=grid,
    seed=st.integers(0, 999),
    levels=st.sampled_from([[1, 2, (3, 1)], [(2, 1), (1, 3), 1], [3, 2], [(2, 1), (1, 2), (2, 2)]]),
    how=st.sampled_from(POOLS),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_many_points_follow_the_rule_at_levels_that_do_not_nest(data, grid, seed, levels, how):
    local = random_points(600, grid, seed)
    assert_is_the_rule(local, levels, how, Codes.plain(local.values), data.draw(regions(grid, 8)))
    grids = SpatialPyramid(levels=levels).grids()
    nests = any((grids[i] % grids == 0).all() for i in range(len(grids)))
    assert Levels.of(grids).pays(Codes.plain(local.values), np.array([600])).tolist() == [not nests]


@given(
    data=st.data(),
    grid=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 999),
    levels=st.lists(
        st.one_of(st.integers(1, 14), st.tuples(st.integers(1, 9), st.integers(1, 9))), min_size=1, max_size=2
    ),
    how=st.sampled_from(POOLS),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_cells_of_a_map_follow_the_rule(data, grid, seed, levels, how):
    values = np.random.default_rng(seed).integers(-9, 10, (*grid, 2)).astype(np.float32)
    local = map_features(values)
    assert_is_the_rule(local, levels, how, Codes.plain(local.values), data.draw(regions(grid, 1)))


@given(data=st.data(), grid=grid, seed=st.integers(0, 999), levels=levels, how=st.sampled_from(POOLS))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_extents_of_any_size_follow_the_rule(data, grid, seed, levels, how):
    """Windows of a real detector may hang over the region, or have a size along one axis only."""
    random = np.random.default_rng(seed)
    low = random.integers(0, 4 * np.array(grid[::-1]), (8, 2)) / 4
    size = random.integers(0, 40, (8, 2)) / 4
    extents = np.hstack([low, low + size]).astype(np.float32)
    local = LocalFeatures(random.integers(-9, 10, (8, 2)).astype(np.float32), extents, grid)
    assert_is_the_rule(local, levels, how, Codes.plain(local.values), data.draw(regions(grid, 4)))


@given(data=st.data(), grid=grid, n=st.integers(0, 15), seed=st.integers(0, 999), levels=levels)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_codes_are_pooled_as_if_they_were_written_out(data, grid, n, seed, levels):
    local = random_points(n, grid, seed)
    random = np.random.default_rng(seed)
    used = data.draw(st.integers(1, 3))
    words = np.array([random.permutation(5)[:used] for _ in range(n)], dtype=np.int64).reshape(n, used)
    weights = random.integers(-4, 5, (n, used)).astype(np.float32)
    how = data.draw(st.sampled_from(POOLS))
    moments = np.ones((n, 1), np.float32) if how == "max" else random.integers(-4, 5, (n, 3)).astype(np.float32)
    assert_is_the_rule(local, levels, how, Codes(words, weights, moments, 5), data.draw(regions(grid, 8)))


@given(height=st.integers(1, 40), width=st.integers(1, 40), n=st.integers(1, 40), fast=st.sampled_from(["sum", "max"]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_bins_of_a_map_are_those_of_adaptive_pooling(height, width, n, fast):
    """Bin i of n over H: [floor(i * H / n), ceil((i + 1) * H / n)), also where n exceeds H."""
    values = np.random.default_rng(0).integers(-99, 100, (height, width, 1)).astype(np.float32)
    pooled = pool(map_features(values), [n], fast).reshape(n, n)
    reduce = {"sum": np.sum, "max": np.max}[fast]
    for i in {0, n // 3, n // 2, n - 1}:
        rows = slice(i * height // n, -(-(i + 1) * height // n))
        for j in range(n):
            columns = slice(j * width // n, -(-(j + 1) * width // n))
            assert pooled[i, j] == reduce(values[rows, columns])


@pytest.mark.parametrize("n", range(1, 41))
def test_bins_along_an_axis_for_every_height(n):
    for height in range(1, 41):
        local = map_features(np.eye(height, dtype=np.float32)[:, None, :])
        members = pool(local, [(n, 1)], "max")[0]  # (n, height): which rows each bin holds
        expected = [[i * height // n <= row < -(-(i + 1) * height // n) for row in range(height)] for i in range(n)]
        assert np.array_equal(members, expected)


@pytest.mark.parametrize(
    ("height", "n", "bins"),
    [
        (13, 6, [(0, 3), (2, 5), (4, 7), (6, 9), (8, 11), (10, 13)]),
        (10, 6, [(0, 2), (1, 4), (3, 5), (5, 7), (6, 9), (8, 10)]),
        (10, 4, [(0, 3), (2, 5), (5, 8), (7, 10)]),
        (2, 3, [(0, 1), (0, 2), (1, 2)]),
    ],
)
def test_bins_where_fixed_windows_and_strides_go_wrong(height, n, bins):
    """The cases of SPP-net's own networks, written down by hand."""
    local = map_features(np.eye(height, dtype=np.float32)[:, None, :])
    members = pool(local, [(n, 1)], "max")[0]
    assert [(int(row.argmax()), int(row.sum() + row.argmax())) for row in members] == bins


# --- points -----------------------------------------------------------------------------------------------------------


@given(grid=grid, n=st.integers(0, 60), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_cells_of_every_level_add_up_to_the_whole(grid, n, seed):
    local = random_points(n, grid, seed)
    pooled = pool(local, (1, 2, 4, (3, 5)))[0]
    whole = local.values.sum(axis=0, dtype=np.float64)
    for start, stop in ((0, 1), (1, 5), (5, 21), (21, 36)):
        assert np.array_equal(pooled[start:stop].sum(axis=0), whole)
    four = pooled[5:21].reshape(2, 2, 2, 2, -1)  # each cell of 2 x 2 is four of 4 x 4
    assert np.array_equal(four.sum(axis=(1, 3)).reshape(4, -1), pooled[1:5])


@given(
    places=st.lists(st.tuples(st.floats(0, 33, width=32), st.floats(0, 47, width=32)), min_size=1, max_size=8),
    sides=st.tuples(st.floats(0, 30), st.floats(0, 40), st.floats(0.01, 50), st.floats(0.01, 50)),
    levels=levels,
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_point_of_a_box_is_lost_or_counted_twice_whatever_the_floats(places, sides, levels):
    local = point_features(np.ones(len(places)), places, (47, 33))
    box = [sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3]]
    (x0, y0, x1, y1) = local.to_grid([box])[0]
    inside = sum(
        bool(x0 <= np.float32(x) and y0 <= np.float32(y) and (x < x1 or x1 == 33) and (y < y1 or y1 == 47))
        for x, y in places
    )
    pooled = pool(local, levels, boxes=[box])[0, :, 0]
    stops = np.cumsum([0, *(rows * columns for rows, columns in as_pairs(levels))])
    assert all(pooled[start:stop].sum() == inside for start, stop in pairwise(stops))


def test_a_point_on_a_border_belongs_to_the_cell_that_begins_there():
    """An image of 12 x 9 pixels in 3 x 3 cells of 4 x 3 pixels (height 12, width 9)."""
    for x, column in ((0, 0), (2.9, 0), (3, 1), (5.9, 1), (6, 2), (9, 2)):
        for y, row in ((0, 0), (3.9, 0), (4, 1), (7.9, 1), (8, 2), (12, 2)):
            pooled = pool(point_features([1], [x, y], (12, 9)), [3])[0, :, 0]
            assert np.flatnonzero(pooled).tolist() == [3 * row + column]


def test_a_point_on_a_boxs_far_edge_is_outside_unless_it_is_the_images():
    local = point_features([1, 2, 4, 8], [[4, 4], [8, 4], [10, 4], [8, 6]], (6, 10))
    boxes = [[0, 0, 8, 6], [0, 0, 10, 6], [4, 4, 8, 5], [8, 0, 10, 6], [0, 0, 99, 4], [0, 0, 8, 99]]
    assert pool(local, [1], boxes=boxes)[:, 0, 0].tolist() == [1, 15, 1, 14, 0, 1]


def test_sums_keep_their_digits_over_thousands_of_features():
    n = 5000
    local = point_features(np.full(n, 0.1), np.full((n, 2), 1.0), (2, 2))
    assert pool(local, [1])[0, 0, 0] == pytest.approx(500, rel=1e-4)


# --- boxes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", POOLS)
def test_a_box_over_the_whole_image_is_the_image(how):
    random = np.random.default_rng(1)
    on_points = random_points(50, (37, 53), 1)
    on_map = map_features(random.normal(size=(7, 11, 4)).astype(np.float32), stride=16)
    for local, (height, width) in ((on_points, (37, 53)), (on_map, (112, 176))):
        for box in ([0, 0, width, height], [-3, -1, width + 0.5, height + 99]):
            assert np.array_equal(pool(local, (1, 3), how, boxes=[box]), pool(local, (1, 3), how))


def test_tall_and_wide_boxes_are_not_turned():
    """A point right of the middle of a wide image is in the third of four columns of a wide box, not in a tall one."""
    local = point_features([1, 10], [[55, 5], [5, 15]], (20, 80))
    wide, tall = [0, 0, 80, 10], [0, 0, 10, 20]
    assert pool(local, [(1, 4)], boxes=[wide, tall])[..., 0].tolist() == [[0, 0, 1, 0], [0, 0, 10, 0]]
    assert pool(local, [(4, 1)], boxes=[wide, tall])[..., 0].tolist() == [[0, 0, 1, 0], [0, 0, 0, 10]]
    on_map = map_features(np.arange(6, dtype=np.float32).reshape(2, 3, 1), stride=10)
    boxes = [[0, 0, 30, 10], [0, 0, 10, 20], [10, 10, 30, 20]]
    assert pool(on_map, [1], boxes=boxes)[:, 0, 0].tolist() == [0 + 1 + 2, 0 + 3, 4 + 5]
    assert pool(on_map, [(1, 2)], boxes=boxes)[..., 0].tolist() == [[0 + 1, 1 + 2], [3, 3], [4, 5]]


def test_a_box_smaller_than_a_stride_still_owns_one_cell_of_a_map():
    local = map_features(np.arange(1, 7, dtype=np.float32).reshape(2, 3, 1), stride=32)
    boxes = [[1, 1, 2, 2], [33, 40, 34, 41], [95, 63, 96, 64], [31.9, 0, 32.1, 1]]
    for how in POOLS:
        pooled = pool(local, (1, 2), how, boxes=boxes)[..., 0]
        assert pooled[:3].tolist() == [[1] * 5, [5] * 5, [6] * 5]
    assert pooled[3].tolist() == [2, 1, 2, 1, 2]


@pytest.mark.parametrize("how", POOLS)
def test_a_box_without_points_gives_zeros(how):
    local = point_features([[-1, -2], [-3, -4]], [[1, 1], [30, 30]], (32, 32))
    assert not pool(local, (1, 2), how, boxes=[[10, 10, 20, 20]]).any()
    assert pool(local, (1, 2), how, boxes=[[10, 10, 20, 20], [0, 0, 32, 32]])[1].any()


@pytest.mark.parametrize("how", POOLS)
def test_an_image_without_features_gives_zeros(how):
    local = LocalFeatures(np.empty((0, 3), np.float32), np.empty((0, 4), np.float32), (8, 8))
    assert pool(local, (1, 2), how).tolist() == np.zeros((1, 5, 3)).tolist()


def test_no_boxes_are_no_regions():
    assert pool(random_points(5, (8, 8)), (1, 2), boxes=[]).shape == (0, 5, 3)


def test_a_box_outside_the_image_is_refused():
    for local in (random_points(5, (20, 40)), map_features(np.ones((2, 4, 1), np.float32), 10)):
        with pytest.raises(SpmError, match="outside the image of width 40 and height 20"):
            pool(local, [1], boxes=[[0, 25, 10, 30]])
        with pytest.raises(SpmError, match="x1 must exceed x0"):
            pool(local, [1], boxes=[[10, 5, 10, 30]])


# --- reductions -------------------------------------------------------------------------------------------------------


def test_max_over_negative_values_does_not_start_from_zero():
    local = map_features(np.array([[[-5.0], [-3]], [[-4], [-7]]], np.float32))
    assert pool(local, (1, 2), "max")[0, :, 0].tolist() == [-3, -5, -3, -4, -7]


def test_max_counts_the_zeros_of_words_that_a_feature_does_not_use():
    """Word 0 is used by both features of the cell, word 1 by one, word 2 by none."""
    local = point_features([0, 0], [[1, 1], [2, 2]], (4, 4))
    codes = Codes(np.array([[0, 1], [0, 3]]), np.array([[-2.0, -1], [-3, 5]]), np.ones((2, 1)), n_words=4)
    assert pool(local, [1], "max", codes=codes)[0, 0].tolist() == [-2, 0, 0, 5]


def test_max_of_one_word_with_several_moments_is_that_of_the_values():
    local = random_points(20, (9, 9), 2)
    codes = Codes.plain(local.values)
    assert np.array_equal(pool(local, (1, 3), "max", codes=codes), pool(local, (1, 3), "max"))


def test_max_of_several_words_with_several_moments_is_refused():
    codes = Codes(np.zeros((5, 1), int), np.ones((5, 1)), np.ones((5, 2)), n_words=2)
    with pytest.raises(SpmError, match="one moment or one word"):
        pool(random_points(5, (8, 8)), [1], "max", codes=codes)
    assert pool(random_points(5, (8, 8)), [1], "sum", codes=codes).shape == (1, 1, 4)


def test_mean_divides_by_the_features_of_the_cell():
    local = point_features([2, 4, 9], [[1, 1], [2, 1], [7, 1]], (8, 8))
    assert pool(local, (1, 2), "mean")[0, :, 0].tolist() == [5, 3, 9, 0, 0]
    codes = Codes(np.array([[0], [1], [1]]), np.ones((3, 1)), np.ones((3, 1)), n_words=2)
    assert pool(local, [(1, 2)], "mean", codes=codes)[0].tolist() == [[0.5, 0.5], [0, 1]]


def test_uint8_values_are_summed_beyond_255():
    local = point_features([0, 0], [[1, 1], [1, 1]], (4, 4))
    stored = LocalFeatures(np.full((2, 1), 200, np.uint8), local.extents, local.grid)
    assert pool(stored, [1]).tolist() == [[[400]]]


def test_codes_must_be_as_many_as_features():
    with pytest.raises(SpmError, match="2 codes for 3 local features"):
        pool(random_points(3, (8, 8)), [1], codes=Codes.plain(np.ones((2, 1))))


# --- levels and weights -----------------------------------------------------------------------------------------------


def test_cells_come_by_level_row_and_column():
    pyramid = SpatialPyramid(levels=(1, (2, 3)))
    places = [[5, 5], [15, 5], [25, 5], [5, 15], [15, 15], [25, 15]]
    for cell, place in enumerate(places):
        pooled = pyramid.cells(point_features([1], place, (20, 30)))[0, :, 0]
        assert np.flatnonzero(pooled).tolist() == [0, 1 + cell]
    names = ["1x1_r0c0", "2x3_r0c0", "2x3_r0c1", "2x3_r0c2", "2x3_r1c0", "2x3_r1c1", "2x3_r1c2"]
    assert pyramid.cell_names() == names
    assert pyramid.grids().tolist() == [[1, 1], [2, 3]]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([1], [1]),
        ([1, 2], [1 / 2, 1 / 2]),
        ([1, 2, 4], [1 / 4, 1 / 4, 1 / 2]),
        ([1, 2, 4, 8], [1 / 8, 1 / 8, 1 / 4, 1 / 2]),
    ],
)
def test_lazebniks_weights(levels, expected):
    pyramid = SpatialPyramid(levels=levels)
    assert pyramid.level_weights().tolist() == expected == reference.lazebnik_weights(len(levels))
    assert pyramid.cell_weights().tolist() == [w for w, n in zip(expected, levels, strict=True) for _ in range(n * n)]


def test_weights_go_by_the_index_of_a_level_not_by_its_size():
    assert SpatialPyramid(levels=(2, (3, 1), 6)).level_weights().tolist() == [0.25, 0.25, 0.5]


def test_weights_given_or_none():
    assert SpatialPyramid(levels=(1, 2), weights=None).level_weights().tolist() == [1, 1]
    for given_weights in ([0, 3], (0, 3), np.array([0.0, 3.0])):
        assert SpatialPyramid(levels=(1, 2), weights=given_weights).level_weights().tolist() == [0, 3]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "one number for each of the 3 levels"),
        ([], "one number for each"),
        (2.0, "one number for each"),
        ("grauman", "'lazebnik', None"),
        ([1, 2, -1], "at least 0"),
        ([1, 2, float("nan")], "finite"),
        ([1, 2, "3"], "finite number"),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    with pytest.raises(SpmError, match=message):
        SpatialPyramid(levels=(1, 2, 4), weights=weights).level_weights()


@pytest.mark.parametrize(
    "levels", [3, (), (0,), (1, 2.5), (1, (2, 3, 4)), (1, (2, 0)), "124", None, (1, None), (True,)]
)
def test_wrong_levels_are_refused(levels):
    with pytest.raises(SpmError, match="levels"):
        SpatialPyramid(levels=levels).cells(random_points(3, (8, 8)))


def test_a_wrong_pool_is_refused_at_work_with_the_choices():
    pyramid = SpatialPyramid(pool="median")
    with pytest.raises(SpmError, match=re.escape("pool='median' is not an option: choose one of 'sum', 'mean', 'max'")):
        pyramid.cells(random_points(3, (8, 8)))


# --- the estimator ----------------------------------------------------------------------------------------------------


def test_pool_is_the_option_and_cells_the_work():
    pyramid = SpatialPyramid(levels=(1,), pool="max")
    assert pyramid.pool == "max" and pyramid.pool != "sum"
    assert pyramid.get_params() == {"levels": (1,), "pool": "max", "weights": "lazebnik"}
    assert type(pyramid.get_params()["pool"]) is str
    assert pyramid.cells(point_features([1, 2], [[1, 1], [2, 2]], (4, 4))).tolist() == [[[2]]]
    assert "pool='max'" in repr(pyramid)


def test_set_params_clone_and_pickle_keep_the_option_and_its_work():
    local = point_features([1, 2], [[1, 1], [2, 2]], (4, 4))
    base = SpatialPyramid(levels=(1,))
    for options in ParameterGrid({"pool": POOLS, "weights": [None, "lazebnik"]}):
        pyramid = clone(base).set_params(**options)
        for copy in (pyramid, clone(pyramid), pickle.loads(pickle.dumps(pyramid))):
            assert copy.get_params() == {"levels": (1,), **options}
            assert copy.cells(local)[0, 0, 0] == {"sum": 3, "mean": 1.5, "max": 2}[options["pool"]]
    assert base.pool == "sum"


def test_the_option_of_one_pyramid_may_be_given_to_another():
    local = point_features([1, 2], [[1, 1], [2, 2]], (4, 4))
    one = SpatialPyramid(levels=(1,), pool="max")
    other = SpatialPyramid(levels=((1, 2),), pool=one.pool)
    assert other.pool == "max" and clone(other).pool == "max"
    assert other.cells(local)[0, :, 0].tolist() == [1, 2]
    one.set_params(pool="sum")
    assert other.pool == "max"


def test_html_repr_shows_the_options():
    assert "SpatialPyramid" in SpatialPyramid(pool="mean")._repr_html_()
