"""The command line: ``spm train | predict | evaluate | compare``."""

from __future__ import annotations

import argparse
import ast
import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from . import __version__
from .errors import SpmError, check_choice

DESCRIPTION = "Spatial pyramids: bag of words, spatial pyramid matching, spatial pyramid pooling."
INTERRUPTED = 130  # what shells expect of a command stopped by Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 after an error of spm's, 2 for wrong usage, 130 for Ctrl-C."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="spm: %(message)s", stream=sys.stderr)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nspm: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SpmError, OSError) as error:
        print(f"spm: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spm", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"spm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = _command(commands, "train", _train, "learn a model from a folder of photographs, one sub-folder a class")
    train.add_argument("folder", metavar="FOLDER")
    train.add_argument("-o", "--output", required=True, metavar="FILE", help="where to save the model, such as m.spm")
    _add_model_options(train)

    predict = _command(commands, "predict", _predict, "print the label of each photograph")
    predict.add_argument("model", metavar="MODEL", help="a file that train has saved")
    predict.add_argument("images", metavar="IMAGE", nargs="+")

    evaluate = _command(commands, "evaluate", _evaluate, "measure accuracy on a folder by random or given splits")
    evaluate.add_argument("folder", metavar="FOLDER")
    _add_model_options(evaluate)
    _add_protocol_options(evaluate)

    compare = _command(commands, "compare", _compare, "show in one table what the pyramid adds")
    compare.add_argument("folder", metavar="FOLDER", nargs="?", help="by default two sets that need no download")
    compare.add_argument("--presets", default="lazebnik2006", metavar="NAME,...", help="(default: %(default)s)")
    _add_protocol_options(compare)
    for command in (train, evaluate, compare):
        command.add_argument("--seed", type=int, default=0, help="(default: 0)")
    for command in (predict, evaluate, compare):
        command.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run)
    command.add_argument("--jobs", type=int, default=-1, metavar="N", help="workers (default: -1, one a core)")
    command.add_argument(
        "--on-error", choices=("raise", "skip"), default="raise", help="what to do about a bad image (default: raise)"
    )
    return command


def _add_model_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--preset", default="lazebnik2006", help="(default: %(default)s)")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the preset, such as n_words=400, or of its steps, such as vectorizer__features__step=4",
    )


def _add_protocol_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--n-train", type=int, metavar="N", help="images a class to train (default: 100, or half of the smallest class)"
    )
    command.add_argument("--splits", type=int, default=10, metavar="N", help="random splits (default: 10)")
    command.add_argument(
        "--train-list", metavar="FILE", help="one path relative to FOLDER a line: those train, all the others test"
    )


def _train(arguments: argparse.Namespace) -> None:
    from .datasets import load_folder
    from .protocols import usable
    from .storage import save

    directory = os.path.dirname(os.path.abspath(arguments.output))
    if not os.path.isdir(directory):
        raise SpmError(f"{directory}: there is no such folder to save the model in")
    bunch = load_folder(arguments.folder)
    model = _model(arguments)
    used, skipped = usable(bunch.data, model, arguments.on_error, arguments.jobs)
    model.fit([bunch.data[i] for i in used], [bunch.target_names[bunch.target[i]] for i in used])
    save(model, arguments.output)
    print(f"{arguments.output}: {len(bunch.target_names)} classes from {len(used)} images{_count(skipped)}")


def _predict(arguments: argparse.Namespace) -> None:
    from .protocols import predict

    result = predict(arguments.model, arguments.images, on_error=arguments.on_error, n_jobs=arguments.jobs)
    labels = {arguments.images[i]: str(label) for i, label in zip(result.used, result.labels, strict=True)}
    if arguments.json:
        _print_json({"labels": labels, "skipped": {error.source: error.reason for _, error in result.skipped}})
        return
    for image, label in labels.items():
        print(f"{image}\t{label}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from .datasets import load_folder
    from .protocols import evaluate

    bunch = load_folder(arguments.folder)
    labels = _labels(bunch)
    cv = _cv(arguments, bunch, labels)
    model = _model(arguments)
    result = evaluate(model, bunch.data, labels, cv=cv, on_error=arguments.on_error, n_jobs=arguments.jobs)
    if arguments.json:
        _print_json(_evaluation(arguments, result))
        return
    n_splits = len(result.accuracies)
    spread = f" ± {100 * result.std:.1f}" if n_splits > 1 else ""
    print(f"{arguments.preset}: {100 * result.accuracy:.1f}{spread} % mean per-class accuracy", end=" ")
    print(f"({n_splits} split{'s' * (n_splits > 1)}, {result.n_train[0]} train, {result.n_test[0]} test images)")
    rows = [
        [name, f"{100 * row[i] / max(row.sum(), 1):.1f}", str(row.sum())]
        for i, (name, row) in enumerate(zip(result.classes, result.confusion, strict=True))
    ]
    _print_table(["class", "accuracy %", "tested"], rows)
    print(f"{result.train_seconds:.1f} s to train, {result.test_seconds:.1f} s to test{_count(result.skipped)}")


def _evaluation(arguments: argparse.Namespace, result: Any) -> dict[str, Any]:
    return {
        "preset": arguments.preset,
        "seed": arguments.seed,
        "accuracy": result.accuracy,
        "std": result.std,
        "accuracies": result.accuracies.tolist(),
        "overall": result.overall.tolist(),
        "classes": [str(name) for name in result.classes],
        "confusion": result.confusion.tolist(),
        "n_train": result.n_train,
        "n_test": result.n_test,
        "train_seconds": result.train_seconds,
        "test_seconds": result.test_seconds,
        "skipped": {error.source: error.reason for _, error in result.skipped},
    }


def _compare(arguments: argparse.Namespace) -> None:
    from .comparison import COLUMNS, compare, row_cells
    from .datasets import load_folder

    cv = None
    if arguments.folder is None:
        if arguments.train_list or arguments.n_train:
            raise SpmError("--train-list and --n-train are for a FOLDER; the sets used without one have a fixed split")
    else:
        bunch = load_folder(arguments.folder)
        cv = _cv(arguments, bunch, _labels(bunch))
    table = _GrowingTable(list(COLUMNS.values()), quiet=arguments.json)
    result = compare(
        arguments.folder,
        names=[name.strip() for name in arguments.presets.split(",")],
        cv=cv,
        on_error=arguments.on_error,
        n_jobs=arguments.jobs,
        verbose=True,
        random_state=arguments.seed,
        on_row=lambda row: table.add(row_cells(row)),
    )
    if arguments.json:
        _print_json({"seed": arguments.seed, "rows": result.rows, "skipped": dict(result.skipped)})


def _labels(bunch: Any) -> Any:
    import numpy as np

    return np.asarray(bunch.target_names)[bunch.target]


def _cv(arguments: argparse.Namespace, bunch: Any, labels: Any) -> Any:
    from .datasets import read_train_list
    from .protocols import default_cv

    if arguments.train_list:
        return [read_train_list(arguments.train_list, bunch)]
    return default_cv(labels, n_train=arguments.n_train, n_splits=arguments.splits, random_state=arguments.seed)


def _model(arguments: argparse.Namespace) -> Any:
    from inspect import signature

    from . import presets

    options = dict(_assignment(text) for text in arguments.set)
    check_choice("preset", arguments.preset, presets.PRESETS)
    own = signature(presets.PRESETS[arguments.preset]).parameters
    preset = {name: value for name, value in options.items() if name in own}
    model = presets.make(
        arguments.preset, **{"n_jobs": arguments.jobs, "verbose": True, "random_state": arguments.seed, **preset}
    )
    steps = {name: value for name, value in options.items() if name not in own}
    try:
        return model.set_params(**steps)
    except ValueError as error:
        raise SpmError(f"--set: {error}; the preset's own options are {', '.join(own)}") from error


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SpmError(f"--set takes NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _count(skipped: list[Any]) -> str:
    return f", {len(skipped)} skipped" if skipped else ""


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=1, default=lambda value: value.tolist()))


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    for line in [head, *rows]:
        print(_aligned(line, widths))


def _aligned(line: list[str], widths: list[int]) -> str:
    return "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])


class _GrowingTable:
    """A table printed row by row, so that the first figures are there before the last are worked out."""

    def __init__(self, head: list[str], *, quiet: bool) -> None:
        self.head, self.quiet, self.started = head, quiet, False

    def add(self, cells: list[str]) -> None:
        if self.quiet:
            return
        widths = [8, 14, 26, 12, 7, 8, 8]
        if not self.started:
            print(_aligned(self.head, widths), flush=True)
            self.started = True
        print(_aligned(cells, widths), flush=True)
