"""Crops of the reserved parts of two photographs in, the small network ``texture_net.onnx`` out.

``python train_texture_net.py`` writes the file into the current folder, ``-o PATH`` elsewhere; it takes one to three
minutes on one core and needs torch and onnx. The crops come from `spm.datasets.RESERVED_BOXES` alone. What
`spm.datasets.make_layouts` shows lies outside them, so its scenes test the network on pixels that it has never seen.
``texture_net.md`` is the network's card.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC
from tqdm import tqdm

from spm.datasets import RESERVED_BOXES

Box = tuple[int, int, int, int]

ROWS, COLUMNS = 5, 4  # of the sub-regions into which a reserved box is cut
N_CLASSES = 20  # so many of them, those with the most detail, are the classes
CROP, LEAST = 40, 28  # side of a crop, and of the smallest square of a photograph that becomes one
STEPS, BATCH, RATE = 1200, 64, 3e-3  # of training
#: name, inputs, outputs, kernel, stride, padding: even kernels, so that a cell lies over its pixels without offset
LAYERS = (
    ("conv1", 3, 24, 6, 2, 2),
    ("conv2", 24, 40, 4, 2, 1),
    ("conv3", 40, 48, 3, 1, 1),
    ("conv4", 48, 56, 4, 2, 1),
    ("conv5", 56, 64, 3, 1, 1),
)


class Patch(NamedTuple):
    """One class: the photograph it lies in, and the boxes (x0, y0, x1, y1) for training and those held out."""

    source: str
    train: tuple[Box, Box]
    held_out: tuple[Box, Box]


def patches() -> list[Patch]:
    """Cut the reserved boxes into sub-regions and return the `N_CLASSES` with the most detail, in reading order.

    Of a sub-region's quarters, two that touch at a corner train and the other two are held out. Detail is measured
    on the training pixels alone.
    """
    found = []
    for source, (left, top, right, bottom) in RESERVED_BOXES.items():
        grey = load_sample_image(source).mean(axis=2)
        height, width = (bottom - top) // ROWS // 2, (right - left) // COLUMNS // 2
        for i, j in np.ndindex(ROWS, COLUMNS):
            corners = [(left + (2 * j + b) * width, top + (2 * i + a) * height) for a, b in np.ndindex(2, 2)]
            quarters = [(x, y, x + width, y + height) for x, y in corners]
            patch = Patch(source, (quarters[0], quarters[3]), (quarters[1], quarters[2]))
            found.append((sum(_detail(grey[y0:y1, x0:x1]) for x0, y0, x1, y1 in patch.train), patch))
    least = sorted(detail for detail, _ in found)[-N_CLASSES]
    return [patch for detail, patch in found if detail >= least]


def _detail(grey: np.ndarray) -> float:
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def crops(patches: list[Patch], part: str, labels: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draw one crop a label from its patch's `part`, "train" or "held_out": (n, CROP, CROP, 3), float32 in 0..255.

    Square, scale, mirroring, grey or colour, contrast, brightness, tint and noise are all left to chance.
    """
    photographs = {source: Image.fromarray(load_sample_image(source)) for source in RESERVED_BOXES}
    images = np.empty((len(labels), CROP, CROP, 3), dtype=np.float32)
    for image, label in zip(images, labels, strict=True):
        x0, y0, x1, y1 = getattr(patches[label], part)[rng.randint(2)]
        side = LEAST * (min(x1 - x0, y1 - y0) / LEAST) ** rng.uniform()
        x, y = x0 + rng.uniform() * (x1 - x0 - side), y0 + rng.uniform() * (y1 - y0 - side)
        cut = photographs[patches[label].source].crop((x0, y0, x1, y1))  # so that no pixel beyond it is blended in
        square = (x - x0, y - y0, x - x0 + side, y - y0 + side)
        image[:] = np.asarray(cut.resize((CROP, CROP), Image.Resampling.BILINEAR, box=square))
        if rng.randint(2):
            image[:] = image[:, ::-1]
    return jitter(images, rng)


def jitter(images: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Change contrast, brightness, tint and noise of each image, and make every second one grey, by chance."""
    n = len(images)
    grey = images @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    images = np.where((rng.uniform(size=n) < 0.5)[:, None, None, None], grey[..., None], images)
    gain = rng.uniform(0.5, 1.5, (n, 1, 1, 1)) * rng.uniform(0.85, 1.15, (n, 1, 1, 3))
    images = (images - images.mean(axis=(1, 2, 3), keepdims=True)) * gain + 128
    images += rng.uniform(-30, 30, (n, 1, 1, 1)) + rng.uniform(-15, 15, (n, 1, 1, 3))
    images += rng.uniform(0, 30, (n, 1, 1, 1)) * rng.standard_normal(images.shape)
    return np.clip(np.rint(images), 0, 255).astype(np.float32)


def preprocess(images: np.ndarray) -> np.ndarray:
    """Take RGB pixels in 0..255, (n, height, width, 3), to what the network eats, (n, 3, height, width)."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2) / 127.5 - 1, dtype=np.float32)


def build() -> Any:
    """Return the untrained network with batch normalisation: torch's own initial weights."""
    from torch import nn

    parts: list[Any] = []
    for _, inputs, outputs, kernel, stride, padding in LAYERS:
        parts += [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*parts)


def train(seed: int) -> tuple[Any, Any]:
    """Train network and head to tell, in every cell of the map, from which sub-region a crop comes; return both."""
    import torch
    from torch import nn

    torch.set_num_threads(1)  # the order of sums, and with it the result, would depend on their number
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    rng = np.random.RandomState(seed)
    classes = patches()
    network, head = build(), nn.Conv2d(LAYERS[-1][2], len(classes), 1)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in tqdm(range(STEPS), desc="training", disable=None):
        labels = rng.randint(len(classes), size=BATCH)
        scores = head(network(torch.from_numpy(preprocess(crops(classes, "train", labels, rng)))))
        target = torch.from_numpy(labels)[:, None, None].expand(-1, *scores.shape[2:])
        optimizer.zero_grad()
        nn.functional.cross_entropy(scores, target).backward()
        optimizer.step()
        schedule.step()
    return network.eval(), head.eval()


def accuracies(network: Any, head: Any, per_class: int = 100) -> dict[str, float]:
    """Measure the network on fresh crops: what the card states."""
    import torch

    def maps(classes: list[Patch], part: str, seed: int) -> tuple[Any, np.ndarray]:
        labels = np.repeat(np.arange(len(classes)), per_class)
        pixels = preprocess(crops(classes, part, labels, np.random.RandomState(seed)))
        with torch.no_grad():
            return torch.cat([network(some) for some in torch.from_numpy(pixels).split(100)]), labels

    def by_head(cells: Any, labels: np.ndarray) -> float:
        with torch.no_grad():
            return float((head(cells).mean((2, 3)).argmax(1).numpy() == labels).mean())

    def by_svm(fitted: tuple[Any, np.ndarray], tested: tuple[Any, np.ndarray]) -> float:
        pooled = [normalize(cells.amax((2, 3)).numpy()) for cells, _ in (fitted, tested)]
        return float(LinearSVC(C=1, random_state=0).fit(pooled[0], fitted[1]).score(pooled[1], tested[1]))

    classes = patches()
    quarters = [Patch(source, (box, box), (box, box)) for source, _, boxes in classes for box in boxes]
    seen, unseen = maps(classes, "train", 1001), maps(classes, "held_out", 1002)
    return {
        "head, pixels seen in training": by_head(*seen),
        "head, pixels held out": by_head(*unseen),
        "linear SVM on max-pooled cells, pixels held out": by_svm(seen, unseen),
        f"linear SVM, which of the {len(quarters)} held-out quarters": by_svm(
            maps(quarters, "train", 1003), maps(quarters, "held_out", 1004)
        ),
    }


def to_onnx(network: Any) -> Any:
    """Write the graph by hand, each batch normalisation folded into the convolution before it."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, weights, before = [], [], "data"
    for (name, _, _, kernel, stride, padding), conv, norm in zip(LAYERS, network[::3], network[1::3], strict=True):
        gain = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
        folded = {"weight": conv.weight.detach() * gain[:, None, None, None]}
        folded["bias"] = norm.bias.detach() - norm.running_mean * gain
        weights += [numpy_helper.from_array(value.numpy(), f"{name}/{key}") for key, value in folded.items()]
        sides = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
        nodes.append(helper.make_node("Conv", [before, f"{name}/weight", f"{name}/bias"], [name], name=name, **sides))
        before = f"{name}/relu"
        nodes.append(helper.make_node("Relu", [name], [before], name=before))
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    sides = ["batch", LAYERS[-1][2], "map_height", "map_width"]
    result = helper.make_tensor_value_info(before, TensorProto.FLOAT, sides)
    graph = helper.make_graph(nodes, "texture_net", [data], [result], weights)
    model = helper.make_model(graph, producer_name="spm", opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model.doc_string = "RGB / 127.5 - 1 in, 64 channels at stride 8 out; texture_net.md is the card"
    checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Train, write the file and print what the card states."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", default="texture_net.onnx")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    network, head = train(options.seed)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    model = to_onnx(network).SerializeToString()
    with open(options.output, "wb") as file:
        file.write(model)
    n_parameters = sum(outputs * (inputs * kernel**2 + 1) for _, inputs, outputs, kernel, _, _ in LAYERS)
    print(f"{options.output}: {len(model):,} bytes, {n_parameters:,} parameters")
    for name, accuracy in accuracies(network, head).items():
        print(f"{100 * accuracy:5.1f} %  {name}")


if __name__ == "__main__":
    main()
