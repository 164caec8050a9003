"""Forward-backward consistency: which vectors of a flow or disparity map the opposite map confirms.

With w(b) the backward flow read where the forward flow f leads, a pixel is consistent iff

    |f + w(b)|² < 0.01 (|f|² + |w(b)|²) + 0.5    and    the place read lies inside the image

(Sundaram et al. 2010, with the numbers of CUPS' code). A disparity is a flow along x: (−d, 0) from left to right and
(d, 0) from right to left.

Decisions made here:

* a map is read at (x + u, y + v) itself, and inside is [0, W − 1] × [0, H − 1]. CUPS' code divides by W − 1 and reads
  without aligned corners, so that it reads at (x + u) W / (W − 1) − ½ (likewise in y) and calls every place outside
  that is within half a pixel of the edge: at zero flow the outermost pixels on all four sides. ``reference=True`` does
  so too;
* a vector that is NaN or infinite leads outside and is never consistent (ours).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.arrays import Mask


Padding = Literal["border", "zeros"]
"""What lies outside a map: the nearest value of its edge, or 0."""

FULLY_INSIDE = np.float32(0.999)
"""Least share of a read that falls on the image, for the place to be inside (CUPS' code)."""
OUTSIDE = np.float32(-1e6)


def backward_warp(
    values: ArrayLike, flow: ArrayLike, *, padding: Padding = "border", reference: bool = False
) -> NDArray[np.float32]:
    """`values` read where `flow` leads, bilinearly, float32 [C, H, W].

    `values` [C, H, W]; `flow` [2, H, W] in pixels (x, y); `reference` stretches the places read as CUPS' code does
    (see the module). A value that is read with weight 0 does not count, even if it is NaN. Source: CUPS, section 3.2.

    Raises `ValueError` if the sizes differ.

    >>> backward_warp([[[10, 20, 30]]], [[[0.5, 0.5, 0.5]], [[0, 0, 0]]]).tolist()
    [[[15.0, 25.0, 30.0]]]
    """
    field = flow_field(flow)
    layers = np.asarray(values, dtype=np.float32)
    if layers.ndim != 3 or layers.shape[1:] != field.shape[1:]:
        raise ValueError(
            f"Expected `values` (C, H, W) of the flow's size {field.shape[1:]}, but got shape {layers.shape}."
        )
    if padding not in ("border", "zeros"):
        raise ValueError(f"Unknown padding {padding!r}; choose border or zeros.")
    return _read(layers, *_places(field, reference), padding)


def inside_frame(flow: ArrayLike, *, reference: bool = False) -> Mask:
    """Where `flow` [2, H, W] leads to a place in the image, bool [H, W].

    Inside is [0, W − 1] × [0, H − 1]; with `reference` it is where a map of ones with zeros around it reads at least
    0.999 at CUPS' stretched places.
    """
    field = flow_field(flow)
    x, y = _places(field, reference)
    height, width = field.shape[1:]
    if reference:
        return _read(np.ones((1, height, width), dtype=np.float32), x, y, "zeros")[0] >= FULLY_INSIDE
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def consistent_flow(
    forward: ArrayLike,
    backward: ArrayLike,
    *,
    relative: float = 0.01,
    absolute: float = 0.5,
    reference: bool = False,
) -> Mask:
    """Pixels whose `forward` flow the `backward` flow undoes, bool [H, W].

    Both flows are [2, H, W] in pixels (x, y); consistent iff |f + w(b)|² < `relative` (|f|² + |w(b)|²) + `absolute`
    px² and the place is inside. Source: CUPS, section 3.2, numbers of its code. Raises `ValueError` if the sizes
    differ.
    """
    field = flow_field(forward)
    returned = backward_warp(flow_field(backward), field, reference=reference)
    with np.errstate(invalid="ignore"):
        error = np.square(field + returned).sum(axis=0)
        size = np.square(field).sum(axis=0) + np.square(returned).sum(axis=0)
        agree = error < np.float32(relative) * size + np.float32(absolute)
    return agree & inside_frame(field, reference=reference)


def consistent_disparity(
    left_to_right: ArrayLike,
    right_to_left: ArrayLike,
    *,
    relative: float = 0.01,
    absolute: float = 0.5,
    reference: bool = False,
) -> Mask:
    """Pixels of the left image whose disparity the right image's disparity confirms, bool [H, W].

    Both disparities are [H, W] in pixels, positive in front of the cameras; see `consistent_flow`, which is given
    (−d, 0) and (d, 0). Raises `ValueError` if the sizes differ.
    """
    forward, backward = disparity_as_flow(left_to_right, -1), disparity_as_flow(right_to_left, 1)
    return consistent_flow(forward, backward, relative=relative, absolute=absolute, reference=reference)


def disparity_as_flow(disparity: ArrayLike, direction: Literal[-1, 1]) -> NDArray[np.float32]:
    """(±d, 0) as a flow, float32 [2, H, W]; `direction` −1 from left to right, 1 from right to left."""
    values = np.asarray(disparity, dtype=np.float32)
    if values.ndim != 2:
        raise ValueError(f"Expected a disparity (H, W), but got shape {values.shape}; pass one map, not a batch.")
    return np.stack([direction * values, np.zeros_like(values)])


def flow_field(flow: ArrayLike) -> NDArray[np.float32]:
    """`flow` as float32 [2, H, W] (x, y). Raises `ValueError` if it has another shape."""
    field = np.asarray(flow, dtype=np.float32)
    if field.ndim != 3 or len(field) != 2:
        raise ValueError(f"Expected a flow (2, H, W), but got shape {field.shape}; x comes first, then y.")
    return field


def _places(flow: NDArray[np.float32], reference: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel is read, x and y; far outside where the flow is not finite."""
    height, width = flow.shape[1:]
    with np.errstate(invalid="ignore"):
        x = np.arange(width, dtype=np.float32) + flow[0]
        y = np.arange(height, dtype=np.float32)[:, None] + flow[1]
    if reference:
        x, y = _stretched(x, width), _stretched(y, height)
    unknown = ~(np.isfinite(x) & np.isfinite(y))
    return np.where(unknown, OUTSIDE, x), np.where(unknown, OUTSIDE, y)


def _stretched(place: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """place · side / (side − 1) − ½, by way of [−1, 1] in float32 like the reference."""
    normalised = place * np.float32(2 / max(side - 1, 1)) - np.float32(1)
    return ((normalised + np.float32(1)) * np.float32(side) - np.float32(1)) / np.float32(2)


def _read(
    layers: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32], padding: Padding
) -> NDArray[np.float32]:
    """Bilinear interpolation of `layers` [C, H, W] at places x, y [H, W]; NaN where what is read is not finite."""
    known = np.isfinite(layers)
    if not known.all():
        unknown = _read((~known).astype(np.float32), x, y, padding) > 0
        return np.where(unknown, np.float32(np.nan), _read(np.where(known, layers, np.float32(0)), x, y, padding))
    height, width = layers.shape[1:]
    around = 0 if padding == "border" else 1
    x, y = np.clip(x, -around, width - 1 + around), np.clip(y, -around, height - 1 + around)
    left, top = np.floor(x), np.floor(y)
    to_right, to_bottom = x - left, y - top
    padded = np.pad(layers, ((0, 0), (1, 2), (1, 2)), mode="edge" if padding == "border" else "constant")
    first = (top.astype(np.int64) + 1) * padded.shape[2] + left.astype(np.int64) + 1
    flat, out = padded.reshape(len(padded), -1), np.zeros((len(layers), *x.shape), dtype=np.float32)
    for row, weight_y in ((0, 1 - to_bottom), (1, to_bottom)):
        for column, weight_x in ((0, 1 - to_right), (1, to_right)):
            weight, places = weight_x * weight_y, first + (row * padded.shape[2] + column)
            for layer, values in zip(out, flat):
                layer += weight * values.take(places)
    return out
