"""Bad inputs of every kind: a kind, a number and a random generator in, what tries such an input out.

An input goes by its number and the seed alone, so that one that fails can be made again.
"""

import io
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
from hostile_files import broken, files
from PIL import Image

import spm
from spm._tools.files import read_shipped
from spm.boxes import check_boxes
from spm.datasets import read_train_list
from spm.detection import Objects, load_objects, save_coco, save_voc, save_yolo
from spm.images import read_image
from spm.networks import layers
from spm.storage._archive import seal

TYPES = ["u1", "i1", "u2", "i8", "f2", "f4", "f8", "c8", "?", "U2", "M8[s]", "O", "V3"]
WORDS = [
    "", "nan", "inf", "-inf", "1e999", "-1", "0", "9" * 400, "1e308", "0x10", "\0", "../../../etc/passwd", "/dev/zero",
    "null", "true", "[]", "{}", '"', "'", "&amp;", "&x;", "<object/>", "</object>", "<!DOCTYPE a>", "\ud800", "\u00e9",
    "\n", "[" * 500, "1,2", "!!python/object:os.system", "*a", "&a", "- ", ": ", "dog", "cat", "train", "test",
]  # fmt: skip
"""What is put in the place of a word of a text."""

VALUES = [
    None, True, -1, 0, 0.5, 1.5, 3, float("nan"), float("inf"), 1j, "", "a", "l1", b"b", (), (0,), (-1,), (1.5,),
    ("a",), [], [1], {}, {"a": 1}, set(), object(), int, np.array(3), np.array([1, 2]), np.float32(2), np.str_("l2"),
]  # fmt: skip
"""What is put in the place of an option's value."""

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
ROWS = np.abs(np.random.default_rng(0).normal(size=(6, 4))).astype(np.float32)
ESTIMATORS = [
    spm.PyramidVectorizer(), spm.DenseSIFT(), spm.BagOfWords(), spm.SpatialPyramid(), spm.KernelSVC(), spm.VLAD(),
    spm.FisherVector(), spm.SparseCoding(), spm.LLC(), spm.HomogeneousMap(), spm.EdgePoints(), spm.CensusTransform(),
]  # fmt: skip
LEFT_OUT = {"random_state", "verbose", "n_jobs", "memory"}


class Kinds:
    """The kinds of inputs, each a method that takes a number and a generator and returns what tries it.

    Parameters
    ----------
    folder : Path
        An empty folder, for files.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.sources = list(files().items())
        words = spm.BagOfWords(n_words=4, random_state=0).fit(np.random.default_rng(0).random((50, 8)))
        self.model = spm.save(words, self.folder / "m").read_bytes()
        self.net = read_shipped("texture_net.onnx")
        self.vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=3), random_state=0).fit([IMAGE, IMAGE[::-1]])
        self._data_sets()

    def _data_sets(self):
        """Write a small data set of each layout, and a table and a list of images."""
        images = [self.folder / "photos" / name / f"{k}.png" for name in "ab" for k in range(2)]
        for path in images:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(IMAGE).save(path)
        objects = [Objects([[1, 2, 20, 30], [5, 5, 40, 38]], ["dog", "cat"], difficult=[False, True])] * 4
        arrays = [IMAGE] * 4
        save_voc(self.folder / "voc", arrays, objects, split="train")
        save_yolo(self.folder / "yolo", arrays, objects, split="train")
        save_coco(self.folder / "photos" / "all.json", images, objects)
        names = [os.path.relpath(path, self.folder / "photos") for path in images]
        lines = ["file,label,split", *(f"{name},{name[0]},{'test' if '1' in name else 'train'}" for name in names)]
        (self.folder / "photos" / "table.csv").write_text("\n".join(lines))
        (self.folder / "photos" / "list.txt").write_text("\n".join(names[:2]))
        self.photos = spm.load_folder(self.folder / "photos")
        texts = {".xml", ".txt", ".yaml", ".json", ".csv"}
        places = {"VOC": "voc", "YOLO": "yolo", "": "photos"}
        self.texts = {}
        for kind, place in places.items():
            found = [path for path in sorted((self.folder / place).rglob("*")) if path.suffix in texts]
            self.texts[kind] = [(path, path.read_bytes()) for path in found]

    def image_file(self, at, random):
        """A broken file of an image, of each format in turn."""
        ending, content = self.sources[at % len(self.sources)]
        path = self.folder / f"a.{ending}"
        path.write_bytes(broken(content, random, [other for _, other in self.sources]))
        return lambda: read_image(path)

    def model_file(self, at, random):
        """A broken file of a model; each second time one of its parts is broken, and it is sealed as a right one is."""
        path = self.folder / "a.spm"
        path.write_bytes(self._resealed(random) if at % 2 else broken(self.model, random, [self.net]))
        return lambda: spm.load(path)

    def _resealed(self, random):
        with zipfile.ZipFile(io.BytesIO(self.model)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        name = _one(random, sorted(parts))
        plain = name.endswith(".json") and random.random() < 0.8
        parts[name] = _reworded(parts[name], random) if plain else broken(parts[name], random, list(parts.values()))
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        return seal(file.getvalue())

    def network(self, at, random):
        content = broken(self.net, random, [self.model])
        return lambda: layers(content)

    def array(self, at, random):
        array = _array(random, TYPES[at % len(TYPES)])
        return lambda: read_image(array)

    def boxes(self, at, random):
        boxes = [
            _array(random, TYPES[at % len(TYPES)]), random.normal(0, 60, (3, 4)), random.integers(-9, 60, (2, 4)),
            random.choice([0, -1, 1e30, np.nan, np.inf, 5, 40], (2, 4)), [[_one(random, VALUES) for _ in range(4)]],
        ][at % 5]  # fmt: skip
        return lambda: (check_boxes(boxes), self.vec.transform_regions(IMAGE, boxes))

    def option(self, at, random):
        """An option of a value that it may not have; what is left of it must fit."""
        estimator = ESTIMATORS[at % len(ESTIMATORS)]
        name = _one(random, sorted(set(estimator.get_params(deep=False)) - LEFT_OUT))
        changed = type(estimator)(**{**estimator.get_params(deep=False), name: _one(random, VALUES)})
        if isinstance(changed, spm.SpatialPyramid):
            return changed.grids
        if hasattr(changed, "views"):
            return lambda: changed.extract(IMAGE)
        images = isinstance(changed, spm.PyramidVectorizer)
        return lambda: changed.fit([IMAGE, IMAGE[::-1]] if images else ROWS, [0, 1] if images else [0, 1] * 3)

    def voc(self, at, random):
        return self._annotations("VOC", at, random, lambda path: load_objects(self.folder / "voc"))

    def yolo(self, at, random):
        return self._annotations("YOLO", at, random, lambda path: load_objects(self.folder / "yolo"))

    def coco(self, at, random):
        return self._annotations("", at, random, load_objects, ".json")

    def table(self, at, random):
        return self._annotations("", at, random, spm.load_table, ".csv")

    def image_list(self, at, random):
        return self._annotations("", at, random, lambda path: read_train_list(path, self.photos), ".txt")

    def _annotations(self, kind, at, random, load, ending=""):
        """One of the texts of a data set, with something wrong in it; it is whole again behind that."""
        found = [(path, content) for path, content in self.texts[kind] if path.suffix.endswith(ending)]
        path, content = found[at % len(found)]
        others = [content for _, content in self.texts[kind]]
        wrong = broken(content, random, others) if random.random() < 0.3 else _reworded(content, random)

        def attempt():
            path.write_bytes(wrong)
            try:
                return load(path)
            finally:
                path.write_bytes(content)

        return attempt


KINDS = {"image_file": 0.78, "array": 0.04, "boxes": 0.04, "option": 0.02, "voc": 0.025, "yolo": 0.025, "coco": 0.02,
         "table": 0.015, "image_list": 0.01, "model_file": 0.0125, "network": 0.0125}  # fmt: skip
"""How many of the inputs are of each kind."""


def tried(kinds, kind, at, seed=0):
    """Try an input; return "a result", "SpmError", or what else came of it."""
    random = np.random.default_rng([seed, at, list(KINDS).index(kind)])
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            attempt = getattr(kinds, kind)(at, random)
            attempt()
    except spm.SpmError as error:
        return "SpmError" if str(error) else "an error without words"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "a result"


def _one(random, things):
    return things[int(random.integers(len(things)))]


def _array(random, dtype):
    shape = tuple(random.integers(0, 24, random.integers(0, 5)))
    array = np.frombuffer(random.bytes(int(np.prod(shape)) * 8), "u8").reshape(shape)
    with np.errstate(all="ignore"):
        plain = array.astype("u1") if dtype in ("U2", "M8[s]", "O", "V3") else array.view("f8")
        return plain.astype(dtype)


def _reworded(content, random):
    """Put other words in the place of one or two of a text's; in JSON, other values as well."""
    text = content.decode()
    for _ in range(int(random.integers(1, 3))):
        ends = [k for k, sign in enumerate(text) if sign in ' <>,:"\n{}[]/']
        if len(ends) < 2:
            break
        k = int(random.integers(len(ends) - 1))
        plain = json.dumps(_one(random, [None, [], {}, 1e308, -5, "x"]))
        word = plain if random.random() < 0.2 else _one(random, WORDS)
        text = text[: ends[k] + 1] + word + text[ends[k + 1] :]
    return text.encode("utf-8", "surrogatepass")
