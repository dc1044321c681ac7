"""Options: each is declared once, checked from its declaration at the door, and takes numpy's scalars as Python's."""

import inspect

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.model_selection import BaseShuffleSplit

import spm
from spm import detection
from spm._tools.options import anything, check_options

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (40, 48), dtype=np.uint8)
DESCRIPTORS = RANDOM.random((60, 4), dtype=np.float32)
WORDS = np.arange(60, dtype=np.float32)[:, None] % 4
LABELS = np.arange(60) % 2


def vectorizer():
    return spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=2), reduce=PCA(4), sample_per_image=50)


BOXES = [[0, 0, 40, 36], [2, 2, 40, 38], [20, 10, 48, 40], [0, 20, 10, 40], [30, 0, 48, 12]]
OBJECTS = [detection.Objects(BOXES[:1], ["a"])]
DETECTING = {
    "vectorizer": vectorizer(),
    "proposals": detection.GivenBoxes(lambda image: BOXES),
    "max_negatives": 4,
    "windows_per_image": 4,
    "random_state": 0,
}


DOORS = {  # an instance of every public class with options, and what checks them
    spm.DenseSIFT(): lambda made: made.views(IMAGE),
    spm.KeypointFeatures(): lambda made: made.views(IMAGE),
    spm.EdgePoints(): lambda made: made.views(IMAGE),
    spm.CensusTransform(): lambda made: made.views(IMAGE),
    spm.Mirrored(spm.DenseSIFT()): lambda made: made.views(IMAGE),
    spm.presets.spp2014()[0].features: lambda made: made.views(IMAGE),
    spm.VocabularyTree(branching=2, depth=2): lambda made: made.fit(DESCRIPTORS),
    spm.BagOfWords(n_words=2): lambda made: made.fit(DESCRIPTORS),
    spm.SoftAssignment(n_words=2): lambda made: made.fit(DESCRIPTORS),
    spm.SparseCoding(n_words=2): lambda made: made.fit(DESCRIPTORS),
    spm.LLC(n_words=2): lambda made: made.fit(DESCRIPTORS),
    spm.VLAD(n_words=2): lambda made: made.fit(DESCRIPTORS),
    spm.FisherVector(n_words=2): lambda made: made.fit(DESCRIPTORS),
    spm.FixedVocabulary(n_words=4): lambda made: made.fit(WORDS),
    spm.SpatialPyramid(): lambda made: made.cells(spm.DenseSIFT().extract(IMAGE)),
    vectorizer(): lambda made: made.fit([IMAGE, IMAGE.T]),
    spm.KernelSum([("a", vectorizer())], kernels=["linear"]): lambda made: made.fit([IMAGE, IMAGE.T]),
    spm.KernelProduct([("a", vectorizer())], kernels=["linear"]): lambda made: made.fit([IMAGE, IMAGE.T]),
    spm.HomogeneousMap(): lambda made: made.fit(DESCRIPTORS),
    spm.KernelSVC(): lambda made: made.fit(DESCRIPTORS, LABELS),
    spm.MultiViewClassifier(spm.presets.spp2014()): lambda made: made.fit([IMAGE, IMAGE.T] * 2, [0, 1] * 2),
    detection.SelectiveSearch(size=40): lambda made: made.propose(IMAGE),
    detection.EdgeBoxes(): lambda made: made.propose(IMAGE),
    detection.SlidingWindows(): lambda made: made.propose(IMAGE),
    detection.GivenBoxes(lambda image: BOXES): lambda made: made.propose(IMAGE),
    detection.FineTunedHead(hidden=(2,), n_steps=1): lambda made: made.fit(DESCRIPTORS, LABELS - 1),
    detection.RegionDetector(**DETECTING): lambda made: made.fit([IMAGE], OBJECTS),
    detection.CropDetector(**DETECTING, crop_size=40, context=4): lambda made: made.fit([IMAGE], OBJECTS),
    spm.PerClassShuffleSplit(n_train=2): lambda made: list(made.split(LABELS, LABELS)),
}


def pairs(which):
    """Parametrize a test with the options of every class for which `which(value, check)` holds."""
    chosen = [(m, n) for m in DOORS for n, check in type(m)._options.items() if which(getattr(m, n), check)]
    names = lambda value: value if isinstance(value, str) else type(value).__name__  # noqa: E731
    return pytest.mark.parametrize(("made", "name"), chosen, ids=names)


LEARNERS = [made for made in DOORS if hasattr(made, "fit") and hasattr(made, "get_params")]


def options_of(made):
    return list(inspect.signature(type(made)).parameters)


def with_option(made, name, value):
    changed = clone(made) if isinstance(made, BaseEstimator) else type(made)(**vars(made))
    setattr(changed, name, value)
    return changed


def test_every_public_class_with_options_is_here():
    kinds = {getattr(spm, name) for name in spm._HOMES} | {getattr(detection, name) for name in detection.__all__}
    kinds = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseEstimator | BaseShuffleSplit)}
    assert {type(made) for made in DOORS} == kinds - {detection.RegionUnion}  # scikit-learn's FeatureUnion


@pytest.mark.parametrize("made", DOORS, ids=lambda made: type(made).__name__)
def test_every_option_is_declared(made):
    assert sorted(type(made)._options) == sorted(options_of(made))
    DOORS[made](made)  # these ones are good


@pairs(lambda value, check: check is not anything)  # else it is looked at where it is used
def test_every_option_is_checked_at_the_door(made, name):
    for wrong in (object(), "nothing of the kind", -1.5, [], np.zeros((2, 2))):
        if name in ("memory", "model") and isinstance(wrong, str):
            continue  # a path
        if name in ("add_above", "evict_below", "least_score") and isinstance(wrong, float):
            continue  # a decision value
        if name == "norm" and isinstance(wrong, list):
            continue  # no norm
        with pytest.raises(spm.SpmError, match=rf"\b{name}\b|vectorizers but"):
            DOORS[made](with_option(made, name, wrong))


@pairs(lambda value, check: type(value) in (bool, int, float, str))
def test_numpys_scalars_count_as_pythons(made, name):
    value = getattr(made, name)
    kind = {bool: np.bool_, int: np.int64, float: np.float32, str: np.str_}[type(value)]
    DOORS[made](with_option(made, name, kind(value)))


@pytest.mark.parametrize("made", LEARNERS, ids=lambda made: type(made).__name__)
def test_a_refused_option_leaves_what_was_learned(made):
    """A fit that fails at its options changes nothing."""
    fitted = clone(made)
    DOORS[made](fitted)
    before = {key: value for key, value in vars(fitted).items() if key.endswith("_")}
    name = next(name for name, check in type(made)._options.items() if check is not anything)
    fitted.set_params(**{name: object()})
    with pytest.raises(spm.SpmError):
        DOORS[made](fitted)
    assert {key: value for key, value in vars(fitted).items() if key.endswith("_")}.keys() == before.keys()
    assert all(vars(fitted)[key] is value for key, value in before.items())


def test_the_first_option_that_is_wrong_is_named():
    with pytest.raises(spm.SpmError, match="step must be a whole number at least 1, got 0"):
        check_options(spm.DenseSIFT(step=0, window="box"))


@pytest.mark.parametrize("levels", [np.array(3), np.array([[1, 2]]), np.array([]), (), {}, {1, 2}, "ab", None])
def test_what_is_no_sequence_of_values_is_refused_by_name(levels):
    with pytest.raises(spm.SpmError, match="levels must be"):
        spm.SpatialPyramid(levels=levels).grids()
