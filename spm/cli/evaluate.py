"""``spm evaluate``: a folder of photographs and a preset in, its accuracy over splits out."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from .._tools.text import printable
from ..errors import LINES, SpmError
from ._arguments import (
    add_csv,
    add_folder,
    add_json,
    add_model_options,
    add_protocol_options,
    add_seed,
    add_work_options,
)
from ._steps import (
    check_report,
    count,
    make_model,
    make_splits,
    print_csv,
    print_json,
    read_folder,
    reasons,
    work_options,
    write_report,
)

HELP = "measure accuracy on photographs by random or given splits"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_folder(command)
    add_model_options(command)
    add_protocol_options(command)
    add_seed(command)
    add_json(command)
    add_csv(command)
    add_work_options(command)


def run(arguments: argparse.Namespace) -> None:
    """Measure, print what was found, and write a page about it where asked."""
    from ..evaluation.protocols import evaluate
    from ..evaluation.results import class_records, summary

    if arguments.json and arguments.csv:
        raise SpmError("give one of --json and --csv")
    check_report(arguments)
    model = make_model(arguments)
    bunch, labels = read_folder(arguments)
    cv = make_splits(arguments, bunch, labels)
    result = evaluate(model, bunch.data, labels, cv=cv, **work_options(arguments))
    if arguments.json:
        print_json(_document(arguments, result))
    elif arguments.csv:
        print_csv(class_records(result))
        print(f"spm: {arguments.preset}: {summary(result)}", file=sys.stderr)
    else:
        _print(arguments, result)
    if arguments.report is not None:
        from ..report import evaluation_page

        title = f"{arguments.preset} on {os.path.basename(os.path.abspath(arguments.folder))}"
        write_report(arguments, evaluation_page, result, bunch.data, labels, model=model, title=title)


def _print(arguments: argparse.Namespace, result: Any) -> None:
    print(f"{arguments.preset}: {printable(str(result), keep=LINES)}")
    print(f"{result.train_seconds:.1f} s to train, {result.test_seconds:.1f} s to test{count(result.skipped)}")


def _document(arguments: argparse.Namespace, result: Any) -> dict[str, Any]:
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
        "skipped": reasons(result),
    }
