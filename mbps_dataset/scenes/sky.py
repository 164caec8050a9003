"""The sky: a gradient from the horizon to the zenith, with clouds on a flat layer far above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.projection import Screen
from mbps_dataset.scenes.textures import smooth_table
from mbps_dataset.scenes.weather import Weather


def sky_colour(
    x: NDArray[np.float32], y: NDArray[np.float32], weather: Weather, screen: Screen
) -> list[NDArray[np.float32]]:
    """Red, green and blue of the sky along the rays (x, y, 1) [N] of the camera, each [N] float32."""
    rotation = screen.pose[:3, :3].astype(np.float32)
    east, north, up = (rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2] for k in range(3))
    elevation = np.clip(up / np.sqrt(x * x + y * y + 1), 0, 1)
    blend = 1 - (1 - elevation) ** 4
    reach = 1 / (np.maximum(elevation, 0) + np.float32(0.12))
    p, q = east * reach + np.float32(weather.drift[0]), north * reach + np.float32(weather.drift[1])
    broad, fine = _smooth(p * 12, q * 12), _nearest(p * 55, q * 55)
    cover = broad + 0.35 * fine + np.float32(2.4 * weather.cloudiness - 1.4)
    cover = np.clip(cover * np.float32(0.55), 0, 1)
    cover *= np.clip(elevation * 6, 0.25, 1)
    body = 0.9 + 0.07 * broad + 0.06 * fine
    channels = []
    for zenith, horizon, cloud in zip(weather.zenith, weather.horizon, weather.cloud):
        clear = horizon + (zenith - horizon) * blend
        channels.append((clear + (cloud * np.minimum(body, 1.06) - clear) * cover).astype(np.float32))
    return channels


def _smooth(p: NDArray[np.float32], q: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smooth noise at (p, q) texels, interpolated."""
    p, q = p + np.float32(8192), q + np.float32(8192)
    i, j = p.astype(np.intp), q.astype(np.intp)
    p, q = p - i, q - j
    table = smooth_table().ravel()
    left, right, row, below = i & 511, (i + 1) & 511, (j & 511) << 9, ((j + 1) & 511) << 9
    near = table.take(row + left) * (1 - p) + table.take(row + right) * p
    far = table.take(below + left) * (1 - p) + table.take(below + right) * p
    return near + (far - near) * q


def _nearest(p: NDArray[np.float32], q: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smooth noise at the texel of (p, q): enough for what is faint."""
    i, j = (p + np.float32(8192)).astype(np.intp), (q + np.float32(8192)).astype(np.intp)
    return smooth_table().ravel().take(((j & 511) << 9) + (i & 511))
