"""What the patterns of surfaces are drawn with: the pixels of one kind of surface, and painting on some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.arrays import Mask, Values


Channels = list[Values]

HASH = np.random.default_rng(31).permutation(4096).astype(np.int32)
"""A fixed shuffle: chance that belongs to a place on a surface."""


class FaceTable(Protocol):
    """What patterns read about parts, one value per part (see `shading`)."""

    @property
    def colour(self) -> list[Values]: ...
    @property
    def accent(self) -> list[Values]: ...
    @property
    def light(self) -> Values: ...
    @property
    def width(self) -> Values: ...
    @property
    def height(self) -> Values: ...
    @property
    def parameters(self) -> list[Values]: ...


class Pixels:
    """Pixels [N] of one kind of surface, with what their part says about them, gathered when asked for.

    `u`, `v` metres from the first corner; `colour`, `accent` lit by the light on the part; `light` its brightness.
    """

    def __init__(self, part: NDArray[np.intp], u: Values, v: Values, grain: Values, table: FaceTable) -> None:
        self.part, self.u, self.v, self.grain, self._table = part, u, v, grain, table
        self._parameters: dict[int, Values] = {}

    @cached_property
    def colour(self) -> Channels:
        return [channel.take(self.part) * self.grain for channel in self._table.colour]

    @cached_property
    def accent(self) -> Channels:
        return [channel.take(self.part) for channel in self._table.accent]

    @cached_property
    def light(self) -> Values:
        return self._table.light.take(self.part)

    @cached_property
    def width(self) -> Values:
        return self._table.width.take(self.part)

    @cached_property
    def height(self) -> Values:
        return self._table.height.take(self.part)

    def parameter(self, k: int) -> Values:
        if k not in self._parameters:
            self._parameters[k] = self._table.parameters[k].take(self.part)
        return self._parameters[k]

    def per_part(self, formula: Callable[[FaceTable], Values]) -> Values:
        """A value worked out once per part, then gathered."""
        return formula(self._table).take(self.part)


def put(channels: Channels, mask: Mask, colour: Sequence[Values | float], gain: Values | float = 1.0) -> None:
    """Where `mask`, set the channels to `colour` (three numbers or arrays) times `gain`."""
    where = np.flatnonzero(mask)
    for channel, value in zip(channels, colour):
        value = value[where] if isinstance(value, np.ndarray) else value
        channel[where] = value * (gain[where] if isinstance(gain, np.ndarray) else gain)


def dim(channels: Channels, mask: Mask, gain: float) -> None:
    """Where `mask`, multiply the channels by `gain`."""
    where = np.flatnonzero(mask)
    for channel in channels:
        channel[where] *= np.float32(gain)


def fraction(values: Values) -> Values:
    return values - np.floor(values)
