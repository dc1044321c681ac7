"""``spm train``: a folder of photographs in, the file of a model that has learned from them out."""

from __future__ import annotations

import argparse
from typing import Any

from .._tools.text import printable
from ..errors import SpmError
from ._arguments import add_folder, add_model_options, add_seed, add_work_options
from ._steps import check_output, count, fit, make_model, read_folder

HELP = "learn a model from photographs with labels: one sub-folder a class, or a table"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_folder(command)
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="where to save the model, such as m.spm")
    add_model_options(command)
    add_seed(command)
    add_work_options(command)


def run(arguments: argparse.Namespace) -> None:
    """Fit the model to all images that can be used, and save it."""
    import numpy as np

    from .._tools.options import check_all_options
    from ..storage import save

    check_output(arguments.output)
    model = make_model(arguments)
    check_all_options(model)
    bunch, labels = read_folder(arguments)
    mine, apart = _to_train(bunch)
    labels = labels[mine]
    used, skipped = fit(model, [bunch.data[i] for i in mine], labels, arguments.folder, arguments, labels=True)
    save(model, arguments.output)
    n_classes = len(np.unique(labels[used]))
    print(f"{printable(arguments.output)}: {n_classes} classes from {len(used)} images{count(skipped)}{apart}")


def _to_train(bunch: Any) -> tuple[Any, str]:
    """Return the positions of the images to learn from, and what to say of those that a table has kept for testing."""
    import numpy as np

    if "train" not in bunch:
        return np.arange(len(bunch.data)), ""
    if not len(bunch.train):
        raise SpmError("no row of the table is for training: give the columns without a split, --columns FILE,LABEL")
    n_others = len(bunch.data) - len(bunch.train)
    return bunch.train, f", {n_others} left for testing" if n_others else ""
