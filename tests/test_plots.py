"""Figures: what is drawn is what was given, on the axes that were given."""

import numpy as np
import pytest

import spm

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(scope="module")
def scenes():
    scenes = spm.datasets.make_layouts(6, size=64, n_classes=3, random_state=2)
    return list(scenes.data), np.array(["a", "b", "c"])[scenes.target]


@pytest.fixture(scope="module")
def model(scenes):
    return spm.presets.lazebnik2006(n_words=6, random_state=0).fit(*scenes)


@pytest.fixture(autouse=True)
def closed():
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before  # no setting is changed
    pyplot.close("all")


def test_a_pyramid_has_an_axes_a_level(scenes, model):
    axes = spm.plots.pyramid(scenes[0][0], model)
    assert [ax.get_title().split(",")[0] for ax in axes[0]] == ["1 × 1", "2 × 2", "4 × 4"]


def test_words_and_a_word_map(scenes, model):
    assert np.size(spm.plots.words(model[0], scenes[0], words=4)) >= 1
    ax = spm.plots.word_map(scenes[0][0], model[0])
    np.ravel(ax)[0].figure.canvas.draw()


def test_evidence_draws_on_its_figure(scenes, model):
    axes = spm.plots.evidence(scenes[0][0], model, "b")
    texts = " ".join(ax.get_title() for ax in np.ravel(axes))
    assert "b" in texts


def test_a_confusion_matrix_shows_every_share():
    matrix = np.array([[8, 2], [1, 9]])
    ax = spm.plots.confusion(matrix, ["left", "right"])
    texts = [text.get_text() for text in ax.texts]
    assert {"80", "20", "10", "90"} <= {text.strip(" %") for text in texts}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["left", "right"]


def test_a_curve_has_every_row():
    rows = [
        {"data": "d", "preset": "p", "levels": levels, "accuracy": accuracy, "std": 0.01, "values": values,
         "n_splits": 10, "error": None}
        for levels, accuracy, values in (((1,), 0.5, 10), ((1, 2), 0.7, 50))
    ]  # fmt: skip
    ax = spm.plots.curve(rows, x="values")
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines if len(line.get_ydata()) == 2])
    assert np.isin([50, 70], drawn.round(6)).all() or np.isin([0.5, 0.7], drawn.round(6)).all()


def test_detections_are_drawn_with_their_scores():
    boxes = [[4, 4, 20, 30], [30, 10, 60, 40]]
    ax = spm.plots.detections(np.zeros((64, 64), np.uint8), boxes, [0.5, 0.9], ["cat", "dog"])
    texts = " ".join(text.get_text() for text in ax.texts)
    assert "cat" in texts and "dog" in texts and "0.9" in texts


def test_axes_that_are_given_are_used():
    from matplotlib import pyplot

    _, ax = pyplot.subplots()
    assert spm.plots.confusion(np.eye(2, dtype=int), ["a", "b"], ax=ax) is ax


def test_maps_and_precision(scenes):
    pytest.importorskip("onnxruntime")
    features = spm.presets.spp2014()[0].features
    assert np.size(spm.plots.feature_map(scenes[0][0], features, channels=2)) >= 2
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    ax = spm.plots.precision_recall(scores, ["a", "b", "b"], ["a", "b"])
    assert ax.get_xlabel() and ax.get_ylabel()


def test_what_cannot_be_drawn_is_refused(scenes):
    with pytest.raises(spm.SpmError):
        spm.plots.word_map(scenes[0][0], spm.PyramidVectorizer(encoder=spm.BagOfWords()))
    with pytest.raises(spm.SpmError):
        spm.plots.curve([], x="values")
