"""Feature maps: an image in, the cells of a convolutional network's inner maps out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from sklearn.base import BaseEstimator

from ._onnx import Model, NetworkBytes, array_of, need
from ._opencv import cv2
from ._runtime import Network, network_digest, open_network
from .errors import ImageError, SpmError, check_choice, check_number
from .images import MAX_PIXELS, name_of, read_image
from .local import ExtractorMixin, LocalFeatures
from .networks import cut
from .receptive import Axis, Map

PREPROCESSINGS: dict[str, dict[str, Any]] = {
    "imagenet": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "caffe": {"mean": (103.94, 116.78, 123.68), "scale": 1.0, "order": "bgr"},
    "tf": {"mean": 0.5, "std": 0.5},
}
_DEFAULTS: dict[str, Any] = {"mean": 0.0, "std": 1.0, "scale": 1 / 255, "order": "rgb"}

POLICIES = ("full", "crop", "warp")

Size = int | Sequence[int | None] | None


@dataclass(frozen=True)
class Frame:
    """What a network sees of an image: the image resized, and of that a part.

    Parameters
    ----------
    image, resized : (int, int)
        Height and width before and after resizing.
    part : (int, int, int, int)
        Top, left, height and width of the part, in pixels of the resized image.
    """

    image: tuple[int, int]
    resized: tuple[int, int]
    part: tuple[int, int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the network sees."""
        return self.part[2:]

    def place(self, axis: Axis, k: int, mirrored: bool = False) -> tuple[float, float]:
        """Return stride and offset of a map along axis `k`, 0 for down, in pixels of the image."""
        offset = self.part[2 + k] - axis.offset - axis.length * axis.stride if mirrored else axis.offset
        scale = self.image[k] / self.resized[k]
        return axis.stride * scale, (self.part[k] + offset) * scale


def frame_of(
    image: tuple[int, int], side: int | None, policy: str, fixed: tuple[int | None, int | None] = (None, None)
) -> Frame:
    """Return what a network sees of an image.

    Parameters
    ----------
    image : (int, int)
        Its height and width.
    side : int or None
        The size asked for; None for the image as it is.
    policy : {"full", "crop", "warp"}
    fixed : (int, int), optional
        Height and width that the network insists on: they take the place of `side`, and "full" becomes "warp".

    Examples
    --------
    >>> frame_of((480, 640), 224, "full").size
    (224, 299)
    >>> frame_of((480, 640), 224, "crop")
    Frame(image=(480, 640), resized=(224, 299), part=(0, 37, 224, 224))
    """
    if fixed[0] is None or fixed[1] is None:
        box = None if side is None else (side, side)
    else:
        box, policy = (fixed[0], fixed[1]), "warp" if policy == "full" else policy
    if box is None:
        return Frame(image, image, (0, 0, *image))
    if policy == "warp":
        return Frame(image, box, (0, 0, *box))
    k = 0 if box[0] / image[0] >= box[1] / image[1] else 1  # the axis that fills the box
    other = max(round(image[1 - k] * box[k] / image[k]), box[1 - k] if policy == "crop" else 1)
    resized = (box[0], other) if k == 0 else (other, box[1])
    if policy == "full":
        return Frame(image, resized, (0, 0, *resized))
    return Frame(image, resized, ((resized[0] - box[0]) // 2, (resized[1] - box[1]) // 2, *box))


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (height, width), borders to borders: whole factors by averaging areas, the rest linearly.

    So an image that shrinks by 2.6 is first halved, every pixel counting alike. Averaging all the way takes four times
    as long on a photograph.
    """
    factors = [max(pixels.shape[k] // size[k], 1) for k in (0, 1)]
    if max(factors) > 1:
        whole = (pixels.shape[1] // factors[1], pixels.shape[0] // factors[0])
        pixels = cv2.resize(pixels, whole, interpolation=cv2.INTER_AREA)
    if pixels.shape[:2] != size:
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
    return pixels


def value_tables(preprocess: str | Mapping[str, Any], channels: int) -> tuple[np.ndarray, str]:
    """Return what each of the 256 levels of a pixel becomes, and in which order the channels go.

    Returns
    -------
    tables : ndarray of shape (channels, 256), float32
        (scale * level - mean) / std, in the network's order of channels.
    order : {"rgb", "bgr"}

    Examples
    --------
    >>> tables, order = value_tables("tf", 3)
    >>> tables[0, [0, 255]], order
    (array([-1.,  1.], dtype=float32), 'rgb')
    """
    if isinstance(preprocess, str):
        return _named_tables(preprocess, channels)
    return _tables(preprocess, channels)


@lru_cache(maxsize=8)
def _named_tables(preprocess: str, channels: int) -> tuple[np.ndarray, str]:
    return _tables(preprocess, channels)


def _tables(preprocess: str | Mapping[str, Any], channels: int) -> tuple[np.ndarray, str]:
    options = _check_preprocess(preprocess)
    levels = options["scale"] * np.arange(256.0)
    for name in ("mean", "std"):
        if np.size(options[name]) not in (1, channels):
            raise SpmError(
                f"preprocess={preprocess!r} has {np.size(options[name])} values in {name!r}, the network takes "
                f"{channels} channel(s): give a dict with one value, or as many as channels"
            )
    mean, std = (np.broadcast_to(np.ravel(options[name]), channels)[:, None] for name in ("mean", "std"))
    return ((levels - mean) / std).astype(np.float32), options["order"]


def _check_preprocess(preprocess: Any) -> dict[str, Any]:
    if not isinstance(preprocess, Mapping):
        preprocess = PREPROCESSINGS[check_choice("preprocess", preprocess, PREPROCESSINGS)]
    for name in preprocess:
        check_choice("a key of preprocess", name, _DEFAULTS)
    options = {**_DEFAULTS, **preprocess}
    check_choice("order", options["order"], ("rgb", "bgr"))
    check_number("scale", options["scale"], above=0)
    for name in ("mean", "std"):
        for value in np.ravel(options[name]).tolist():
            check_number(f"each of {name}", value, above=0 if name == "std" else None)
    return options


def prepare(pixels: np.ndarray, tables: np.ndarray, order: str) -> np.ndarray:
    """Turn uint8 pixels of shape (h, w[, 3]), grey or RGB, into a network's input, (1, channels, h, w), float32."""
    prepared = np.empty((1, len(tables), *pixels.shape[:2]), dtype=np.float32)
    _look_up(np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1)), tables, order == "bgr", prepared[0])
    return prepared


@njit(nogil=True, cache=True)
def _look_up(pixels: np.ndarray, tables: np.ndarray, backwards: bool, planes: np.ndarray) -> None:
    height, width, channels = pixels.shape
    for c in range(len(planes)):
        source = 0 if channels == 1 else channels - 1 - c if backwards else c
        for y in range(height):
            for x in range(width):
                planes[c, y, x] = tables[c, pixels[y, x, source]]


class FeatureMap(ExtractorMixin, BaseEstimator):
    """The cells of a convolutional network's inner maps: what SPP-net pools (He 2014, section 2).

    The network is cut behind the layers and run by onnxruntime (``pip install "spm[cnn]"``). A run takes one thread:
    `n_jobs` of what uses the extractor says how many images are in work at once.

    Parameters
    ----------
    model : path or bytes
        An ONNX file, or its content. A path must lead to the file wherever workers run; the content travels along.
    layers : str or sequence of str, optional
        Names of tensors, as ``spm layers FILE`` and `spm.networks.layers` list them. By default the last one listed.
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

    Notes
    -----
    Images are resized by averaging areas for whole factors and linearly for the rest. A cell lies centred on the field
    of pixels that it sees, by the arithmetic of the operators before it, and is as long as the stride.

    A network whose file fixes height and width sees images of that size only, with a warning where `size` and `policy`
    ask for another; ``spm.networks.cut(model, layers, free=True)`` frees it.

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import parser
    >>> from spm.featuremap import FeatureMap
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

    def __init__(
        self,
        model: Model,
        *,
        layers: str | Sequence[str] | None = None,
        preprocess: str | Mapping[str, Any] = "imagenet",
        size: Size = 224,
        policy: str = "full",
        flip: bool = False,
    ) -> None:
        self.model = model
        self.layers = layers
        self.preprocess = preprocess
        self.size = size
        self.policy = policy
        self.flip = flip

    # DESIGN: content is kept as bytes that show themselves by their size: to show plain bytes takes seconds.
    @property
    def model(self) -> Model:
        return self._model

    @model.setter
    def model(self, value: Model) -> None:
        self._model = NetworkBytes(value) if type(value) is bytes else value

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {**state, "_model": array_of(self._model)} if isinstance(self._model, bytes) else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.model = self._model.tobytes() if isinstance(self._model, np.ndarray) else self._model

    def extract(self, image: Any) -> LocalFeatures:
        """Return the cells of the first layer at the first size.

        Parameters
        ----------
        image : path or array
            As `spm.images.read_image` takes it.

        Returns
        -------
        LocalFeatures
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
        return see(frames[0], False)[0]

    def views(self, image: Any) -> list[tuple[LocalFeatures, ...]]:
        """Return the image's views: for each size the image and, with `flip`, the mirrored one; in each its layers.

        Raises as `extract` does.
        """
        see, frames = self._prepare(image)
        return [see(frame, mirrored) for frame in frames for mirrored in ((False, True) if self.flip else (False,))]

    def check(self, image: Any) -> None:
        """Raise the error that `extract` would raise, without running the network."""
        self._prepare(image)

    def fingerprint(self) -> str:
        """Return a digest of all that the features depend on beside the image: the network's content, not its path."""
        import joblib

        options = [self.layers, self.preprocess, self.size, self.policy, self.flip]
        return str(joblib.hash([network_digest(self.model), need("onnxruntime").__version__, *options]))

    def embed_network(self) -> FeatureMap:
        """Put the network's content, cut behind the layers, in the place of its path, so that the options are all.

        Returns
        -------
        self
        """
        self.model = cut(self.model, self.layers)
        return self

    def _prepare(self, image: Any) -> tuple[Callable[[Frame, bool], tuple[LocalFeatures, ...]], list[Frame]]:
        """Return what turns a frame of the image, mirrored or not, into a view, and the frames; all is checked."""
        sizes = self._check_options()
        network = open_network(self.model, self.layers)
        tables, order = value_tables(self.preprocess, network.graph.channels)
        fixed = network.graph.fixed
        if fixed[0] is not None:
            sizes = self._insist(fixed, sizes)
        pixels = read_image(image, "stored" if network.graph.channels == 3 else "grey")
        frames = [frame_of(pixels.shape[:2], side, self.policy, fixed) for side in sizes]
        for frame in frames:
            _check_frame(image, network, frame)

        def see(frame: Frame, mirrored: bool) -> tuple[LocalFeatures, ...]:
            top, left, height, width = frame.part
            seen = resize(pixels, frame.resized)[top : top + height, left : left + width]
            maps = network.run(prepare(seen[:, ::-1] if mirrored else seen, tables, order))
            places = network.places(frame.size)
            return tuple(_cells(*pair, frame, mirrored) for pair in zip(maps, places, strict=True))

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
        if not isinstance(self.model, str | os.PathLike | bytes):
            raise SpmError(f"model must be the path or the content (bytes) of an ONNX file, got {self.model!r:.80}")
        sizes: list[Any] = list(self.size) if isinstance(self.size, Sequence | np.ndarray) else [self.size]
        check_choice("policy", self.policy, POLICIES)
        check_choice("flip", self.flip, (False, True))
        if isinstance(self.preprocess, str):
            check_choice("preprocess", self.preprocess, PREPROCESSINGS)
        else:
            _check_preprocess(self.preprocess)
        if not sizes:
            raise SpmError("size must be a whole number, None or several of these, got an empty sequence")
        for size in sizes:
            if size is not None:
                check_number("size", size, least=1, integer=True)
            elif self.policy != "full":
                raise SpmError(
                    f"size=None, the image as it is, goes with policy='full': give policy={self.policy!r} a size"
                )
        return sizes


def _check_frame(image: Any, network: Network, frame: Frame) -> None:
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


@lru_cache(maxsize=64)
def _extents(rows: int, columns: int) -> np.ndarray:
    i, j = np.divmod(np.arange(rows * columns, dtype=np.float32), np.float32(columns))
    return np.stack([j, i, j + 1, i + 1], axis=1)
