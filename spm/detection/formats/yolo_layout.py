"""A folder of YOLO's layout in, which images it has in which split and the names of its classes out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SpmError, need
from .common import list_images, read_text

SPLITS = ("train", "val", "test")
_SPELLINGS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
_LISTS = ("classes.txt", "labels/classes.txt", "classes.names", "obj.names", "predefined_classes.txt")
_LAYOUT = (
    "wanted is YOLO's layout: data.yaml, or classes.txt with a name a line; images/train/1.jpg, labels/train/1.txt"
)


@dataclass(frozen=True)
class Layout:
    """What a folder holds.

    Attributes
    ----------
    folder : Path
    names : list of str
        The classes in the order of their numbers.
    splits : dict of str to list of str
        The paths of each split's images, in order.
    has_keypoints : bool
        Whether lines go on with key points behind the box.
    """

    folder: Path
    names: list[str]
    splits: dict[str, list[str]]
    has_keypoints: bool = False


def find_layout(root: Path) -> Layout:
    """Look over a folder, or the one that a data.yaml is in.

    Raises
    ------
    SpmError
        When it is missing, has neither data.yaml nor names of classes, or no images.
    """
    if root.is_file() and root.suffix.lower() in (".yaml", ".yml"):
        return _by_yaml(root)
    if not root.is_dir():
        raise SpmError(f"{root}: there is no such folder; {_LAYOUT}")
    files = sorted([*root.glob("*.yaml"), *root.glob("*.yml")])
    chosen = [path for path in files if path.stem in ("data", "dataset")] or files
    if len(chosen) == 1:
        return _by_yaml(chosen[0])
    if len(chosen) > 1:
        raise SpmError(f"{root} has {', '.join(path.name for path in chosen)}: give one of them in place of the folder")
    return _by_folders(root)


def is_yolo(root: Path) -> bool:
    """Whether a folder says that it is of this layout: it has settings, or a list of names."""
    return any([*root.glob("*.yaml"), *root.glob("*.yml")]) or any((root / name).is_file() for name in _LISTS)


def label_file(image: str) -> str:
    """Return where the label of an image lies: in ``labels`` for ``images``, the last of that name, or else beside it.

    Examples
    --------
    >>> label_file("images/train/1.jpg") == os.path.join("labels", "train", "1.txt")
    True
    """
    beside = Path(image).with_suffix(".txt")
    parts = list(beside.parts)
    for k in range(len(parts) - 2, -1, -1):
        if parts[k] == "images":
            usual = os.path.join(*parts[:k], "labels", *parts[k + 1 :])
            return os.fspath(beside) if beside.is_file() and not os.path.isfile(usual) else usual
    return os.fspath(beside)


def read_yaml(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a data.yaml and the names of its classes.

    Raises
    ------
    SpmError
        Naming the file and what is wrong.
    MissingDependencyError
        If PyYAML is missing.
    """
    yaml = need("YOLO's settings", "pyyaml", "yaml")
    try:
        settings = yaml.safe_load(read_text(path, "the file"))
    except (yaml.YAMLError, RecursionError) as error:
        raise SpmError(f"{path} is no YAML: {error}") from error
    if not isinstance(settings, dict):
        raise SpmError(f"{path}: wanted are settings such as train: images/train, this is a {type(settings).__name__}")
    return settings, _names(settings, path)


def _names(settings: dict[str, Any], path: Path) -> list[str]:
    names = settings.get("names")
    if isinstance(names, dict):
        codes = sorted(names, key=str) if not all(isinstance(code, int) for code in names) else sorted(names)
        if codes != list(range(len(codes))):
            raise SpmError(f"{path}: names must count from 0 without gaps, got {codes}")
        names = [names[code] for code in codes]
    if names is None and isinstance(settings.get("nc"), int):
        names = list(range(settings["nc"]))
    if not isinstance(names, list) or not names:
        raise SpmError(f"{path} has no names of classes: wanted is a line such as names: [cat, dog]")
    return _all_different([str(name) for name in names], path)


def _all_different(names: list[str], path: Path) -> list[str]:
    if len(set(names)) < len(names):
        raise SpmError(f"{path}: two classes are called {next(name for name in names if names.count(name) > 1)!r}")
    return names


def _by_yaml(path: Path) -> Layout:
    settings, names = read_yaml(path)
    base = path.parent / str(settings.get("path") or "")
    bases = [base, path.parent] if base.is_dir() else [path.parent]  # it may speak of its author's machine
    splits = {}
    for split in SPLITS:
        value = next((settings[key] for key in _SPELLINGS[split] if settings.get(key)), None)
        values = value if isinstance(value, list) else [value] if value is not None else []
        images = [image for value in values for image in _images(str(value), bases, path, split)]
        if values:
            splits[split] = images
    if not any(splits.values()):
        raise SpmError(f"{path}: there are no images in {', '.join(splits) or 'it: it names no split'}; {_LAYOUT}")
    return Layout(path.parent, names, splits, "kpt_shape" in settings)


def _images(value: str, bases: list[Path], path: Path, split: str) -> list[str]:
    """Return the images of one folder or list that a data.yaml names."""
    spellings = [value, value[3:]] if value.startswith("../") else [value]  # exporters count from a folder within
    for base in bases:
        for spelling in spellings:
            place = base / spelling
            if place.is_dir():
                return list_images(place)
            if place.is_file():
                return _listed(place)
    raise SpmError(f"{path}: {split} is {value}, and there is no such folder or list in {bases[0]}")


def _listed(path: Path) -> list[str]:
    """Return the images that a list names, a line each, from its own folder."""
    lines = [line.strip() for line in read_text(path, "the list").splitlines()]
    images = [os.path.normpath(path.parent / line) for line in lines if line]
    missing = next((image for image in images if not os.path.isfile(image)), None)
    if missing:
        raise SpmError(f"{path}: there is no image {missing}")
    return images


def _by_folders(root: Path) -> Layout:
    """Look for a list of names and for folders named after splits."""
    lists = [root / name for name in _LISTS if (root / name).is_file()]
    if not lists:
        raise SpmError(f"{root}: there is neither data.yaml nor classes.txt; {_LAYOUT}")
    lines = [line.strip() for line in read_text(lists[0], "the list of names").splitlines()]
    names = _all_different([line for line in lines if line], lists[0])
    splits = {}
    for split in SPLITS:
        places = [root / form.format(name) for name in _SPELLINGS[split] for form in ("images/{}", "{}/images", "{}")]
        place = next((place for place in places if place.is_dir()), None)
        if place is not None:
            splits[split] = list_images(place)
    if not splits:
        splits["train"] = list_images(root / "images" if (root / "images").is_dir() else root)
    if not any(splits.values()):
        raise SpmError(f"{root}: there are no images in it; {_LAYOUT}")
    return Layout(root, names, splits)
