"""Depth edges: Gaussian smoothing, Sobel gradient, threshold.

    D_s = G_sigma * D,   |∇D| = sqrt((S_x * D_s)² + (S_y * D_s)²),   edge = |∇D| > tau

The report 2.3; the details are those of the reference code: float64, Gaussian cut at 4 sigma, unnormalised 3 × 3 Sobel
kernels (eight times the derivative per pixel), borders mirrored with the edge pixel repeated, strict threshold.

Each sum below is written in the order scipy.ndimage adds it, so the numbers are those of `gaussian_filter` and `sobel`
to the last bit (on processors without fused multiply-add). Working in strips of rows that fit the cache is about four
times faster than the library calls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


Float64Map = NDArray[np.float64]

_STRIP_PIXELS = 24_000


def gradient_magnitude(
    depth: NDArray[np.floating], sigma: float, window: tuple[slice, slice] | None = None
) -> Float64Map:
    """|∇D| of `depth` [H, W] after smoothing with `sigma` pixels (0: none), float64.

    `window` asks for a part of the frame: the values there are those of the full frame. Unit: eight times the depth
    difference per pixel.
    """
    weights = gaussian_weights(sigma)
    rows, columns = window or (slice(0, depth.shape[0]), slice(0, depth.shape[1]))
    padded = _with_margin(depth, rows, columns, len(weights))
    height, width = rows.stop - rows.start, columns.stop - columns.start
    magnitude = np.empty((height, width))
    strip = max(8, _STRIP_PIXELS // max(width, 1))
    for top in range(0, height, strip):
        bottom = min(top + strip, height)
        magnitude[top:bottom] = _sobel_magnitude(_smooth(padded[top : bottom + 2 * len(weights)], weights))
    return magnitude


def gaussian_weights(sigma: float) -> NDArray[np.float64]:
    """Half of the Gaussian kernel, from its centre out to 4 sigma, normalised over the full kernel; [1.0] for sigma 0."""
    if sigma < 0:
        raise ValueError(f"Expected `sigma` of at least 0 pixels, but got {sigma}.")
    radius = int(4.0 * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 / (sigma * sigma) * offsets**2)
    return (kernel / kernel.sum())[radius:]


def _with_margin(depth: NDArray[np.floating], rows: slice, columns: slice, margin: int) -> Float64Map:
    """The window and `margin` pixels around it, mirrored where the frame ends, float64."""
    height, width = depth.shape
    top, bottom = max(rows.start - margin, 0), min(rows.stop + margin, height)
    left, right = max(columns.start - margin, 0), min(columns.stop + margin, width)
    missing = (
        (margin - rows.start + top, rows.stop + margin - bottom),
        (margin - columns.start + left, columns.stop + margin - right),
    )
    return np.pad(depth[top:bottom, left:right].astype(np.float64), missing, mode="symmetric")


def _smooth(values: Float64Map, weights: NDArray[np.float64]) -> Float64Map:
    """Gaussian over rows, then over columns; the result is smaller by the radius on every side."""
    if len(weights) == 1:
        return values
    return _correlate(_correlate(values, weights).T, weights).T


def _correlate(values: Float64Map, weights: NDArray[np.float64]) -> Float64Map:
    """Symmetric correlation over the first axis, pairs from the outside in, as scipy.ndimage sums them."""
    radius = len(weights) - 1
    size = values.shape[0] - 2 * radius
    total = values[radius : radius + size] * weights[0]
    pair = np.empty_like(total)
    for distance in range(radius, 0, -1):
        np.add(values[radius - distance :][:size], values[radius + distance :][:size], out=pair)
        pair *= weights[distance]
        total += pair
    return total


def _sobel_magnitude(smooth: Float64Map) -> Float64Map:
    """Sobel magnitude; the result is smaller by one pixel on every side."""
    across = smooth[:, 2:] - smooth[:, :-2]
    across = _binomial(across)
    down = smooth[2:] - smooth[:-2]
    down = _binomial(down.T).T
    across *= across
    down *= down
    down += across
    return np.sqrt(down, out=down)


def _binomial(values: Float64Map) -> Float64Map:
    """1-2-1 sum over the first axis."""
    total = values[1:-1] * 2.0
    total += values[:-2] + values[2:]
    return total
