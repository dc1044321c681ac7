"""Several vectorizers side by side, and a head in torch: each equal to its parts, in detectors, saved, refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from test_detection_detectors import X_NEW, Y_NEW, X, Y, detector, same, vectorizer

import spm
from spm.detection import CropDetector, FineTunedHead, RegionUnion
from spm.detection.learning.rows import RowsOnDisk
from spm.errors import SpmError

BOXES = [[0, 0, 160, 120], [10, 20, 60, 90], [100, 3, 101, 4]]


def union(**options):
    coarse = vectorizer().set_params(pyramid__levels=(1,), features__size=96)
    return RegionUnion([("fine", vectorizer()), ("coarse", coarse)], **options)


def test_a_union_is_its_parts_side_by_side():
    both = union(transformer_weights={"coarse": 0.5}).fit(X)
    fine, coarse = (clone(part).fit(X) for part in both.parts)
    joined = both.transform_regions(X[0], BOXES)
    np.testing.assert_array_equal(joined[:, : fine.n_features_out_], fine.transform_regions(X[0], BOXES))
    np.testing.assert_array_equal(joined[:, fine.n_features_out_ :], 0.5 * coarse.transform_regions(X[0], BOXES))
    assert joined.shape == (3, both.n_features_out_) and joined.dtype == np.float32
    np.testing.assert_allclose(both.transform(X[:1])[0], joined[0], rtol=1e-6)  # the whole image is a region too
    assert len(both.get_feature_names_out()) == both.n_features_out_
    assert both.transform_regions(X[0], np.empty((0, 4))).shape == (0, both.n_features_out_)
    seen = both.encode_views(X[0])
    np.testing.assert_array_equal(both.transform_regions(X[0], BOXES, seen), joined)


@pytest.mark.parametrize("scales", [None, (120, 200)])
def test_detectors_take_unions(scales, tmp_path):
    model = detector(vectorizer=union(n_jobs=2), scales=scales, n_jobs=2, memory=tmp_path / "steps").fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > 0.9
    found = model.predict(X_NEW)
    assert same(clone(model).set_params(n_jobs=1).fit(X, Y).predict(X_NEW), found)
    spm.save(model, tmp_path / "m.spm")
    assert same(spm.load(tmp_path / "m.spm").predict(X_NEW), found)
    assert len(list((tmp_path / "steps" / "spm-detection").iterdir())) == 1  # one training, twice


def test_crops_take_unions():
    assert detector(CropDetector, vectorizer=union(), crop_size=64, context=6).fit(X[:4], Y[:4]).predict(X_NEW[:1])


def test_what_describes_no_regions_is_refused():
    with pytest.raises(SpmError, match="transform_regions"):
        RegionUnion([("words", spm.BagOfWords())]).fit(X)
    with pytest.raises(SpmError, match="has no option size"):
        detector(vectorizer=RegionUnion([("points", spm.PyramidVectorizer())]), scales=(120,)).fit(X, Y)


# --- heads ------------------------------------------------------------------------------------------------------------


def torch_head(**options):
    pytest.importorskip("torch")
    from spm.nn import RegionHead

    return RegionHead(**{"hidden": (24,), "n_steps": 250, "learning_rate": 3e-3, "device": "cpu", **options})


def test_a_head_in_torch_learns_repeats_itself_and_is_saved(tmp_path):
    model = detector(head=torch_head()).fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > 0.7
    found = model.predict(X_NEW)
    assert same(clone(model).fit(X, Y).predict(X_NEW), found)
    spm.save(model, tmp_path / "m.spm")
    assert same(spm.load(tmp_path / "m.spm").predict(X_NEW), found)


HEADS = {
    "scikit-learn": lambda: FineTunedHead(hidden=(24,), n_steps=150, learning_rate=0.05),
    "torch": torch_head,
    "a classifier of scikit-learn's": lambda: LogisticRegression(C=1e-4, max_iter=2000),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_scores_by_itself(name, tmp_path):
    options = {"head": HEADS[name](), "machines": False, "background_iou": (0.0, 0.5), "windows_per_image": 24}
    model = detector(**options, memory=tmp_path / "steps").fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > 0.8
    found = model.predict(X_NEW)
    scores = np.concatenate([own.scores for own in found])
    assert (scores >= 0).all() and (scores <= 1).all() and scores.max() > 0.6
    each = model.decision_function(X_NEW[0], BOXES)
    assert each.shape == (3, 2) and (each.sum(axis=1) <= 1 + 1e-6).all()
    spm.save(model, tmp_path / "m.spm")
    assert same(spm.load(tmp_path / "m.spm").predict(X_NEW), found)
    again = clone(model).set_params(n_jobs=2, memory=None).fit(X, Y)
    assert same(again.predict(X_NEW), found)
    few = detector(**options).fit(X[:3], [own[own.labels == "bars"] for own in Y[:3]])  # of one class
    assert set(few.predict(X_NEW)[0].labels) <= {"bars"}


@pytest.mark.parametrize("head", ["svm", PCA(2)])
def test_without_machines_something_must_score(head):
    with pytest.raises(SpmError, match="machines=False leaves the scores to the head"):
        detector(head=head, machines=False).fit(X, Y)


def test_what_is_wrong_with_a_head_is_said_before_anything_is_done():
    with pytest.raises(SpmError, match=r"machines want vectors of the head.*has no transform"):
        detector(head=LogisticRegression()).fit(["no such file"], Y)
    with pytest.raises(SpmError, match="background_iou must be two overlaps"):
        detector(background_iou=(0.1, 0.2, 0.5)).fit(X, Y)


def test_layers_are_those_of_scikit_learn():
    random = np.random.RandomState(0)
    for classes in ([-1, 0, 1, 1], [-1, 0, 0, -1]):
        vectors, own = random.rand(200, 5).astype(np.float32), np.repeat(classes, 50)
        head = FineTunedHead(hidden=(4, 3), n_steps=20, random_state=0).fit(vectors, own)
        made = head.predict_proba(vectors)
        assert made.shape == (200, len(set(classes)))
        np.testing.assert_allclose(made.sum(axis=1), 1, rtol=1e-5)
        assert head.transform(vectors).shape == (200, 3)


def test_a_head_in_torch_leaves_the_global_generator_alone():
    head = torch_head(n_steps=2, random_state=0)
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    head.fit(np.random.RandomState(0).rand(30, 6), np.repeat([-1, 0, 1], 10))
    assert torch.rand(1) == expected
    assert [weights.shape for weights, _ in head.layers_] == [(6, 24), (24, 3)]


@pytest.mark.parametrize(("option", "value"), [("dropout", 1.5), ("input_dropout", -0.1), ("device", "abacus")])
def test_wrong_options_of_a_head_in_torch(option, value):
    with pytest.raises(SpmError):
        torch_head(**{option: value}).fit(np.zeros((4, 2)), [-1, 0, -1, 0])


def test_windows_of_half_precision_teach_a_head_the_same():
    random = np.random.RandomState(0)
    vectors, classes = random.rand(200, 5).astype(np.float16), np.repeat([-1, 0, 1, 1], 50)
    heads = [FineTunedHead(hidden=(4,), n_steps=20, random_state=0) for _ in range(2)]
    made = [head.fit(vectors.astype(kind), classes) for head, kind in zip(heads, ("f4", "f2"), strict=True)]
    np.testing.assert_allclose(made[0].transform(vectors), made[1].transform(vectors), rtol=1e-5)


def test_rows_in_a_file_are_what_was_written(tmp_path):
    random = np.random.RandomState(0)
    parts = [random.normal(size=(n, 5)) * 10.0 ** random.randint(-6, 7, (n, 1)) for n in (3, 0, 4)]
    rows = RowsOnDisk(tmp_path / "rows", RowsOnDisk.write(tmp_path / "rows", iter(parts)), 5)
    whole = np.concatenate(parts)
    most = np.abs(whole).max(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(rows) / most, whole / most, atol=1e-3)
    np.testing.assert_array_equal(rows[[6, 1, 1]], np.asarray(rows)[[6, 1, 1]])
    assert rows.shape == (7, 5) and rows[2:5].dtype == np.float32
    nothing = RowsOnDisk(tmp_path / "none", RowsOnDisk.write(tmp_path / "none", []), 5)
    assert np.asarray(nothing).shape == (0, 5)
    zeros = RowsOnDisk(tmp_path / "zeros", RowsOnDisk.write(tmp_path / "zeros", [np.zeros((2, 5))]), 5)
    assert not np.asarray(zeros).any()
