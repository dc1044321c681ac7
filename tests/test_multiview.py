"""Multi-view testing: windows where they belong, their scores averaged, one forward pass for each size and mirror."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import spm
from spm.classifiers.multiview import windows

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def scenes():
    scenes = spm.datasets.make_layouts(6, size=96, n_classes=3, random_state=1)
    return [image[:80] for image in scenes.data], scenes.target


def test_the_papers_views():
    sizes = (224, 256, 300, 360, 448, 560)
    assert [len(windows((375, 500), size, 224)) for size in sizes] == [3, 9, 9, 9, 9, 9]  # 48, and 48 mirrored: 96


@pytest.mark.parametrize(("image", "size"), [((375, 500), 300), ((500, 375), 256), ((224, 224), 560), ((7, 900), 224)])
def test_windows_lie_inside_and_reach_the_borders(image, size):
    boxes = windows(image, size, 224)
    side = 224 * min(image) / size
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], side)
    assert boxes.min() == 0 and boxes[:, 2].max() == image[1] and boxes[:, 3].max() == image[0]
    centre = np.add(boxes[len(boxes) // 2, :2], boxes[len(boxes) // 2, 2:]) / 2
    np.testing.assert_allclose(centre, [image[1] / 2, image[0] / 2])


def test_an_image_smaller_than_the_window_is_one_window():
    assert windows((100, 150), 100, 224).tolist() == [[0, 0, 150, 100]]


def test_one_window_over_the_whole_image_is_the_model_itself(scenes):
    images, labels = scenes
    model = spm.presets.spp2014(size=96)
    many = spm.MultiViewClassifier(model, sizes=(96,), window=1000, flip=False).fit(images, labels)
    plain = clone(model).fit(images, labels)
    np.testing.assert_allclose(many.decision_function(images), plain.decision_function(images), rtol=1e-5, atol=1e-6)
    assert (many.predict(images) == plain.predict(images)).all() and many.score(images, labels) > 0.9


def test_scores_are_the_mean_over_all_views(scenes):
    images, labels = scenes
    many = spm.MultiViewClassifier(spm.presets.spp2014(size=80), sizes=(80, 120), window=80, whole=True)
    many.fit(images, labels)
    vectorizer, classifier = many.estimator_
    scores = []
    for size in (80, 120):
        for flip in (False, True):
            features = clone(vectorizer.features_).set_params(size=size, flip=flip)
            local = features.views(images[0])[-1][0]
            for box in [*windows((80, 96), size, 80), [0, 0, 96, 80]]:
                vector = vectorizer.pyramid_.cells(local, [box]).reshape(1, -1)
                scores.append(classifier.decision_function(vector / np.linalg.norm(vector))[0])
    assert len(scores) == 2 * ((3 + 1) + (9 + 1))
    np.testing.assert_allclose(many.decision_function(images[:1])[0], np.mean(scores, axis=0), rtol=1e-5, atol=1e-6)


def test_two_classes_and_any_number_of_workers(scenes):
    images, labels = scenes
    few = [i for i, label in enumerate(labels) if label < 2]
    images, labels = [images[i] for i in few], labels[few]
    many = spm.MultiViewClassifier(spm.presets.spp2014(), sizes=(80,), window=64).fit(images, labels)
    scores = many.decision_function(images)
    assert scores.shape == (len(images),) and ((scores > 0) == (many.predict(images) == 1)).all()
    np.testing.assert_array_equal(many.set_params(n_jobs=2).decision_function(images), scores)
    result = spm.evaluate(many, images, labels, cv=[(np.arange(0, 12, 2), np.arange(1, 12, 2))])
    assert result.accuracy > 0.5


def test_what_it_refuses(scenes):
    images, labels = scenes
    words = make_pipeline(spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=4)), spm.KernelSVC())
    for estimator in (words, spm.presets.spp2014()[0], None):
        with pytest.raises(spm.SpmError, match="a vectorizer over a FeatureMap and a classifier"):
            spm.MultiViewClassifier(estimator).fit(images, labels)
    for options, message in (
        ({"sizes": 224}, "sizes must be a sequence"),
        ({"sizes": (0,)}, "each of sizes must be a whole number at least 1"),
        ({"window": 0.5}, "window must be"),
    ):
        with pytest.raises(spm.SpmError, match=message):
            spm.MultiViewClassifier(spm.presets.spp2014(), **options).fit(images, labels)
    many = spm.MultiViewClassifier(spm.presets.spp2014(), sizes=(96,)).fit(images, labels)
    with pytest.raises(spm.ImageError, match=r"nothing\.jpg"):
        many.predict(["nothing.jpg"])
