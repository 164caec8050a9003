"""The working grid of rigid-motion clustering: a few per cent of the image's rows and columns, read nearest.

Decisions, as measured on the reference (CUPS stage 1; SF2SE3 there): h = floor(share · H) rows; grid row j is the image row
rint(((n + 1) / 2) · (H − 1)) with n = (p − (H − 1) / 2) / (H − 1) · 2 and p = (H / h) / 2 − ½ + j · H / h, p rounded to float32
and the rest computed in it, halves to even. In exact arithmetic this is rint((j + ½) · H / h − ½); float32 decides single rows where that is a half (one
column at 640 × 1280). Neither choice is better, so there is no option. The same formula with the sizes exchanged gives
each pixel its grid cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WorkingGrid:
    """Which pixels the grid holds, and which cell each pixel belongs to.

    `image_shape` (H, W); `rows` int64 [h] and `columns` int64 [w], image indices of the grid; `cell_rows` int64 [H] and
    `cell_columns` int64 [W], grid indices of the image. Grid points are counted in raster order, N = h · w of them.
    """

    image_shape: tuple[int, int]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    cell_rows: NDArray[np.int64]
    cell_columns: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w)."""
        return len(self.rows), len(self.columns)

    def sample(self, array: NDArray[Any]) -> NDArray[Any]:
        """The values of an array [..., H, W] at the grid points, [..., N]."""
        return array[..., self.rows[:, None], self.columns].reshape(*array.shape[:-2], -1)


def working_grid(image_shape: tuple[int, int], share: float = 0.06) -> WorkingGrid:
    """The grid of floor(`share` · side) rows and columns of an image (H, W); `share` in (0, 1].

    Raises `ValueError` if the grid would have fewer than two rows or columns.

    >>> working_grid((640, 1280)).shape
    (38, 76)
    """
    height, width = image_shape
    h, w = int(share * height), int(share * width)
    if not (2 <= h <= height and 2 <= w <= width):
        raise ValueError(
            f"A grid of {share} of {height} x {width} pixels has {h} x {w} points; at least 2 x 2 are needed."
        )
    return WorkingGrid(
        (height, width),
        nearest_centres(height, h),
        nearest_centres(width, w),
        nearest_centres(h, height),
        nearest_centres(w, width),
    )


def nearest_centres(size: int, count: int) -> NDArray[np.int64]:
    """Index in a line of `size` cells that lies nearest to each centre of `count` equal parts, int64 [count].

    The formula of the module's head.
    """
    positions = (size / count / 2 - 0.5 + np.arange(count) * size / count).astype(np.float32)
    last = np.float32(size - 1)
    normalised = (positions - last / np.float32(2)) / last * np.float32(2)
    read = np.rint((normalised + np.float32(1)) / np.float32(2) * last)
    return np.clip(read, 0, size - 1).astype(np.int64)
