"""Saving and loading: a fitted model in, one file out and back; the file holds arrays and plain values, never code."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from inspect import signature
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from . import _HOMES
from ._tools.files import write_whole
from ._tools.libraries import made_with
from ._tools.opencv import cv2
from ._tools.public import public
from .errors import SpmError

FORMAT = 2
_SCIKIT_LEARN = {  # what its estimators are made of and skops does not know: arrays, plain values, pure functions
    "calibration": "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    "ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "gaussian_process.kernels": "ConstantKernel DotProduct Exponentiation Matern Product RationalQuadratic RBF Sum "
    "WhiteKernel",
    "metrics._classification": "accuracy_score balanced_accuracy_score brier_score_loss cohen_kappa_score f1_score "
    "fbeta_score hamming_loss jaccard_score log_loss matthews_corrcoef precision_score recall_score zero_one_loss",
    "metrics._ranking": "average_precision_score roc_auc_score top_k_accuracy_score",
    "metrics._scorer": "_MultimetricScorer _PassthroughScorer _Scorer",
    "model_selection._split": "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut PredefinedSplit "
    "RepeatedKFold RepeatedStratifiedKFold ShuffleSplit StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit",
    "neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "tree._tree": "Tree",
    "utils._bunch": "Bunch",
    "utils._metadata_requests": "MetadataRequest MethodMetadataRequest",  # of splitters, before scikit-learn 1.7
}
_DETECTION = (
    "BoxRegressor CropDetector EdgeBoxes FineTunedHead GivenBoxes RegionDetector RegionUnion SelectiveSearch "
    "SlidingWindows"
)
TRUSTED = (
    *(f"spm.{name}" for name in _HOMES if name[0].isupper() and not name.endswith("Error")),
    *(f"spm.detection.{name}" for name in _DETECTION.split()),
    "spm.encoders.Layer",
    "spm.networks.Network",
    "spm.nn.RegionHead",
    "spm.nn.SPPNetClassifier",
    *(f"sklearn.{module}.{name}" for module, names in _SCIKIT_LEARN.items() for name in names.split()),
)
"""The types that a model file may hold beside those that skops trusts (numpy's, scipy's and scikit-learn's own)."""

SEARCHED = {"kd_tree": "KDTree", "ball_tree": "BallTree"}
OF_ONE_INPUT = ("sklearn.ensemble._forest", "sklearn.ensemble._gb")  # their trees take the input unchecked
_OF_THIS_MACHINE = {"memory": None, "n_jobs": None, "verbose": False}


@public()
def save(model: Any, path: str | os.PathLike[str]) -> Path:
    """Save a fitted model.

    The file is written by skops: arrays and plain values, no pickle. What belongs to this machine, `memory`, `n_jobs`
    and `verbose`, is left out; networks are taken in from their files. An old file of that name stays until the new one
    is complete.

    Parameters
    ----------
    model : estimator
        Such as a preset, a PyramidVectorizer, or a Pipeline of spm's and scikit-learn's estimators.
    path : path

    Returns
    -------
    pathlib.Path

    Raises
    ------
    SpmError
        If the model holds something that `load` would refuse, such as a function of your own, or if the file cannot
        be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import spm
    >>> path = os.path.join(tempfile.mkdtemp(), "scene.spm")
    >>> _ = spm.save(spm.presets.lazebnik2006(n_words=50), path)
    >>> spm.load(path).named_steps["vectorizer"].encoder
    BagOfWords(n_words=50)
    """
    import skops.io

    from . import __version__

    if isinstance(model, type) or not hasattr(model, "get_params"):
        raise SpmError(f"{model!r} is no estimator: give a model such as a preset")
    try:
        portable = copy.deepcopy(model)
        _make_portable(portable)
        origin = {"format": FORMAT, "spm": __version__, "opencv": cv2.__version__, "made_with": made_with()}
        origin["made"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        data = skops.io.dumps({**origin, "model": portable})
    except Exception as error:  # what cannot be copied or written fails in many ways
        raise SpmError(f"the model cannot be saved: a part of it cannot be written ({error})") from error
    unknown = _unknown_types(skops.io.get_untrusted_types(data=data))
    if unknown:
        raise SpmError(
            f"the model cannot be saved: it holds {', '.join(unknown)}, which load() would not trust: {_instead(model)}"
        )
    return write_whole(path, data, "the model")


@public()
def load(path: str | os.PathLike[str]) -> Any:
    """Load a model that `save` wrote.

    Nothing in the file is executed: a file that holds a type outside a fixed list is refused.

    Parameters
    ----------
    path : path

    Returns
    -------
    estimator

    Raises
    ------
    SpmError
        If the file is missing, is no model of spm's, holds a type that is not trusted, or is of a newer format.
    """
    return read_model(path)["model"]


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `save` wrote, as `load` does: the ``model``, and beside it what it was made with, and when."""
    import skops.io

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SpmError(f"{path}: the model cannot be read ({error.strerror})") from error
    try:
        unknown = _unknown_types(skops.io.get_untrusted_types(data=data))
        stored = None if unknown else skops.io.loads(data, trusted=list(TRUSTED))
    except Exception as error:  # a damaged archive fails in many ways
        raise SpmError(f"{path}: this is no model saved by spm, or it is damaged: save it again") from error
    if any(name.startswith("spm.") and name.rpartition(".")[2] in _HOMES for name in unknown):  # by a file's place
        raise SpmError(
            f"{path}: this model was saved by a version of spm from before its release: train and save it anew"
        )
    if unknown:
        raise SpmError(f"{path}: the file holds {', '.join(unknown)}, which spm does not trust: it is not loaded")
    if not isinstance(stored, dict) or not isinstance(stored.get("format"), int):
        raise SpmError(f"{path}: this is no model saved by spm.save")
    if stored["format"] > FORMAT:
        raise SpmError(f"{path}: the model was saved by spm {stored['spm']}: upgrade spm to load it")
    try:
        for part in list(parts_of(stored["model"])):
            _give_defaults(part)
            check_trees(part)
            grow_search_trees(part)
    except Exception as error:  # a crafted file fails in many ways
        raise SpmError(f"{path}: the model is damaged ({error}): it is not loaded") from error
    return stored


def _unknown_types(types: list[str]) -> list[str]:
    return sorted(set(types) - set(TRUSTED))


def _instead(model: Any) -> str:
    """Return what may be saved in place of a model that may not."""
    if hasattr(model, "best_estimator_"):
        return "save the model that the search has found, save(search.best_estimator_, path)"
    return "put a part of spm's or scikit-learn's, or the name of a kernel or metric, in its place"


def _give_defaults(part: Any) -> None:
    """Give an estimator of spm's, saved by an earlier version, its default for each option that came later."""
    if hasattr(part, "get_params") and type(part).__module__.partition(".")[0] == "spm":
        for name, parameter in signature(type(part)).parameters.items():
            if not hasattr(part, name):
                setattr(part, name, parameter.default)


def _make_portable(model: Any) -> None:
    """Reset what belongs to this machine in an estimator and all its parts, and take networks in from their files."""
    for part in parts_of(model):
        for name in set(vars(part) if hasattr(part, "get_params") else ()) & set(_OF_THIS_MACHINE):
            setattr(part, name, _OF_THIS_MACHINE[name])
        if hasattr(part, "embed_network"):
            part.embed_network()
        drop_search_trees(part)


def parts_of(thing: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Yield a model and every object inside it once, each before its own parts.

    Examples
    --------
    >>> import spm
    >>> [type(part).__name__ for part in parts_of(spm.PyramidVectorizer(encoder=spm.BagOfWords()))]
    ['PyramidVectorizer', 'BagOfWords']
    """
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type | FunctionType | ModuleType):
        return
    items: Any = ()
    if isinstance(thing, list | tuple | set):
        items = thing
    elif isinstance(thing, dict):
        items = thing.values()
    elif isinstance(thing, np.ndarray):
        items = thing.ravel() if thing.dtype == object else ()
    elif hasattr(thing, "__dict__") or type(thing).__name__ == "Tree":
        seen.add(id(thing))
        yield thing
        items = vars(thing).values() if hasattr(thing, "__dict__") else ()
    for item in list(items):
        yield from parts_of(item, seen)


def drop_search_trees(part: Any) -> None:
    """Take the tree out of a model of nearest neighbours; `grow_search_trees` makes the same from the same points."""
    if getattr(part, "_fit_method", None) in SEARCHED and getattr(part, "_fit_X", None) is not None:
        part._tree = None


def grow_search_trees(part: Any) -> None:
    """Make a model's tree of nearest neighbours anew."""
    kind = getattr(part, "_fit_method", None)
    if kind in SEARCHED and getattr(part, "_tree", True) is None:
        from sklearn import neighbors

        options = {"leaf_size": part.leaf_size, "metric": part.effective_metric_, **part.effective_metric_params_}
        part._tree = getattr(neighbors, SEARCHED[kind])(part._fit_X, **options)


def check_trees(part: Any) -> None:
    """Refuse decision trees whose numbers lead outside: scikit-learn's compiled code follows them unchecked.

    Raises
    ------
    SpmError
    """
    name = type(part).__name__
    if name == "Tree" and type(part).__module__ == "sklearn.tree._tree":
        _check(1 <= part.node_count <= part.capacity)
        inner = part.children_left != -1
        _check_nodes(inner, part.children_left, part.children_right, part.feature, part.n_features)
    elif name == "TreePredictor":
        nodes = part.nodes
        _check(nodes.ndim == 1 and len(nodes) > 0 and not nodes["is_categorical"].any())
        _check_nodes(nodes["is_leaf"] == 0, *(nodes[key] for key in ("left", "right", "feature_idx")))
    if hasattr(part, "tree_"):
        _check(part.tree_.n_features == part.n_features_in_)
    if type(part).__module__ in OF_ONE_INPUT and hasattr(part, "estimators_"):
        _check(all(tree.n_features_in_ == part.n_features_in_ for tree in np.ravel(part.estimators_)))
        _check(np.shape(part.estimators_)[1:] in ((), (getattr(part, "n_trees_per_iteration_", None),)))
    for predictor in np.ravel(getattr(part, "_predictors", [])):
        features = predictor.nodes["feature_idx"]
        _check(bool((features < part.n_features_in_).all()))


def _check_nodes(inner: Any, left: Any, right: Any, feature: Any, n_features: int | None = None) -> None:
    """Refuse children that do not come later, which also rules circles out, and features that are not there."""
    at = np.flatnonzero(inner)
    for child in (left[at].astype(np.int64), right[at].astype(np.int64)):
        _check(bool(((child > at) & (child < len(inner))).all()))
    used = feature[at].astype(np.int64)
    _check(bool((used >= 0).all()) and (n_features is None or bool((used < n_features).all())))


def _check(right: bool) -> None:
    if not right:
        raise SpmError("a decision tree in it leads outside its own arrays")
