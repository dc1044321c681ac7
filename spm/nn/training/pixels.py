"""Pixels: images in, what a network is shown of them in an epoch out: cut, resized, mirrored, one array a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from ..._tools.parallel import in_order
from ...features.frames import frame_of, resize
from ...images import read_image
from .buckets import ShapeBuckets

KEPT_BYTES = 2**32  # of decoded images; those beyond are read again whenever they are shown
CUT_OF, CUT = 256, 224  # He 2014, section 2.3: crops of 224 from images whose shorter side is 256
SCHEDULES = ("fixed", "alternate", "range", "free")
POLICIES = ("crop", "warp")
AUGMENTATIONS = ("crop", "mirror")

Size = int | None
Where = Sequence[float] | np.ndarray


class Pictures:
    """Images, each read once and looked over; as many are kept as uint8 pixels as a bound of bytes allows.

    Parameters
    ----------
    images : sequence of paths or arrays
    mode : {"stored", "grey"}
        As `read_image` takes it.
    most : int, optional
        Larger images are resized to this shorter side, which is all that is ever asked of them.
    keep_bytes : int
    digest : bool
        Whether `digest` is made.
    n_jobs, verbose
        As `in_order` takes them.

    Attributes
    ----------
    shapes : ndarray of shape (n, 2), int64
        Height and width, after resizing.
    digest : str
        Of all pixels in order, if asked for.

    Raises
    ------
    ImageError
        For an image that cannot be read; it names the file.

    Examples
    --------
    >>> pictures = Pictures([np.zeros((300, 400, 3), np.uint8), np.zeros((30, 40), np.uint8)], "stored", most=150)
    >>> pictures.shapes.tolist(), pictures[1].shape
    ([[150, 200], [30, 40]], (30, 40, 1))
    """

    def __init__(
        self,
        images: Sequence[Any],
        mode: str,
        *,
        most: int | None = None,
        keep_bytes: int = KEPT_BYTES,
        digest: bool = False,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self._images = images
        self._read = partial(read_pixels, mode=mode, most=most)
        self._kept: list[np.ndarray] = []
        shapes, left, content = [], keep_bytes, blake2b(digest_size=20)
        for pixels in in_order(self._read, images, n_jobs=n_jobs, label="reading", total=len(images), verbose=verbose):
            shapes.append(pixels.shape[:2])
            left -= pixels.nbytes
            if left >= 0:
                self._kept.append(pixels)
            if digest:
                content.update(f"{pixels.shape} ".encode() + pixels.tobytes())
        self.digest = content.hexdigest() if digest else ""
        self.shapes = np.array(shapes, dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def __getitem__(self, i: int) -> np.ndarray:
        """Return the pixels of an image: shape (h, w, 1) or (h, w, 3), uint8."""
        return self._kept[i] if i < len(self._kept) else self._read(self._images[i])


def read_pixels(image: Any, mode: str, most: int | None = None) -> np.ndarray:
    """Return an image's pixels, (h, w, 1) or (h, w, 3) uint8, its shorter side `most` or less."""
    pixels = read_image(image, mode)
    if most is not None and min(pixels.shape[:2]) > most:
        pixels = resize(pixels, frame_of(pixels.shape[:2], most, "full").size)
    return pixels.reshape(*pixels.shape[:2], -1)


# What is shown


@dataclass(frozen=True)
class View:
    """What is shown of an image: resized, of that a window, brought to a shape, mirrored or not.

    Parameters
    ----------
    resized : (int, int) or None
        Height and width that the image is resized to first.
    window : (int, int, int, int)
        Top, left, height and width in pixels of the resized image.
    shape : (int, int)
        What the window is resized to.
    mirrored : bool
    """

    resized: tuple[int, int] | None
    window: tuple[int, int, int, int]
    shape: tuple[int, int]
    mirrored: bool = False

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """Return this view of pixels (h, w, c): uint8, of height and width `shape`, and as many channels."""
        channels = pixels.shape[2:]
        if self.resized is not None:
            pixels = resize(pixels, self.resized).reshape(*self.resized, *channels)
        top, left, height, width = self.window
        seen = pixels[top : top + height, left : left + width]
        if seen.shape[:2] != self.shape:
            seen = resize(np.ascontiguousarray(seen), self.shape).reshape(*self.shape, *channels)
        return seen[:, ::-1] if self.mirrored else seen


def cropped(image: tuple[int, int], largest: int, size: int, where: Where, *, whole: bool) -> View:
    """Return a square crop: the image at 256 / 224 of the largest size, of that a window, resized to the epoch's size.

    So the smaller image is the same crop, resized (He 2014, section 2.3).

    Parameters
    ----------
    image : (int, int)
        Height and width.
    largest, size : int
    where : (float, float)
        Where the window lies down and across in what it leaves, from 0 to 1.
    whole : bool
        Whether the window is the largest square, with nothing left along the shorter side.

    Examples
    --------
    >>> cropped((300, 400), 224, 180, (0.0, 1.0), whole=False)
    View(resized=(256, 341), window=(0, 117, 224, 224), shape=(180, 180), mirrored=False)
    """
    side = largest if whole else round(largest * CUT_OF / CUT)
    resized = frame_of(image, side, "crop").resized
    top, left = (round((length - largest) * share) for length, share in zip(resized, where, strict=True))
    return View(resized, (top, left, largest, largest), (size, size))


def squeezed(image: tuple[int, int], shape: tuple[int, int], where: Where, *, whole: bool) -> View:
    """Return a window of 7/8 of the height and the width, or the whole image, brought to a shape.

    Examples
    --------
    >>> squeezed((300, 400), (224, 224), (1.0, 0.5), whole=False)
    View(resized=None, window=(38, 25, 262, 350), shape=(224, 224), mirrored=False)
    """
    share = 1.0 if whole else CUT / CUT_OF
    height, width = (max(round(length * share), 1) for length in image)
    top, left = round((image[0] - height) * where[0]), round((image[1] - width) * where[1])
    return View(None, (top, left, height, width), shape)


def assemble(pictures: Any, at: Sequence[int], views: Sequence[View], map_: Callable[..., Any] = map) -> np.ndarray:
    """Return views of images as one array, (b, h, w, c) uint8, c being 1 where all are grey."""
    shown = list(map_(lambda i, view: view.of(pictures[i]), at, views))
    channels = max(seen.shape[2] for seen in shown)
    batch = np.empty((len(shown), *shown[0].shape[:2], channels), dtype=np.uint8)
    for row, seen in zip(batch, shown, strict=True):
        row[:] = seen
    return batch


# Epochs


@dataclass(frozen=True)
class Schedule:
    """Which size is shown in which epoch, and as what.

    Parameters
    ----------
    name : {"fixed", "alternate", "range", "free"}
    sizes : tuple of int or None
    step : int
        Of a range: from size to size. Of free sizes: what sides are rounded to.
    policy : {"crop", "warp"}
    crop, mirror : bool
        What augments.
    seed : int
    """

    name: str
    sizes: tuple[Size, ...]
    step: int
    policy: str
    crop: bool
    mirror: bool
    seed: int

    def size(self, epoch: int) -> Size:
        """Return the size of an epoch: for a range drawn uniformly (He 2014, section 3.1.2), else in turn.

        Examples
        --------
        >>> two = Schedule("alternate", (224, 180), 32, "crop", True, True, 0)
        >>> [two.size(epoch) for epoch in range(3)]
        [224, 180, 224]
        """
        if self.name != "range":
            return self.sizes[epoch % len(self.sizes)]
        low, high = self.sizes
        assert low is not None and high is not None
        return int(np.random.default_rng((self.seed, epoch, 2)).choice(np.arange(low, high + 1, self.step)))

    @property
    def largest(self) -> int | None:
        """The largest size; None where an image is shown as it is."""
        sizes = [size for size in self.sizes if size is not None]
        return max(sizes) if len(sizes) == len(self.sizes) else None

    @property
    def most(self) -> int | None:
        """The shorter side of images that is ever asked for."""
        largest = self.largest
        return None if largest is None else round(largest * CUT_OF / CUT) + self.step

    def shapes(self, shapes: np.ndarray, size: Size) -> np.ndarray:
        """Return the shapes that images are brought to, before they are rounded to steps: (n, 2)."""
        if self.name != "free":
            return np.full((len(shapes), 2), size, dtype=np.int64)
        return np.array([frame_of((int(h), int(w)), size, "full").size for h, w in shapes], dtype=np.int64)

    def buckets(self, shapes: np.ndarray, size: Size, batch_size: int, **options: Any) -> ShapeBuckets:
        """Return the batches of an epoch at one size."""
        step = self.step if self.name == "free" else 1
        return ShapeBuckets(self.shapes(shapes, size), batch_size, step=step, random_state=self.seed, **options)

    def view(self, image: Any, target: Any, size: Size, where: Where, *, crop: bool) -> View:
        """Return what is shown of an image of that shape; `where` says from where, if it is cropped."""
        image, target = (int(image[0]), int(image[1])), (int(target[0]), int(target[1]))
        where = where if crop else (0.5, 0.5)
        if self.name == "free" or self.policy == "warp":
            return squeezed(image, target, where, whole=not crop)
        assert self.largest is not None and size is not None
        return cropped(image, self.largest, size, where, whole=not crop)

    def draws(self, n: int, epoch: int) -> np.ndarray:
        """Return what chance says of each image in an epoch: down, across, mirrored if below a half; (n, 3)."""
        return np.random.default_rng((self.seed, epoch, 1)).random((n, 3))


def views_of(schedule: Schedule, pictures: Pictures, targets: np.ndarray, epoch: int) -> Callable[[int], View]:
    """Return what is shown of each image in an epoch, as a function of its position."""
    draws, size = schedule.draws(len(pictures), epoch), schedule.size(epoch)

    def view(i: int) -> View:
        plain = schedule.view(pictures.shapes[i], targets[i], size, draws[i, :2], crop=schedule.crop)
        return View(plain.resized, plain.window, plain.shape, bool(schedule.mirror and draws[i, 2] < 0.5))

    return view


def ahead(produce: Callable[[Any], Any], items: Sequence[Any], depth: int = 3) -> Iterator[Any]:
    """Yield ``produce(item)`` in order, made by one thread that is a few items ahead of who takes them."""
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    waiting: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(1)
    try:
        for item in items:
            waiting.append(pool.submit(produce, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
