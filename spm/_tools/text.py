"""Any text in, such as a file's name, the same as it can be printed, drawn and written as UTF-8 out."""

from __future__ import annotations

from typing import Any

SHOWN = "\u200c\u200d\xa0\u3000"  # not printable to Python: joiners and blanks that are parts of names in many scripts


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
