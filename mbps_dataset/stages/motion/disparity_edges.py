"""Disparity edges: where the surface in front ends, and a disparity belongs to neither side.

Canny (1986) on the logarithm of the disparity d, so that an edge is a relative change:

1. x = ln(d + 0.001), smoothed by a 5 × 5 Gaussian of σ = 1 (mirrored border);
2. Sobel gradients with weights 1-2-1, not normalised (a ramp of slope s gives 8 s; border repeated), and the magnitude
   m = √(gx² + gy² + 10⁻⁶);
3. m is kept only where it exceeds both neighbours along the gradient, taken to the nearest of eight directions;
4. a kept m above 0.2 is an edge pixel (a slope of 2.5 % per pixel); edges are widened by a 5 × 5 square.

There is no lower threshold and no hysteresis: CUPS' code takes the suppressed magnitude, not Canny's edge map. On
noisy disparity that marks nearly everything (0.15 px of noise at d = 4 px), which shows as too few reliable pixels.

Decisions made here:

* the image's own frame is no edge. In CUPS' code the widening takes everything outside the image for an edge, which
  makes a frame of two pixels; ``reference=True`` does so too;
* of two neighbours with exactly the same magnitude the later one (to the right, or below) is kept; the reference drops
  both, and with them an ideal step (ours).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from mbps_dataset.arrays import Mask


EDGE_THRESHOLD = 0.2
WIDENED_PX = 5
"""Side of the square that edges are widened by."""
OFFSET_PX = 0.001
"""Added to a disparity before its logarithm."""

_DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))
"""(rows, columns) to one of the two neighbours along directions 0 … 3: right, right-down, down, left-down."""


def edge_magnitude(disparity: ArrayLike, *, reference: bool = False) -> NDArray[np.float32]:
    """Gradient magnitude of the log disparity where it is a ridge, else 0; float32 [H, W].

    `disparity` [H, W] px; negative and not finite ones count as 0. See the module for the steps and for `reference`.
    Raises `ValueError` if it is not [H, W].
    """
    values = np.asarray(disparity, dtype=np.float32)
    if values.ndim != 2:
        raise ValueError(f"Expected a disparity (H, W), but got shape {values.shape}; pass one map, not a batch.")
    known = np.where(np.isfinite(values) & (values > 0), values, np.float32(0))
    smooth = _gaussian_5x5(np.log(known + np.float32(OFFSET_PX)))
    across, down = (_sobel(smooth, axis) for axis in (1, 0))
    magnitude = np.sqrt(np.square(across) + np.square(down) + np.float32(1e-6))
    direction = np.rint(4 * np.arctan2(down, across) / np.float32(np.pi)).astype(np.int64) % 4
    return np.where(_is_ridge(magnitude, direction, reference), magnitude, np.float32(0))


def disparity_edges(disparity: ArrayLike, *, threshold: float = EDGE_THRESHOLD, reference: bool = False) -> Mask:
    """Edge pixels before they are widened, bool [H, W]: ridges of `edge_magnitude` above `threshold`."""
    return edge_magnitude(disparity, reference=reference) > np.float32(threshold)


def near_disparity_edges(disparity: ArrayLike, *, threshold: float = EDGE_THRESHOLD, reference: bool = False) -> Mask:
    """Pixels within two of an edge in rows and columns, bool [H, W]; with `reference` also a frame of two pixels."""
    edges = disparity_edges(disparity, threshold=threshold, reference=reference)
    square = np.ones((WIDENED_PX, WIDENED_PX), dtype=bool)
    return ndimage.binary_dilation(edges, structure=square, border_value=int(reference))


def _gaussian_5x5(values: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = np.exp(-np.square(np.arange(-2, 3)) / 2)
    weights /= weights.sum()
    for axis in (0, 1):
        values = ndimage.correlate1d(values, weights, axis=axis, mode="mirror")
    return values


def _sobel(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    slope = ndimage.correlate1d(values, [-1, 0, 1], axis=axis, mode="nearest")
    return ndimage.correlate1d(slope, [1, 2, 1], axis=1 - axis, mode="nearest")


def _is_ridge(magnitude: NDArray[np.float32], direction: NDArray[np.int64], strict: bool) -> Mask:
    """Above both neighbours along the gradient; outside the image is 0."""
    height, width = magnitude.shape
    padded = np.pad(magnitude, 1)
    ridge = np.zeros(magnitude.shape, dtype=bool)
    for ahead, (rows, columns) in enumerate(_DIRECTIONS):
        later, earlier = (
            padded[1 + sign * rows : 1 + sign * rows + height, 1 + sign * columns : 1 + sign * columns + width]
            for sign in (1, -1)
        )
        above = (magnitude > later) & ((magnitude > earlier) if strict else (magnitude >= earlier))
        ridge |= above & (direction == ahead)
    return ridge
