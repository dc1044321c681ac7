"""Thousands of regions of one image: each is held to the one pooling rule, in whatever part or thread it is pooled."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from spm import LocalFeatures, SpatialPyramid, SpmError
from spm.encoders.codes import Codes
from spm.pyramid import pyramid
from spm.pyramid.levels import Levels
from spm.pyramid.pooling import Pooler, pool_codes
from spm.pyramid.pyramid import plan_of
from spm.pyramid.whole_cells import MANY

POOLS = ("sum", "mean", "max")
PYRAMIDS = [(1, 2, 3, 6), (1, 2, 4), (6,), (1, 2, (3, 1)), ((2, 3), 5, 1), (4, (2, 1), (1, 4)), (9, 3, 1)]


def map_of(values, stride=(16.0, 16.0), offset=(0.0, 0.0)):
    """The cells of a map of shape (H, W, D), of an image that they cover."""
    height, width, depth = values.shape
    i, j = np.divmod(np.arange(height * width), width)
    extents = np.stack([j, i, j + 1, i + 1], axis=1).astype(np.float32)
    size = int(np.ceil(height * stride[0])), int(np.ceil(width * stride[1]))
    return LocalFeatures(values.reshape(-1, depth), extents, (height, width), stride, offset, size)


def words_at(n, grid, n_words, used=1, soft=False, seed=0):
    """Points in no order, some on borders, and their codes."""
    random = np.random.default_rng(seed)
    places = (random.integers(0, 4 * np.array(grid[::-1]) + 1, (n, 2)) / 4).astype(np.float32)
    words = np.array([random.permutation(n_words)[:used] for _ in range(n)], dtype=np.int32).reshape(n, used)
    weights = random.normal(size=(n, used)) if soft else np.ones((n, used))
    weights[random.random((n, used)) < 0.1] = 0  # empty slots
    codes = Codes(words, weights.astype(np.float32), np.ones((n, 1), np.float32), n_words)
    return LocalFeatures(np.ones((n, 1), np.float32), np.hstack([places, places]), grid), codes


def boxes_in(height, width, n, seed=0):
    """Random, square, thin, one-pixel and border-crossing boxes, and some that cover the image, in turn."""
    random = np.random.default_rng(seed)
    boxes = []
    for kind in range(n):
        x, y = random.uniform(0, width - 0.01), random.uniform(0, height - 0.01)
        w, h = random.uniform(0.5, width), random.uniform(0.5, height)
        boxes.append(
            [
                (x, y, x + w, y + h),
                (x, y, x + w, y + w),
                (x, y, x + w, y + 0.5),
                (x, y, x + 0.5, y + h),
                (np.floor(x), np.floor(y), np.floor(x) + 1, np.floor(y) + 1),
                (x - w, y - h, x + 0.5, y + 0.5),
                (-3.5, -1, width + 2, height + 0.5),
                (0, 0, width, height),
            ][kind % 8]
        )
    return np.array(boxes)


def twin(local, codes, boxes, levels, how):
    grids = [(level, level) if isinstance(level, int) else level for level in levels]
    written = reference.written_out(codes.words, codes.weights, codes.moments, codes.n_words)
    return reference.pool(written, local.extents, local.to_grid(boxes), local.grid, grids, how)


def over(local, levels, how, codes=None, n_boxes=1):
    pool = plan_of([SpatialPyramid(levels=levels, pool=how)]).over(local, codes, n_boxes)
    return lambda boxes=None: pool(boxes)[0]


# --- maps -------------------------------------------------------------------------------------------------------------


@given(
    grid=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    stride=st.tuples(st.sampled_from([16.0, 15.7, 3.3]), st.sampled_from([16.0, 7.9])),
    offset=st.sampled_from([(0.0, 0.0), (-7.5, 2.5)]),
    levels=st.sampled_from(PYRAMIDS),
    how=st.sampled_from(POOLS),
    many=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_boxes_on_a_map_are_their_twin(grid, stride, offset, levels, how, many, seed):
    random = np.random.default_rng(seed)
    local = map_of(random.normal(-1, 1, (*grid, 3)).astype(np.float32), stride, offset)
    boxes = boxes_in(*local.image_size, 16, seed)
    fast = over(local, levels, how, n_boxes=MANY if many else 1)(boxes)
    slow = twin(local, Codes.plain(local.values), boxes, levels, how)
    assert fast.dtype == np.float32
    if how == "max":
        np.testing.assert_array_equal(fast, slow.astype(np.float32))
    else:
        np.testing.assert_allclose(fast, slow, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("levels", PYRAMIDS)
def test_with_squares_and_without_a_maximum_is_that_of_numpy_slices(levels):
    values = np.random.default_rng(1).normal(-3, 1, (23, 31, 17)).astype(np.float32)
    local = map_of(values)
    boxes = boxes_in(*local.image_size, 400)
    expected = []
    for x0, y0, x1, y1 in local.to_grid(boxes).astype(int):
        part, (h, w) = values[y0:y1, x0:x1], (y1 - y0, x1 - x0)
        for level in levels:
            rows, columns = (level, level) if isinstance(level, int) else level
            for i in range(rows):
                band = part[i * h // rows : -(-(i + 1) * h // rows)]
                for j in range(columns):
                    expected.append(band[:, j * w // columns : -(-(j + 1) * w // columns)].max(axis=(0, 1)))
    expected = np.array(expected).reshape(400, -1, 17)
    for n_boxes in (1, 400):
        assert np.array_equal(over(local, levels, "max", n_boxes=n_boxes)(boxes), expected)


@pytest.mark.parametrize("how", ["sum", "mean"])
def test_a_bin_of_zeros_is_zero_whatever_lies_around_it(how):
    values = np.zeros((9, 9, 1), np.float32)
    values[0, 0], values[8, 3], values[3, 8] = 1e8, 0.1, -3e-7
    local = map_of(values)
    pooled = over(local, (3, 6), how)(np.array([[0, 0, 144, 144], [16, 16, 112, 112]]))
    assert not pooled[1].any()
    assert np.count_nonzero(pooled[0]) == 3 + 3  # one bin a level has each


def test_whole_cells_and_other_regions_of_a_map_may_be_mixed():
    values = np.random.default_rng(2).integers(-9, 10, (5, 7, 2)).astype(np.float32)
    local, levels = map_of(values), Levels.of(np.array([[1, 1], [2, 2], [3, 1]]))
    codes = Codes.plain(local.values)
    regions = np.array([[0, 0, 7, 5], [0.5, 0, 3, 2.25], [2, 1, 6, 5], [0, 0, 0.5, 0.5]])
    for how in POOLS:
        mixed = pool_codes(codes, local.extents, regions, local.grid, levels, how)
        slow = reference.pool(values.reshape(-1, 2), local.extents, regions, local.grid, levels.grids.tolist(), how)
        np.testing.assert_allclose(mixed, slow, rtol=1e-6)
        for region, cells in zip(regions, mixed, strict=True):
            assert np.array_equal(pool_codes(codes, local.extents, region[None], local.grid, levels, how)[0], cells)


@pytest.mark.parametrize("change", ["turned", "a cell twice", "a cell missing", "weights"])
@pytest.mark.parametrize("how", POOLS)
def test_what_only_looks_like_a_map_is_pooled_as_what_it_is(change, how):
    whole = map_of(np.random.default_rng(3).normal(size=(4, 6, 2)).astype(np.float32))
    values, extents = whole.values, whole.extents.copy()
    if change == "turned":
        values, extents = values[::-1], extents[::-1]
    elif change == "a cell twice":
        extents[3] = extents[4]
    elif change == "a cell missing":
        values, extents = values[1:], extents[1:]
    local = LocalFeatures(values, extents, (4, 6), (16, 16), (0, 0), (64, 96))
    codes = Codes.plain(local.values)
    if change == "weights":
        weights = np.where(np.arange(24) % 2, 2, -1).astype(np.float32)[:, None]
        codes = Codes(codes.words, weights, codes.moments, 1)
    boxes = boxes_in(64, 96, 8)
    pooled = over(local, (1, 2, 3), how, codes)(boxes)
    np.testing.assert_allclose(pooled, twin(local, codes, boxes, (1, 2, 3), how), rtol=1e-6, atol=1e-6)


# --- points -----------------------------------------------------------------------------------------------------------


@given(
    grid=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    n=st.integers(0, 60),
    used=st.integers(1, 3),
    soft=st.booleans(),
    levels=st.sampled_from(PYRAMIDS),
    how=st.sampled_from(POOLS),
    seed=st.integers(0, 999),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_boxes_on_words_are_their_twin(grid, n, used, soft, levels, how, seed):
    local, codes = words_at(n, grid, 4, used, soft, seed)
    boxes = boxes_in(*grid, 16, seed)
    fast, slow = over(local, levels, how, codes)(boxes), twin(local, codes, boxes, levels, how)
    if how == "max" or not soft:
        np.testing.assert_array_equal(fast, slow.astype(np.float32))
    else:
        np.testing.assert_allclose(fast, slow, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("how", POOLS)
def test_words_of_thousands_of_points_are_counted_whole(how):
    local, codes = words_at(3000, (90, 120), 20)
    boxes = boxes_in(90, 120, 40)
    x, y = local.extents[:, 0], local.extents[:, 1]
    for box, cells in zip(local.to_grid(boxes), over(local, (1, 2, (3, 1)), how, codes)(boxes), strict=True):
        inside = (x >= box[0]) & ((x < box[2]) | (x == 120) & (box[2] == 120))
        inside &= (y >= box[1]) & ((y < box[3]) | (y == 90) & (box[3] == 90))
        dense = codes.toarray()[inside].astype(np.float64)
        assert np.array_equal(cells[0], reference.reduce(dense, how).astype(np.float32))


# --- parts and threads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", POOLS)
@pytest.mark.parametrize("kind", ["map", "words", "points"])
def test_a_boxs_vector_is_the_same_bits_in_any_part_and_thread(kind, how):
    """Also where some boxes have so many points that another road pays, and so many boxes that squares do."""
    random = np.random.default_rng(4)
    codes = None
    if kind == "map":
        local = map_of(random.normal(size=(19, 26, 33)).astype(np.float32), (15.9, 16.1))
    elif kind == "words":
        local, codes = words_at(900, (300, 400), 7, 3, soft=True)
    else:
        places = random.uniform(0, 299, (900, 2)).astype(np.float32)
        local = LocalFeatures(random.normal(size=(900, 5)).astype(np.float32), np.hstack([places, places]), (300, 400))
    boxes = boxes_in(*(local.image_size or local.grid), 2 * MANY)
    levels = (1, 2, (3, 1))
    together = SpatialPyramid(levels=levels, pool=how).cells(local, boxes, codes)
    pool = over(local, levels, how, codes, len(boxes))
    with ThreadPoolExecutor(3) as threads:
        parts = list(threads.map(pool, np.array_split(boxes, 37)))
    assert np.array_equal(np.concatenate(parts), together)
    alone = [SpatialPyramid(levels=levels, pool=how).cells(local, box[None], codes)[0] for box in boxes[:32]]
    assert np.array_equal(alone, together[:32])
    assert np.array_equal(together[7], SpatialPyramid(levels=levels, pool=how).cells(local, None, codes)[0])
    assert np.array_equal(together[6], together[7])


def test_an_image_is_looked_at_once_for_all_parts(monkeypatch):
    made = []

    class Watched(Pooler):
        def __init__(self, *args):
            made.append(args[3])
            super().__init__(*args)

    monkeypatch.setattr(pyramid, "Pooler", Watched)
    plan = plan_of([SpatialPyramid(levels=(1, 2)), SpatialPyramid(levels=(1,), pool="max"), SpatialPyramid()])
    pool = plan.over(words_at(9, (8, 8), 2)[0])
    for part in np.array_split(boxes_in(8, 8, 12), 4):
        pool(part)
    assert made == ["sum", "max"]


def test_no_box_and_boxes_outside():
    for local in (words_at(9, (20, 40), 1)[0], map_of(np.ones((2, 4, 3), np.float32), (10.0, 10.0))):
        pool = over(local, (1, 2), "max")
        assert pool(np.empty((0, 4))).shape == (0, 5, local.values.shape[1])
        with pytest.raises(SpmError, match=r"box 1 is .*outside the image of width 40 and height 20"):
            pool([[0, 0, 5, 5], [0, 25, 10, 30]])
        with pytest.raises(SpmError, match="x1 must exceed x0"):
            pool([[10, 5, 10, 30]])
        for wrong in (3, "box", [[1, 2, 3]]):
            with pytest.raises(SpmError, match="boxes must"):
                SpatialPyramid().cells(local, wrong)
