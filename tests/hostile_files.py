"""Files that somebody has broken: a real file of every format in, what a stranger might send in its place out."""

import io
import struct

import numpy as np
from PIL import Image

WRITTEN = {
    "jpg": ("JPEG", "RGB", {}),
    "progressive.jpg": ("JPEG", "RGB", {"progressive": True}),
    "cmyk.jpg": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "palette.png": ("PNG", "P", {}),
    "sixteen.png": ("PNG", "I;16", {}),
    "gif": ("GIF", "P", {}),
    "bmp": ("BMP", "RGB", {}),
    "tif": ("TIFF", "RGB", {}),
    "lzw.tif": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "deflate.tif": ("TIFF", "L", {"compression": "tiff_adobe_deflate"}),
    "float.tif": ("TIFF", "F", {}),
    "webp": ("WEBP", "RGB", {}),
    "lossless.webp": ("WEBP", "RGBA", {"lossless": True}),
    "ppm": ("PPM", "RGB", {}),
    "pgm": ("PPM", "L", {}),
    "pbm": ("PPM", "1", {}),
    "tga": ("TGA", "RGB", {"compression": "tga_rle"}),
    "pcx": ("PCX", "L", {}),
    "sgi": ("SGI", "RGB", {}),
    "ico": ("ICO", "RGBA", {}),
    "icns": ("ICNS", "RGBA", {}),
    "jp2": ("JPEG2000", "RGB", {}),
    "avif": ("AVIF", "RGB", {}),
    "dds": ("DDS", "RGBA", {}),
    "msp": ("MSP", "1", {}),
    "xbm": ("XBM", "1", {}),
    "im": ("IM", "L", {}),
    "spi": ("SPIDER", "F", {}),
    "dib": ("DIB", "RGB", {}),
}
"""Format, mode and options, by an ending."""

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def files(size=(37, 29)):
    """Return the content of a real file of every format that can be written here, by its ending."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    found = {}
    for ending, (kind, mode, options) in WRITTEN.items():
        image = Image.fromarray(pixels)
        if mode == "F":  # floats lie in 0..1
            image = Image.fromarray((pixels[:, :, 0] / 255).astype(np.float32))
        image = image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
        file = io.BytesIO()
        try:
            image.save(file, kind, **options)
        except (OSError, KeyError, ValueError):  # a library that Pillow was built without
            continue
        found[ending] = file.getvalue()
    return found


def broken(content, random, others=()):
    """Return a file's content with one to four things wrong with it, by a numpy Generator."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 5))):
        n = max(len(data), 1)
        near = int(random.integers(n)) if random.random() < 0.5 else int(random.integers(min(n, 80)))  # heads matter
        way = int(random.integers(7))
        if way == 0 and data:
            data[near] ^= 1 << int(random.integers(8))
        elif way == 1:
            del data[near:]
        elif way == 2:
            data[near:near] = random.bytes(int(random.integers(1, 40)))
        elif way == 3:
            length, order = int(random.choice([1, 2, 4])), str(random.choice(["<", ">"]))
            number = NUMBERS[int(random.integers(len(NUMBERS)))] % 2 ** (8 * length)
            data[near : near + length] = struct.pack(order + {1: "B", 2: "H", 4: "I"}[length], number)
        elif way == 4:
            stop = near + int(random.integers(1, 200))
            data[near:stop] = bytes(len(data[near:stop]))
        elif way == 5 and len(others):
            other = others[int(random.integers(len(others)))]
            data[near:] = other[int(random.integers(len(other))) :]
        else:
            stop = near + int(random.integers(1, 60))
            data[near:near] = data[near:stop]
    return bytes(data)
