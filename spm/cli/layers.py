"""``spm layers``: a network's file in, a table of its maps out."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from .._tools.text import Table
from ._arguments import add_json
from ._steps import print_json

HELP = "list the maps of a network, for --set layers=NAME"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("model", metavar="NETWORK", help="an ONNX file")
    add_json(command)


def run(arguments: argparse.Namespace) -> None:
    """Print a line for every map."""
    from ..networks.maps import NOMINAL, cut, layers

    found = layers(arguments.model)
    if not found:
        cut(arguments.model)  # it says what stands in the way
    if arguments.json:
        print_json({"layers": [asdict(layer) for layer in found]})
        return
    head = ["name", "operator", "channels", "stride", "sees pixels", f"cells at {NOMINAL} x {NOMINAL}"]
    rows = [_cells(layer) for layer in found]
    table = Table(head, list(zip(*rows, strict=True)), n_texts=2)
    for row in rows:
        table.add(row)
    if any(layer.geometry == "measured" for layer in found):
        print("* measured by running the network, as not all of its operators are known")


def _cells(layer: Any) -> list[str]:
    """Return what the table says of a map."""
    stride = f"{layer.stride[0]:g} x {layer.stride[1]:g}" + " *" * (layer.geometry == "measured")
    field = "-" if layer.field is None else f"{layer.field[0]} x {layer.field[1]}"
    grid = f"{layer.grid[0]} x {layer.grid[1]}"
    return [layer.name, layer.op, str(layer.channels or "-"), stride, field, grid]
