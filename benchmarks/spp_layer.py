"""The SPP layer forward and backward, 64 x 256 x 13 x 13, levels 1, 2, 3, 6, beside adaptive pooling level by level."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.metadata import version
from statistics import median

import torch
import torch.nn.functional as F
from _common import keep, table

from spm.nn import SpatialPyramidPooling

LEVELS = (1, 2, 3, 6)


def by_level(maps: torch.Tensor) -> torch.Tensor:
    """Return what most implementations compute: each level from the map."""
    return torch.cat([F.adaptive_max_pool2d(maps, n).permute(0, 2, 3, 1).flatten(1) for n in LEVELS], dim=1)


def clock(pool: Callable[[torch.Tensor], torch.Tensor], maps: torch.Tensor) -> tuple[float, float]:
    """Return the milliseconds of one run forward, and forward and backward."""
    maps.grad = None
    start = time.perf_counter()
    pooled = pool(maps)
    done = time.perf_counter()
    pooled.sum().backward()
    return 1e3 * (done - start), 1e3 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    layer = SpatialPyramidPooling(LEVELS)
    rows, ratios = [], []
    for laid in ("contiguous", "channels_last"):
        maps = torch.rand(64, 256, 13, 13, generator=torch.Generator().manual_seed(0)).relu().to(given.device)
        if laid == "channels_last":
            maps = maps.contiguous(memory_format=torch.channels_last)
        maps.requires_grad_()
        torch.testing.assert_close(layer(maps), by_level(maps))
        for _ in range(3):
            clock(layer, maps), clock(by_level, maps)
        times = [(clock(layer, maps), clock(by_level, maps)) for _ in range(given.runs)]
        for name, k in (("SpatialPyramidPooling", 0), ("adaptive pooling, level by level", 1)):
            rows.append([laid, name, *(f"{median(run[k][part] for run in times):.1f}" for part in (0, 1))])
        ratios.append(f"{laid} {median(run[0][1] / run[1][1] for run in times):.2f}")
    note = (
        f"{given.runs} runs in turn, {given.threads} threads, {given.device}, torch {version('torch')}. Ours / theirs "
        f"forward and backward, median: {', '.join(ratios)}; the bar is 0.60 for the contiguous map."
    )
    keep("spp_layer", "The SPP layer", table(["map", "way", "forward ms", "forward + backward ms"], rows), note)


if __name__ == "__main__":
    main()
