"""Evidence: votes of cells, words and features add up to the decision, and lie where the content is."""

import numpy as np
import pytest

import spm
from spm.evidence import feature_votes, votes


@pytest.fixture(scope="module")
def scenes():
    scenes = spm.datasets.make_layouts(6, size=64, n_classes=3, random_state=2)
    return list(scenes.data), np.array(["a", "b", "c"])[scenes.target]


def models():
    small = {"n_words": 6, "random_state": 0}
    yield "intersection", spm.presets.lazebnik2006(**small)
    yield "chi2", spm.presets.lazebnik2006(**small).set_params(classifier__kernel="chi2")
    yield "fisher", spm.presets.fisher2010(**small).set_params(vectorizer__features__patch_size=16)
    yield "llc", spm.presets.llc2010(**small).set_params(vectorizer__features__patch_size=16)
    pytest.importorskip("onnxruntime")
    yield "maps", spm.presets.spp2014()
    yield "sum", spm.presets.hybrid(n_words=6, random_state=0)


@pytest.mark.parametrize("name", ["intersection", "chi2", "fisher", "llc", "maps", "sum"])
def test_votes_add_up_to_the_decision_of_every_class(scenes, name):
    images, labels = scenes
    model = dict(models())[name].fit(images, labels)
    scores = model.decision_function(images[:2])
    for image, row in zip(images, scores, strict=False):
        for label, score in zip(model.classes_, row, strict=True):
            found = votes(model, image, label)
            assert found.score == pytest.approx(score, abs=1e-4)
            assert found.heat().sum() == pytest.approx(found.score - found.intercept, abs=1e-4)
            assert found.heat().shape == image.shape[:2]
        assert votes(model, image).label == model.predict([image])[0]


def test_votes_of_features_add_up_too(scenes):
    images, labels = scenes
    model = spm.presets.lazebnik2006(n_words=6, random_state=0).fit(images, labels)
    found = votes(model, images[0], "b")
    ((local, by_feature),) = feature_votes(model, images[0], "b")
    assert len(local) == len(by_feature)
    assert by_feature.sum() == pytest.approx(found.score - found.intercept, abs=1e-4)


def test_votes_of_a_linear_model_by_hand(scenes):
    images, labels = scenes
    vec = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1, 2), weights=None), norm="l2")
    model = spm.presets.Pipeline([("v", vec), ("c", spm.KernelSVC(kernel="linear"))]).fit(images, labels)
    vector = model[0].transform(images[:1])[0]
    expected = (vector * model[1].coef_[2]).reshape(5, 128)
    found = votes(model, images[0], "c")
    np.testing.assert_allclose(found.layers[0].values, expected, atol=1e-6)
    np.testing.assert_allclose(found.layers[0].levels()[1].ravel(), expected[1:].sum(axis=1), atol=1e-6)
    name, vote = found.largest(1)[0]
    assert abs(vote) == pytest.approx(np.abs(expected.sum(axis=0)).max(), rel=1e-5) and name.startswith("x")


def test_what_has_no_votes_is_refused(scenes):
    images, labels = scenes
    model = spm.presets.lazebnik2006(n_words=6, random_state=0)
    with pytest.raises(spm.SpmError):
        votes(model, images[0])
    model.fit(images, labels)
    with pytest.raises(spm.SpmError, match="'z'"):
        votes(model, images[0], "z")
    with pytest.raises(spm.ImageError, match=r"none\.jpg"):
        votes(model, "none.jpg")
