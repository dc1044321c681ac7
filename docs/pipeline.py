"""The picture of the road: a scene in, ``pipeline.png`` out, on which SPM and SPP go through the same stages.

Nothing on it is made up: patches, words, maps, counts, vectors and decision values are those of two models, which are
learned here from scenes that need no download. Run it after a change of how spm describes itself:
``python docs/pipeline.py``.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import spm
from spm.images import read_image
from spm.plots.vocabulary import _word_colours

SIZE = (13.2, 5.75)  # inches
DPI = 120
IMAGE, PANEL, GAP, CELLS = 1.4, 1.5, 0.36, 1.12  # inches: the image, a panel, an arrow, the square of one level
LEVELS = (1, 2, 4)
N_WORDS, N_SHOWN = 50, 8
PLAIN, STRONG, TITLE = 12, 13, 14  # points
ROADS = {  # the name, the height of its band's foot, the colours of its drawing and of its band
    "SPM, spatial pyramid matching": (2.66, "#0072B2", "#EAF3FA"),
    "SPP, spatial pyramid pooling": (0.10, "#C25700", "#FDF1E6"),
}
BAND, FOOT = 2.42, 0.52  # inches: the height of a band, the room for words below its panels

LEFT = 0.1  # where columns begin, in inches
FEATURES = LEFT + IMAGE + GAP + 0.1
CODES = FEATURES + PANEL + GAP
PYRAMID = CODES + PANEL + GAP
VECTOR = PYRAMID + len(LEVELS) * (CELLS + 0.08) - 0.08 + GAP
SCORES = VECTOR + 0.95 + GAP
LABELS = SCORES + 0.8 + 0.12


class Board:
    """A figure that is drawn on in inches."""

    def __init__(self):
        self.figure = plt.figure(figsize=SIZE, dpi=DPI, facecolor="white")

    def axes(self, x, y, width, height):
        """Return axes without ticks."""
        ax = self.figure.add_axes((x / SIZE[0], y / SIZE[1], width / SIZE[0], height / SIZE[1]))
        ax.set(xticks=[], yticks=[])
        return ax

    def write(self, x, y, text, size=PLAIN, **style):
        style = {"ha": "center", "va": "center", "linespacing": 1.15, **style}
        self.figure.text(x / SIZE[0], y / SIZE[1], text, fontsize=size, **style)

    def arrow(self, x0, y0, x1, y1, colour):
        ends = [(x / SIZE[0], y / SIZE[1]) for x, y in ((x0, y0), (x1, y1))]
        style = {
            "arrowstyle": "-|>",
            "mutation_scale": 18,
            "linewidth": 2.2,
            "color": colour,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        self.figure.add_artist(matplotlib.patches.FancyArrowPatch(*ends, **style))

    def band(self, x, y, width, height, colour):
        place = (x / SIZE[0], y / SIZE[1])
        shape = matplotlib.patches.Rectangle(place, width / SIZE[0], height / SIZE[1], color=colour, zorder=-1)
        self.figure.add_artist(shape)


def draw():
    """Return the figure."""
    scenes = spm.datasets.make_layouts(24, n_classes=3)
    names = np.array(scenes.target_names)[scenes.target]
    train, test = np.array(scenes.train), np.array(scenes.test)
    models = [
        spm.presets.lazebnik2006(n_words=N_WORDS, levels=LEVELS, random_state=0),
        spm.presets.spp2014(levels=LEVELS, random_state=0),
    ]
    for model in models:
        model.fit(scenes.data[train], names[train])
    right = np.logical_and(*(model.predict(scenes.data[test]) == names[test] for model in models))
    image = scenes.data[test[np.flatnonzero(right)[0]]]
    board = Board()
    heads(board)
    start = sum(foot + FOOT + PANEL / 2 for foot, *_ in ROADS.values()) / len(ROADS)
    show(board.axes(LEFT, start - IMAGE / 2, IMAGE, IMAGE), image)
    board.write(LEFT + IMAGE / 2, start - IMAGE / 2 - 0.2, "of any size")
    for (road, (foot, colour, paper)), model, stages in zip(
        ROADS.items(), models, (spm_stages, spp_stages), strict=True
    ):
        middle = foot + FOOT + PANEL / 2
        board.band(FEATURES - 0.1, foot, SIZE[0] - FEATURES + 0.1, BAND, paper)
        board.write(FEATURES, foot + BAND - 0.18, road, STRONG, ha="left", color=colour, weight="bold")
        board.arrow(LEFT + IMAGE + 0.05, start, FEATURES - 0.05, middle, colour)
        stages(board, foot, colour, image, model)
        decide(board, foot, colour, image, model)
    return board.figure


def heads(board):
    """Write the stages, on one line above both roads."""
    y = SIZE[1] - 0.3
    board.band(0, y - 0.24, SIZE[0], 0.48, "#E4E4E4")
    names = {
        "image": LEFT + IMAGE / 2,
        "local features": FEATURES + PANEL / 2,
        "codes": CODES + PANEL / 2,
        "spatial pyramid": (PYRAMID + VECTOR - GAP) / 2,
        "vector": VECTOR + 0.475,
        "SVM": SCORES + 0.4,
        "label": LABELS + 0.6,
    }
    for name, x in names.items():
        board.write(x, y - 0.07, name, TITLE, weight="bold", va="baseline")
    for x in (FEATURES - 0.28, *(x - GAP / 2 for x in (CODES, PYRAMID, VECTOR, SCORES)), LABELS + 0.02):
        board.write(x, y - 0.07, "→", TITLE, va="baseline")


def show(ax, pixels, **style):
    ax.imshow(pixels, interpolation="nearest", aspect="auto", **style)


def below(board, x, foot, text):
    board.write(x, foot + FOOT - 0.07, text, va="top")


def spm_stages(board, foot, colour, image, model):
    """Draw patches, a map of words and counts in cells."""
    vec, base = model[0], foot + FOOT
    grey = read_image(image, "grey")
    ax = board.axes(FEATURES, base, PANEL, PANEL)
    for i, j in np.ndindex(8, 8):
        patch = grey[16 * i : 16 * i + 16, 16 * j : 16 * j + 16]
        ax.imshow(patch, cmap="gray", vmin=0, vmax=255, extent=(20 * j, 20 * j + 16, 20 * i + 16, 20 * i))
    ax.set(xlim=(0, 156), ylim=(156, 0), aspect="auto")
    ax.set_axis_off()
    below(board, FEATURES + PANEL / 2, foot, "patches\nDenseSIFT")
    board.arrow(CODES - GAP + 0.05, base + PANEL / 2, CODES - 0.05, base + PANEL / 2, colour)
    ax = spm.plots.word_map(image, model, ax=board.axes(CODES, base, PANEL, PANEL))
    ax.set_title("")
    ax.set_aspect("auto")
    below(board, CODES + PANEL / 2, foot, "words\nBagOfWords")
    board.arrow(PYRAMID - GAP + 0.05, base + PANEL / 2, PYRAMID - 0.05, base + PANEL / 2, colour)
    cells = vec.transform([image]).reshape(-1, N_WORDS)
    shown = np.argsort(-cells[0])[:N_SHOWN]  # the most frequent ones
    cells, shades = cells[:, shown], _word_colours(vec.encoder_, N_WORDS)[shown]
    for level, ax in enumerate(pyramid_axes(board, foot)):
        n = LEVELS[level]
        values = cells[sum(k * k for k in LEVELS[:level]) :][: n * n].reshape(n, n, N_SHOWN)
        i, j, k = np.indices(values.shape)
        heights = 0.85 * values / values.max()
        left = j + 0.08 + 0.84 * k / N_SHOWN
        ax.bar(left.ravel(), -heights.ravel(), 0.8 / N_SHOWN, i.ravel() + 1, align="edge", color=shades[k.ravel()])
        ax.set(xlim=(0, n), ylim=(n, 0))
    below(board, (PYRAMID + VECTOR - GAP) / 2, foot - 0.17, "how often each word occurs in each cell")


def spp_stages(board, foot, colour, image, model):
    """Draw channels of the map, and their maxima in the bins."""
    vec, base = model[0], foot + FOOT
    local = vec.features_.extract(image)
    maps = local.values.reshape(*local.grid, -1)
    chosen = np.argsort(-maps.std(axis=(0, 1)))[:3]
    side = PANEL - 0.3
    for k, channel in enumerate(chosen[::-1]):
        ax = board.axes(FEATURES + 0.15 * (2 - k), base + 0.15 * (2 - k), side, side)
        show(ax, maps[:, :, channel], cmap="cividis")
    below(board, FEATURES + PANEL / 2, foot, "cells of maps\nFeatureMap")
    board.arrow(CODES - GAP + 0.05, base + PANEL / 2, PYRAMID - 0.05, base + PANEL / 2, colour)
    board.write(CODES + PANEL / 2, base + PANEL / 2 + 0.3, "none", STRONG, weight="bold")
    board.write(CODES + PANEL / 2, base + PANEL / 2 - 0.36, "the cells' values\ngo on as they are")
    high = maps[:, :, chosen[0]].max()
    pooled = vec.pyramid_.cells(local)[0][:, chosen[0]]
    for level, ax in enumerate(pyramid_axes(board, foot)):
        n = LEVELS[level]
        values = pooled[sum(k * k for k in LEVELS[:level]) :][: n * n].reshape(n, n)
        show(ax, values, cmap="cividis", extent=(0, n, n, 0), vmin=0, vmax=high)
    below(board, (PYRAMID + VECTOR - GAP) / 2, foot - 0.17, "the largest value of each map in each cell")


def pyramid_axes(board, foot):
    """Yield the axes of the levels, then draw their cells over what is on them."""
    base = foot + FOOT + 0.12
    for level, n in enumerate(LEVELS):
        x = PYRAMID + level * (CELLS + 0.08)
        ax = board.axes(x, base + 0.07, CELLS, CELLS)
        yield ax
        for line in range(1, n):
            ax.axhline(line, color="0.35", linewidth=1)
            ax.axvline(line, color="0.35", linewidth=1)
        board.write(x + CELLS / 2, base - 0.09, f"{n} × {n}")


def decide(board, foot, colour, image, model):
    """Draw the vector, the decision values and the classes' names."""
    base, middle = foot + FOOT, foot + FOOT + PANEL / 2
    vector = model[0].transform([image])[0]
    board.arrow(VECTOR - GAP + 0.05, middle, VECTOR - 0.05, middle, colour)
    ax = board.axes(VECTOR, base, 0.95, PANEL)
    ax.barh(np.arange(len(vector)), vector, 1.0, color=colour)
    ax.set(ylim=(len(vector), 0), xlim=(0, np.quantile(vector, 0.998)))
    norm = model[0].norm if isinstance(model[0].norm, str) else model[0].norm[-1]
    below(board, VECTOR + 0.475, foot, f"{len(vector):,} values\nnorm {norm}")
    board.arrow(SCORES - GAP + 0.05, middle, SCORES - 0.05, middle, colour)
    scores = model.decision_function([image])[0]
    ax = board.axes(SCORES, base, 0.8, PANEL)
    best = int(scores.argmax())
    ax.barh(range(len(scores)), scores, 0.6, color=[colour if k == best else "0.6" for k in range(len(scores))])
    ax.axvline(0, color="black", linewidth=1)
    ax.set(ylim=(len(scores) - 0.5, -0.5))
    below(board, SCORES + 0.4, foot, f"KernelSVC\n{model[-1].kernel}")
    for k, name in enumerate(model.classes_):
        first, second, third, fourth = name.split("-")
        text = f"{first} {second}\n{third} {fourth}"
        style = {"weight": "bold", "color": colour} if k == best else {"color": "0.35"}
        y = base + PANEL * (1 - (k + 0.5) / len(scores))
        board.write(LABELS + 0.02, y, text, PLAIN, ha="left", **style)


def save(path):
    """Write the picture, in few colours: as small as a page that is read often wants it."""
    figure = draw()
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[:, :, :3]
    plt.close(figure)
    Image.fromarray(pixels).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    save(Path(__file__).with_name("pipeline.png"))
