"""A trunk in, a network with a pyramid, or without, and a head behind it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .._tools.public import public
from ..errors import SpmError, check_number
from .export import channels_in, device_of, evaluating
from .layer import SpatialPyramidPooling
from .trunks import Trunk
from .trunks import trunk as trunk_of


@public("spm.nn")
class SPPNet(nn.Module):
    """A trunk, a pooling of its maps into a vector, and a head: images of any size in, scores out.

    `spp_net` and `plain_net` make it.

    Attributes
    ----------
    trunk : Trunk
    pool : torch.nn.Module
        Such as a `SpatialPyramidPooling`.
    head : torch.nn.Sequential
    """

    def __init__(self, trunk: Trunk, pool: nn.Module, head: nn.Sequential) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = pool
        self.head = head

    def forward(self, x: torch.Tensor, boxes: Sequence[Any] | None = None) -> torch.Tensor:
        """Return scores of shape (N or boxes, n_classes); boxes are in cells of the map."""
        maps = self.trunk(x)
        return self.head(self.pool(maps) if boxes is None else self.pool(maps, boxes))


def _head(n_inputs: int, widths: Sequence[int], n_classes: int, dropout: float) -> nn.Sequential:
    """Return fully connected layers, each after dropout and before a rectifier but the last."""
    layers: list[nn.Module] = []
    for width in widths:
        check_number("each of head", width, least=1, integer=True)
        layers += [nn.Dropout(dropout), nn.Linear(n_inputs, width), nn.ReLU(inplace=True)]
        n_inputs = width
    return nn.Sequential(*layers, nn.Linear(n_inputs, n_classes))


def _check_head(n_classes: Any, dropout: Any) -> None:
    check_number("n_classes", n_classes, least=1, integer=True)
    if check_number("dropout", dropout, least=0) >= 1:
        raise SpmError(f"dropout must be below 1, got {dropout!r}")


@public("spm.nn")
def spp_net(
    trunk: Any,
    *,
    n_classes: int,
    levels: Sequence[int | tuple[int, int]] = (6, 3, 2, 1),
    head: Sequence[int] = (4096, 4096),
    dropout: float = 0.5,
    pool: str = "max",
) -> SPPNet:
    """Return a network with spatial pyramid pooling between its trunk and its head (He 2014, section 2.3).

    Parameters
    ----------
    trunk : Trunk, or what `spm.nn.trunk` takes
    n_classes : int
        Scores.
    levels, pool
        As `SpatialPyramidPooling` takes them.
    head : sequence of int, default=(4096, 4096)
        Widths of the fully connected layers before the last; () for none.
    dropout : float, default=0.5
        Share of their inputs that are dropped in training, before each of `head`.

    Returns
    -------
    SPPNet

    Raises
    ------
    SpmError
        For an option that is not valid.

    Examples
    --------
    >>> network = spp_net("small", n_classes=15, levels=(2, 1), head=())
    >>> network(torch.zeros(2, 3, 64, 96)).shape
    torch.Size([2, 15])
    """
    _check_head(n_classes, dropout)
    pooling, body = SpatialPyramidPooling(levels, pool), trunk_of(trunk)
    return SPPNet(body, pooling, _head(body.channels * pooling.n_cells, head, n_classes, dropout))


class FixedGrid(nn.Module):
    """What a network without a pyramid has in its place: a map of one size laid out as a vector, others refused."""

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return vectors of shape (N, rows * columns * C), by row, column, channel."""
        if tuple(x.shape[2:]) != self.grid:
            raise SpmError(
                f"this network takes maps of {self.grid[0]} x {self.grid[1]} cells only, as its head is for them; this "
                f"image's has {x.shape[2]} x {x.shape[3]}: resize the image, or pool by SpatialPyramidPooling (spp_net)"
            )
        return x.permute(0, 2, 3, 1).flatten(1)


@public("spm.nn")
def plain_net(
    trunk: Any, *, n_classes: int, size: int = 224, head: Sequence[int] = (4096, 4096), dropout: float = 0.5
) -> SPPNet:
    """Return the twin of `spp_net` without a pyramid: its head takes the map of images of one size, and no other.

    Parameters
    ----------
    trunk, n_classes, head, dropout
        As `spp_net` takes them.
    size : int, default=224
        Height and width of the images.

    Returns
    -------
    SPPNet

    Raises
    ------
    SpmError
        For an option that is not valid.

    Examples
    --------
    >>> network = plain_net("small", n_classes=15, size=64, head=())
    >>> network(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 15])
    >>> network(torch.zeros(2, 3, 64, 96))
    Traceback (most recent call last):
    spm.SpmError: this network takes maps of 4 x 4 cells only, as its head is for them; this image's has 4 x 6:
    resize the image, or pool by SpatialPyramidPooling (spp_net)
    """
    _check_head(n_classes, dropout)
    check_number("size", size, least=1, integer=True)
    body = trunk_of(trunk)
    with evaluating(body):
        image = torch.zeros(1, channels_in(body), size, size, device=device_of(body))
        _, channels, rows, columns = body(image).shape
    return SPPNet(body, FixedGrid((rows, columns)), _head(channels * rows * columns, head, n_classes, dropout))
