"""HTML: elements and plain text in, one page that needs nothing else out; it runs one script of its own, or none."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from .._tools.text import printable
from ._style import STYLE

VOID = ("img", "meta")

# Nothing is fetched and no script runs, even if a name should get past the escaping.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Html(str):
    """Text that is HTML already. All other text is escaped on its way into an element."""


def element(tag: str, *children: Any, **attributes: Any) -> Html:
    """Return an element. Children and attributes are escaped, but for `Html`; an attribute that is None is left out.

    Examples
    --------
    >>> element("p", "a < b", element("b", "!"), class_="note", data_name='"')
    '<p class="note" data-name="&quot;">a &lt; b<b>!</b></p>'
    """
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    opening = "".join([tag, *(f' {name}="{html.escape(printable(value))}"' for name, value in given.items())])
    if tag in VOID:
        return Html(f"<{opening}>")
    inside = "".join(child if isinstance(child, Html) else html.escape(printable(child)) for child in children)
    return Html(f"<{opening}>{inside}</{tag}>")


def join(parts: Iterable[Html]) -> Html:
    """Return elements one after the other."""
    return Html("\n".join(parts))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, n_texts: int, stacked: bool = False) -> Html:
    """Return a table.

    Parameters
    ----------
    head : sequence of str
    rows : iterable of sequences
        A row that ends early does so in a text that says why, over all the columns that are left.
    n_texts : int
        The first so many columns are text, the others figures.
    stacked : bool, default=False
        Whether a narrow screen shows every row as a list of its own.
    """
    body = [element("tr", *_cells(head, list(row), n_texts)) for row in rows]
    names = [element("th", name, scope="col", class_=None if i < n_texts else "figure") for i, name in enumerate(head)]
    parts = element("thead", element("tr", *names)), element("tbody", join(body))
    inside = element("table", *parts, class_="stacked" if stacked else None)
    return element("div", inside, class_="scrolled", tabindex=0)


def _cells(head: Sequence[str], row: list[Any], n_texts: int) -> list[Html]:
    cells = []
    for i, (name, value) in enumerate(zip(head, row, strict=False)):
        left = len(head) - len(row) + 1 if i == len(row) - 1 else 1
        kind = "figure" if i >= n_texts and left == 1 else None
        cells.append(element("td", value, data_name=name, class_=kind, colspan=left if left > 1 else None))
    return cells


def section(title: str, *parts: Any, class_: str | None = None) -> Html:
    """Return a part of the page under a heading."""
    return element("section", element("h2", title), *parts, class_=class_)


def data(name: str, value: Any) -> Html:
    """Return an element that holds a value as JSON for the page's script: nothing in it can end the element.

    Examples
    --------
    >>> data("facts", "</script>")
    '<script id="facts" type="application/json">"\\\\u003c/script>"</script>'
    """
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return element("script", Html(text), id=name, type="application/json")


def page(title: str, *parts: Html, script: str = "", style: str = "", class_: str | None = None) -> str:
    """Return a whole page; `script`, if any, is the only one that may run in it."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"{POLICY}; script-src 'sha256-{digest}'" if script else POLICY
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(STYLE + style)),
    ]
    body = element("main", element("h1", title), *parts, class_=class_)
    if script:
        body = join([body, element("script", Html(script))])
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{join(head)}\n</head>\n{element("body", body)}\n</html>\n'
