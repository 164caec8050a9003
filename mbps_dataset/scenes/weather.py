"""Light and air of a scene: sun, sky, haze, and the shadows that objects throw on the ground.

Shadows live in a map of the ground seen from above, so they stay where they are when the camera moves. Light is added
in display space (no gamma), which is enough for pictures that look right and train well. All ours.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mbps_dataset.scenes.primitives import Colour
from mbps_dataset.scenes.textures import TILE, smooth_table


@dataclass(frozen=True)
class Weather:
    """Light and air. `sun` is the unit vector towards the sun; light is relative to a white surface; `haze` in 1/m."""

    sun: NDArray[np.float64]
    sunlight: Colour
    skylight: Colour
    zenith: Colour
    horizon: Colour
    cloud: Colour
    cloudiness: float
    drift: tuple[float, float]
    haze: float
    exposure: float
    contrast: float
    grain: float

    @property
    def display(self) -> tuple[np.float32, np.float32]:
        """Gain and offset from light to display units (0 … 255): exposure, contrast, rounding."""
        gain = 255 * self.exposure * self.contrast
        return np.float32(gain), np.float32(255 * 0.45 * (1 - self.contrast) + 0.5)

    def share_of_sun(self) -> float:
        """Part of the light on level ground that comes from the sun, 0 … 1."""
        direct = sum(self.sunlight) * float(self.sun[2])
        return direct / (direct + sum(self.skylight))


def weather_of(seed: int) -> Weather:
    """Choose sun, sky and air of a scene: clear, broken clouds, overcast or a low sun."""
    rng = random.Random(f"weather/{seed}")
    kind = rng.choices(("clear", "broken", "overcast", "low"), (0.3, 0.3, 0.28, 0.12))[0]
    elevation = math.radians({"low": rng.uniform(10, 20)}.get(kind, rng.uniform(25, 60)))
    azimuth = rng.uniform(-math.pi, math.pi)
    sun = np.array(
        [math.cos(elevation) * math.sin(azimuth), math.cos(elevation) * math.cos(azimuth), math.sin(elevation)]
    )
    strength = {"clear": 0.85, "broken": 0.65, "overcast": 0.08, "low": 0.75}[kind] * rng.uniform(0.85, 1.15)
    ambient = {"clear": 0.52, "broken": 0.6, "overcast": 0.98, "low": 0.5}[kind] * rng.uniform(0.9, 1.1)
    warm = 0.22 if kind == "low" else rng.uniform(0.02, 0.08)
    blue = rng.uniform(0.0, 0.08)
    grey = rng.uniform(0.72, 0.92)
    if kind == "overcast":
        zenith, horizon = (grey * 0.93, grey * 0.95, grey), (grey * 1.03, grey * 1.03, grey * 1.03)
    else:
        deep = rng.uniform(0.0, 1.0)
        zenith = (0.24 + 0.22 * deep, 0.42 + 0.16 * deep, 0.74 + 0.1 * deep)
        pale = rng.uniform(0.8, 0.95)
        horizon = (pale * (1.02 if kind == "low" else 0.93), pale * 0.95, pale * (0.86 if kind == "low" else 1.0))
    return Weather(
        sun,
        (strength * (1 + warm), strength, strength * (1 - 1.3 * warm)),
        (ambient * (1 - blue), ambient, ambient * (1 + blue)),
        zenith,
        horizon,
        (grey, grey, grey * 1.01),
        {"clear": rng.uniform(0.0, 0.35), "broken": rng.uniform(0.5, 0.9), "overcast": 0.5, "low": 0.4}[kind],
        (rng.uniform(0, 500), rng.uniform(0, 500)),
        rng.choice((0.0012, 0.002, 0.004, 0.008)) * rng.uniform(0.7, 1.3),
        rng.uniform(0.95, 1.2),
        rng.uniform(0.95, 1.2),
        rng.uniform(0.008, 0.022),
    )


@dataclass(frozen=True)
class Footprint:
    """Outline on the ground [N, 2] of something `height` metres tall whose lower edge is at `lift` metres."""

    outline: NDArray[np.float64]
    height: float
    lift: float = 0.0


class ShadowMap:
    """How much light the ground sends back, seen from above: 1 on average in the open, less under and behind objects."""

    CELL_M = 0.2
    LEFT_M, NEAR_M, WIDTH_M, LENGTH_M = -24.0, -4.0, 50.0, 84.0

    def __init__(self, footprints: list[Footprint], weather: Weather) -> None:
        shape = (round(self.WIDTH_M / self.CELL_M), round(self.LENGTH_M / self.CELL_M))
        cast, under = Image.new("L", shape, 255), Image.new("L", shape, 255)
        draw_cast, draw_under = ImageDraw.Draw(cast), ImageDraw.Draw(under)
        slant = -weather.sun[:2] / max(float(weather.sun[2]), 0.15)
        for footprint, foot, low, high in zip(footprints, *self._outlines(footprints, slant)):
            for k in range(len(low)):
                draw_cast.polygon((low[k - 1], low[k], high[k], high[k - 1]), fill=0)
            draw_cast.polygon(high, fill=0)
            if footprint.lift == 0.0:
                draw_under.polygon(foot, fill=60)
        share = weather.share_of_sun()
        sunlit = np.asarray(cast.filter(ImageFilter.BoxBlur(1)), np.float32)
        sunlit *= np.float32(share / 255)
        sunlit += np.float32(1 - share)
        sunlit *= np.asarray(under.filter(ImageFilter.BoxBlur(2)).filter(ImageFilter.BoxBlur(2)), np.float32)
        sunlit *= self._stains()
        self.light = sunlit

    @classmethod
    @lru_cache(maxsize=1)
    def _stains(cls) -> NDArray[np.float32]:
        """Darker and lighter places of the ground, over 255: the same for every street."""
        rows, columns = round(cls.LENGTH_M / cls.CELL_M), round(cls.WIDTH_M / cls.CELL_M)
        y = ((np.arange(rows) + 0.5) * cls.CELL_M * 16).astype(np.intp) % TILE
        x = ((np.arange(columns) + 0.5) * cls.CELL_M * 24).astype(np.intp) % TILE
        return (1 + np.float32(0.09) * smooth_table()[y[:, None], x]) * np.float32(1 / 255)

    def _outlines(
        self, footprints: list[Footprint], slant: NDArray[np.float64]
    ) -> list[list[list[tuple[float, float]]]]:
        """Where the outlines lie, and where the shadows of their lower and upper edges fall, in cells."""
        if not footprints:
            return [[], [], []]
        sizes = [len(footprint.outline) for footprint in footprints]
        points = np.concatenate([footprint.outline for footprint in footprints])
        heights = np.array([(0.0, footprint.lift, footprint.height) for footprint in footprints]).repeat(sizes, axis=0)
        ends = np.cumsum(sizes).tolist()
        result = []
        for height in heights.T:
            cells = (points + height[:, None] * slant - (self.LEFT_M, self.NEAR_M)) * (1 / self.CELL_M)
            pairs = list(map(tuple, cells.tolist()))
            result.append([pairs[end - size : end] for size, end in zip(sizes, ends)])
        return result

    def at(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Light at ground points `x`, `y` in metres, [N] float32, interpolated; 1 outside the map."""
        rows, columns = self.light.shape
        p = np.clip((x - np.float32(self.LEFT_M)) * np.float32(1 / self.CELL_M) - 0.5, 0, columns - 1.001)
        q = np.clip((y - np.float32(self.NEAR_M)) * np.float32(1 / self.CELL_M) - 0.5, 0, rows - 1.001)
        i, j = p.astype(np.intp), q.astype(np.intp)
        p -= i
        q -= j
        index = j * columns + i
        table = self.light.ravel()
        near = table.take(index) * (1 - p) + table.take(index + 1) * p
        index += columns
        far = table.take(index) * (1 - p) + table.take(index + 1) * p
        return near + (far - near) * q
