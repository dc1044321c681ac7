"""The preset that trains a network, in the commands: as every other model."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import spm
from spm import presets
from spm.cli import main

SMALL = ["--preset", "sppnet2014", "--set", "sizes=(32,24)", "--set", "levels=(1,2)", "--set", "epochs=2"]
SMALL += ["--set", "device=cpu", "--set", "classifier__test_size=32", "--jobs", "1"]


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for name in ("across", "down"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(6):
            image = np.tile(np.uint8([40, 40, 200, 200]), (40, 12)) + random.integers(0, 50, (40, 48), dtype=np.uint8)
            Image.fromarray(image if name == "down" else image.T).save(tmp_path / "photos" / name / f"{k}.png")
    return tmp_path / "photos"


def test_train_and_predict(folder, tmp_path, capsys):
    path = str(tmp_path / "model.spm")
    main(["train", str(folder), "-o", path, *SMALL])
    assert "2 classes from 12 images" in capsys.readouterr().out
    images = [str(folder / "down" / f"{k}.png") for k in range(3)]
    main(["predict", path, *images, "--json"])
    said = json.loads(capsys.readouterr().out)["labels"]
    loaded = spm.load(path)
    assert list(said.values()) == loaded.predict(images).tolist()
    assert loaded[0].levels == (1, 2) and len(loaded[0].history_) == 2


def test_evaluate_and_compare(folder, capsys):
    main(["evaluate", str(folder), *SMALL, "--n-train", "3", "--splits", "2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert 0 <= found["accuracy"] <= 1 and len(found["accuracies"]) == 2
    result = spm.compare(
        folder, presets="sppnet2014", options={"sizes": (24,), "epochs": 1, "device": "cpu"}, random_state=0
    )
    assert [row["error"] for row in result.rows] == [None] * len(result.rows)


def test_a_bad_image_is_skipped_where_asked(folder, tmp_path, capsys):
    (folder / "down" / "bad.png").write_bytes(b"no image")
    main(["train", str(folder), "-o", str(tmp_path / "m.spm"), *SMALL, "--on-error", "skip"])
    assert "12 images, 1 skipped" in capsys.readouterr().out


def test_without_torch_the_preset_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(spm.errors.MissingDependencyError, match="pip install torch"):
        presets.sppnet2014()
