"""The gallery: the functions below in, one page with their figures, their code and the notebooks' figures out.

Run by the documentation's build. A new figure is a new function with the decorator `figure`: its docstring becomes the
text, its body the code that is shown. What is expensive is learned once, in `scenes` and `words_model`.
"""

import ast
import base64
import inspect
import json
import re
import textwrap
from functools import cache
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

import spm

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
FIGURES = []


def figure(function):
    """Put a function into the gallery; it returns the axes that it drew on."""
    FIGURES.append(function)
    return function


@cache
def scenes():
    """The layouts: the same four materials in every scene, in different places."""
    return spm.datasets.make_layouts(24, n_classes=4)


@cache
def words_model():
    """Spatial pyramid matching, learned from half of the scenes."""
    X, y = np.array(scenes().data), np.array(scenes().target_names)[scenes().target]
    return spm.presets.lazebnik2006(n_words=100, random_state=0).fit(X[scenes().train], y[scenes().train])


@figure
def pyramid():
    """The pyramid over an image.

    Grids of cells, coarse to fine, and below them each cell's histogram of visual words.
    """
    scene = scenes().data[0]
    return spm.plots.pyramid(scene, words_model())


@figure
def words():
    """Visual words.

    A word is the centre of a cluster of patches: on the left the mean of its patches, then those nearest to it. Here
    the first eight of 100 that were learned from two photographs.
    """
    photographs = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    vectorizer = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=100), random_state=0).fit(photographs)
    return spm.plots.words(vectorizer, photographs, words=range(8), n_nearest=10)


@figure
def word_map():
    """Which word lies where.

    Each patch of an image in the colour of its word. A bag of words counts the colours; a pyramid keeps their places.
    """
    photograph = load_sample_image("china.jpg")
    return spm.plots.word_map(photograph, words_model())


@figure
def evidence_by_cell():
    """What votes for a class, by cell.

    The votes are exact: with the intercept they add up to the decision value.
    """
    scene = scenes().data[scenes().test[0]]
    return spm.plots.evidence(scene, words_model())


@figure
def evidence_by_feature():
    """What votes for a class, by local feature.

    The same votes, each handed back to the patches that it came from.
    """
    scene = scenes().data[scenes().test[0]]
    return spm.plots.evidence(scene, words_model(), by="feature")


@figure
def neighbours():
    """Images that are alike.

    What scikit-learn's `NearestNeighbors` finds with the vectors, and how far away. The classes of these scenes
    have the same materials in different places: a bag of words would find any of them.
    """
    from sklearn.neighbors import NearestNeighbors

    images = list(scenes().data)
    vectors = words_model()[0].transform(images)
    search = NearestNeighbors(n_neighbors=6, metric="cityblock").fit(vectors)
    distances, positions = search.kneighbors(vectors[[0, 30, 60]])
    return spm.plots.neighbours([images[i] for i in (0, 30, 60)], images, positions, distances)


@figure
def feature_map():
    """A feature map and its bins.

    Channels of a convolutional layer over the image, cut into the bins of spatial pyramid pooling.
    """
    model = spm.presets.spp2014(levels=(1, 2, 3)).fit(scenes().data, scenes().target)
    return spm.plots.feature_map(load_sample_image("china.jpg"), model, channels=3)


@figure
def curve():
    """Accuracy against levels.

    Single levels and whole pyramids, on scenes whose classes differ by place alone.
    """
    splits = [(scenes().train, scenes().test)]
    rows = []
    for levels in [(1,), (2,), (4,), (1, 2), (1, 2, 4)]:
        model = spm.presets.lazebnik2006(n_words=50, levels=levels, random_state=0)
        result = spm.evaluate(model, scenes().data, scenes().target, cv=splits)
        rows.append({"levels": levels, "accuracy": result.accuracy})
    return spm.plots.curve(rows)


@figure
def confusion():
    """Which classes are taken for which.

    A bag of words on the same scenes: it cannot know, and guesses.
    """
    labels = np.array(scenes().target_names)[scenes().target]
    model = spm.presets.lazebnik2006(n_words=50, levels=(1,), random_state=0)
    splits = [(scenes().train, scenes().test)]
    return spm.plots.confusion(spm.evaluate(model, scenes().data, labels, cv=splits))


@figure
def precision_recall():
    """Precision against recall, class by class.

    Of a model with ten words: one with more makes nearly no mistakes on these scenes.
    """
    X, y = np.array(scenes().data), np.array(scenes().target_names)[scenes().target]
    model = spm.presets.lazebnik2006(n_words=10, levels=(1, 2), random_state=0)
    model.fit(X[scenes().train], y[scenes().train])
    return spm.plots.precision_recall(model.decision_function(X[scenes().test]), y[scenes().test], model.classes_)


@figure
def detections():
    """Boxes with scores.

    Those of any detector; these were set by hand.
    """
    photograph = load_sample_image("china.jpg")
    boxes = [[60, 25, 355, 335], [20, 330, 620, 420]]
    return spm.plots.detections(photograph, boxes, [2.31, 0.84], ["temple", "garden"])


def page(folder):
    """Draw all figures into a folder and write its page, ``index.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# Gallery", "", INTRODUCTION]
    for function in FIGURES:
        name = function.__name__
        axes = np.ravel(function())[0]
        axes.figure.savefig(folder / f"{name}.png", dpi=100, bbox_inches="tight")
        plt.close("all")
        title, _, text = inspect.getdoc(function).partition("\n")
        parts += [
            f"## {title.rstrip('.')}",
            text.strip(),
            f"![{title}]({name}.png)",
            f"```python\n{body_of(function)}\n```",
        ]
    parts += from_notebooks(NOTEBOOKS, folder)
    (folder / "index.md").write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


INTRODUCTION = """What `spm.plots` draws, each figure with the lines that made it. Every function takes and returns
matplotlib's axes, in notebooks and without a screen. `scenes()` are `spm.datasets.make_layouts(24, n_classes=4)`;
`words_model()` is `spm.presets.lazebnik2006(n_words=100)`, learned from half of them."""


def body_of(function):
    """Return the lines of a function behind its docstring, as one writes them outside of it."""
    lines = inspect.getsource(function).splitlines()
    docstring = ast.parse(textwrap.dedent("\n".join(lines))).body[0].body[0]
    return textwrap.dedent("\n".join(lines[docstring.end_lineno :])).replace("return ", "")


def from_notebooks(notebooks, folder):
    """Copy the figures that the notebooks were committed with; return the page's parts about them."""
    parts = []
    for path in sorted(notebooks.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        headings = ["", ""]
        for number, cell in enumerate(cells):
            source = "".join(cell["source"])
            found = re.findall(r"^(#+) +(.+)$", source, re.MULTILINE) if cell["cell_type"] == "markdown" else []
            for level, text in found:
                headings[0 if len(level) == 1 else 1] = text
            for k, picture in enumerate(pictures_of(cell)):
                name = f"{path.stem}-{number}-{k}.png"
                (folder / name).write_bytes(picture)
                if not any(part == f"## {headings[0]}" for part in parts):
                    parts += [f"## {headings[0]}", f"From the notebook `notebooks/{path.name}`."]
                parts += [f"![{headings[1] or headings[0]}]({name})", f"*{headings[1]}*" if headings[1] else ""]
    return parts


def pictures_of(cell):
    """Return the PNG images among a notebook cell's outputs."""
    data = [output.get("data", {}) for output in cell.get("outputs", [])]
    return [base64.b64decode("".join(each["image/png"])) for each in data if "image/png" in each]


if __name__ == "__main__":
    page(Path(__file__).parent / "gallery")
