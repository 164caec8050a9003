"""The one nearest-neighbour resizing: values are copied, never mixed, so that ids stay ids.

Two rules are in use, both in exact integers. Pillow's, ``floor((i + 0.5) * in / out)``, picks the odd rows and columns
when halving (measured on Pillow; the reference code resizes every label map with it). Torch's, ``floor(i * in / out)``,
picks the even ones.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray


Scalar = TypeVar("Scalar", bound=np.generic)
Rule = Literal["pillow", "torch"]


def nearest_indices(size_in: int, size_out: int, rule: Rule = "pillow") -> NDArray[np.intp]:
    """Source index for each of `size_out` targets: intp [size_out].

    >>> nearest_indices(4, 2).tolist(), nearest_indices(4, 2, "torch").tolist()
    ([1, 3], [0, 2])
    """
    centre = {"pillow": 1, "torch": 0}[rule]
    return ((2 * np.arange(size_out, dtype=np.int64) + centre) * size_in // (2 * size_out)).astype(np.intp)


def resize_nearest(array: NDArray[Scalar], height: int, width: int, rule: Rule = "pillow") -> NDArray[Scalar]:
    """`array` [H, W, ...] resized to [height, width, ...]; an array of that size already is returned as it is."""
    if array.shape[:2] == (height, width):
        return array
    rows, columns = nearest_indices(array.shape[0], height, rule), nearest_indices(array.shape[1], width, rule)
    return array[np.ix_(rows, columns)]
