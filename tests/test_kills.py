"""Killed at any moment and called again until it ends, or done by two at once, a run leaves what one leaves alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_runs_that_are_killed_and_two_at_once_end_with_the_same_files(tmp_path):
    """The long form, 200 kills, pages and networks among them, is benchmarks/kills.py."""
    runs = ["vectors", "model", "detection", "download"]
    command = [sys.executable, str(Path(__file__).with_name("killed_runs.py")), str(tmp_path), "3", *runs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == runs and all(same and together for _, same, together in found.values()), found
    assert sum(kills for kills, *_ in found.values()) >= 3
