"""What tests need that not every machine has, real data and a browser, and the skips that say so."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def share_of_the_processors() -> None:
    """Leave torch its share where tests run side by side: threads that wait for one another starve on full cores."""
    side_by_side = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if side_by_side > 1 and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(max((os.cpu_count() or 1) // side_by_side, 1))


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of real data sets: SPM_DATA, or shared/data beside the repository."""
    home = Path(os.environ.get("SPM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not home.is_dir():
        pytest.skip("needs the real data sets: set SPM_DATA to a folder with scene15/ and the others")
    return home


@pytest.fixture
def run(capsys):
    """Run a command in this process and return its exit status, standard output and standard error."""

    def run(*arguments):
        from spm import cli

        capsys.readouterr()
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            status = stopped.code
        return (status, *capsys.readouterr())

    return run


FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium; playwright's own need not be fetched."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: see CONTRIBUTING.md")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium, or see CONTRIBUTING.md")
    with api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()
