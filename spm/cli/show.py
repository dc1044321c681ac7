"""``spm show``: a photograph and perhaps a saved model in, a page on which its pyramid can be touched out."""

from __future__ import annotations

import argparse

from ._steps import check_output

HELP = "write a page on which a photograph's pyramid can be touched"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("image", metavar="IMAGE", help="a photograph's file")
    command.add_argument(
        "--model",
        metavar="MODEL",
        help="a file that train has saved; without one, words are learned from the photograph alone",
    )
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="the page to write, such as page.html")


def run(arguments: argparse.Namespace) -> None:
    """Write the page and say where it is."""
    check_output(arguments.output, "page", "write")
    from ..report import show_page, write_page

    print(f"{write_page(arguments.output, show_page(arguments.image, arguments.model))}: open it in a browser")
