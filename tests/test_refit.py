"""Fits are made whole or not at all, and leave nothing of earlier ones; parts left open are set from outside."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import spm
from spm import detection

RANDOM = np.random.default_rng(0)
DESCRIPTORS = RANDOM.random((60, 4), dtype=np.float32)
WORDS = np.arange(60, dtype=np.float32)[:, None] % 4
LABELS = np.arange(60) % 3
IMAGES = RANDOM.integers(0, 256, (6, 40, 48), dtype=np.uint8)
KINDS = np.arange(6) % 2
TREE = spm.VocabularyTree(branching=2, depth=2, random_state=0)


def vectorizer(**options):
    return spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=2), random_state=0, **options)


def views(**options):
    return spm.MultiViewClassifier(spm.presets.spp2014(), sizes=(40,), window=40, **options)


BOXES = [[0, 0, 40, 36], [2, 2, 40, 38], [20, 10, 48, 40], [0, 20, 10, 40], [30, 0, 48, 12]]
OBJECTS = [detection.Objects(BOXES[:1], ["a"])] * 6


def detector(kind, **options):
    proposals = detection.GivenBoxes(lambda image: BOXES)
    return kind(vectorizer=vectorizer(), proposals=proposals, max_negatives=4, random_state=0, **options)


CASES = [  # an estimator; the options of another fit, for which less is learned; what both learn from
    (spm.BagOfWords(n_words=2, clusterer=TREE), {"clusterer": None}, (DESCRIPTORS,)),
    (spm.SoftAssignment(n_words=2, clusterer=TREE), {"clusterer": KMeans(2)}, (DESCRIPTORS,)),
    (spm.SparseCoding(n_words=2), {"n_words": 3}, (DESCRIPTORS,)),
    (spm.LLC(n_words=2, clusterer=TREE), {"clusterer": None}, (DESCRIPTORS,)),
    (spm.VLAD(n_words=2, local_pca=True, clusterer=TREE), {"local_pca": False, "clusterer": None}, (DESCRIPTORS,)),
    (spm.FisherVector(n_words=2), {"n_words": 3}, (DESCRIPTORS,)),
    (spm.FixedVocabulary(n_words=4), {"n_words": 5}, (WORDS,)),
    (spm.VocabularyTree(branching=2, depth=3), {"depth": 2}, (DESCRIPTORS,)),
    (spm.HomogeneousMap(order=2), {"order": 1}, (DESCRIPTORS,)),
    (spm.KernelSVC(kernel="linear", probability=True), {"kernel": "chi2", "probability": False}, (DESCRIPTORS, LABELS)),
    (spm.KernelSVC(probability=True), {"kernel": "linear", "probability": False}, (DESCRIPTORS, LABELS)),
    (spm.KernelSVC(), {"kernel": lambda A, B: A @ B.T, "multi_class": "ovo"}, (DESCRIPTORS, LABELS)),
    (vectorizer(reduce=PCA(3)), {"reduce": None, "encoder": None}, (IMAGES,)),
    (spm.KernelSum([("a", vectorizer())], kernels=["linear"]), {"kernels": ["chi2"]}, (IMAGES,)),
    (spm.KernelProduct([("a", vectorizer())], kernels=["linear"]), {"kernels": ["chi2"]}, (IMAGES,)),
    (views(), {"whole": True}, (IMAGES, KINDS)),
    (detection.FineTunedHead(hidden=(2,), n_steps=1), {"n_steps": 2}, (DESCRIPTORS, LABELS - 1)),
    (detector(detection.RegionDetector), {"box_regression": False, "C": 1.0}, (IMAGES, OBJECTS)),
    (detector(detection.CropDetector, crop_size=40, context=4), {"box_regression": False}, (IMAGES, OBJECTS)),
]
cases = pytest.mark.parametrize(("made", "other", "data"), CASES, ids=lambda value: type(value).__name__)


def learned(estimator):
    return {name: value for name, value in vars(estimator).items() if name.endswith("_")}


def test_every_estimator_that_learns_is_here():
    kinds = {getattr(spm, name) for name in spm._HOMES} | {getattr(detection, name) for name in detection.__all__}
    kinds = {kind for kind in kinds if isinstance(kind, type) and hasattr(kind, "fit") and hasattr(kind, "get_params")}
    assert {type(made) for made, _, _ in CASES} == kinds - {detection.RegionUnion}  # scikit-learn's FeatureUnion


@cases
def test_a_refit_that_fails_at_any_of_its_steps_changes_nothing(monkeypatch, made, other, data):
    fitted = clone(made).fit(*data)
    before = learned(fitted)
    fitted.set_params(**other)
    left = 0
    steps = 0

    def set_or_fail(self, name, value):
        nonlocal left
        if self is fitted and name.endswith("_"):
            if not left:
                raise KeyboardInterrupt
            left -= 1
        object.__setattr__(self, name, value)

    monkeypatch.setattr(type(fitted), "__setattr__", set_or_fail, raising=False)
    while True:
        left = steps
        try:
            fitted.fit(*data)
            break
        except KeyboardInterrupt:
            after = learned(fitted)
            assert after.keys() == before.keys()
            assert all(after[name] is value for name, value in before.items())
        steps += 1
    assert steps > 0


@cases
def test_a_refit_leaves_nothing_of_an_earlier_fit(made, other, data):
    refitted = clone(made).fit(*data).set_params(**other).fit(*data)
    assert learned(refitted).keys() == learned(clone(made).set_params(**other).fit(*data)).keys()


@cases
def test_a_first_fit_that_fails_learns_nothing(made, other, data):
    failing = clone(made)
    with pytest.raises(Exception):  # noqa: B017 (whatever it is that cannot be learned from)
        failing.fit(object(), *data[1:])
    assert not learned(failing)


@cases
def test_a_fit_looks_as_it_is_written(made, other, data):
    assert "X" in inspect.signature(type(made).fit).parameters


# --- parts left open --------------------------------------------------------------------------------------------------


def test_an_option_of_a_part_left_open_sets_the_part_to_its_default():
    made = spm.PyramidVectorizer().set_params(features__step=4, pyramid__levels=(1,))
    assert (made.features.step, made.pyramid.levels) == (4, (1,))
    assert spm.PyramidVectorizer().features is None
    others = spm.PyramidVectorizer().set_params(features__step=5)
    assert others.features is not made.features
    assert made.features.step == 4


def test_the_part_itself_is_set_first_whatever_the_order():
    made = spm.PyramidVectorizer(features=spm.DenseSIFT(step=3))
    assert made.set_params(features__step=4, features=None).features.step == 4
    edges = spm.EdgePoints()
    assert made.set_params(features__threshold=0.1, features=edges).features is edges


def test_parts_of_parts_left_open():
    assert spm.Mirrored().set_params(features__step=4).features.step == 4
    made = spm.PyramidVectorizer(features=spm.Mirrored()).set_params(features__features__step=4)
    assert made.features.features.step == 4
    both = spm.KernelSum([("a", vectorizer())], kernels=["linear"]).set_params(a__pyramid__levels=(1,))
    assert both.vectorizers[0][1].pyramid.levels == (1,)


@pytest.mark.parametrize("part", ["encoder", "reduce"])
def test_a_part_without_a_default_is_asked_for(part):
    with pytest.raises(spm.SpmError, match=f"{part}__n_words cannot be set: there is no {part}"):
        spm.PyramidVectorizer().set_params(**{f"{part}__n_words": 5})


@pytest.mark.parametrize("name", ["features__nothing", "nothing", "nothing__step", "norm__step"])
def test_names_of_nothing_are_refused_and_change_nothing(name):
    made = spm.PyramidVectorizer(norm=None)
    with pytest.raises(ValueError, match=r"nothing|norm"):
        made.set_params(**{name: 5})
    assert made.features is None


def test_a_grid_over_the_options_of_parts_left_open():
    model = make_pipeline(vectorizer(), spm.KernelSVC())
    grid = {"pyramidvectorizer__pyramid__levels": [(1,), (2,)], "pyramidvectorizer__features__step": [8, 12]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(IMAGES, KINDS)
    assert search.best_estimator_[0].features is not None
    assert model[0].features is None
