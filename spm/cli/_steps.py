"""What several commands do: parsed arguments in, the folder, the splits, the model and what is printed out."""

from __future__ import annotations

import argparse
import ast
import csv
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .._tools.text import nearest, printable
from ..errors import LINES, SpmError

# Before the work


def check_output(path: str, what: str = "model", how: str = "save") -> None:
    """Refuse a place where nothing can be saved, before hours of work."""
    directory = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(directory):
        raise SpmError(f"{directory}: there is no such folder to {how} the {what} in")
    if os.path.isdir(path):
        raise SpmError(f"{path} is a folder: give the name of a file to {how} the {what} in")
    if not os.access(directory, os.W_OK):
        raise SpmError(f"{directory}: you may not write in this folder, which the {what} would be saved in")


def check_report(arguments: argparse.Namespace) -> None:
    """Refuse a report that cannot be drawn or written, before hours of work."""
    if arguments.report is not None:
        from ..plots._axes import need

        need("matplotlib")
        check_output(arguments.report, "report", "write")


def read_folder(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Return the folder's images and their labels, in two classes at least."""
    import numpy as np

    from ..datasets import load_folder, load_table

    if arguments.labels is None and arguments.columns is not None:
        raise SpmError("--columns is about a table: give it by --labels")
    if arguments.labels is None:
        bunch = load_folder(arguments.folder)
    else:
        options = {"images": arguments.folder, "on_error": arguments.on_error, **_columns(arguments.columns)}
        bunch = load_table(arguments.labels, **options)
    if len(bunch.target_names) < 2:
        place = arguments.labels or arguments.folder
        raise SpmError(f"{place}: there is one class only, {bunch.target_names[0]}: two are needed")
    return bunch, np.asarray(bunch.target_names)[bunch.target]


def _columns(text: str | None) -> dict[str, Any]:
    """Return what ``--columns`` says, as `load_table` takes it; whoever gives two of them wants no split."""
    if text is None:
        return {}
    names = [name.strip() for name in text.split(",")]
    if not 2 <= len(names) <= 3 or not all(names):
        raise SpmError(f"--columns takes FILE,LABEL or FILE,LABEL,SPLIT, got {text!r}")
    given: list[Any] = [int(name) if name.isdecimal() else name for name in names]
    return dict(zip(("file", "label", "split"), [*given, False], strict=False))


def make_splits(arguments: argparse.Namespace, bunch: Any, labels: Any, n_splits: int = 10) -> Any:
    """Return the splits that the arguments ask for: those of a list, random ones, or else the table's own."""
    from ..datasets import read_train_list
    from ..evaluation.comparison import split_of
    from ..evaluation.protocols import default_cv

    is_random = (arguments.n_train, arguments.splits) != (None, None)
    if arguments.train_list is not None:
        if is_random:
            raise SpmError("--train-list gives the one split: leave --n-train and --splits out")
        return [read_train_list(arguments.train_list, bunch)]
    own = None if is_random else split_of(bunch)
    if own is not None:
        return own
    n_splits = n_splits if arguments.splits is None else arguments.splits
    return default_cv(labels, n_train=arguments.n_train, n_splits=n_splits, random_state=arguments.seed)


def make_model(arguments: argparse.Namespace) -> Any:
    """Return the preset with the options that ``--set`` gives to it and to its steps."""
    from .. import presets

    options = assignments(arguments)
    presets.registry.check_preset(arguments.preset, presets.PRESETS)
    own = _options_of(arguments.preset)
    given = {"n_jobs": arguments.jobs, "verbose": is_watched(), "random_state": arguments.seed}
    given |= {name: value for name, value in options.items() if name in own}
    model = presets.make(arguments.preset, **given)
    known = [name for name in model.get_params(deep=True) if "__" in name]
    return set_options(model, {name: value for name, value in options.items() if name not in own}, own, known)


def fit(
    model: Any, images: Sequence[Any], targets: Any, place: str, arguments: argparse.Namespace, labels: bool = False
) -> tuple[Any, Any]:
    """Fit a model to all images that it can use, and return their positions, and those of the others with errors.

    Where the targets are labels, two classes are needed.
    """
    from ..evaluation.protocols import on_usable

    def draw(used: Any) -> Any:
        if not len(used):
            raise SpmError(f"{place}: none of the {len(images)} images can be used")
        if labels and len({targets[i] for i in used}) < 2:
            raise SpmError(f"{place}: images that can be used are in 1 class only: two are needed")
        return [(used,)]

    def learn(parts: Any) -> Any:
        ((used,),) = parts
        model.fit([images[i] for i in used], [targets[i] for i in used])
        return used

    return on_usable(images, model, draw, learn, **work_options(arguments))


def set_options(model: Any, options: dict[str, Any], own: Sequence[str], known: Sequence[str] | None = None) -> Any:
    """Set options of a model and its steps, those that are `known` or, by default, all that it has."""
    names = sorted(model.get_params(deep=True) if known is None else known)
    for name in options:
        if name not in names:
            raise _no_option(name, list(own), names)
    return model.set_params(**options)


def check_preset_options(names: Sequence[str], options: dict[str, Any]) -> None:
    """Refuse an option that none of the presets has."""
    from ..presets import expand

    if options and not names:
        raise SpmError("--set is about presets: models from files have options of their own")
    own = list(dict.fromkeys(option for name in expand(names) for option in _options_of(name)))
    for name in options:
        if name not in own:
            raise _no_option(name, own)


def _options_of(preset: str) -> list[str]:
    from inspect import signature

    from ..presets import PRESETS

    return list(signature(PRESETS[preset]).parameters)


def _no_option(name: str, own: list[str], steps: Sequence[str] = ()) -> SpmError:
    """Return the error that names what was meant; all that could have been where nothing is near."""
    from ..presets.registry import others_with

    near = nearest(name, [*own, *steps])
    meant = others_with(name) + (f"did you mean {' or '.join(near)}? " if near else "")
    others = f"; those of its steps are {', '.join(steps)}" if steps and not near else ""
    return SpmError(f"--set: there is no option {name!r}: {meant}The preset's own are {', '.join(own)}{others}")


def assignments(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the names and values that ``--set`` was given."""
    return dict(_assignment(text) for text in arguments.set)


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SpmError(f"--set takes NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def work_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options that say how the work is done, as the library's functions take them."""
    return {"on_error": arguments.on_error, "n_jobs": arguments.jobs, "verbose": is_watched()}


def is_watched() -> bool:
    """Whether somebody looks at standard error, so that progress is worth showing."""
    return sys.stderr.isatty()


# Behind the work


def write_report(arguments: argparse.Namespace, make: Callable[..., str], *given: Any, **options: Any) -> None:
    """Write a page about what was found."""
    from ..report import write_page

    if is_watched():
        print("spm: writing the report, for which a model is fitted once more", file=sys.stderr)
    command = shlex.join(["spm", *arguments.given])
    page = make(*given, command=command, seed=arguments.seed, n_jobs=arguments.jobs, **options)
    write_page(arguments.report, page)


def print_csv(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as CSV, the first one's names above them."""
    write = csv_writer(list(rows[0]))
    for row in rows:
        write(row)


def csv_writer(names: list[str]) -> Callable[[dict[str, Any]], None]:
    """Print the names of columns, and return what prints a row."""
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writerow({name: printable(name) for name in names})

    def write(row: dict[str, Any]) -> None:
        writer.writerow({key: printable(value) if isinstance(value, str) else value for key, value in row.items()})
        sys.stdout.flush()

    return write


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document, which readers of Unicode alone can read too."""
    print(json.dumps(_plain(document), indent=1, default=lambda value: _plain(value.tolist())))


def _plain(value: Any) -> Any:
    """Return a value with all text in it, also the keys, as it can be printed."""
    if isinstance(value, str):
        return printable(value, keep=LINES)
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def reasons(result: Any) -> dict[str, str]:
    """Return why each image was skipped."""
    return {error.source: error.reason for _, error in result.skipped}


def count(skipped: list[Any]) -> str:
    """Return the end of a sentence that counts what was skipped."""
    return f", {len(skipped)} skipped" if skipped else ""
