"""``spm layers``: a network's file in, a table of its maps out."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from .._tools.table import Table
from ._arguments import add_json
from ._steps import print_json

HELP = "list the maps of a network, for --set layers=NAME"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("model", metavar="NETWORK", help="an ONNX file")
    add_json(command)


def run(arguments: argparse.Namespace) -> None:
    """Print a line for every map."""
    from ..networks.maps import layers
    from ..networks.trace import NOMINAL

    found = layers(arguments.model)
    if arguments.json:
        print_json({"layers": [asdict(layer) for layer in found]})
        return
    pair = "{0[0]} x {0[1]}".format
    rows = [
        [layer.name, layer.op, str(layer.channels or "-"), *map(pair, (layer.stride, layer.field, layer.grid))]
        for layer in found
    ]
    head = ["name", "operator", "channels", "stride", "sees pixels", f"cells at {NOMINAL} x {NOMINAL}"]
    table = Table(head, list(zip(*rows, strict=True)), n_texts=2)
    for row in rows:
        table.add(row)
