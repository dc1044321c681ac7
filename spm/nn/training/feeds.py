"""Feeds: pictures and a schedule in, the tensors of each training step out, made ahead while the network works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import nn

from ...features.frames import check_preprocess
from .buckets import ShapeBuckets
from .pixels import Pictures, Schedule, Size, View, ahead, assemble, views_of
from .ranks import Ranks

Tensors = tuple[torch.Tensor, ...]
Step = tuple[np.ndarray, Tensors, int]


class Input:
    """What makes a network's input of uint8 pixels, on the device: the values that `spm.FeatureMap` gives it.

    Parameters
    ----------
    preprocess : str or dict
        As `FeatureMap` takes it.
    channels : int
    device : torch.device
    channels_last : bool

    Examples
    --------
    >>> grey = np.full((1, 2, 2, 1), 255, np.uint8)
    >>> Input("tf", 3, torch.device("cpu"))(grey).shape
    torch.Size([1, 3, 2, 2])
    """

    def __init__(
        self, preprocess: str | Mapping[str, Any], channels: int, device: torch.device, channels_last: bool = False
    ) -> None:
        options = check_preprocess(preprocess)
        self.channels, self.device, self.order = channels, device, options["order"]
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        mean, std = (np.broadcast_to(np.ravel(options[name]).astype(float), channels) for name in ("mean", "std"))
        factors = np.stack([options["scale"] / std, -mean / std])  # (scale * pixel - mean) / std
        self._factor, self._added = torch.tensor(factors, dtype=torch.float32, device=device)[:, :, None, None]

    def place(self, network: nn.Module) -> None:
        """Bring a network to where its input will be, and lay out its weights as that."""
        options: Any = {"memory_format": self.layout}
        network.to(device=self.device, **options)

    def __call__(self, pixels: np.ndarray) -> torch.Tensor:
        """Return the input for pixels (b, h, w, c) uint8: shape (b, channels, h, w), float32."""
        levels = torch.from_numpy(pixels)
        if self.device.type == "cuda":
            levels = levels.pin_memory().to(self.device, non_blocking=True)
        levels = levels.permute(0, 3, 1, 2).expand(-1, self.channels, -1, -1)
        if self.order == "bgr":
            levels = levels.flip(1)
        return (levels.float() * self._factor + self._added).contiguous(memory_format=self.layout)


class Feed:
    """What all feeds do: the batches of each epoch by the schedule, those of one rank.

    Parameters
    ----------
    shapes : ndarray of shape (n, 2)
        Of the images.
    schedule : Schedule
    ranks : Ranks
    batch_size : int
    max_pixels : int or None
        As `ShapeBuckets` takes it.
    """

    def __init__(
        self, shapes: np.ndarray, schedule: Schedule, ranks: Ranks, batch_size: int, max_pixels: int | None
    ) -> None:
        self.shapes, self.schedule, self.ranks = shapes, schedule, ranks
        self.batch_size, self.max_pixels = batch_size, max_pixels
        self._buckets: dict[Size, ShapeBuckets] = {}

    def buckets(self, epoch: int) -> ShapeBuckets:
        """Return the batches of an epoch."""
        size = self.size(epoch)
        if size not in self._buckets:
            options = {"max_pixels": self.max_pixels, "rank": self.ranks.rank, "world_size": self.ranks.world_size}
            self._buckets[size] = self.schedule.buckets(self.shapes, size, self.batch_size, **options)
        self._buckets[size].set_epoch(epoch)
        return self._buckets[size]

    def n_steps(self, epoch: int) -> int:
        """Return the steps of an epoch."""
        return len(self.buckets(epoch))

    def size(self, epoch: int) -> Size:
        """Return the size that images have in an epoch."""
        return self.schedule.size(epoch)

    def batches(self, epoch: int) -> Iterator[Step]:
        """Yield positions, what the network takes of them, and how many all ranks have in this step."""
        steps = self.buckets(epoch).steps()
        produce = self.producer(epoch)
        own = [batches[self.ranks.rank] for batches in steps]
        for at, batches, made in zip(own, steps, ahead(produce, own), strict=True):
            yield at, self.finish(made), sum(map(len, batches))

    def producer(self, epoch: int) -> Callable[[np.ndarray], Any]:
        """Return what makes a batch of positions, in another thread."""
        raise TypeError(f"{type(self).__name__} must define producer(epoch)")

    def finish(self, made: Any) -> Tensors:
        """Return what the network takes of what was made."""
        raise TypeError(f"{type(self).__name__} must define finish(made)")


class ImageFeed(Feed):
    """Batches of images, cut and mirrored anew every epoch.

    Parameters
    ----------
    pictures : Pictures
    make : Input
    lower : callable, optional
        What does not learn and stands before what does: it is run here, without gradients.
    n_threads : int
        That cut and resize.
    """

    def __init__(
        self,
        pictures: Pictures,
        make: Input,
        *args: Any,
        lower: Callable[[torch.Tensor], Tensors] | None = None,
        n_threads: int = 1,
    ) -> None:
        super().__init__(pictures.shapes, *args)
        self.pictures, self.make, self.lower = pictures, make, lower
        self._map: Callable[..., Any] = map if n_threads == 1 else ThreadPoolExecutor(n_threads).map

    def producer(self, epoch: int) -> Callable[[np.ndarray], Any]:
        """Return what makes pixels."""
        view = views_of(self.schedule, self.pictures, self.buckets(epoch).targets, epoch)

        def produce(at: np.ndarray) -> np.ndarray:
            return assemble(self.pictures, at.tolist(), [view(i) for i in at.tolist()], self._map)

        return produce

    def finish(self, made: np.ndarray) -> Tensors:
        """Return the network's input, or what the part that does not learn makes of it."""
        images = self.make(made)
        return (images,) if self.lower is None else self.lower(images)


def plain_views(
    pictures: Pictures, schedule: Schedule, targets: np.ndarray, size: Size, at: Sequence[int], mirrored: bool
) -> list[View]:
    """Return whole images, nothing cut by chance, as they are shown at a size."""
    views = [schedule.view(pictures.shapes[i], targets[i], size, (0.5, 0.5), crop=False) for i in at]
    return [View(view.resized, view.window, view.shape, mirrored) for view in views]
