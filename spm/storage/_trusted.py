"""The types that a model file may hold: each by its name, beside those that skops trusts."""

from __future__ import annotations

from .. import _HOMES

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
