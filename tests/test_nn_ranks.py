"""Several processes under torchrun: as many steps for each, one and the same network out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

SCRIPT = """
import json, os, sys
import numpy as np
import torch
from torch import nn
from spm.nn import SPPNetClassifier

options = json.loads(sys.argv[2])
random = np.random.default_rng(0)
shapes = [(24, 40), (40, 24), (32, 32)] * 9
X = [random.integers(0, 256, (*shape, 3), dtype=np.uint8) // (1 + k % 2) for k, shape in enumerate(shapes)]
y = [k % 2 for k in range(27)]
torch.manual_seed(0)
trunk = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6) if options.pop("norms") else nn.Identity(), nn.ReLU())
model = SPPNetClassifier(trunk=trunk, levels=(1, 2), device="cpu", random_state=0, **options).fit(X, y)
rank = os.environ.get("RANK", "alone")
np.savez(os.path.join(sys.argv[1], f"{rank}.npz"), **model.state_)
with open(os.path.join(sys.argv[1], f"{rank}.json"), "w") as file:
    json.dump([{k: v for k, v in found.items() if k != "seconds"} for found in model.history_], file)
"""


def run(folder, n_ranks, norms=False, **options):
    script = folder / "train.py"
    script.write_text(SCRIPT)
    command = [sys.executable]
    if n_ranks > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_ranks)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    given = json.dumps({"norms": norms, "sizes": (24,), "epochs": 3, **options})
    done = subprocess.run(
        [*command, str(script), str(folder), given], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[:3000]
    ranks = range(n_ranks) if n_ranks > 1 else ["alone"]
    return [(np.load(folder / f"{r}.npz"), json.loads((folder / f"{r}.json").read_text())) for r in ranks]


@pytest.mark.parametrize(
    "options",
    [
        {"norms": True, "batch_size": 4, "validation": 0.2, "patience": 2, "average": 0.9},
        {"norms": True, "batch_size": 4, "schedule": "free", "sizes": (None,), "step": 8},
        {"freeze": "1", "norms": True, "batch_size": 4, "schedule": "free", "sizes": (None,), "step": 8},
    ],
)
def test_all_ranks_end_with_the_same_network(options, tmp_path):
    (first, said), (second, said_too) = run(tmp_path, 2, **options, checkpoint=str(tmp_path / "run.pt"))
    assert said == said_too and len(said) >= 2
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_two_ranks_learn_what_one_process_learns_from_batches_twice_as_large(tmp_path):
    """Uneven ends too: 27 images in batches of 8, or of 4 a rank. Nothing but the order of sums differs."""
    options = {"optimizer": "sgd", "lr": 1e-2, "validation": None, "augment": False}
    for folder in ("two", "one"):
        (tmp_path / folder).mkdir()
    two = run(tmp_path / "two", 2, batch_size=27, **options)
    one = run(tmp_path / "one", 1, batch_size=54, **options)
    for name in one[0][0].files:
        np.testing.assert_allclose(two[0][0][name], one[0][0][name], atol=1e-5, err_msg=name)
    assert [found["loss"] for found in two[0][1]] == pytest.approx([found["loss"] for found in one[0][1]], abs=1e-5)
