"""Text: anything in, such as a file's name, what can be printed of it or was meant by it out; and rows, a table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

SHOWN = "\u200c\u200d\xa0\u3000"  # not printable to Python: joiners and blanks that are parts of names in many scripts

LIKE = 0.7  # of 1, how alike a name must be to be meant


def printable(text: Any, keep: str = "") -> str:
    """Return text with what cannot be shown, such as control characters and broken bytes of file names, written out.

    Names pass through here wherever they are printed, drawn or told in a message: a name that is not UTF-8 would make
    printing, matplotlib and the writing of pages fail.

    Parameters
    ----------
    text : any
        What `str` makes a text of.
    keep : str, default=""
        Characters that stay as they are, such as the line breaks of a message.

    Examples
    --------
    >>> printable("caf\\udce9\\n")
    'caf\\\\udce9\\\\n'
    """
    letters, kept = str(text), SHOWN + keep
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in letters)


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Return the known names that a mistaken one is likely to mean, the likeliest first.

    Of nested names, whose parts lie between ``__``, the last part counts first: it may be all that was given.

    Examples
    --------
    >>> nearest("n_word", ["n_words", "levels", "C"])
    ['n_words']
    >>> nearest("stp", ["C", "vectorizer__features__step"])
    ['vectorizer__features__step']
    """

    def likeness(other: str) -> tuple[float, float]:
        pairs = (name.rpartition("__")[2], other.rpartition("__")[2]), (name, other)
        last, whole = (difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)
        return last, whole

    scores = {other: likeness(other) for other in known}
    best = sorted(scores, key=lambda other: scores[other], reverse=True)[:n]
    return [other for other in best if scores[other][0] > LIKE]


class Table:
    """A table printed row by row, so that the first figures are there before the last are worked out.

    Parameters
    ----------
    head : list of str
    widest : sequence of sequences of str
        For every column, texts that its width must hold.
    n_texts : int
        The first so many columns are text and go to the left; the others are figures and go to the right. A row may
        end early, in a text that says why.
    """

    def __init__(self, head: list[str], widest: Sequence[Sequence[str]], *, n_texts: int) -> None:
        self.head, self.n_texts, self.started = head, n_texts, False
        columns = [[name, *texts] for name, texts in zip(head, widest, strict=True)]
        self.widths = [max(len(printable(text)) for text in column) for column in columns]

    def add(self, cells: list[str]) -> None:
        """Print one row, before the first one the head."""
        for line in [cells] if self.started else [self.head, cells]:
            print(self.aligned(line), flush=True)
        self.started = True

    def aligned(self, cells: list[str]) -> str:
        """Return one row as text, as wide as the table."""
        line = [printable(cell) for cell in cells]
        sides = [str.ljust] * self.n_texts + [str.rjust] * (len(line) - self.n_texts)
        return "  ".join(side(cell, width) for side, cell, width in zip(sides, line, self.widths, strict=False))
