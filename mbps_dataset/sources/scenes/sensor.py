"""The camera behind the lens: slight blur, noise, eight bits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.sources.scenes.weather import Weather


@lru_cache(maxsize=1)
def _noise_table() -> NDArray[np.float32]:
    return np.random.default_rng(41).standard_normal(1 << 20, dtype=np.float32)


BAND_PIXELS = 80_000
"""Pixels handled together, so that they stay in the processor's cache."""


def expose(
    channels: NDArray[np.float32], weather: Weather, noise: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Turn red, green and blue [3, H, W] float32, about 0 … 255, into a picture [H, W, 3] uint8.

    `noise` multiplies the grain of the weather.
    """
    _, height, width = channels.shape
    image = np.empty((height, width, 3), np.uint8)
    strength = np.float32(255 * weather.grain * noise)
    step = max(1, BAND_PIXELS // width)
    for k, channel in enumerate(channels):
        grain = _grain((height, width), rng) if noise > 0 else None
        for top in range(0, height, step):
            bottom = min(top + step, height)
            value = _blur(channel, top, bottom)
            if grain is not None:
                value += grain[top:bottom] * strength
            image[top:bottom, :, k] = np.clip(value, 0, 255, out=value)
    return image


def _blur(channel: NDArray[np.float32], top: int, bottom: int) -> NDArray[np.float32]:
    """The blur of a lens for some rows: weights 0.15, 0.7, 0.15 along columns and rows."""
    first, last = max(top - 1, 0), min(bottom + 1, len(channel))
    rows = channel[first:last].copy()
    side = np.float32(0.15)
    step = rows[1:] - rows[:-1]
    step *= side
    rows[:-1] += step
    rows[1:] -= step
    rows = rows[top - first : bottom - first]
    step = rows[:, 1:] - rows[:, :-1]
    step *= side
    rows[:, :-1] += step
    rows[:, 1:] -= step
    return rows


def _grain(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise [H, W]: a random stretch of the table, repeated where the picture is larger."""
    table = _noise_table()
    start, size = int(rng.integers(0, len(table))), shape[0] * shape[1]
    if start + size <= len(table):
        return table[start : start + size].reshape(shape)
    return np.resize(np.concatenate([table[start:], table[:start]]), size).reshape(shape)
