"""Boxes, local features and codes: what may go in, and how boxes travel from pixels to a map's cells."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

import spm
from spm import LocalFeatures, SpmError
from spm.boxes import check_boxes
from spm.encoders.codes import Codes
from spm.features.local import ExtractorMixin


def cell_map(height, width, stride=(16, 16), offset=(0, 0), image_size=None):
    """Return a map of height x width cells without values of interest."""
    i, j = (axis.ravel() for axis in np.mgrid[:height, :width])
    extents = np.stack([j, i, j + 1, i + 1], axis=1).astype(np.float32)
    if image_size is None:
        image_size = (height * stride[0], width * stride[1])
    values = np.zeros((height * width, 1), np.float32)
    return LocalFeatures(values, extents, (height, width), stride, offset, image_size)


def points(height=48, width=80):
    return LocalFeatures(np.zeros((1, 1), np.float32), np.full((1, 4), 8, np.float32), (height, width))


# --- boxes ------------------------------------------------------------------------------------------------------------


def test_boxes_become_float64_and_none_are_none():
    assert check_boxes([[0, 1, 2, 3.5]]).dtype == np.float64
    assert check_boxes(np.array([[0, 1, 2, 3]], np.uint8)).tolist() == [[0, 1, 2, 3]]
    for empty in ([], np.empty((0, 4)), ()):
        assert check_boxes(empty).shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([0, 0, 4, 4], "shape"),
        ([[0, 0, 4]], "shape"),
        ([[[0, 0, 4, 4]]], "shape"),
        ([[0, 0, np.nan, 4]], "finite"),
        ([[0, 0, np.inf, 4]], "finite"),
        ([[0, 0, 4, 4], [4, 0, 0, 4]], "box 1 .* x1 must exceed x0"),
        ([[0, 4, 4, 4]], "box 0 .* y1 exceed y0"),
        ([[0, 0, 4, 4], [0, 0, 4]], "shape"),
        ([["a", "b", "c", "d"]], "shape"),
        (np.empty((3, 0)), r"shape \(n, 4\) .* got \(3, 0\)"),
        (np.empty((0, 5)), r"got \(0, 5\)"),
        ([[]], r"got \(1, 0\)"),
    ],
)
def test_malformed_boxes_are_refused(boxes, message):
    with pytest.raises(SpmError, match=message):
        check_boxes(boxes)


# --- local features ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "extents"), [((3,), (3, 4)), ((3, 2), (2, 4)), ((3, 2), (3, 2)), ((3, 2, 1), (3, 4))]
)
def test_values_and_extents_must_fit(values, extents):
    with pytest.raises(SpmError, match=r"shape \(N, D\)"):
        LocalFeatures(np.zeros(values, np.float32), np.zeros(extents, np.float32), (8, 8))


def test_lists_become_arrays():
    local = LocalFeatures([[1, 2], [3, 4]], [[0, 0, 0, 0], [1, 1, 1, 1]], grid=[4, 4])
    assert (local.values.dtype, local.extents.dtype, len(local)) == (np.float32, np.float32, 2)
    whole = spm.SpatialPyramid(levels=(1,), pool="sum")
    assert whole.cells(local).ravel().tolist() == [4, 6]
    given = np.ones((1, 1), np.uint8)
    assert LocalFeatures(given, np.zeros((1, 4)), grid=(4, 4)).values is given


@pytest.mark.parametrize("values", [[["a"]], [[None]], [[1], [1, 2]], object()])
def test_what_is_no_numbers_is_refused(values):
    with pytest.raises(SpmError, match=r"array of numbers|values of shape|not finite"):
        LocalFeatures(values, [[0, 0, 0, 0]], grid=(4, 4))


def test_a_map_needs_the_image_size():
    with pytest.raises(SpmError, match="image_size"):
        LocalFeatures(np.zeros((1, 1), np.float32), np.zeros((1, 4), np.float32), (8, 8), stride=(1, 1))


def test_points_keep_pixels_and_are_cut_at_the_border():
    boxes = [[0, 0, 80, 48], [-5, -7, 99, 1000], [10.5, 20.25, 11, 21], [-3, 10, 40, 20], [40, 30, 81, 49]]
    expected = [[0, 0, 80, 48], [0, 0, 80, 48], [10.5, 20.25, 11, 21], [0, 10, 40, 20], [40, 30, 80, 48]]
    assert points(48, 80).to_grid(boxes).tolist() == expected


@pytest.mark.parametrize(
    "box", [[80, 0, 90, 10], [0, 48, 10, 60], [-9, 0, 0, 10], [0, -9, 10, 0], [50, 50, 60, 60], [-9, -9, -1, -1]]
)
def test_a_box_outside_the_image_is_refused(box):
    """(50, 50) lies inside if width and height are swapped."""
    for local in (points(48, 80), cell_map(3, 5)):
        with pytest.raises(SpmError, match=r"box 1 .* outside the image of width 80 and height 48"):
            local.to_grid([[0, 0, 8, 8], box])
    assert len(points(80, 48).to_grid([[0, 50, 10, 60]])) == 1


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 80, 48], [0, 0, 5, 3]),
        ([16, 16, 32, 32], [1, 1, 2, 2]),  # exact borders keep exact cells
        ([17, 15, 31, 33], [1, 0, 2, 3]),  # outward
        ([16, 16, 32.01, 32], [1, 1, 3, 2]),
        ([70, 2, 71, 3], [4, 0, 5, 1]),  # smaller than a cell
        ([2, 40, 3, 41], [0, 2, 1, 3]),
        ([0, 0, 80, 1], [0, 0, 5, 1]),  # wide and flat
        ([0, 0, 1, 48], [0, 0, 1, 3]),  # thin and tall
        ([79.5, 47.5, 200, 200], [4, 2, 5, 3]),
    ],
)
def test_a_region_of_a_map_is_rounded_outward_to_whole_cells(box, expected):
    assert cell_map(3, 5).to_grid([box]).tolist() == [expected]


def test_stride_and_offset_go_down_and_across():
    """Cells of 10 x 20 pixels, the first at y = 4, x = -6, in an image of 48 x 80 pixels: the edges reach further."""
    local = cell_map(4, 4, stride=(10, 20), offset=(4, -6), image_size=(48, 80))
    boxes = [[14, 14, 34, 24], [0, 0, 80, 48], [1, 1, 2, 2], [60, 40, 80, 48], [73, 44, 75, 47], [15, 13, 33, 25]]
    expected = [[1, 1, 2, 2], [0, 0, 4, 4], [0, 0, 1, 1], [3, 3, 4, 4], [3, 3, 4, 4], [1, 0, 2, 3]]
    assert local.to_grid(boxes).tolist() == expected


@given(
    grid=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    stride=st.tuples(st.floats(0.5, 40), st.floats(0.5, 40)),
    offset=st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
    size=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    corners=st.tuples(*[st.floats(-50, 750) for _ in range(4)]),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_every_region_of_a_map_owns_whole_cells_that_cover_it(grid, stride, offset, size, corners):
    x0, x1, y0, y1 = corners
    box = [min(x0, x1), min(y0, y1), max(x0, x1) + 0.01, max(y0, y1) + 0.01]
    if box[0] >= size[1] or box[1] >= size[0] or box[2] <= 0 or box[3] <= 0:
        return
    (region,) = cell_map(*grid, stride, offset, size).to_grid([box])
    assert np.array_equal(region, np.rint(region))
    for axis in (0, 1):
        cells, step, start, length = grid[1 - axis], stride[1 - axis], offset[1 - axis], size[1 - axis]
        low, high = region[axis], region[axis + 2]
        assert 0 <= low < high <= cells
        assert low == 0 or start + low * step <= box[axis] + 1e-9 or low == cells - 1
        assert high == cells or start + high * step >= box[axis + 2] - 1e-9 or high == 1
        assert low == 0 or box[axis] > 0
        assert high == cells or box[axis + 2] < length


@given(
    cells=st.integers(3, 40),
    pixels=st.integers(60, 700),
    offset=st.sampled_from([0, 0.3, 3.7, 7.5]),
    data=st.data(),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_edges_between_two_cells_stay_there_for_fractional_strides(cells, pixels, offset, data):
    """k * stride / stride is not always k: no dust of it may add a cell."""
    stride = pixels / cells
    low, high = sorted(data.draw(st.sets(st.integers(1, cells - 1), min_size=2, max_size=2)))
    box = [offset + low * stride, offset + low * stride, offset + high * stride, offset + high * stride]
    local = cell_map(cells, cells, (stride, stride), (offset, offset), (1000, 1000))
    assert local.to_grid([box]).tolist() == [[low, low, high, high]]


def test_an_extractor_without_views_says_so():
    with pytest.raises(TypeError, match="must define views"):
        ExtractorMixin().check(None)


# --- codes ------------------------------------------------------------------------------------------------------------


def test_codes_are_words_times_moments():
    random = np.random.default_rng(0)
    words = np.array([random.permutation(5)[:2] for _ in range(7)])
    codes = Codes(words, random.normal(size=(7, 2)), random.normal(size=(7, 3)), n_words=5)
    assert codes.n_values == 15
    written = codes.toarray()
    assert written.dtype == np.float32
    np.testing.assert_allclose(written, reference.written_out(words, codes.weights, codes.moments, 5), rtol=1e-6)


def test_plain_codes_are_the_values():
    values = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    codes = Codes.plain(values)
    assert (codes.n_words, codes.n_values) == (1, 3)
    assert np.array_equal(codes.toarray(), values)
    assert Codes.plain(np.array([[7]], np.uint8)).toarray().tolist() == [[7.0]]


def test_codes_must_fit():
    with pytest.raises(SpmError, match="one shape"):
        Codes(np.zeros((2, 1), int), np.ones((2, 2)), np.ones((2, 1)), 3)
    with pytest.raises(SpmError, match="as many moments"):
        Codes(np.zeros((2, 1), int), np.ones((2, 1)), np.ones((3, 1)), 3)
