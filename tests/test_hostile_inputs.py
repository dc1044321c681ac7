"""Hostile input: whatever comes, a result or one SpmError; benchmarks/hostile_inputs.py tries 10^5."""

import io
import os
import struct
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
from hostile_files import broken, files
from hostile_kinds import KINDS, Kinds, tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from sklearn.utils import Bunch

import spm
from spm._tools import image_files
from spm.boxes import check_boxes
from spm.datasets import read_train_list
from spm.detection import load_objects
from spm.errors import ImageError, SpmError
from spm.images import content_of, read_image, reading_once
from spm.networks import layers

FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
FILES = files()
VEC = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=3), random_state=0)
VEC.fit(np.random.default_rng(0).integers(0, 256, (2, 40, 48), dtype=np.uint8))

numbers = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=5))
things = st.recursive(
    numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)
dtypes = st.one_of(
    hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(), hnp.complex_number_dtypes(),
    hnp.boolean_dtypes(), hnp.unicode_string_dtypes(max_len=3), hnp.datetime64_dtypes(),
)  # fmt: skip
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=24))
)


def result_or_error(make):
    """Return what it makes, or None for an error of spm's; all others are let through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make()
        except SpmError as error:
            assert str(error)
            return None


@pytest.mark.parametrize("ending", FILES)
def test_broken_files_of_every_format(ending, tmp_path):
    random, path, others = np.random.default_rng(1), tmp_path / f"a.{ending}", list(FILES.values())
    path.write_bytes(FILES[ending])
    assert read_image(path).shape == (29, 37, 3) or ending in ("ico", "icns")
    refused = 0
    for _ in range(12):
        path.write_bytes(broken(FILES[ending], random, others))
        image = result_or_error(lambda: read_image(path))
        refused += image is None
        assert image is None or (image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3)
    assert refused  # they are broken


@FEW
@given(arrays)
def test_arrays_of_any_kind(array):
    image = result_or_error(lambda: read_image(array))
    assert image is None or (image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3)


@FEW
@given(things)
def test_things_that_are_no_images(thing):
    with pytest.raises(SpmError):
        VEC.transform(thing)


@FEW
@given(st.one_of(arrays, things, st.lists(st.lists(st.floats(), min_size=4, max_size=4), min_size=1, max_size=3)))
def test_boxes_of_any_kind(boxes):
    checked = result_or_error(lambda: check_boxes(boxes))
    assert checked is None or (checked.ndim == 2 and checked.shape[1] == 4 and np.isfinite(checked).all())


@pytest.mark.parametrize(
    "boxes", [[[0, 0, 10**400, 5]], [[0, 0, 1j, 5]], [[0, 0, "a", 5]], [[0, 0, 5]], [[0, 0, None, 5]]]
)
def test_boxes_of_other_numbers_are_refused(boxes):
    with pytest.raises(SpmError):
        check_boxes(boxes)


@FEW
@given(st.lists(st.lists(st.floats(-60, 60), min_size=4, max_size=4), min_size=1, max_size=3))
def test_vectors_of_any_boxes_are_finite(boxes):
    image = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
    vectors = result_or_error(lambda: VEC.transform_regions(image, boxes))
    assert vectors is None or (vectors.shape == (len(boxes), VEC.n_features_out_) and np.isfinite(vectors).all())


ESTIMATORS = [
    spm.PyramidVectorizer(), spm.DenseSIFT(), spm.BagOfWords(), spm.SpatialPyramid(), spm.KernelSVC(), spm.VLAD(),
    spm.FisherVector(), spm.SparseCoding(), spm.LLC(), spm.HomogeneousMap(),
]  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 40, 48), dtype=np.uint8)
ROWS = np.abs(np.random.default_rng(0).normal(size=(2, 4))).astype(np.float32)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_options_of_any_value(estimator):
    """What an option cannot be is said by name before anything is done."""
    names = sorted(set(estimator.get_params(deep=False)) - {"random_state", "verbose", "n_jobs", "memory"})

    @FEW
    @given(st.sampled_from(names), st.one_of(st.text(max_size=4), st.complex_numbers(), st.binary(max_size=3)))
    def with_option(name, value):
        changed = type(estimator)(**{**estimator.get_params(deep=False), name: value})
        if isinstance(changed, spm.SpatialPyramid):
            result_or_error(changed.grids)
        elif isinstance(changed, spm.DenseSIFT):
            result_or_error(lambda: changed.extract(IMAGES[0]))
        else:
            images = isinstance(changed, spm.PyramidVectorizer)
            result_or_error(lambda: changed.fit(IMAGES if images else ROWS, [0, 1]))

    with_option()


def test_an_image_of_too_many_pixels_is_refused_unread(tmp_path):
    head = b"P5\n200000 200000\n255\n"
    (tmp_path / "a.pgm").write_bytes(head + bytes(100))
    with pytest.raises(ImageError, match="pixels"):
        read_image(tmp_path / "a.pgm")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    return Kinds(tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("kind", KINDS)
def test_bad_inputs_of_every_kind(kinds, kind):
    """The first of those that benchmarks/hostile_inputs.py tries."""
    found = [tried(kinds, kind, at) for at in range(40)]
    assert set(found) <= {"a result", "SpmError"} and "SpmError" in found


# Limits


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path):
    """They have holes, and take no room on the disk; whoever read them would fill the memory."""
    for name, read in {
        "a.jpg": read_image, "b.jpg": content_of, "c.spm": spm.load, "d.csv": spm.load_table, "e.json": load_objects,
        "f.onnx": layers, "g.txt": lambda path: read_train_list(path, Bunch(data=[], folder=".")),
    }.items():  # fmt: skip
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 2**40)
        with pytest.raises(SpmError, match=f"{name}.* 1,099,511,627,776 bytes; no more than [0-9,]* are read"):
            read(tmp_path / name)


def test_a_jpeg_of_very_many_scans_is_refused_undecoded(tmp_path):
    """Each goes over all pixels and may be a few bytes: a small file can take hours."""
    file = io.BytesIO()
    Image.new("L", (2000, 2000), 128).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last = whole[whole.rindex(b"\xff\xc4", 0, whole.rindex(b"\xff\xda")) : -2]  # its last scan with what it needs
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:-2] + last * 3000 + b"\xff\xd9")
    with pytest.raises(ImageError, match=r"more than 2,500 scans, each of its 4,000,000 pixels, which take too long"):
        read_image(path)
    path.write_bytes(whole[:-2] + last * 5 + b"\xff\xd9")
    assert read_image(path).shape == (2000, 2000, 3)
    film, preview = b"\xff\xda" * 5000, b"\xff\xe7\xff\xff" + b"\xff\xda" * 32766 + b"."
    path.write_bytes(whole[:2] + preview + whole[2:] + film)  # neither is of the image
    assert read_image(path).shape == (2000, 2000, 3)


def test_only_a_file_that_may_have_many_scans_is_looked_through():
    """A sequential JPEG with all components in its first scan has no other; libjpeg refuses one."""

    def content(**options):
        file = io.BytesIO()
        Image.new("RGB", (40, 40), "teal").save(file, "JPEG", **options)
        return file.getvalue()

    plain, progressive = content(), content(progressive=True)
    at = plain.index(b"\xff\xda") + 4  # where the scan tells how many components it has
    parted = plain[:at] + b"\1" + plain[at + 1 :]
    thumbnail = b"\xff\xe1" + (len(plain) + 2).to_bytes(2, "big") + plain
    inside = [file[:2] + thumbnail + file[2:] for file in (plain, progressive)]
    restart = b"\xff\xd8\xff\x01" + progressive[2:]  # a marker without a segment
    found = [image_files._is_one_scan(file) for file in (plain, progressive, parted, *inside, restart, plain[:100])]
    assert found == [True, False, False, True, False, False, False]
    file = io.BytesIO(plain + b"\xff\xda" * 500)
    assert not image_files.scans_are_many(file, 3)
    assert image_files.scans_are_many(io.BytesIO(progressive + b"." * 9), 3)


@pytest.mark.parametrize("once", [False, True])
def test_a_decoder_that_takes_long_is_stopped(tmp_path, monkeypatch, once):
    """By the processor's time of its thread, not by the clock: a busy machine refuses nothing."""
    monkeypatch.setattr(image_files, "MAX_SECONDS", 0.05)
    path = tmp_path / "a.qoi"  # decoded in Python, pixel by pixel
    pixels = np.random.default_rng(0).integers(0, 256, (300 * 300, 3), dtype=np.uint8)
    body = np.hstack([np.full((len(pixels), 1), 0xFE, np.uint8), pixels]).tobytes()  # each pixel by itself
    path.write_bytes(b"qoif" + struct.pack(">IIBB", 300, 300, 3, 0) + body + bytes(7) + b"\1")
    with (
        pytest.raises(ImageError, match=r"takes more than 0.05 seconds"),
        reading_once(path) if once else nullcontext(),
    ):
        if once:
            content_of(path)
        read_image(path)
    monkeypatch.undo()
    assert read_image(path).shape == (300, 300, 3)
