"""Errors come before the work: of labels, of options of the part that works last, of tables in place of paths."""

import numpy as np
import pytest
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

import spm
from spm._tools.options import check_all_options
from spm.images import check_images

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 40, 48, 3), dtype=np.uint8)
LABELS = ["a", "a", "b", "b"]


class Unused(spm.DenseSIFT):
    """Features that must not be made."""

    def views(self, image):
        raise AssertionError("features were made")


@pytest.mark.parametrize("y", [LABELS[:3], [*LABELS, "c"], np.ones((3, 2)), [], 5])
def test_labels_that_do_not_fit_the_images_are_refused_before_features_are_made(y):
    model = make_pipeline(spm.PyramidVectorizer(features=Unused()), spm.KernelSVC())
    with pytest.raises(spm.SpmError, match="y must have one label for each of the 4 images, got"):
        model.fit(IMAGES, y)


def test_several_labels_an_image_are_for_classifiers_that_take_them():
    model = make_pipeline(spm.PyramidVectorizer(), OneVsRestClassifier(spm.KernelSVC()))
    marks = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    assert model.fit(IMAGES, marks).predict(IMAGES).shape == (4, 2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: spm.presets.lazebnik2006(C=-1), "C must be"),
        (lambda: spm.presets.fisher2010(n_words=0), "n_words must be"),
        (lambda: spm.presets.hybrid(C=-1), "C must be"),
        (lambda: make_pipeline(spm.PyramidVectorizer(), spm.HomogeneousMap(order=-1)), "order must be"),
        (lambda: spm.KernelSVC(C=-1), "C must be"),
    ],
)
def test_options_of_every_part_can_be_checked_at_once(model, message):
    with pytest.raises(spm.SpmError, match=message):
        check_all_options(model())


@pytest.mark.parametrize("name", ["lazebnik2006", "spp2014", "hybrid", "fisher2010", "best_handcrafted"])
def test_the_presets_pass(name):
    check_all_options(getattr(spm.presets, name)())


def test_multi_view_testing_checks_the_classifier_first():
    model = spm.MultiViewClassifier(spm.presets.spp2014(C=-1))
    model.estimator[0].features.views = None
    with pytest.raises(spm.SpmError, match="C must be"):
        model.fit(IMAGES, LABELS)


def test_a_table_of_one_column_is_its_paths():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"path": ["a.png", "b.png"]}, index=[7, 3])
    assert list(check_images(table)) == ["a.png", "b.png"]
    assert list(check_images(table["path"])) == ["a.png", "b.png"]
    assert list(check_images(np.array([["a.png"], ["b.png"]]))) == ["a.png", "b.png"]
    with pytest.raises(spm.SpmError, match=r"images has 2 columns: give the one that holds the paths"):
        check_images(table.assign(label=["x", "y"]))


def test_an_evaluation_checks_every_part_before_features_are_made():
    model = make_pipeline(spm.PyramidVectorizer(features=Unused()), spm.KernelSVC(C=-1))
    with pytest.raises(spm.SpmError, match="C must be a finite number above 0, got -1"):
        spm.evaluate(model, IMAGES, LABELS)
    rows = spm.compare(presets="lazebnik2006", options={"C": -1}).rows
    assert {row["error"] for row in rows} == {"C must be a finite number above 0, got -1"}
