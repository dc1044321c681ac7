"""An image and its objects in, the image with their boxes, names and scores drawn over it out."""

from __future__ import annotations

import importlib.util
import os
import unicodedata
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .._tools.public import public
from .._tools.text import printable
from ..errors import SpmError
from ..images import ImageLike, read_image
from .objects import Objects

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]
Tag = tuple[str, Box, Colour]  # a name, the box that it belongs to, the colour of its plate

COLOURS = (
    (230, 25, 75), (60, 180, 75), (0, 130, 200), (245, 130, 48), (145, 30, 180), (70, 240, 240), (240, 50, 230),
    (210, 245, 60), (0, 128, 128), (170, 110, 40), (255, 225, 25), (250, 190, 212),
)  # fmt: skip
TRUE_COLOUR = (255, 255, 255)
_LINE, _FONT = 1 / 280, 1 / 38  # of the longer side: how thick lines are, how high text is
_LUMA, _BRIGHT = (0.299, 0.587, 0.114), 140  # plates from this on have black letters
_CUT = "..."
_SMALLEST, _LEGIBLE = 7, 11  # pixels: text that a narrow image forces, text that is read
_DASH = 5  # lengths of a dash and of a gap, in thicknesses

FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf",
    "Arial.ttf", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "msyh.ttc",
    "YuGothR.ttc", "malgun.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",
)  # fmt: skip
"""Where letters are looked for that Pillow's own font does not have: it has those of English."""


@public("spm.detection")
def draw(image: ImageLike, objects: Objects, truth: Objects | None = None) -> np.ndarray:
    """Draw objects over an image: boxes, names and scores, a colour for each class.

    Lines and letters grow with the image. Names lie where they do not hide each other, as far as there is room; those
    of higher scores lie on top and choose first.

    Parameters
    ----------
    image : str, path, ndarray or PIL.Image.Image
        As `spm.images.read_image` takes it. It is not changed.
    objects : Objects
        What was found, or what there is.
    truth : Objects, optional
        What is true: drawn beneath in white and dashed. A true name is left out where it would hide another.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        In RGB.

    Raises
    ------
    ImageError
        If the image cannot be used.
    SpmError
        When `objects` or `truth` is something else.

    Notes
    -----
    No window and no display is needed. Letters that Pillow's own font does not have are drawn in one of the system's
    that has them; where there is none, they lose their accents, or their number is drawn: U+72AC.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.detection import Objects, draw
    >>> grey = np.full((120, 160), 128, np.uint8)
    >>> drawn = draw(grey, Objects([[20, 30, 100, 90]], ["dog"], [0.87]))
    >>> drawn.shape, drawn[60, 60].tolist(), drawn[60, 20].tolist() != [128, 128, 128]
    ((120, 160, 3), [128, 128, 128], True)
    """
    for name, given in (("objects", objects), ("truth", truth)):
        if not isinstance(given, Objects) and not (name == "truth" and given is None):
            raise SpmError(f"{name} must be a spm.detection.Objects, of one image, got {type(given).__name__}")
    canvas = Image.fromarray(read_image(image).copy())
    colours = colours_of(objects)
    tags: list[Tag] = []
    if truth is not None:
        for k in range(len(truth)):
            box = _frame(canvas, truth.boxes[k], TRUE_COLOUR, dashed=True)
            text = _name(truth.labels[k]) + " (difficult)" * bool(truth.difficult[k])
            tags.append((text, box, TRUE_COLOUR))
    scores = np.zeros(len(objects)) if objects.scores is None else objects.scores
    for k in np.argsort(scores, kind="stable"):
        name = _name(objects.labels[k])
        box = _frame(canvas, objects.boxes[k], colours[name], dashed=False)
        tags.append((name if objects.scores is None else f"{name} {_short(scores[k])}", box, colours[name]))
    _write(canvas, tags[::-1], free=0 if truth is None else len(truth))
    return np.array(canvas)


def colours_of(objects: Objects) -> dict[str, Colour]:
    """Return a colour for each name: that of its letters, the next one where another name in the image has it.

    So a class has the same colour in nearly every image, whatever else is found there.

    Examples
    --------
    >>> two = colours_of(Objects([[0, 0, 9, 9]] * 2, ["dog", "cat"]))
    >>> two["dog"] == colours_of(Objects([[0, 0, 9, 9]], ["dog"]))["dog"], two["dog"] == two["cat"]
    (True, False)
    """
    chosen: dict[str, int] = {}
    for name in sorted({_name(label) for label in objects.labels}):
        first = zlib.crc32(name.encode("utf-8", "surrogatepass")) % len(COLOURS)
        order = [(first + step) % len(COLOURS) for step in range(len(COLOURS))]
        chosen[name] = next((k for k in order if k not in chosen.values()), first)
    return {name: COLOURS[k] for name, k in chosen.items()}


def _name(label: Any) -> str:
    return unicodedata.normalize("NFC", printable(label))


def _short(score: float) -> str:
    return f"{score:.2f}" if abs(score) < 100 else f"{score:.3g}"


# Boxes


def _frame(canvas: Image.Image, box: np.ndarray, colour: Colour, *, dashed: bool) -> Box:
    """Draw one box inside its edges and return where it lies: its first and last columns and rows."""
    width, height = canvas.size
    x0, y0 = (int(np.clip(np.floor(box[k] + 0.5), 0, canvas.size[k] - 1)) for k in (0, 1))
    x1, y1 = (int(np.clip(np.floor(box[k] + 0.5) - 1, (x0, y0)[k - 2], canvas.size[k - 2] - 1)) for k in (2, 3))
    pen = ImageDraw.Draw(canvas)
    thick = max(round(max(width, height) * _LINE), 1)
    if thick > 1:  # a dark rim, so that it is seen on any image
        rim = max(thick // 3, 1)
        pen.rectangle((x0 - rim, y0 - rim, x1 + rim, y1 + rim), outline=(0, 0, 0), width=thick + 2 * rim)
    if not dashed:
        pen.rectangle((x0, y0, x1, y1), outline=colour, width=thick)
        return x0, y0, x1, y1
    if thick == 1:
        pen.rectangle((x0, y0, x1, y1), outline=(0, 0, 0), width=1)
    step = _DASH * max(thick, 1)
    for x in range(x0, x1 + 1, 2 * step):
        for y in (y0, max(y1 - thick + 1, y0)):
            pen.rectangle((x, y, min(x + step, x1), min(y + thick - 1, y1)), fill=colour)
    for y in range(y0, y1 + 1, 2 * step):
        for x in (x0, max(x1 - thick + 1, x0)):
            pen.rectangle((x, y, min(x + thick - 1, x1), min(y + step, y1)), fill=colour)
    return x0, y0, x1, y1


# Names


def _write(canvas: Image.Image, tags: list[Tag], free: int) -> None:
    """Write names on plates of their colours: the first choose first and lie on top.

    The last `free` ones are left out where they would hide another, or be hidden.
    """
    taken: list[Box] = []
    plates = []
    for k, (text, box, colour) in enumerate(tags):
        plate = _plate(text, colour, canvas.size)
        hidden, x, y = _place(plate.size, box, canvas.size, taken)
        if not hidden or k < len(tags) - free:
            taken.append((x, y, x + plate.width, y + plate.height))
            plates.append((plate, (x, y)))
    for plate, place in reversed(plates):
        canvas.paste(plate, place)


def _plate(text: str, colour: Colour, size: tuple[int, int]) -> Image.Image:
    """Return a name on its plate, small enough for the image."""
    width, height = size
    letters = max(round(max(size) * _FONT), _LEGIBLE)
    font, text = font_for(text, letters)
    while letters > _SMALLEST and font.getlength(text) + letters // 2 > width:
        letters -= 1
        font, text = font_for(text, letters)
    while len(text) > len(_CUT) + 1 and font.getlength(text) + letters // 2 > width:
        text = text.removesuffix(_CUT)[:-1] + _CUT
    pad = max(letters // 6, 1)
    ascent, descent = font.getmetrics()
    plate = Image.new(
        "RGB", (min(int(np.ceil(font.getlength(text))) + 2 * pad, width), min(ascent + descent + pad, height)), colour
    )
    bright = np.dot(colour, _LUMA) > _BRIGHT
    ImageDraw.Draw(plate).text((pad, pad // 2), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
    return plate


def _place(plate: tuple[int, int], box: Box, size: tuple[int, int], taken: list[Box]) -> tuple[int, int, int]:
    """Return how many pixels of others a plate hides and where it goes, left and top: where it hides least.

    The places are above its box, in it and below, left and right, in this order.
    """
    x0, y0, x1, y1 = box
    places: list[tuple[Any, ...]] = []
    for y in (y0 - plate[1], y0, y1 + 1, y1 + 1 - plate[1]):
        for x in (x0, x1 + 1 - plate[0]):
            inside = min(max(x, 0), size[0] - plate[0]), min(max(y, 0), size[1] - plate[1])
            moved = abs(inside[0] - x) + abs(inside[1] - y)
            hidden = sum(_shared((*inside, inside[0] + plate[0], inside[1] + plate[1]), other) for other in taken)
            places.append((hidden, inside[1] != y, moved, len(places), *inside))
    best = min(places)
    return best[0], best[-2], best[-1]


def _shared(a: Box, b: Box) -> int:
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)


# Fonts


def font_for(text: str, size: int) -> tuple[Any, str]:
    """Return a font that has every letter of a text, and the text, written otherwise where no font has them.

    Examples
    --------
    >>> font_for("dog", 12)[1]
    'dog'
    """
    plain = ImageFont.load_default(size)
    if _has(plain, text):
        return plain, text
    for path in _system_fonts():
        font = ImageFont.truetype(path, size)
        if _has(font, text):
            return font, text
    return plain, _spelled(text, plain)


def _has(font: Any, text: str) -> bool:
    """Whether a font has every letter: for one that it lacks it draws the same box as for what is no letter."""
    lacking = font.getmask("\uffff")
    for letter in set(text) - {" "}:
        mask = font.getmask(letter)
        if letter.isprintable() and mask.size == lacking.size and bytes(mask) == bytes(lacking):
            return False
    return True


def _spelled(text: str, font: Any) -> str:
    """Write a text with the letters of a font: without accents, or by the letters' numbers."""
    letters = []
    for letter in text:
        bare = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
        letters.append(letter if _has(font, letter) else bare if bare and _has(font, bare) else f"U+{ord(letter):04X}")
    return "".join(letters)


@lru_cache(maxsize=1)
def _system_fonts() -> tuple[str, ...]:
    """Return the files of those fonts that are there; matplotlib brings one, which is not imported for it."""
    found = []
    for name in FONTS:
        try:
            found.append(os.fspath(ImageFont.truetype(name, 10).path))  # type: ignore[arg-type]
        except OSError:
            continue
    package = importlib.util.find_spec("matplotlib")
    if package is not None and package.origin is not None:
        path = os.path.join(os.path.dirname(package.origin), "mpl-data", "fonts", "ttf", FONTS[0])
        found += [path] * os.path.isfile(path)
    return tuple(found)
