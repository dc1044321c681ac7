"""Fitting: the options of an estimator, images and labels in, a trained network and what each epoch brought out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, cast

import joblib
import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from ... import __version__
from ...errors import ImageError, SpmError
from ...features.cache import location_of
from ...images import check_images, check_one_each, name_of
from ..export import channels_in
from ..sppnet import SPPNet
from .build import build, digest_of, estimate_norms, load_trunk, origin_of
from .feeds import Feed, ImageFeed, Input
from .frozen import MapFeed, Remembered, Shelf, freeze_below
from .loop import Measured, Recipe, norms_of, own_generators, read_checkpoint, seeded, train
from .pixels import KEPT_BYTES, Pictures, Schedule
from .ranks import Ranks, precision_of
from .views import Looks, batches, look

NOT_OF_A_RUN = {
    *("checkpoint", "device", "memory", "n_jobs", "random_state", "trunk", "validation", "verbose", "views", "weights")
}
"""Options of which a checkpoint does not depend, or whose content stands for them."""


@dataclass(frozen=True)
class Data:
    """What is learned from and what is looked at meanwhile: images, and positions of their classes."""

    train: Sequence[Any]
    labels: np.ndarray
    held: Sequence[Any]
    held_labels: np.ndarray


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return which images are held out: of every class its share, rounded, but never all and of all one at least.

    Examples
    --------
    >>> held_out(np.repeat([0, 1], [10, 20]), 0.1, 0).nonzero()[0].tolist()
    [9, 22, 28]
    """
    random, held = np.random.default_rng((seed, 4)), np.zeros(len(labels), dtype=bool)
    for own in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == own))
        held[members[: min(round(share * len(members)), len(members) - 1)]] = True
    if share and not held.any():
        sizes = np.bincount(labels)
        if sizes.max() < 2:
            raise SpmError(f"validation={share!r} needs a class with two images at least: give validation=None")
        held[np.flatnonzero(labels == sizes.argmax())[0]] = True
    return held


def split(images: Sequence[Any], labels: np.ndarray, classes: np.ndarray, validation: Any, seed: int) -> Data:
    """Return what is learned from, and what is held out to validate, or given for it.

    Raises
    ------
    SpmError
        If a given label is not among the classes.
    """
    if isinstance(validation, tuple | list):
        held, y = check_images(validation[0]), np.asarray(validation[1])
        check_one_each(held, y)
        if not np.isin(y, classes).all():
            raise SpmError(f"validation has labels that y has not, such as {y[~np.isin(y, classes)][0]!r}")
        return Data(images, labels, held, np.searchsorted(classes, y))
    held_ = held_out(labels, validation or 0.0, seed)
    parts = [[images[i] for i in np.flatnonzero(chosen).tolist()] for chosen in (~held_, held_)]
    return Data(parts[0], labels[~held_], parts[1], labels[held_])


def seed_for(estimator: Any, ranks: Ranks) -> int:
    """Return the seed of a run: where none is given, that of the run whose checkpoint is there, or a new one."""
    found = read_checkpoint(estimator.checkpoint) if estimator.checkpoint is not None and ranks.rank == 0 else None
    if estimator.random_state is None and found is not None:
        seed = int(found["key"].get("seed", 0))
    elif isinstance(estimator.random_state, int | np.integer):
        seed = int(estimator.random_state)
    else:
        seed = int(check_random_state(estimator.random_state).randint(2**31))
    return int(ranks.spread(seed))


class Fitting:
    """One fit: what its parts share.

    Parameters
    ----------
    estimator : SPPNetClassifier
        Its options, checked.
    images, labels
        Labels are positions of classes.
    classes : ndarray
    ranks : Ranks
    """

    def __init__(
        self, estimator: Any, images: Sequence[Any], labels: np.ndarray, classes: np.ndarray, ranks: Ranks
    ) -> None:
        self.options, self.ranks, self.classes, n_classes = estimator, ranks, classes, len(classes)
        self.seed = seed_for(estimator, ranks)
        self.data = split(images, labels, classes, estimator.validation, self.seed)
        self.schedule = schedule_of(estimator, self.seed)
        self.origin = origin_of(estimator.trunk)
        self.made = {name: getattr(estimator, name) for name in ("levels", "pool", "norm", "head", "dropout")}
        self.made |= {"n_classes": n_classes, "size": self.schedule.largest or 224}
        seeded(self.seed, 0)
        network = build(self.origin, **self.made)
        load_trunk(network, estimator.weights)
        self.make = input_of(estimator, network, ranks.device)
        self.make.place(network)
        self.network: SPPNet = network
        self.precision = precision_of(estimator.precision, ranks.device)
        self.looks = Looks(sizes_of(estimator.test_size), estimator.test_policy)

    def run(self) -> list[dict[str, Any]]:
        """Train the network; return what each epoch brought."""
        options, work = self.options, {"n_jobs": self.options.n_jobs, "verbose": self.options.verbose}
        mode, kept = mode_of(self.make), options.checkpoint is not None
        pictures = Pictures(self.data.train, mode, most=self.schedule.most, digest=kept, **work)
        lower, learned = None, cast(nn.Module, self.network)
        if options.freeze is not None:
            lower, learned = freeze_below(self.network, options.freeze, self.mixed)
            if options.keep_maps and location_of(options.memory) is not None:
                lower = Remembered(lower, options.memory)
        self._check_sizes(pictures)
        at_rest = norms_of(self.network.trunk) if self._keeps_norms() else []
        estimated = [norm for norm in norms_of(learned) if norm not in at_rest]
        if options.renorm and not estimated:
            raise SpmError(
                "renorm=True: no batch norm estimates anything here: with freeze they are kept (keep_norms=False lets "
                "those that learn estimate), and a file's are often folded into its convolutions"
            )
        history = train(
            self.network,
            learned,
            self._feed(pictures, lower),
            self.data.labels,
            self._recipe(),
            ranks=self.ranks,
            validate=self._validator(lower if options.keep_maps else None, learned, mode, work),
            checkpoint=options.checkpoint,
            key=self._key(pictures) if kept else None,
            at_rest=at_rest,
            verbose=options.verbose,
        )
        self.network.eval()
        if options.renorm:
            looks = batches(Pictures(self.data.train, mode, **work), self.looks, options.batch_size)
            estimate_norms(self.network, estimated, (self.make(pixels) for _, pixels, _ in looks))
        return history

    def _keeps_norms(self) -> bool:
        keep = self.options.keep_norms
        return self.options.freeze is not None if keep is None else keep

    def mixed(self) -> AbstractContextManager[Any]:
        """Return the context of mixed precision."""
        kind = self.ranks.device.type
        return nullcontext() if self.precision is None else torch.autocast(kind, dtype=self.precision)

    def _feed(self, pictures: Pictures, lower: Callable[..., Any] | None) -> Feed:
        options = self.options
        common = (self.make, self.schedule, self.ranks, options.batch_size, options.max_pixels)
        if lower is not None and options.keep_maps:
            shelf = Shelf(KEPT_BYTES, None)
            return MapFeed(pictures, *common, lower=lower, shelf=shelf)
        n_jobs = -1 if options.n_jobs is None and self.ranks.device.type == "cuda" else options.n_jobs
        return ImageFeed(pictures, *common, lower=lower, n_threads=min(joblib.effective_n_jobs(n_jobs), 16))

    def _recipe(self) -> Recipe:
        options, weights = self.options, None
        if options.class_weight is not None:
            weights = weights_of(options.class_weight, self.classes, self.data.labels)
        names = (
            "epochs",
            "lr",
            "rate",
            "optimizer",
            "momentum",
            "weight_decay",
            "label_smoothing",
            "average",
            "patience",
        )
        return Recipe(
            **{name: getattr(options, name) for name in names},
            trunk_lr=options.lr if options.trunk_lr is None else options.trunk_lr,
            class_weights=weights,
            precision=self.precision,
            seed=self.seed,
        )

    @torch.no_grad()
    def _check_sizes(self, pictures: Pictures) -> None:
        """Refuse sizes of which the trunk has no map, before hours of work."""
        self.network.eval()
        for size in sorted({self.schedule.size(epoch) for epoch in range(self.options.epochs)}, key=lambda s: s or 0):
            buckets = self.schedule.buckets(pictures.shapes, size, 1)
            least = int(buckets.targets.min(axis=1).argmin())
            height, width = buckets.targets[least].tolist()
            try:
                blank = np.zeros((1, height, width, self.make.channels), np.uint8)
                self.network.pool(self.network.trunk(self.make(blank)))
            except RuntimeError as error:
                reason = f"{width} x {height} pixels in training are too few for the trunk ({error}): give larger sizes"
                raise ImageError(name_of(self.data.train[least]), reason) from error

    def _key(self, pictures: Pictures) -> dict[str, str]:
        """Return all that the run depends on."""
        given = self.options.get_params(deep=False)
        key = {name: repr(value) for name, value in given.items() if name not in NOT_OF_A_RUN}
        key["trunk"] = digest_of(self.origin)
        key["weights"] = "" if self.options.weights is None else file_digest(self.options.weights)
        key["images"], key["labels"] = pictures.digest, blake2b(self.data.labels.tobytes()).hexdigest()
        held = [name_of(image) for image in self.data.held]
        key["validation images"] = blake2b(repr((held, self.data.held_labels.tolist())).encode()).hexdigest()
        return key | {"seed": str(self.seed), "ranks": str(self.ranks.world_size), "spm": __version__}

    def _validator(
        self, lower: Callable[..., Any] | None, learned: nn.Module, mode: str, work: dict[str, Any]
    ) -> Callable[[nn.Module], Measured] | None:
        """Return what looks at the images that are held out, each rank at its own share of them."""
        if not len(self.data.held):
            return None
        mine = slice(self.ranks.rank, None, self.ranks.world_size)
        images, labels = self.data.held[mine], self.data.held_labels[mine]
        say: Callable[[], np.ndarray] = partial(
            self._said, images, Pictures(images, mode, **work) if len(images) else None
        )
        if lower is not None and len(images):
            say = Kept(lower, learned, self, Pictures(images, mode, **work)).said

        def validate(network: nn.Module) -> Measured:
            network.eval()
            found = say() if len(images) else np.zeros((0, len(self.classes)))
            own = found[np.arange(len(labels)), labels].clip(1e-12)
            right = float((found.argmax(axis=1) == labels).sum())
            loss, right, n = self.ranks.sum(float(-np.log(own).sum()), right, float(len(labels)))
            return loss / n, right / n

        return validate

    def _said(self, images: Sequence[Any], pictures: Any) -> np.ndarray:
        with testing(self.ranks.device):
            of = probabilities(self.network)
            batch = self.options.batch_size
            return look(self.network, images, pictures, self.looks, self.make, of=of, batch_size=batch)


class Kept:
    """The maps of images that are held out, made once: what is learned above them is looked at after every epoch."""

    def __init__(self, lower: Callable[..., Any], learned: nn.Module, fitting: Fitting, pictures: Pictures) -> None:
        self.learned, self.device = learned, fitting.ranks.device
        self.shape, shelf = (len(pictures), len(fitting.classes)), Shelf(KEPT_BYTES // 4)
        self.batches: list[tuple[list[int], list[np.ndarray]]] = []
        for at, pixels, _ in batches(pictures, fitting.looks, fitting.options.batch_size):
            maps = []
            for part in lower(fitting.make(pixels)):
                maps.append(shelf.empty(tuple(part.shape)))
                maps[-1][:] = part.float().cpu().numpy()
            self.batches.append((at, maps))

    @torch.no_grad()
    def said(self) -> np.ndarray:
        """Return probabilities, averaged over sizes: shape (n, n_classes)."""
        total, counts = np.zeros(self.shape), np.zeros((self.shape[0], 1))
        for at, maps in self.batches:
            scores = self.learned(*(torch.from_numpy(part).to(self.device) for part in maps))
            total[at] += scores.float().softmax(1).cpu().numpy()
            counts[at] += 1
        return total / counts


# What options say


def schedule_of(options: Any, seed: int) -> Schedule:
    """Return the schedule that options ask for."""
    wanted = {"crop", "mirror"} if options.augment is True else set(options.augment or ())
    crop = "crop" in wanted and not (options.freeze is not None and options.keep_maps)
    sizes = tuple(options.sizes)
    return Schedule(options.schedule, sizes, options.step, options.policy, crop, "mirror" in wanted, seed)


def sizes_of(test_size: Any) -> tuple[int | None, ...]:
    """Return test sizes; "full" is the image as it is, None."""
    several = test_size if isinstance(test_size, Iterable) and not isinstance(test_size, str) else [test_size]
    return tuple(None if isinstance(size, str) or size is None else int(size) for size in several)


def mode_of(make: Input) -> str:
    """Return how images are read."""
    return "stored" if make.channels == 3 else "grey"


def input_of(options: Any, network: SPPNet, device: torch.device) -> Input:
    """Return what makes a network's input."""
    return Input(options.preprocess, channels_in(network.trunk), device, options.channels_last)


def probabilities(network: SPPNet) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what turns pooled vectors into probabilities."""
    return lambda pooled: network.head(pooled).float().softmax(1)


def weights_of(class_weight: Any, classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what each class counts."""
    try:
        found = compute_class_weight(class_weight, classes=classes, y=classes[labels])
    except ValueError as error:
        raise SpmError(f"class_weight={class_weight!r} cannot be used: {error}") from error
    return found.astype(np.float32)


def file_digest(path: Any) -> str:
    """Return a digest of a file's content."""
    try:
        with open(path, "rb") as file:
            return blake2b(file.read(), digest_size=20).hexdigest()
    except OSError as error:
        raise SpmError(f"{path}: the weights cannot be read ({error.strerror})") from error


@contextmanager
def testing(device: torch.device) -> Iterator[None]:
    """Work in float32 throughout: by default a GPU multiplies in fewer bits, which features would show."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
        yield


@contextmanager
def training(device: torch.device, schedule: str) -> Iterator[None]:
    """Leave the global generators alone, and let cuDNN search for the fastest way where sizes stay.

    With free sizes the search would be made for every shape, and take longer than the work (pytorch #2759).
    """
    with own_generators(device):
        if device.type != "cuda":
            yield
            return
        with torch.backends.cudnn.flags(enabled=True, benchmark=schedule in ("fixed", "alternate")):
            yield
