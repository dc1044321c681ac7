"""Protocols: predictions and accuracies, counted by hand; images that cannot be used, raised or left out."""

import logging

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

import spm
from spm import ImageError, PerClassShuffleSplit, SpmError
from spm.evaluation import prediction, protocols
from spm.evaluation.prediction import predict
from spm.evaluation.protocols import default_cv, evaluate


class ByBrightness(ClassifierMixin, BaseEstimator):
    """Learns nothing: the label of an image is named by its first pixel."""

    fitted_on: list = []  # noqa: RUF012

    def __init__(self, *, names=("a", "b", "c")):
        self.names = names

    def fit(self, X, y):
        ByBrightness.fitted_on.append([int(image[0, 0]) for image in X])
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.array([self.names[image[0, 0] % 10] for image in X])


def shade(value):
    return np.full((16, 16), value, np.uint8)


@pytest.fixture(autouse=True)
def forget():
    ByBrightness.fitted_on = []


def picture(kind, seed, size=(40, 48)):
    rng = np.random.default_rng(seed)
    stripes = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (48, 6))
    stripes = (stripes.T if kind == "across" else stripes)[: size[0], : size[1]]
    return stripes + rng.integers(0, 90, size, dtype=np.uint8)


PICTURES = [picture(kind, seed) for seed in range(5) for kind in ("across", "down")]
LABELS = ["across", "down"] * 5


@pytest.fixture(scope="module")
def model():
    return spm.presets.lazebnik2006(n_words=5, levels=(1, 2), random_state=0).fit(PICTURES, LABELS)


@pytest.fixture
def bad(tmp_path):
    """Images that cannot be used, and a word of what each error must say."""
    Image.fromarray(PICTURES[0]).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.jpg").write_text("this is no image")
    (tmp_path / "empty.png").touch()
    Image.fromarray(PICTURES[0][:10]).save(tmp_path / "small.png")
    return {
        str(tmp_path / "truncated.jpg"): "truncated",
        str(tmp_path / "text.jpg"): "no image",
        str(tmp_path / "empty.png"): "empty",
        str(tmp_path / "small.png"): "patch",
        str(tmp_path / "none.png"): "no such file",
    }


# Prediction


def test_predicts_labels_and_probabilities():
    chancy = spm.presets.lazebnik2006(n_words=5, levels=(1,), probability=True, random_state=0).fit(PICTURES, LABELS)
    result = predict(chancy, PICTURES[:3])
    assert result.labels.tolist() == ["across", "down", "across"]
    assert result.used.tolist() == [0, 1, 2] and result.skipped == []
    np.testing.assert_array_equal(result.probabilities, chancy.predict_proba(PICTURES[:3]))
    assert result.probabilities.shape == (3, 2)


def test_predicts_by_models_of_every_form(model, tmp_path):
    assert predict(model, PICTURES[:2]).labels.tolist() == ["across", "down"]
    assert predict(model, PICTURES[:2]).probabilities is None
    assert predict(spm.save(model, tmp_path / "m.spm"), PICTURES[:2]).labels.tolist() == ["across", "down"]
    assert predict(str(tmp_path / "m.spm"), np.stack(PICTURES[:2])).labels.tolist() == ["across", "down"]
    assert predict(ByBrightness(), [shade(1), shade(2)]).labels.tolist() == ["b", "c"]
    search = GridSearchCV(model, {"classifier__C": [1, 10]}, cv=2).fit(PICTURES, LABELS)
    assert predict(search, [*PICTURES[:2], picture("down", 0, (8, 8))], on_error="skip").used.tolist() == [0, 1]


def test_a_model_from_a_file_gets_the_workers_asked_for(model, tmp_path, monkeypatch):
    path, loaded = spm.save(model, tmp_path / "m.spm"), []
    monkeypatch.setattr(prediction, "load", lambda path: loaded.append(spm.load(path)) or loaded[-1])
    expected = predict(path, PICTURES)
    fast = predict(path, PICTURES, n_jobs=2, verbose=True)
    assert fast.labels.tolist() == expected.labels.tolist()
    options = [each.get_params() for each in loaded]
    for name, values in {"vectorizer__n_jobs": [None, 2], "classifier__n_jobs": [None, 2]}.items():
        assert [each[name] for each in options] == values
    assert [each["vectorizer__verbose"] for each in options] == [False, False]  # one bar over all is enough
    predict(model, PICTURES[:2], n_jobs=2)
    assert model.get_params()["vectorizer__n_jobs"] is None


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_bad_images_are_skipped_and_reported(model, bad, caplog, n_jobs):
    images = [PICTURES[0]]
    for path in bad:
        images += [path, PICTURES[1]]
    images.append(np.zeros((40, 40), int))
    with caplog.at_level(logging.WARNING, logger="spm"):
        result = predict(model, images, on_error="skip", n_jobs=n_jobs)
    assert result.used.tolist() == [0, 2, 4, 6, 8, 10]
    assert result.labels.tolist() == ["across", *["down"] * 5]
    assert [position for position, _ in result.skipped] == [1, 3, 5, 7, 9, 11]
    for (path, word), (_, error) in zip(bad.items(), result.skipped[:-1], strict=True):
        assert isinstance(error, ImageError) and error.source == path and word in error.reason
    assert [record.getMessage() for record in caplog.records] == [f"skipped {error}" for _, error in result.skipped]


def test_bad_images_are_raised_by_default(model, bad):
    for path, word in bad.items():
        with pytest.raises(ImageError, match=word) as caught:
            predict(model, [PICTURES[0], path])
        assert caught.value.source == path


def test_nothing_but_bad_images(model, bad):
    result = predict(model, list(bad), on_error="skip")
    assert len(result.labels) == len(result.used) == 0 and len(result.skipped) == 5 and result.probabilities is None


def test_what_cannot_predict_is_refused(model, tmp_path):
    with pytest.raises(SpmError, match="PyramidVectorizer predicts no labels"):
        predict(model[0], PICTURES[:2])
    with pytest.raises(SpmError, match="'raise', 'skip'"):
        predict(model, PICTURES[:2], on_error="ignore")
    with pytest.raises(SpmError, match="one image"):
        predict(model, "photo.jpg")
    with pytest.raises(SpmError, match="cannot be read"):
        predict(tmp_path / "none.spm", PICTURES[:2])


# Evaluation


def test_accuracy_is_the_mean_over_classes():
    #         a: 2 of 3 right          b: 1 of 1    c: 0 of 2
    images = [shade(v) for v in (10, 20, 31, 41, 50, 61)] + [shade(v) for v in (100, 111, 122)]
    labels = ["a", "a", "a", "b", "c", "c", "a", "b", "c"]
    result = evaluate(ByBrightness(), images, labels, cv=[([6, 7, 8], [0, 1, 2, 3, 4, 5])])
    assert result.accuracy == pytest.approx((2 / 3 + 1 + 0) / 3) and result.std == 0
    assert result.accuracies.tolist() == [result.accuracy]
    assert result.overall.tolist() == [3 / 6]
    assert result.classes.tolist() == ["a", "b", "c"]
    assert result.confusion.tolist() == [[2, 1, 0], [0, 1, 0], [1, 1, 0]]
    assert (result.n_train, result.n_test, result.skipped) == ([3], [6], [])
    (test, predicted), *others = result.predictions
    assert not others and test.tolist() == [0, 1, 2, 3, 4, 5] and predicted.tolist() == ["a", "a", "b", "b", "a", "b"]
    assert ByBrightness.fitted_on == [[100, 111, 122]]
    assert result.train_seconds >= 0 and result.test_seconds >= 0 and result.n_features is None


def test_splits_are_counted_together():
    images, labels = [shade(v) for v in (0, 1, 0, 0)], np.array(["a", "a", "b", "b"])
    result = evaluate(ByBrightness(), images, labels, cv=[([1, 3], [0, 2]), ([0, 2], [1, 3])])
    assert result.accuracies.tolist() == [0.5, 0.0]  # of a: all, none; of b: none, none
    assert result.accuracy == 0.25 and result.std == 0.25
    assert result.confusion.tolist() == [[1, 1], [2, 0]] and result.confusion.sum() == sum(result.n_test) == 4
    assert ByBrightness.fitted_on == [[1, 0], [0, 0]]


def test_a_class_that_is_not_tested_does_not_count():
    images, labels = [shade(v) for v in (0, 1, 0, 1)], ["a", "b", "a", "b"]
    result = evaluate(ByBrightness(), images, labels, cv=[([0, 1, 3], [2])])
    assert result.accuracy == 1 and result.confusion.tolist() == [[1, 0], [0, 0]]


def test_the_model_given_is_not_fitted():
    model = ByBrightness()
    evaluate(model, [shade(v) for v in (0, 1, 0, 1)], ["a", "b", "a", "b"], cv=[([0, 1], [2, 3])])
    assert not hasattr(model, "classes_")


def test_takes_splitters_and_index_arrays():
    images, labels = [shade(i % 2) for i in range(12)], np.array(["a", "b"] * 6)
    splitter = PerClassShuffleSplit(n_train=2, n_splits=3, random_state=1)
    drawn = list(splitter.split(labels, labels))
    for cv in (splitter, drawn, iter(drawn), [(train.tolist(), test.tolist()) for train, test in drawn]):
        result = evaluate(ByBrightness(), images, labels, cv=cv)
        assert result.n_train == [4] * 3 and result.n_test == [8] * 3
        for (_, test), (tested, _) in zip(drawn, result.predictions, strict=True):
            np.testing.assert_array_equal(tested, test)
    assert evaluate(ByBrightness(), images, labels, cv=StratifiedKFold(3)).n_train == [8] * 3


def test_ten_splits_with_half_of_the_smallest_class_by_default():
    images, labels = [shade(0)] * 9 + [shade(1)] * 6, ["a"] * 9 + ["b"] * 6
    result = evaluate(ByBrightness(), images, labels)
    assert len(result.accuracies) == 10 and set(result.n_train) == {6} and set(result.n_test) == {9}
    assert result.confusion.tolist() == [[60, 0], [0, 30]]
    assert default_cv(np.repeat(["a", "b"], 500)).n_train == 100
    options = default_cv(np.repeat(["a", "b"], 9), n_train=3, n_splits=4, random_state=7).__dict__
    assert options == {"n_train": 3, "n_test": None, "n_splits": 4, "random_state": 7, "max_train": None}


def test_of_unequal_classes_half_of_each_trains_and_one_line_says_so(caplog):
    images, labels = [shade(0)] * 11 + [shade(1)] * 249, np.repeat(["a", "b"], [11, 249])
    with caplog.at_level(logging.WARNING, logger="spm"):
        result = evaluate(ByBrightness(), images, labels)
    assert set(result.n_train) == {5 + 100} and set(result.n_test) == {6 + 149}
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("classes have 11 to 249 images: half of each trains, 100 at most, so 5 to 100")
    caplog.clear()
    for sizes, n_train in (([11, 22], 5), ([200, 5000], 100), ([199, 398], 99)):  # the paper's protocol
        cv = default_cv(np.repeat(["a", "b"], sizes))
        assert (cv.n_train, cv.max_train) == (n_train, None) and caplog.records == []
    assert default_cv(np.repeat(["a", "b"], [11, 249]), n_train=5).n_train == 5 and caplog.records == []


def test_a_real_model_over_real_splits():
    preset = spm.presets.lazebnik2006(n_words=5, levels=(1, 2), random_state=0)
    result = evaluate(preset, PICTURES, LABELS, cv=PerClassShuffleSplit(n_train=3, n_splits=2))
    assert result.accuracy == 1 and result.n_features == 5 * 5
    again = evaluate(preset, PICTURES, LABELS, cv=PerClassShuffleSplit(n_train=3, n_splits=2), n_jobs=2)
    assert [labels.tolist() for _, labels in again.predictions] == [labels.tolist() for _, labels in result.predictions]


# Bad images in evaluation


def test_bad_images_are_left_out_with_their_labels(bad, caplog):
    text = next(path for path in bad if "text" in path)
    images = [shade(0), shade(0), text, shade(1), shade(1), shade(0), shade(1), "none.png"]
    labels = ["a", "a", "b", "b", "b", "a", "b", "a"]
    with caplog.at_level(logging.WARNING, logger="spm"):
        result = evaluate(
            ByBrightness(), images, labels, cv=PerClassShuffleSplit(n_train=1, n_splits=5), on_error="skip"
        )
    assert result.accuracy == 1  # labels and images are still together
    assert result.n_train == [2] * 5 and result.n_test == [4] * 5
    tested = np.unique(np.concatenate([test for test, _ in result.predictions]))
    assert tested.tolist() == [0, 1, 3, 4, 5, 6]
    assert [(position, error.source) for position, error in result.skipped] == [(2, text), (7, "none.png")]
    assert [text in record.getMessage() for record in caplog.records] == [True, False]


def test_bad_images_are_taken_out_of_given_splits():
    images = [shade(0), shade(1), "none.png", shade(1), shade(0), "nor this.png"]
    labels = ["a", "b", "a", "b", "a", "b"]
    cv = [([0, 1, 2], [3, 4, 5]), ([3, 4], [0, 1])]
    result = evaluate(ByBrightness(), images, labels, cv=cv, on_error="skip")
    assert (result.n_train, result.n_test) == ([2, 2], [2, 2])
    assert [test.tolist() for test, _ in result.predictions] == [[3, 4], [0, 1]]
    assert result.accuracy == 1
    with pytest.raises(SpmError, match="without an image to train on or to test"):
        evaluate(ByBrightness(), images, labels, cv=[([0, 1], [2, 5])], on_error="skip")


def test_images_too_small_for_the_model_are_left_out():
    images, labels = [*PICTURES, picture("down", 9, (15, 40))], [*LABELS, "down"]
    preset = spm.presets.lazebnik2006(n_words=3, levels=(1,), random_state=0)
    with pytest.raises(ImageError, match="patch"):
        evaluate(preset, images, labels, cv=[(range(4), range(4, 11))])
    result = evaluate(preset, images, labels, cv=[(range(4), range(4, 11))], on_error="skip")
    assert result.n_test == [6] and [position for position, _ in result.skipped] == [10]


def test_bad_images_are_raised_by_default_here_too(bad):
    preset = spm.presets.lazebnik2006(n_words=3, levels=(1,), random_state=0)
    for position in (0, 9):  # one that trains, one that is tested
        images = list(PICTURES)
        images[position] = next(iter(bad))
        with pytest.raises(ImageError, match="truncated"):
            evaluate(preset, images, LABELS, cv=[(range(5), range(5, 10))])


@pytest.fixture
def looked_at(monkeypatch):
    """Images that are looked at beside the work."""
    images, error_of = [], protocols._error_of
    monkeypatch.setattr(
        protocols, "_error_of", lambda image, check: images.append(image) or error_of(image, check=check)
    )
    return images


def small_preset():
    return spm.presets.lazebnik2006(n_words=5, levels=(1,), random_state=0)


def test_images_are_looked_at_beside_the_work_only_where_it_meets_one_that_it_cannot_use(looked_at):
    cv = [(range(4), range(4, 10)), (range(4, 8), [0, 1, 2, 3, 8, 9])]
    whole = evaluate(small_preset(), PICTURES, LABELS, cv=iter(cv), on_error="skip")
    assert looked_at == [] and whole.skipped == []
    for position in (0, 9):
        images, labels = list(PICTURES), list(LABELS)
        images.insert(position, "none.png")
        labels.insert(position, "across")
        moved = [[np.array(part) + (np.array(part) >= position) for part in split] for split in cv]
        moved[0][0] = np.append(moved[0][0], position)
        result = evaluate(small_preset(), images, labels, cv=iter(moved), on_error="skip")
        assert len(looked_at) == 11 and [i for i, _ in result.skipped] == [position]
        for (_, found), (_, expected) in zip(result.predictions, whole.predictions, strict=True):
            assert found.tolist() == expected.tolist()
        looked_at.clear()


def test_what_the_first_split_does_not_meet_is_looked_at_before_it(looked_at, monkeypatch):
    cv, begun = [([0, 1, 2, 3], [4, 5]), ([4, 5, 6, 7], [0, 9])], []
    run_split = protocols._run_split
    monkeypatch.setattr(protocols, "_run_split", lambda *args: begun.append(0) or run_split(*args))
    assert evaluate(small_preset(), PICTURES, LABELS, cv=cv, on_error="skip").n_test == [2, 2]
    assert len(looked_at) == 4 and len(begun) == 2
    result = evaluate(small_preset(), [*PICTURES[:9], "none.png"], LABELS, cv=cv, on_error="skip")
    assert result.n_test == [2, 1] and len(begun) == 4


def test_a_class_of_bad_images_only_is_left_out():
    result = evaluate(small_preset(), [*PICTURES, "none.png"], [*LABELS, "up"], on_error="skip")
    assert result.classes.tolist() == ["across", "down"] and len(result.skipped) == 1


def test_a_search_does_not_say_why_its_models_fail_so_that_images_are_looked_at_first(looked_at, recwarn):
    images, labels = [*PICTURES, "none.png", "nor this.png"], [*LABELS, "across", "down"]
    search = GridSearchCV(small_preset(), {"classifier__C": [1.0]}, cv=StratifiedKFold(2))
    result = evaluate(search, images, labels, cv=[(range(12), [0, 1])], on_error="skip")
    assert [i for i, _ in result.skipped] == [10, 11] and result.n_train == [10]
    assert len(looked_at) == 12 and not recwarn.list


def test_errors_of_splitters_are_forgiven_where_bad_images_caused_them():
    images, labels = [*PICTURES, "none.png"], [*LABELS, "up"]
    only = PerClassShuffleSplit(n_train=2, n_splits=2)  # of "up" there are not two
    assert evaluate(small_preset(), images, labels, cv=only, on_error="skip").n_train == [4, 4]


def test_what_fails_without_a_bad_image_fails_with_its_own_error(looked_at):
    model = small_preset().set_params(vectorizer__encoder__n_words=5000)
    with pytest.raises(SpmError) as plain:
        evaluate(model, PICTURES, LABELS)
    with pytest.raises(SpmError) as skipping:
        evaluate(model, PICTURES, LABELS, on_error="skip")
    assert str(skipping.value) == str(plain.value) and len(looked_at) == 10


def test_nothing_but_bad_images_is_an_error():
    with pytest.raises(SpmError, match="none of the 2 images can be used"):
        evaluate(ByBrightness(), ["none.png", "nor this.png"], ["a", "b"], on_error="skip")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b", "a"]}, r"one for each of the 4 images, got shape \(3,\)"),
        ({"labels": np.eye(4)}, r"got shape \(4, 4\)"),
        ({"labels": "abab"}, r"got shape \(\)"),
        ({"on_error": "warn"}, "'raise', 'skip'"),
        ({"cv": 5}, "splitter or an iterable"),
        ({"cv": []}, "splitter or an iterable"),
        ({"cv": [([0, 1], [2], [3])]}, "splitter or an iterable"),
        ({"cv": [([True, False, True, False], [1])]}, "index arrays"),
        ({"cv": [([0, 1], [2, 4])]}, r"outside 0\.\.3"),
        ({"cv": [([0, 1], [2, -1])]}, r"outside 0\.\.3"),
        ({"cv": [([0, 1], [])]}, "without an image to train on or to test"),
        ({"cv": PerClassShuffleSplit(n_train=2)}, "n_train=2 needs"),
        ({"labels": ["a", "a", "a", "b"]}, "class 'b' has one image only"),
        ({"images": shade(0)}, "not several images"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(changes, message):
    given = {"images": [shade(v) for v in (0, 1, 0, 1)], "labels": ["a", "b", "a", "b"], **changes}
    with pytest.raises(SpmError, match=message):
        evaluate(ByBrightness(), **given)
    assert ByBrightness.fitted_on == []


def test_the_length_of_a_vector_is_that_of_all_kernels_together():
    words = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=3), random_state=0)
    means = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1,), pool="mean"))
    both = spm.KernelSum([("words", words), ("means", means)], kernels=["intersection", "linear"])
    model = make_pipeline(both, spm.KernelSVC(kernel="precomputed"))
    result = evaluate(model, PICTURES, LABELS, cv=[([0, 1, 2, 3], [4, 5])], on_error="skip")
    assert result.n_features == 3 * 21 + 128 and result.n_test == [2]
