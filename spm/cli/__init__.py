"""The command line: ``spm train | predict | evaluate | compare | layers``."""

from __future__ import annotations

import argparse
import ast
import csv
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from .._tools.table import Table
from ..errors import ImageError, SpmError, check_choice

DESCRIPTION = "Spatial pyramids: bag of words, spatial pyramid matching, spatial pyramid pooling."
DEFAULT = "lazebnik2006"
BOTH_ROADS = "lazebnik2006,spp2014"
INTERRUPTED = 130  # what shells expect of a command stopped by Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 after an error, 130 for Ctrl-C; wrong usage exits with 2."""
    arguments = _parser().parse_args(argv)
    arguments.given = sys.argv[1:] if argv is None else argv
    if hasattr(sys.stdout, "reconfigure"):  # a name that the terminal cannot show is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("spm: %(message)s"))
    logging.getLogger("spm").addHandler(handler)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\n" * sys.stderr.isatty() + "spm: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SpmError, OSError) as error:
        hint = " (--on-error skip leaves such images out)" if isinstance(error, ImageError) else ""
        print(f"spm: error: {error}{hint}", file=sys.stderr)
        return 1
    finally:
        logging.getLogger("spm").removeHandler(handler)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spm", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"spm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = _command(commands, "train", _train, "learn a model from photographs, one sub-folder a class")
    train.add_argument("folder", metavar="FOLDER", help="photographs, one sub-folder a class")
    train.add_argument("-o", "--output", required=True, metavar="FILE", help="where to save the model, such as m.spm")
    _add_model_options(train)

    predict = _command(commands, "predict", _predict, "print the label of each photograph")
    predict.add_argument("model", metavar="MODEL", help="a file that train has saved")
    predict.add_argument("images", metavar="IMAGE", nargs="+", help="a photograph's file")

    evaluate = _command(commands, "evaluate", _evaluate, "measure accuracy on photographs by random or given splits")
    evaluate.add_argument("folder", metavar="FOLDER", help="photographs, one sub-folder a class")
    _add_model_options(evaluate)
    _add_protocol_options(evaluate)

    compare = _command(commands, "compare", _compare, "show in one table what the pyramid adds")
    compare.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        help="photographs, one sub-folder a class (default: two sets that need no download)",
    )
    compare.add_argument(
        "--presets",
        default=BOTH_ROADS,
        metavar="NAME,...",
        help="what to compare; all and all-handcrafted stand for several (default: %(default)s)",
    )
    _add_set_option(compare, "an option of the presets, such as model=net.onnx or levels=1,2,3,6")
    _add_protocol_options(compare)
    compare.add_argument("--csv", action="store_true", help="print the table as CSV and nothing else")
    compare.add_argument(
        "--fresh", action="store_true", help="start anew, where by default a comparison that was stopped goes on"
    )

    layers = _command(commands, "layers", _layers, "list the maps of a network, for --set layers=NAME")
    layers.add_argument("model", metavar="NETWORK", help="an ONNX file")
    for command in (train, evaluate, compare):
        command.add_argument("--seed", type=_seed, default=0, metavar="N", help="seeds all that is random (default: 0)")
    for command in (predict, evaluate, compare, layers):
        command.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    for command in (train, predict, evaluate, compare):
        _add_common_options(command)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run)
    return command


def _add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--jobs", type=_jobs, default=-1, metavar="N", help="workers (default: -1, one a core)")
    command.add_argument(
        "--on-error", choices=("raise", "skip"), default="raise", help="what to do about a bad image (default: raise)"
    )


def _add_model_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--preset", default=DEFAULT, metavar="NAME", help="the kind of model (default: %(default)s)")
    _add_set_option(
        command, "an option of the preset, such as n_words=400, or of its steps, such as vectorizer__features__step=4"
    )


def _add_set_option(command: argparse.ArgumentParser, text: str) -> None:
    text += "; may be given several times"
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=text)


def _add_protocol_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--n-train", type=int, metavar="N", help="images a class to train (default: 100, or half of the smallest class)"
    )
    command.add_argument(
        "--splits", type=int, metavar="N", help="random splits (default: 10; for compare 1 beyond 1,000 images)"
    )
    command.add_argument("--report", metavar="FILE", help="write a page about it, such as page.html, with pictures")
    command.add_argument(
        "--train-list", metavar="FILE", help="one path relative to FOLDER a line: those train, all the others test"
    )


def _seed(text: str) -> int:
    return _whole(text, "a whole number from 0 to 4294967295", lambda value: 0 <= value < 2**32)


def _jobs(text: str) -> int:
    return _whole(text, "a number of workers, or -1 for one a core", lambda value: value != 0)


def _whole(text: str, wanted: str, good: Callable[[int], bool]) -> int:
    """Turn an argument into a whole number."""
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not good(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def _train(arguments: argparse.Namespace) -> None:
    import numpy as np

    from ..evaluation.protocols import usable
    from ..storage import save

    _check_output(arguments.output)
    bunch, labels = _folder(arguments)
    model = _model(arguments)
    options = {"n_jobs": arguments.jobs, "verbose": _watched()}
    used, skipped = usable(bunch.data, model, on_error=arguments.on_error, **options)
    n_classes = len(np.unique(labels[used]))
    if n_classes < 2:
        raise SpmError(f"{arguments.folder}: images that can be used are in {n_classes} class only: two are needed")
    model.fit([bunch.data[i] for i in used], labels[used])
    save(model, arguments.output)
    print(f"{arguments.output}: {n_classes} classes from {len(used)} images{_count(skipped)}")


def _check_output(path: str, what: str = "model", how: str = "save") -> None:
    """Refuse a place where nothing can be saved, before hours of work."""
    directory = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(directory):
        raise SpmError(f"{directory}: there is no such folder to {how} the {what} in")
    if os.path.isdir(path):
        raise SpmError(f"{path} is a folder: give the name of a file to {how} the {what} in")
    if not os.access(directory, os.W_OK):
        raise SpmError(f"{directory}: you may not write in this folder, which the {what} would be saved in")


def _check_report(arguments: argparse.Namespace) -> None:
    """Refuse a report that cannot be drawn or written, before hours of work."""
    if arguments.report is not None:
        from ..plots._axes import need

        need("matplotlib")
        _check_output(arguments.report, "report", "write")


def _write_report(arguments: argparse.Namespace, make: Callable[..., str], *given: Any, **options: Any) -> None:
    """Write a page about what was found."""
    from ..report import write_page

    if _watched():
        print("spm: writing the report, for which a model is fitted once more", file=sys.stderr)
    command = shlex.join(["spm", *arguments.given])
    page = make(*given, command=command, seed=arguments.seed, n_jobs=arguments.jobs, **options)
    write_page(arguments.report, page)


def _predict(arguments: argparse.Namespace) -> None:
    from ..evaluation.protocols import predict

    images = arguments.images
    options = {"on_error": arguments.on_error, "n_jobs": arguments.jobs, "verbose": _watched()}
    result = predict(arguments.model, images, **options)
    labels = [(images[i], str(label)) for i, label in zip(result.used, result.labels, strict=True)]
    if arguments.json:
        _print_json({"labels": dict(labels), "skipped": _reasons(result)})
        return
    for image, label in labels:
        print(f"{image}\t{label}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from ..evaluation.protocols import evaluate

    _check_report(arguments)
    bunch, labels = _folder(arguments)
    cv = _cv(arguments, bunch, labels)
    model = _model(arguments)
    options = {"on_error": arguments.on_error, "n_jobs": arguments.jobs, "verbose": _watched()}
    result = evaluate(model, bunch.data, labels, cv=cv, **options)
    if arguments.json:
        _print_json(_evaluation(arguments, result))
    else:
        _print_evaluation(arguments, result)
    if arguments.report is not None:
        from ..report import evaluation_page

        title = f"{arguments.preset} on {os.path.basename(os.path.abspath(arguments.folder))}"
        _write_report(arguments, evaluation_page, result, bunch.data, labels, model=model, title=title)


def _print_evaluation(arguments: argparse.Namespace, result: Any) -> None:
    n_splits = len(result.accuracies)
    spread = f" ± {100 * result.std:.1f}" if n_splits > 1 else ""
    print(f"{arguments.preset}: {100 * result.accuracy:.1f}{spread} % mean per-class accuracy", end=" ")
    print(f"({n_splits} split{'s' * (n_splits > 1)}, {result.n_train[0]} train, {result.n_test[0]} test images)")
    rows = [
        [str(name), f"{100 * row[i] / row.sum():.1f}" if row.any() else "-", str(row.sum())]
        for i, (name, row) in enumerate(zip(result.classes, result.confusion, strict=True))
    ]
    table = Table(["class", "accuracy %", "tested"], list(zip(*rows, strict=True)), n_texts=1)
    for row in rows:
        table.add(row)
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
        "skipped": _reasons(result),
    }


def _compare(arguments: argparse.Namespace) -> None:
    from ..evaluation.comparison import compare, data_names, default_splits

    cv = None
    _check_report(arguments)
    if arguments.json and arguments.csv:
        raise SpmError("give one of --json and --csv")
    if arguments.folder is not None:
        bunch, labels = _folder(arguments)
        cv = _cv(arguments, bunch, labels, n_splits=default_splits(len(labels)))
    elif (arguments.train_list, arguments.n_train, arguments.splits) != (None, None, None):
        raise SpmError(
            "--train-list, --n-train and --splits are for a FOLDER: the sets used without have a fixed split"
        )
    names = [name.strip() for name in arguments.presets.split(",")]
    options = dict(_assignment(text) for text in arguments.set)
    journal = _journal(arguments, names, options)
    result = compare(
        arguments.folder,
        presets=names,
        options=options,
        cv=cv,
        on_error=arguments.on_error,
        n_jobs=arguments.jobs,
        verbose=_watched(),
        random_state=arguments.seed,
        journal=journal,
        on_row=None if arguments.json or arguments.csv else _row_printer(arguments.folder, names, options),
    )
    if arguments.json:
        _print_json({"seed": arguments.seed, "rows": result.rows, "skipped": dict(result.skipped)})
    elif arguments.csv:
        writer = csv.DictWriter(sys.stdout, list(result.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(result.rows)
    if all(row["error"] is not None for row in result.rows):
        raise SpmError(f"no row could be measured: {result.rows[-1]['error']}")
    if arguments.report is not None:
        from ..report import comparison_page

        title = f"What the pyramid adds on {' and '.join(data_names(arguments.folder))}"
        _write_report(arguments, comparison_page, result, title=title)


def _row_printer(folder: Any, names: list[str], options: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return what prints the rows of a comparison as they come, aligned from the first on."""
    from ..evaluation.comparison import COLUMNS, data_names, pyramids_of, row_cells
    from ..presets import expand

    presets = expand(names)
    pyramids = [text for preset in presets for text in pyramids_of(preset, options.get("levels"))]
    figures = ["100.0 ± 10.0", "100000", "1000.0", "100000", "1000.0", "1000"]
    widest = [data_names(folder), presets, pyramids, *([figure] for figure in figures)]
    table = Table(list(COLUMNS.values()), widest, n_texts=3)
    return lambda row: table.add(row_cells(row))


def _journal(arguments: argparse.Namespace, names: list[str], options: dict[str, Any]) -> Path:
    """Return the file that keeps the rows of this very comparison until it is complete."""
    import pooch

    from ..evaluation.journal import key_of

    folder = None if arguments.folder is None else os.path.abspath(arguments.folder)
    key = key_of(folder, names, options, arguments.train_list, arguments.n_train, arguments.splits, arguments.seed)
    path = Path(pooch.os_cache("spm")) / "comparisons" / f"{key}.jsonl"
    if arguments.fresh:
        path.unlink(missing_ok=True)
    elif path.is_file():
        print("spm: going on with a comparison that was stopped (--fresh starts anew)", file=sys.stderr)
    return path


def _layers(arguments: argparse.Namespace) -> None:
    from ..networks.maps import NOMINAL, cut, layers

    found = layers(arguments.model)
    if not found:
        cut(arguments.model)  # it says what stands in the way
    if arguments.json:
        _print_json({"layers": [asdict(layer) for layer in found]})
        return
    pair = "{0[0]} x {0[1]}".format
    rows = [
        [
            layer.name,
            layer.op,
            str(layer.channels or "-"),
            f"{layer.stride[0]:g} x {layer.stride[1]:g}" + " *" * (layer.geometry == "measured"),
            pair(layer.field) if layer.field else "-",
            pair(layer.grid),
        ]
        for layer in found
    ]
    head = ["name", "operator", "channels", "stride", "sees pixels", f"cells at {NOMINAL} x {NOMINAL}"]
    table = Table(head, list(zip(*rows, strict=True)), n_texts=2)
    for row in rows:
        table.add(row)
    if any(layer.geometry == "measured" for layer in found):
        print("* measured by running the network, as not all of its operators are known")


def _folder(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Return the folder's images and their labels, in two classes at least."""
    import numpy as np

    from ..datasets import load_folder

    bunch = load_folder(arguments.folder)
    if len(bunch.target_names) < 2:
        raise SpmError(f"{arguments.folder}: there is one class only, {bunch.target_names[0]}: two are needed")
    return bunch, np.asarray(bunch.target_names)[bunch.target]


def _cv(arguments: argparse.Namespace, bunch: Any, labels: Any, n_splits: int = 10) -> Any:
    from ..datasets import read_train_list
    from ..evaluation.protocols import default_cv

    if arguments.train_list is None:
        n_splits = n_splits if arguments.splits is None else arguments.splits
        return default_cv(labels, n_train=arguments.n_train, n_splits=n_splits, random_state=arguments.seed)
    if (arguments.n_train, arguments.splits) != (None, None):
        raise SpmError("--train-list gives the one split: leave --n-train and --splits out")
    return [read_train_list(arguments.train_list, bunch)]


def _model(arguments: argparse.Namespace) -> Any:
    from inspect import signature

    from .. import presets

    options = dict(_assignment(text) for text in arguments.set)
    check_choice("preset", arguments.preset, presets.PRESETS)
    own = signature(presets.PRESETS[arguments.preset]).parameters
    preset = {name: value for name, value in options.items() if name in own}
    given = {"n_jobs": arguments.jobs, "verbose": _watched(), "random_state": arguments.seed}
    model = presets.make(arguments.preset, **{**given, **preset})
    steps = {name: value for name, value in options.items() if name not in own}
    known = sorted(name for name in model.get_params(deep=True) if "__" in name)
    for name in steps:
        if name not in known:
            listed = f"the preset's own are {', '.join(own)}; those of its steps are {', '.join(known)}"
            raise SpmError(f"--set: there is no option {name!r}: {listed}")
    return model.set_params(**steps)


def _watched() -> bool:
    """Whether somebody looks at standard error, so that progress is worth showing."""
    return sys.stderr.isatty()


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SpmError(f"--set takes NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _reasons(result: Any) -> dict[str, str]:
    return {error.source: error.reason for _, error in result.skipped}


def _count(skipped: list[Any]) -> str:
    return f", {len(skipped)} skipped" if skipped else ""


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=1, default=lambda value: value.tolist()))
