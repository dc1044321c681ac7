"""What several commands take: a command's parser in, the same with these arguments out; and what parses them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from .._tools.text import nearest

PRESET = "lazebnik2006"


class Parser(argparse.ArgumentParser):
    """A parser that names the nearest right word for a mistaken one, under the usage of the command that it is for."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse, and end the program where something is left over: no command hands arguments on."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}{self._meant(rest)}")
        return found, rest

    def _meant(self, rest: list[str]) -> str:
        """Return what the first mistaken option was likely to mean."""
        given = next((word.partition("=")[0] for word in rest if word.startswith("-")), "")
        near = nearest(given, self._option_string_actions, n=1) if given else []
        if near:
            return f": did you mean {near[0]}?"
        if given.startswith("--") and "--set" in self._option_string_actions:
            name = given.strip("-").replace("-", "_")
            return f": an option of the preset, should it be one, goes as --set {name}=VALUE"
        return ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Check a choice, and name the nearest."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            near = nearest(str(value), map(str, action.choices or ()), n=1)
            error.message += "".join(f": did you mean {name}?" for name in near)
            raise


def add_folder(command: argparse.ArgumentParser, nargs: str | None = None, default: str = "") -> None:
    """Add the folder of photographs, and where their labels are."""
    text = "photographs, one sub-folder a class, or as --labels has them" + default
    command.add_argument("folder", metavar="FOLDER", nargs=nargs, help=text)
    command.add_argument(
        "--labels",
        metavar="FILE",
        help="a CSV file with a file, relative to FOLDER, its label and perhaps train or test in each row",
    )
    command.add_argument(
        "--columns",
        metavar="NAME,...",
        help="the columns of --labels for file, label and split, by name or number (default: found by their names)",
    )


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Add what makes one model: a preset and its options."""
    command.add_argument("--preset", default=PRESET, metavar="NAME", help="the kind of model (default: %(default)s)")
    add_set_option(
        command,
        "an option of the preset, such as n_words=400 or model=resnet18 (spm presets NAME lists them), or of "
        "its steps, such as vectorizer__features__step=4",
    )


def add_set_option(command: argparse.ArgumentParser, text: str) -> None:
    """Add ``--set NAME=VALUE``, which `text` explains."""
    text += "; may be given several times"
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=text)


def add_protocol_options(command: argparse.ArgumentParser) -> None:
    """Add who trains and who tests, and the page about it."""
    command.add_argument(
        "--n-train",
        type=_n_train,
        metavar="N",
        help="images a class to train, or below 1 the share of each (default: 100, or half of the smallest class; of "
        "classes that differ by more than twice in size half of each)",
    )
    command.add_argument(
        "--splits", type=int, metavar="N", help="random splits (default: 10; for compare 1 beyond 1,000 images)"
    )
    command.add_argument("--report", metavar="FILE", help="write a page about it, such as page.html, with pictures")
    command.add_argument(
        "--train-list", metavar="FILE", help="one path relative to FOLDER a line: those train, all the others test"
    )


def add_seed(command: argparse.ArgumentParser) -> None:
    """Add the seed."""
    command.add_argument("--seed", type=_seed, default=0, metavar="N", help="seeds all that is random (default: 0)")


def add_json(command: argparse.ArgumentParser) -> None:
    """Add the switch to one JSON document."""
    command.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def add_work_options(command: argparse.ArgumentParser, *, on_error: str = "raise") -> None:
    """Add how the work is done: by how many, and what about bad images."""
    command.add_argument("--jobs", type=_jobs, default=-1, metavar="N", help="workers (default: -1, one a core)")
    text = "what to do about a bad image (default: %(default)s)"
    command.add_argument("--on-error", choices=("raise", "skip"), default=on_error, help=text)


def add_csv(command: argparse.ArgumentParser) -> None:
    """Add the switch to a table for other programs."""
    command.add_argument("--csv", action="store_true", help="print the table as CSV and nothing else")


def _n_train(text: str) -> float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of images nor a share such as 0.5") from None


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


def count_of(what: str) -> Callable[[str], int]:
    """Return what reads a number of things, 1 or more."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {what}, 1 or more")
        return int(text)

    return count
