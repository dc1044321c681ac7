"""A module and the name of one inside it in, what leads to that, or what follows it, out."""

from __future__ import annotations

import difflib

from torch import fx, nn

from ...errors import SpmError
from .onnx_import import module_name


def cut_module(module: nn.Module, name: str) -> nn.Module:
    """Return what of a module leads to the output of one of its inner modules; it shares the parameters.

    Raises
    ------
    SpmError
        If there is no module of that name.
    """
    if not name:
        return module
    graph, node = _traced(module, name)
    output = next(other for other in graph.nodes if other.op == "output")
    output.args = (node,)
    _without_dead(graph)
    return fx.GraphModule(module, graph)


def rest_of_module(module: nn.Module, name: str) -> nn.Module:
    """Return what of a module follows the output of one of its inner modules; it shares the parameters.

    Raises
    ------
    SpmError
        If there is no module of that name, or if what follows needs more than its output.
    """
    graph, node = _traced(module, name)
    with graph.inserting_before(next(iter(graph.nodes))):
        maps = graph.placeholder("maps")
    node.replace_all_uses_with(maps)
    _without_dead(graph)
    given = [other for other in graph.nodes if other.op == "placeholder" and other is not maps]
    if any(other.users for other in given):
        raise SpmError(f"the trunk cannot be split behind {name!r}: what follows needs more than its output")
    for other in given:
        graph.erase_node(other)
    return fx.GraphModule(module, graph)


def _without_dead(graph: fx.Graph) -> None:
    """Take out of a graph what its output does not need; torch's own routine leaves dropout in."""
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


class Around(fx.Tracer):
    """Traces a module so that what does not hold the named one stays a whole."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module inside is one node."""
        return not self.name.startswith(f"{module_qualified_name}.")


def _traced(module: nn.Module, name: str) -> tuple[fx.Graph, fx.Node]:
    """Return the graph of a module in which the named one is a node; what does not hold that stays a whole."""
    names = dict(module.named_modules())
    asked, name = name, name if name in names else module_name(name)
    if name not in names or not name:
        near = difflib.get_close_matches(asked, names, n=3, cutoff=0.5) or [other for other in names if other][-3:]
        raise SpmError(f"the network has no module {asked!r}: did you mean {' or '.join(map(repr, near))}?")

    try:
        graph = Around(name).trace(module)
    except Exception as error:  # code that torch.fx cannot follow fails in many ways
        raise SpmError(
            f"the network cannot be cut at {name!r}, torch.fx cannot follow it ({error}): give its ONNX export"
        ) from error
    nodes = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
    if not nodes:
        raise SpmError(f"the network does not call its module {name!r}: choose another")
    return graph, nodes[-1]
