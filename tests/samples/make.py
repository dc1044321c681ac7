"""Models saved by one version for ever: every preset, small, and what it says of six pictures.

``python tests/samples/make.py VERSION`` writes a folder of that name beside this file. It is run once for a version
whose files differ from those before; what lies here is never made anew, so that files of every version can be loaded.
"""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

import spm
from spm.storage._archive import seal

HERE = Path(__file__).parent

TINY_NETWORK = """
    <ir_version: 8, opset_import: ["": 13]>
    tiny (float[batch, 3, H, W] image) => (float[batch, 4, h, w] map)
        <float[4, 3, 2, 2] w = {1, -1, 0, 0, 0, 1, -1, 0, 0, 0, 1, -1, 1, 0, -1, 0, 0, -1, 0, 1, 1, 1, -1, -1,
                                1, -1, 1, -1, -1, 1, -1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1}> {
        edges = Conv <strides = [4, 4]> (image, w)
        map = Relu (edges)
    }"""


def pictures():
    """Return twelve pictures of 48 x 64 pixels, six a class, by arithmetic alone: they are the same everywhere."""
    y, x = np.mgrid[:48, :64]
    made = []
    for k in range(12):
        along, across = (x, y) if k % 2 else (y, x)
        made.append(((along * (5 + k // 2) + (across * across * (3 + k)) // 16) % 256).astype(np.uint8))
    return made, ["across" if k % 2 else "down" for k in range(12)]


def models():
    """Return a small model of every preset, by name."""
    from onnx import parser

    network = parser.parse_model(TINY_NETWORK).SerializeToString()
    few, seed = {"n_words": 3, "levels": (1, 2)}, {"random_state": 0}
    found = {
        name: spm.presets.PRESETS[name](**few, **seed) for name in ("lazebnik2006", "phow2008", "llc2010", "scspm2009")
    }
    found["vlad2010"] = spm.presets.vlad2010(n_words=2, levels=(1,), **seed).set_params(vectorizer__reduce=PCA(3))
    found["fisher2010"] = spm.presets.fisher2010(n_words=2, levels=(1,), **seed).set_params(vectorizer__reduce=PCA(3))
    found["best_handcrafted"] = spm.presets.best_handcrafted(n_words=2, levels=(1,), **seed).set_params(
        vectorizer__fisher__reduce=PCA(3), vectorizer__words__encoder__n_words=3
    )
    found["spp2014"] = spm.presets.spp2014(network, levels=(1, 2), size=48, **seed)
    found["hybrid"] = spm.presets.hybrid(network, levels=(1, 2), n_words=3, size=48, **seed)
    return found


def main():
    folder = HERE / sys.argv[1]
    folder.mkdir()
    images, labels = pictures()
    said = {}
    for name, model in models().items():
        path = folder / f"{name}.spm"
        spm.save(model.fit(images[:6], labels[:6]), path)
        said[name] = spm.load(path).decision_function(images[6:]).round(6).tolist()
        with zipfile.ZipFile(path) as whole:
            parts = {part: whole.read(part) for part in whole.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small:
            for part, content in parts.items():
                small.writestr(part, content)
        path.write_bytes(seal(path.read_bytes()))
    (folder / "decisions.json").write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
