"""Detection on PASCAL VOC 2007's photographs: what each ingredient gives, choices made inside the training photographs.

`python benchmarks/detection_voc.py choose` tries settings on 450 of the 650 training photographs, the other 200 to
test; `run` trains rows of the table on the 650, at three seeds, and tests on the 250; `table` writes what there is.
Each outcome is kept in a file under --out, so that the work can be cut into pieces; with --maps, networks' maps are
kept in a folder and made once for all rows and seeds: what is then left of the time is no measure of a training.
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
WITHOUT = "no voting", "boxes as proposed"
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

SINGLE = "ResNet-18 alone, machines"
WIDE = ("efficientnet_lite0_features", "mobilenetv2_1.0_features")  # 1280 channels: without the finest level


def rows() -> dict[str, tuple[str | None, dict[str, Any]]]:
    """Return the rows of the table: what a row is held against, and its setting."""
    best = CANDIDATES[BEST]
    whole = {name: (layers, (1,), weight) for name, (layers, _, weight) in NETWORKS.items()}
    single = {**RESNET, "C": best["C"]}
    return {
        BASE: (None, best),
        "1x1 alone": (BASE, {**best, "network": whole}),
        "windows drawn alike, none far, 64 an image": (BASE, {**best, "far_share": 0.0, "windows_per_image": 64}),
        "machines behind the head": (BASE, {**best, "machines": True, "least_score": -1.5}),
        SINGLE: (None, single),
        "ResNet-18: 1x1 alone": (SINGLE, {**single, "levels": (1,)}),
        "ResNet-18: negatives drawn at random": (SINGLE, {**single, "hard_negatives": False}),
        "ResNet-18: boxes voted": (SINGLE, {**single, "voting_iou": 0.5}),
        "ResNet-18: machines behind a fine-tuned head": (SINGLE, {**single, "head": "torch"}),
        "ResNet-18: a head that scores": (SINGLE, {**single, **TORCH, "voting_iou": None}),
        **{
            f"{name} alone, machines": (SINGLE, {**single, **network_of(name)})
            for name in PREPROCESS
            if name != RESNET["network"]
        },
        f"{LITE} alone, five scales": (f"{LITE} alone, machines", {**single, **network_of(LITE), "scales": FIVE}),
        "SIFT words": (SINGLE, {"network": None, "scales": None, "C": best["C"]}),
    }


def network_of(name: str) -> dict[str, Any]:
    """Return the options of a network by itself."""
    return {"network": name, "layers": LAYERS.get(name), "levels": (1, 2, 3) if name in WIDE else (1, 2, 3, 6)}


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
    maps: Any = None,
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
        vectorizer: Any = vectorizer_of(network, layers, levels, norm, maps)
    else:
        weights = {name: weight for name, (_, _, weight) in network.items()}
        parts = [(name, vectorizer_of(name, *own, norm, maps)) for name, (*own, _) in network.items()]
        vectorizer = RegionUnion(parts, transformer_weights=weights)
    return RegionDetector(vectorizer=vectorizer, scales=scales, **given)


def vectorizer_of(network: str, layers: Any, levels: Any, norm: Any, maps: Any) -> spm.PyramidVectorizer:
    """Return what describes regions by one network."""
    features = spm.FeatureMap(
        str(data_home() / "weights" / f"{network}.onnx"), layers=layers, preprocess=PREPROCESS[network]
    )
    pyramid = spm.SpatialPyramid(levels=levels, pool="max", weights=None)
    return spm.PyramidVectorizer(features=features, pyramid=pyramid, norm=norm, memory=maps)


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
    model = detector(proposals_of(arguments), None, arguments.jobs, seed=seed, maps=arguments.maps, **options)
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
        "maps kept": arguments.maps is not None,
    }
    if name in (BASE, SINGLE) or name.startswith("inside"):
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
    if model.voting_iou is not None:
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
    parser.add_argument("--maps", type=Path, help="folder for networks' maps, 10 GB")
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
            for name in arguments.names or rows():
                measure(name, rows()[name][1], seed, arguments, ("trainval", "test"))
    else:
        write(arguments)


def write(arguments: argparse.Namespace) -> None:
    """Write the tables of what there is."""
    known = [json.loads(path.read_text()) for path in sorted(arguments.out.glob("*.json"))]
    inside = [own for own in known if own["name"].startswith("inside ")]
    chosen = [(own["name"].removeprefix("inside "), f"{own['map']:.1f}", own["length"]) for own in inside]
    of_rows = {name: {own["seed"]: own for own in known if own["name"] == name} for name in rows()}
    lines = []
    for name, (base, _) in rows().items():
        mine = of_rows[name]
        if mine:
            lines.append(row(name, mine, of_rows.get(base, {}), "map"))
        lines += [
            row(f"{name}: {other}", mine, mine, other)
            for other in WITHOUT
            if any(other in own for own in mine.values())
        ]
    absent = ", ".join(name for name in rows() if not of_rows[name])
    keep(
        "detection_voc",
        "Detection: 650 photographs of PASCAL VOC 2007 to train on, 250 to test",
        "Mean average precision at an overlap of 0.5, VOC 2007's rule, in per cent. Minutes are by the wall, the least "
        "and the most of the seeds: up to eight other programs ran beside; where none stand, networks' maps were kept "
        "from row to row.",
        "## Chosen inside the 650: 450 to train, 200 to test, one seed\n\n"
        + table(["setting, images at 688", "mAP", "values a box"], chosen),
        f"## On the 250: {BEST!r}, and one ingredient changed; then one network alone\n\n"
        "Differences are means over seeds of each row less what it is held against at the same seed, and their spread."
        "\n\n"
        + table(["row", "seeds", "mAP", "held against", "values a box", "training, min", "GB"], lines)
        + (f"\n\nNot measured yet: {absent}." if absent else ""),
    )


def row(name: str, mine: dict[int, Any], base: dict[int, Any], key: str) -> tuple[Any, ...]:
    """Return a row of the table."""
    of_seeds = {seed: own for seed, own in mine.items() if key in own}
    gains = [own[key] - base[seed]["map"] for seed, own in of_seeds.items() if seed in base]
    minutes = [own["training"] / 60 for own in of_seeds.values() if not own.get("maps kept")]
    memory = max(own["memory"] for own in of_seeds.values())
    return (
        name,
        len(of_seeds),
        spread([own[key] for own in of_seeds.values()], ".1f"),
        spread(gains, "+.1f"),
        next(iter(of_seeds.values()))["length"],
        " to ".join(dict.fromkeys(f"{value:.1f}" for value in (min(minutes), max(minutes)))) if minutes else "",
        f"{memory:.1f}",
    )


def spread(values: list[float], form: str) -> str:
    """Return a mean and, of several, its standard deviation."""
    if not values:
        return ""
    return f"{np.mean(values):{form}}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
