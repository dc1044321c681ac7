"""What setup.cfg cannot say: data/ goes into the package, and the index shows the README with whole addresses."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
URL = "https://github.com/spatial-pyramids/spm"


class BuildWithData(build_py):
    """data/ lies beside spm/, where a reader of the tree looks for it; once installed it is spm/data.

    It has no packages that setuptools could map there: what is in it is read, not imported.
    """

    def run(self):
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)  # what an earlier build left there would be installed too
        super().run()
        self.mkpath(f"{self.build_lib}/spm/data")
        for path in sorted((ROOT / "data").iterdir()):
            if path.suffix in (".json", ".md", ".onnx"):
                self.copy_file(str(path), f"{self.build_lib}/spm/data")


def readme():
    """Return README.md with pictures and links that lead to the repository from wherever it is shown."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^]]*\]\()([\w./-]+\))", rf"\1{URL}/raw/main/\2", text)
    return re.sub(r"(\]\()([\w./-]+\))", rf"\1{URL}/blob/main/\2", text)


setup(cmdclass={"build_py": BuildWithData}, long_description=readme())
