"""Options of the estimator: what each may be in, one clear error for what is not, or does not go together, out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._tools.options import (
    Options,
    anything,
    check_options,
    choice,
    each,
    flag,
    memory,
    number,
    one_or_more,
    optional,
    progress,
    seed,
    share,
    whole,
    workers,
)
from ...errors import SpmError, check_choice
from ...features.feature_map import POLICIES as TEST_POLICIES
from ...features.frames import check_preprocess
from ...pyramid.pyramid import SpatialPyramid, check_pyramid
from .build import NORMS, POOLS, origin_of
from .fitting import sizes_of
from .loop import OPTIMIZERS, RATES
from .pixels import AUGMENTATIONS, POLICIES, SCHEDULES
from .ranks import PRECISIONS, device_of
from .views import FULL

VIEWS = (1, 10, "many")


def _validation(name: str, value: Any) -> Any:
    pair = isinstance(value, tuple | list) and len(value) == 2
    return value if value is None or pair else share(name, value)


def _test_size(name: str, value: Any) -> Any:
    return (
        value
        if isinstance(value, str) and value == FULL
        else one_or_more(optional(whole(1)), "(224, 288)")(name, value)
    )


def _augment(name: str, value: Any) -> Any:
    return (
        flag(name, value)
        if isinstance(value, bool | np.bool_)
        else each(choice(AUGMENTATIONS), "('mirror',)")(name, value)
    )


def _views(name: str, value: Any) -> Any:
    return (
        value
        if any(type(value) is type(view) and value == view for view in VIEWS)
        else check_choice(name, value, VIEWS)
    )


def _levels(name: str, value: Any) -> Any:
    check_pyramid(SpatialPyramid(levels=value))
    return value


OPTIONS: Options = {
    "trunk": lambda name, value: origin_of(value),
    "weights": anything,
    "levels": _levels,
    "pool": choice(POOLS),
    "norm": optional(choice(NORMS)),
    "dropout": share,
    "sizes": each(optional(whole(1)), "(224, 180)"),
    "schedule": choice(SCHEDULES),
    "step": whole(1),
    "policy": choice(POLICIES),
    "freeze": anything,
    "keep_maps": flag,
    "test_size": _test_size,
    "test_policy": choice(TEST_POLICIES),
    "views": _views,
    "epochs": whole(1),
    "batch_size": whole(1),
    "max_pixels": optional(whole(1)),
    "optimizer": choice(OPTIMIZERS),
    "lr": number(above=0),
    "trunk_lr": optional(number(least=0)),
    "momentum": share,
    "weight_decay": number(least=0),
    "rate": choice(RATES),
    "label_smoothing": share,
    "class_weight": anything,
    "average": optional(share),
    "keep_norms": optional(flag),
    "renorm": flag,
    "augment": _augment,
    "validation": _validation,
    "patience": optional(whole(1)),
    "checkpoint": anything,
    "preprocess": lambda name, value: check_preprocess(value),
    "precision": choice(PRECISIONS),
    "channels_last": flag,
    "device": lambda name, value: device_of(value),
    "memory": memory,
    "n_jobs": workers,
    "verbose": progress,
    "random_state": seed,
}


def check_together(options: Any) -> None:
    """Check the options of an estimator, each by itself and what goes together.

    Raises
    ------
    SpmError
    """
    check_options(options)
    if len(options.head):
        each(whole(1), "(4096, 4096)")("head", options.head)
    if None in options.sizes and options.schedule != "free":
        raise SpmError("a size of None, the image as it is, goes with schedule='free'")
    wanted = {"fixed": 1, "range": 2}.get(options.schedule)
    if wanted not in (None, len(options.sizes)):
        raise SpmError(f"schedule={options.schedule!r} takes {wanted} of sizes, got {options.sizes!r}")
    if options.schedule == "range" and not options.sizes[0] <= options.sizes[1]:
        raise SpmError(f"schedule='range' goes from the smaller to the larger, got sizes={options.sizes!r}")
    if None in sizes_of(options.test_size) and options.test_policy != "full":
        raise SpmError(
            f"test_size='full' goes with test_policy='full': give test_policy={options.test_policy!r} a size"
        )
    if options.patience is not None and (options.validation is None or options.validation == 0):
        raise SpmError("patience looks at images that are held out: give validation a share, such as 0.1")
    squares = sizes_of(options.test_size) == tuple(options.sizes) and options.test_policy != "full"
    if options.pool == "plain" and (not squares or options.schedule == "free" or len(options.sizes) > 1):
        raise SpmError(
            "pool='plain' has no pyramid: all images must come at one size: give sizes one, test_size the same, and "
            "test_policy='warp' or 'crop'"
        )
