"""The camera behind the lens: slight blur, exposure and contrast, noise, eight bits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.sources.scenes.weather import Weather


@lru_cache(maxsize=1)
def _noise_table() -> NDArray[np.float32]:
    return np.random.default_rng(41).standard_normal(1 << 20, dtype=np.float32)


def _blur(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """The blur of a lens, in place: weights 0.15, 0.7, 0.15 along columns and rows."""
    step = channel[:, 1:] - channel[:, :-1]
    step *= np.float32(0.15)
    channel[:, :-1] += step
    channel[:, 1:] -= step
    step = channel[1:] - channel[:-1]
    step *= np.float32(0.15)
    channel[:-1] += step
    channel[1:] -= step
    return channel


def expose(
    channels: list[NDArray[np.float32]],
    shape: tuple[int, int],
    weather: Weather,
    noise: float,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Turn red, green and blue [H * W] into a picture [H, W, 3] uint8; `noise` multiplies the grain of the weather."""
    image = np.empty((*shape, 3), np.uint8)
    gain = 255 * weather.exposure * weather.contrast
    offset = 255 * 0.45 * (1 - weather.contrast) + 0.5
    table = _noise_table()
    for k, channel in enumerate(channels):
        value = _blur(channel.reshape(shape))
        value *= np.float32(gain)
        value += np.float32(offset)
        if noise > 0:
            value += _grain(table, shape, rng) * np.float32(255 * weather.grain * noise)
        image[:, :, k] = np.clip(value, 0, 255, out=value)
    return image


def _grain(table: NDArray[np.float32], shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise [H, W]: a random stretch of the table, repeated where the picture is larger."""
    start, size = int(rng.integers(0, len(table))), shape[0] * shape[1]
    if start + size <= len(table):
        return table[start : start + size].reshape(shape)
    return np.resize(np.concatenate([table[start:], table[:start]]), size).reshape(shape)
