"""How far apart the vectors of a photograph and of its copies lie, and those of different photographs."""

from __future__ import annotations

import io

import numpy as np
from _common import keep, scene15, table
from PIL import Image
from sklearn.neighbors import NearestNeighbors

import spm

N_PHOTOS, N_COPIED, RADIUS = 400, 80, 0.7


def saved(picture: Image.Image, quality: int) -> Image.Image:
    """Return a picture as a JPEG of this quality gives it back."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def copies(path: str) -> dict[str, Image.Image]:
    """Return the copies of a photograph, by what was done to it."""
    picture = Image.open(path).convert("L")
    width, height = picture.size
    edge = width // 40, height // 40
    return {
        "lighter by a fifth": picture.point(lambda value: min(255, int(1.2 * value))),
        "a fortieth cut off on each side": picture.crop((*edge, width - edge[0], height - edge[1])),
        "JPEG of quality 50": saved(picture, 50),
        "JPEG of quality 20": saved(picture, 20),
        "made smaller, to 80 %": picture.resize((int(0.8 * width), int(0.8 * height))),
        "made smaller, to half": picture.resize((width // 2, height // 2)),
        "mirrored": picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    }


def main() -> None:
    paths, _ = scene15()
    paths = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))[:N_PHOTOS]]
    vec = spm.presets.lazebnik2006(n_jobs=-1, random_state=0)[0].fit(paths[:150])
    vectors = vec.transform(paths)
    search = NearestNeighbors(n_neighbors=2, metric="cityblock").fit(vectors)
    other = search.kneighbors(vectors)[0][:, 1]
    made = [copies(path) for path in paths[:N_COPIED]]
    rows = []
    for name in made[0]:
        found = vec.transform([np.asarray(one[name]) for one in made])
        apart = np.abs(found - vectors[:N_COPIED]).sum(axis=1)
        first = search.kneighbors(found)[1][:, 0] == np.arange(N_COPIED)
        row = [f"{np.median(apart):.2f}", f"{apart.max():.2f}", f"{100 * np.mean(apart < RADIUS):.0f}"]
        rows.append([name, *row, f"{100 * first.mean():.0f}"])
    head = ["copy", "distance, median", "at most", f"% within {RADIUS}", "% nearest of all"]
    note = (
        f"`lazebnik2006`, 200 words, {N_PHOTOS} photographs of 15-Scene, {N_COPIED} of them copied. The nearest other "
        f"photograph lies at {np.median(other):.2f} in the median, at {np.quantile(other, 0.01):.2f} or more for all "
        f"but one in a hundred; {np.sum(other < RADIUS)} have another within {RADIUS}, {np.sum(other == 0)} at 0."
    )
    keep("near_copies", "Copies of photographs", table(head, rows), note)


if __name__ == "__main__":
    main()
