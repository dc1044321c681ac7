"""``spm predict``: a saved model and photographs in, a label for each out."""

from __future__ import annotations

import argparse

from .._tools.text import printable
from ..errors import SpmError
from ._arguments import add_json, add_work_options
from ._steps import print_json, reasons, work_options

HELP = "print the label of each photograph"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("model", metavar="MODEL", help="a file that train has saved")
    command.add_argument("images", metavar="IMAGE", nargs="+", help="a photograph's file")
    add_json(command)
    add_work_options(command)


def run(arguments: argparse.Namespace) -> None:
    """Print the label of each image that can be used; that there is none is an error."""
    from ..evaluation.protocols import predict

    images = arguments.images
    result = predict(arguments.model, images, **work_options(arguments))
    labels = [(images[i], str(label)) for i, label in zip(result.used, result.labels, strict=True)]
    if arguments.json:
        print_json({"labels": dict(labels), "skipped": reasons(result)})
    else:
        for image, label in labels:
            print(f"{printable(image)}\t{printable(label)}")
    if not labels:
        raise SpmError(f"none of the {len(images)} images can be used")
