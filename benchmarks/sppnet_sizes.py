"""Training at several sizes: what it brings on 15-Scene, from a trained trunk and from scratch, and what it costs.

One command, whose parts can be run one by one: what is measured is added to ``OUT/sppnet_sizes.jsonl`` line by line,
what is there already is not measured again, and the tables and plots are made of all lines.

    python benchmarks/sppnet_sizes.py --device cuda --parts throughput,table,best,scratch --out results/sppnet
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from _common import data_home, scene15, scene15_fixed, table

import spm
from spm._tools.parallel import in_order
from spm.networks.session import open_network
from spm.nn import ShapeBuckets, SPPNetClassifier
from spm.nn.training.fitting import held_out, input_of, mode_of, sizes_of
from spm.nn.training.frozen import freeze_below
from spm.nn.training.pixels import Pictures
from spm.nn.training.views import Looks, batches

TEST_SIZES: tuple[Any, ...] = (160, 224, 288, 352, "full")
SEVERAL = (224, 288, 352)  # whose probabilities are averaged: one more way to test
LITE0 = {"preprocess": {"mean": 127 / 255, "std": 128 / 255}}
TRUNKS: dict[str, dict[str, Any]] = {  # the last blocks learn
    "efficientnet_lite0.onnx": {
        "trunk": "efficientnet_lite0_features.onnx",
        "freeze": "_blocks_12__expand_conv_Conv_output_0",
        **LITE0,
    },
    "efficientnet_lite0": {"trunk": "efficientnet_lite0", "freeze": "_blocks.12", **LITE0},
    "mobilenetv2": {"trunk": "mobilenetv2_1.0_features.onnx", "freeze": None, "preprocess": "imagenet"},
}
WITH_NORMS = ("efficientnet_lite0",)  # files have theirs folded into their convolutions
BELOW = {  # of a file: the layer whose map goes in where something begins to learn, and its last
    "_blocks_12__expand_conv_Conv_output_0": "/_blocks.11/_project_conv/Conv_output_0",
    "head": None,
}
WARPED = {"schedule": "fixed", "policy": "warp", "sizes": (224,)}
TWO = {"schedule": "alternate", "sizes": (224, 180)}
WAYS: dict[str, dict[str, Any]] = {
    "no SPP: plain head, warped 224": {**WARPED, "pool": "plain", "test_policy": "warp", "test_size": 224},
    "no SPP: global mean, warped 224": {**WARPED, "pool": "mean", "levels": (1,)},
    "SPP, one size (224)": {"schedule": "fixed", "sizes": (224,)},
    "SPP, two sizes (224, 180)": TWO,
    "SPP, a range (160 to 288)": {"schedule": "range", "sizes": (160, 288), "step": 32},
    "SPP, free sizes in buckets": {"schedule": "free", "sizes": (None,), "step": 32},
    "SPP, free at two sizes (288, 224)": {"schedule": "free", "sizes": (288, 224), "step": 32},
    "SPP, two sizes, weights averaged": {**TWO, "average": 0.99},
    "SPP, two sizes, norms learned": {**TWO, "keep_norms": False, "test_size": 288},
    "SPP, two sizes, norms at the test size": {**TWO, "keep_norms": False, "renorm": True, "test_size": 288},
    **{
        f"SPP, whole at {' '.join(map(str, sizes))}, the head alone": {
            "schedule": "free",
            "sizes": sizes,
            "freeze": "head",
            "levels": (1, 2, 3),
            "epochs": 30,
        }
        for sizes in ((224,), (288,), (288, 224, 352))
    },
}


class Journal:
    """Lines of what was measured, by what they are of."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "sppnet_sizes.jsonl"
        self.lines = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def once(self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
        """Measure what is not there yet, and add it."""
        if any(key.items() <= line.items() for line in self.lines):
            return
        start = time.perf_counter()
        line = key | measure() | {"wall_seconds": round(time.perf_counter() - start, 1)}
        self.lines.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        shown = {name: value for name, value in line.items() if name != "history"}
        print(json.dumps(shown), flush=True)

    def of(self, part: str) -> list[dict[str, Any]]:
        """Return the lines of a part."""
        return [line for line in self.lines if line["part"] == part]


class Scenes:
    """15-Scene, its images decoded once: the fixed split, and a tenth of its training images to choose by."""

    def __init__(self, share: float) -> None:
        paths, self.y = scene15()
        train, test = scene15_fixed()
        if share < 1:
            random = np.random.default_rng(0)
            train, test = (random.choice(part, int(share * len(part)), replace=False) for part in (train, test))
        with ThreadPoolExecutor() as pool:
            pixels = list(pool.map(lambda path: spm.images.read_image(path, "stored"), paths))
        held = held_out(np.unique(self.y[train], return_inverse=True)[1], 0.1, 0)
        self.images, self.all, self.train, self.test = pixels, train, train[~held], test
        self.tested = {name: Tested(self, at) for name, at in (("held", train[held]), ("test", test))}

    def take(self, at: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Return images and labels."""
        return [self.images[i] for i in at], self.y[at]


def accuracy(model: Any, images: Any, labels: np.ndarray) -> float:
    """Return the mean per-class accuracy in percent."""
    said = model.predict(images)
    return 100 * float(np.mean([np.mean(said[labels == name] == name) for name in np.unique(labels)]))


class Tested:
    """Images at every test size, as the layers that no way trains see them: computed once for all ways and seeds."""

    def __init__(self, scenes: Scenes, at: np.ndarray) -> None:
        self.images, self.labels = scenes.take(at)
        self.maps: dict[Any, list[tuple[list[int], Any]]] = {}  # at what is known of each, batch by batch

    def accuracies(self, model: SPPNetClassifier, sizes: tuple[Any, ...]) -> dict[str, float]:
        """Return the mean per-class accuracy in percent at each size, and of several sizes' mean."""
        said = {size: self.probabilities(model, size) for size in sizes}
        if set(SEVERAL) <= set(sizes):
            said["several"] = np.mean([said[size] for size in SEVERAL], axis=0)
        right = {size: model.classes_[own.argmax(axis=1)] == self.labels for size, own in said.items()}
        names = np.unique(self.labels)
        return {
            str(size): 100 * float(np.mean([own[self.labels == k].mean() for k in names]))
            for size, own in right.items()
        }

    def probabilities(self, model: SPPNetClassifier, size: Any) -> np.ndarray:
        """Return what a model says at one size: what `predict_proba` does, whose lower layers are not run again."""
        import torch

        network = model.module_
        if model.freeze is None or model.renorm:
            return model.set_params(test_size=size).predict_proba(self.images)
        lower, learned = freeze_below(network, model.freeze)
        key = size, model.test_policy, model.freeze, tuple(model.levels) if model.freeze == "head" else ()
        if key not in self.maps:
            lower = by_file(model, network) or lower
            make = input_of(model, network, torch.device("cpu"))
            looks = Looks(sizes_of(size), model.test_policy)
            pictures = Pictures(self.images, mode_of(make))

            def below(batch: Any) -> tuple[list[int], Any]:
                return batch[0], lower(make(batch[1]))

            self.maps[key] = list(in_order(below, batches(pictures, looks, model.batch_size), n_jobs=2))
        said = np.empty((len(self.images), len(model.classes_)), dtype=np.float32)
        with torch.no_grad():
            for at, maps in self.maps[key]:
                said[at] = learned.eval()(*maps).softmax(1).numpy()
        return said


def by_file(model: SPPNetClassifier, network: Any) -> Callable[[Any], tuple[Any, ...]] | None:
    """Return what runs a file's layers that do not learn in onnxruntime: torch prepares anew for every shape it meets.

    A fit leaves them as they are in the file.
    """
    import torch

    if not str(model.trunk).endswith(".onnx") or model.freeze not in BELOW:
        return None
    layer = BELOW[model.freeze]
    session = open_network(model.trunk, None if layer is None else (layer,), None)

    @torch.no_grad()
    def lower(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        each = [session.run(image[None].numpy())[0][0] for image in images]
        maps = torch.from_numpy(np.stack(each))
        return (network.pool(maps) if model.freeze == "head" else maps,)

    return lower


def trunk_options(name: str) -> dict[str, Any]:
    """Return what a trunk is made of."""
    options = dict(TRUNKS[name])
    if options["trunk"].endswith(".onnx"):
        options["trunk"] = str(data_home() / "weights" / options["trunk"])
    return options


def fine_tuned(scenes: Scenes, way: str, seed: int, arguments: Any, train: np.ndarray) -> dict[str, Any]:
    """Fine-tune one way; return accuracies at every test size, on images held out and on the test images."""
    options = trunk_options(arguments.trunk) | {"epochs": arguments.epochs, "lr": 1e-3, "trunk_lr": arguments.trunk_lr}
    options |= {"label_smoothing": 0.1, "validation": None, "device": arguments.device, "n_jobs": -1}
    options |= {"random_state": seed, "memory": arguments.maps, **WAYS[way]}
    test_sizes = (options["test_size"],) if "test_size" in options else arguments.test_sizes
    options["test_size"] = options.get("test_size", 288)
    start = time.perf_counter()
    model = SPPNetClassifier(**options).fit(*scenes.take(train))
    seconds = time.perf_counter() - start
    found: dict[str, Any] = {"fit_seconds": round(seconds, 1), "loss": model.history_[-1]["loss"]}
    return found | {name: own.accuracies(model, test_sizes) for name, own in scenes.tested.items()}


def best_of(lines: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the way and the test size that are best on images held out inside the training set."""
    scores: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        for size, value in line["held"].items():
            scores.setdefault((line["way"], size), []).append(value)
    return max(scores, key=lambda pair: (float(np.mean(scores[pair])), pair))


def from_scratch(scenes: Scenes, way: str, seed: int, arguments: Any) -> dict[str, Any]:
    """Train the small trunk from scratch; the test images are looked at after every epoch, and choose nothing.

    All sizes are a share of those of the other table, which a processor has no time for; of free sizes, a share of 224
    for the shorter side.
    """
    few, share = scenes.test[:: arguments.curve_every], arguments.scratch_share
    options = {"trunk": "small", "epochs": arguments.scratch_epochs, "lr": 2e-3, "device": arguments.device}
    options |= {"n_jobs": -1, "random_state": seed, "validation": scenes.take(few), **WAYS[way]}

    def smaller(size: Any) -> Any:
        return size if size in (None, "full") else round(share * size)

    tested = (options["test_size"],) if "test_size" in options else TEST_SIZES
    options["sizes"] = tuple(smaller(224 if size is None and share < 1 else size) for size in options["sizes"])
    options["step"], options["test_size"] = smaller(options.get("step", 32)), smaller(options.get("test_size", 224))
    start = time.perf_counter()
    model = SPPNetClassifier(**options).fit(*scenes.take(scenes.all))
    found: dict[str, Any] = {"fit_seconds": round(time.perf_counter() - start, 1), "share": share}
    found |= {"history": model.history_, "loss": model.history_[-1]["loss"], "test": {}}
    for size in tested:
        found["test"][str(size)] = accuracy(model.set_params(test_size=smaller(size)), *scenes.take(scenes.test))
    return found


# What sizes cost


def shapes_of(scenes: Scenes, side: int, n: int) -> np.ndarray:
    """Return shapes of photographs at about the area of a square, their ratios as 15-Scene's."""
    random = np.random.default_rng(0)
    shapes = np.array([image.shape[:2] for image in scenes.images], dtype=float)
    shapes = shapes[random.integers(0, len(shapes), n)]
    areas = side**2 * random.uniform(0.7, 1.4, n)
    return np.rint(shapes * np.sqrt(areas / shapes.prod(axis=1))[:, None]).astype(int)


def groups_of(way: str, shapes: np.ndarray, side: int, batch: int) -> tuple[list[list[tuple[int, int, int]]], float]:
    """Return the tensors (images, height, width) of each optimiser step, and the fill of batches."""
    n = len(shapes)
    if way == "fixed":
        return [[(min(batch, n - k), side, side)] for k in range(0, n, batch)], 1.0
    if way == "one by one":
        return [[(1, int(h), int(w)) for h, w in shapes[k : k + batch]] for k in range(0, n, batch)], 1 / batch
    buckets = ShapeBuckets(shapes, batch, step=16 if side < 150 else 32, least=batch // 2, random_state=0)
    steps: list[list[tuple[int, int, int]]] = [[] for _ in range(-(-n // batch))]  # as many as the other ways have
    taken = 0
    for at in buckets:
        steps[taken // batch].append((len(at), *buckets.targets[at[0]].tolist()))
        taken += len(at)
    return steps, buckets.fill


def rate(way: str, side: int, scenes: Scenes, arguments: Any) -> dict[str, Any]:
    """Return images a second in training and inference of ResNet-18 with SPP; the tensors are there before."""
    import torch

    from spm.nn import spp_net

    device = torch.device(
        arguments.device if arguments.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    kind, batch = device.type, arguments.batch
    shapes = shapes_of(scenes, side, arguments.images)
    steps, fill = groups_of(way, shapes, side, batch)
    torch.manual_seed(0)
    network = spp_net("resnet18", n_classes=15, head=()).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    mixed = torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda")
    image = torch.randn(3, 2 * side, 3 * side, device=device)

    def inputs(n: int, height: int, width: int) -> Any:
        return image[None, :, :height, :width].expand(n, -1, -1, -1).contiguous()

    def train() -> None:
        network.train()
        for step in steps:
            optimizer.zero_grad(set_to_none=True)
            for shape in step:
                with mixed:
                    scores = network(inputs(*shape))
                target = torch.zeros(len(scores), dtype=torch.long, device=device)
                (torch.nn.functional.cross_entropy(scores.float(), target, reduction="sum") / batch).backward()
            optimizer.step()

    @torch.no_grad()
    def infer() -> None:
        network.eval()
        for shape in (shape for step in steps for shape in step):
            with mixed:
                network(inputs(*shape))

    def timed(work: Callable[[], None]) -> float:
        best = np.inf
        for k in range(1 + arguments.repeats):  # the first warms up
            start = time.perf_counter()
            work()
            if kind == "cuda":
                torch.cuda.synchronize()
            best = best if k == 0 else min(best, time.perf_counter() - start)
        return best

    n, pixels = len(shapes), sum(k * h * w for step in steps for k, h, w in step)
    return {
        "train": round(n / timed(train), 1), "infer": round(n / timed(infer), 1), "fill": round(fill, 3),
        "mean_pixels": pixels // n, "steps": len(steps), "tensors": sum(map(len, steps)),
        "on": torch.cuda.get_device_name() if kind == "cuda" else "cpu", "threads": torch.get_num_threads(),
    }  # fmt: skip


# Tables and plots


def over_sizes(lines: list[dict[str, Any]]) -> str:
    """Return a table of ways and test sizes: means and spreads over seeds."""
    rows = []
    for way in dict.fromkeys(line["way"] for line in lines):
        own = [line for line in lines if line["way"] == way]
        cells = []
        for size in map(str, (*TEST_SIZES, "several")):
            values = [line["test"][size] for line in own if size in line["test"]]
            cells.append(f"{np.mean(values):.1f} ± {np.std(values):.1f}" if values else "-")
        rows.append([way, *cells, len(own)])
    return table(
        ["trained", *(f"at {size}" for size in TEST_SIZES), "mean of " + ", ".join(map(str, SEVERAL)), "seeds"], rows
    )


def report(journal: Journal, folder: Path) -> None:
    """Print and write tables and plots of all that was measured."""
    blocks = ["# Training at several sizes"]
    if journal.of("table"):
        way, size = best_of(journal.of("table"))
        chosen = [line["test"][size] for line in journal.of("table") if line["way"] == way]
        blocks += ["## Fine-tuned, mean per-class accuracy on the test images", over_sizes(journal.of("table"))]
        blocks.append(f"Chosen by images held out: {way}, tested at {size}: {np.mean(chosen):.2f} on the test images.")
    for line in journal.of("best"):
        blocks.append(f"Of all training images, {line['way']}, seed {line['seed']}: {line['test'][line['size']]:.2f}.")
    if journal.of("scratch"):
        blocks += ["## From scratch, the small trunk", over_sizes(journal.of("scratch"))]
        curves(journal.of("scratch"), folder)
    if journal.of("throughput"):
        lines = journal.of("throughput")
        names = ("on", "side", "way", "train", "infer", "fill", "mean_pixels", "steps", "tensors")
        blocks += [
            "## Images a second, ResNet-18 with SPP",
            table(names, [[line[name] for name in names] for line in lines]),
        ]
        costs(lines, folder)
    text = "\n\n".join(blocks) + "\n"
    (folder / "sppnet_sizes.md").write_text(text)
    print(text)


def costs(lines: list[dict[str, Any]], folder: Path) -> None:
    """Plot images a second, a panel for training and one for inference, at every side what each way has."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sides, ways = (list(dict.fromkeys(line[name] for line in lines)) for name in ("side", "way"))
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, kind, title in zip(axes, ("train", "infer"), ("training", "inference"), strict=True):
        for k, way in enumerate(ways):
            rates = [line[kind] for side in sides for line in lines if (line["side"], line["way"]) == (side, way)]
            bars = axis.bar(np.arange(len(rates)) + 0.27 * (k - 1), rates, 0.25, label=way)
            axis.bar_label(bars, fmt="%.0f", fontsize=7)
        axis.set_xticks(range(len(sides)), [f"{side} x {side} pixels" for side in sides])
        axis.set_title(f"{title}, images a second", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(folder / "sppnet_throughput.png", dpi=110)


def curves(lines: list[dict[str, Any]], folder: Path) -> None:
    """Plot accuracy by epoch on training and test images, a panel a way."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    first = {line["way"]: line["history"] for line in reversed(lines)}
    figure, axes = plt.subplots(1, len(first), figsize=(3 * len(first), 3), sharey=True, squeeze=False)
    for axis, (way, history) in zip(axes[0], sorted(first.items()), strict=True):
        for key, label in (("accuracy", "training"), ("validation_accuracy", "test")):
            axis.plot([found["epoch"] for found in history], [100 * found[key] for found in history], label=label)
        axis.set_title(way, fontsize=7)
        axis.set_xlabel("epoch")
    axes[0, 0].set_ylabel("accuracy %")
    axes[0, 0].legend()
    figure.tight_layout()
    figure.savefig(folder / "sppnet_sizes_curves.png", dpi=110)


def parted(text: str) -> tuple[Any, ...]:
    return tuple(size if size == "full" else int(size) for size in text.split(","))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--parts", default="throughput,table,best,scratch")
    parser.add_argument("--ways", default="", help="beginnings of names, parted by ; all by default")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--test-sizes", type=parted, default=TEST_SIZES, help="of the fine-tuned, parted by commas")
    parser.add_argument("--trunk", choices=TRUNKS, default="efficientnet_lite0.onnx")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--trunk-lr", type=float, default=1e-4)
    parser.add_argument("--scratch-epochs", type=int, default=40)
    parser.add_argument("--scratch-share", type=float, default=1.0, help="of the sizes in pixels, from scratch")
    parser.add_argument("--curve-every", type=int, default=5, help="of the test images, for curves")
    parser.add_argument("--images", type=int, default=256, help="of which throughput is measured")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sides", default="96,224")
    parser.add_argument("--share", type=float, default=1.0, help="of 15-Scene, to try the program")
    parser.add_argument("--maps", type=Path, default=Path(tempfile.gettempdir()) / "spm-maps", help="of what is frozen")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "sppnet_sizes")
    return parser.parse_args()


def jobs(scenes: Scenes, arguments: argparse.Namespace, journal: Journal) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield what is to be measured: its key, and what measures it."""
    parts, seeds = arguments.parts.split(","), [int(seed) for seed in arguments.seeds.split(",")]
    beginnings = tuple(way.strip() for way in arguments.ways.split(";") if way.strip())
    ways = [way for way in WAYS if not beginnings or way.startswith(beginnings)]
    for part in parts:
        if part == "throughput":
            for side in map(int, arguments.sides.split(",")):
                for way in ("fixed", "buckets", "one by one"):
                    key = {"part": part, "way": way, "side": side, "device": arguments.device, "batch": arguments.batch}
                    yield key, lambda way=way, side=side: rate(way, side, scenes, arguments)
        for seed in seeds if part in ("table", "scratch") else ():
            for way in ways:
                if part == "table" and "keep_norms" in WAYS[way] and arguments.trunk not in WITH_NORMS:
                    continue
                key = {"part": part, "way": way, "seed": seed, "trunk": arguments.trunk}
                if part == "table":
                    yield key, lambda way=way, seed=seed: fine_tuned(scenes, way, seed, arguments, scenes.train)
                else:
                    yield key, lambda way=way, seed=seed: from_scratch(scenes, way, seed, arguments)
        for seed in seeds if part == "best" and journal.of("table") else ():
            way, size = best_of(journal.of("table"))
            key = {"part": part, "way": way, "seed": seed, "trunk": arguments.trunk, "size": size}
            yield key, lambda way=way, seed=seed: fine_tuned(scenes, way, seed, arguments, scenes.all)


def main() -> None:
    arguments = parse()
    journal, scenes = Journal(arguments.out), Scenes(arguments.share)
    for key, measure in jobs(scenes, arguments, journal):
        journal.once(key, measure)
    report(journal, arguments.out)


if __name__ == "__main__":
    main()
