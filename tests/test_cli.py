"""The command line: what it prints, what it refuses and how it stops, in this process and as its users run it."""

import csv
import gc
import io
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from PIL import Image

import spm
from spm import cli, presets
from spm._tools.files import read_shipped
from spm._tools.numba import folder as compiled_code

CLASSES = ("across", "down")
N_IMAGES = 6


def picture(kind, seed, size=(64, 64)):
    rng = np.random.default_rng(seed)
    stripes = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (64, 8))
    stripes = (stripes.T if kind == "across" else stripes)[: size[0], : size[1]]
    return stripes + rng.integers(0, 90, size, dtype=np.uint8)


def fill(folder):
    for kind in CLASSES:
        (folder / kind).mkdir(parents=True)
        for i in range(N_IMAGES):
            Image.fromarray(picture(kind, i)).save(folder / kind / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.spm"
    assert cli.main(["train", str(folder), "-o", str(path), "--set", "n_words=6"]) == 0
    return path


@pytest.fixture
def own(tmp_path):
    """A folder of photographs that a test may spoil."""
    return fill(tmp_path / "own")


def command(*arguments):
    return [sys.executable, "-m", "spm", *map(str, arguments)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep the journals of comparisons out of the user's own cache, but not what is compiled."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(compiled_code().parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))


SMALL = ("--set", "n_words=6", "--jobs", 1)


# Help and usage


def test_only_a_command_in_its_own_process_changes_the_collector(capsys):
    before = gc.get_threshold()
    assert cli.main(["presets"]) == 0
    assert gc.get_threshold() == before
    code = """if True:
        import atexit, gc, spm.cli
        atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # what is registered first comes last
        spm.cli.main()
        print(gc.get_threshold()[0], gc.get_freeze_count())
    """
    found = subprocess.run([sys.executable, "-c", code, "presets"], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-2:] == [f"{cli.NEW_OBJECTS} 0", "True"]


def test_version(run):
    assert run("--version") == (0, f"spm {spm.__version__}\n", "")


@pytest.mark.parametrize("name", ["train", "predict", "evaluate", "compare"])
def test_help_explains_every_argument(run, name):
    status, out, err = run(name, "--help")
    assert status == 0 and err == ""
    arguments = re.search(r"positional arguments:\n(.*?)\n\n", out, re.S)[1] + out.partition("options:\n")[2]
    entries = re.split(r"\n  (?=\S)", "\n" + arguments.replace("\n\n", "\n"))[1:]
    assert len(entries) >= 4
    for entry in entries:
        assert len(re.split(r"\s{2,}", entry.strip(), maxsplit=1)) == 2, f"no help: {entry}"
    assert name in run("--help")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["trian"], "invalid choice: 'trian'.*did you mean train?"),
        (["zzz"], r"invalid choice: 'zzz' \(choose from [^:]*\)\n$"),
        (
            ["predict", "m.spm", "a.jpg", "--tpo", "3"],
            r"(?s)usage: spm predict.* --tpo 3: did you mean --top\?",
        ),
        (["train", "photos", "-o", "m.spm", "--presset=x"], r"--presset=x: did you mean --preset\?"),
        (["train", "photos", "-o", "m.spm", "--n-words", "5"], r"one, goes as --set n_words=VALUE\n$"),
        (["info", "m.spm", "--n-words", "5"], r"unrecognized arguments: --n-words 5\n$"),
        (["info", "m.spm", "n.spm"], r"unrecognized arguments: n\.spm\n$"),
        (["train", "photos"], "-o"),
        (["predict", "m.spm"], "IMAGE"),
        (["predict", "m.spm", "a.jpg", "--on-error", "ignore"], "'raise', 'skip'|raise, skip"),
        (["evaluate", "photos", "--jobs", "0"], "argument --jobs: '0' is not a number of workers"),
        (["evaluate", "photos", "--seed", "-1"], "argument --seed: '-1' is not a whole number from 0"),
        (["evaluate", "photos", "--seed", "x"], "argument --seed: 'x' is not a whole number from 0"),
        (["evaluate", "photos", "--splits", "many"], "--splits"),
    ],
)
def test_wrong_usage_exits_with_2(run, arguments, message):
    status, out, err = run(*arguments)
    assert status == 2 and out == "" and re.search(message, err)


# Train and predict


def test_train_then_predict(run, folder, tmp_path):
    path = tmp_path / "m.spm"
    assert run("train", folder, "-o", path, *SMALL) == (0, f"{path}: 2 classes from 12 images\n", "")
    images = [folder / "down" / "0.png", folder / "across" / "1.png", folder / "down" / "0.png"]
    status, out, err = run("predict", path, *images)
    assert (status, err) == (0, "")
    assert out.splitlines() == [f"{images[0]}\tdown", f"{images[1]}\tacross", f"{images[2]}\tdown"]
    assert os.listdir(tmp_path) == ["m.spm"]


def test_predict_prints_json(run, model, folder):
    status, out, err = run("predict", model, folder / "down" / "0.png", "none.png", "--json", "--on-error", "skip")
    assert status == 0
    assert json.loads(out) == {
        "labels": {str(folder / "down" / "0.png"): "down"},
        "skipped": {"none.png": "there is no such file"},
    }
    assert err == "spm: 1 of 2 images cannot be used\n"


def test_options_reach_the_model(run, folder, tmp_path):
    options = ["n_words=5", "levels=1,(3,1)", "C=2.5", "vectorizer__features__step=16", "vectorizer__norm=l2"]
    sets = [word for option in options for word in ("--set", option)]
    assert run("train", folder, "-o", tmp_path / "m.spm", *sets, "--seed", 7)[0] == 0
    loaded = spm.load(tmp_path / "m.spm")
    names = [option.partition("=")[0] for option in options[3:]]
    assert [loaded.get_params()[name] for name in names] == [16, "l2"]
    vec, svm = loaded
    assert (vec.encoder.n_words, vec.pyramid.levels, svm.C, vec.random_state) == (5, (1, (3, 1)), 2.5, 7)
    assert vec.n_features_out_ == 5 * (1 + 3)


def test_the_same_seed_gives_the_same_file_contents(run, folder, tmp_path):
    for name, jobs in (("a", 1), ("b", -1)):
        run("train", folder, "-o", tmp_path / name, *SMALL, "--jobs", jobs)
    words = [spm.load(tmp_path / name)[0].encoder_.words_ for name in "ab"]
    np.testing.assert_array_equal(*words)


# What is refused


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "n_word=5",
            "option 'n_word': did you mean n_words.*[?] The preset's own are n_words, levels, max_side, C, [^;]*$",
        ),
        ("vectorizer__encoder__n_wrods=4", "'vectorizer__encoder__n_wrods': did you mean vectorizer__encoder__n_words"),
        ("vectorizer__step=4", "'vectorizer__step': did you mean vectorizer__features__step"),
        ("patchsize=4", "'patchsize': did you mean vectorizer__features__patch_size"),
        ("qqq=4", "'qqq': The preset's own are n_words, levels, .*; those of its steps are .*__features__step"),
        ("classifier=4", "there is no option 'classifier'"),
        ("n_words", "--set takes NAME=VALUE, got 'n_words'"),
        ("n_words=many", "n_words must be a whole number"),
        ("levels=3", "levels must be a sequence"),
        ("vectorizer__features=sift", "features='sift' cannot be used"),
        ("vectorizer__norm=l3", "'l1', 'l2', 'power'"),
        ("classifier__kernel=rbf", "kernel='rbf' is not an option: choose one of 'intersection'"),
    ],
)
def test_wrong_options_of_the_model(run, folder, tmp_path, assignment, message):
    status, out, err = run("train", folder, "-o", tmp_path / "m.spm", *SMALL, "--set", assignment)
    assert (status, out) == (1, "") and re.search(f"^spm: error: .*{message}", err), err
    assert err.count("\n") == 1 and os.listdir(tmp_path) == []


def test_unknown_presets(run, folder, tmp_path):
    for arguments in (("train", folder, "-o", tmp_path / "m"), ("evaluate", folder)):
        status, out, err = run(*arguments, "--preset", "lazy")
        assert (status, out) == (1, "")
        assert err.startswith("spm: error: preset='lazy' is not an option: choose one of 'lazebnik2006'")
    status, out, err = run("compare", folder, "--presets", "lazebnik2006,lazy")
    assert (status, out) == (1, "") and "preset='lazy' is not an option" in err


def test_a_comparison_names_the_nearest_option_before_any_work(run, tmp_path):
    status, out, err = run("compare", tmp_path / "none", "--set", "n_word=5")
    assert (status, out) == (1, "") and "no option 'n_word': did you mean n_words? " in err
    status, out, err = run("compare", tmp_path / "none", "--set", "sizes=5")
    assert "did you mean size? " in err


@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_no_image_that_can_be_used_is_an_error(run, model, own, tmp_path, json_too):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    status, out, err = run("predict", model, "none.png", bad, *json_too)
    assert (status, err) == (1, "spm: error: none of the 2 images can be used\n")
    assert not json_too or list(json.loads(out)["skipped"]) == ["none.png", str(bad)]
    assert json_too or re.fullmatch(f"none.png\t\tthere is no such file\n{bad}\t\tthis is no image .*\n", out)
    for path in own.rglob("*.png"):
        path.write_text("no image")
    for arguments in (("train", own, "-o", tmp_path / "m.spm"), ("evaluate", own), ("compare", own)):
        status, _, err = run(*arguments, "--on-error", "skip", *(json_too if arguments[0] == "evaluate" else ()))
        assert status == 1 and re.search("spm: error: .*none of the 12 images can be used", err), err
        assert not (tmp_path / "m.spm").exists()


def test_missing_things(run, model, folder, tmp_path):
    for arguments, message in (
        (("train", tmp_path / "none", "-o", tmp_path / "m.spm"), "none: there is no such folder"),
        (("evaluate", tmp_path / "none"), "none: there is no such folder"),
        (("compare", tmp_path / "none"), "none: there is no such folder"),
        (("predict", tmp_path / "none.spm", "a.png"), "none.spm: the model cannot be read"),
        (("predict", folder / "down" / "0.png", "a.png"), "no model saved by spm"),
        (("predict", model, "none.png", "--on-error", "raise"), "none.png: there is no such file"),
        (
            ("predict", model, folder.parent, "--jobs", 1, "--top", 3, "--kind", "probability"),
            "no such scores, but decis",
        ),
        (("predict", model, tmp_path), "there are no images in this folder"),
        (("evaluate", folder, "--train-list", tmp_path / "none.txt"), "none.txt cannot be read"),
    ):
        status, out, err = run(*arguments)
        assert (status, out) == (1, "") and err.startswith("spm: error: ") and message in err, err
        assert err.count("\n") == 1


def test_one_class_is_not_enough(run, own, tmp_path):
    for path in (own / "down").iterdir():
        path.write_text("no image")
    status, _, err = run("train", own, "-o", tmp_path / "m.spm", "--on-error", "skip")
    assert status == 1 and "images that can be used are in 1 class only" in err
    for path in (own / "down").iterdir():
        path.unlink()
    (own / "down").rmdir()
    for arguments in (("train", own, "-o", tmp_path / "m.spm"), ("evaluate", own), ("compare", own)):
        status, _, err = run(*arguments)
        assert status == 1 and "one class only, across" in err


def test_a_place_where_no_model_can_be_saved_is_refused_before_any_work(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "make", lambda *_, **__: pytest.fail("work has begun"))
    status, _, err = run("train", folder, "-o", tmp_path / "none" / "m.spm")
    assert status == 1 and f"{tmp_path / 'none'}: there is no such folder to save the model in" in err
    status, _, err = run("train", folder, "-o", tmp_path)
    assert status == 1 and f"{tmp_path} is a folder: give the name of a file" in err
    monkeypatch.setattr(os, "access", lambda *_: False)
    status, _, err = run("train", folder, "-o", tmp_path / "m.spm")
    assert status == 1 and "you may not write in this folder" in err


def test_bad_images_raise_or_are_skipped(run, model, own, tmp_path):
    bad = own / "down" / "3.png"
    bad.write_text("no image")
    for arguments in (
        ("train", own, "-o", tmp_path / "m.spm", *SMALL),
        ("evaluate", own, *SMALL, "--splits", 1),
    ):
        status, out, err = run(*arguments)
        assert (status, out) == (1, "") and err.startswith(f"spm: error: {bad}: this is no image")
        assert "--on-error skip" in err and err.count("\n") == 1
        status, out, err = run(*arguments, "--on-error", "skip")
        assert status == 0 and err.startswith(f"spm: skipped {bad}: this is no image") and err.count("\n") == 1
        assert out.endswith(", 1 skipped\n")
    assert run("train", own, "-o", tmp_path / "m.spm", *SMALL, "--on-error", "skip")[1].endswith(
        "2 classes from 11 images, 1 skipped\n"
    )


def test_what_a_folder_holds_beside_images_is_named_once(run, own, tmp_path, small_presets):
    (own / "down" / "notes.txt").touch()
    (own / "@eaDir" / "down").mkdir(parents=True)
    said = (
        f"spm: {own}: left out 2: 1 hidden folder, or the system's own (@eaDir); "
        "1 no image by its extension (down/notes.txt)\n"
    )
    for arguments in (
        ("train", own, "-o", tmp_path / "m.spm", *SMALL),
        ("evaluate", own, *SMALL, "--splits", 1),
        ("compare", own, "--presets", "small", "--splits", 1, "--jobs", 1),
        ("compare", own, "--presets", "small", "--splits", 1, "--jobs", 1, "--json"),
    ):
        status, out, err = run(*arguments)
        assert (status, err) == (0, said), arguments
        assert "2 classes from 12 images\n" in out or arguments[0] != "train"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_among_the_images_is_a_bad_image(own, tmp_path):
    os.mkfifo(own / "down" / "pipe.jpg")
    for options, status in (((), 1), (("--on-error", "skip"), 0)):
        done = subprocess.run(
            command("train", own, "-o", tmp_path / "m.spm", *SMALL, *options),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status and "pipe.jpg: this is a pipe, no regular file" in done.stderr


# Evaluate


def test_evaluate_prints_a_table(run, folder):
    status, out, err = run("evaluate", folder, *SMALL, "--n-train", 4, "--splits", 2)
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[:4] == [
        "lazebnik2006: 100.0 % mean per-class accuracy (2 splits, 8 train, 4 test images)",
        "class   accuracy %  tested",
        "across       100.0       4",
        "down         100.0       4",
    ]
    assert re.fullmatch(r"\d+\.\d s to train, \d+\.\d s to test", lines[4]) and len(lines) == 5


def test_evaluate_prints_json_and_nothing_else(run, folder):
    status, out, err = run("evaluate", folder, *SMALL, "--splits", 3, "--seed", 4, "--json")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert (document["preset"], document["seed"], document["classes"]) == ("lazebnik2006", 4, ["across", "down"])
    assert document["accuracy"] == 1 and document["accuracies"] == document["overall"] == [1, 1, 1]
    assert document["n_train"] == document["n_test"] == [6, 6, 6] and document["skipped"] == {}
    assert document["confusion"] == [[9, 0], [0, 9]]
    assert document["train_seconds"] > 0 and document["test_seconds"] > 0


def test_evaluate_by_a_train_list(run, folder, tmp_path):
    names = ["across/0.png", "down/3.png", "across/4.png"]
    (tmp_path / "train.txt").write_text("\n".join(["# to train on", *names, ""]))
    document = json.loads(run("evaluate", folder, *SMALL, "--train-list", tmp_path / "train.txt", "--json")[1])
    assert (document["n_train"], document["n_test"]) == ([3], [9])
    assert np.sum(document["confusion"], axis=1).tolist() == [4, 5]
    out = run("evaluate", folder, *SMALL, "--train-list", tmp_path / "train.txt")[1]
    assert "% mean per-class accuracy (1 split, 3 train, 9 test images)" in out and "±" not in out
    for option in ("--n-train", "--splits"):
        status, _, err = run("evaluate", folder, "--train-list", tmp_path / "train.txt", option, 2)
        assert status == 1 and "--train-list gives the one split: leave --n-train and --splits out" in err


def test_evaluate_refuses_splits_that_cannot_be(run, folder):
    for arguments, message in ((("--n-train", 6), "n_train=6 needs at least 7"), (("--splits", 0), "n_splits must be")):
        status, _, err = run("evaluate", folder, *SMALL, *arguments)
        assert status == 1 and message in err


# Compare


@pytest.fixture
def small_presets(monkeypatch):
    small = partial(presets.lazebnik2006, n_words=8)
    monkeypatch.setitem(presets.PRESETS, "small", small)
    monkeypatch.setitem(presets.PRESETS, "a_small_one_with_a_long_name", small)


def assert_aligned(lines, n_texts):
    """Text columns begin, and columns of figures end, at one place in all lines."""
    assert len({len(line) for line in lines}) == 1
    cells = [[(m.start(), m.end()) for m in re.finditer(r"\S+(?: \S+)*", line)] for line in lines]
    assert len({len(line) for line in cells}) == 1
    for i, column in enumerate(zip(*cells, strict=True)):
        assert len({side[0 if i < n_texts else 1] for side in column}) == 1


def test_compare_prints_an_aligned_table(run, folder, small_presets):
    options = ("--n-train", 3, "--splits", 2, "--jobs", 1)
    status, out, err = run("compare", folder, "--presets", "small, a_small_one_with_a_long_name", *options)
    lines = out.splitlines()
    assert (status, err) == (0, "") and len(lines) == 1 + 2 * 2
    assert_aligned(lines, n_texts=3)
    head = "data preset pyramid accuracy % values extract /s classify /s train s peak MB"
    assert lines[0].split() == head.split()
    assert lines[1].startswith("photos  small                         no pyramid (1x1) ")
    assert lines[4].startswith("photos  a_small_one_with_a_long_name  pyramid (1x1 + 2x2 + 4x4) ")
    assert " 100.0     168  " in lines[4]


def test_compare_prints_json_and_nothing_else(run, folder, small_presets):
    status, out, err = run(
        "compare", folder, "--presets", "small", "--n-train", 3, "--splits", 1, "--jobs", 1, "--json"
    )
    document = json.loads(out)
    assert (status, err) == (0, "") and document["seed"] == 0 and document["skipped"] == {}
    assert [row["levels"] for row in document["rows"]] == [[1], [1, 2, 4]]
    assert {(row["data"], row["preset"], row["n_splits"], row["n_train"]) for row in document["rows"]} == {
        ("photos", "small", 1, 6)
    }


def test_compare_prints_csv_and_nothing_else(run, folder, small_presets):
    options = ("--presets", "small", "--n-train", 3, "--splits", 1, "--set", "n_words=5")
    status, out, err = run("compare", folder, *options, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (status, err) == (0, "") and [row["values"] for row in rows] == ["5", "105"]
    assert float(rows[1]["accuracy"]) == 1.0 and rows[1]["levels"] == "(1, 2, 4)"
    status, out, err = run("compare", folder, *options, "--csv", "--json")
    assert (status, out) == (1, "") and "one of --json and --csv" in err


def test_compare_goes_on_where_it_was_stopped(run, folder, small_presets, monkeypatch):
    from spm.evaluation import comparison

    real, measured = comparison.measure, []

    def stopped_once(*arguments):
        measured.append(1)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(comparison, "measure", stopped_once)
    arguments = ("compare", folder, "--presets", "small,a_small_one_with_a_long_name", "--n-train", 3, "--splits", 1)
    status, out, err = run(*arguments)
    assert status == 130 and "the same command goes on" in err
    (journal,) = folder.glob(".spm-comparison-*")  # beside the images, for all who work on them
    status, out, err = run(*arguments)
    assert status == 0 and len(measured) == 3 and "--fresh starts anew" in err and not journal.exists()
    assert [line.count(" *") for line in out.splitlines()] == [0, 1, 1, 0, 0, 0]
    assert out.splitlines()[-1].startswith("* kept from an earlier run")
    measured[:] = []
    assert run(*arguments)[0] == 130
    measured[:] = [1, 1]
    status, out, err = run(*arguments, "--fresh")
    assert (status, err) == (0, "") and len(measured) == 4


def test_compare_that_was_stopped_at_its_page_writes_it_from_the_rows_that_are_there(
    run, folder, small_presets, monkeypatch, tmp_path
):
    pytest.importorskip("matplotlib")
    from spm import report
    from spm.evaluation import comparison

    real, whole, measured, written = comparison.measure, report.write_whole, [], []
    monkeypatch.setattr(comparison, "measure", lambda *arguments: measured.append(1) or real(*arguments))

    def stopped_once(*arguments):
        written.append(1)
        if len(written) == 1:
            raise KeyboardInterrupt
        if len(written) == 2:
            raise spm.SpmError("page.html: the report cannot be saved (No space left on device)")
        return whole(*arguments)

    monkeypatch.setattr(report, "write_whole", stopped_once)
    page = tmp_path / "page.html"
    arguments = ("compare", folder, "--presets", "small", "--n-train", 3, "--splits", 1, "--report", page)
    status, _, err = run(*arguments)
    assert status == 130 and "the same command goes on" in err and not page.exists()
    assert run(*arguments)[0] == 1 and not page.exists()
    status, out, err = run(*arguments)
    assert status == 0 and len(measured) == 1 and out.count(" *") == 2
    assert "no pyramid (1x1)" in page.read_text(encoding="utf-8")
    assert not list(folder.glob(".spm-comparison-*"))  # complete


def test_compare_says_what_a_row_lacks(run, folder, small_presets):
    options = ("--n-train", 3, "--splits", 1, "--set", "model=none.onnx")
    status, out, err = run("compare", folder, "--presets", "small,spp2014", *options)
    lines = out.splitlines()
    assert (status, err) == (0, "") and len(lines) == 5 and "none.onnx: the network cannot be read" in lines[3]
    status, out, err = run("compare", folder, "--presets", "spp2014", *options)
    assert status == 1 and "no row could be measured" in err


def test_layers_of_a_network(run, tmp_path):
    pytest.importorskip("onnx")
    network = tmp_path / "net.onnx"
    network.write_bytes(read_shipped("texture_net.onnx"))
    status, out, err = run("layers", network)
    lines = out.splitlines()
    assert (status, err) == (0, "") and lines[0].split()[:4] == ["name", "operator", "channels", "stride"]
    assert len({len(line) for line in lines}) == 1 and " x " in lines[-1]
    listed = json.loads(run("layers", network, "--json")[1])["layers"]
    assert [layer["name"] for layer in listed] == [line.split()[0] for line in lines[1:]]
    status, out, err = run("layers", tmp_path / "none.onnx")
    assert (status, out) == (1, "") and "none.onnx" in err


def test_compare_without_a_folder(run, small_presets, monkeypatch):
    from spm import datasets
    from spm.evaluation import comparison

    monkeypatch.setattr(comparison, "BUILT_IN", {"layouts": lambda: datasets.make_layouts(6, size=48, n_classes=2)})
    status, out, err = run("compare", "--presets", "small")
    assert (status, err) == (0, "") and [line.split()[0] for line in out.splitlines()] == ["data", *["layouts"] * 2]
    for option in (("--splits", 2), ("--n-train", 2), ("--train-list", "list.txt")):
        status, out, err = run("compare", "--presets", "small", *option)
        assert (status, out) == (1, "") and "are for a FOLDER" in err


# As its users run it


def test_as_a_program(own):
    (own / "down" / "bad.png").write_text("no image")
    options = ("--splits", 1, "--json", "--on-error", "skip", *SMALL)
    done = subprocess.run(
        command("evaluate", "own", *options), cwd=own.parent, capture_output=True, text=True, timeout=120
    )
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["accuracy"] == 1 and len(document["skipped"]) == 1
    assert re.fullmatch(r"spm: skipped own.down.bad\.png: this is no image.*\n", done.stderr)


PIPES_ARE_READ = """
import stat, sys
regular = stat.S_ISREG
stat.S_ISREG = lambda mode: regular(mode) or stat.S_ISFIFO(mode)
import spm.cli
sys.exit(spm.cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_stops_it_at_once_and_leaves_nothing(own, tmp_path, jobs):
    pipe = own / "across" / "0.png"
    pipe.unlink()
    os.mkfifo(pipe)  # an image that never comes: the work stands still in the middle
    path = tmp_path / "m.spm"
    stopped = (sys.executable, "-c", PIPES_ARE_READ, "train", own, "-o", path, *SMALL, "--jobs", jobs)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what runs in the background may ignore it
    with subprocess.Popen([*map(str, stopped)], **options, preexec_fn=listen) as process:
        writer = os.open(pipe, os.O_WRONLY)  # waits until the image is being read
        process.send_signal(signal.SIGINT)
        if jobs > 1:
            os.close(writer)  # a thread cannot be interrupted: let it end
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        if jobs == 1:
            os.close(writer)
    assert (process.returncode, out, err) == (130, "", "spm: stopped\n")
    assert os.listdir(tmp_path) == ["own"]


def test_a_reader_that_has_seen_enough_is_no_error(model, folder):
    images = [folder / "down" / "0.png"] * 3
    process = subprocess.Popen(command("predict", model, *images), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    with process:
        assert process.stderr.read() == b"" and process.wait(timeout=60) == 0


def test_names_that_cannot_be_printed(model, folder, tmp_path, monkeypatch):
    (tmp_path / "grün.png").write_bytes((folder / "down" / "0.png").read_bytes())
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert cli.main(["predict", str(model), str(tmp_path / "grün.png")]) == 0
    assert written.getvalue().endswith(b"gr\\xfcn.png\tdown\n")


def terminal(arguments, code):
    """Run a program whose output and errors go to one terminal; return the lines that are seen there at the end."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))  # lines and columns
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    process.wait(timeout=60)
    return written.decode(), [seen(line) for line in written.decode().replace("\r\n", "\n").split("\n")]


def seen(line):
    """Return what is left of a line when each carriage return has the rest written over it."""
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown.rstrip()


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of this kind")
def test_progress_does_not_mix_with_the_table(folder):
    code = """
import functools, sys
import spm, spm.cli, spm._tools.parallel, spm.codebooks.kmeans, spm.evaluation.comparison
from tqdm import tqdm
def at_once(label, *, total, unit, verbose):
    return tqdm(desc=label, total=total, unit=unit, disable=not verbose, delay=0, mininterval=0, leave=False)
spm._tools.parallel.progress_bar = spm.codebooks.kmeans.progress_bar = at_once
spm.presets.PRESETS["small"] = functools.partial(spm.presets.lazebnik2006, n_words=8)
sys.exit(spm.cli.main(sys.argv[1:]))
"""
    written, lines = terminal(["compare", folder, "--presets", "small", "--splits", "1", "--jobs", "1"], code)
    assert "k-means" in written and "sampling" in written and "vectors" in written  # bars were there
    assert len(lines) == 4 and lines[-1] == ""
    assert_aligned(lines[:-1], n_texts=3)


# Names that are not UTF-8


@pytest.fixture
def odd(folder, tmp_path):
    """The photographs under names with bytes that are no UTF-8, a formula, a line break and a command of terminals."""
    place = os.path.join(os.fsencode(tmp_path), b"ph\xf6to\nset $x^{$")
    names = {"across": b"caf\xe9 $a_{$", "down": b"_down\x1b[31m"}
    try:
        for kind, name in names.items():
            os.makedirs(os.path.join(place, name))
            for i in range(N_IMAGES):
                with open(os.path.join(place, name, b"%d\xff\n.png" % i), "wb") as file:
                    file.write((folder / kind / f"{i}.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such names")
    return os.fsdecode(place)


def program(*arguments, cwd):
    """Run a command as its users do; its output must be UTF-8."""
    settings = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}
    done = subprocess.run(command(*arguments), cwd=cwd, capture_output=True, timeout=120, env=settings)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_names_that_are_not_utf_8_are_written_out_wherever_they_are_printed(odd, tmp_path):
    classes = ["_down\\x1b[31m", "caf\\udce9 $a_{$"]
    path = tmp_path / "m\udcff.spm"
    assert program("train", odd, "-o", path, *SMALL, cwd=tmp_path) == (
        0,
        f"{tmp_path}/m\\udcff.spm: 2 classes from 12 images\n",
        "",
    )
    image = os.path.join(odd, "caf\udce9 $a_{$", "0\udcff\n.png")
    shown = f"{tmp_path}/ph\\udcf6to\\nset $x^{{$/{classes[1]}/0\\udcff\\n.png"
    status, out, err = program("predict", path, image, f"{image}.none", "--on-error", "skip", cwd=tmp_path)
    assert (status, out) == (0, f"{shown}\t{classes[1]}\n{shown}.none\t\tthere is no such file\n")
    assert err == "spm: 1 of 2 images cannot be used\n"
    status, out, _ = program("predict", path, image, f"{image}.none", "--on-error", "skip", "--json", cwd=tmp_path)
    document = json.loads(out)
    assert [*document["labels"].values()] == classes[1:]
    json.dumps(document, ensure_ascii=False).encode()
    for options in ((), ("--json",)):
        report = ("--report", f"page{len(options)}\udcff.html")
        status, out, err = program("evaluate", odd, *SMALL, "--splits", 1, *report, *options, cwd=tmp_path)
        assert (status, err) == (0, "") and classes[1] in (json.loads(out)["classes"] if options else out)
        assert os.path.getsize(tmp_path / report[1]) > 10_000
    for options in ((), ("--json",), ("--csv",)):
        report = ("--presets", "lazebnik2006", "--report", f"page{len(options)}.html")
        status, out, err = program("compare", odd, *SMALL, "--splits", 1, *report, *options, cwd=tmp_path)
        assert (status, err) == (0, "") and "ph\\udcf6to" in out.replace("\\\\", "\\")
        assert classes[1] in (tmp_path / report[-1]).read_text(encoding="utf-8")
