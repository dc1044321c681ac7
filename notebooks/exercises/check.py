"""Hold each exercise to the library: ``python check.py`` looks at exercises.py, ``python check.py FILE`` at another.

A case takes a random generator and a function, and returns what the function gave and what spm gives. It must come upon
every mistake that the hint in README.md names: the hint's own numbers are among its draws.
"""

import argparse
import copy
import importlib.util
import sys
from pathlib import Path

import numpy as np

import spm
from spm.encoders.codes import Codes
from spm.features.dense_sift import cell_weights, dense_sift, gradients
from spm.pyramid.bins import bins
from spm.pyramid.norms import normalise

TRIES = 40
LARGEST = 12  # values of an array that are shown
EXERCISES = Path(__file__).with_name("exercises.py")


def level_weights(rng, function):
    n_levels = int(rng.integers(1, 6))
    return function(n_levels), spm.SpatialPyramid(levels=2 ** np.arange(n_levels)).level_weights()


def cell_of(rng, function):
    n, border = int(rng.integers(1, 8)), int(rng.integers(0, 8))
    width = n * int(rng.integers(2, 20))
    x = rng.choice([rng.uniform(0, width), width, min(border, n) * (width // n)])
    pooled = spm.SpatialPyramid(levels=((1, n),)).cells(_points(np.float32([[x, 1]]), (width, 2)))
    return function(np.float32(x), width, n), pooled[0, :, 0].argmax()


def word_histogram(rng, function):
    n_words = int(rng.integers(1, 6))
    words = rng.integers(0, rng.integers(1, n_words + 1), rng.integers(0, 12))  # often without the last words
    return function(words, n_words), _pooled(words, rng.random((len(words), 2)), n_words, (1,)).ravel()


def pyramid_counts(rng, function):
    words = rng.integers(0, 4, rng.integers(0, 10))
    places = rng.choice([rng.random(), 0, 0.5, 1], (len(words), 2)).astype(np.float32)  # also on the cells' borders
    return function(words, places[:, 1], places[:, 0], 4, (1, 2, 3)), _pooled(words, places, 4, (1, 2, 3)).ravel()


def normalise_pyramid(rng, function):
    levels, n = (1, 2, 3)[: rng.integers(1, 4)], rng.choice([0, 1, 25])
    counts = _pooled(rng.integers(0, 4, n), rng.random((n, 2)), 4, levels)
    return np.ravel(function(counts, len(levels))), normalise(counts.ravel(), "l1", n_levels=len(levels))


def similarity(rng, function):
    a = rng.integers(0, 9, 6) + 1
    b = a * 4 if rng.random() < 0.5 else rng.integers(0, 99, 6) + 1
    return function(a, b), _intersection(normalise(a, "l1"), normalise(b, "l1"))


def pyramid_match(rng, function):
    weights = spm.SpatialPyramid(levels=2 ** np.arange(rng.integers(1, 4))).cell_weights()
    a, b = rng.random((2, len(weights)))
    return function(a, b, weights), _intersection(weights * a, weights * b)


def cell_descriptors(rng, function):
    image, n = rng.integers(0, 256, rng.choice([32, 48, 80], 2), dtype=np.uint8), int(rng.integers(1, 4))
    wanted = spm.SpatialPyramid(levels=(n,)).cells(spm.DenseSIFT().extract(image))[0]
    return function(image, n, dense_sift), wanted


def normalise_descriptor(rng, function):
    contrast = int(rng.choice([1, 2, 256]))
    image = rng.integers(0, contrast, (16, 16), dtype=np.uint8)
    if contrast == 256 and rng.random() < 0.5:
        image[:, 8:] = 0  # an edge, whose votes are clipped
    return function(_raw_descriptor(image)), dense_sift(image, norm="lazebnik")[0][0]


def spp_bins(rng, function):
    size, n = rng.choice([[13, 6], rng.integers(1, 40, 2) % [40, 6] + [0, 1]]).tolist()  # the paper's own, or any
    return function(size, n), bins(size, n)


def spp_vector(rng, function):
    n = int(rng.integers(1, 7))
    maps = rng.normal(size=(2, *rng.choice([10, *range(1, 20)], 2))).astype(np.float32)
    return function(maps, n), spm.SpatialPyramid(levels=(n,), pool="max").cells(_map_of(maps)).ravel()


def maximum_of(rng, function):
    maps = rng.normal(-1, 1, (3, *rng.integers(1, 4, 2))).astype(np.float32)
    return function(maps), spm.SpatialPyramid(levels=(1,), pool="max").cells(_map_of(maps)).ravel()


def box_on_map(rng, function):
    rows, columns, stride = (int(side) for side in (*rng.permutation([5, 12]), rng.choice([8, 16])))
    step = int(rng.choice([1, stride]))  # also on the cells' borders, and beyond the map
    low = [step * int(rng.integers(-2, stride * side // step - 1)) for side in (columns, rows)]
    box = [*low, *(max(edge, 0) + step * int(rng.integers(1, 160 // step)) for edge in low)]
    local = _map_of(np.zeros((1, rows, columns), np.float32), stride=stride)
    return function(box, stride, (rows, columns)), local.to_grid([box])[0]


def box_overlap(rng, function):
    low = rng.integers(0, 30, (2, 2))
    low[1] = rng.choice([low[1], low[0] + [10, 0], low[0] + [40, 50]])  # also beside the other, and far from it
    a, b = np.hstack([low, low + rng.choice([10, *range(1, 30)], (2, 2))])
    return function(a, b), spm.detection.iou_matrix([a], [b])[0, 0]


def unscale(rng, function):
    X, y, scale = rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2, float(rng.uniform(2, 20))
    machine = spm.KernelSVC(kernel="linear").fit(scale * X, y)
    w, b = function(machine.coef_[0], machine.intercept_[0], scale)
    return X @ w + b, machine.decision_function(scale * X)


def codebook_sample(rng, function):
    if rng.random() < 0.8:
        return _draw(rng, function)
    images = rng.integers(0, 256, (4, 32, 32), dtype=np.uint8)
    vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=4, random_state=0), random_state=0)
    vec.fit(images[:3])  # the last one tests
    descriptors = [dense_sift(image)[0] for image in images]
    is_train = np.repeat([True, True, True, False], [len(values) for values in descriptors])
    sample = function(np.concatenate(descriptors), is_train, 1000, 0)
    return spm.BagOfWords(n_words=4, random_state=0).fit(sample).words_, vec.encoder_.words_


def _draw(rng, function):
    """Return what is true of some of many descriptors, and that all should be."""
    function.promise = "n different rows of training images, in their order; with another seed others"
    descriptors, is_train = np.arange(40.0)[:, None], rng.random(40) < 0.7
    n = int(rng.integers(2, 20))
    samples = [np.ravel(function(descriptors, is_train, n, seed)).astype(int) for seed in (1, 1, 2)]
    facts = [len(sample) == n and is_train[sample].all() and (np.diff(sample) > 0).all() for sample in samples]
    facts += [np.array_equal(*samples[:2]), not np.array_equal(*samples[1:])]
    return facts, [True] * 5


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
        box_overlap,
        unscale,
        codebook_sample,
    )
}


class Call:
    """A student's function that remembers its last call, and gets copies of all: what it changes spoils nothing."""

    def __init__(self, function):
        self.function, self.arguments, self.result, self.promise = function, (), None, ""

    def __call__(self, *arguments):
        self.arguments, self.result = arguments, None
        self.result = self.function(*copy.deepcopy(arguments))
        return self.result


def agrees(name, function, tries=TRIES):
    """Say whether a function gives what spm gives, on so many random cases."""
    return counterexample(name, function, tries) is None


def counterexample(name, function, tries=TRIES):
    """Return lines that show the plainest of so many random cases in which a function does not give what spm gives."""
    found = []
    for seed in range(tries):
        call = Call(function)
        try:
            with np.errstate(all="ignore"):
                got, wanted = CASES[name](np.random.default_rng(seed), call)
            lines = [] if _equal(got, wanted) else _difference(call, got, wanted)
        except Exception as error:  # a student's function may fail in any way
            lines = [f"{type(error).__name__}: {error}"]
        if lines:
            found.append((_plainness(call.arguments), [_shown_call(name, call), *lines]))
    return min(found)[1] if found else None


def _difference(call, got, wanted):
    """Say what a function gives, what comes of it if that is another thing, and what is wanted."""
    if call.promise:
        return [f"gives {_shown(call.result)}", f"wanted {call.promise}"]
    at, derived = "", call.result is not got
    lines = [f"gives {_shown(call.result)}"] if derived else []
    if np.shape(got) == np.shape(wanted) and np.size(wanted) > LARGEST:
        place = tuple(map(int, np.argwhere(~np.isclose(got, wanted, rtol=1e-4, atol=1e-5))[0]))
        got, wanted, at = np.asarray(got)[place], np.asarray(wanted)[place], f" at {list(place)}"
    return [*lines, f"{'so that' if derived else 'gives'} {_shown(got)}{at}", f"wanted {_shown(wanted)}{at}"]


def _equal(got, wanted):
    try:
        got = np.asarray(got, dtype=np.float64)
    except (TypeError, ValueError):  # None, or rows of different lengths
        return False
    return got.shape == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-4, atol=1e-5)


def _plainness(arguments):
    """Return a key by which small cases come first, and those of nothing at all behind."""
    arrays = [
        np.asarray(argument) for argument in arguments if not callable(argument) and not isinstance(argument, tuple)
    ]
    values = sum(float(np.abs(array).sum()) for array in arrays)
    return any(array.size == 0 for array in arrays), sum(array.size for array in arrays), values


def _shown_call(name, call):
    return f"{name}({', '.join(_shown(argument) for argument in call.arguments)})"


def _shown(value):
    """Return a value as a reader takes it in: numbers of few digits, and of a large array its shape alone."""
    if callable(value):
        return getattr(value, "__name__", "a function")
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    try:
        array = np.asarray(value)
    except ValueError:
        return repr(value)
    if array.dtype == object or array.ndim == 0:
        return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
    if array.size > LARGEST:
        return f"an array of shape {array.shape}, {array.min():.4g} to {array.max():.4g}"
    return " ".join(np.array2string(array, precision=4, separator=", ").split())


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
    magnitude, angle = gradients(image, 0)
    first, weights = cell_weights(16, "gaussian")
    sides = np.zeros((4, 16))  # what each pixel along an axis weighs in each cell
    for cell, (start, row) in enumerate(zip(first, weights, strict=True)):
        for pixel, weight in enumerate(row, start=start):
            if 0 <= pixel < 16:
                sides[cell, pixel] = weight
    turn = np.abs(angle[..., None] * (8 / (2 * np.pi)) - np.arange(8))
    votes = magnitude[..., None] * np.maximum(1 - np.minimum(turn, 8 - turn), 0)  # (16, 16, 8)
    return np.einsum("iy,jx,yxo->ijo", sides, sides, votes).ravel()


def load(path):
    """Import a file of exercises from wherever it lies, or say in one line why that cannot be."""
    path = Path(path)
    if not path.is_file():
        raise SystemExit(f"{path}: there is no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None:
        raise SystemExit(f"{path}: this is no Python file, whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise SystemExit(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise SystemExit(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def main(path=EXERCISES):
    """Print for every function whether it agrees, else a case in which it does not; return how many do not yet."""
    module, missing = load(path), 0
    for name in CASES:
        function = getattr(module, name, None)
        lines = counterexample(name, function) if callable(function) else [f"{path} has no function of this name"]
        missing += lines is not None
        print(f"{name:22} {'right' if lines is None else 'not yet'}")
        for line in lines or ():
            print(f"    {line}")
    print(f"\n{len(CASES) - missing} of {len(CASES)} are right")
    return missing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hold each exercise to spm: which functions agree, and where not.")
    parser.add_argument("file", nargs="?", default=EXERCISES, help="a file with the exercises (default: exercises.py)")
    sys.exit(main(parser.parse_args().file) > 0)
