"""The comparison: one row for every data set, preset and pyramid, in order and as soon as it is there."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from spm import PerClassShuffleSplit, SpmError, compare, comparison, presets
from spm.comparison import COLUMNS, PYRAMIDS, data_names, row_cells
from spm.datasets import make_layouts

KEYS = ["data", "preset", "pyramid", "levels", "accuracy", "std", "values", "train_seconds", "test_seconds"]
KEYS += ["n_splits", "n_train", "n_test"]


@pytest.fixture(autouse=True)
def small_presets(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "small", partial(presets.lazebnik2006, n_words=8))
    monkeypatch.setitem(presets.PRESETS, "smaller", partial(presets.lazebnik2006, n_words=4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scenes of two classes, five of each."""
    folder = tmp_path_factory.mktemp("data") / "scenes"
    scenes = make_layouts(5, size=64, n_classes=2)
    for i, (image, target) in enumerate(zip(scenes.data, scenes.target, strict=True)):
        (folder / "ab"[target]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "ab"[target] / f"{i}.png")
    return folder


def test_one_row_for_every_preset_and_pyramid(folder):
    told = []
    result = compare(
        folder, presets=("small", "smaller"), cv=PerClassShuffleSplit(n_train=3, n_splits=2), on_row=told.append
    )
    assert [(row["preset"], row["pyramid"]) for row in result.rows] == [
        (name, pyramid) for name in ("small", "smaller") for pyramid in PYRAMIDS
    ]
    assert all(list(row) == KEYS for row in result.rows)
    assert [row["values"] for row in result.rows] == [words * cells for words in (8, 4) for cells in (1, 4, 16, 21)]
    assert [row["levels"] for row in result.rows[:4]] == [(1,), (2,), (4,), (1, 2, 4)]
    for row in result.rows:
        assert (row["data"], row["n_splits"], row["n_train"], row["n_test"]) == ("scenes", 2, 6, 4)
        assert 0 <= row["accuracy"] <= 1 and row["train_seconds"] > 0 and row["test_seconds"] > 0
    assert told == result.rows and told[0] is result.rows[0]
    assert result.skipped == []


def test_rows_are_told_as_soon_as_they_are_there(folder):
    class Enough(Exception):
        pass

    told = []

    def stop(row):
        told.append(row)
        raise Enough

    with pytest.raises(Enough):
        compare(folder, presets=("small",), cv=PerClassShuffleSplit(n_train=3, n_splits=1), on_row=stop)
    assert len(told) == 1


def test_the_same_seed_gives_the_same_accuracies(folder, monkeypatch):
    monkeypatch.setattr(comparison, "PYRAMIDS", {"one cell": (1,), "two": (1, 2)})

    def accuracies(**options):
        rows = compare(folder, presets="smaller", cv=PerClassShuffleSplit(n_train=3, n_splits=2), **options).rows
        return [row["accuracy"] for row in rows]

    assert accuracies() == accuracies(n_jobs=2)


def test_splits_may_be_an_iterator_and_default_to_the_protocols(folder, monkeypatch):
    rows = compare(folder, presets=("smaller",), cv=iter([([0, 1, 5, 6], [2, 7])])).rows
    assert [(row["n_splits"], row["n_train"], row["n_test"]) for row in rows] == [(1, 4, 2)] * 4
    monkeypatch.setattr(comparison, "PYRAMIDS", {"one cell": (1,)})
    rows = compare(folder, presets=("smaller",)).rows
    assert [(row["n_splits"], row["n_train"], row["n_test"]) for row in rows] == [(10, 4, 6)]


def test_bad_images_are_raised_or_skipped_once(folder, tmp_path, caplog):
    for path in folder.glob("*/*.png"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "a" / "bad.png").write_text("no image")
    options = {"presets": ("small", "smaller"), "cv": PerClassShuffleSplit(n_train=3, n_splits=1)}
    with pytest.raises(SpmError, match=r"bad\.png"):
        compare(tmp_path, **options)
    result = compare(tmp_path, **options, on_error="skip")
    ((image, reason),) = result.skipped
    assert image == str(tmp_path / "a" / "bad.png") and "no image" in reason
    assert {row["n_test"] for row in result.rows} == {4}
    assert sum("bad.png" in record.getMessage() for record in caplog.records) == 2  # once for each preset


def test_without_a_folder_two_sets_with_fixed_splits_are_used(monkeypatch):
    assert data_names(None) == list(comparison.BUILT_IN) == ["layouts", "digits"]
    scenes = partial(make_layouts, 10, size=96, n_classes=4)
    monkeypatch.setattr(comparison, "BUILT_IN", {"layouts": scenes, "more": partial(scenes, random_state=1)})
    rows = compare(presets=("small",)).rows
    assert [row["data"] for row in rows] == ["layouts"] * 4 + ["more"] * 4
    assert {(row["n_splits"], row["n_train"], row["n_test"]) for row in rows} == {(1, 20, 20)}
    accuracy = {row["pyramid"]: row["accuracy"] for row in rows[:4]}
    assert accuracy["pyramid (1x1 + 2x2 + 4x4)"] > accuracy["no pyramid (1x1)"] + 0.2  # what the pyramid is for


def test_wrong_arguments_are_refused_before_any_work(tmp_path):
    with pytest.raises(SpmError, match="preset='spm' is not an option: choose one of 'lazebnik2006'"):
        compare(tmp_path / "none", presets=("small", "spm"))
    with pytest.raises(SpmError, match="no such folder"):
        compare(tmp_path / "none")
    with pytest.raises(SpmError, match="no images"):
        compare(tmp_path)
    with pytest.raises(SpmError, match="cv is for a folder"):
        compare(presets="small", cv=PerClassShuffleSplit(n_train=1))
    with pytest.raises(SpmError, match="'raise', 'skip'"):
        compare(presets="small", on_error="ignore")


def test_wrong_splits_of_a_folder_are_refused(folder):
    with pytest.raises(SpmError, match="splitter or an iterable"):
        compare(folder, presets="small", cv=3)


def test_rows_as_text():
    row = {"data": "d", "preset": "p", "pyramid": "1x1", "accuracy": 2 / 3, "std": 0.0123, "values": np.int64(84)}
    row |= {"train_seconds": 1.25, "test_seconds": 0.04, "n_splits": 1}
    assert row_cells(row) == ["d", "p", "1x1", "66.7", "84", "1.2", "0.0"]
    assert row_cells(row | {"n_splits": 2})[3] == "66.7 ± 1.2"
    assert len(row_cells(row)) == len(COLUMNS)
