"""``spm compare``: presets and photographs in, one table of what the pyramid adds out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._tools.text import Table
from ..errors import SpmError
from ._arguments import add_csv, add_folder, add_json, add_protocol_options, add_seed, add_set_option, add_work_options
from ._steps import (
    assignments,
    check_preset_options,
    check_report,
    make_splits,
    print_csv,
    print_json,
    read_folder,
    work_options,
    write_report,
)

HELP = "show in one table what the pyramid adds"
KEPT = " *"  # behind the accuracy of a row of an earlier run
BOTH_ROADS = "lazebnik2006,spp2014"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_folder(command, nargs="?", default=" (default: two sets that need no download)")
    command.add_argument(
        "--presets",
        default=BOTH_ROADS,
        metavar="NAME,...",
        help="what to compare: presets, all or all-handcrafted for several, files that train has saved (default: "
        "%(default)s)",
    )
    add_set_option(command, "an option of the presets, such as model=resnet18, model=net.onnx or levels=1,2,3,6")
    add_protocol_options(command)
    add_csv(command)
    command.add_argument(
        "--fresh", action="store_true", help="start anew, where by default a comparison that was stopped goes on"
    )
    add_seed(command)
    add_json(command)
    add_work_options(command)


def run(arguments: argparse.Namespace) -> None:
    """Measure, print every row as soon as it is there, and write a page about them where asked."""
    from ..evaluation.comparison import compare
    from ..evaluation.contenders import Own, contenders, separate
    from ..evaluation.journal import Journal

    check_report(arguments)
    if arguments.json and arguments.csv:
        raise SpmError("give one of --json and --csv")
    given = [name.strip() for name in arguments.presets.split(",")]
    options = assignments(arguments)
    names, models = separate(given, None)
    check_preset_options(names, options)
    data, cv = _data(arguments)
    journal = Journal(_journal(arguments, given, options))
    compared = contenders(names, models, options, work_options(arguments) | {"random_state": arguments.seed})
    with _said_on_interruption(journal.path):
        result = compare(
            data,
            presets=names,
            models={contender.name: contender.base for contender in compared if isinstance(contender, Own)},
            options=options,
            cv=cv,
            random_state=arguments.seed,
            journal=journal,
            on_row=None if arguments.json or arguments.csv else _row_printer(arguments.folder, compared),
            **work_options(arguments),
        )
        _print_whole(arguments, result)
        if all(row["error"] is not None for row in result.rows):
            raise SpmError(f"no row could be measured: {result.rows[-1]['error']}")
        _report(arguments, result)
    journal.close()  # not before: what is stopped while the page is made has its rows when it is called again


def _data(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Return the folder's images and their splits; None for both without one, when nothing may be asked of them."""
    from ..evaluation.comparison import default_splits

    if arguments.folder is not None:
        bunch, labels = read_folder(arguments)
        return bunch, make_splits(arguments, bunch, labels, n_splits=default_splits(len(labels)))
    asked = (arguments.train_list, arguments.n_train, arguments.splits, arguments.labels, arguments.columns)
    if any(value is not None for value in asked):
        raise SpmError(
            "--labels, --train-list, --n-train and --splits are for a FOLDER: the sets used without have a fixed split"
        )
    return None, None


def _row_printer(folder: Any, compared: list[Any]) -> Callable[[dict[str, Any]], None]:
    """Return what prints the rows of a comparison as they come, aligned from the first on."""
    from ..evaluation.comparison import data_names
    from ..evaluation.results import COLUMNS, row_cells

    names = [contender.name for contender in compared]
    pyramids = [text for contender in compared for text in contender.pyramids()]
    figures = ["100.0 ± 10.0" + KEPT, "100000", "1000.0", "100000", "1000.0", "1000"]
    widest = [data_names(folder), names, pyramids, *([figure] for figure in figures)]
    table = Table(list(COLUMNS.values()), widest, n_texts=3)
    return lambda row: table.add([cell + KEPT * (row["kept"] and k == 3) for k, cell in enumerate(row_cells(row))])


def _print_whole(arguments: argparse.Namespace, result: Any) -> None:
    """Print what cannot be printed row by row."""
    if not (arguments.json or arguments.csv) and any(row["kept"] for row in result.rows):
        print(f"{KEPT.strip()} kept from an earlier run of this comparison, which was stopped")
    if arguments.json:
        print_json({"seed": arguments.seed, "rows": result.rows, "skipped": dict(result.skipped)})
    elif arguments.csv:
        print_csv(result.rows)


def _report(arguments: argparse.Namespace, result: Any) -> None:
    if arguments.report is not None:
        from ..evaluation.comparison import data_names
        from ..report import comparison_page

        title = f"What the pyramid adds on {' and '.join(data_names(arguments.folder))}"
        write_report(arguments, comparison_page, result, title=title)


@contextmanager
def _said_on_interruption(journal: Path | None) -> Iterator[None]:
    """Say after Ctrl-C how to go on, where there is something to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        if journal is not None and journal.is_file():
            print("\nspm: stopped: the same command goes on from the rows that are there", file=sys.stderr)
        raise


def _journal(arguments: argparse.Namespace, names: list[str], options: dict[str, Any]) -> Path:
    """Return the file that keeps the rows of this very comparison until it is complete."""
    from ..evaluation.journal import key_of, place_of

    folder = None if arguments.folder is None else os.path.abspath(arguments.folder)
    table = (arguments.labels, arguments.columns)
    splits = (arguments.train_list, arguments.n_train, arguments.splits)
    key = key_of(folder, names, options, *splits, arguments.seed, *(table if table != (None, None) else ()))
    path = place_of(key, folder, None if arguments.report is None else os.path.dirname(arguments.report) or os.curdir)
    if arguments.fresh:
        path.unlink(missing_ok=True)
    elif path.is_file():
        print("spm: going on with a comparison that was stopped (--fresh starts anew)", file=sys.stderr)
    return path
