"""Numbering the pixels of an image tile by tile.

Neighbours in the image are then neighbours in memory in both directions, and work on one tile touches little else: what
a processor's cache wants. The order is ours; no result depends on it beyond rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """Pixels of an image in the order of square tiles, row by row within each; tiles at the right and bottom are cut."""

    height: int
    width: int
    side: int

    @cached_property
    def windows(self) -> list[tuple[slice, slice]]:
        """(rows, columns) of each tile."""
        return [
            (slice(top, min(top + self.side, self.height)), slice(left, min(left + self.side, self.width)))
            for top in range(0, self.height, self.side)
            for left in range(0, self.width, self.side)
        ]

    @cached_property
    def ranges(self) -> list[slice]:
        """Positions of each tile's pixels in tile order."""
        areas = [(rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in self.windows]
        ends = np.cumsum(areas).tolist()
        return [slice(end - area, end) for area, end in zip(areas, ends)]

    @cached_property
    def positions(self) -> NDArray[np.int32]:
        """[H, W] int32: where each pixel comes in tile order."""
        positions = np.empty((self.height, self.width), np.int32)
        for window, places in zip(self.windows, self.ranges):
            positions[window] = np.arange(places.start, places.stop).reshape(positions[window].shape)
        return positions

    def in_order(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """[C, H, W] -> [C, H W] in tile order."""
        ordered = np.empty((len(planes), self.height * self.width), planes.dtype)
        for (down, across), places in zip(self.windows, self.ranges):
            ordered[:, places] = planes[:, down, across].reshape(len(planes), -1)
        return ordered

    def rows(self, planes: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """[C, H, W] -> [H W, C] in tile order; `change` works in place on each tile while it is in cache."""
        rows = planes.new_empty(self.height * self.width, len(planes))
        for (down, across), places in zip(self.windows, self.ranges):
            tile = planes[:, down, across].permute(1, 2, 0)
            change(rows[places].view(tile.shape).copy_(tile))
        return rows

    def planes(self, rows: Tensor) -> Tensor:
        """[H W, C] in tile order -> [C, H, W]."""
        planes = rows.new_empty(rows.shape[1], self.height, self.width)
        for (down, across), places in zip(self.windows, self.ranges):
            tile = planes[:, down, across].permute(1, 2, 0)
            tile.copy_(rows[places].view(tile.shape))
        return planes
