"""Where a network's maps lie: its operators and an image's size in, every map's cells, stride and offset out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .geometry import Axis, LostError, Map, Place, Rule, Shape, TooSmall

NOMINAL = 224  # the side of the image that layers are listed for where a file leaves its size free


@dataclass(frozen=True)
class Same:
    """A tensor that lies as another does, or shares its stretch of the image: what was seen by running the network.

    Parameters
    ----------
    source : str
        The other's name.
    ratio : (Fraction, Fraction)
        Rows and columns over those of the other.
    dims : (int, int)
        Rows and columns, or twice the dimension of tokens.
    before : int
        Tokens before those of the grid.
    """

    source: str
    ratio: tuple[Fraction, Fraction]
    dims: tuple[int, int]
    before: int = 0

    def of(self, place: Place) -> Place:
        """Return the place, given that of the other."""
        if not isinstance(place, Map):
            return place
        axes = [axis.cut_into(int(axis.length * ratio)) for axis, ratio in zip(place[:2], self.ratio, strict=True)]
        return Map(axes[0], axes[1], self.dims, self.before, measured=True)


class Step(NamedTuple):
    """One operator of a graph.

    Parameters
    ----------
    op, name : str
        Its type and name.
    inputs, outputs : tuple of str
        The tensors that it reads, "" for one left out, and then those that its inner graphs read; and those it writes.
    rule : callable
        Makes its rule of the values of its inputs, None for those that are no small constants, and their shapes.
    evaluate : callable
        Computes its outputs from the values of its inputs.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rule: Callable[[Sequence[np.ndarray | None], Sequence[Shape | None]], Rule]
    evaluate: Callable[[Sequence[np.ndarray | None]], Sequence[np.ndarray | None]]


@dataclass
class Graph:
    """What there is to know of a network to tell where its maps lie.

    Parameters
    ----------
    image : str
        The input's name.
    channels : int
        Its channels, 1 or 3.
    dims : (int, int)
        Which of its dimensions are rows and columns.
    fixed : (int or None, int or None)
        Its height and width, where the file fixes them.
    steps : list of Step
        The operators in the order of the graph, without those that compute constants.
    shapes : dict
        The shapes of tensors and constants as far as they can be inferred, None for what is free.
    values : dict
        The values of small constants.
    seen : dict
        How tensors lie that only a run of the network could tell.
    side : int
        Of a square image that the network takes where the file leaves its size free.
    failure : str
        Why it could not be run, if it could not.
    """

    image: str
    channels: int
    dims: tuple[int, int]
    fixed: tuple[int | None, int | None]
    steps: list[Step] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    seen: dict[str, Same] = field(default_factory=dict)
    side: int = NOMINAL
    failure: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image that the network takes: what its file fixes, or else `side`."""
        return self.fixed[0] or self.side, self.fixed[1] or self.side

    def trace(self, size: tuple[int, int]) -> dict[str, Place]:
        """Tell where every tensor lies for an image of that height and width."""
        found: dict[str, Place] = {self.image: Map(Axis(size[0]), Axis(size[1]), self.dims)}
        values = dict(self.values)
        for step in self.steps:
            places = [found.get(name) for name in step.inputs]
            shapes = [_shape_at(self.shapes.get(name), place) for name, place in zip(step.inputs, places, strict=True)]
            known = [values.get(name) for name in step.inputs]
            place = _place_behind(step, places, shapes, known)
            for name, value in zip(step.outputs, _values_behind(step, shapes, known), strict=False):
                if value is not None:
                    values[name] = value
            for name in step.outputs:
                found[name] = place
                if name in self.seen and isinstance(place, str) and not isinstance(place, TooSmall):
                    found[name] = _left(self.seen[name].of(found.get(self.seen[name].source)), step)
        return found

    def before(self, names: Sequence[str]) -> Graph:
        """Return what of the graph leads to the named tensors."""
        needed, steps = set(names), []
        for step in reversed(self.steps):
            if not needed.isdisjoint(step.outputs):
                needed.update(step.inputs)
                steps.append(step)
        return replace(self, steps=steps[::-1])

    def smallest(self, largest: int = 4096) -> tuple[int, int]:
        """Return the smallest height and width, up to `largest`, of which every operator leaves something."""

        def fits(size: tuple[int, int]) -> bool:
            return not any(isinstance(place, TooSmall) for place in self.trace(size).values())

        height = next((n for n in range(1, largest) if fits((n, largest))), largest)
        return height, next((n for n in range(1, largest) if fits((largest, n))), largest)


def _place_behind(
    step: Step, places: list[Place], shapes: list[Shape | None], known: Sequence[np.ndarray | None]
) -> Place:
    try:
        return _left(step.rule(known, shapes)(places, shapes), step)
    except LostError as error:
        return f"it lies at or behind {step.op} {step.name!r}, {error}"


def _left(place: Place, step: Step) -> Place:
    """Return a place, or the word that nothing is left of it."""
    if isinstance(place, Map) and min(place.down.length, place.across.length) < 1:
        return TooSmall(f"nothing is left of it behind {step.op} {step.name!r}")
    return place


def _values_behind(
    step: Step, shapes: Sequence[Shape | None], known: Sequence[np.ndarray | None]
) -> Sequence[np.ndarray | None]:
    """Return what can be known of an operator's results at an image's size, as paddings that are worked out from it."""
    if step.op != "Shape":
        return step.evaluate(known)
    if shapes[0] is None or None in shapes[0]:
        return ()
    return step.evaluate([np.broadcast_to(False, [n or 0 for n in shapes[0]])])


def _shape_at(shape: Shape | None, place: Place) -> Shape | None:
    """Return the shape of a tensor for one image of a known size."""
    if shape is None or not isinstance(place, Map):
        return shape
    known = {0: 1, **place.lengths()}
    return tuple(known.get(dim, length) for dim, length in enumerate(shape))
