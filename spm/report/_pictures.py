"""Pictures as data: images and drawings in, the text that an image element takes as its source out."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from .._tools.parallel import in_threads
from ..errors import ImageError
from ..images import read_image
from ..plots._axes import need

SIDE = 96  # pixels, the longer side of a thumbnail
QUALITY = 75  # of its JPEG
DOTS = 120  # an inch, of drawings that are not made of lines


def data_uri(content: bytes, kind: str) -> str:
    """Return the content of a file as an address that holds it all.

    Examples
    --------
    >>> data_uri(b"abc", "image/png")
    'data:image/png;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def thumbnail(image: Any) -> str | None:
    """Return a small JPEG of an image, or None if it can no longer be read."""
    try:
        small = Image.fromarray(read_image(image, max_side=4 * SIDE))
    except ImageError:
        return None
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return data_uri(buffer.getvalue(), "image/jpeg")


def thumbnails(images: Sequence[Any], positions: Any, n_jobs: int | None) -> dict[int, str | None]:
    """Return the thumbnails of the images at these positions, each made once."""
    wanted = np.unique(np.asarray(positions, dtype=np.int64)).tolist()
    made = in_threads(lambda i: thumbnail(images[i]), wanted, n_jobs=n_jobs)
    return dict(zip(wanted, made, strict=True))


def drawing(draw: Callable[[Any], None], size: tuple[float, float], *, kind: str = "svg", math: bool = False) -> str:
    """Return what `draw` draws on a new figure of `size` inches.

    The reader's own settings of matplotlib play no part, and no window system is needed. Only with `math` does text
    between dollar signs mean a formula, as numbers on logarithmic axes do: names may have dollar signs.
    """
    figure = need("matplotlib.figure").Figure(figsize=size, layout="constrained")
    buffer = io.BytesIO()
    settings = ["default", {"text.parse_math": math, "svg.hashsalt": "spm"}]
    with need("matplotlib.style").context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # of a script that the font lacks: the page's own text has it
        draw(figure)
        figure.savefig(buffer, format=kind, dpi=DOTS, metadata={"Date": None} if kind == "svg" else None)
    return data_uri(buffer.getvalue(), {"svg": "image/svg+xml", "png": "image/png"}[kind])
