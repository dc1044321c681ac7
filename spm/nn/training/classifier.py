"""SPP-net as an estimator: images and labels in, a network trained at one size or at several, and its labels, out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d
from torch import nn

from ..._tools.estimators import learns
from ..._tools.files import write_whole
from ..._tools.options import Options, check_options
from ..._tools.public import public
from ..._tools.settings import as_usual
from ...errors import SpmError, check_choice
from ...images import check_images, check_one_each, read_image
from ..export import to_onnx
from ..sppnet import SPPNet
from .build import as_file, build, from_arrays, origin_of, to_arrays
from .fitting import Fitting, input_of, mode_of, probabilities, sizes_of, testing, training
from .options import OPTIONS, check_together
from .pixels import Pictures
from .ranks import device_of, together
from .views import MANY_SIZES, Looks, look

BLOCK = 128  # images that are read before they are looked at
VIEWS = (1, 10, "many")
PARTS = ("trunk", "whole")


@public("spm.nn")
class SPPNetClassifier(ClassifierMixin, BaseEstimator):
    """A network with spatial pyramid pooling, trained on images of one size or of several (He 2014, section 2.3).

    Parameters
    ----------
    trunk : str, torch.nn.Module, path, bytes or spm.networks.Network, default="small"
        As `spm.nn.trunk` takes it, or what that returns. A module is copied.
    weights : path, optional
        A file that `load_weights` loads into the trunk.
    levels : sequence, default=(1, 2, 3, 6)
        The pyramid, as `SpatialPyramidPooling` takes it.
    pool : {"max", "mean", "sum", "plain"}, default="max"
        ``"plain"`` has no pyramid: the map is laid out as a vector, and all images have to come at one size.
    norm : {"l2"} or None, default="l2"
        Whether pooled vectors are brought to one length before the head, 20 as in the authors' programs: one learning
        rate then suits every trunk. None is the paper's network.
    head : sequence of int, default=()
        Widths of fully connected layers before the last; the paper has (4096, 4096).
    dropout : float, default=0.5
        Before each of `head`.
    sizes : sequence of int or None, default=(224,)
        Of images in training, in pixels: sides of squares, or with ``"free"`` shorter sides; None, with ``"free"``
        alone, is the image as it is.
    schedule : {"fixed", "alternate", "range", "free"}, default="alternate"
        ``"fixed"``: one size. ``"alternate"``: another of `sizes` every epoch, the weights shared; the smaller image is
        the same crop, resized (the paper's 224 and 180). ``"range"``: every epoch at a size drawn uniformly from the
        two of `sizes`, in steps of `step` (the paper's variant has 180 to 224 and a step of 1). ``"free"``: whole
        images at their own ratio, sides rounded to `step`, those of one shape in batches (`ShapeBuckets`); of several
        sizes another every epoch.
    step : int, default=32
    policy : {"crop", "warp"}, default="crop"
        How squares are made. ``"crop"``: the shorter side brought to 256 / 224 of the largest size, of that a crop by
        chance (the paper's); without this augmentation the largest central square. ``"warp"``: squeezed.
    freeze : str, optional
        The layer of the trunk below which nothing learns, by the name of a module; ``"head"`` trains the head alone.
        That layer itself learns, and all that needs it.
    keep_maps : bool, default=True
        Whether the maps below `freeze` are made once for every size, and once more mirrored, and kept: in memory, then
        in temporary files. Chance then cuts no crops. False makes them anew in every step.
    test_size : "full", int or sequence of these, default="full"
        At which size images are classified, as `FeatureMap` has it: ``"full"`` is the image as it is, a number its
        shorter side. What is found at several is averaged. (The paper's full images have a shorter side of 256.)
    test_policy : {"full", "crop", "warp"}, default="full"
        As `FeatureMap` has it.
    views : {1, 10, "many"}, default=1
        ``10``: crops of the largest of `sizes` at corners and centre, and mirrored. ``"many"``: windows of that size
        pooled from the maps of whole images, nine a size and mirrored, at `test_size`, or for "full" at the paper's six
        sizes: 96 views (section 3.1.3). Probabilities are averaged.
    epochs, batch_size : int, default=30, 32
        How often every image is seen, and how many a step sees; with several ranks the batch of each.
    max_pixels : int, optional
        In a batch, as `ShapeBuckets` takes it.
    optimizer : {"adamw", "sgd"}, default="adamw"
    lr : float, default=1e-3
        The learning rate, at its highest.
    trunk_lr : float, optional
        The trunk's own rate; by default `lr`.
    momentum, weight_decay : float, default=0.9, 0.01
        The paper's are 0.9 and 0.0005, with ``"sgd"``. Biases and norms do not decay.
    rate : {"cosine", "step", "constant"}, default="cosine"
        ``"step"`` is a tenth after each third.
    label_smoothing : float, default=0.0
    class_weight : dict, "balanced" or None
        What each class counts, as scikit-learn has it; divided by images, not by their weights.
    average : float, optional
        Decay of an exponential mean of the weights over steps, such as 0.998; it takes their place.
    keep_norms : bool, optional
        Whether the trunk's batch norms keep the means and variances that they came with, and learn their scales and
        shifts alone; by default where `freeze` is given. A few hundred photographs estimate them worse than what a
        trunk was trained on (docs/guide/training.md has figures).
    renorm : bool, default=False
        Whether batch norms that estimated means and variances in training estimate them anew, on whole training images
        at `test_size` ("FixRes").
    augment : bool or sequence of {"crop", "mirror"}, default=True
    validation : float, (images, labels) or None, default=0.1
        Share of the training images, of each class, held out, or others to look at: `history_` has loss and accuracy.
    patience : int, optional
        Epochs without a smaller loss on these after which training stops; the best weights are then taken.
    checkpoint : path, optional
        A file that is written whole after every epoch; training goes on from it where it is of the same run.
    preprocess : str or dict, default="imagenet"
        As `FeatureMap` takes it.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Of products in training; "auto" is bfloat16 on a GPU.
    channels_last : bool, default=True
        The layout of tensors. On two cores every network that spm builds learns 1.04 to 1.8 times as fast with channels
        last, and classifies 1.2 to 1.5 times as fast.
    device : str, default="auto"
        A GPU where there is one.
    memory : joblib.Memory or path, optional
        Where to keep each image's maps below `freeze` also between fits, so that several seeds, rates or splits share
        them: other layers, weights or sizes make their own. Of no use where maps are not kept.
    n_jobs : int or None
        Threads that read and cut images.
    verbose : bool, default=False
        Whether to show progress, loss and accuracy on standard error after two seconds.
    random_state : int, RandomState or None
        Seeds weights, order, augmentation, dropout and what is held out; torch's global generators are left alone.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    history_ : list of dict
        Of each epoch: epoch, size, lr, loss, accuracy, seconds, and validation_loss and validation_accuracy.
    module_ : SPPNet
        The network, on the CPU or where it was used last, in evaluation.
    state_ : dict of ndarray
        Its parameters: what is saved.

    Notes
    -----
    On one machine, with one number of torch's threads, the same seed gives the same weights, bit for bit, on the CPU; a
    run that was broken off and taken up again too. Under ``torchrun`` every process fits its share of every step, and
    all end with the same weights.

    Examples
    --------
    >>> import numpy as np
    >>> from spm.nn import SPPNetClassifier
    >>> images = [np.tile(np.uint8([0, 255]), (32, 16)), np.tile(np.uint8([[0], [255]]), (16, 32))] * 8
    >>> model = SPPNetClassifier(sizes=(32,), levels=(1, 2), epochs=3, batch_size=4, device="cpu", random_state=0)
    >>> model.fit(images, ["across", "down"] * 8).predict_proba(images[:3]).shape
    (3, 2)
    """

    _options: ClassVar[Options] = OPTIONS

    def __init__(
        self,
        *,
        trunk: Any = "small",
        weights: Any = None,
        levels: Sequence[int | tuple[int, int]] = (1, 2, 3, 6),
        pool: str = "max",
        norm: str | None = "l2",
        head: Sequence[int] = (),
        dropout: float = 0.5,
        sizes: Sequence[int | None] = (224,),
        schedule: str = "alternate",
        step: int = 32,
        policy: str = "crop",
        freeze: str | None = None,
        keep_maps: bool = True,
        test_size: Any = "full",
        test_policy: str = "full",
        views: Any = 1,
        epochs: int = 30,
        batch_size: int = 32,
        max_pixels: int | None = None,
        optimizer: str = "adamw",
        lr: float = 1e-3,
        trunk_lr: float | None = None,
        momentum: float = 0.9,
        weight_decay: float = 0.01,
        rate: str = "cosine",
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        average: float | None = None,
        keep_norms: bool | None = None,
        renorm: bool = False,
        augment: bool | Sequence[str] = True,
        validation: Any = 0.1,
        patience: int | None = None,
        checkpoint: Any = None,
        preprocess: str | Mapping[str, Any] = "imagenet",
        precision: str = "auto",
        channels_last: bool = True,
        device: str = "auto",
        memory: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.trunk, self.weights, self.levels, self.pool = trunk, weights, levels, pool
        self.norm, self.head, self.dropout, self.sizes = norm, head, dropout, sizes
        self.schedule, self.step, self.policy, self.freeze = schedule, step, policy, freeze
        self.keep_maps, self.test_size, self.test_policy = keep_maps, test_size, test_policy
        self.views, self.epochs, self.batch_size, self.max_pixels = views, epochs, batch_size, max_pixels
        self.optimizer, self.lr, self.trunk_lr, self.momentum = optimizer, lr, trunk_lr, momentum
        self.weight_decay, self.rate, self.label_smoothing = weight_decay, rate, label_smoothing
        self.class_weight, self.average, self.augment = class_weight, average, augment
        self.keep_norms, self.renorm = keep_norms, renorm
        self.validation, self.patience, self.checkpoint = validation, patience, checkpoint
        self.preprocess, self.precision, self.channels_last = preprocess, precision, channels_last
        self.device, self.memory, self.n_jobs, self.verbose = device, memory, n_jobs, verbose
        self.random_state = random_state

    @learns
    @as_usual
    def fit(self, X: Any, y: Any) -> SPPNetClassifier:
        """Train the network.

        Parameters
        ----------
        X : sequence of paths or arrays
        y : array-like of shape (n,)
            Labels, such as strings.

        Returns
        -------
        self

        Raises
        ------
        ImageError
            For an image that cannot be used; it names the file.
        SpmError
            For an option that is not valid, labels that do not match, a checkpoint of another run, or a loss that is
            not finite.
        """
        check_together(self)
        X = check_images(X)
        check_one_each(X, y)
        check_classification_targets(y)
        classes, labels = np.unique(column_or_1d(y), return_inverse=True)
        if len(classes) < 2:
            raise SpmError(f"y has one class only, {classes[0]!r}: two are needed")
        device = device_of(self.device)
        with together(device) as ranks, training(device, self.schedule):
            fitting = Fitting(self, X, labels.astype(np.int64), classes, ranks)
            history = fitting.run()
        self.classes_, self.history_ = classes, history
        self.origin_, self.made_ = fitting.origin, fitting.made
        self.state_ = to_arrays(fitting.network)
        self._module: SPPNet | None = None
        return self

    @property
    def module_(self) -> SPPNet:
        """The network, in evaluation; made of `state_` when it is first asked for."""
        check_is_fitted(self)
        if getattr(self, "_module", None) is None:
            network = build(self.origin_, **self.made_, blank=True)
            from_arrays(network, self.state_)
            self._module = network.eval()
        assert self._module is not None
        return self._module

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is something learned."""
        return hasattr(self, "state_")

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and copied: the network goes as arrays."""
        return {name: value for name, value in super().__getstate__().items() if name != "_module"}

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities, averaged over sizes and views: shape (m, n_classes), float32.

        Raises
        ------
        ImageError
            For an image that cannot be used; it names the file.
        """
        sizes = sizes_of(self.test_size)
        if self.views == "many" and sizes == (None,):
            sizes = MANY_SIZES
        window = max((size for size in self.sizes if size is not None), default=224)
        return self._look(X, Looks(sizes, self.test_policy, self.views, window), probabilities(self.module_))

    def predict(self, X: Any) -> np.ndarray:
        """Return the label of each image: shape (m,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def transform(self, X: Any) -> np.ndarray:
        """Return pooled vectors of whole images, averaged over test sizes: shape (m, n_cells * channels), float32.

        They are what `spm.PyramidVectorizer` gives over the exported trunk, before its norm.
        """
        return self._look(X, Looks(sizes_of(self.test_size), self.test_policy), lambda pooled: pooled)

    @as_usual
    def _look(self, X: Any, looks: Looks, of: Any) -> np.ndarray:
        check_options(self)
        X, device = check_images(X), device_of(self.device)
        network = self.module_.eval()
        make, found = input_of(self, network, device), []
        make.place(network)
        with testing(device):
            for start in range(0, len(X), BLOCK):
                images = X[start : start + BLOCK]
                pictures = Pictures(images, mode_of(make), keep_bytes=2**30, n_jobs=self.n_jobs)
                found.append(look(network, images, pictures, looks, make, of=of, batch_size=self.batch_size))
        return np.concatenate(found)

    def check(self, image: Any) -> None:
        """Raise the `ImageError` that this image would raise in `fit` or `predict`."""
        read_image(image)

    def export_onnx(self, path: str | os.PathLike[str], part: str = "trunk") -> Path:
        """Write an ONNX file with free height and width.

        Parameters
        ----------
        path : path
        part : {"trunk", "whole"}
            ``"trunk"``: images in, maps out, for `spm.FeatureMap` with the same `preprocess`. ``"whole"``: scores out.

        Returns
        -------
        pathlib.Path
        """
        check_choice("part", part, PARTS)
        whole_network: nn.Module = self.module_
        module = self.module_.trunk if part == "trunk" else whole_network
        content = to_onnx(module, ("maps",) if part == "trunk" else ("scores",), maps=part == "trunk")
        return write_whole(path, content, "the network")

    def embed_network(self) -> SPPNetClassifier:
        """Put contents in the place of paths and modules, so that options and arrays are all.

        Returns
        -------
        self
        """
        self.checkpoint = None
        if hasattr(self, "state_"):
            if isinstance(self.origin_, nn.Module):
                self.origin_, self.state_ = as_file(self.module_)
            self.trunk, self.weights = self.origin_, None
        else:
            self.trunk = origin_of(self.trunk)
        self._module = None
        return self
