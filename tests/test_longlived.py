"""A server's life: threads that share one model, nothing that grows; and a machine where nothing can be written."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

import spm

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 40, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    return spm.presets.lazebnik2006(n_words=5, levels=(1, 2), random_state=0).fit(IMAGES, [0, 1] * 4)


@pytest.mark.parametrize("loaded", [False, True])
def test_eight_threads_share_one_model(model, tmp_path, loaded):
    shared = spm.load(spm.save(model, tmp_path / "m.spm")) if loaded else model
    expected = [shared.decision_function(IMAGES[k : k + 1])[0] for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: shared.decision_function(IMAGES[k % 8 : k % 8 + 1])[0], range(80)))
    assert found == [expected[k % 8] for k in range(80)]


def test_many_calls_leave_nothing_behind(model):
    """The long form, 20,000 calls, is benchmarks/long_lived.py."""

    def calls(n):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda k: model.predict(IMAGES[k % 8 : k % 8 + 1]), range(n)))
        gc.collect()
        process = psutil.Process()
        return len(gc.get_objects()), process.num_fds(), process.num_threads()

    calls(50)
    before = calls(50)
    after = calls(150)
    assert after[0] - before[0] < 100  # of each call not one object
    assert after[1] <= before[1] and after[2] <= before[2] + 8


EVERYTHING = """
import numpy as np, spm
images = np.random.default_rng(0).integers(0, 256, (8, 40, 48), dtype=np.uint8)
model = spm.presets.lazebnik2006(n_words=5, levels=(1, 2), random_state=0).fit(images, [0, 1] * 4)
print(len(model.predict(images)), len(spm.fetch_network.__doc__) > 0)
cv = spm.PerClassShuffleSplit(n_train=2, n_splits=1)
print(spm.evaluate(model, images, np.array([0, 1] * 4), cv=cv) is not None)
"""


def test_where_neither_home_nor_package_can_be_written_all_works_with_one_warning(tmp_path):
    """Both are below a file here, since no folder is closed to the tests of a container's root."""
    nowhere = os.path.join(os.devnull, "home")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "NUMBA_", "SPM_", "MPL"))}
    environment |= {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PYTHONDONTWRITEBYTECODE": "1"}
    run = [sys.executable, "-c", EVERYTHING]
    done = subprocess.run(run, capture_output=True, text=True, timeout=900, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["8", "True"] and os.listdir(tmp_path) == []
    told = [line for line in done.stderr.splitlines() if line.strip()]
    assert len([line for line in told if "cannot be kept" in line]) == 1, done.stderr
    assert "NUMBA_CACHE_DIR" in done.stderr
