"""Hold each exercise to the library: ``python check.py`` looks at exercises.py, ``python check.py FILE`` at another.

A case takes a random generator and a function, and returns what the function gave and what spm gives.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

import spm
from spm.encoders.codes import Codes
from spm.features.dense_sift import cell_weights, dense_sift, gradients
from spm.pyramid.bins import bins
from spm.pyramid.norms import normalise

TRIES = 20
EXERCISES = Path(__file__).with_name("exercises.py")


def level_weights(rng, function):
    n_levels = int(rng.integers(2, 6))
    return function(n_levels), spm.SpatialPyramid(levels=2 ** np.arange(n_levels)).level_weights()


def cell_of(rng, function):
    width, n = int(rng.integers(8, 100)), int(rng.integers(1, 8))
    x = rng.choice([rng.uniform(0, width), width])
    pooled = spm.SpatialPyramid(levels=((1, n),)).cells(_points(np.float32([[x, 1]]), (width, 2)))
    return function(np.float32(x), width, n), pooled[0, :, 0].argmax()


def word_histogram(rng, function):
    words = rng.integers(0, 5, 30)
    return function(words, 5), _pooled(words, rng.random((30, 2)), 5, (1,)).ravel()


def pyramid_counts(rng, function):
    words, places = rng.integers(0, 4, 9), rng.random((9, 2)).astype(np.float32)
    return function(words, places[:, 1], places[:, 0], 4, (1, 2, 3)), _pooled(words, places, 4, (1, 2, 3)).ravel()


def normalise_pyramid(rng, function):
    counts = _pooled(rng.integers(0, 4, 25), rng.random((25, 2)), 4, (1, 2))
    return np.ravel(function(counts, 2)), normalise(counts.ravel(), "l1", n_levels=2)


def similarity(rng, function):
    a = rng.integers(0, 9, 6) + 1
    b = a * 4 if rng.random() < 0.5 else rng.integers(0, 99, 6) + 1
    return function(a, b), _intersection(normalise(a, "l1"), normalise(b, "l1"))


def pyramid_match(rng, function):
    a, b = rng.random((2, 21))
    weights = spm.SpatialPyramid(levels=(1, 2, 4)).cell_weights()
    return function(a, b, weights), _intersection(weights * a, weights * b)


def cell_descriptors(rng, function):
    image = rng.integers(0, 256, (48, 80), dtype=np.uint8)
    wanted = spm.SpatialPyramid(levels=(2,)).cells(spm.DenseSIFT().extract(image))[0]
    return function(image, 2, dense_sift), wanted


def normalise_descriptor(rng, function):
    contrast = int(rng.choice([2, 256]))
    image = rng.integers(0, contrast, (16, 16), dtype=np.uint8)
    return function(_raw_descriptor(image)), dense_sift(image, norm="lazebnik")[0][0]


def spp_bins(rng, function):
    size, n = int(rng.integers(6, 40)), int(rng.integers(1, 7))
    return function(size, n), bins(size, n)


def spp_vector(rng, function):
    maps = rng.random((2, *rng.integers(6, 20, 2)), dtype=np.float32)
    n = int(rng.integers(1, 7))
    return function(maps, n), spm.SpatialPyramid(levels=(n,), pool="max").cells(_map_of(maps)).ravel()


def maximum_of(rng, function):
    maps = rng.normal(-1, 1, (3, 2, 3)).astype(np.float32)
    return function(maps), spm.SpatialPyramid(levels=(1,), pool="max").cells(_map_of(maps)).ravel()


def box_on_map(rng, function):
    rows, columns = (int(side) for side in rng.permutation([5, 12]))
    x, y = (int(rng.integers(0, 16 * side - 8)) for side in (columns, rows))
    box = [x, y, *(int(low + rng.integers(1, 160)) for low in (x, y))]
    local = _map_of(np.zeros((1, rows, columns), np.float32), stride=16)
    return function(box, 16, (rows, columns)), local.to_grid([box])[0]


def unscale(rng, function):
    X, y, scale = rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2, float(rng.uniform(2, 20))
    machine = spm.KernelSVC(kernel="linear").fit(scale * X, y)
    w, b = function(machine.coef_[0], machine.intercept_[0], scale)
    return X @ w + b, machine.decision_function(scale * X)


def codebook_sample(rng, function):
    images = rng.integers(0, 256, (4, 32, 32), dtype=np.uint8)
    vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=4, random_state=0), random_state=0)
    vec.fit(images[:3])  # the last one tests
    descriptors = [dense_sift(image)[0] for image in images]
    is_train = np.repeat([True, True, True, False], [len(values) for values in descriptors])
    sample = function(np.concatenate(descriptors), is_train, 1000, 0)
    return spm.BagOfWords(n_words=4, random_state=0).fit(sample).words_, vec.encoder_.words_


CASES = {
    case.__name__: case
    for case in (
        level_weights,
        cell_of,
        word_histogram,
        pyramid_counts,
        normalise_pyramid,
        similarity,
        pyramid_match,
        cell_descriptors,
        normalise_descriptor,
        spp_bins,
        spp_vector,
        maximum_of,
        box_on_map,
        unscale,
        codebook_sample,
    )
}


def agrees(name, function, tries=TRIES):
    """Say whether a function gives what spm gives, on so many random cases."""
    return all(_equal(*CASES[name](np.random.default_rng(seed), function)) for seed in range(tries))


def _equal(got, wanted):
    got = np.asarray(got, dtype=np.float64)
    return got.shape == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-4, atol=1e-5)


def _points(places, size):
    """Return local features of value 1 at places (N, 2), x and y, in an image of that width and height."""
    ones = np.ones((len(places), 1), np.float32)
    return spm.LocalFeatures(ones, np.hstack([places, places]).astype(np.float32), size[::-1])


def _pooled(words, places, n_words, levels):
    """Return the counts of words at places in 0..1, of shape (n_cells, n_words)."""
    ones = np.ones((len(words), 1))
    codes = Codes(words[:, None], ones, ones, n_words)
    return spm.SpatialPyramid(levels=levels).cells(_points(places, (1, 1)), codes=codes)[0]


def _map_of(maps, stride=1):
    """Return the cells of maps of shape (C, h, w) as local features."""
    _, h, w = maps.shape
    i, j = np.mgrid[:h, :w].reshape(2, -1).astype(np.float32)
    extents = np.stack([j, i, j + 1, i + 1], axis=1)
    values = np.ascontiguousarray(maps.reshape(len(maps), -1).T)
    return spm.LocalFeatures(values, extents, (h, w), (stride, stride), image_size=(h * stride, w * stride))


def _intersection(a, b):
    return spm.kernels.histogram_intersection(a[None], b[None])[0, 0]


def _raw_descriptor(image):
    """Return the 128 sums of the one patch that an image of 16 x 16 pixels is, before any norm."""
    magnitude, orientation = gradients(image, 0)
    first, weights = cell_weights(16, "gaussian")
    sides = np.zeros((4, 16))  # what each pixel along an axis weighs in each cell
    for cell, (start, row) in enumerate(zip(first, weights, strict=True)):
        for pixel, weight in enumerate(row, start=start):
            if 0 <= pixel < 16:
                sides[cell, pixel] = weight
    turn = np.abs(orientation[..., None] - np.arange(8))
    votes = magnitude[..., None] * np.maximum(1 - np.minimum(turn, 8 - turn), 0)  # (16, 16, 8)
    return np.einsum("iy,jx,yxo->ijo", sides, sides, votes).ravel()


def load(path):
    """Import a file of exercises from wherever it lies."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(path=EXERCISES):
    """Print a line for every function and return how many do not agree yet."""
    module, missing = load(path), 0
    for name in CASES:
        try:
            verdict = "right" if agrees(name, getattr(module, name)) else "not yet"
        except Exception as error:  # a student's function may fail in any way
            verdict = f"not yet: {type(error).__name__}: {error}"
        missing += verdict != "right"
        print(f"{name:22} {verdict}")
    print(f"\n{len(CASES) - missing} of {len(CASES)} are right")
    return missing


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]) > 0)
