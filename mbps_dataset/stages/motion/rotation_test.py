"""Which objects are kept for how much they turn against the background (CUPS stage 1, "background_th" 0.02).

The published similarity is angle / 2 + |t_bg − t_bg|: the second term subtracts the same vector, so it is 0 and the
translation never counts. The effect is a filter on plausibility: an object is dropped when angle / 2 ≥ 0.02, that is, when
it turns by 0.04 rad (2.3°) or more against the background from one frame to the next.

With `reference` the angle is acos((tr(R_bgᵀ R) − 1) / 2) in float32: noise below about 1e-3 rad, and NaN, which keeps the
object, where rounding lifts the argument above 1. Otherwise it is 2 asin(‖R_bg − R‖ / (2 √2)) in float64, exact near 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


LARGEST_HALF_ANGLE = 0.02


def half_rotation(background: ArrayLike, objects: ArrayLike, *, reference: bool = False) -> NDArray[np.float32]:
    """Half the angle in rad between the rotations of transforms, float32 [K]; [4, 4] or [K, 4, 4] each, K objects."""
    first, second = (np.asarray(a, dtype=np.float32)[..., :3, :3] for a in (background, objects))
    if reference:
        trace = np.einsum("...ij,...ij->...", first, second, dtype=np.float32)
        with np.errstate(invalid="ignore"):
            return np.arccos((trace - np.float32(1)) / np.float32(2)) / np.float32(2)
    apart = np.sqrt(np.square(first.astype(np.float64) - second).sum(axis=(-1, -2)))
    return np.arcsin(np.clip(apart / 8**0.5, 0, 1)).astype(np.float32)


def turns_plausibly(
    background: ArrayLike, objects: ArrayLike, *, largest: float = LARGEST_HALF_ANGLE, reference: bool = False
) -> NDArray[np.bool_]:
    """Which objects stay, bool [K]: half the angle below `largest`, or unknown."""
    return ~(half_rotation(background, objects, reference=reference) >= np.float32(largest))
