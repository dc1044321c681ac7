"""CONTRIBUTING.md: its worked example is short, runs as it stands there, and passes scikit-learn's checks."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_architecture import FLOOR_OF

import spm

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
if not PAGE.is_file():
    pytest.skip("CONTRIBUTING.md is in the clone alone", allow_module_level=True)

TEXT = PAGE.read_text(encoding="utf-8")
ENCODER, USE, EXTRACTOR = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
NAMES = {"__name__": __name__}  # pickles find the class here
exec(ENCODER, NAMES)
exec(EXTRACTOR, NAMES)
TriangleWords, BlockColours = NAMES["TriangleWords"], NAMES["BlockColours"]


@parametrize_with_checks([TriangleWords(n_words=2, random_state=0)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_it_is_short():
    assert len(ENCODER.splitlines()) < 40


def test_its_weights_are_those_of_the_paper():
    X = np.random.default_rng(0).random((30, 4)).astype(np.float32)
    encoder = TriangleWords(n_words=3, random_state=0).fit(X)
    for x, code in zip(X, encoder.transform(X), strict=True):
        distances = [np.sqrt(((x - word) ** 2).sum()) for word in encoder.words_]
        wanted = [max(0, sum(distances) / 3 - distance) for distance in distances]
        assert np.allclose(code, wanted, atol=1e-3)  # distances by products lose digits


def test_it_takes_its_place_on_the_road():
    names = dict(NAMES)
    exec(USE, names)
    vectorizer = names["model"][0]
    assert type(vectorizer.encoder_) is TriangleWords
    assert vectorizer.transform(names["scenes"].data[:1]).shape == (1, 20 * 21)
    assert len(vectorizer.get_feature_names_out()) == 20 * 21


def test_the_extractor_takes_its_place_too():
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    local = BlockColours().extract(images[0])
    assert len(local) == 6 and np.allclose(local.values[4], images[0, 16:32, 16:32].mean(axis=(0, 1)))
    assert local.extents[4].tolist() == [24, 24, 24, 24]
    for features in (BlockColours(), spm.Mirrored(BlockColours(side=8))):
        vec = spm.PyramidVectorizer(features=features, encoder=spm.BagOfWords(n_words=3), random_state=0)
        assert vec.fit_transform(images).shape == (3, 63)
    assert len(list(spm.stream_descriptors(images, BlockColours(), batch_size=4))) > 1
    vec.check(images[0])


@pytest.mark.parametrize("pool", ["sum", "mean", "max"])
def test_every_pool_takes_its_codes(pool):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32), dtype=np.uint8)
    pyramid = spm.SpatialPyramid(levels=(1, 2), pool=pool)
    vec = spm.PyramidVectorizer(encoder=TriangleWords(n_words=4), pyramid=pyramid, norm=None, random_state=0)
    assert vec.fit_transform(images).shape == (2, 20)


def test_every_folder_has_its_place_in_the_order_of_the_floors():
    rows = re.findall(r"^\| [^|]* \| ((?:`\w+` ?)+) \|$", TEXT, re.MULTILINE)
    named = [name for names in rows for name in re.findall(r"`(\w+)`", names)]
    floors = [FLOOR_OF[name] for name in named]
    assert floors == sorted(floors) and len(named) == len(set(named))
    here = Path(spm.__file__).parent
    assert {path.parent.name for path in here.glob("*/__init__.py")} | {"vectorizer", "storage"} <= set(named)
