"""Detection on PASCAL VOC 2007's photographs: what each ingredient gives, choices made inside the training photographs.

`python benchmarks/detection_voc.py choose` tries settings on 450 of the 650 training photographs, the other 200 to
test; `run` trains rows of the table on the 650, at three seeds, and tests on the 250; `table` writes what there is.
Each outcome is kept in a file under --out, so that the work can be cut into pieces.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from _common import data_home, keep, table

import spm
from spm.detection import (
    FineTunedHead,
    GivenBoxes,
    RegionDetector,
    RegionUnion,
    average_precision,
    default_proposals,
    load_voc,
    remembered_boxes,
)

SEEDS = (0, 1, 2)
BASE = "best setting, one scale"
WITHOUT = ("no voting", "no voting, boxes as proposed")
PREPROCESS: dict[str, Any] = {
    "efficientnet_lite0_features": {"mean": 127.0, "std": 128.0, "scale": 1.0},
    "mobilenetv2_1.0_features": "tf",
    "squeezenet1.1_fp32": {"mean": (104, 117, 123), "scale": 1.0, "order": "bgr"},
    "resnet18_to_layer3": "imagenet",
    "vgg16_to_conv3_3": "caffe",
}
LAYERS: dict[str, Any] = {"squeezenet1.1_fp32": "fire9/concat"}
LITE, FINE, LAST = "efficientnet_lite0_features", "/_blocks.10/Add_output_0", "features"
FIVE = (480, 576, 688, 874, 1200)

BOTH = {"layers": (FINE, LAST), "levels": (1, 2, 3)}
RESNET = {"network": "resnet18_to_layer3", "levels": (1, 2, 3, 6)}
NETWORKS = {  # of both: layers, levels, and one over the root mean square of its values in windows of the 650
    "resnet18_to_layer3": (None, (1, 2, 3, 6), 2.1),
    LITE: (LAST, (1, 2, 3), 0.85),
}
TWO = {"network": NETWORKS, "C": 0.01}
TORCH: dict[str, Any] = {
    "head": "torch",
    "machines": False,
    "windows_per_image": 96,
    "far_share": 1 / 3,
    "least_score": 0.003,
    "voting_iou": 0.5,
}
CANDIDATES: dict[str, dict[str, Any]] = {  # looked at inside the 650 alone
    **{f"EfficientNet-lite0, both maps, 1 2 3, C {C:g}": {**BOTH, "C": C} for C in (0.001, 0.01, 0.1)},
    "EfficientNet-lite0, both maps, square roots, length 1, C 0.1": {**BOTH, "norm": ("power", "l2"), "C": 0.1},
    "EfficientNet-lite0, last map, 1 2 3, C 0.1": {"layers": LAST, "levels": (1, 2, 3), "C": 0.1},
    "EfficientNet-lite0, stride 16, 1 2 3 6, C 0.1": {"layers": FINE, "levels": (1, 2, 3, 6), "C": 0.1},
    **{f"ResNet-18, 1 2 3 6, C {C:g}": {**RESNET, "C": C} for C in (0.001, 0.01, 0.1)},
    "ResNet-18 and EfficientNet-lite0, C 0.01": TWO,
    "ResNet-18 and EfficientNet-lite0, machines behind a head of 48 windows": {
        **TWO,
        "head": "torch",
        "windows_per_image": 48,
    },
    "ResNet-18 and EfficientNet-lite0, a head that scores": {**TWO, **TORCH},
    "ResNet-18, a head that scores": {**RESNET, "C": 0.01, **TORCH},
}
BEST = "ResNet-18 and EfficientNet-lite0, a head that scores"

HEAD = FineTunedHead(hidden=(1024,), n_steps=3000, learning_rate=0.02)


def rows(best: str) -> dict[str, dict[str, Any]]:
    """Return the rows of the table: the best setting, and that with one ingredient changed."""
    base = CANDIDATES[best]
    single = base["network"]
    if not isinstance(single, str):
        single = {name: (layers, (1,), weight) for name, (layers, _, weight) in single.items()}
    return {
        BASE: base,
        "machines, no head": {**base, "head": "svm", "machines": True, "least_score": -1.5},
        "machines behind a head, scikit-learn": {**base, "head": HEAD, "machines": True, "least_score": -1.5},
        "five scales": {**base, "scales": FIVE},
        "negatives drawn at random": {**base, "hard_negatives": False},
        "1x1 alone": {**base, "network": single, "levels": (1,)},
        **{
            f"{name} alone, no head": {
                "network": name,
                "layers": LAYERS.get(name),
                "levels": (1, 2, 3, 6),
                "C": base["C"],
            }
            for name in PREPROCESS
        },
        "SIFT words": {"network": None, "scales": None, "C": base["C"]},
    }


def detector(
    boxes: Any,
    memory: Any,
    n_jobs: int,
    *,
    seed: int = 0,
    network: Any = LITE,
    layers: Any = None,
    levels: Any = (1, 2, 3, 6),
    norm: Any = None,
    scales: Any = (688,),
    **options: Any,
) -> RegionDetector:
    """Return one detector."""
    given = {"proposals": boxes, "memory": memory, "n_jobs": n_jobs, "random_state": seed, **options}
    if given.get("head") == "torch":
        from spm.nn import RegionHead

        given["head"] = RegionHead()
    if network is None:
        return RegionDetector(**given)
    if isinstance(network, str):
        vectorizer: Any = vectorizer_of(network, layers, levels, norm)
    else:
        weights = {name: weight for name, (_, _, weight) in network.items()}
        parts = [(name, vectorizer_of(name, *own, norm)) for name, (*own, _) in network.items()]
        vectorizer = RegionUnion(parts, transformer_weights=weights)
    return RegionDetector(vectorizer=vectorizer, scales=scales, **given)


def vectorizer_of(network: str, layers: Any, levels: Any, norm: Any) -> spm.PyramidVectorizer:
    """Return what describes regions by one network."""
    features = spm.FeatureMap(
        str(data_home() / "weights" / f"{network}.onnx"), layers=layers, preprocess=PREPROCESS[network]
    )
    pyramid = spm.SpatialPyramid(levels=levels, pool="max", weights=None)
    return spm.PyramidVectorizer(features=features, pyramid=pyramid, norm=norm)


def data(split: str) -> tuple[list[str], list[Any]]:
    """Return the photographs and their objects; 650 are split once more for choices, by a seed."""
    bunch = load_voc(data_home() / "voc2007", "test" if split == "test" else "trainval")
    X, y = list(bunch.data), list(bunch.target)
    if split in ("inside train", "inside test"):
        order = np.random.RandomState(0).permutation(len(X))
        chosen = np.sort(order[:450] if split == "inside train" else order[450:])
        return [X[i] for i in chosen], [y[i] for i in chosen]
    return X, y


def measure(name: str, options: dict[str, Any], seed: int, arguments: argparse.Namespace, splits: Any) -> None:
    """Train and test one detector, with box regression and without; keep the outcome."""
    path = arguments.out / f"{name} {seed}.json".replace(",", "").replace(" ", "_").replace("(", "").replace(")", "")
    if path.exists():
        return
    (X, y), (X_test, y_test) = map(data, splits)
    model = detector(proposals_of(arguments), None, arguments.jobs, seed=seed, **options)
    start = time.perf_counter()
    model.fit(X, y)
    trained = time.perf_counter() - start
    found = model.predict(X_test)
    tested = time.perf_counter() - start - trained
    precision = average_precision(y_test, found)
    outcome = {
        "name": name,
        "seed": seed,
        "map": 100 * precision.mean,
        "by class": {str(label): 100 * value for label, value in precision.by_class.items()},
        "length": int(model.vectorizer_.n_features_out_),
        "training": trained,
        "testing": tested,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "jobs": arguments.jobs,
    }
    if (name == BASE and seed == 0) or name.startswith("inside"):  # the same without what moves boxes
        outcome |= without(model, X_test, y_test)
    path.write_text(json.dumps(outcome, indent=1))
    print(
        name,
        seed,
        {key: round(outcome[key], 2) for key in ("map", *WITHOUT, "training", "testing", "memory") if key in outcome},
        flush=True,
    )


def without(model: Any, X: list[str], y: list[Any]) -> dict[str, float]:
    """Return what a detector finds without what moves its boxes, one after the other."""
    found = {}
    model.set_params(voting_iou=None)
    found[WITHOUT[0]] = 100 * average_precision(y, model.predict(X)).mean
    model.regressors_ = [None] * len(model.classes_)
    found[WITHOUT[1]] = 100 * average_precision(y, model.predict(X)).mean
    return found


def proposals_of(arguments: argparse.Namespace) -> Any:
    """Return the default proposals, made once for all rows and kept in one file."""
    path = arguments.out / "boxes.npz"
    if not path.exists():
        made = {}
        for split in ("trainval", "test"):
            for image in data(split)[0]:
                boxes = remembered_boxes(default_proposals(), image, arguments.out / "boxes")
                made[Path(image).stem] = np.round(boxes).astype(np.int16)
        np.savez_compressed(path, **made)
    with np.load(path) as boxes:
        return GivenBoxes({name: boxes[name].astype(np.float64) for name in boxes.files})


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("boxes", "choose", "run", "table"))
    parser.add_argument("names", nargs="*", help="rows, by default all")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--best", default=BEST)
    parser.add_argument("--out", type=Path, default=Path("detection_voc"))
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True, parents=True)
    if arguments.what == "boxes":
        proposals_of(arguments)
    elif arguments.what == "choose":
        for name in arguments.names or CANDIDATES:
            measure(f"inside {name}", CANDIDATES[name], 0, arguments, ("inside train", "inside test"))
    elif arguments.what == "run":
        for seed in arguments.seeds:
            for name in arguments.names or rows(arguments.best):
                measure(name, rows(arguments.best)[name], seed, arguments, ("trainval", "test"))
    else:
        write(arguments)


def write(arguments: argparse.Namespace) -> None:
    """Write the tables of what there is."""
    known = [json.loads(path.read_text()) for path in sorted(arguments.out.glob("*.json"))]
    inside = [own for own in known if own["name"].startswith("inside ")]
    chosen = [(own["name"].removeprefix("inside "), f"{own['map']:.1f}", own["length"]) for own in inside]
    base = {own["seed"]: own for own in known if own["name"] == BASE}
    lines = []
    for name in rows(arguments.best):
        mine = [own for own in known if own["name"] == name]
        if mine:
            gains = [own["map"] - base[own["seed"]]["map"] for own in mine if own["seed"] in base and name != BASE]
            lines.append(row(name, [own["map"] for own in mine], gains, mine))
        if mine and name == BASE:
            for other in WITHOUT:
                mine = [own for own in mine if other in own]
                plain = [own[other] for own in mine]
                lines.append(row(other, plain, [own[other] - own["map"] for own in mine], mine))
    keep(
        "detection_voc",
        "Detection: 650 photographs of PASCAL VOC 2007 to train on, 250 to test",
        "Mean average precision at an overlap of 0.5, VOC 2007's rule, in per cent. Minutes are by the wall, "
        "where other work may have run beside.",
        "## Chosen inside the 650: 450 to train, 200 to test, one seed\n\n"
        + table(["setting, images at 688", "mAP", "values a box"], chosen),
        f"## On the 250: {arguments.best!r}, and one ingredient changed\n\n"
        + table(["row", "seeds", "mAP", "against the first", "values a box", "training, min", "workers", "GB"], lines),
    )


def row(name: str, maps: list[float], gains: list[float], mine: list[Any]) -> tuple[Any, ...]:
    """Return a row of the table."""
    spread = f" ± {np.std(maps, ddof=1):.1f}" if len(maps) > 1 else ""
    gain = f"{np.mean(gains):+.1f}" if gains else ""
    minutes = f"{np.mean([own['training'] for own in mine]) / 60:.1f}"
    memory = f"{max(own['memory'] for own in mine):.1f}"
    return name, len(maps), f"{np.mean(maps):.1f}{spread}", gain, mine[0]["length"], minutes, mine[0]["jobs"], memory


if __name__ == "__main__":
    main()
