"""A torch module in, an ONNX file's content with free height and width out."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import SpmError, need
from .layer import pool_maps

SIDE = 224  # of the image that an export is traced with
OPSET = 17


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[nn.Module]:
    """Bring a module into evaluation, without gradients, and leave every part of it as it was, also on an error."""
    flags = [(part, part.training) for part in module.modules()]
    try:
        with torch.no_grad():
            yield module.eval()
    finally:
        for part, training in flags:
            part.training = training


@contextlib.contextmanager
def _exportable(module: nn.Module) -> Iterator[None]:
    """Let adaptive poolings work by masks, as exporters cannot follow them with free height and width."""
    parts = [part for part in module.modules() if isinstance(part, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d)]
    parts = [part for part in parts if part.output_size not in (1, (1, 1)) and "forward" not in vars(part)]
    parts = [
        part for part in parts if None not in _pair(part.output_size) and not getattr(part, "return_indices", False)
    ]
    try:
        for part in parts:
            pool = "mean" if isinstance(part, nn.AdaptiveAvgPool2d) else "max"
            grid: Any = _pair(part.output_size)
            part.forward = lambda x, grid=grid, pool=pool: pool_maps(x, [grid], pool, masked=True)[0]  # type: ignore
        yield
    finally:
        for part in parts:
            vars(part).pop("forward", None)


def _pair(size: Any) -> tuple[Any, ...]:
    return tuple(size) if isinstance(size, tuple | list) else (size, size)


def channels_in(module: nn.Module) -> int:
    """Return the channels of the images that a network takes: those of its first convolution, or 3."""
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


def device_of(module: nn.Module) -> torch.device:
    """Return the device that a module's parameters lie on; the processor's of one that has none."""
    tensor = next(iter(module.parameters()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def to_onnx(
    module: nn.Module,
    outputs: Sequence[str] = ("maps",),
    *,
    maps: bool = True,
    size: tuple[int, int] = (SIDE, SIDE),
    dynamo: bool = False,
) -> bytes:
    """Export a module that takes images of shape (N, C, H, W); batch, height and width are free in the file.

    Parameters
    ----------
    module : torch.nn.Module
        It is left as it was.
    outputs : sequence of str, default=("maps",)
        The names that its outputs have in the file.
    maps : bool, default=True
        Whether the outputs are maps, with rows and columns that are free; False for vectors.
    size : (int, int), default=(224, 224)
        Height and width of the image that it is traced with.
    dynamo : bool, default=False
        Whether to use torch's newer exporter, which needs onnxscript.

    Returns
    -------
    bytes
        The content of an ONNX file: its input is "image".

    Raises
    ------
    SpmError
        If torch cannot export it.
    MissingDependencyError
        If onnx, or for `dynamo` onnxscript, is missing.
    """
    need("exports of networks", "onnx", "onnx")
    if dynamo:
        need("exports by torch's newer exporter", "onnxscript", "onnxscript")
    image = torch.zeros(2, channels_in(module), *size, device=device_of(module))
    parameter = next(iter(module.parameters()), None)
    image = image if parameter is None else image.to(parameter.dtype)
    try:
        with evaluating(module), _exportable(module), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return (_by_dynamo if dynamo else _by_tracing)(module, image, list(outputs), maps)
    except Exception as error:  # what cannot be exported fails in many ways
        reason = str(error).partition("\n")[0].partition("  [Caused")[0]
        raise SpmError(f"torch cannot export the network to ONNX: {reason}") from error


def _by_tracing(module: nn.Module, image: torch.Tensor, outputs: list[str], maps: bool) -> bytes:
    file: Any = io.BytesIO()
    free = {0: "batch", 2: "height", 3: "width"}
    freed = {name: {0: "batch", 2: f"{name}_rows", 3: f"{name}_columns"} if maps else {0: "batch"} for name in outputs}
    torch.onnx.export(
        module, (image,), file, input_names=["image"], output_names=outputs, opset_version=OPSET,
        dynamic_axes={"image": free, **freed}, dynamo=False,
    )  # fmt: skip
    return file.getvalue()


def _by_dynamo(module: nn.Module, image: torch.Tensor, outputs: list[str], maps: bool) -> bytes:
    free: Any = ({0: torch.export.Dim("batch"), 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            module, (image,), path, input_names=["image"], output_names=outputs, dynamic_shapes=free, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip
        return path.read_bytes()
