"""Splits: so many of every class train, the rest test, and the same seed gives the same splits."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spm.datasets.digits import stratified_halves
from spm.errors import SpmError
from spm.evaluation.splits import PerClassShuffleSplit, per_class_split

Y = np.repeat(["coast", "forest", "street"], [5, 9, 20])


def counts(y, index):
    names, found = np.unique(np.asarray(y)[index], return_counts=True)
    return dict(zip(names.tolist(), found.tolist(), strict=True))


def test_takes_n_train_of_every_class_and_tests_on_all_the_rest():
    for train, test in PerClassShuffleSplit(n_train=4, n_splits=5).split(Y, Y):
        assert counts(Y, train) == {"coast": 4, "forest": 4, "street": 4}
        assert sorted([*train, *test]) == list(range(len(Y)))


def test_n_test_is_at_most_so_many_of_every_class():
    for train, test in PerClassShuffleSplit(n_train=3, n_test=6, n_splits=3).split(Y, Y):
        assert counts(Y, test) == {"coast": 2, "forest": 6, "street": 6}
        assert not set(train) & set(test)


def test_a_share_of_every_class_trains():
    for train, test in PerClassShuffleSplit(n_train=0.5, n_splits=3).split(Y, Y):
        assert counts(Y, train) == {"coast": 2, "forest": 4, "street": 10}
        assert sorted([*train, *test]) == list(range(len(Y)))
    cv = PerClassShuffleSplit(n_train=0.5, max_train=4, n_test=2)
    train, test = next(cv.split(Y, Y))
    assert counts(Y, train) == {"coast": 2, "forest": 4, "street": 4} and counts(Y, test) == dict.fromkeys(set(Y), 2)
    train, _ = next(PerClassShuffleSplit(n_train=0.01).split(Y, Y))
    assert counts(Y, train) == dict.fromkeys(set(Y), 1)  # a class without any could not be learned
    whole, most = PerClassShuffleSplit(n_train=4), PerClassShuffleSplit(n_train=20, max_train=4)
    for one, other in zip(whole.split(Y, Y), most.split(Y, Y), strict=True):
        np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))


def test_an_integer_seed_gives_the_same_splits_at_every_call_and_others_give_others():
    def drawn(cv):
        return [np.concatenate(split).tolist() for split in cv.split(Y, Y)]

    cv = PerClassShuffleSplit(n_train=3, n_splits=4, random_state=7)
    assert drawn(cv) == drawn(cv) == drawn(clone(cv, safe=False))
    assert drawn(cv) != drawn(PerClassShuffleSplit(n_train=3, n_splits=4, random_state=8))
    assert len({tuple(split) for split in drawn(cv)}) == 4
    moving = PerClassShuffleSplit(n_train=3, n_splits=4, random_state=np.random.RandomState(7))
    assert drawn(moving) == drawn(cv)
    assert drawn(moving) != drawn(cv)
    assert drawn(PerClassShuffleSplit(n_train=3, random_state=None)) != drawn(
        PerClassShuffleSplit(n_train=3, random_state=None)
    )


def test_draws_every_image_of_a_class_alike():
    cv = PerClassShuffleSplit(n_train=3, n_splits=2000)
    trained = np.bincount(np.concatenate([train for train, _ in cv.split(Y, Y)]), minlength=len(Y))
    for name, size in counts(Y, slice(None)).items():
        assert np.allclose(trained[name == Y], 2000 * 3 / size, rtol=0.2)


def test_indices_come_mixed_and_not_class_by_class():
    train, test = next(PerClassShuffleSplit(n_train=4).split(Y, Y))
    assert (np.diff(train) < 0).any() and (np.diff(test) < 0).any()


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"n_train": 9}, Y, r"'coast' \(5\), 'forest' \(9\): lower n_train"),
        ({"n_train": 5}, Y, r"n_train=5 needs at least 6 images of every class.*'coast' \(5\)"),
        ({"n_train": 5}, None, "needs the labels y"),
        ({"n_train": 5}, np.eye(34), r"one label for each image, got y of shape \(34, 34\)"),
        ({"n_train": 0}, Y, "n_train must be a whole number at least 1, got 0"),
        ({"n_train": 1.5}, Y, "n_train must be a whole number"),
        ({"n_train": 0.5}, ["a"] * 33 + ["b"], r"n_train=0.5 needs at least 2 images of every class.*'b' \(1\)"),
        ({"n_train": 2, "max_train": 0}, Y, "max_train must be"),
        ({"n_train": 2.0}, Y, "n_train must be a whole number"),
        ({"n_train": 2, "n_test": 0}, Y, "n_test must be"),
        ({"n_train": 2, "n_splits": 0}, Y, "n_splits must be"),
    ],
)
def test_refuses_what_cannot_be_split(options, y, message):
    with pytest.raises(SpmError, match=message):
        list(PerClassShuffleSplit(**options).split(Y, y))


def test_a_long_list_of_small_classes_is_cut_short():
    with pytest.raises(SpmError, match=r"4 \(1\) and 3 more"):
        per_class_split(np.arange(8), 1, None, np.random.RandomState(0))


def test_serves_scikit_learn():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(len(Y), 2)) + np.repeat([[0, 0], [5, 0], [0, 5]], [5, 9, 20], axis=0)
    cv = PerClassShuffleSplit(n_train=3, n_splits=4)
    assert check_cv(cv, Y, classifier=True) is cv
    model = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_score(model, X, Y, cv=cv, scoring="balanced_accuracy")
    assert scores.shape == (4,) and scores.mean() > 0.9
    search = GridSearchCV(model, {"logisticregression__C": [0.01, 1.0]}, cv=cv).fit(X, Y)
    assert search.n_splits_ == cv.get_n_splits(X, Y) == 4


def test_repr_is_the_call_that_makes_it():
    cv = PerClassShuffleSplit(n_train=30, n_test=50, random_state=3)
    assert eval(repr(cv)).__dict__ == cv.__dict__


def test_halves_are_fixed_and_hold_half_of_every_class():
    train, test = stratified_halves(Y)
    assert counts(Y, train) == {"coast": 2, "forest": 4, "street": 10}
    assert sorted([*train, *test]) == list(range(len(Y)))
    assert stratified_halves(np.zeros(12, dtype=int))[0].tolist() == [2, 4, 6, 8, 10, 11]
