"""``spm info``: a saved model's file in, what it is out."""

from __future__ import annotations

import argparse

from .._tools.text import printable
from ..errors import LINES
from ._arguments import add_json
from ._steps import print_json

HELP = "say what a saved model is: preset, options, classes, network, versions"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("model", metavar="MODEL", help="a file that train or detect train has saved")
    add_json(command)


def run(arguments: argparse.Namespace) -> None:
    """Print what there is to say, a line each."""
    from ..presets.identity import info

    found = info(arguments.model)
    if arguments.json:
        options = {name: repr(value) for name, value in found.options.items()}
        print_json({**found, "options": options})
    else:
        print(printable(found, keep=LINES))
