"""The name of a network in, its ONNX file out, downloaded at first use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .._tools.download import by_hand, get_data_home, has_archive, retrieve
from .._tools.files import read_shipped
from .._tools.public import public
from ..errors import SpmError, check_choice


@public("spm.networks")
def read_networks() -> dict[str, Any]:
    """Read what is known of the networks that can be fetched: address, hash, licence, preprocessing and sources.

    Examples
    --------
    >>> sorted(read_networks())
    ['mobilenetv2', 'resnet18', 'resnet50', 'squeezenet1.1', 'vgg16']
    """
    return dict(json.loads(read_shipped("networks.json")))


@public()
def fetch_network(name: str, *, data_home: str | os.PathLike[str] | None = None, download: bool = True) -> Path:
    """Fetch a well-known network trained on ImageNet, downloading it at first use and checking its hash.

    Parameters
    ----------
    name : {"mobilenetv2", "resnet18", "resnet50", "squeezenet1.1", "vgg16"}
        All are of the ONNX Model Zoo, under the Apache license 2.0, take images of 224 x 224 and want
        ``preprocess="imagenet"``. ``cut(path, free=True)`` lets images of any size through.
    data_home : path, default=None
        Networks lie in its folder ``networks``; None stands for the environment variable SPM_DATA or else the user's
        cache folder.
    download : bool, default=True
        False raises instead of downloading.

    Returns
    -------
    pathlib.Path
        The ONNX file, for `FeatureMap`.

    Raises
    ------
    SpmError
        For another name, and when the file is not there and cannot be downloaded; the message says how to bring it
        by hand.
    """
    networks = read_networks()
    network = networks[check_choice("name", name, sorted(networks))]
    home = get_data_home(data_home) / "networks"
    if has_archive(network, home):
        return home / network["name"]
    if not download:
        raise SpmError(f"the network {name!r} is not in {home}. {by_hand(network, home)}")
    return retrieve(network, home)
