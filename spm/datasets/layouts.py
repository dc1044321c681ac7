"""Two photographs in, scenes out whose classes show the same things in different places."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from .._tools.public import public
from ..errors import SpmError, check_number

if TYPE_CHECKING:
    from PIL.Image import Image
    from sklearn.utils import Bunch

Box = tuple[int, int, int, int]

#: What scenes are made of: a photograph and a region of it as x0, y0, x1, y1. All lie in the photographs' left halves.
MATERIALS: dict[str, tuple[str, Box]] = {
    "eaves": ("china.jpg", (95, 30, 320, 165)),
    "walls": ("china.jpg", (65, 190, 320, 345)),
    "leaves": ("china.jpg", (0, 335, 300, 427)),
    "petals": ("flower.jpg", (175, 90, 320, 345)),
}
#: The parts of the photographs that no scene shows, so that a network may be trained on them and tested on scenes.
RESERVED_BOXES: dict[str, Box] = {"china.jpg": (320, 0, 640, 427), "flower.jpg": (320, 0, 640, 427)}

_CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))  # row and column, clockwise, so that neighbours in a ring are neighbours
_TYPICAL = 128  # a scene of this side shows the photographs at their own scale


def arrangements() -> list[tuple[str, ...]]:
    """List the 24 arrangements of the materials around the four corners, clockwise from the top left.

    They come in three groups of eight. A group holds the turns and mirrorings of one ring, so that its eight
    arrangements have the same materials side by side.

    Examples
    --------
    >>> arrangements()[0], arrangements()[1]
    (('eaves', 'walls', 'leaves', 'petals'), ('walls', 'leaves', 'petals', 'eaves'))
    """
    first, *others = MATERIALS
    rest = [tuple(others[i] for i in order) for order in permutations(range(3)) if order[0] < order[-1]]
    rings = [(first, *three) for three in rest]  # without their mirror images
    listed = []
    for ring in rings:
        turns = [ring[i:] + ring[:i] for i in range(4)]
        listed += turns + [turn[::-1] for turn in turns]
    return listed


@public("spm.datasets")
def make_layouts(
    n_per_class: int = 40,
    *,
    size: int = 128,
    n_classes: int = 8,
    random_state: int | np.random.RandomState | None = 0,
) -> Bunch:
    """Compose scenes that a bag of words cannot tell apart and a spatial pyramid can.

    Every scene shows the same four materials, cut from the two photographs that come with scikit-learn, one in each
    quarter. Its class is the arrangement of the four. Cuts differ in place, scale, contrast, brightness and by a
    mirroring; seams are shifted and soft, whatever the class; noise is added. So the counts of local features are
    alike in all classes, and only where the features lie tells the classes apart. With up to eight classes even the
    pairs of materials that meet at a seam are the same in all of them.

    Parameters
    ----------
    n_per_class : int, default=40
        Scenes of each class, at least 2.
    size : int, default=128
        Side of the scenes in pixels, at least 32. Larger scenes show the same, enlarged.
    n_classes : int, default=8
        Number of arrangements, 2 to 24.
    random_state : int, RandomState or None, default=0

    Returns
    -------
    Bunch
        ``data``: ndarray of shape (n, size, size, 3), uint8, RGB, class by class; ``target``: ndarray of shape (n,),
        int; ``target_names``: list of str, the materials in reading order; ``train``, ``test``: the indices of the
        first and second half of every class; ``DESCR``.

    Raises
    ------
    SpmError
        For an option out of range.

    Examples
    --------
    >>> scenes = make_layouts(2, n_classes=3)
    >>> scenes.data.shape, scenes.target
    ((6, 128, 128, 3), array([0, 0, 1, 1, 2, 2]))
    >>> scenes.target_names[0]
    'eaves-walls-petals-leaves'
    """
    check_number("n_per_class", n_per_class, least=2, integer=True)
    check_number("size", size, least=32, integer=True)
    check_number("n_classes", n_classes, least=2, integer=True)
    if n_classes > 24:
        raise SpmError(f"n_classes must be at most 24, the arrangements of four materials, got {n_classes}")
    from sklearn.utils import Bunch, check_random_state

    rng = check_random_state(random_state)
    regions = _regions()
    rings = arrangements()[:n_classes]
    data = [compose([regions[name] for name in ring], size, rng) for ring in rings for _ in range(n_per_class)]
    target = np.repeat(np.arange(n_classes), n_per_class)
    position = np.tile(np.arange(n_per_class), n_classes)
    return Bunch(
        data=np.stack(data),
        target=target,
        target_names=["-".join((a, b, d, c)) for a, b, c, d in rings],
        train=np.flatnonzero(position < n_per_class // 2),
        test=np.flatnonzero(position >= n_per_class // 2),
        DESCR=f"Scenes of the materials {', '.join(MATERIALS)} in {n_classes} arrangements: the same content in "
        "different places.",
    )


def _regions() -> dict[str, Image]:
    from PIL import Image
    from sklearn.datasets import load_sample_image

    photographs = {name: Image.fromarray(load_sample_image(name)) for name in RESERVED_BOXES}
    return {name: photographs[source].crop(box) for name, (source, box) in MATERIALS.items()}


def compose(regions: list[Image], size: int, rng: np.random.RandomState) -> np.ndarray:
    """Compose one scene of four regions, given clockwise from the top left: an array (size, size, 3), uint8."""
    reach = round(0.2 * size)
    right, bottom = (_ramp(size, size // 2 + int(rng.randint(-reach, reach + 1))) for _ in range(2))
    scene = np.zeros((size, size, 3))
    for region, (row, column) in zip(regions, _CORNERS, strict=True):
        down = bottom if row else 1 - bottom
        across = right if column else 1 - right
        rows, columns = np.flatnonzero(down), np.flatnonzero(across)
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        share = np.outer(down[rows], across[columns])[:, :, None]
        scene[window] += share * _cut(region, len(rows), len(columns), _TYPICAL / size, rng)
    noise = rng.randint(-30, 31, (2, size, size, 3)).sum(axis=0)  # whole numbers: the same on every machine
    return np.clip(np.rint(scene) + noise, 0, 255).astype(np.uint8)


def _ramp(size: int, seam: int) -> np.ndarray:
    soft = size / 16  # half the width of a seam
    return np.clip((np.arange(size) + 0.5 - seam) / (2 * soft) + 0.5, 0, 1)


def _cut(region: Image, height: int, width: int, shrink: float, rng: np.random.RandomState) -> Any:
    from PIL import Image

    scale = min(shrink * 1.4 ** rng.uniform(-1, 1), region.width / width, region.height / height)
    w, h = width * scale, height * scale
    left, top = rng.uniform(0, 1) * max(region.width - w, 0), rng.uniform(0, 1) * max(region.height - h, 0)
    box = (left, top, min(left + w, region.width), min(top + h, region.height))
    cut = np.asarray(region.resize((width, height), Image.Resampling.BILINEAR, box=box), dtype=np.float64)
    if rng.randint(2):
        cut = cut[:, ::-1]
    return (cut - cut.mean()) * rng.uniform(0.6, 1.4) + 128 + rng.uniform(-30, 30)
