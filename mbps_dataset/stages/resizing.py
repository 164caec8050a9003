"""Nearest-neighbour resizing with Pillow's rule.

``source = floor((i + 0.5) * in / out)``: for an exact halving it picks the odd rows and columns (measured on Pillow; the
reference code resizes every label map with it). Torch's own rule, ``floor(i * in / out)``, picks the even ones.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray


Scalar = TypeVar("Scalar", bound=np.generic)


def nearest_indices(size_in: int, size_out: int) -> NDArray[np.intp]:
    """Source index for each of `size_out` targets: intp [size_out].

    >>> nearest_indices(4, 2).tolist()
    [1, 3]
    """
    return ((2 * np.arange(size_out, dtype=np.int64) + 1) * size_in // (2 * size_out)).astype(np.intp)


def resize_nearest(array: NDArray[Scalar], height: int, width: int) -> NDArray[Scalar]:
    """`array` [H, W] resized to [height, width]; values are copied, never mixed."""
    if array.shape == (height, width):
        return array
    return array[np.ix_(nearest_indices(array.shape[0], height), nearest_indices(array.shape[1], width))]
