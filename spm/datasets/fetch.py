"""The name of a public data set in, its images' paths and labels out, downloaded at first use."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._tools.download import get_data_home
from .._tools.files import read_shipped
from .._tools.public import public
from ..errors import check_choice
from .archives import find_class_root, install
from .folder import bunch_of
from .listing import Listing, list_images
from .voc import load_voc

if TYPE_CHECKING:
    from sklearn.utils import Bunch

DataHome = str | os.PathLike[str] | None


def read_registry() -> dict[str, Any]:
    """Read what is known of each data set: titles, addresses, hashes and where the hashes are documented.

    Examples
    --------
    >>> sorted(read_registry())
    ['caltech101', 'scene15', 'voc2007']
    """
    return dict(json.loads(read_shipped("registry.json")))


@public("spm.datasets")
def fetch_scene15(*, data_home: DataHome = None, download: bool = True) -> Bunch:
    """List the 4,485 photographs of 15-Scene (Lazebnik, Schmid and Ponce 2006), downloading them at first use.

    Parameters
    ----------
    data_home : path, default=None
        Where data sets lie; None stands for the environment variable SPM_DATA or else the user's cache folder. Class
        folders that are anywhere under ``data_home/scene15`` are used as they are, without a network.
    download : bool, default=True
        False raises instead of downloading.

    Returns
    -------
    Bunch
        As from `load_folder`. Classes are named Bedroom, Coast, Forest, Highway, Industrial, InsideCity, Kitchen,
        LivingRoom, Mountain, Office, OpenCountry, Store, Street, Suburb and TallBuilding, also where the folders are
        called otherwise (MITcoast, or 05 in the numbered copy).

    Raises
    ------
    SpmError
        When the set is not there and cannot be downloaded; the message says how to bring it by hand.
    """
    scenes = read_registry()["scene15"]["classes_by_number"]
    names = {_plain(name): name for name in scenes} | {f"{number:02d}": name for number, name in enumerate(scenes)}
    return _fetch_classes("scene15", data_home, download, names)


@public("spm.datasets")
def fetch_caltech101(*, background: bool = False, data_home: DataHome = None, download: bool = True) -> Bunch:
    """List the 8,677 photographs of Caltech-101 (Fei-Fei, Fergus and Perona 2004), downloading them at first use.

    Parameters
    ----------
    background : bool, default=False
        Add the 102nd class, BACKGROUND_Google.
    data_home : path, default=None
        Where data sets lie; None stands for the environment variable SPM_DATA or else the user's cache folder. Class
        folders that are anywhere under ``data_home/caltech101`` are used as they are, without a network.
    download : bool, default=True
        False raises instead of downloading.

    Returns
    -------
    Bunch
        As from `load_folder`.

    Raises
    ------
    SpmError
        When the set is not there and cannot be downloaded; the message says how to bring it by hand.
    """
    return _fetch_classes("caltech101", data_home, download, {}, () if background else ("BACKGROUND_Google",))


@public("spm.datasets")
def fetch_voc2007(split: str = "trainval", *, data_home: DataHome = None, download: bool = True) -> Bunch:
    """List photographs of PASCAL VOC 2007 with labels and boxes (Everingham et al. 2010), downloading at first use.

    Parameters
    ----------
    split : {"train", "val", "trainval", "test"}, default="trainval"
        Officially 2,501, 2,510, 5,011 and 4,952 images.
    data_home : path, default=None
        Where data sets lie; None stands for the environment variable SPM_DATA or else the user's cache folder. A
        devkit at ``data_home/voc2007/VOC2007`` or ``data_home/VOCdevkit/VOC2007`` that has the split is used as it is,
        without a network.
    download : bool, default=True
        False raises instead of downloading.

    Returns
    -------
    Bunch
        ``data``: list of n paths; ``ids``: list of n names; ``target``: ndarray of shape (n, 20), int, 1 where the
        image shows an object of the class that is not marked difficult; ``ignored``: ndarray of shape (n, 20), bool,
        where all it shows of the class is difficult, which the benchmark leaves out; ``target_names``: list of 20;
        and for each image, in lists: ``boxes``: ndarray of shape (k, 4), float64, half-open x0, y0, x1, y1 in pixels;
        ``labels``: ndarray of shape (k,), int; ``difficult``: ndarray of shape (k,), bool; ``DESCR``.

    Raises
    ------
    SpmError
        For another split, and when the set is not there and cannot be downloaded; the message says how to bring it
        by hand.
    """
    check_choice("split", split, ("train", "val", "trainval", "test"))
    home = get_data_home(data_home)
    root = _find_voc(home, split)
    if root is None:
        archives = read_registry()["voc2007"]["archives"]
        archive = next(archive for archive in archives if split in archive["splits"])
        root = home / "voc2007" / "VOC2007"
        install(archive, home, download, root, f"the split {split!r} of PASCAL VOC 2007")
    return load_voc(root, split)


def _find_voc(home: Path, split: str) -> Path | None:
    places = ("voc2007/VOC2007", "voc2007/VOCdevkit/VOC2007", "VOCdevkit/VOC2007")
    return next((home / place for place in places if (home / place / f"ImageSets/Main/{split}.txt").is_file()), None)


def _fetch_classes(
    key: str, data_home: DataHome, download: bool, names: dict[str, str], left_out: tuple[str, ...] = ()
) -> Bunch:
    entry, home = read_registry()[key], get_data_home(data_home)
    root = find_class_root(home / key)
    if root is None:
        install(entry["archives"][0], home, download, home / key, entry["title"], entry.get("elsewhere", ""))
        root = find_class_root(home / key) or home / key
    found = list_images(root)
    by_class = {name: paths for name, paths in found.by_class.items() if paths and name not in left_out}
    renamed = {name: names.get(_plain(name), name) for name in by_class}
    if len(set(renamed.values())) == len(renamed):
        by_class = {renamed[name]: by_class[name] for name in sorted(by_class, key=renamed.__getitem__)}
    return bunch_of(root, Listing(by_class, found.skipped), f"{entry['title']}. {entry['reference']}.")


def _plain(name: str) -> str:
    """Reduce a folder's name to what its spellings have in common: MITtallbuilding, tall_building, TallBuilding."""
    return re.sub("^(mit|cal|par)|[^a-z0-9]", "", name.lower())
