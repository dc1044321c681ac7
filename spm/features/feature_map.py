"""Feature maps: an image in, the cells of a convolutional network's inner maps out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from .._tools.opencv import cv2
from .._tools.options import Options, anything, check_options, choice, flag, one_or_more, optional, whole
from .._tools.public import public
from ..errors import ImageError, SpmError
from ..images import MAX_PIXELS, name_of, see_image
from ..networks.file import Model, Network, home_of, need
from ..networks.geometry import Map
from ..networks.maps import cut
from ..networks.session import Session, open_network
from .frames import Frame, check_preprocess, frame_of, prepare, resize, value_tables
from .local import ExtractorMixin, LocalFeatures, Views, cells_of_map

POLICIES = ("full", "crop", "warp")

Size = int | Sequence[int | None] | None


@public()
class FeatureMap(ExtractorMixin, BaseEstimator):
    """The cells of a convolutional network's inner maps: what SPP-net pools (He 2014, section 2).

    The network is cut behind the layers and run by onnxruntime (``pip install onnxruntime onnx``). A run takes one
    thread: `n_jobs` of what uses the extractor says how many images are in work at once.

    Parameters
    ----------
    model : path, bytes, spm.networks.Network or torch.nn.Module
        An ONNX file, or its content, which becomes a `Network`. A path must lead to the file wherever workers run; the
        content travels along. Or a module in memory, as of torchvision or timm, which becomes a `spm.nn.LiveNetwork`:
        it is run by torch where its weights lie, and left as it is.
    layers : str or sequence of str, optional
        Names of tensors, as ``spm layers FILE`` and `spm.networks.layers` list them, or, of a module, of its
        ``named_modules()``. By default the last one listed, or that which a network pools into a pyramid of its own.
        Each is a layer of every view: the vectorizer encodes and pools each by itself and joins the vectors.
    preprocess : {"imagenet", "caffe", "tf"} or dict, default="imagenet"
        What the network was trained on. ``"imagenet"``: RGB / 255, minus (0.485, 0.456, 0.406), divided by (0.229,
        0.224, 0.225). ``"caffe"``: BGR minus (103.94, 116.78, 123.68). ``"tf"``: RGB / 127.5 - 1. A dict has any of
        ``scale`` (by default 1 / 255), ``mean`` (0), ``std`` (1) and ``order`` ("rgb" or "bgr"), and stands for
        (scale * pixel - mean) / std with one value, or one for each channel in that order.
    size : int, None or a sequence of these, default=224
        The shorter side in pixels; None for the image as it is. Several give as many views, which the vectorizer
        averages.
    policy : {"full", "crop", "warp"}, default="full"
        ``"full"``: the image resized until its shorter side is `size`, its ratio kept (He 2014, section 3.1).
        ``"crop"``: of that the central square. ``"warp"``: the image squeezed into that square.
    flip : bool, default=False
        Whether each size also gives the view of the mirrored image. Its cells are mirrored back, so that they lie
        where they lie in the image.
    tokens_before : int, optional
        Of a transformer's layer how many tokens, such as that of the class, stand before those of the grid; they are
        dropped. By default what is left over of the grid.
    max_side : int, optional
        The most pixels of the longer side, for long images and for ``size=None``; places stay pixels of the image
        itself.

    Notes
    -----
    Images are resized by averaging areas for whole factors and linearly for the rest; JPEG files far larger than what
    the network sees are decoded at a part of their size, as `spm.images.see_image` has it.

    A cell lies centred on the field of pixels that it sees, by the arithmetic of the operators before it, and is as
    long as the stride.

    Where an operator is not known, where cells lie is measured by running the network, with a warning that says so. The
    tokens of a transformer are cells too, where they are those of a grid.

    A network whose file fixes height and width sees images of that size only, with a warning where `size` and `policy`
    ask for another; ``spm.networks.cut(model, layers, free=True)`` frees it.

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import parser
    >>> from spm import FeatureMap
    >>> network = parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["": 13]>
    ...     g (float[1, 3, H, W] image) => (float[1, 2, h, w] thin) <float[2, 3, 1, 1] w = {1, 2, 3, 4, 5, 6}> {
    ...         thin = Conv <strides = [16, 16]> (image, w)
    ...     }''')
    >>> features = FeatureMap(network.SerializeToString(), size=224)
    >>> local = features.extract(np.zeros((480, 640, 3), np.uint8))
    >>> local.grid, local.values.shape
    ((14, 19), (266, 2))
    """

    _options: ClassVar[Options] = {
        "model": lambda name, value: Network.of(value),
        "layers": anything,
        "preprocess": lambda name, value: check_preprocess(value),
        "size": one_or_more(optional(whole(least=1)), "(224, 320)"),
        "policy": choice(POLICIES),
        "flip": flag,
        "tokens_before": optional(whole(least=0)),
        "max_side": optional(whole(least=1)),
    }

    def __init__(
        self,
        model: Model,
        *,
        layers: str | int | Sequence[str | int] | None = None,
        preprocess: str | Mapping[str, Any] = "imagenet",
        size: Size = 224,
        policy: str = "full",
        flip: bool = False,
        tokens_before: int | None = None,
        max_side: int | None = None,
    ) -> None:
        self.model = _value_of(model)
        self.layers = layers
        self.preprocess = preprocess
        self.size = size
        self.policy = policy
        self.flip = flip
        self.tokens_before = tokens_before
        self.max_side = max_side

    def set_params(self, **params: Any) -> FeatureMap:
        """Set options, as estimators do.

        Returns
        -------
        self
        """
        if "model" in params:
            params["model"] = _value_of(params["model"])
        return super().set_params(**params)

    def views(self, image: Any) -> Views:
        """Return the image's views: for each size the image and, with `flip`, the mirrored one; in each its layers.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it.

        Returns
        -------
        list of tuple of LocalFeatures
            `values` of shape (rows * columns, channels), float32, row by row; `extents` the whole numbers j, i, j + 1,
            i + 1; `stride` and `offset` in pixels of the image, whose size is `image_size`.

        Raises
        ------
        ImageError
            If the image cannot be read, or is too small for the network.
        SpmError
            If an option is not valid, or the network cannot be used.
        MissingDependencyError
            If onnxruntime or onnx is missing.
        """
        see, frames = self._prepare(image)
        return [see(frame, mirrored) for frame in frames for mirrored in ((False, True) if self.flip else (False,))]

    def check(self, image: Any) -> None:
        """Raise the error that `views` would raise, without running the network."""
        self._prepare(image)

    def fingerprint(self) -> str:
        """Return a digest of all that the features depend on beside the image: the network's content, not its path."""
        import joblib

        options = [self.layers, self.preprocess, self.size, self.policy, self.flip, self.tokens_before, self.max_side]
        return str(joblib.hash([Network.of(self.model).digest, need("onnxruntime").__version__, *options]))

    def embed_network(self) -> FeatureMap:
        """Put the network's content, cut behind the layers, in the place of its path, so that the options are all.

        Returns
        -------
        self
        """
        self.model = cut(self.model, self.layers, tokens_before=self.tokens_before)
        return self

    def _prepare(self, image: Any) -> tuple[Callable[[Frame, bool], tuple[LocalFeatures, ...]], list[Frame]]:
        """Return what turns a frame of the image, mirrored or not, into a view, and the frames; all is checked."""
        sizes = self._check_options()
        network = open_network(self.model, self.layers, self.tokens_before)
        tables, order = value_tables(self.preprocess, network.graph.channels)
        fixed = network.graph.fixed
        if fixed[0] is not None:
            sizes = self._insist(fixed, sizes)

        def frames_of(size: tuple[int, int]) -> list[Frame]:
            return [frame_of(size, side, self.policy, fixed, self.max_side) for side in sizes]

        def wanted(size: tuple[int, int]) -> tuple[int, int]:
            down, across = zip(*(frame.resized for frame in frames_of(size)), strict=True)
            return max(down), max(across)

        seen = see_image(image, "stored" if network.graph.channels == 3 else "grey", least=wanted)
        frames = frames_of(seen.size)
        for frame in frames:
            _check_frame(image, network, frame)

        def see(frame: Frame, mirrored: bool) -> tuple[LocalFeatures, ...]:
            top, left, height, width = frame.part
            part = resize(seen.pixels, frame.resized)[top : top + height, left : left + width]
            try:
                maps = network.run(prepare(part[:, ::-1] if mirrored else part, tables, order))
            except SpmError as error:
                raise ImageError(name_of(image), str(error)) from error
            return tuple(_cells(*pair, frame, mirrored) for pair in maps)

        return see, frames

    def _insist(self, fixed: tuple[int | None, int | None], sizes: list[int | None]) -> list[int | None]:
        """Warn where the network's fixed size overrules the options."""
        if self.policy == "full" or any((side, side) != fixed for side in sizes):
            warnings.warn(
                f"this network takes images of {fixed[0]} x {fixed[1]} (height x width) only, as its file says: they "
                f"are brought to it by policy={'warp' if self.policy == 'full' else self.policy!r}, not by "
                f"policy={self.policy!r} to size={self.size!r}. For other sizes give "
                "spm.networks.cut(model, layers, free=True), or export the network with free height and width",
                stacklevel=4,
            )
        return [None]

    def _check_options(self) -> list[int | None]:
        """Check all options but the network; return the sizes."""
        check_options(self)
        sizes: list[Any] = list(self.size) if isinstance(self.size, Sequence | np.ndarray) else [self.size]
        if None in sizes and self.policy != "full":
            raise SpmError(
                f"size=None, the image as it is, goes with policy='full': give policy={self.policy!r} a size"
            )
        return sizes


def _value_of(model: Any) -> Any:
    """Return a model as it is stored: content, which takes seconds to be shown, and modules as the values they are."""
    return Network.of(model) if isinstance(model, bytes) or home_of(model) else model


def _check_frame(image: Any, network: Session, frame: Frame) -> None:
    height, width = frame.size
    seen = f"the image has {frame.image[1]} x {frame.image[0]} pixels"
    if frame.size != frame.image:
        seen += f", {width} x {height} as the network sees it"
    if height * width > MAX_PIXELS:
        raise ImageError(name_of(image), f"{seen}, more than {MAX_PIXELS}, the limit: crop it or lower size")
    reason = network.why_not((height, width))
    if reason:
        raise ImageError(name_of(image), f"{seen}, but {reason}")


def _cells(values: np.ndarray, place: Map, frame: Frame, mirrored: bool) -> LocalFeatures:
    """Return the cells of a map of shape (channels, rows, columns); a mirrored one is mirrored back."""
    channels, rows, columns = values.shape
    values = values[:, :, ::-1] if mirrored else values
    down, across = frame.place(place.down, 0), frame.place(place.across, 1, mirrored)
    return LocalFeatures(
        cv2.transpose(values.reshape(channels, -1)),  # (cells, channels)
        _extents(rows, columns).copy(),
        (rows, columns),
        stride=(down[0], across[0]),
        offset=(down[1], across[1]),
        image_size=frame.image,
    )


_extents = lru_cache(maxsize=64)(cells_of_map)
