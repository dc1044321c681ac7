"""An archive of the registry in, its images under the data folder out, whole or not at all."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from .._tools.download import by_hand, has_archive, retrieve
from .._tools.files import own_folder
from ..errors import SpmError
from .listing import is_hidden, is_image


def install(archive: dict[str, Any], home: Path, download: bool, target: Path, what: str, hint: str = "") -> None:
    """Put an archive's images at `target`, downloading it if need be; a break on the way leaves nothing half done.

    Parameters
    ----------
    archive : dict
        An archive of the registry: ``name``, ``urls``, ``hash``, and ``inner``, the archives inside it to unpack.
    home : Path
        Where archives lie.
    download : bool
        False raises when the archive is not in `home`.
    target : Path
        The folder to make; a devkit that is there already is added to.
    what, hint : str
        The data set and a further way to it, for messages.

    Raises
    ------
    SpmError
        When the archive cannot be had, read or unpacked, and when `home` cannot be written to.
    """
    other = f" Or: {hint}; lay its folders under {target}." if hint else ""
    if not download and not has_archive(archive, home):
        raise SpmError(f"{what} is not under {home}, and download=False. {by_hand(archive, home)}{other}")
    try:
        home.mkdir(parents=True, exist_ok=True)
        try:
            path = retrieve(archive, home)
        except SpmError as error:
            raise SpmError(f"{what} is not under {home}. {error}{other}") from error
        with own_folder(home, "unpacking") as scratch:
            content = scratch / "content"  # a folder of ordinary access rights, to be moved
            content.mkdir()
            unpack(path, content)
            for inner in [found for name in archive["inner"] for found in content.rglob(name)]:
                unpack(inner, inner.parent)
            source = content / "VOCdevkit" / "VOC2007" if "splits" in archive else find_class_root(content)
            if source is None or not source.is_dir():
                raise SpmError(f"{path} does not hold the expected folders of {what}")
            _merge(source, target)
    except OSError as error:
        raise SpmError(f"cannot write to {home} ({error}): set SPM_DATA or pass data_home") from error


def _merge(source: Path, target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
        return
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    for file in files:
        there = target / file
        if there.exists() and there.stat().st_size != (source / file).stat().st_size:
            raise SpmError(f"{there} is in the way: it differs from the file to be put there; choose another data_home")
    for file in sorted(files, key=lambda file: "ImageSets" in file.parts):  # lists of images last: they say it is there
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        os.replace(source / file, target / file)


def find_class_root(folder: Path, depth: int = 3) -> Path | None:
    """Find the folder that holds the class folders: the uppermost with two or more sub-folders of images."""
    level = [folder] if folder.is_dir() else []
    for _ in range(depth):
        below = [(parent, _folders_in(parent)) for parent in level]
        for parent, children in below:
            if sum(any(is_image(entry.name) for entry in os.scandir(child)) for child in children) > 1:
                return parent
        level = [child for _, children in below for child in children]
    return None


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar file (also gzipped) into `folder`.

    Raises
    ------
    SpmError
        When the file is no such archive or is damaged, and when one of its members would land outside `folder`.
    """
    try:
        if archive.name.lower().endswith(".zip"):
            _unzip(archive, folder)
        else:
            _untar(archive, folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise SpmError(f"{archive} cannot be unpacked: {error}") from error


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        _check_inside(archive, file.namelist())
        file.extractall(folder)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as file:
        if hasattr(tarfile, "data_filter"):
            file.extractall(folder, filter="data")
            return
        members = file.getmembers()  # Python 3.10 and 3.11 before the filters came
        odd = [member.name for member in members if not (member.isfile() or member.isdir())]
        if odd:
            raise SpmError(f"{archive} cannot be unpacked: {odd[0]!r} is neither a file nor a folder")
        _check_inside(archive, (member.name for member in members))
        file.extractall(folder)


def _check_inside(archive: Path, names: Iterable[str]) -> None:
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise SpmError(f"{archive} cannot be unpacked: {name!r} would land outside the folder")
