"""Small networks that are hard to read: which layer FeatureMap takes, where its cells lie, and if that is right.

Each is exported by torch (by its newer exporter too, where onnxscript is installed), or written by hand as other
converters write them.

    python benchmarks/hostile_networks.py
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import onnx
from _common import keep, table
from _hostile_torch import SIZE, exports
from _hostile_written import written

import spm
from spm.networks import layers


def right(features: spm.FeatureMap, size: int) -> str:
    """Say whether squares of noise change most the cells that lie there."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
    before, hits, side = features.extract(image), 0, size // 4
    places = [(x, y) for x in range(0, size, side) for y in range(0, size, side)]
    for x, y in places:
        changed = image.copy()
        changed[y : y + side, x : x + side] = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        change = np.abs(features.extract(changed).values - before.values).sum(axis=1).reshape(before.grid)
        x0, y0, x1, y1 = before.to_grid([[x, y, x + side, y + side]])[0].astype(int)
        row, column = np.divmod(change.argmax(), before.grid[1])
        hits += y0 <= row < y1 and x0 <= column < x1
    return "right" if hits == len(places) else f"{hits} of {len(places)} squares"


def row(name: str, network: bytes) -> list[object]:
    """Try a network: its default layer, where that lies, and what came of it."""
    size = next(
        (d.dim_value for d in onnx.load_model_from_string(network).graph.input[0].type.tensor_type.shape.dim[2:3]), 0
    )
    size = size if size > 3 else SIZE
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            listed = layers(network, size=(size, size))
            features = spm.FeatureMap(network, size=size, policy="warp")
            outcome = right(features, size)
            default = spm.networks.cut(network)
            last = onnx.load_model_from_string(bytes(default)).graph.output[0].name
            layer = next(found for found in listed if found.name == last)
            pair = "{0[0]:.4g} x {0[1]:.4g}".format
            shown = [f"`{layer.name}` ({layer.op})", layer.channels or "-", f"{layer.grid[0]} x {layer.grid[1]}"]
            shown += [pair(layer.stride), pair(layer.offset), layer.geometry]
        except spm.SpmError as error:
            shown, outcome = ["-"] * 6, f"refused: {error}"
    words = sorted({str(word.message).partition(":")[0] for word in told if issubclass(word.category, UserWarning)})
    words = ["measured, as said" if "measured" in word else word for word in words if "torch" not in word]
    return [name, *shown, outcome.replace("|", "/"), "; ".join(words) or "-"]


def main() -> None:
    rows = []
    for name, make in (*exports(), *written()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = make()
        rows.append(row(name, network))
        print(rows[-1])
    counts = {word: sum(str(line[-2]).startswith(word) for line in rows) for word in ("right", "refused")}
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnx", "torch", "onnxscript") if find_spec(name))
    note = (
        f"{len(rows)} networks of random weights. Of {counts['right']} the default layer is right: squares of noise, "
        "put into an image one at a time, change most the cells that lie there. "
        f"{counts['refused']} are refused with a reason. Written with {versions}."
    )
    head = ["network", "default layer", "channels", "grid", "stride", "offset", "geometry", "outcome", "warned"]
    keep("hostile_networks", "Networks that are hard to read", note, table(head, rows))


if __name__ == "__main__":
    main()
