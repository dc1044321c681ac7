"""The comparison: one row for every data set, preset and pyramid, in order and as soon as it is there."""

import json
import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

import spm
from spm import PerClassShuffleSplit, SpmError, compare, presets
from spm.datasets import make_layouts
from spm.errors import MissingDependencyError
from spm.evaluation import comparison
from spm.evaluation import journal as journal_of
from spm.evaluation.comparison import COLUMNS, data_names, pyramids_of, row_cells
from spm.evaluation.journal import Journal
from spm.presets.registry import TRAINED

KEYS = ["data", "preset", "pyramid", "levels", "accuracy", "std", "values", "extract_rate", "classify_rate"]
KEYS += ["train_seconds", "test_seconds", "peak_mb", "n_splits", "n_train", "n_test", "error", "kept"]


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


def one_split(n_splits=1):
    return PerClassShuffleSplit(n_train=3, n_splits=n_splits)


def test_one_row_for_every_preset_and_pyramid(folder):
    told = []
    result = compare(folder, presets=("small", "smaller"), cv=one_split(2), on_row=told.append)
    assert [(row["preset"], row["levels"]) for row in result.rows] == [
        (name, levels) for name in ("small", "smaller") for levels in ((1,), (1, 2, 4))
    ]
    assert all(list(row) == KEYS for row in result.rows)
    assert [row["values"] for row in result.rows] == [words * cells for words in (8, 4) for cells in (1, 21)]
    for row in result.rows:
        assert (row["data"], row["n_splits"], row["n_train"], row["n_test"]) == ("scenes", 2, 6, 4)
        assert 0 <= row["accuracy"] <= 1 and row["train_seconds"] > 0 and row["error"] is None
        seconds = 8 / row["extract_rate"] + 8 / row["classify_rate"]  # of both splits
        assert seconds == pytest.approx(2 * row["test_seconds"])
        assert row["peak_mb"] is None or 50 < row["peak_mb"] < 1e6
    assert told == result.rows and told[0] is result.rows[0]
    assert result.skipped == []


def test_both_roads_by_default(folder, monkeypatch):
    pytest.importorskip("onnxruntime")
    rows = compare(folder, cv=one_split(), options={"n_words": 4}).rows
    assert [(row["preset"], row["values"]) for row in rows] == [
        ("lazebnik2006", 4),
        ("lazebnik2006", 84),
        ("spp2014", 64),
        ("spp2014", 3200),
    ]


def test_the_pyramids_are_the_presets_own(folder):
    assert list(pyramids_of("spp2014").values()) == [(1,), (1, 2, 3, 6)]
    assert pyramids_of("hybrid") == {"no pyramid (1x1)": (1,), "pyramid (each road's own)": None}
    assert list(pyramids_of("small", levels=[1, (3, 1)])) == ["no pyramid (1x1)", "pyramid (1x1 + 3x1)"]
    assert list(pyramids_of("small", levels=(1,)).values()) == [(1,), (1, 2, 4)]
    with pytest.raises(SpmError, match="levels must be a sequence"):
        compare(folder, presets="small", options={"levels": 4})


def test_options_go_to_the_presets_that_have_them(folder):
    rows = compare(folder, presets="small", cv=one_split(), options={"n_words": 5, "levels": (2, 3)}).rows
    assert [(row["levels"], row["values"]) for row in rows] == [((1,), 5), ((2, 3), 65)]
    with pytest.raises(SpmError, match=r"has an option 'words': did you mean n_words.* They have C, levels.*n_words"):
        compare(folder, presets="small", options={"words": 5})


def test_rows_are_told_as_soon_as_they_are_there(folder):
    class Enough(Exception):
        pass

    told = []

    def stop(row):
        told.append(row)
        raise Enough

    with pytest.raises(Enough):
        compare(folder, presets=("small",), cv=one_split(), on_row=stop)
    assert len(told) == 1


def test_a_comparison_that_was_stopped_goes_on(folder, tmp_path, monkeypatch):
    measured = []
    real = comparison.measure

    def watched(models, *arguments):
        measured.append(len(models))
        if len(measured) == 2:
            raise KeyboardInterrupt
        return real(models, *arguments)

    monkeypatch.setattr(comparison, "measure", watched)
    journal = tmp_path / "new" / "rows.jsonl"
    options = {"presets": ("small", "smaller"), "cv": one_split(), "journal": journal}
    told = []
    with pytest.raises(KeyboardInterrupt):
        compare(folder, **options, on_row=told.append)
    assert len(told) == 2
    with open(journal, "a") as file:
        file.write('{"key": "abc", "row"')  # killed while writing
    rows = compare(folder, **options).rows
    assert len(measured) == 3 and rows[:2] == [row | {"kept": True} for row in told] and len(rows) == 4
    assert [row["kept"] for row in rows] == [True, True, False, False] and not any(row["kept"] for row in told)
    assert rows[1]["levels"] == (1, 2, 4)
    assert not journal.exists()  # complete, so the next comparison starts anew
    compare(folder, **options)
    assert measured == [2] * 5


def test_a_row_that_is_there_is_not_measured_again(folder, tmp_path, monkeypatch):
    """Killed between the two rows of a preset."""
    journal = tmp_path / "rows.jsonl"
    options = {"presets": "small", "cv": one_split(), "journal": journal}
    monkeypatch.setattr(Journal, "close", lambda self: None)
    first = compare(folder, **options).rows
    lines = [line for line in journal.read_text().splitlines() if line]
    measured = []
    real = comparison.measure
    watched = lambda model, pyramids, *rest: measured.append(pyramids) or real(model, pyramids, *rest)  # noqa: E731
    monkeypatch.setattr(comparison, "measure", watched)
    for kept, missing in enumerate([(1, 2, 4), (1,)]):
        journal.write_text(lines[kept] + "\n")
        rows = compare(folder, **options).rows
        assert [[tuple(pyramid.levels) for pyramid in pyramids] for pyramids in measured] == [[missing]]
        measured.clear()
        assert rows[kept] == first[kept] | {"kept": True} and [row["kept"] for row in rows].count(True) == 1
        assert [row["accuracy"] for row in rows] == [row["accuracy"] for row in first]


def test_rows_are_those_of_each_model_by_itself(folder):
    """Both rows of a preset are measured in one pass."""
    result = compare(folder, presets="small", cv=one_split(3))
    for row, detail in zip(result.rows, result.details, strict=True):
        alone = spm.evaluate(detail.model, result.data["scenes"].images, result.data["scenes"].labels, cv=one_split(3))
        assert (row["accuracy"], row["std"], row["values"]) == (alone.accuracy, alone.std, alone.n_features)
        assert detail.confusion == alone.confusion.tolist()
    first, second = result.rows
    assert first["extract_rate"] == second["extract_rate"] and first["classify_rate"] != second["classify_rate"]


def test_rows_of_another_network_are_not_taken(folder, tmp_path):
    """Under the same name, and also where the weights alone are others."""
    pytest.importorskip("onnxruntime")
    network, journal = tmp_path / "net.onnx", tmp_path / "rows.jsonl"
    options = {"presets": "spp2014", "options": {"model": str(network)}, "cv": one_split(), "journal": journal}
    net = """<ir_version: 8, opset_import: ["": 13]>
    net (float[1, 3, H, W] image) => (float[1, {0}, h, w] map)
    <float[{0}, 3, 8, 8] weights = {{{1}}}> {{
        map = Conv <kernel_shape = [8, 8], strides = [8, 8]> (image, weights)
    }}"""
    onnx = pytest.importorskip("onnx")

    def write(channels):
        weights = ", ".join(["0.5"] * (channels * 192))
        onnx.save(onnx.parser.parse_model(net.format(channels, weights)), network)

    def stopped():
        class Enough(Exception):
            pass

        def stop(row):
            raise Enough

        with pytest.raises(Enough):
            compare(folder, **options, on_row=stop)

    write(2)
    stopped()
    assert len(journal.read_text().split()) > 0
    write(3)
    rows = compare(folder, **options).rows
    assert [(row["values"], row["kept"]) for row in rows] == [(3, False), (150, False)]
    stopped()
    assert [row["kept"] for row in compare(folder, **options).rows] == [True, True]


def test_rows_of_other_images_under_the_same_name_are_not_taken(tmp_path):
    from spm.evaluation.journal import content_key, key_of, state_of

    image = tmp_path / "a.png"
    image.write_bytes(b"one")
    before, time = state_of(str(image)), image.stat().st_mtime_ns
    image.write_bytes(b"three")
    os.utime(image, ns=(time, time))
    assert state_of(str(image)) != before
    assert key_of(content_key(str(image))) != key_of(content_key(str(tmp_path / "b.png")))


def test_a_journal_lies_beside_what_it_is_about(folder, tmp_path, monkeypatch):
    from spm.evaluation.journal import place_of

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = place_of("abc", folder)
    assert place.parent == folder and place_of("abc", None, tmp_path).parent == tmp_path
    assert place_of("abc", tmp_path / "none", None).parent.name == "comparisons"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert place_of("abc", folder).parent.name == "comparisons"
    images = spm.load_folder(folder).data
    place.write_text("")
    assert spm.load_folder(folder).data == images
    place.unlink()


def test_the_nearest_option_is_named_first():
    with pytest.raises(SpmError, match="has an option 'n_word': did you mean n_words"):
        compare(presets="small", options={"n_word": 5})


def test_rows_of_other_data_or_options_are_not_taken(folder, tmp_path, monkeypatch):
    journal = tmp_path / "rows.jsonl"

    def keys(**options):
        kept = []
        real, Journal.close = Journal.close, lambda self: kept.extend(self._rows) or None
        try:
            compare(folder, **({"presets": "smaller", "cv": one_split(), "journal": journal} | options))
        finally:
            Journal.close = real
        found = {json.loads(line)["key"] for line in journal.read_text().split("\n") if line}
        journal.unlink()
        return found

    first = keys()
    assert len(first) == 2 and keys() == first and keys(n_jobs=2) == first
    for name in ("numpy", "onnxruntime", "cv2", "python"):  # figures of other versions do not belong in the same table
        with monkeypatch.context() as patch:
            patch.setattr(comparison, "made_with", lambda name=name: journal_of.made_with() | {name: "0.0"})
            assert not first & keys()
    others = [keys(random_state=1), keys(presets="small"), keys(options={"C": 2.0}), keys(cv=one_split(2))]
    assert not any(first & other for other in others)


def test_a_journal_that_cannot_be_written_does_not_stop_the_work(folder, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    rows = compare(folder, presets="smaller", cv=one_split(), journal=tmp_path / "file" / "rows.jsonl").rows
    assert len(rows) == 2 and sum("rows are not kept" in record.message for record in caplog.records) == 1


def test_a_row_without_its_package_or_network_says_so(folder, tmp_path, monkeypatch):
    def broken(*, levels=(1, 2, 4), **options):
        raise MissingDependencyError("onnxruntime is missing: pip install it")

    monkeypatch.setitem(presets.PRESETS, "broken", broken)
    journal = tmp_path / "rows.jsonl"
    rows = compare(folder, presets=("broken", "smaller"), cv=one_split(), journal=journal).rows
    assert [row["error"] for row in rows] == ["onnxruntime is missing: pip install it"] * 2 + [None] * 2
    assert all(list(row) == KEYS for row in rows)
    assert rows[0]["accuracy"] is None and rows[2]["accuracy"] is not None
    assert row_cells(rows[0])[1:] == ["broken", "no pyramid (1x1)", "onnxruntime is missing: pip install it"]
    rows = compare(folder, presets="spp2014", options={"model": "none.onnx"}, cv=one_split()).rows
    assert all("none.onnx" in row["error"] for row in rows)


def test_the_same_seed_gives_the_same_accuracies(folder):
    def accuracies(**options):
        rows = compare(folder, presets="smaller", cv=one_split(2), **options).rows
        return [row["accuracy"] for row in rows]

    assert accuracies() == accuracies(n_jobs=2)


def test_splits_may_be_an_iterator_and_default_to_the_protocols(folder):
    rows = compare(folder, presets=("smaller",), cv=iter([([0, 1, 5, 6], [2, 7])])).rows
    assert [(row["n_splits"], row["n_train"], row["n_test"]) for row in rows] == [(1, 4, 2)] * 2
    rows = compare(folder, presets=("smaller",)).rows
    assert [(row["n_splits"], row["n_train"], row["n_test"]) for row in rows] == [(10, 4, 6)] * 2


def test_bad_images_are_raised_or_skipped_once(folder, tmp_path, caplog, monkeypatch):
    for path in folder.glob("*/*.png"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "a" / "bad.png").write_text("no image")
    options = {"presets": ("small", "smaller"), "cv": one_split()}
    with pytest.raises(SpmError, match=r"bad\.png"):
        compare(tmp_path, **options)
    attempts, on_usable = [], comparison.on_usable

    def told(*args, hopeful, **options):
        attempts.append(hopeful)
        return on_usable(*args, hopeful=hopeful, **options)

    monkeypatch.setattr(comparison, "on_usable", told)
    result = compare(tmp_path, **options, on_error="skip")
    ((image, reason),) = result.skipped
    assert image == str(tmp_path / "a" / "bad.png") and "no image" in reason
    assert {row["n_test"] for row in result.rows} == {4}
    assert sum("bad.png" in record.getMessage() for record in caplog.records) == 2  # once for each preset
    assert attempts == [True, False]  # one that was met is known to the next


def test_without_a_folder_two_sets_with_fixed_splits_are_used(monkeypatch):
    assert data_names(None) == list(comparison.BUILT_IN) == ["layouts", "digits"]
    scenes = partial(make_layouts, 10, size=96, n_classes=4)
    monkeypatch.setattr(comparison, "BUILT_IN", {"layouts": scenes, "more": partial(scenes, random_state=1)})
    rows = compare(presets=("small",)).rows
    assert [row["data"] for row in rows] == ["layouts"] * 2 + ["more"] * 2
    assert {(row["n_splits"], row["n_train"], row["n_test"]) for row in rows} == {(1, 20, 20)}
    assert rows[1]["accuracy"] > rows[0]["accuracy"] + 0.2  # what the pyramid is for


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


def test_groups_of_presets():
    assert presets.expand("all-handcrafted")[0] == "lazebnik2006"
    assert not {"spp2014", "hybrid"} & set(presets.expand("all-handcrafted"))
    assert presets.expand(["hybrid", "all", "hybrid"]) == [
        "hybrid",
        *(n for n in presets.PRESETS if n not in ("hybrid", *TRAINED)),
    ]


def test_rows_as_text():
    row = {"data": "d", "preset": "p", "pyramid": "1x1", "accuracy": 2 / 3, "std": 0.0123, "values": np.int64(84)}
    row |= {"extract_rate": 123.4, "classify_rate": 98765.4, "train_seconds": 1.25, "peak_mb": 301.2, "n_splits": 1}
    row |= {"error": None}
    assert row_cells(row) == ["d", "p", "1x1", "66.7", "84", "120", "99000", "1.2", "301"]
    assert row_cells(row | {"n_splits": 2})[3] == "66.7"  # of two the deviation is not known
    assert row_cells(row | {"n_splits": 3})[3] == "66.7 ± 1.2"
    assert len(row_cells(row)) == len(COLUMNS)
