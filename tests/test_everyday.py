"""Around the main job: labels in a table, folders in and tables out, what a model is, own models compared."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC

import spm
from spm import SpmError, cli, presets
from spm.presets.catalogue import CATALOGUE, options_with_help

KINDS = ("across", "down", "plain")


def picture(kind, seed, size=64):
    rng = np.random.default_rng(seed)
    stripes = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (size, size // 8))
    base = {"across": stripes.T, "down": stripes, "plain": np.full_like(stripes, 80)}[kind]
    return base + rng.integers(0, 90, base.shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with photos/ of two levels without classes, labels.csv, and m.spm, which has learned from them."""
    desk = tmp_path_factory.mktemp("desk")
    rows = ["image,scene,split"]
    for k in range(6):
        for kind in KINDS:
            name = f"{'deep/' * (k % 2)}{kind[0]}{k}.png"
            path = desk / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(kind, k)).save(path)
            rows.append(f"{name},{kind},{'train' if k < 4 else 'test'}")
    (desk / "labels.csv").write_text("\n".join(rows))
    options = ["--set", "n_words=6", "--set", "levels=1,2", "--jobs", "1"]
    given = ["train", str(desk / "photos"), "--labels", str(desk / "labels.csv"), "-o", str(desk / "m.spm"), *options]
    assert cli.main(given) == 0
    return desk


@pytest.fixture(autouse=True)
def at_the_desk(desk, monkeypatch):
    monkeypatch.chdir(desk)


def program(*arguments, **options):
    """Run a command as its users do."""
    command = [sys.executable, "-m", "spm", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


SMALL = ("--set", "n_words=6", "--jobs", 1)
LABELS = ("photos", "--labels", "labels.csv")


# Labels in a table


def test_a_table_trains_and_its_split_stays_apart(run, tmp_path):
    status, out, err = run("train", *LABELS, "-o", tmp_path / "m.spm", *SMALL)
    assert (status, err) == (0, "") and out.endswith("m.spm: 3 classes from 12 images, 6 left for testing\n")
    assert spm.load(tmp_path / "m.spm").classes_.tolist() == list(KINDS)
    two = ("--columns", "image,scene")
    assert run("train", *LABELS, *two, "-o", tmp_path / "m.spm", *SMALL)[1].endswith("3 classes from 18 images\n")


def test_a_table_is_evaluated_by_its_own_split(run):
    document = json.loads(run("evaluate", *LABELS, *SMALL, "--json")[1])
    assert (document["n_train"], document["n_test"], document["accuracy"]) == ([12], [6], 1.0)
    document = json.loads(run("evaluate", *LABELS, *SMALL, "--splits", 2, "--n-train", 0.5, "--json")[1])
    assert document["n_train"] == [9, 9]
    document = json.loads(run("evaluate", *LABELS, *SMALL, "--columns", "0,1,2", "--json")[1])
    assert document["n_train"] == [12]


def test_a_table_is_compared_by_its_own_split_as_a_program():
    options = ("--presets", "lazebnik2006,m.spm", "--set", "n_words=5", "--jobs", 1, "--csv")
    status, out, err = program("compare", *LABELS, *options)
    assert (status, err) == (0, "")
    assert [(row["preset"], row["values"], row["n_train"], row["n_test"]) for row in table(out)] == [
        ("lazebnik2006", "5", "12", "6"),
        ("lazebnik2006", "105", "12", "6"),
        ("m.spm", "6", "12", "6"),
        ("m.spm", "30", "12", "6"),
    ]


@pytest.mark.parametrize("command", [("train", "-o", "x.spm"), ("evaluate",), ("compare",)])
def test_a_faulty_row_is_named_with_its_line_before_any_work(run, tmp_path, command):
    (tmp_path / "bad.csv").write_text("image,scene\na0.png,across\nnone.png,down\nd0.png,\n")
    status, out, err = run(*command, "photos", "--labels", tmp_path / "bad.csv")
    assert (status, out) == (1, "") and not os.path.exists("x.spm")
    assert re.search(
        r"bad\.csv: 2 faults: line 3: there is no file 'none\.png' in photos; line 4: 'd0\.png' is wit", err
    )
    assert err.endswith("is without a label (--on-error skip leaves them out)\n"), "the command's own word for it"


def test_what_does_not_fit_a_table_is_refused(run, tmp_path):
    (tmp_path / "one.csv").write_text("image,scene,split\na0.png,across,train\nd0.png,across,train\n")
    (tmp_path / "two.csv").write_text("image,scene,split\na0.png,across,test\nd0.png,down,test\n")
    for arguments, message in (
        (("evaluate", "photos", "--columns", "image,scene"), "--columns is about a table: give it by --labels"),
        (("evaluate", *LABELS, "--columns", "image"), "--columns takes FILE,LABEL or FILE,LABEL,SPLIT, got 'image'"),
        (("evaluate", *LABELS, "--columns", "image,scen"), "no column 'scen' (label): did you mean scene?"),
        (("evaluate", "photos", "--labels", tmp_path / "one.csv"), "one.csv: there is one class only, across"),
        (("evaluate", "photos", "--labels", tmp_path / "two.csv"), "own split has no images to train"),
        (("train", "photos", "-o", "x.spm", "--labels", tmp_path / "two.csv"), "no row of the table is for training"),
        (("evaluate", "photos", "--labels", "none.csv"), "none.csv: the table cannot be read"),
        (("compare", "--labels", "labels.csv"), "--labels, --train-list, --n-train and --splits are for a FOLDER"),
        (("evaluate", *LABELS, "--csv", "--json"), "give one of --json and --csv"),
        (("compare", *LABELS, "--presets", "m.spm", "--set", "n_words=5"), "--set is about presets: models from files"),
    ):
        status, out, err = run(*arguments)
        assert (status, out) == (1, "") and "spm: error: " in err and message in err, err
    status, _, err = run("evaluate", *LABELS, "--n-train", "half")
    assert status == 2 and "'half' is neither a number of images nor a share such as 0.5" in err


# Folders in, tables out


@pytest.fixture
def bad(tmp_path):
    """A folder with a photograph, one that is no image and one that the model cannot use."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    Image.fromarray(picture("down", 9)).save(folder / "a.png")
    (folder / "b.png").write_text("no image")
    Image.fromarray(picture("down", 9)[:8]).save(folder / "c.png")
    return folder


def test_a_folder_is_walked_and_a_row_says_what_failed(run, bad):
    status, out, err = run("predict", "m.spm", bad, bad / "none.png")
    lines = [line.split("\t") for line in out.splitlines()]
    assert (status, err) == (0, "spm: 3 of 4 images cannot be used\n")
    assert lines[0] == [str(bad / "a.png"), "down"] and [line[1] for line in lines[1:]] == ["", "", ""]
    assert "no image" in lines[1][2] and "patch" in lines[2][2] and lines[3][2] == "there is no such file"
    status, out, err = run("predict", "m.spm", bad, "--on-error", "raise")
    assert (status, out) == (1, "") and "b.png: this is no image" in err
    status, out, err = run("predict", "m.spm", "photos")
    names = [line.split("\t")[0] for line in out.splitlines()]
    assert len(names) == 18 and names == sorted(names) and os.path.join("photos", "deep", "a1.png") in names


def test_a_table_of_labels_and_scores_as_a_program(bad):
    names = "\n".join([str(bad / "a.png"), "", str(bad / "b.png"), "photos/deep"])
    status, out, err = program("predict", "m.spm", "-", "--csv", "--top", 2, "--scores", "--jobs", 2, input=names)
    rows = table(out)
    assert (status, err) == (0, "spm: 1 of 11 images cannot be used\n") and len(rows) == 11
    scores = [f"decision {kind}" for kind in KINDS]
    assert list(rows[0]) == ["file", "label", "score", "label2", "score2", *scores, "error"]
    assert rows[1]["file"] == str(bad / "b.png") and "no image" in rows[1]["error"]
    assert not any(rows[1][name] for name in rows[1] if name not in ("file", "error"))
    for row in [rows[0], *rows[2:]]:
        ranked = sorted(KINDS, key=lambda kind: -float(row[f"decision {kind}"]))
        assert [row["label"], row["label2"]] == ranked[:2] and row["error"] == ""
        assert [row["score"], row["score2"]] == [row[f"decision {kind}"] for kind in ranked[:2]]
    assert [row["label"] for row in rows[2:]] == [kind for kind in KINDS for _ in range(3)]


def test_scores_for_people_and_for_programs(run, bad):
    status, out, _ = run("predict", "m.spm", bad, "--top", 3)
    lines = out.splitlines()
    assert status == 0 and lines[0].split() == ["file", "label", "score", "label2", "score2", "label3", "score3"]
    assert "down" in lines[1] and len(lines[1].split()) == 7 and "this is no image" in lines[2] and len(lines) == 4
    document = json.loads(run("predict", "m.spm", bad / "a.png", "--scores", "--kind", "decision", "--json")[1])
    assert document["labels"] == {str(bad / "a.png"): "down"} and document["skipped"] == {}
    assert list(document["rows"][0]) == ["file", "label", *(f"decision {kind}" for kind in KINDS), "error"]
    status, out, err = run("predict", "m.spm", bad / "a.png", "--scores", "--kind", "probability")
    assert status == 1 and "kind='probability': the model has no such scores, but decision: train it with prob" in err


def test_names_come_between_zeros_too_and_nothing_is_an_error():
    status, out, err = program("predict", "m.spm", "-", input="photos/a0.png\0photos/d0.png\0")
    assert (status, out, err) == (0, "photos/a0.png\tacross\nphotos/d0.png\tdown\n", "")
    status, out, err = program("predict", "m.spm", "-", input="\n")
    assert (status, out, err) == (1, "", "spm: error: no names came from standard input: give one a line\n")


def test_wrong_usage_of_predict(run, tmp_path):
    for arguments, status, message in (
        (("m.spm", tmp_path), 1, "there are no images in this folder"),
        (("labels.csv", "photos"), 1, "no model saved by spm"),
        (("m.spm", "photos", "--top", 0), 2, "'0' is not a number of labels, 1 or more"),
        (("m.spm", "photos", "--kind", "votes"), 2, "votes"),
        (("m.spm", "photos", "--csv", "--json"), 1, "give one of --json and --csv"),
        (("m.spm",), 2, "IMAGE"),
    ):
        found, _, err = run("predict", *arguments)
        assert found == status and message in err, err


def test_predict_returns_what_the_command_prints(run, bad):
    found = spm.predict("m.spm", str(bad), top=2, scores=True, on_error="skip")
    rows = table(run("predict", "m.spm", bad, "--top", 2, "--scores", "--csv")[1])
    assert [{name: "" if cell is None else str(cell) for name, cell in row.items()} for row in found.rows] == rows
    assert found.images == [str(bad / name) for name in ("a.png", "b.png", "c.png")] and found.used.tolist() == [0]
    assert [position for position, _ in found.skipped] == [1, 2] and found.classes.tolist() == list(KINDS)
    assert found.scores.shape == (1, 3) and found.probabilities is None
    lines = repr(found).splitlines()
    assert lines[0].split()[:2] == ["file", "label"] and len(lines) == 4 and "no image" in lines[2]
    pandas = pytest.importorskip("pandas")
    assert pandas.DataFrame(found.rows)["label"].tolist()[0] == "down"


def test_rows_come_in_blocks_and_are_those_of_one_call(monkeypatch):
    from spm.evaluation import prediction

    model, images = spm.load("m.spm"), spm.predict("m.spm", "photos").images
    whole = spm.predict(model, images, scores=True)
    monkeypatch.setattr(prediction, "BLOCK", 4)
    told = []
    parts = spm.predict(model, [*images, "none.png"], scores=True, on_error="skip", on_row=told.append)
    assert told == parts.rows and len(told) == 19 and parts.used.tolist() == list(range(18))
    assert parts.labels.tolist() == whole.labels.tolist() == model.predict(images).tolist()
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=0, atol=1e-5)
    np.testing.assert_allclose(whole.scores, model.decision_function(images), rtol=0, atol=1e-5)


def test_an_image_that_fails_late_has_its_row_too(monkeypatch):
    """What the first look at an image does not show, but describing it does."""
    from spm.evaluation import prediction

    model, images = spm.load("m.spm"), ["photos/a0.png", "photos/d0.png", "photos/p0.png"]
    real = model[0].transform

    def transform(X):
        if "photos/d0.png" in X:
            raise spm.ImageError("photos/d0.png", "it is odd")
        return real(X)

    monkeypatch.setattr(model[0], "transform", transform)
    found = spm.predict(model, images, on_error="skip")
    assert [(row["label"], row["error"]) for row in found.rows] == [
        ("across", None),
        (None, "it is odd"),
        ("plain", None),
    ]
    monkeypatch.setattr(prediction, "BLOCK", 1)
    assert spm.predict(model, images, on_error="skip").rows == found.rows


X = [picture(kind, seed) for seed in range(6) for kind in KINDS]
Y = list(KINDS) * 6


@pytest.fixture(scope="module")
def vectorizer():
    return spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), norm="l2", random_state=0)


def test_scores_of_models_of_every_kind(vectorizer):
    chancy = spm.presets.lazebnik2006(n_words=5, probability=True, random_state=0).fit(X, Y)
    found = spm.predict(chancy, X[:3], scores=True)
    np.testing.assert_array_equal(found.scores, found.probabilities)
    assert list(found.rows[0])[2:5] == [f"probability {kind}" for kind in KINDS]
    two = make_pipeline(vectorizer, LinearSVC()).fit(X[:2] * 3, Y[:2] * 3)
    found = spm.predict(two, X[:2], scores=True, top=5)
    np.testing.assert_allclose(found.scores[:, 1], two.decision_function(X[:2]), atol=1e-9)
    np.testing.assert_array_equal(found.scores[:, 0], -found.scores[:, 1])
    assert found.rows[0]["label2"] == "down" and "label3" not in found.rows[0]
    numbers = make_pipeline(vectorizer, LogisticRegression()).fit(X, np.repeat([[3, 7, 9]], 6, axis=0).ravel())
    assert [row["label"] for row in spm.predict(numbers, X[:3], top=2).rows] == [3, 7, 9]
    pairs = make_pipeline(vectorizer, SVC(decision_function_shape="ovo")).fit([*X, *X[:6]], [*Y, *"aaabbb"])
    with pytest.raises(SpmError, match="not one for each of its classes"):
        spm.predict(pairs, X[:2], scores=True)


def test_what_has_no_labels_or_scores_is_refused(vectorizer):
    from sklearn.linear_model import Ridge

    model = make_pipeline(vectorizer, Ridge()).fit(X, np.arange(len(X), dtype=float))
    assert isinstance(spm.predict(model, X[:2]).rows[0]["label"], float)
    with pytest.raises(SpmError, match="has no scores of its classes: leave top and scores out"):
        spm.predict(model, X[:2], top=2)
    with pytest.raises(SpmError, match="top must be a whole number at least 1"):
        spm.predict("m.spm", X[:2], top=0)
    with pytest.raises(SpmError, match="kind='votes' is not an option"):
        spm.predict("m.spm", X[:2], kind="votes")
    with pytest.raises(SpmError, match="RegionDetector finds objects: give it to spm detect predict"):
        spm.predict(presets.words_detection(), X[:2])


# What a model is


def test_info_says_what_a_model_is(run, desk):
    found = spm.info("m.spm")
    assert (found.preset, found.kind) == ("lazebnik2006", "Pipeline of PyramidVectorizer, KernelSVC")
    assert found.options == {"vectorizer__encoder__n_words": 6, "vectorizer__pyramid__levels": (1, 2)}
    assert (found.classes, found.n_features, found.networks, found.differs) == (list(KINDS), 6 * 5, [], {})
    assert found.bytes == (desk / "m.spm").stat().st_size and found.made_with["spm"] == spm.__version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found.made)
    status, out, err = run("info", "m.spm")
    assert (status, err, out) == (0, "", f"{found!r}\n")
    lines = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in out.splitlines())
    assert lines["classes"] == "3: across, down, plain" and lines["vector"] == "30 values"
    assert lines["preset"] == "lazebnik2006, with other options (Lazebnik, Schmid, Ponce 2006)"
    assert lines["differs here"] == "nothing" and lines["option"] == "vectorizer__pyramid__levels=(1, 2)"
    document = json.loads(run("info", "m.spm", "--json")[1])
    assert document["classes"] == list(KINDS) and document["options"]["vectorizer__encoder__n_words"] == "6"


def test_info_says_what_differs_here(monkeypatch):
    from spm.presets import identity

    here = {**identity.made_with(), "numpy": "0.1"}
    del here["scipy"]
    monkeypatch.setattr(identity, "made_with", lambda: here)
    found = spm.info("m.spm")
    assert found.differs == {
        "numpy": (np.__version__, "0.1"),
        "scipy": (found.made_with["scipy"], None),
    }
    assert f"differs here  numpy {np.__version__} there, 0.1 here; scipy " in repr(found) and "none here" in repr(found)


def test_info_of_networks_detectors_and_others(tmp_path, vectorizer):
    pytest.importorskip("onnxruntime")
    found = spm.info(spm.save(presets.spp2014(), tmp_path / "spp.spm"))
    network = spm.load(tmp_path / "spp.spm")[0].features.model
    assert (found.preset, found.options, found.classes) == ("spp2014", {}, None)
    assert found.networks == [{"bytes": len(bytes(network)), "digest": network.digest}]
    assert f"digest {network.digest}" in repr(found) and "spp2014, as it is (He, Zhang, Ren, Sun 2014)" in repr(found)
    found = spm.info(spm.save(presets.hybrid(weight=2.0), tmp_path / "h.spm"))
    assert found.preset == "hybrid" and found.options == {"vectorizer__weights": [1.0, 2.0]}
    found = spm.info(spm.save(presets.words_detection(), tmp_path / "d.spm"))
    assert (found.preset, found.kind) == ("words", "RegionDetector")
    found = spm.info(spm.save(make_pipeline(vectorizer, LinearSVC()), tmp_path / "o.spm"))
    assert found.preset is None and "none has these parts" in repr(found)


@pytest.mark.parametrize("name", [name for name in presets.PRESETS if name not in ("sppnet2014",)])
def test_every_preset_is_recognised(name):
    from spm.presets.identity import recognise

    if name in ("spp2014", "hybrid"):
        pytest.importorskip("onnxruntime")
    assert recognise(presets.make(name, C=3.0, n_jobs=2, random_state=1)) == (name, {"classifier__C": 3.0})


def test_info_of_files_of_early_versions_and_of_none(run, tmp_path, monkeypatch):
    import skops.io

    from spm import storage

    early = {"format": 2, "spm": "0.0.9", "opencv": "4.9", "model": presets.lazebnik2006()}
    (tmp_path / "early.spm").write_bytes(skops.io.dumps(early))
    found = spm.info(tmp_path / "early.spm")
    assert found.made is None and found.made_with == {"spm": "0.0.9", "cv2": "4.9"}
    assert found.differs["spm"] == ("0.0.9", spm.__version__) and "an early version" in repr(found)
    assert type(storage.load(tmp_path / "early.spm")).__name__ == "Pipeline"
    for path, message in (("none.spm", "cannot be read"), ("labels.csv", "no model saved by spm")):
        status, out, err = run("info", path)
        assert (status, out) == (1, "") and message in err


def test_presets_as_a_table_and_one_by_one(run):
    status, out, err = run("presets")
    lines = out.splitlines()
    assert (status, err) == (0, "") and out == f"{presets.overview()!r}\n"
    assert [line.split()[0] for line in lines[1:]] == list(CATALOGUE) == [*presets.PRESETS, *presets.DETECTORS]
    assert lines[0].split() == ["name", "paper", "what", "it", "is", "needs"]
    for name in CATALOGUE:
        about = [option["about"] for option in options_with_help(name)]
        assert all(about) and not any(re.match(r"As (for )?`\w+`|As for both", text) for text in about), name
        assert run("presets", name)[0] == 0
    out = run("presets", "lazebnik2006")[1]
    assert '  --set n_words=200\n        The paper\'s "strong features" have 200 or 400.\n' in out
    assert "  --set levels=1,2,4\n" in out and "n_jobs" not in out
    assert [row["name"] for row in json.loads(run("presets", "--json")[1])["presets"]] == list(CATALOGUE)
    document = json.loads(run("presets", "spp2014", "--json")[1])
    assert document["options"][0]["name"] == "model" and "resnet" not in document["paper"]
    status, out, err = run("presets", "fischer2010")
    assert (status, out) == (1, "") and "did you mean 'fisher2010'?" in err


def test_what_is_missing_is_said(monkeypatch):
    from spm.presets import catalogue

    monkeypatch.setattr(catalogue, "find_spec", lambda name: None if name == "torch" else True)
    needs = {row["name"]: (row["needs"], row["here"]) for row in presets.overview().rows}
    assert needs["sppnet2014"] == ("extra nn (missing)", False) and needs["spp2014"] == ("extra cnn (installed)", True)
    assert needs["lazebnik2006"] == ("nothing more", True)


def test_help_ends_with_three_examples_that_can_be_parsed(run):
    status, out, _ = run("--help")
    examples = out.partition("examples:\n")[2].splitlines()
    assert status == 0 and len(examples) == 3 and all(line.startswith("  spm ") for line in examples)
    for line in examples:
        words = re.split(r"\s{2,}", line.strip())[0].split()
        cli._parser().parse_args(words[1:])


def test_a_model_is_made_and_asked_as_a_program(tmp_path):
    status, out, err = program("train", *LABELS, "-o", tmp_path / "x.spm", *SMALL)
    assert (status, err) == (0, "") and out.endswith("3 classes from 12 images, 6 left for testing\n")
    status, out, err = program("info", tmp_path / "x.spm")
    assert (status, err) == (0, "") and "across, down, plain" in out and "n_words=6" in out
    status, out, err = program("presets")
    assert (status, err) == (0, "") and out.splitlines()[1].startswith("lazebnik2006 ")
    status, out, err = program("presets", "lazebnik2060")
    assert (status, out) == (1, "") and "did you mean 'lazebnik2006'?" in err


# The nearest right option


@pytest.mark.parametrize(
    ("preset", "assignment", "message"),
    [
        ("lazebnik2006", "n_wrods=5", "there is no option 'n_wrods': did you mean n_words"),
        ("lazebnik2006", "model=net.onnx", "there is no option 'model': spp2014 and hybrid have it. The preset's own"),
        ("lazebnik2006", "alpha=0.1", "there is no option 'alpha': scspm2009 has it. The preset's own are n_words"),
        ("spp2014", "n_words=5", "there is no option 'n_words': lazebnik2006 and phow2008 and"),
        ("spp2014", "layer=x", "there is no option 'layer': did you mean layers"),
        (
            "spp2014",
            "model=resnet81",
            "'resnet81' is neither a file nor a network known by name: did you mean resnet18",
        ),
        ("spp2014", "model=alexnet", "known by name: Those are squeezenet1.1, mobilenetv2, resnet18"),
        ("lazebnik2060", "n_words=5", "preset='lazebnik2060' is not an option: did you mean 'lazebnik2006'"),
    ],
)
def test_a_typo_names_the_nearest(run, preset, assignment, message):
    status, out, err = run("evaluate", "photos", "--preset", preset, "--set", assignment)
    assert (status, out) == (1, "") and message in err, err


def test_a_typo_in_python_names_the_nearest():
    with pytest.raises(
        SpmError, match=r"fisher2010 has no option 'n_word': did you mean n_words\? It has n_words, lev"
    ):
        presets.make("fisher2010", n_word=5)
    with pytest.raises(SpmError, match="lazebnik2006 has no option 'flip': spp2014 and hybrid have it"):
        presets.make("lazebnik2006", flip=True)


def test_a_network_by_name_is_fetched(run, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    from spm._tools.files import read_shipped
    from spm.presets import networks

    (tmp_path / "net.onnx").write_bytes(read_shipped("texture_net.onnx"))
    asked = []
    monkeypatch.setattr(networks, "fetch_network", lambda name: asked.append(name) or tmp_path / "net.onnx")
    options = ("--preset", "spp2014", "--set", "model=resnet18", "--set", "size=64", "--jobs", 1, "--json")
    document = json.loads(run("evaluate", *LABELS, *options)[1])
    assert asked == ["resnet18"] and document["n_train"] == [12]
    options = ("--presets", "spp2014", "--set", "model=resnet18", "--set", "size=64", "--jobs", 1, "--json")
    document = json.loads(run("compare", *LABELS, *options)[1])
    assert [row["error"] for row in document["rows"]] == [None, None] and set(asked) == {"resnet18"}


# Own models in the comparison


@pytest.fixture(scope="module")
def photos(desk):
    return spm.load_table(desk / "labels.csv", images=desk / "photos")


def test_models_of_ones_own_are_compared(photos, vectorizer):
    from sklearn.model_selection import GridSearchCV

    mine = make_pipeline(clone(vectorizer), LinearSVC())
    models = {"mine": mine, "saved": "m.spm", "search": GridSearchCV(mine, {"linearsvc__C": [1]}, cv=2)}
    found = spm.compare(photos, presets="lazebnik2006", models=models, options={"n_words": 4})
    assert [(row["preset"], row["pyramid"], row["levels"], row["values"]) for row in found.rows] == [
        ("lazebnik2006", "no pyramid (1x1)", (1,), 4),
        ("lazebnik2006", "pyramid (1x1 + 2x2 + 4x4)", (1, 2, 4), 84),
        ("mine", "no pyramid (1x1)", (1,), 5),
        ("mine", "pyramid (1x1 + 2x2 + 4x4)", (1, 2, 4), 105),
        ("saved", "no pyramid (1x1)", (1,), 6),
        ("saved", "pyramid (1x1 + 2x2)", (1, 2), 30),
        ("search", "as it is", None, None),
    ]
    assert all(row["error"] is None and (row["n_train"], row["n_test"]) == (12, 6) for row in found.rows)
    assert not hasattr(mine[0], "encoder_")  # copies are fitted
    labels, cv = np.array(photos.target_names)[photos.target], [(photos.train, photos.test)]
    for row, detail in zip(found.rows, found.details, strict=True):
        alone = spm.evaluate(detail.model, photos.data, labels, cv=cv)
        assert (row["accuracy"], row["values"]) == (alone.accuracy, alone.n_features)
    lines = repr(found).splitlines()
    assert lines[0].split()[:3] == ["data", "preset", "pyramid"] and len(lines) == 8 and "photos  mine" in lines[3]


def test_pyramids_of_sums_and_of_none(photos, vectorizer):
    other = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1, 3), pool="mean", weights=[1, 2]))
    alike = spm.KernelSum([("a", vectorizer), ("b", vectorizer)], kernels=["linear", "linear"])
    both = spm.KernelSum([("a", vectorizer), ("b", other)], kernels=["linear", "linear"])
    flat = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1,)), norm="l2")
    models = {name: make_pipeline(each, spm.KernelSVC(kernel="precomputed")) for name, each in
              (("alike", alike), ("both", both))}  # fmt: skip
    models["flat"] = make_pipeline(flat, LinearSVC())
    rows = spm.compare(photos, presets=(), models=models).rows
    assert [(row["preset"], row["pyramid"], row["values"]) for row in rows] == [
        ("alike", "no pyramid (1x1)", 10),
        ("alike", "pyramid (1x1 + 2x2 + 4x4)", 210),
        ("both", "no pyramid (1x1)", 5 + 128),
        ("both", "pyramid (each road's own)", 105 + 1280),
        ("flat", "no pyramid (1x1)", 128),
    ]


class Foreign(LogisticRegression):
    """A classifier whose code is nobody's that a journal knows."""


def test_a_journal_knows_own_models_by_what_they_are(photos, tmp_path, vectorizer):
    journal = tmp_path / "rows.jsonl"

    def kept(model):
        """Compare up to the last row, and once more; return which rows were kept."""
        told = []

        def stop(row):
            told.append(row)
            if len(told) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            spm.compare(photos, presets=(), models={"mine": model}, journal=journal, on_row=stop)
        again = spm.compare(photos, presets=(), models={"mine": model}, journal=journal)
        return [row["kept"] for row in again.rows]

    assert kept(make_pipeline(vectorizer, LinearSVC(C=1.0))) == [True, True]
    assert kept(make_pipeline(vectorizer, Foreign())) == [False, False]
    with pytest.raises(KeyboardInterrupt):
        spm.compare(photos, presets=(), models={"mine": make_pipeline(vectorizer, LinearSVC(C=1.0))}, journal=journal,
                    on_row=lambda row: (_ for _ in ()).throw(KeyboardInterrupt))  # fmt: skip
    rows = spm.compare(
        photos, presets=(), models={"mine": make_pipeline(vectorizer, LinearSVC(C=2.0))}, journal=journal
    )
    assert [row["kept"] for row in rows.rows] == [False, False]  # another option


def test_what_cannot_be_compared_is_refused(photos, tmp_path):
    for options, message in (
        ({"models": {"mine": spm.PyramidVectorizer}}, "'mine' must be an estimator that takes images and predicts"),
        ({"models": {"mine": spm.PyramidVectorizer()}}, "'mine' must be an estimator"),
        ({"models": {"mine": tmp_path / "none.spm"}}, r"none\.spm: the model cannot be read"),
        ({"presets": "none.spm"}, r"none\.spm: the model cannot be read"),
        ({"models": {"lazebnik2006": "m.spm"}}, "'lazebnik2006' is the name of another"),
        ({"models": {"d": presets.words_detection()}}, "d is a detector"),
        ({"presets": ()}, "nothing to compare"),
        ({"presets": ("lazebnik2060",)}, "did you mean 'lazebnik2006'"),
    ):
        with pytest.raises(SpmError, match=message):
            spm.compare(photos, **options)
    with pytest.raises(SpmError, match="one label an image"):
        spm.compare({"data": ["a"], "target": np.zeros((1, 2)), "target_names": ["x"]}, presets="lazebnik2006")


def test_a_data_set_in_memory_is_compared_by_its_own_split():
    scenes = spm.datasets.make_layouts(4, size=48, n_classes=2)
    rows = spm.compare(scenes, presets="lazebnik2006", options={"n_words": 4}).rows
    assert {(row["data"], row["n_splits"], row["n_train"]) for row in rows} == {("images", 1, len(scenes.train))}


def test_a_comparison_with_a_saved_model_has_its_page(run, tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    status, out, err = run("compare", *LABELS, "--presets", "m.spm", "--jobs", 1, "--report", page)
    lines = out.splitlines()
    assert (status, err) == (0, "") and len(lines) == 3 and len({len(line) for line in lines}) == 1
    assert "m.spm" in page.read_text(encoding="utf-8")


# Evaluation as a table


def test_evaluate_prints_csv_as_a_program():
    status, out, err = program("evaluate", *LABELS, *SMALL, "--csv")
    rows = table(out)
    assert (
        status == 0 and err == "spm: lazebnik2006: 100.0 % mean per-class accuracy (1 split, 12 train, 6 test images)\n"
    )
    assert list(rows[0]) == ["class", "accuracy", "tested", "right", "taken_for", "times"]
    assert [(row["class"], row["accuracy"], row["tested"]) for row in rows] == [(kind, "1.0", "2") for kind in KINDS]


def test_an_evaluation_shows_itself_as_a_table(photos):
    class ByName(LogisticRegression):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            return np.array(["across" if "d" in os.path.basename(path) else "plain" for path in X])

    found = spm.evaluate(
        ByName(), photos.data, np.array(photos.target_names)[photos.target], cv=[(photos.train, photos.test)]
    )
    assert repr(found).splitlines() == [
        "33.3 % mean per-class accuracy (1 split, 12 train, 6 test images)",
        "class   accuracy %  tested",
        "across         0.0       2",
        "down           0.0       2",
        "plain        100.0       2",
    ]
    from spm.evaluation.results import class_records

    assert class_records(found)[1] == {
        "class": "down", "accuracy": 0.0, "tested": 2, "right": 0, "taken_for": "across", "times": 2
    }  # fmt: skip


def test_unequal_classes_are_told_in_one_line(run, tmp_path):
    for kind, n in (("across", 3), ("down", 9)):
        (tmp_path / kind).mkdir()
        for k in range(n):
            Image.fromarray(picture(kind, k)).save(tmp_path / kind / f"{k}.png")
    said = (
        "spm: classes have 3 to 9 images: half of each trains, 100 at most, so 1 to 4 (n_train=N, on the command line "
    )
    said += "--n-train N, trains the same number of each)\n"
    status, out, err = run("evaluate", tmp_path, *SMALL)
    assert (status, err) == (0, said) and "(10 splits, 5 train, 7 test images)" in out
    status, out, err = run("compare", tmp_path, "--presets", "lazebnik2006", *SMALL, "--csv")
    assert (status, err) == (0, said) and {row["n_train"] for row in table(out)} == {"5"}
    status, out, err = run("evaluate", tmp_path, *SMALL, "--n-train", 1)
    assert (status, err) == (0, "") and "(10 splits, 2 train, 10 test images)" in out
