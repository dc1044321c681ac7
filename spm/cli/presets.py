"""``spm presets``: nothing, or a preset's name, in; a table of the presets, or of its options, out."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from typing import Any

from ._arguments import add_json
from ._steps import print_json

HELP = "list the presets, or the options of one, for --preset and --set"
BY_OTHERS = ("n_jobs", "verbose", "random_state")  # set by --jobs and --seed


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("name", metavar="NAME", nargs="?", help="a preset, whose options are listed")
    add_json(command)


def run(arguments: argparse.Namespace) -> None:
    """Print the table, or the options with their defaults and what they mean."""
    from ..presets.catalogue import CATALOGUE, options_with_help, overview
    from ..presets.registry import check_preset

    if arguments.name is None:
        found = overview()
        if arguments.json:
            print_json({"presets": found.rows})
        else:
            print(found)
        return
    paper, about, _ = CATALOGUE[check_preset(arguments.name, CATALOGUE)]
    options = options_with_help(arguments.name)
    if arguments.json:
        told = [{**option, "default": repr(option["default"])} for option in options]
        print_json({"name": arguments.name, "paper": paper, "about": about, "options": told})
        return
    print(f"{arguments.name}: {about} ({paper})\n")
    width = min(shutil.get_terminal_size().columns, 120)
    for option in options:
        if option["name"] not in BY_OTHERS:
            print(f"  --set {option['name']}={_value(option['default'])}")
            text = option["about"].replace("`", "") or "-"
            print(textwrap.fill(text, width, initial_indent=" " * 8, subsequent_indent=" " * 8))


def _value(default: Any) -> str:
    """Return a default as ``--set`` takes it.

    Examples
    --------
    >>> _value((1, 2, 4)), _value("auto"), _value(10.0)
    ('1,2,4', 'auto', '10.0')
    """
    if isinstance(default, tuple) and default:
        return repr(default)[1:-1].replace(" ", "")
    return default if isinstance(default, str) else repr(default)
