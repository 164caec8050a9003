"""Filling the holes of a mask: what it encloses belongs to it.

Decisions made here:

* outside is every background component that touches the image's border; all other background is a hole. CUPS' code
  labels the components of the background and takes the most frequent value of that map for the outside, where the
  object counts as one value: an object larger than each background component turns inside out, and one that parts the
  image swallows the smaller part. ``reference=True`` does so too;
* background is 8-connected, so that it leaks through a diagonal gap: that is what the published labels were made with
  (a GPU routine). On a CPU the same code uses 4-connectivity, which is the option.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from mbps_dataset.arrays import Mask


Connectivity = Literal[4, 8]


def fill_holes(mask: ArrayLike, *, connectivity: Connectivity = 8, reference: bool = False) -> Mask:
    """`mask` [H, W] and what it encloses, bool [H, W]; `connectivity` is that of the background.

    With `reference` as CUPS' code does: see the module; a mask of all pixels becomes empty. Raises `ValueError` if
    `mask` is not [H, W] or `connectivity` neither 4 nor 8.

    >>> ring = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]], dtype=bool)
    >>> fill_holes(ring).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    >>> fill_holes(ring, reference=True).astype(int).tolist()
    [[0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1]]
    """
    inside = np.asarray(mask, dtype=bool)
    if inside.ndim != 2:
        raise ValueError(f"Expected a mask (H, W), but got shape {inside.shape}.")
    neighbours = neighbourhood(connectivity)
    if reference:
        components, _ = ndimage.label(~inside, structure=neighbours)
        outside = np.bincount(components.ravel(), minlength=1).argmax()
        return components != outside
    box = ndimage.find_objects(inside.astype(np.int8))
    filled = inside.copy()
    if box:
        padded = np.pad(inside[box[0]], 1)
        filled[box[0]] = ndimage.binary_fill_holes(padded, structure=neighbours)[1:-1, 1:-1]
    return filled


def neighbourhood(connectivity: Connectivity) -> Mask:
    """Which of the 3 × 3 pixels around one are neighbours, bool [3, 3]. Raises `ValueError` for all but 4 and 8."""
    if connectivity not in (4, 8):
        raise ValueError(f"Expected `connectivity` 4 or 8, but got {connectivity!r}.")
    return ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
