"""One view or many: each way of looking at an image against its slow, obvious twin."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import spm  # noqa: E402
from spm.classifiers.multiview import windows  # noqa: E402
from spm.features.frames import frame_of, prepare, resize, value_tables  # noqa: E402
from spm.nn import SPPNetClassifier  # noqa: E402
from spm.nn.training.views import MANY_SIZES, Looks, batches  # noqa: E402

RANDOM = np.random.default_rng(0)
X = [RANDOM.integers(0, 256, shape, dtype=np.uint8) for shape in [(40, 56, 3), (57, 40, 3), (44, 44), (40, 56)] * 3]
Y = ["a", "b", "b"] * 4
PYRAMID = spm.SpatialPyramid(levels=(1, 2), pool="max", weights=None)


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
    model = SPPNetClassifier(trunk=trunk, sizes=(32,), levels=(1, 2), epochs=2, device="cpu", random_state=0)
    return model.fit(X, Y)


def seen(pixels):
    """Return a network's input for pixels, as `FeatureMap` makes it."""
    return torch.from_numpy(prepare(np.ascontiguousarray(pixels), *value_tables("imagenet", 3)))


def scores(model, inputs, boxes=None):
    """Return the mean probabilities of an input, or of windows of its map, pooled by the library's own pyramid."""
    with torch.no_grad():
        maps = model.module_.trunk(inputs)[0].numpy()
        channels, rows, columns = maps.shape
        j, i = np.meshgrid(np.arange(columns), np.arange(rows))
        extents = np.stack([j, i, j + 1, i + 1], axis=-1).reshape(-1, 4).astype(np.float32)
        trunk = model.module_.trunk
        place = {"stride": trunk.stride, "offset": trunk.offset, "image_size": tuple(inputs.shape[2:])}
        local = spm.LocalFeatures(maps.reshape(channels, -1).T.copy(), extents, (rows, columns), **place)
        cells = PYRAMID.cells(local, boxes)
        pooled = torch.from_numpy(cells.reshape(len(cells), -1).astype(np.float32))
        return model.module_.head(pooled).softmax(1).numpy()


def at_size(image, size):
    return image if size is None else resize(image, frame_of(image.shape[:2], size, "full").size)


@pytest.mark.parametrize("sizes", [None, 32, (28, 48), (None, 32)])
def test_whole_images(fitted, sizes):
    fitted.set_params(views=1, test_size="full" if sizes is None else sizes)
    several = sizes if isinstance(sizes, tuple) else (sizes,)
    expected = [np.mean([scores(fitted, seen(at_size(image, s)))[0] for s in several], axis=0) for image in X]
    np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["crop", "warp"])
def test_squares(fitted, policy):
    model = fitted.set_params(views=1, test_size=36, test_policy=policy)
    for image, found in zip(X, model.predict_proba(X), strict=True):
        frame = frame_of(image.shape[:2], 36, policy)
        top, left, height, width = frame.part
        pixels = resize(image, frame.resized)[top : top + height, left : left + width]
        np.testing.assert_allclose(found, scores(model, seen(pixels))[0], atol=1e-5)
    fitted.set_params(test_policy="full")


def test_ten_crops(fitted):
    fitted.set_params(views=10, test_size=36)
    for image, found in zip(X, fitted.predict_proba(X), strict=True):
        pixels, said = at_size(image, 36), []
        height, width = pixels.shape[:2]
        corners = [(y, x) for y in (0, height - 32) for x in (0, width - 32)]
        for y, x in [*corners, ((height - 32) // 2, (width - 32) // 2)]:
            crop = pixels[y : y + 32, x : x + 32]
            said += [scores(fitted, seen(crop))[0], scores(fitted, seen(crop[:, ::-1]))[0]]
        assert len(said) == 10
        np.testing.assert_allclose(found, np.mean(said, axis=0), atol=1e-5)


def test_many_windows_of_maps(fitted):
    fitted.set_params(views="many", test_size=(32, 48))
    for image, found in zip(X, fitted.predict_proba(X), strict=True):
        said = []
        for size in (32, 48):
            pixels = at_size(image, size)
            boxes = windows(pixels.shape[:2], size, 32)
            for turned in (pixels, pixels[:, ::-1]):
                said.append(scores(fitted, seen(turned), boxes))
        np.testing.assert_allclose(found, np.concatenate(said).mean(axis=0), atol=1e-5)


def test_the_papers_views_are_96():
    from spm.nn.training.pixels import Pictures

    pictures = Pictures([np.zeros((300, 400), np.uint8)], "stored")
    looks = Looks(MANY_SIZES, "full", "many", 224)
    assert sum(len(boxes) for _, _, boxes in batches(pictures, looks, 4)) == 96
    ten = list(batches(pictures, Looks((256,), "full", 10, 224), 4))
    assert [pixels.shape for _, pixels, _ in ten] == [(1, 224, 224, 1)] * 10


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
import test_nn_views as views
views.long_run(sys.argv[2]).fit(views.X, views.Y)
"""


def long_run(checkpoint=None):
    torch.manual_seed(1)
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU())
    options = {"sizes": (32, 24), "levels": (1, 2), "batch_size": 3, "head": (8,), "average": 0.9, "epochs": 60}
    return SPPNetClassifier(trunk=trunk, **options, checkpoint=checkpoint, device="cpu", random_state=0)


def test_a_process_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path):
    path = tmp_path / "run.pt"
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(here.parent), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(here), str(path)], env=environment)
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = torch.load(path, weights_only=True)["epoch"]
    assert 1 <= done <= 60
    again, whole = long_run(str(path)).fit(X, Y), long_run().fit(X, Y)
    for name, value in whole.state_.items():
        np.testing.assert_array_equal(again.state_[name], value, err_msg=name)
