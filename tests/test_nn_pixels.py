"""What a network is shown in training: crops, windows, mirror images, sizes by epoch."""

import numpy as np
import pytest

from spm import ImageError
from spm.features.frames import frame_of, resize
from spm.nn.training.pixels import Pictures, Schedule, View, ahead, assemble, cropped, views_of

GENERATOR = np.random.default_rng(0)
IMAGES = [GENERATOR.integers(0, 256, shape, dtype=np.uint8) for shape in [(60, 90, 3), (90, 60, 3), (70, 71)]]


def schedule(name="alternate", sizes=(56, 45), policy="crop", crop=True, mirror=True, step=32):
    return Schedule(name, sizes, step, policy, crop, mirror, seed=4)


def shown(plan, epoch):
    pictures = Pictures(IMAGES, "stored")
    buckets = plan.buckets(pictures.shapes, plan.size(epoch), 4)
    view = views_of(plan, pictures, buckets.targets, epoch)
    return [view(i) for i in range(len(IMAGES))], pictures, buckets


def test_the_smaller_image_is_the_same_crop_resized():
    """Of one epoch's draws, at both sizes: the window is one and the same."""
    for where in [(0.0, 0.0), (0.3, 0.9), (1.0, 1.0)]:
        large, small = (cropped((60, 90), 56, size, where, whole=False) for size in (56, 45))
        assert large.window == small.window and large.resized == small.resized == (64, 96)
        assert (large.shape, small.shape) == ((56, 56), (45, 45))
        np.testing.assert_array_equal(small.of(IMAGES[0]), resize(large.of(IMAGES[0]), (45, 45)))


def test_a_crop_at_the_centre_is_what_a_feature_map_sees():
    for image in IMAGES:
        frame = frame_of(image.shape[:2], 48, "crop")
        top, left, height, width = frame.part
        wanted = resize(image, frame.resized)[top : top + height, left : left + width]
        view = schedule(sizes=(48,), crop=False).view(image.shape, (48, 48), 48, (0, 0), crop=False)
        got = view.of(image.reshape(*image.shape[:2], -1)).reshape(wanted.shape)
        assert abs(np.subtract(view.window[:2], (top, left))).max() <= 1
        if view.window[:2] == (top, left):
            np.testing.assert_array_equal(got, wanted)


def test_sizes_by_epoch():
    assert [schedule().size(e) for e in range(4)] == [56, 45, 56, 45]
    drawn = [schedule("range", (32, 96), step=16).size(e) for e in range(200)]
    assert set(drawn) == {32, 48, 64, 80, 96}
    assert drawn == [schedule("range", (32, 96), step=16).size(e) for e in range(200)]
    assert {schedule("range", (180, 183), step=1).size(e) for e in range(100)} == {180, 181, 182, 183}


@pytest.mark.parametrize("policy", ["crop", "warp"])
def test_squares_come_in_one_shape(policy):
    for epoch, size in ((0, 56), (1, 45)):
        views, pictures, buckets = shown(schedule(policy=policy), epoch)
        assert len(buckets) == 1
        batch = assemble(pictures, range(3), views)
        assert batch.shape == (3, size, size, 3) and batch.dtype == np.uint8
        np.testing.assert_array_equal(batch[2, ..., 0], batch[2, ..., 2])  # a grey image among colours


def test_free_sizes_keep_their_ratio_to_a_step():
    views, _pictures, buckets = shown(schedule("free", (None,), step=32), 0)
    assert [view.shape for view in views] == [(64, 96), (96, 64), (64, 64)]
    assert buckets.targets.tolist() == [[64, 96], [96, 64], [64, 64]]
    views, *_ = shown(schedule("free", (32, 64), step=16), 1)
    assert [view.shape for view in views] == [(64, 96), (96, 64), (64, 64)]
    whole, *_ = shown(schedule("free", (None,), crop=False, step=1), 0)
    for view, image in zip(whole, IMAGES, strict=True):
        pixels = image.reshape(*image.shape[:2], -1)
        np.testing.assert_array_equal(view.of(pixels), pixels[:, ::-1] if view.mirrored else pixels)


def test_augmentation_is_that_of_the_seed_and_the_epoch():
    plan = schedule(sizes=(48,))
    first, again, later = (shown(plan, epoch)[0] for epoch in (0, 0, 1))
    assert first == again and first != later
    many = [view for epoch in range(60) for view in shown(plan, epoch)[0]]
    assert 0.3 < np.mean([view.mirrored for view in many]) < 0.7
    assert len({view.window for view in many}) > 40
    still = [view for epoch in range(5) for view in shown(schedule(sizes=(48,), crop=False, mirror=False), epoch)[0]]
    assert len(set(still)) == 3 and not any(view.mirrored for view in still)


def test_mirrored_is_mirrored():
    pixels = IMAGES[0]
    view = View(None, (0, 0, 60, 90), (60, 90), True)
    np.testing.assert_array_equal(view.of(pixels), pixels[:, ::-1])


def test_pictures_beyond_the_bound_are_read_again(tmp_path):
    from PIL import Image

    paths = []
    for k, image in enumerate(IMAGES):
        paths.append(str(tmp_path / f"{k}.png"))
        Image.fromarray(image).save(paths[-1])
    some = Pictures(paths, "stored", keep_bytes=IMAGES[0].nbytes)
    for k, image in enumerate(IMAGES):
        np.testing.assert_array_equal(some[k].reshape(image.shape), image)
    (tmp_path / "0.png").unlink()
    assert some[0].shape == (60, 90, 3)  # kept
    (tmp_path / "1.png").unlink()
    with pytest.raises(ImageError, match=r"1\.png"):
        some[1]
    with pytest.raises(ImageError, match=r"1\.png"):
        Pictures(paths[1:], "stored")


def test_what_is_made_ahead_comes_in_order_and_errors_with_it():
    assert list(ahead(lambda i: i * i, range(20))) == [i * i for i in range(20)]
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda i: 1 / (i - 5), range(20)))
