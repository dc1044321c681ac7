"""A folder in, the images below it class by class out, and all that was left out, with the reason."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from .._tools.image_files import image_suffixes
from .._tools.text import printable

log = logging.getLogger(__name__)

HIDDEN_FILE = "hidden file, or the system's own"
HIDDEN_FOLDER = "hidden folder, or the system's own"
OTHER = "no image by its extension"
BESIDE = "in no class folder"
BACK = "link back to a folder that it lies in"
TWICE = "second way to a folder that is listed"
UNREADABLE = "folder that cannot be read"
EMPTY = "class folder without images"

SYSTEM = {  # what systems, above all those of network storage, lay among the files of their users
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "zbthumbnail.info", "picasa.ini"),
    *(
        "@eadir",
        "@tmp",
        "@recycle",
        "@recently-snapshot",
        "@sharesnap",
        "@snapshot",
        "@sharebin",
        "@syno",
        "@quarantine",
    ),
    *("@__thumb", "@transcode", "@recyclebin", "#recycle", "#snapshot", "#synorecycle", "$recycle.bin", "recycler"),
    *("system volume information", "lost+found", "found.000", "network trash folder", "temporary items"),
    *("thevolumesettingsfolder", "__pycache__"),
}
_SHOWN = 3  # names of each kind in a message


@dataclass
class Listing:
    """What a folder holds.

    Attributes
    ----------
    by_class : dict of str to list of str
        Class names in order, each with its images' paths in order; empty for a class folder without images.
    skipped : list of (str, str)
        The path of everything that was left out, and why; of a folder its own path alone.
    """

    by_class: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def is_hidden(name: str) -> bool:
    """Whether a file or folder belongs to the system rather than to the data, such as ``.DS_Store`` or ``@eaDir``.

    Examples
    --------
    >>> is_hidden(".DS_Store"), is_hidden("__MACOSX"), is_hidden("@eaDir"), is_hidden("cat")
    (True, True, True, False)
    """
    return name.startswith(".") or name.casefold() in SYSTEM


def is_image(name: str) -> bool:
    """Whether a file's name has the extension of an image that can be read, in any case."""
    return _has_suffix(name, image_suffixes()) and not is_hidden(name)


def _has_suffix(name: str, suffixes: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes


def list_images(folder: str | os.PathLike[str]) -> Listing:
    """List the images of every class folder, also behind links.

    Parameters
    ----------
    folder : path
        The folder that holds the class folders.

    Raises
    ------
    OSError
        If the folder itself cannot be read.
    """
    found, suffixes = Listing(), image_suffixes()
    root = os.path.realpath(folder)
    for entry in _entries(os.fspath(folder)):
        is_folder = _is_folder(entry)
        if is_hidden(entry.name):
            found.skipped.append((entry.path, HIDDEN_FOLDER if is_folder else HIDDEN_FILE))
        elif not is_folder:
            found.skipped.append((entry.path, BESIDE if _has_suffix(entry.name, suffixes) else OTHER))
        elif _holds(os.path.realpath(entry.path), root):
            found.skipped.append((entry.path, BACK))
        else:
            found.by_class[entry.name] = sorted(_images_below(entry.path, root, suffixes, found.skipped))
    return found


def walk_images(folder: str | os.PathLike[str]) -> list[str]:
    """List all images below a folder, in whatever folders they are: path by path in order, also behind links.

    What is left out is as for `list_images`, but for images that lie in no class folder.

    Raises
    ------
    OSError
        If the folder itself cannot be read.
    """
    top = os.fspath(folder)
    os.scandir(top).close()
    return sorted(_images_below(top, os.path.realpath(top), image_suffixes(), []))


def _images_below(folder: str, root: str, suffixes: frozenset[str], skipped: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the images of a class; each folder is entered once, by its own path rather than by a link."""
    folders, links, seen = deque([folder]), deque[str](), set[str]()
    while folders or links:
        path = (folders or links).popleft()
        real = os.path.realpath(path)
        if real in seen:
            skipped.append((path, TWICE))
            continue
        seen.add(real)
        try:
            entries = _entries(path)
        except OSError as error:
            skipped.append((path, f"{UNREADABLE} ({error.strerror})"))
            continue
        for entry in entries:
            is_folder = _is_folder(entry)
            if is_hidden(entry.name):
                skipped.append((entry.path, HIDDEN_FOLDER if is_folder else HIDDEN_FILE))
            elif not is_folder and _has_suffix(entry.name, suffixes):
                yield entry.path
            elif not is_folder:
                skipped.append((entry.path, OTHER))
            elif os.path.realpath(entry.path) == os.path.join(real, entry.name):
                folders.append(entry.path)
            elif any(_holds(os.path.realpath(entry.path), inner) for inner in (real, root)):
                skipped.append((entry.path, BACK))
            else:
                links.append(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that is closed
        return False


def _holds(folder: str, inner: str) -> bool:
    """Whether a folder is another or has it below it, both without links."""
    return inner == folder or inner.startswith(os.path.join(folder, ""))


def tell_skipped(folder: str | os.PathLike[str], skipped: list[tuple[str, str]]) -> None:
    """Log once what was left out of a folder; as mere information where only hidden files were."""
    if skipped:
        level = logging.WARNING if any(reason != HIDDEN_FILE for _, reason in skipped) else logging.INFO
        log.log(level, "%s: left out %d: %s", printable(folder), len(skipped), summary_of(folder, skipped))


def summary_of(folder: str | os.PathLike[str], skipped: list[tuple[str, str]]) -> str:
    """Count what was left out by its reason, and name some of each.

    Examples
    --------
    >>> summary_of("photos", [("photos/a/x.txt", OTHER), ("photos/a/y.txt", OTHER), ("photos/.git", HIDDEN_FOLDER)])
    "2 no image by its extension (a/x.txt, a/y.txt); 1 hidden folder, or the system's own (.git)"
    """
    by_reason: dict[str, list[str]] = {}
    for path, reason in skipped:
        by_reason.setdefault(reason, []).append(printable(os.path.relpath(path, folder)))
    return "; ".join(
        f"{len(names)} {reason} ({', '.join([*names[:_SHOWN], *['...'] * (len(names) > _SHOWN)])})"
        for reason, names in by_reason.items()
    )
