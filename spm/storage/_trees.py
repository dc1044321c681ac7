"""Trees in models: those that search for neighbours, taken out and grown again; those that decide, looked over."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpmError

SEARCHED = {"kd_tree": "KDTree", "ball_tree": "BallTree"}
OF_ONE_INPUT = ("sklearn.ensemble._forest", "sklearn.ensemble._gb")  # their trees take the input unchecked


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
