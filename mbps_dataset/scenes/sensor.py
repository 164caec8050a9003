"""The camera behind the lens: slight blur, noise, eight bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.arrays import Values
from mbps_dataset.scenes.weather import Weather


@lru_cache(maxsize=1)
def _noise_table() -> NDArray[np.float32]:
    return np.random.default_rng(41).standard_normal(1 << 20, dtype=np.float32)


BAND_PIXELS = 160_000
"""Pixels handled together, so that their arrays mostly stay in the processor's cache."""


def expose(
    scene_rows: Callable[[int, int], list[Values]],
    shape: tuple[int, int],
    weather: Weather,
    noise: float,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Take a picture [H, W, 3] uint8 of `shape` (H, W).

    `scene_rows` gives red, green and blue of the rows from its first up to its second argument, each [rows, W]
    float32, about 0 … 255; it is asked for a band at a time. `noise` multiplies the grain of the weather.
    """
    height, width = shape
    image = np.empty((height, width, 3), np.uint8)
    strength = np.float32(255 * weather.grain * noise)
    grains = [_grain(shape, rng) for _ in range(3)] if noise > 0 else []
    step = max(1, BAND_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = max(top - 1, 0), min(bottom + 1, height)
        for k, channel in enumerate(scene_rows(first, last)):
            value = _blur(channel, top - first, bottom - first)
            if grains:
                value += grains[k][top:bottom] * strength
            image[top:bottom, :, k] = np.clip(value, 0, 255, out=value)
    return image


def _blur(rows: Values, top: int, bottom: int) -> Values:
    """The blur of a lens for some of the rows, in place: weights 0.15, 0.7, 0.15 along columns and rows."""
    side = np.float32(0.15)
    step = rows[1:] - rows[:-1]
    step *= side
    rows[:-1] += step
    rows[1:] -= step
    rows = rows[top:bottom]
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
