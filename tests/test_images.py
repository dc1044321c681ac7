"""Every kind of image file and array that users have: the right pixels, or one clear error."""

from __future__ import annotations

import inspect
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import GifImagePlugin, Image, ImageFile, PngImagePlugin, TiffImagePlugin, features

import spm.images
from spm._tools import image_files
from spm._tools.image_files import NOT_READ, READ, image_suffixes
from spm.errors import ImageError, SpmError
from spm.images import MAX_PIXELS, content_of, name_of, read_image

pytestmark = pytest.mark.filterwarnings("error")  # good files raise no warning, of Pillow's or of ours


def smooth(height: int = 48, width: int = 64) -> np.ndarray:
    """A colour image that JPEG keeps to a few grey levels; no two of its corners are alike."""
    y, x = np.mgrid[:height, :width]
    planes = (40 + 150 * x / width, 200 - 140 * y / height, 60 + 90 * (x / width) * (y / height))
    return np.stack(planes, axis=2).round().astype(np.uint8)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb @ np.array([0.299, 0.587, 0.114])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def encode(array: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def error_of(image: object, **options: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(image, **options)  # type: ignore[arg-type]
    return caught.value


# Good files


@pytest.mark.parametrize("pixels", [smooth(), smooth()[:, :, 0]], ids=["colour", "grey"])
@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.png", {}, 0),
        ("a.bmp", {}, 0),
        ("a.tif", {}, 0),
        ("lzw.tif", {"compression": "tiff_lzw"}, 0),
        ("deflate.tif", {"compression": "tiff_adobe_deflate"}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.ppm", {}, 0),
        ("lossy.webp", {"quality": 95}, 8),
        ("a.jpg", {"quality": 95}, 8),
        ("progressive.jpg", {"quality": 95, "progressive": True}, 8),
    ],
)
def test_plain_files(tmp_path, pixels, name, options, tolerance):
    Image.fromarray(pixels).save(tmp_path / name, **options)
    rgb = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)
    for path in (tmp_path / name, str(tmp_path / name)):
        colour, grey = read_image(path), read_image(path, mode="grey")
        assert colour.shape == (48, 64, 3) and grey.shape == (48, 64)
        assert np.abs(colour.astype(int) - rgb).max() <= tolerance
        assert np.abs(grey - luma(rgb)).max() <= tolerance + 0.51
        for result in (colour, grey):
            assert result.dtype == np.uint8 and result.flags.c_contiguous and result.flags.writeable


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_path_and_the_array_of_the_same_file_give_the_same_grey(tmp_path, kind):
    path = tmp_path / "file"  # no extension: the contents decide
    path.write_bytes(encode(np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8), kind))
    with Image.open(path) as image:
        rgb = np.asarray(image)
        np.testing.assert_array_equal(read_image(image, mode="grey"), read_image(path, mode="grey"))
    np.testing.assert_array_equal(read_image(rgb, mode="grey"), read_image(path, mode="grey"))
    assert np.abs(read_image(path, mode="grey").astype(int) - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)).max() <= 1


def test_a_grey_jpeg_keeps_its_grey_levels(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encode(smooth()[:, :, 1], "JPEG"))
    with Image.open(tmp_path / "a.jpg") as image:
        stored = np.asarray(image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg", mode="grey"), stored)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), np.stack([stored] * 3, axis=2))


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_one_bit_files(tmp_path, name):
    bits = np.random.default_rng(0).random((5, 11)) < 0.5
    Image.fromarray(bits).save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name, mode="grey"), 255 * bits)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif"])
def test_palette_files(tmp_path, name):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([250, 0, 10, 0, 240, 20, 30, 40, 230])
    image.save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name), [[[250, 0, 10], [0, 240, 20], [30, 40, 230]]])
    np.testing.assert_allclose(read_image(tmp_path / name, mode="grey"), [[75.9, 143.2, 58.7]], atol=0.5)


@pytest.mark.parametrize(
    ("name", "transparency", "expected"),
    [
        ("a.png", 1, [[255, 0, 0], [255, 255, 255], [0, 0, 255]]),
        ("a.gif", 1, [[255, 0, 0], [255, 255, 255], [0, 0, 255]]),
        ("a.png", bytes([0, 127, 255]), [[255, 255, 255], [128, 255, 128], [0, 0, 255]]),
    ],
)
def test_transparent_palette_files_lie_over_white(tmp_path, name, transparency, expected):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / name, transparency=transparency)
    np.testing.assert_array_equal(read_image(tmp_path / name), [expected])


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_rgba_files_lie_over_white(tmp_path, name):
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [55, 155, 255, 51]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    np.testing.assert_array_equal(read_image(tmp_path / name), [[[10, 20, 30], [255, 255, 255], [215, 235, 255]]])
    np.testing.assert_array_equal(read_image(rgba), read_image(tmp_path / name))
    np.testing.assert_array_equal(read_image(rgba, mode="grey"), read_image(tmp_path / name, mode="grey"))


def test_grey_with_transparency_lies_over_white(tmp_path):
    Image.merge("LA", [Image.fromarray(np.array([plane], np.uint8)) for plane in ([9, 9, 55], [255, 0, 51])]).save(
        tmp_path / "la.png"
    )
    assert read_image(tmp_path / "la.png", mode="grey").tolist() == [[9, 255, 215]]
    Image.fromarray(np.array([[7, 8]], np.uint8)).save(tmp_path / "key.png", transparency=7)
    assert read_image(tmp_path / "key.png", mode="grey").tolist() == [[255, 8]]


DEEP = np.array([[0, 128, 129, 1000], [257, 514, 32768, 65535]], np.uint16)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", encode(DEEP, "PNG")),
        ("a.tif", encode(DEEP, "TIFF")),
        ("big-endian.tif", encode(DEEP.astype(">u2"), "TIFF")),
        ("a.pgm", b"P5 4 2 65535\n" + DEEP.astype(">u2").tobytes()),
    ],
)
def test_16_bit_grey_files_are_scaled(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    expected = [[0, 0, 1, 4], [1, 2, 128, 255]]
    assert read_image(tmp_path / name, mode="grey").tolist() == expected
    np.testing.assert_array_equal(read_image(tmp_path / name), np.stack([expected] * 3, axis=2))
    np.testing.assert_array_equal(read_image(DEEP, mode="grey"), expected)


def test_16_bit_values_kept_in_32_bits(tmp_path):
    Image.fromarray(DEEP.astype(np.int32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), read_image(DEEP))
    Image.fromarray(DEEP.astype(np.int32) + 1).save(tmp_path / "a.tif")
    assert "int32" in error_of(tmp_path / "a.tif").reason


@pytest.mark.parametrize(("dtype", "expected"), [(np.uint8, [254, 155, 0]), (np.uint16, [255, 254, 155])])
def test_negatives_are_inverted(tmp_path, dtype, expected):
    values = np.array([[1, 100, 255] if dtype is np.uint8 else [0, 257, 25700]], dtype)
    data = bytearray(encode(values, "TIFF"))
    entry = struct.pack("<HHI", 262, 3, 1)  # the tag PhotometricInterpretation, one short value
    data[data.index(entry) + len(entry)] = 0
    (tmp_path / "a.tif").write_bytes(data)
    assert read_image(tmp_path / "a.tif", mode="grey").tolist() == [expected]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_colour_files(tmp_path, name):
    rgb = np.random.default_rng(0).integers(0, 65536, (6, 7, 3), np.uint16)
    cv2.imwrite(str(tmp_path / name), rgb[:, :, ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / name), rgb >> 8)
    assert np.abs(read_image(tmp_path / name).astype(int) - read_image(rgb)).max() <= 1


def test_float_files(tmp_path):
    unit = np.array([[0, 0.25, 0.5, 1]], np.float32)
    cv2.imwrite(str(tmp_path / "a.tif"), unit)
    assert read_image(tmp_path / "a.tif", mode="grey").tolist() == [[0, 64, 128, 255]]
    for values, word in ((unit * 90, "0..90"), (unit + np.inf, "NaN")):
        Image.fromarray(values).save(tmp_path / "a.tif")
        error = error_of(tmp_path / "a.tif")
        assert error.source == str(tmp_path / "a.tif") and word in error.reason


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_files(tmp_path, name):
    rgb = [(255, 255, 255), (0, 0, 0), (250, 10, 10), (10, 10, 250)]
    for colour in rgb:  # Pillow writes JPEG as Adobe does: inverted
        Image.new("RGB", (16, 16), colour).convert("CMYK").save(tmp_path / name)
        assert np.abs(read_image(tmp_path / name).astype(int) - colour).max() <= 3


def test_an_adobe_cmyk_jpeg_with_real_black(tmp_path):
    Image.new("CMYK", (16, 16), (0, 128, 0, 128)).save(tmp_path / "a.jpg")  # half magenta under half black
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - (127, 63, 127)).max() <= 3


ORIENTED = {  # what each EXIF orientation does to what is stored
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize(
    ("name", "options"),
    [("a.jpg", {}), ("a.png", {}), ("a.tif", {}), ("lzw.tif", {"compression": "tiff_lzw"}), ("a.webp", {})],
)
def test_orientation(tmp_path, orientation, name, options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth()).save(tmp_path / name, exif=exif, **options)
    expected = ORIENTED[orientation](smooth())
    assert np.abs(read_image(tmp_path / name).astype(int) - expected).max() <= 24
    assert read_image(tmp_path / name, mode="grey").shape == expected.shape[:2]
    with Image.open(tmp_path / name) as image:
        for _ in range(2):  # reading an image does not turn it for the next reader
            np.testing.assert_array_equal(read_image(image), read_image(tmp_path / name))


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_unknown_orientations_are_ignored(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), smooth())


def test_orientation_of_16_bit_and_xmp(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(DEEP).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(read_image(DEEP), -1))
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.fromarray(DEEP).save(tmp_path / "b.png", pnginfo=info)
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), np.rot90(read_image(DEEP), -1))


def test_damaged_exif_is_no_reason_to_refuse(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encode(smooth(), "JPEG", exif=b"Exif\0\0no tiff header"))
    assert read_image(tmp_path / "a.jpg").shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.webp", "a.png"])
def test_the_first_frame_of_several(tmp_path, name):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(
        tmp_path / name, save_all=True, append_images=frames[1:], **({"lossless": True} if name == "a.webp" else {})
    )
    with Image.open(tmp_path / name) as image:
        assert image.n_frames == 3
    np.testing.assert_array_equal(read_image(tmp_path / name), np.broadcast_to([255, 0, 0], (6, 8, 3)))


def test_an_extension_that_lies(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encode(smooth(), "PNG"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), smooth())


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_first_image_of_a_fresh_process(tmp_path, kind):  # Pillow loads its less common formats when asked to
    (tmp_path / "file").write_bytes(encode(smooth(), kind))
    code = "import sys; from spm.images import read_image; print(read_image(sys.argv[1]).shape)"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "file"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "(48, 64, 3)" and not run.stderr


# Bad files

TRUNCATED = {
    "JPEG": {},
    "JPEG progressive": {"progressive": True},
    "PNG": {},
    "BMP": {},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "WEBP": {},
    "WEBP lossless": {"lossless": True},
    "GIF": {},
}


@pytest.mark.parametrize("kind", TRUNCATED)
def test_truncated_files(tmp_path, kind):
    path = tmp_path / "half"
    data = encode(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8), kind.split()[0], **TRUNCATED[kind])
    path.write_bytes(data)
    read_image(path)
    for percent in (1, 10, 25, 50, 75, 90, 99):
        path.write_bytes(data[: len(data) * percent // 100])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow may warn of a bad file before it raises
            assert str(path) in str(error_of(path)), percent


@pytest.mark.parametrize("missing", [1, 2, 3, 10])
@pytest.mark.parametrize("shape", [(40, 40), (40, 40, 3)])
def test_a_jpeg_that_lacks_its_last_bytes(tmp_path, missing, shape):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(np.random.default_rng(0).integers(0, 256, shape, np.uint8), "JPEG")[:-missing])
    assert "incomplete" in error_of(path, mode="grey").reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_truncated_files_where_someone_told_pillow_to_accept_them(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / "half"
    data = encode(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8), kind)
    path.write_bytes(data)
    read_image(path)  # whole, it is read as ever
    path.write_bytes(data[: len(data) // 2])
    with Image.open(path) as image:
        image.load()  # Pillow accepts it
    assert "incomplete" in error_of(path).reason
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000"])
def test_whole_files_where_someone_told_pillow_to_accept_half_ones(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (tmp_path / "a").write_bytes(encode(smooth(), kind))
    assert read_image(tmp_path / "a").shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"these words are no image\n" * 20, "no image"),
        (b"\xff\xd8\xff", "no image"),
        (b"\x00", "no image"),
        (png_header(0, 20) + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "no image"),
    ],
    ids=["empty", "text", "three bytes", "one byte", "zero-sized"],
)
def test_files_that_are_no_images(tmp_path, content, words):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    error = error_of(path)
    assert error.source == str(path) and words in error.reason and str(path) in str(error)
    assert isinstance(error, SpmError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # it comes back from worker processes


def test_missing_files_folders_and_odd_names(tmp_path):
    assert "no such file" in error_of(tmp_path / "none.jpg").reason
    assert str(tmp_path / "none.jpg") in str(error_of(tmp_path / "none.jpg"))
    assert "folder" in error_of(tmp_path).reason
    assert "no such file" in error_of("").reason
    assert "null" in error_of("a\0b.jpg").reason


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="this user may read everything")
def test_files_that_may_not_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(smooth(), "PNG"))
    (tmp_path / "a.png").chmod(0)
    assert "ermission" in error_of(tmp_path / "a.png").reason


def test_permission_errors_name_the_file(tmp_path, monkeypatch):
    def refuse(path: str, mode: str, buffering: int) -> None:
        raise PermissionError(13, "Permission denied", path)

    path = tmp_path / "secret.png"
    path.write_bytes(encode(smooth(), "PNG"))
    monkeypatch.setattr(image_files, "open", refuse, raising=False)
    assert str(error_of(path)) == f"{path}: the file cannot be read (Permission denied)"
    with pytest.raises(ImageError, match="Permission denied"):
        content_of(path)


@pytest.mark.parametrize("size", [(10_001, 10_000), (40_000, 40_000)])  # Pillow itself would warn; would refuse
def test_too_large_files_are_refused_by_their_header(tmp_path, size):
    path = tmp_path / "large.png"
    path.write_bytes(png_header(*size) + chunk(b"IDAT", b"not even compressed data"))
    error = error_of(path)
    assert str(MAX_PIXELS) in error.reason and f"{size[0]} x {size[1]}" in error.reason and str(path) in str(error)


def test_the_limit_is_ours_and_not_pillows(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encode(smooth(), "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_image(tmp_path / "a.png").shape == (48, 64, 3)
    monkeypatch.setattr(spm.images.reading, "MAX_PIXELS", 48 * 64)
    assert read_image(tmp_path / "a.png").shape == (48, 64, 3)
    monkeypatch.setattr(spm.images.reading, "MAX_PIXELS", 48 * 64 - 1)
    assert "limit" in error_of(tmp_path / "a.png").reason
    assert "limit" in error_of(Image.fromarray(smooth())).reason


def test_a_damaged_check_sum_or_stream_in_a_png(tmp_path):
    data = bytearray(encode(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8), "PNG"))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    assert str(tmp_path / "a.png") in str(error_of(tmp_path / "a.png"))


def test_a_jpeg_with_a_marker_gone_wrong(tmp_path):
    data = bytearray(encode(smooth(), "JPEG"))
    data[len(data) // 2 : len(data) // 2 + 2] = b"\xff\xc0"  # a new frame inside the old one
    (tmp_path / "a.jpg").write_bytes(data)
    assert str(tmp_path / "a.jpg") in str(error_of(tmp_path / "a.jpg"))


def test_the_decoders_words_are_told(tmp_path):
    def reason(content: bytes) -> str:
        (tmp_path / "a").write_bytes(content)
        return error_of(tmp_path / "a").reason

    assert "PNG: " in reason(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"short"))
    assert "incomplete" in reason(encode(smooth(), "JPEG")[:-20]) and "truncated" in reason(
        encode(smooth(), "JPEG")[:-20]
    )
    damaged = bytearray(encode(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8), "PNG"))
    damaged[len(damaged) // 2] ^= 0xFF
    assert "broken data stream" in reason(bytes(damaged)) and "damaged" not in reason(bytes(damaged))
    assert "a film (MPEG)" in reason(b"\0\0\1\xb3" + bytes(40))
    assert "another program would have to draw it" not in reason(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    assert "a page for printers" in reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")


def test_a_format_that_this_pillow_lacks_is_told(tmp_path, monkeypatch):
    def unsupported(prefix: bytes) -> str | bool:
        return "AVIF support not installed" if prefix[4:12] == b"ftypavif" else False

    Image.init()
    monkeypatch.setitem(Image.OPEN, "AVIF", (lambda file, name: pytest.fail("opened"), unsupported))
    (tmp_path / "a.avif").write_bytes(b"\0\0\0 ftypavif" + bytes(40))
    assert "AVIF support not installed" in error_of(tmp_path / "a.avif").reason


def test_an_error_of_a_decoder_that_says_nothing_is_named(tmp_path, monkeypatch):
    def fail(file: object, name: str) -> None:
        raise MemoryError

    monkeypatch.setitem(Image.OPEN, "BMP", (fail, lambda prefix: prefix[:2] == b"BM"))
    (tmp_path / "a.bmp").write_bytes(encode(smooth(), "BMP"))
    assert "BMP: MemoryError" in error_of(tmp_path / "a.bmp").reason


SPECIAL = """
import os, socket, sys
from spm.errors import ImageError
from spm.images import content_of, read_image
os.mkfifo("pipe.jpg")
socket.socket(socket.AF_UNIX).bind("socket.jpg")
os.symlink("pipe.jpg", "link.jpg")
os.symlink("/dev/zero", "device.jpg")
for name in ("pipe.jpg", "link.jpg", "socket.jpg", "device.jpg", "/dev/null", "/dev/stdin"):
    for read in (read_image, content_of):
        try:
            read(name)
        except ImageError as error:
            print(error)
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path):
    options = {"cwd": tmp_path, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SPECIAL], **options) as process:
        try:
            process.wait(timeout=60)  # its input stays open: who reads it waits
        finally:
            process.kill()
        lines = process.stdout.read().splitlines()
    kinds = {"pipe.jpg": "a pipe", "link.jpg": "a pipe", "socket.jpg": "a socket", "device.jpg": "a device"}
    kinds |= {"/dev/null": "a device", "/dev/stdin": "a pipe"}
    assert lines == [
        f"{name}: this is {kind}, no regular file: copy what it gives into one"
        for name, kind in kinds.items()
        for _ in range(2)
    ]


# What a PNG carries beside its pixels


def with_chunks(data: bytes, *chunks: bytes, behind: bool = False) -> bytes:
    """Put chunks into a PNG, before its pixels or behind them."""
    place = len(data) - 12 if behind else 33
    return data[:place] + b"".join(chunks) + data[place:]


def spoiled(part: bytes) -> bytes:
    return part[:-1] + bytes([part[-1] ^ 1])


LONG = bytes(80 * 2**20)  # more than Pillow takes, of each alone and of all together
BULK = {
    "text": chunk(b"tEXt", b"Comment\0" + LONG.replace(b"\0", b"x")),
    "compressed text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG, 1)),
    "international text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(LONG, 1)),
    "several texts": chunk(b"tEXt", b"Comment\0" + b"x" * 2**20) * 70,
    "profile": chunk(b"iCCP", b"screen\0\0" + zlib.compress(LONG, 1)),
    "text with a wrong check sum": spoiled(chunk(b"tEXt", b"Comment\0words")),
    "profile that is none": chunk(b"iCCP", b"screen\0\7not compressed"),
    "text without a keyword": chunk(b"zTXt", b"\0\0\0"),
}


@pytest.mark.parametrize("name", BULK)
@pytest.mark.parametrize("behind", [False, True])
def test_a_png_is_read_whatever_texts_and_profiles_it_has(tmp_path, name, behind):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(smooth(), "PNG", exif=exif)
    (tmp_path / "a.png").write_bytes(with_chunks(data, BULK[name], behind=behind))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(smooth(), -1))


@pytest.mark.parametrize("limit", [10, 2**30])
def test_orientation_is_read_from_texts_of_any_kind(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", limit)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", limit)
    xmp = b'<x tiff:Orientation="6"/>' + b" " * 2**21
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    profile = f"\nexif\n{len(raw):8}\n{raw.hex()}\n".encode()
    for text in (
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)),
    ):
        (tmp_path / "a.png").write_bytes(with_chunks(encode(smooth(), "PNG"), BULK["profile"], text))
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(smooth(), -1))


@pytest.mark.parametrize("percent", [1, 10, 40, 60, 99])
def test_a_png_that_ends_in_its_texts_is_incomplete(tmp_path, percent):
    data = with_chunks(encode(smooth(), "PNG"), chunk(b"tEXt", b"Comment\0" + b"x" * 5000))
    (tmp_path / "a.png").write_bytes(data[: len(data) * percent // 100])
    error_of(tmp_path / "a.png")


# What others have set in Pillow

SETTINGS = [
    (ImageFile, "LOAD_TRUNCATED_IMAGES", True),
    (Image, "MAX_IMAGE_PIXELS", 100),
    (Image, "MAX_IMAGE_PIXELS", None),
    (PngImagePlugin, "MAX_TEXT_CHUNK", 1),
    (PngImagePlugin, "MAX_TEXT_MEMORY", 1),
    (GifImagePlugin, "LOADING_STRATEGY", GifImagePlugin.LoadingStrategy.RGB_ALWAYS),
    (TiffImagePlugin, "READ_LIBTIFF", True),
]


def files_of_every_kind() -> dict[str, bytes]:
    grey, colour = smooth()[:, :, 0], np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    xmp = PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>', zip=True)
    kinds = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "ICO", "TGA", "JPEG2000", "QOI", "PCX", "SGI")
    files = {kind: encode(colour, kind) for kind in kinds if kind in Image.SAVE}
    files |= {"grey GIF": encode(grey, "GIF"), "upright PNG": encode(colour, "PNG", pnginfo=xmp)}
    files |= {"LZW": encode(colour, "TIFF", compression="tiff_lzw"), "16-bit": encode(DEEP, "PNG")}
    damaged = {}
    for name, data in files.items():
        changed = bytearray(data)
        changed[len(data) // 2] ^= 0xFF
        damaged |= {f"half {name}": data[: len(data) // 2], f"changed {name}": bytes(changed)}
    return files | damaged


@pytest.mark.filterwarnings("ignore")  # Pillow may warn of a bad file before it raises
@pytest.mark.parametrize(("module", "name", "value"), SETTINGS)
def test_what_others_have_set_in_pillow_makes_no_difference(tmp_path, module, name, value, monkeypatch):
    def outcome(path: Path) -> object:
        try:
            return read_image(path, "stored").tolist()
        except ImageError as error:
            return str(error)

    Image.init()
    for file, data in files_of_every_kind().items():
        (tmp_path / file).write_bytes(data)
    usual = {path.name: outcome(path) for path in sorted(tmp_path.iterdir())}
    monkeypatch.setattr(module, name, value)
    changed = {path.name: outcome(path) for path in sorted(tmp_path.iterdir())}
    assert [file for file in usual if usual[file] != changed[file]] == []
    assert getattr(module, name) is value
    assert {type(usual[f"half {kind}"]) for kind in ("JPEG", "PNG", "BMP", "GIF")} == {str}


def test_settings_come_back_at_the_last_reader_and_not_over_what_was_set_meanwhile(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    with image_files.pillow_set_as_usual(1000):
        with image_files.pillow_set_as_usual(1000):
            assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (False, 1000)
        assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (False, 1000)
        Image.MAX_IMAGE_PIXELS = 9
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, 9)


def test_an_image_inside_an_icon_has_the_same_limit(tmp_path):
    data = encode(np.zeros((64, 64, 3), np.uint8), "ICO", sizes=[(64, 64)])
    (tmp_path / "a.ico").write_bytes(data)
    assert read_image(tmp_path / "a.ico").shape == (64, 64, 3)
    start, header = data.index(b"\x89PNG"), png_header(30_000, 30_000)
    (tmp_path / "a.ico").write_bytes(data[:start] + header + data[start + len(header) :])
    assert "900000000 pixels" in error_of(tmp_path / "a.ico").reason


# The one list of formats


def test_every_file_that_can_be_read_has_an_extension_of_the_list(tmp_path):
    Image.init()
    read = set()
    for suffix, kind in Image.EXTENSION.items():
        for mode in ("RGB", "L", "1", "P", "F") if suffix and kind in Image.SAVE else ():
            path = tmp_path / f"{mode}{suffix}"
            try:
                Image.new(mode, (32, 32)).save(path, kind)
                read_image(path)
            except Exception:
                continue
            read.add(suffix)
    assert read - image_suffixes() == set()
    wanted = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
    wanted |= {".jp2"} if features.check("jpg_2000") else set()
    wanted |= {".avif"} if features.check("avif") else set()
    assert wanted | {".mpo"} <= read | {".mpo"} <= image_suffixes()
    assert not {".eps", ".ps", ".pdf", ".mpg", ".h5", ".wmf", ".txt", ""} & image_suffixes()


def iptc(content: bytes) -> bytes:
    """Return an IPTC record that wraps another file."""

    def field(record, number, data):
        return struct.pack(">BBBH", 0x1C, record, number, len(data)) + data

    head = field(3, 60, b"\1\0") + field(3, 20, b"\0\0\0\x08") + field(3, 30, b"\0\0\0\x08") + field(3, 120, b"\5\0")
    return head + field(8, 10, content)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n0 0 8 8 rectfill\nshowpage\n"


@pytest.mark.parametrize(
    "content", [EPS, iptc(EPS), iptc(b"P5\n8 8\n255\n" + bytes(64))], ids=["EPS", "in IPTC", "IPTC"]
)
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.eps", "photo.iim"])
def test_no_file_reaches_a_program_that_would_draw_it(tmp_path, monkeypatch, content, name):
    """Whatever it is called, and whatever is around it."""
    Image.init()
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was called"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match="no image that Pillow can read"):
        read_image(tmp_path / name)


def test_every_format_of_pillows_is_on_one_of_two_lists():
    """A new one is read only when somebody has looked at it; none of those that are read starts a program."""
    Image.init()
    own = {kind for kind, (opener, _) in Image.OPEN.items() if opener.__module__.startswith("PIL.")}
    assert own - READ - set(NOT_READ) - {"FPX", "MIC"} == set()
    for kind in own & READ - {
        "JPEG",
        "MPO",
        "GIF",
    }:  # theirs can start programs where one asks them to: djpeg, and to save
        source = Path(inspect.getsourcefile(Image.OPEN[kind][0])).read_text()
        assert not re.search(r"subprocess\.(check_)?(call|run)|os\.system", source), kind
    assert not set(NOT_READ) & READ


def test_what_a_plugin_adds_to_pillow_is_read_and_listed(tmp_path, monkeypatch):
    class Twin(ImageFile.ImageFile):
        format = "TWIN"

        def _open(self) -> None:
            self._size, self._mode = (2, 1), "L"
            self.tile = [("raw", (0, 0, 2, 1), 4, ("L", 0, 1))]

    monkeypatch.setitem(Image.OPEN, "TWIN", (Twin, lambda prefix: prefix.startswith(b"twin")))
    monkeypatch.setitem(Image.EXTENSION, ".twin", "TWIN")
    (tmp_path / "a.twin").write_bytes(b"twin\1\2")
    assert read_image(tmp_path / "a.twin", "grey").tolist() == [[1, 2]] and ".twin" in image_suffixes()


# Arrays


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.float16, np.float32, np.float64, bool])
def test_arrays_of_every_kind(shape, dtype):
    unit = np.random.default_rng(0).integers(0, 256, shape) / 255
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        unit = (unit > 0.5).astype(float)
    if len(shape) == 3 and shape[2] == 4:
        unit[..., 3] = 1
    array = (np.rint(unit * np.iinfo(dtype).max) if dtype.kind == "u" else unit).astype(dtype)
    before = array.copy()
    rgb = np.rint(np.broadcast_to(unit.reshape(4, 6, -1)[:, :, :3], (4, 6, 3)) * 255)
    colour, grey = read_image(array), read_image(array, mode="grey")
    np.testing.assert_array_equal(colour, rgb)
    assert np.abs(grey - luma(rgb)).max() <= 0.51
    for result in (colour, grey):
        assert result.dtype == np.uint8 and result.flags.c_contiguous and result.flags.writeable
    np.testing.assert_array_equal(array, before)


def test_16_bit_values_are_rounded():
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(read_image(every, mode="grey"), np.rint(every / 257))


def test_float_values_are_rounded_and_their_rounding_errors_forgiven():
    assert read_image(np.array([[0.1, 0.9, 1 + 1e-7, -1e-7]]), mode="grey").tolist() == [[26, 230, 255, 0]]
    assert "0..1" in error_of(np.array([[0, 1 + 1e-5]])).reason
    assert "-1e-05..1" in error_of(np.array([[-1e-5, 1]])).reason


def test_an_array_that_is_ready_is_not_copied():
    rgb, grey = smooth(), np.ascontiguousarray(smooth()[:, :, 0])
    assert read_image(rgb) is rgb and read_image(grey, mode="grey") is grey
    rgb.flags.writeable = False
    assert read_image(rgb).flags.writeable and read_image(rgb) is not rgb


@pytest.mark.parametrize("mode", ["rgb", "grey"])
def test_views_into_other_arrays(mode):
    large = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    view = large[::-2, 3:20:3, ::-1]
    np.testing.assert_array_equal(read_image(view, mode=mode), read_image(view.copy(), mode=mode))
    assert read_image(view, mode=mode).flags.c_contiguous


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I", "I;16", "F", "YCbCr", "HSV"])
def test_pillow_images(mode):
    if mode in ("I", "I;16", "F"):
        pixels = {"I": np.int32([[0, 65535]]), "I;16": np.uint16([[0, 65535]]), "F": np.float32([[0, 1]])}[mode]
        image = Image.fromarray(pixels)
    else:
        image = Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)).convert(mode)
    assert image.mode == mode
    assert read_image(image, mode="grey").tolist() == [[0, 255]]
    assert read_image(image).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_bad_pillow_images(tmp_path):
    assert "no pixels" in error_of(Image.new("RGB", (0, 4))).reason
    path = tmp_path / "half.jpg"
    path.write_bytes(encode(smooth(), "JPEG")[:-50])
    with Image.open(path) as image:
        assert error_of(image).source == str(path)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 6), np.int64), ["int64", "uint8", "divide by the maximum"]),
        (np.zeros((4, 6), np.int8), ["int8"]),
        (np.zeros((4, 6), np.uint32), ["uint32"]),
        (np.zeros((4, 6), complex), ["complex128"]),
        (np.zeros((4, 6), object), ["object"]),
        (np.array([["a.jpg"]]), ["<U5"]),
        (np.full((4, 6), 255.0), ["0..1", "255..255", "divide by the maximum"]),
        (np.full((4, 6), -0.5), ["0..1", "-0.5"]),
        (np.full((4, 6), np.nan), ["NaN", "nan_to_num"]),
        (np.array([[0, np.inf]], np.float16), ["NaN or infinite"]),
        (np.zeros((0, 6), np.uint8), ["no pixels", "(0, 6)"]),
        (np.zeros((4, 6, 0)), ["no pixels"]),
        (np.zeros(()), ["()"]),
        (np.zeros(6), ["(6,)", "(height, width)"]),
        (np.zeros((4, 6, 2)), ["(4, 6, 2)", "1, 3 or 4 channels"]),
        (np.zeros((3, 6, 8)), ["(3, 6, 8)", "moveaxis"]),
        (np.zeros((2, 4, 6, 3)), ["(2, 4, 6, 3)", "one image at a time"]),
    ],
)
def test_bad_arrays(image, words):
    error = error_of(image)
    assert error.source == "array"
    for word in words:
        assert word in error.reason


@pytest.mark.parametrize("image", [None, 3, b"a.jpg", [[0, 1]], {"a": 1}, io.BytesIO()])
def test_other_types(image):
    error = error_of(image)
    assert type(image).__name__ in error.source and "file name" in error.reason


def test_unknown_modes_list_the_choices():
    with pytest.raises(SpmError, match="'rgb', 'grey', 'stored'"):
        read_image(smooth(), mode="gray")


def test_names():
    assert name_of("a/b.jpg") == "a/b.jpg" and name_of(Path("a") / "b.jpg") == os.path.join("a", "b.jpg")
    assert name_of(np.zeros((4, 6, 3))) == "array of shape (4, 6, 3)"
    assert name_of(Image.new("L", (6, 4))) == "Pillow image of size (6, 4)"
    assert name_of(7) == "object of type int"


def test_pillows_settings_are_left_alone(tmp_path):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)
    (tmp_path / "a.png").write_bytes(encode(smooth(), "PNG"))
    read_image(tmp_path / "a.png")
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before


@pytest.mark.parametrize("pixels", [smooth(), smooth()[:, :, 0]], ids=["colour", "grey"])
def test_stored_is_grey_for_grey_and_else_colour(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for image in (tmp_path / "a.png", pixels, Image.fromarray(pixels)):
        np.testing.assert_array_equal(read_image(image, "stored"), pixels)
    transparent = Image.fromarray(pixels).convert("RGBA")
    assert read_image(transparent, "stored").shape == (*pixels.shape[:2], 3)
