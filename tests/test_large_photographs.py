"""Large photographs: read at no more pixels than are wanted, places in the image's own pixels, decoded once a pass."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import spm
from spm import presets
from spm.images import Mirror, content_of, read_image, reading_once, see_image
from spm.images import reading as reader
from spm.storage.models import _give_defaults

SIZE = (602, 805)  # height and width: multiples of neither 8 nor 4
EXTRACTORS = {
    "sift": lambda **options: spm.DenseSIFT(patch_size=(12, 16), step=6, **options),
    "colours": lambda **options: spm.DenseSIFT(color="opponent", **options),
    "edges": lambda **options: spm.EdgePoints(threshold=0.1, **options),
    "key points": lambda **options: spm.KeypointFeatures(max_features=50, **options),
    "census": lambda **options: spm.CensusTransform(shrink=(1, 2), **options),
}


def scene(size=SIZE, seed=0):
    """Smooth blobs of colour, as photographs have them, with a bright corner that tells which side is up."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (size[0] // 40, size[1] // 40, 3), dtype=np.uint8))
    pixels = np.array(coarse.resize(size[::-1], Image.BICUBIC))
    pixels[: size[0] // 5, : size[1] // 5] = 250
    return pixels


def stored(folder, pixels, name="photo.jpg", **options):
    path = folder / name
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}), **options)
    return str(path)


def spy_on_decoding(monkeypatch):
    """Return the list in which the sizes of all decoded files are written down."""
    decoded, decode = [], reader.from_pillow

    def watch(image, *rest):
        decoded.append(image.size)
        return decode(image, *rest)

    monkeypatch.setattr(reader, "from_pillow", watch)
    return decoded


# What is read


@pytest.mark.parametrize("max_side", [805, 900, 400, 200, 100, 50, 3, 1])
@pytest.mark.parametrize("mode", ["rgb", "grey", "stored"])
def test_the_longer_side_is_brought_down_and_never_up(tmp_path, max_side, mode):
    path = stored(tmp_path, scene())
    share = min(1, max_side / 805)
    expected = max(1, round(602 * share)), max(1, round(805 * share))
    for image in (path, scene(), Image.open(path)):
        seen = see_image(image, mode, max_side=max_side)
        assert seen.size == SIZE and seen.pixels.shape[:2] == expected and seen.pixels.flags.c_contiguous
        np.testing.assert_array_equal(read_image(image, mode, max_side=max_side), seen.pixels)


@pytest.mark.parametrize(("max_side", "part"), [(403, 1), (402, 1), (201, 2), (100, 4), (50, 8), (20, 8)])
def test_a_jpeg_is_decoded_at_the_least_part_that_leaves_twice_what_is_wanted(tmp_path, monkeypatch, max_side, part):
    decoded = spy_on_decoding(monkeypatch)
    see_image(stored(tmp_path, scene()), max_side=max_side)
    assert decoded == [(-(-805 // part), -(-602 // part))]
    decoded.clear()
    see_image(stored(tmp_path, scene(), "photo.png"), max_side=max_side)
    assert decoded == [(805, 602)]


@pytest.mark.parametrize("size", [SIZE, (608, 800), (601, 799), (603, 807)])
@pytest.mark.parametrize("max_side", [200, 100, 60])
def test_decoding_a_part_is_averaging_all_of_it(tmp_path, size, max_side):
    path = stored(tmp_path, scene(size))
    part, whole = read_image(path, max_side=max_side), read_image(read_image(path), max_side=max_side)
    error = np.abs(part.astype(int) - whole)
    assert part.shape == whole.shape and error.mean() < 1 and np.percentile(error, 99) < 10
    assert abs(part.astype(float).mean() - whole.mean()) < 0.5


def test_decoding_a_part_is_averaging_all_of_it_on_photographs(data_home):
    """The bound that the bench measures, on every 100th photograph of VOC 2007 and 15-Scene."""
    folders = [("voc2007/VOC2007/JPEGImages", 1, 100), ("scene15/*", 1, 60)]
    errors = []
    for folder, _, max_side in folders:
        paths = sorted(data_home.glob(f"{folder}/*.jpg"))
        for path in paths[:: max(1, len(paths) // 12)]:
            part, whole = (read_image(image, max_side=max_side).astype(int) for image in (path, read_image(path)))
            errors.append(np.abs(part - whole).mean())
    if not errors:
        pytest.skip("needs photographs of VOC 2007 or 15-Scene")
    assert max(errors) < 6 and np.mean(errors) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("max_side", [300, 100, 40])
def test_turned_photographs(tmp_path, orientation, max_side):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = stored(tmp_path, scene(), exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    seen, whole = see_image(path, max_side=max_side), read_image(upright, max_side=max_side)
    assert seen.size == upright.shape[:2] and seen.pixels.shape == whole.shape
    assert np.abs(seen.pixels.astype(int) - whole).mean() < 1.5


@pytest.mark.parametrize("kind", ["L", "CMYK", "progressive", "MPO"])
def test_jpegs_of_every_kind(tmp_path, kind):
    image = Image.fromarray(scene())
    path = tmp_path / "photo.jpg"
    if kind == "MPO":
        image.save(path, "MPO", save_all=True, append_images=[image], quality=95)
    elif kind == "progressive":
        image.save(path, quality=95, progressive=True)
    else:
        image.convert(kind).save(path, quality=95)
    for mode in ("rgb", "grey", "stored"):
        seen, whole = see_image(path, mode, max_side=90), read_image(read_image(path, mode), mode, max_side=90)
        assert seen.size == SIZE and seen.pixels.shape == whole.shape
        assert np.abs(seen.pixels.astype(int) - whole).mean() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (2, 3), (7, 9), (15, 17), (16, 640)])
@pytest.mark.parametrize("max_side", [1, 2, 7, 30])
def test_narrow_and_tiny_jpegs(tmp_path, size, max_side):
    path = stored(tmp_path, np.full((*size, 3), 120, np.uint8))
    seen = see_image(path, max_side=max_side)
    assert seen.size == size and max(seen.pixels.shape[:2]) == min(max_side, max(size))
    assert np.abs(seen.pixels.astype(int) - 120).max() <= 1


def test_a_jpeg_cut_short_is_refused_at_any_part(tmp_path):
    content = Path(stored(tmp_path, scene())).read_bytes()
    for share in (0.2, 0.6, 0.95):
        path = tmp_path / "cut.jpg"
        path.write_bytes(content[: int(share * len(content))])
        for max_side in (None, 200, 50):
            with pytest.raises(spm.ImageError, match=r"cut\.jpg: the image is incomplete"):
                read_image(path, max_side=max_side)


@pytest.mark.parametrize("max_side", [0, -1, 2.5, "big", True])
def test_what_is_no_number_of_pixels_is_refused(max_side):
    with pytest.raises(spm.SpmError, match="max_side must be a whole number at least 1"):
        read_image(np.zeros((4, 4), np.uint8), max_side=max_side)


def test_an_image_that_somebody_has_opened_is_left_as_it_was(tmp_path):
    image = Image.open(stored(tmp_path, scene()))
    read_image(image, max_side=50)
    assert image.size == (805, 602)


# Features


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("kind", ["photo.png", "photo.jpg"])
def test_places_are_pixels_of_the_image_itself(tmp_path, name, kind):
    path = stored(tmp_path, scene(), kind)
    small = read_image(path, "rgb" if name == "colours" else "grey", max_side=150)
    for shrunk, plain in zip(
        EXTRACTORS[name](max_side=150).views(path)[0], EXTRACTORS[name]().views(small)[0], strict=True
    ):
        assert shrunk.grid == SIZE and plain.grid == small.shape[:2]
        np.testing.assert_array_equal(shrunk.values, plain.values)
        factors = np.tile([805 / small.shape[1], 602 / small.shape[0]], 2)
        np.testing.assert_allclose(shrunk.extents, plain.extents * factors, rtol=1e-6)
        assert len(shrunk) > 10 and (shrunk.extents >= 0).all() and (shrunk.extents <= [805, 602] * 2).all()


@pytest.mark.parametrize("name", EXTRACTORS)
def test_an_image_that_is_small_enough_is_described_as_ever(name):
    image = scene((120, 160))
    for one, other in zip(
        EXTRACTORS[name](max_side=160).views(image)[0], EXTRACTORS[name]().views(image)[0], strict=True
    ):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.extents, other.extents)


def test_the_bright_corner_is_found_where_it_lies(tmp_path):
    """Edge points of a shrunk photograph lie at the corner's border, 161 pixels right and 120 down."""
    path = stored(tmp_path, np.pad(np.full((120, 161), 255, np.uint8), ((0, 482), (0, 644))))
    local = spm.EdgePoints(sigmas=(0.0,), threshold=0.3, max_side=100).extract(path)
    x, y = local.extents[:, 0], local.extents[:, 1]
    assert len(local) > 10 and (np.minimum(abs(x - 161), abs(y - 120)) < 10).all()


def test_boxes_are_pixels_of_the_image_itself(tmp_path):
    path = stored(tmp_path, scene())
    small = read_image(path, "grey", max_side=200)
    options = {"encoder": spm.BagOfWords(n_words=5), "random_state": 0}
    large = spm.PyramidVectorizer(features=spm.DenseSIFT(max_side=200), **options).fit([path])
    plain = spm.PyramidVectorizer(features=spm.DenseSIFT(), **options).fit([small])
    scale = np.tile([805 / small.shape[1], 602 / small.shape[0]], 2)
    boxes = np.array([[0, 0, 200, 150], [11, 22, 143, 120], [101, 3, 180, 77]])
    np.testing.assert_allclose(
        large.transform_regions(path, boxes * scale), plain.transform_regions(small, boxes), atol=1e-6
    )
    np.testing.assert_allclose(large.transform_regions(path, [[0, 0, 805, 602]]), large.transform([path]), atol=1e-6)
    with pytest.raises(spm.SpmError, match="outside the image of width 805 and height 602"):
        large.transform_regions(path, [[805, 0, 900, 9]])


def test_a_patch_that_no_longer_fits_says_why():
    with pytest.raises(spm.ImageError, match=r"805 x 602 pixels, 20 x 15 by max_side=20, but a patch 16 x 16: raise"):
        spm.DenseSIFT(max_side=20).extract(scene())


@pytest.fixture(scope="module")
def network():
    pytest.importorskip("onnxruntime")
    from spm._tools.files import read_shipped

    return read_shipped("texture_net.onnx")


@pytest.mark.parametrize("policy", ["full", "crop", "warp"])
@pytest.mark.parametrize("size", [64, (40, 64)])
def test_a_network_sees_what_it_would_see_of_the_whole(tmp_path, monkeypatch, network, policy, size):
    path = stored(tmp_path, scene())
    features = spm.FeatureMap(network, preprocess="tf", size=size, policy=policy)
    decoded = spy_on_decoding(monkeypatch)
    part = features.views(path)
    assert decoded == [(202, 151)]
    for one, other in zip(part, features.views(read_image(path)), strict=True):
        assert (one[0].grid, one[0].stride, one[0].offset) == (other[0].grid, other[0].stride, other[0].offset)
        assert one[0].image_size == SIZE
        alike = (
            (one[0].values * other[0].values).sum() / np.linalg.norm(one[0].values) / np.linalg.norm(other[0].values)
        )
        assert alike > 0.99


def test_a_network_sees_no_more_than_max_side(network):
    tall = scene((800, 100))
    for size in (None, 64):
        local = spm.FeatureMap(network, preprocess="tf", size=size, max_side=200).extract(tall)
        assert local.image_size == (800, 100) and local.grid[0] * local.stride[0] == pytest.approx(800, rel=0.1)
        assert local.grid == spm.FeatureMap(network, preprocess="tf", size=25).extract(tall).grid


@pytest.mark.parametrize("name", [name for name in presets.PRESETS if name not in presets.registry.TRAINED])
def test_every_preset_takes_it(name):
    model = presets.make(name, max_side=123)
    given = {option: value for option, value in model.get_params().items() if option.endswith("max_side")}
    makers = len(getattr(model[0], "vectorizers", [0]))
    assert len(given) == makers and set(given.values()) == {123}


def test_models_from_before_it_have_the_default(tmp_path):
    model = spm.PyramidVectorizer(features=spm.DenseSIFT(), encoder=spm.BagOfWords(n_words=3), random_state=0)
    model.fit([scene((64, 64))])
    del model.features.max_side, model.features_.max_side
    for part in (model.features, model.features_):
        _give_defaults(part)
    assert model.features_.max_side is None and model.transform([scene((64, 64))]).shape == (1, 63)


# Once


def test_inside_all_read_the_same_pixels_and_outside_the_file_anew(tmp_path):
    path = stored(tmp_path, scene())
    before = read_image(path)
    with reading_once(path):
        first = read_image(path, "grey")
        assert read_image(path, "grey") is first and content_of(path) is content_of(path)
        stored(tmp_path, scene(seed=1))
        np.testing.assert_array_equal(read_image(path), before)
        with reading_once("other.jpg"):
            assert not np.array_equal(read_image(path), before)  # another image is worked on: this one is read anew
        np.testing.assert_array_equal(read_image(path), before)
    assert not np.array_equal(read_image(path), before)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "array", "pillow"])
def test_what_is_kept_is_what_would_be_read(tmp_path, name):
    path = stored(tmp_path, scene(), name if "." in name else "photo.png")
    image = {"array": scene(), "pillow": Image.open(path)}.get(name, path)
    alone = {
        (mode, side): read_image(image, mode, max_side=side) for mode in ("grey", "rgb") for side in (None, 99, 300)
    }
    for order in (sorted(alone, key=str), sorted(alone, key=str)[::-1]):
        with reading_once(image):
            content_of(image)
            for mode, side in order:
                np.testing.assert_array_equal(read_image(image, mode, max_side=side), alone[mode, side])


def test_a_mirror_image_is_the_image_mirrored(tmp_path):
    path = stored(tmp_path, scene())
    for side in (None, 200, 50):
        seen, plain = see_image(Mirror(path), "grey", max_side=side), see_image(path, "grey", max_side=side)
        np.testing.assert_array_equal(seen.pixels, plain.pixels[:, ::-1])
        assert seen.size == SIZE
    np.testing.assert_array_equal(np.asarray(Mirror(path)), read_image(path)[:, ::-1])
    assert content_of(Mirror(path)) != content_of(path)
    with pytest.raises(spm.ImageError, match=r"none\.jpg: there is no such file"):
        read_image(Mirror("none.jpg"))


def test_mirrored_photographs_have_one_vector_at_a_part_too(tmp_path):
    rows = scene((608, 800))
    paths = [stored(tmp_path, rows, "a.png"), stored(tmp_path, rows[:, ::-1], "b.png")]
    features = spm.Mirrored(spm.DenseSIFT(max_side=100))
    vec = spm.PyramidVectorizer(features=features, encoder=spm.BagOfWords(n_words=5), random_state=0).fit(paths[:1])
    one, other = vec.transform(paths)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_every_pass_decodes_an_image_once(tmp_path, monkeypatch, network):
    paths = [stored(tmp_path, scene((200, 264), seed), f"{seed}.jpg") for seed in range(4)]
    decoded = spy_on_decoding(monkeypatch)
    mirrored = spm.PyramidVectorizer(
        features=spm.Mirrored(spm.DenseSIFT()), encoder=spm.BagOfWords(n_words=5), memory=tmp_path / "m", random_state=0
    )
    mirrored.fit(paths).transform(paths)
    assert len(decoded) == 4, "once, and then from the memory"
    many = spm.MultiViewClassifier(presets.spp2014(), sizes=(150, 180, 210), window=150)
    many.fit(paths, [0, 0, 1, 1])
    decoded.clear()
    many.predict(paths)
    assert len(decoded) == 4
    for name in ("hybrid", "best_handcrafted"):
        model = presets.make(name, levels=(1,), random_state=0, n_words=5)
        if name == "best_handcrafted":
            model.set_params(vectorizer__words__encoder__n_words=5, vectorizer__fisher__reduce__n_components=4)
        model.fit(paths, [0, 0, 1, 1])
        decoded.clear()
        model.predict(paths)
        assert len(decoded) == 4, name


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_roads_side_by_side_are_the_roads_one_by_one(tmp_path, n_jobs):
    pytest.importorskip("onnxruntime")
    paths = [stored(tmp_path, scene((80, 96), seed), f"{seed}.jpg") for seed in range(5)]
    both = presets.hybrid(n_words=5, n_jobs=n_jobs, random_state=0)[0].fit(paths)
    for (_, alone), fitted, kept in zip(both.vectorizers, both.vectorizers_, both.vectors_, strict=True):
        np.testing.assert_array_equal(kept, alone.fit_transform(paths))
        np.testing.assert_array_equal(kept, fitted.transform(paths))


def test_no_image_is_held_when_its_work_is_done(tmp_path):
    from spm.images.kept import kept_of

    path = stored(tmp_path, scene((64, 64)))
    vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=3), random_state=0).fit([path])
    vec.transform([path]), vec.encode(path), vec.encode_views(path), vec.transform_regions(path, [[0, 0, 64, 64]])
    assert kept_of(path) is None
    with pytest.raises(spm.ImageError):
        vec.transform([os.fspath(tmp_path / "none.jpg")])
    assert kept_of(os.fspath(tmp_path / "none.jpg")) is None


def test_what_is_written_into_a_buffer_reads_alike(tmp_path):
    """A file whose bytes were asked for is decoded from them."""
    path = stored(tmp_path, scene())
    with reading_once(path):
        content = content_of(path)
        os.remove(path)
        expected = np.asarray(Image.open(io.BytesIO(content)))
        np.testing.assert_array_equal(read_image(path), expected)
