"""Models saved by earlier versions: each can be loaded, and says of the same pictures what it said then."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

import spm
from spm.presets.registry import TRAINED

HERE = Path(__file__).parent / "samples"
sys.path.insert(0, str(HERE))
import make  # noqa: E402

FILES = sorted(HERE.glob("*/*.spm"))


def test_every_preset_has_a_sample():
    newest = max(path.parent.name for path in FILES)
    assert {path.stem for path in FILES if path.parent.name == newest} == set(spm.presets.PRESETS) - set(TRAINED)
    assert sum(path.stat().st_size for path in FILES) < 300_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_model_saved_by_an_earlier_version_says_what_it_said_then(path):
    if path.stem in ("spp2014", "hybrid"):
        pytest.importorskip("onnxruntime")
    images, _ = make.pictures()
    model = spm.load(path)
    assert repr(model) and clone(model).get_params().keys() == spm.presets.make(path.stem).get_params().keys()
    said = json.loads((path.parent / "decisions.json").read_text())[path.stem]
    np.testing.assert_allclose(model.decision_function(images[6:]), said, atol=2e-4)  # other processors round otherwise
    assert model.predict(images[6:]).tolist() == [model.classes_[int(score > 0)] for score in said]
    assert np.abs(said).min() > 2e-4 and len({score > 0 for score in said}) == 2  # they tell the pictures apart
