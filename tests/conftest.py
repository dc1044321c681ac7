"""Where the optional real data lie, and the skip that says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of real data sets: SPM_DATA, or shared/data beside the repository."""
    home = Path(os.environ.get("SPM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not home.is_dir():
        pytest.skip("needs the real data sets: set SPM_DATA to a folder with scene15/ and the others")
    return home
