"""Bins: the right recipe against the pyramid, numpy and torch for every size; the wrong ones as they are known."""

import numpy as np
import pytest

import spm
from spm.pyramid.bins import RECIPES, bins, draw_bins, faults

MOST = 40
SIDES = range(1, MOST + 1)


def largest(values, n):
    """Return the maximum of every one of n bins along the last axis, by numpy."""
    padded = np.concatenate([values, values[..., -1:]], axis=-1)  # so that a bin may end behind the last cell
    return np.maximum.reduceat(padded, bins(values.shape[-1], n).ravel(), axis=-1)[..., ::2]


def maps():
    """Yield a map of every height and width, below zero: a maximum must not start from 0."""
    random = np.random.default_rng(0)
    for height in SIDES:
        for width in SIDES:
            yield -random.random((height, width), dtype=np.float32)


def test_the_pyramid_and_numpy_agree_for_every_height_width_and_number():
    pyramid = spm.SpatialPyramid(levels=SIDES, pool="max")
    for values in maps():
        height, width = values.shape
        i, j = np.divmod(np.arange(values.size), width)
        cells = np.stack([j, i, j + 1, i + 1], axis=1).astype(np.float32)
        pooled = pyramid.cells(spm.LocalFeatures(values.reshape(-1, 1), cells, grid=(height, width))).ravel()
        expected = [largest(largest(values, n).T, n).T.ravel() for n in SIDES]
        np.testing.assert_array_equal(pooled, np.concatenate(expected), err_msg=f"{height} x {width}")


def test_torch_and_numpy_agree_for_every_height_width_and_number():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for values in maps():
        tensor = torch.from_numpy(values)[None]
        for n in SIDES:
            theirs = torch.nn.functional.adaptive_max_pool2d(tensor, n)[0].numpy()
            np.testing.assert_array_equal(largest(largest(values, n).T, n).T, theirs, err_msg=f"{values.shape} {n}")


def test_every_axis_of_every_size_against_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for size in range(1, MOST + 1):
        once = torch.eye(size)[:, None]  # one map a cell, lit there alone
        for n in range(1, MOST + 1):
            lit = torch.nn.functional.adaptive_max_pool1d(once, n)[:, 0].numpy().T  # (bins, cells)
            ours = [[a <= cell < b for cell in range(size)] for a, b in bins(size, n)]
            np.testing.assert_array_equal(lit.astype(bool), ours, err_msg=f"{size} {n}")


def test_right_bins_have_no_fault_and_wrong_ones_do_in_the_papers_own_cases():
    assert not any(faults(bins(size, n), size, n) for size in range(1, MOST + 1) for n in range(1, MOST + 1))
    assert faults(bins(13, 6, "padded"), 13, 6) == ["1 empty bin"]
    assert faults(bins(10, 6, "sliding"), 10, 6) == ["9 bins instead of 6"]
    assert faults(bins(10, 4, "sliding"), 10, 4) == ["1 cell in no bin"]
    assert not (bins(12, 6, "padded") - bins(12, 6)).any()  # where n divides the size, all agree
    assert not (bins(12, 6, "sliding") - bins(12, 6)).any()


def test_wrong_bins_are_those_of_torchs_pooling_layers():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for size, n in ((13, 6), (10, 6), (10, 4), (9, 4), (31, 7)):
        kernel = -(-size // n)
        padding = (kernel * n - size + 1) // 2
        once = torch.nn.functional.pad(torch.eye(size)[:, None], (padding, padding))
        for recipe, image, stride in (("padded", once, kernel), ("sliding", torch.eye(size)[:, None], size // n)):
            lit = torch.nn.functional.max_pool1d(image, kernel, stride)[:, 0].numpy().T
            ours = [[a <= cell < b for cell in range(size)] for a, b in bins(size, n, recipe)]
            np.testing.assert_array_equal(lit.astype(bool), ours, err_msg=f"{recipe} {size} {n}")


def test_the_drawing_has_a_line_a_bin():
    drawing = draw_bins(13, 6).splitlines()
    assert len(drawing) == len(RECIPES) + 3 * 6
    assert drawing[0].endswith(": right") and drawing[1] == "  ###.........."
    assert drawing[7].endswith(": 1 empty bin") and drawing[8] == "  ............."
    assert drawing[14].endswith(": right")  # by luck
    assert ": 1 cell in no bin" in draw_bins(10, 4)


@pytest.mark.parametrize("wrong", [(0, 3), (3, 0), (2.5, 1), (3, 1, "caffe")])
def test_wrong_arguments(wrong):
    with pytest.raises(spm.SpmError):
        bins(*wrong)
