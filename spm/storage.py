"""Saving and loading: a fitted model in, one file out and back; the file holds arrays and plain values, never code."""

from __future__ import annotations

import copy
import os
from inspect import signature
from pathlib import Path
from typing import Any

from . import _HOMES
from ._tools.files import write_whole
from ._tools.opencv import cv2
from ._tools.public import public
from ._tools.trees import check_trees, drop_search_trees, grow_search_trees, parts_of
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
}
TRUSTED = (
    *(f"spm.{name}" for name in _HOMES if name[0].isupper() and not name.endswith("Error")),
    "spm.encoders.Layer",
    "spm.networks.Network",
    *(f"sklearn.{module}.{name}" for module, names in _SCIKIT_LEARN.items() for name in names.split()),
)
"""The types that a model file may hold beside those that skops trusts (numpy's, scipy's and scikit-learn's own)."""

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
        data = skops.io.dumps({"format": FORMAT, "spm": __version__, "opencv": cv2.__version__, "model": portable})
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
    return stored["model"]


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
