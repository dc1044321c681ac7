"""The command line: ``spm train | predict | evaluate | compare | show | info | presets | detect | layers``."""

from __future__ import annotations

import argparse
import atexit
import gc
import logging
import os
import sys
from collections.abc import Sequence

from .. import __version__
from .._tools.text import printable
from ..errors import LINES, ImageError, SpmError
from . import compare, detect, evaluate, info, layers, predict, presets, show, train
from ._arguments import Parser

DESCRIPTION = "Spatial pyramids: bag of words, spatial pyramid matching, spatial pyramid pooling."
COMMANDS = (train, predict, evaluate, compare, show, info, presets, detect, layers)
EXAMPLES = """\
examples:
  spm train photos/ -o scene.spm              learn from photos/coast/1.jpg, photos/forest/2.jpg and so on
  spm predict scene.spm holiday/ --csv        a table with the label of every photograph in a folder
  spm compare photos/ --report page.html      what the pyramid adds to visual words, and to a network's map
"""
INTERRUPTED = 130  # what shells expect of a command stopped by Ctrl-C
NEW_OBJECTS = 100_000  # after which the collector looks for unused ones; Python's own 700 suits no imports


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 after an error, 130 for Ctrl-C; wrong usage exits with 2."""
    if argv is None:
        _spare_the_collector()
    arguments = _parser().parse_args(argv)
    arguments.given = sys.argv[1:] if argv is None else argv
    if hasattr(sys.stdout, "reconfigure"):  # a name that the terminal cannot show is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("spm: %(message)s"))
    handler.addFilter(_Once())
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
        print(f"spm: error: {printable(_in_words_of_commands(error, arguments), keep=LINES)}", file=sys.stderr)
        return 1
    finally:
        logging.getLogger("spm").removeHandler(handler)
    return 0


def _spare_the_collector() -> None:
    """Let the collector of this process, which is the command's own, look less often at what imports have made.

    At the end Python would go through all of it once more: that took a third of one prediction.
    """
    gc.set_threshold(NEW_OBJECTS)
    atexit.register(gc.freeze)


def _in_words_of_commands(error: Exception, arguments: argparse.Namespace) -> str:
    """Return an error's message with what the command can do about it."""
    if getattr(arguments, "on_error", None) != "raise":  # this command has no such choice, or it was taken
        return str(error)
    hint = " (--on-error skip leaves such images out)" if isinstance(error, ImageError) else ""
    return str(error).replace('on_error="skip"', "--on-error skip") + hint


class _Line(logging.Formatter):
    """A message as it can be printed, whatever names of files are in it."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep=LINES)


class _Once(logging.Filter):
    """What was said before in the same command is not said again: some read a folder twice."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        is_new = message not in self.said
        self.said.add(message)
        return is_new


def _parser() -> Parser:
    parser = Parser(
        prog="spm", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"spm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        name, text = module.__name__.rpartition(".")[2], module.HELP
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=module.run)
        module.add_arguments(command)
    return parser
