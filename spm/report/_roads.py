"""A model and an image in, what there is to point at of each road out: cells, words, patches, places and votes."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .._tools.text import printable
from ..encoders.codes import Codes
from ..encoders.layer import Layer
from ..evidence import Votes
from ..evidence.voting import region_of
from ..features.dense_sift import DenseSIFT
from ..features.local import LocalFeatures
from ..features.mirrored import Mirrored
from ..plots._axes import rectangles_of
from ..plots.vocabulary import patch_sides
from ..pyramid.pyramid import SpatialPyramid
from ._pictures import data_uri

LONGEST = 720  # pixels, the longer side of the photograph on the page
TILE = 48  # pixels, the side of a patch on the page
N_PATCHES = 8  # of a word
MOST_GAIN = 2.5  # of a patch's contrast
DARK = 180  # of 255, how much what a word does not hold is darkened
LEVELS = 16  # of darkness, so that the places of a channel stay a small file
SIGNIFICANT = 4  # digits of a number


@dataclass(frozen=True)
class RoadLayer:
    """One layer of one road, for one image: the local features, their codes, and the values that the pyramid makes.

    Parameters
    ----------
    name : str
        Of the road in its `KernelSum` and the layer, as far as there are several; else empty.
    features : extractor
    layer : spm.encoders.Layer
    pyramid : SpatialPyramid
    local : LocalFeatures
    codes : Codes
    cells : ndarray of shape (n_cells, n_channels)
        The vector's values.
    """

    name: str
    features: Any
    layer: Layer
    pyramid: SpatialPyramid
    local: LocalFeatures
    codes: Codes
    cells: np.ndarray

    def units(self) -> tuple[list[str], np.ndarray]:
        """Return the names of what can be pointed at, words or channels, and the one that each channel belongs to."""
        names = [str(name) for name in self.layer.channel_names()]
        words = [re.match(r"word(\d+)", name) for name in names]
        if self.layer.encoder is None or not all(words):
            return [re.sub(r"^x(?=\d)", "channel ", name) for name in names], np.arange(len(names))
        owners = np.array([int(word[1]) for word in words if word])
        return [f"word {k}" for k in range(int(owners.max()) + 1)], owners

    def values(self) -> np.ndarray:
        """Return what each unit has in each cell: its value, or the length of its values where it has several."""
        names, owners = self.units()
        if len(names) == len(owners):
            return self.cells.astype(np.float64)
        return np.sqrt(_summed(np.square(self.cells.astype(np.float64)), owners, len(names)))

    def strengths(self, unit: int) -> np.ndarray:
        """Return how much each local feature is of a unit, at least 0: shape (N,)."""
        if self.layer.encoder is None:
            return np.maximum(self.codes.moments[:, unit], 0)
        return np.where(self.codes.words == unit, self.codes.weights, 0).max(axis=1, initial=0)

    def distances(self, unit: int, which: np.ndarray) -> np.ndarray:
        """Return how far these local features are from a word, zeros where nothing is known of that."""
        words = getattr(self.layer.encoder, "words_", np.empty((0, 0)))
        own = LocalFeatures(self.local.values[which], self.local.extents[which], **_place(self.local))
        values = self.layer.describe(own) if len(which) else np.empty((0, 0))
        if unit >= len(words) or values.shape[1:] != words.shape[1:]:
            return np.zeros(len(which))
        return np.square(values - words[unit]).sum(axis=1)


def layers_of(roads: Sequence[tuple[str, Any]], image: Any) -> list[RoadLayer]:
    """Return every layer of fitted vectorizers, given by name, for an image."""
    found = []
    for name, road in roads:
        vector = road.transform_pyramids([image], [None])[0][0]
        start, pyramid = 0, road.pyramid_
        for number, (layer, (local, codes)) in enumerate(zip(road.layers_, road.encode(image), strict=True)):
            end = start + pyramid.n_cells * layer.n_channels
            cells = vector[start:end].reshape(pyramid.n_cells, layer.n_channels)
            called = f"{name} layer {number}".strip() if len(road.layers_) > 1 else name
            found.append(RoadLayer(called, road.features_, layer, pyramid, local, codes, cells))
            start = end
    return found


def document(road: RoadLayer, number: int, pixels: np.ndarray, votes: Sequence[Votes], n_units: int) -> dict[str, Any]:
    """Return what a page needs to know of the layer at `number`, of `n_units` words or channels at most.

    Parameters
    ----------
    road : RoadLayer
    number : int
        Its position among all layers, as votes have them.
    pixels : ndarray of shape (height, width, 3)
    votes : sequence of Votes
    n_units : int
    """
    names, owners = road.units()
    values = road.values()
    voted = [_summed(one.layers[number].values, owners, len(names)) for one in votes]
    shown = chosen(values, voted, n_units)
    height, width = pixels.shape[:2]
    region = np.array(region_of(road.local)) / (width, height, width, height)
    strengths = [road.strengths(unit) for unit in shown.tolist()]
    patches, found = _patches(road, shown, strengths, pixels)
    grids, weights = road.pyramid.grids().tolist(), road.pyramid.level_weights().tolist()
    return {
        "title": title_of(road),
        "about": _about(road, len(names), len(shown)),
        "one": "cell" if road.local.stride is not None else "patch",
        "region": [float(edge) for edge in region],
        "levels": [[*grid, rounded(weight)] for grid, weight in zip(grids, weights, strict=True)],
        "hidden": len(shown) < len(names),
        "names": [printable(names[unit]) for unit in shown],
        "counts": [None if road.layer.encoder is None else int((s > 0).sum()) for s in strengths],
        "values": _lists(values[:, shown]),
        "votes": [_lists(own[:, shown]) for own in voted],
        "sums": [[rounded(total) for total in own.sum(axis=1)] for own in voted],
        "places": [_places(road.local, s, (height, width)) for s in strengths],
        "patches": patches,
        "found": found,
        "tiles": N_PATCHES,
    }


def chosen(values: np.ndarray, voted: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Return which units to show, the largest of the image first: three of four by that, the others by their votes.

    Examples
    --------
    >>> chosen(np.array([[5, 1, 0, 3, 2]]), [np.array([[0, 0, 9, 0, 0]])], 4)
    array([0, 3, 4, 2])
    """
    size = np.abs(values).sum(axis=0)
    by_size = np.argsort(-size, kind="stable")
    kept = by_size[: n - n // 4 if len(voted) else n]
    if len(voted):
        weight = np.max([np.abs(own).sum(axis=0) for own in voted], axis=0)
        by_vote = np.argsort(-weight, kind="stable")
        kept = np.append(kept, by_vote[~np.isin(by_vote, kept)][: n // 4])
    return kept[np.argsort(-size[kept], kind="stable")]


def photograph(pixels: np.ndarray) -> str:
    """Return a photograph as the page shows it: a JPEG of at most `LONGEST` pixels."""
    small = Image.fromarray(pixels)
    small.thumbnail((LONGEST, LONGEST))
    return _encoded(small, "JPEG", quality=85)


def title_of(road: RoadLayer) -> str:
    """Return what to call a layer."""
    kind = "Maps" if road.local.stride is not None else "Patches"
    return printable(road.name or (kind if road.layer.encoder is None else "Words"))


def rounded(value: float) -> float:
    """Return a number with few digits, which is nothing but a shorter text."""
    return float(f"{value:.{SIGNIFICANT}g}")


def _about(road: RoadLayer, n_units: int, n_shown: int) -> str:
    kind = "channels" if road.layer.encoder is None else f"words ({type(road.layer.encoder).__name__})"
    made = f"{len(road.local):,} {'cells' if road.local.stride is not None else 'patches'}"
    shown = f", {n_shown} shown" if n_shown < n_units else ""
    return f"{type(road.features).__name__}: {made}, {n_units:,} {kind}{shown}"


def _place(local: LocalFeatures) -> dict[str, Any]:
    names = ("grid", "stride", "offset", "image_size", "mirrored")
    return {name: getattr(local, name) for name in names}


def _summed(values: np.ndarray, owners: np.ndarray, n: int) -> np.ndarray:
    """Return the sums of the channels that each unit owns: (n_cells, n_channels) becomes (n_cells, n)."""
    sums = np.zeros((n, len(values)))
    np.add.at(sums, owners, values.T)
    return sums.T


def _lists(values: np.ndarray) -> list[list[float]]:
    return [[rounded(value) for value in row] for row in values.tolist()]


def _encoded(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return data_uri(buffer.getvalue(), f"image/{kind.lower()}")


def _places(local: LocalFeatures, strengths: np.ndarray, size: tuple[int, int]) -> str:
    """Return a picture to lay over the photograph: dark, but where a unit lies, and there the lighter the stronger."""
    scale = min(1.0, LONGEST / max(size))
    height, width = (max(1, round(scale * length)) for length in size)
    light = np.zeros((height, width))
    used = np.flatnonzero(strengths > 0)
    corners = np.rint(rectangles_of(local)[used] * scale).astype(int).clip(0, (width, height, width, height))
    strongest = strengths.max(initial=0)
    for (x0, y0, x1, y1), strength in zip(corners.tolist(), strengths[used] / (strongest or 1), strict=True):
        part = light[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        np.maximum(part, strength, out=part)
    dark = np.round((1 - light) * LEVELS) / LEVELS * DARK
    layers = np.stack([np.zeros_like(dark), dark], axis=2).astype(np.uint8)
    return _encoded(Image.fromarray(layers), "PNG", optimize=True)


def _patches(
    road: RoadLayer, shown: np.ndarray, strengths: Sequence[np.ndarray], pixels: np.ndarray
) -> tuple[str, list[int]]:
    """Return one picture with a row of patches for each unit, the nearest or strongest first, and how many it has."""
    picture = Image.fromarray(pixels)
    sheet = Image.new("RGB", (N_PATCHES * TILE, max(len(shown), 1) * TILE), (128, 128, 128))
    boxes, found = _boxes(road, pixels.shape[:2]), []
    for row, (unit, own) in enumerate(zip(shown.tolist(), strengths, strict=True)):
        first = _first_apart(boxes, _in_order(road, unit, own))
        found.append(len(first))
        for column, box in enumerate(first):
            tile = np.asarray(picture.resize((TILE, TILE), Image.Resampling.BICUBIC, box))
            sheet.paste(Image.fromarray(_stretched(tile)), (column * TILE, row * TILE))
    return _encoded(sheet, "JPEG", quality=80), found


def _stretched(tile: np.ndarray) -> np.ndarray:
    """Return a patch with more contrast, nearer to what a descriptor sees; a flat one stays nearly so."""
    values, mean = tile.astype(np.float64), tile.mean()
    gain = min(MOST_GAIN, 255 / max(float(np.ptp(values)), 1.0))
    return np.clip(mean + gain * (values - mean), 0, 255).astype(np.uint8)


def _boxes(road: RoadLayer, size: tuple[int, ...]) -> np.ndarray:
    """Return what to show of each local feature: its patch; of a cell also its neighbours. Within the image, (N, 4)."""
    rectangles = rectangles_of(road.local)
    centres = (rectangles[:, :2] + rectangles[:, 2:]) / 2
    inner = road.features.part("features") if isinstance(road.features, Mirrored) else road.features
    if isinstance(inner, DenseSIFT):
        sides = patch_sides(inner, road.local)
    else:
        least = 3 * (rectangles[:, 2:] - rectangles[:, :2]).max(axis=1, initial=0)
        sides = np.maximum(least, 16.0)
    sides = np.minimum(sides, min(size))[:, None]
    corners = np.clip(centres - sides / 2, 0, np.array(size[::-1]) - sides)
    return np.hstack([corners, corners + sides])


def _in_order(road: RoadLayer, unit: int, strengths: np.ndarray) -> np.ndarray:
    """Return the local features of a unit, the strongest first, of equal ones the nearest to the word."""
    used = np.flatnonzero(strengths > 0)
    return used[np.lexsort((road.distances(unit, used), -strengths[used]))]


def _first_apart(boxes: np.ndarray, order: np.ndarray) -> list[Any]:
    """Return the first boxes of which no two have nearly the same place."""
    kept: list[np.ndarray] = []
    for box in boxes[order]:
        near = (np.abs(box[:2] - other[:2]).max() < 0.5 * (box[2] - box[0]) for other in kept)
        if not any(near):
            kept.append(box)
        if len(kept) == N_PATCHES:
            break
    return [tuple(box.tolist()) for box in kept]
