"""An ONNX file in, a torch module with the same operators and parameters that learn out."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from ...errors import SpmError
from ...networks.extract import part_of
from ...networks.file import Model, need, read_network
from ...networks.graph import graph_of
from ...networks.maps import choose


class Operator:
    """One operator of a file, as makers of modules read it: its options, and its inputs that are constants.

    Parameters
    ----------
    node : onnx.NodeProto
    constants : dict of str to ndarray
    """

    def __init__(self, node: Any, constants: dict[str, np.ndarray]) -> None:
        read = need("onnx").helper.get_attribute_value
        self.name, self.op, self.output = node.name or node.output[0], node.op_type, node.output[0]
        self.options = {item.name: read(item) for item in node.attribute}
        self.inputs = [name for name in node.input if name and name not in constants]
        self.constants = [constants.get(name) if name else None for name in node.input]

    def constant(self, at: int) -> np.ndarray | None:
        """Return an input that is a constant; None for one left out."""
        return self.constants[at] if at < len(self.constants) else None

    def tensor(self, at: int) -> torch.Tensor:
        """Return an input that must be a constant, in single precision."""
        value = self.constant(at)
        if value is None:
            raise SpmError(f"its input {at} is no constant")
        return torch.from_numpy(np.array(value, dtype=np.float32))

    def ints(self, name: str, default: Sequence[int]) -> list[int]:
        """Return an option of several whole numbers."""
        return [int(value) for value in self.options.get(name, default)]

    def pair(self, name: str) -> tuple[int, int]:
        """Return an option of two whole numbers, down and across; 1 and 1 where it is left out."""
        down, across = self.ints(name, (1, 1))
        return down, across

    def pads(self) -> tuple[list[int], bool]:
        """Return top, left, bottom and right, and whether they are the same on both sides."""
        given = self.ints("pads", (0, 0, 0, 0))
        return given, given[:2] == given[2:]


class SamePad(nn.Module):
    """Padding that depends on the size, so that ceil(length / stride) cells come out: ``auto_pad`` of ONNX."""

    def __init__(
        self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], upper: bool, value: float
    ):
        super().__init__()
        self.kernel, self.stride, self.dilation = tuple(kernel), tuple(stride), tuple(dilation)
        self.upper, self.value = upper, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map with its border."""
        pads: list[int] = []
        for k in (1, 0):  # torch's order: the last dimension first
            length, step = x.shape[2 + k], self.stride[k]
            reach = (self.kernel[k] - 1) * self.dilation[k] + 1
            total = max((-(-length // step) - 1) * step + reach - length, 0)
            before = total // 2 if self.upper else total - total // 2
            pads += [before, total - before]
        return F.pad(x, pads, value=self.value)


class Elementwise(nn.Module):
    """A function of two or more maps, or of a map and a constant; constants of several values learn."""

    constant: torch.Tensor | None

    def __init__(self, function: Callable[..., torch.Tensor], constant: torch.Tensor | None, first: bool) -> None:
        super().__init__()
        self.function, self.first = function, first
        if constant is not None and constant.numel() > 1:
            self.constant = nn.Parameter(constant)
        else:
            self.register_buffer("constant", constant)

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Return the result."""
        if self.constant is not None:
            maps = (self.constant, *maps) if self.first else (*maps, self.constant)
        result = maps[0]
        for other in maps[1:]:
            result = self.function(result, other)
        return result


class Concat(nn.Module):
    """Maps side by side along one dimension."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Return them as one."""
        return torch.cat(maps, self.axis)


class Mean(nn.Module):
    """The mean over some dimensions."""

    def __init__(self, axes: Sequence[int], keep: bool) -> None:
        super().__init__()
        self.axes, self.keep = list(axes), keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the means."""
        return x.mean(self.axes, keepdim=self.keep)


def _padded(op: Operator, module: nn.Module, kernel: Sequence[int], value: float, before: bool) -> nn.Module:
    """Put a border before a module, where it cannot make it by itself."""
    auto = op.options.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME"):
        stride, dilation = op.ints("strides", (1, 1)), op.ints("dilations", (1, 1))
        return nn.Sequential(SamePad(kernel, stride, dilation, auto == "SAME_UPPER", value), module)
    top, left, bottom, right = op.pads()[0]
    if before and auto == "NOTSET" and any((top, left, bottom, right)):
        return nn.Sequential(nn.ConstantPad2d((left, right, top, bottom), value), module)
    return module


def _inner_pads(op: Operator) -> tuple[int, int]:
    """Return the padding that torch's own modules make: the same on both sides, and told."""
    pads, same = op.pads()
    return (pads[0], pads[1]) if same and op.options.get("auto_pad", b"NOTSET") == b"NOTSET" else (0, 0)


def _conv(op: Operator) -> nn.Module:
    weight = op.tensor(1)
    if weight.ndim != 4:
        raise SpmError("its kernel does not have two dimensions")
    groups, has_bias = int(op.options.get("group", 1)), op.constant(2) is not None
    module = nn.Conv2d(
        weight.shape[1] * groups, len(weight), (weight.shape[2], weight.shape[3]), op.pair("strides"),
        _inner_pads(op), op.pair("dilations"), groups, has_bias,
    )  # fmt: skip
    with torch.no_grad():
        module.weight.copy_(weight)
        if module.bias is not None:
            module.bias.copy_(op.tensor(2))
    return _padded(op, module, weight.shape[2:], 0.0, before=not op.pads()[1])


def _batch_norm(op: Operator) -> nn.Module:
    weight, bias, mean, variance = (op.tensor(k) for k in range(1, 5))
    module = nn.BatchNorm2d(
        len(weight), eps=op.options.get("epsilon", 1e-5), momentum=1 - op.options.get("momentum", 0.9)
    )
    values = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
    module.load_state_dict(values, strict=False)
    return module


def _pool(op: Operator) -> nn.Module:
    kernel, stride = op.pair("kernel_shape"), op.pair("strides")
    ceil, include = bool(op.options.get("ceil_mode", 0)), bool(op.options.get("count_include_pad", 0))
    pads = _inner_pads(op)
    if op.op == "MaxPool":
        own = nn.MaxPool2d(kernel, stride, pads, op.pair("dilations"), ceil_mode=ceil)
        return _padded(op, own, kernel, -torch.inf, before=not op.pads()[1])
    bordered = not op.pads()[1] or op.options.get("auto_pad", b"").startswith(b"SAME")
    if (bordered and not include) or op.pair("dilations") != (1, 1):
        raise SpmError("means over windows that the border cuts unevenly cannot be taken over")
    mean = nn.AvgPool2d(kernel, stride, pads, ceil, include)
    return _padded(op, mean, kernel, 0.0, before=not op.pads()[1])


def _clip(op: Operator) -> nn.Module:
    """Return a clip; its bounds are options before version 11 of the standard, and inputs since."""
    low = op.options.get("min", -np.inf) if op.constant(1) is None else op.tensor(1).item()
    high = op.options.get("max", np.inf) if op.constant(2) is None else op.tensor(2).item()
    return nn.ReLU6() if (low, high) == (0, 6) else nn.ReLU() if (low, high) == (0, np.inf) else nn.Hardtanh(low, high)


def _elementwise(op: Operator) -> nn.Module:
    functions = {"Add": operator.add, "Sum": operator.add, "Mul": operator.mul, "Sub": operator.sub}
    functions |= {"Div": operator.truediv, "Max": torch.maximum, "Min": torch.minimum}
    given = [k for k, value in enumerate(op.constants) if value is not None]
    if len(given) > 1:
        raise SpmError("it has several constants")
    constant = op.tensor(given[0]) if given else None
    return Elementwise(functions[op.op], constant, first=given == [0])


def _prelu(op: Operator) -> nn.Module:
    slope = op.tensor(1).flatten()
    module = nn.PReLU(len(slope))
    with torch.no_grad():
        module.weight.copy_(slope)
    return module


def _border(op: Operator) -> nn.Module:
    pads = op.options.get("pads", op.constant(1))
    value = op.options.get("value", 0.0) if op.constant(2) is None else float(op.tensor(2))
    if pads is None or len(pads) != 8 or op.options.get("mode", b"constant") != b"constant":
        raise SpmError("only a border of one value around rows and columns can be taken over")
    before, after = [int(p) for p in pads[:4]], [int(p) for p in pads[4:]]
    if any((*before[:2], *after[:2])):
        raise SpmError("a border of channels cannot be taken over")
    return nn.ConstantPad2d((before[3], after[3], before[2], after[2]), value)


def _mean(op: Operator) -> nn.Module:
    axes = op.options.get("axes", op.constant(1))
    if axes is None:
        raise SpmError("its axes are not told")
    return Mean([int(axis) for axis in np.ravel(axes)], bool(op.options.get("keepdims", 1)))


def _hard_sigmoid(op: Operator) -> nn.Module:
    alpha, beta = op.options.get("alpha", 0.2), op.options.get("beta", 0.5)
    if not (np.isclose(alpha, 1 / 6) and np.isclose(beta, 0.5)):
        raise SpmError(f"its slope and height, {alpha:g} and {beta:g}, are not torch's, 1/6 and 1/2")
    return nn.Hardsigmoid()


MAKERS: dict[str, Callable[[Operator], nn.Module]] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda op: Concat(op.options["axis"]),
    "Conv": _conv,
    "Dropout": lambda op: nn.Dropout(op.options.get("ratio", 0.5) if op.constant(1) is None else float(op.tensor(1))),
    "Elu": lambda op: nn.ELU(op.options.get("alpha", 1.0)),
    "GlobalAveragePool": lambda op: nn.AdaptiveAvgPool2d((1, 1)),
    "GlobalMaxPool": lambda op: nn.AdaptiveMaxPool2d((1, 1)),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda op: nn.Hardswish(),
    "Identity": lambda op: nn.Identity(),
    "LRN": lambda op: nn.LocalResponseNorm(
        op.options["size"], op.options.get("alpha", 1e-4), op.options.get("beta", 0.75), op.options.get("bias", 1.0)
    ),
    "LeakyRelu": lambda op: nn.LeakyReLU(op.options.get("alpha", 0.01)),
    "MaxPool": _pool,
    "PRelu": _prelu,
    "Pad": _border,
    "ReduceMean": _mean,
    "Relu": lambda op: nn.ReLU(),
    "Sigmoid": lambda op: nn.Sigmoid(),
    "Softplus": lambda op: nn.Softplus(),
    "Tanh": lambda op: nn.Tanh(),
    **dict.fromkeys(("Add", "Div", "Max", "Min", "Mul", "Sub", "Sum"), _elementwise),
}
"""How the module of each operator is made."""


def module_name(tensor: str) -> str:
    """Return the name of the module that makes a tensor: a module's name has no dots or slashes.

    Examples
    --------
    >>> module_name("/_blocks.10/Add_output_0")
    '_blocks_10_Add_output_0'
    """
    name = re.sub(r"\W", "_", tensor.removeprefix("/"))
    return name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"


def from_onnx(model: Model, cut: str | None = None) -> fx.GraphModule:
    """Take a network over from an ONNX file, up to one of its maps.

    Parameters
    ----------
    model : path, bytes or Network
    cut : str, optional
        The name of a tensor; by default of the last map, or that which the network pools into a pyramid of its own.

    Returns
    -------
    torch.fx.GraphModule
        Each tensor's module is named as the tensor is, by letters, digits and underlines. Weights in half precision
        become single. Exporters fold batch normalisation into the convolutions before it: then the module has none, and
        trains without.

    Raises
    ------
    SpmError
        If the file cannot be read, the tensor is no map, or an operator cannot be taken over: the message names it.
    """
    proto = read_network(model)
    graph = graph_of(proto)
    if graph.dims == (1, 2):
        raise SpmError("the network takes images with channels last: export it with channels first")
    name = choose(proto, graph, None if cut is None else [cut])[0]
    part = part_of(proto, [name])
    to_array = need("onnx.numpy_helper").to_array
    constants = {tensor.name: to_array(tensor) for tensor in part.graph.initializer}
    built, root = fx.Graph(), nn.Module()
    made = {graph.image: built.placeholder("image")}
    for node in part.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = to_array(node.attribute[0].t)
            continue
        op = Operator(node, constants)
        given = module_name(op.output)
        while hasattr(root, given):
            given += "_"
        root.add_module(given, _made(op, [other for other in op.inputs if other not in made]))
        made[op.output] = built.call_module(given, tuple(made[other] for other in op.inputs))
    built.output(made[name])
    return fx.GraphModule(root, built)


def _made(op: Operator, unknown: list[str]) -> nn.Module:
    """Return the module of an operator."""
    if op.op not in MAKERS:
        raise SpmError(
            f"{op.op} {op.name!r} of the network cannot be taken over into torch: cut it before, or give the network "
            f"as a torch module; what can be: {', '.join(sorted(MAKERS))}"
        )
    try:
        if unknown:
            raise SpmError(f"its input {unknown[0]!r} does not come of the image")
        return MAKERS[op.op](op)
    except SpmError as error:
        raise SpmError(f"{op.op} {op.name!r} of the network cannot be taken over into torch: {error}") from error
