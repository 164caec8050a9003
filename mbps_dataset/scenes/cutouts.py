"""Faces that are not full quadrilaterals: round and triangular signs, spokes, bars, meshes, leaves.

Each cutout clears pixels of the mask from surface coordinates in metres, so that it stays put when the camera moves.
Where the openings become smaller than a pixel, the face is taken as closed.
"""

from __future__ import annotations

import math

import numpy as np

from mbps_dataset.scenes.arrays import Mask, Points, Values
from mbps_dataset.scenes.materials import Cutout
from mbps_dataset.scenes.textures import LEVELS_3D, sample_leaves, volume_level


def face_cutout(
    kind: int,
    mask: Mask,
    u: Values,
    v: Values,
    size: Values,
    pixel_m: float,
) -> None:
    """Clear `mask` [h, w] where the face of `size` (width, height in metres) is open; `pixel_m` is a pixel's width."""
    width, height = float(size[0]), float(size[1])
    if kind == Cutout.DISC:
        mask &= (u * (2 / width) - 1) ** 2 + (v * (2 / height) - 1) ** 2 < 1
    elif kind == Cutout.TRIANGLE:
        mask &= np.abs(u - width / 2) < (height - v) * (width / 2 / height)
    elif kind == Cutout.DIAMOND:
        mask &= np.abs(u * (2 / width) - 1) + np.abs(v * (2 / height) - 1) < 1
    elif kind == Cutout.SPOKES:
        _spokes(mask, u * (2 / width) - 1, v * (2 / height) - 1, pixel_m / width)
    elif kind == Cutout.TUFTS:
        cells = u * np.float32(1 / 0.03), v * np.float32(1 / 0.03)
        tuft = sample_leaves(*cells, np.full_like(u, max(pixel_m / 0.03, 1.0)))
        mask &= v < height - 0.12 + 0.12 * tuft
    else:
        _grid(kind, mask, u, v, height, pixel_m)


def _spokes(mask: Mask, x: Values, y: Values, pixel: float) -> None:
    radius = np.sqrt(x * x + y * y)
    mask &= radius < 1
    if pixel < 0.05:
        turns = np.arctan2(y, x) * np.float32(9 / np.pi)
        thin = np.abs(turns - np.round(turns)) * radius < max(0.05, 2.0 * pixel)
        mask &= (radius > 0.84) | (radius < 0.12) | thin


def _grid(kind: int, mask: Mask, u: Values, v: Values, height: float, pixel_m: float) -> None:
    if kind == Cutout.BARS:
        period, bar, rail = 0.13, 0.22, (np.abs(v - 0.12) < 0.03) | (np.abs(v - height + 0.1) < 0.03)
    elif kind == Cutout.PICKETS:
        period, bar, rail = 0.15, 0.7, (np.abs(v - 0.3) < 0.05) | (np.abs(v - 0.75 * height) < 0.05)
    else:
        if pixel_m < 0.015:
            p, q = (u + v) * np.float32(1 / 0.085), (u - v) * np.float32(1 / 0.085)
            wire = np.float32(max(0.14, pixel_m / 0.085))
            closed = (p - np.floor(p) < wire) | (q - np.floor(q) < wire) | (np.abs(v - height) < 0.04)
            mask &= closed
        return
    if pixel_m < period / 4:
        cell = u * np.float32(1 / period)
        mask &= (cell - np.floor(cell) < bar) | rail


LEAF_M = 0.022
"""Size of a texel of the leaves, in metres."""


def foliage_cutout(
    mask: Mask, rim: Values, x: Values, y: Values, inverse: Values, to_unit: Points, radius: float, pixel_m: float
) -> None:
    """Open a blob of leaves of `radius` metres towards its `rim` [h, w] (0) and keep its middle (1).

    `x` [w], `y` [h] and `inverse` depth [h, w] give the point that a pixel shows, `to_unit` [3, 4] takes it to the unit
    sphere. All pixels read one level of the leaf volume, the one whose texel is about `pixel_m`.
    """
    level = min(max(math.frexp(pixel_m / LEAF_M)[1] - 1, 0), LEVELS_3D - 1)
    table, bits = volume_level(level)
    scale = radius / LEAF_M / (1 << level)
    depth = 1.0 / inverse
    index = np.zeros(inverse.shape, np.int32)
    for a, b, c, d in (to_unit[::-1] * scale).tolist():
        place = (y * b + c)[:, None] + x * a
        place *= depth
        place += d + 4096.0
        cell = place.astype(np.int32)
        cell &= (1 << bits) - 1
        index <<= bits
        index += cell
    leaves = table.take(index.astype(np.intp))
    mask &= leaves > np.float32(128 + 72 * 0.62) - np.float32(72 * 1.7) * rim
