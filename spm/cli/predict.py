"""``spm predict``: a saved model and photographs, or folders of them, in; a table with a label for each out."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .._tools.text import Table, printable
from ..errors import SpmError
from ._arguments import add_csv, add_json, add_work_options, count_of
from ._steps import csv_writer, is_watched, print_json, reasons, work_options

HELP = "print the label of each photograph"
STDIN = "-"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("model", metavar="MODEL", help="a file that train has saved")
    command.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="a photograph, a folder with photographs anywhere below it, or - for names from standard input",
    )
    command.add_argument(
        "--top",
        type=count_of("labels"),
        default=1,
        metavar="N",
        help="labels of a photograph, the likeliest first (default: 1)",
    )
    command.add_argument("--scores", action="store_true", help="give the scores of all classes, each by its name")
    command.add_argument(
        "--kind",
        choices=("probability", "decision"),
        help="of scores: probabilities, or decision values (default: probabilities if the model has learned them)",
    )
    add_csv(command)
    add_json(command)
    add_work_options(command, on_error="skip")


def run(arguments: argparse.Namespace) -> None:
    """Print a row for each image, with the reason for one that cannot be used; that none can be is an error."""
    from ..evaluation.prediction import listed, predict

    if arguments.json and arguments.csv:
        raise SpmError("give one of --json and --csv")
    images = listed(_named(arguments.images))
    tell = None if arguments.json else _Printer(arguments, images).add
    options = work_options(arguments)
    options["verbose"] = is_watched() and not (tell and sys.stdout.isatty())  # rows that come show it too
    for name in ("top", "scores", "kind"):
        options[name] = getattr(arguments, name)
    with _said_by_rows():
        result = predict(arguments.model, images, on_row=tell, **options)
    if arguments.json:
        labels = [(images[i], str(label)) for i, label in zip(result.used, result.labels, strict=True)]
        rows = {"rows": result.rows} if arguments.top > 1 or arguments.scores else {}
        print_json({"labels": dict(labels), "skipped": reasons(result), **rows})
    if not len(result.used):
        raise SpmError(f"none of the {len(images)} images can be used")
    if result.skipped and (arguments.json or not sys.stdout.isatty()):  # who reads a file later should know now
        print(f"spm: {len(result.skipped)} of {len(images)} images cannot be used", file=sys.stderr)


@contextmanager
def _said_by_rows() -> Iterator[None]:
    """Keep the log from saying what the row of an image says."""
    logger = logging.getLogger("spm.evaluation")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _named(given: list[str]) -> list[str]:
    """Return the names that were given, those from standard input, one a line or between zeros, in the place of -."""
    names: list[str] = []
    for name in given:
        if name != STDIN:
            names.append(name)
            continue
        data = sys.stdin.buffer.read()
        parts = data.split(b"\0") if b"\0" in data else data.splitlines()
        read = [os.fsdecode(part) for part in parts if part.strip()]
        if not read:
            raise SpmError("no names came from standard input: give one a line")
        names += read
    return names


class _Printer:
    """What prints rows as they come: as CSV, as a table where there are scores, else file and label."""

    def __init__(self, arguments: argparse.Namespace, images: list[str]) -> None:
        self.images, self.is_csv = images, arguments.csv
        self.is_plain = not (arguments.csv or arguments.top > 1 or arguments.scores)
        self.write: Callable[[dict[str, Any]], None] | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Print one row."""
        if self.is_plain:
            end = [] if row["error"] is None else [row["error"]]
            print("\t".join(printable("" if cell is None else cell) for cell in (row["file"], row["label"], *end)))
            return
        if self.write is None:
            self.write = csv_writer(list(row)) if self.is_csv else self._table(list(row))
        self.write(row)

    def _table(self, names: list[str]) -> Callable[[dict[str, Any]], None]:
        """Return what prints an aligned table; a label's score stands behind it."""
        from ..evaluation.results import cell_text

        head = [name for name in names if name != "error"]
        texts, numbers = ["name of a class"], ["-100.0000"]
        widest = [self.images, *(texts if name.startswith("label") else numbers for name in head[1:])]
        table = Table(head, widest, n_texts=2)

        def write(row: dict[str, Any]) -> None:
            cells = [row["file"], row["error"]] if row["error"] is not None else [cell_text(row[name]) for name in head]
            table.add(cells)

        return write
