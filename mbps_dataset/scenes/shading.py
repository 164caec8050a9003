"""The colour of every visible pixel: texture, pattern, light, shadow, haze and sky.

Shading happens once per visible pixel, after visibility, for all parts together: what belongs to a part is looked up
from small tables by the part of the pixel. Only patterns and ellipsoids are handled in groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mbps_dataset.scenes import materials
from mbps_dataset.scenes.arrays import Mask, Places, Points, Values
from mbps_dataset.scenes.materials import Pattern
from mbps_dataset.scenes.pattern_pixels import Pixels
from mbps_dataset.scenes.patterns import FACES
from mbps_dataset.scenes.primitives import Parts
from mbps_dataset.scenes.projection import Projected, Screen
from mbps_dataset.scenes.raster import Visible
from mbps_dataset.scenes.sky import sky_colour
from mbps_dataset.scenes.textures import sample, sample_volume
from mbps_dataset.scenes.weather import ShadowMap, Weather


@dataclass(frozen=True)
class _FaceTable:
    """Values per projected face, float32 rows: lit colour and accent, light, surface coordinates as linear forms."""

    colour: list[Values]
    accent: list[Values]
    light: Values
    width: Values
    height: Values
    parameters: list[Values]
    forms: list[Values]
    footprint: Values
    texture: NDArray[np.int32]
    texel: Values
    contrast: Values
    pattern: NDArray[np.uint8]
    ground: Mask


def _rows(array: NDArray[Any], padding: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros((padding, *array.shape[1:]), array.dtype)])


def _face_table(faces: Projected, parts: Parts, padding: int, weather: Weather, screen: Screen) -> _FaceTable:
    """Tables with `padding` empty rows at the end (for ellipsoids and the sky)."""
    material = parts.material[faces.source]
    linear = faces.linear
    light = _light(faces.normal, weather)
    colour = parts.colour[faces.source] * light
    accent = parts.accent[faces.source] * light
    texel = materials.TEXEL_M[material].astype(np.float64)
    forms = (faces.coordinates[:, :2, :3] + faces.coordinates[:, :2, 3:] * linear[:, None, :]) / texel[:, None, None]
    distance = 1.0 / np.maximum(np.sqrt((linear**2).sum(1)), 1e-9)
    footprint = 1.0 / (screen.intrinsics.fx * texel * np.sqrt(distance))

    def pad(array: NDArray[np.generic], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        return _rows(np.ascontiguousarray(array, dtype), padding)

    return _FaceTable(
        [pad(colour[:, k]) for k in range(3)],
        [pad(accent[:, k]) for k in range(3)],
        pad(light.mean(1)),
        pad(faces.size[:, 0]),
        pad(faces.size[:, 1]),
        [pad(parts.parameters[faces.source, k]) for k in range(parts.parameters.shape[1])],
        [pad(forms[:, i, k]) for i in range(2) for k in range(3)],
        pad(footprint),
        pad(materials.TEXTURE[material], np.int32),
        pad(texel),
        pad(materials.CONTRAST[material]),
        pad(materials.PATTERN[material], np.uint8),
        pad(materials.GROUND[material], bool),
    )


def _light(normal: Points, weather: Weather) -> Points:
    """Light on surfaces with unit normals [N, 3]: [N, 3]. The sky lights from above, the ground a little from below."""
    sky = 0.72 + 0.28 * normal[:, 2:]
    sun = np.maximum(normal @ weather.sun, 0.0)[:, None]
    return sky * np.array(weather.skylight) + sun * np.array(weather.sunlight)


CHUNK_PIXELS = 16_384
"""Pixels textured together: few enough for all the arrays in use to stay in the processor's cache."""


class Shader:
    """Colours the pixels of one view, some rows at a time."""

    def __init__(
        self,
        visible: Visible,
        faces: tuple[Projected, Parts],
        ellipsoids: tuple[Projected, Parts],
        weather: Weather,
        shadows: ShadowMap,
        screen: Screen,
    ) -> None:
        self._visible, self._weather, self._shadows, self._screen = visible, weather, shadows, screen
        self._first_ball = len(faces[0].source)
        self._faces = _face_table(*faces, len(ellipsoids[0].source) + 1, weather, screen)
        self._balls = _ball_table(*ellipsoids, weather)

    def rows(self, top: int, bottom: int) -> list[Values]:
        """Red, green and blue, each [bottom - top, W] float32 in display units, about 0 … 255, before the lens."""
        shape = (bottom - top, self._screen.width)
        return [channel.reshape(shape) for channel in self._colours(slice(top, bottom))]

    def _colours(self, rows: slice) -> list[Values]:
        width, count = self._screen.width, (rows.stop - rows.start) * self._screen.width
        x, y = self._screen.rays()
        x, y = np.tile(x, rows.stop - rows.start), np.repeat(y[rows], width)
        part = self._visible.part[rows].ravel().astype(np.intp)
        depth, u, v, grain, *channels = np.empty((7, count), np.float32)
        step = max(1, CHUNK_PIXELS // width) * width
        inverse = self._visible.inverse_depth[rows].ravel()
        for start in range(0, count, step):
            chunk = slice(start, start + step)
            np.divide(1.0, np.maximum(inverse[chunk], np.float32(1e-5)), out=depth[chunk])
            self._texture(chunk, part, x, y, depth, u, v, grain, channels)
        _apply_patterns(self._faces, part, u, v, grain, channels)
        pixel = 1 / self._screen.intrinsics.fx
        _shade_ellipsoids(part - self._first_ball, x, y, depth, pixel, self._balls, self._weather, channels)
        _haze(channels, depth, self._weather)
        sky = np.flatnonzero(part < 0)
        if len(sky):
            gain, offset = self._weather.display
            for channel, value in zip(channels, sky_colour(x[sky], y[sky], self._weather, self._screen)):
                channel[sky] = value * gain + offset
        return channels

    def _texture(
        self,
        chunk: slice,
        part: Places,
        x: Values,
        y: Values,
        depth: Values,
        u: Values,
        v: Values,
        grain: Values,
        channels: list[Values],
    ) -> None:
        """Fill in surface coordinates, texture with shadows, and textured colour for the pixels of a chunk."""
        faces, part, depth = self._faces, part[chunk], depth[chunk]
        _surface(faces.forms[:3], part, x[chunk], y[chunk], depth, u[chunk])
        _surface(faces.forms[3:], part, x[chunk], y[chunk], depth, v[chunk])
        footprint = np.sqrt(depth)
        footprint *= depth
        footprint *= faces.footprint.take(part)
        np.maximum(footprint, np.float32(1), out=footprint)
        fine = sample(faces.texture.take(part), u[chunk], v[chunk], footprint)
        fine *= faces.contrast.take(part)
        fine += 1
        _ground(faces, part, u[chunk], v[chunk], fine, self._shadows)
        grain[chunk] = fine
        for channel, colour in zip(channels, faces.colour):
            np.multiply(colour.take(part), fine, out=channel[chunk])


def _surface(form: list[Values], part: Places, x: Values, y: Values, depth: Values, out: Values) -> None:
    """One surface coordinate in texels: (a x + b y + c) depth, with a, b, c by part."""
    a, b, c = form
    np.multiply(a.take(part), x, out=out)
    other = b.take(part)
    other *= y
    out += other
    out += c.take(part)
    out *= depth


def _ground(table: _FaceTable, part: Places, u: Values, v: Values, grain: Values, shadows: ShadowMap) -> None:
    """Stains and shadows; ground coordinates are world coordinates."""
    where = np.flatnonzero(table.ground.take(part))
    if len(where):
        texel = table.texel.take(part[where])
        grain[where] *= shadows.at(u[where] * texel, v[where] * texel)


def _apply_patterns(
    table: _FaceTable, part: Places, u: Values, v: Values, grain: Values, channels: list[Values]
) -> None:
    """Replace the colour of pixels whose surface has a pattern."""
    kinds = table.pattern.take(part)
    facade = np.flatnonzero(kinds == Pattern.FACADE)  # by far the most pixels: not worth sorting
    others = np.flatnonzero(kinds > Pattern.FACADE)
    others = others[np.argsort(kinds[others], kind="stable")]
    ends = np.searchsorted(kinds[others], np.arange(max(FACES) + 2))
    for kind, pattern in FACES.items():
        where = facade if kind == Pattern.FACADE else others[ends[kind] : ends[kind + 1]]
        if len(where):
            own = part.take(where)
            texel = table.texel.take(own)
            pixels = Pixels(own, u.take(where) * texel, v.take(where) * texel, grain.take(where), table)
            for channel, value in zip(channels, pattern(pixels)):
                channel[where] = value


@dataclass(frozen=True)
class _BallTable:
    """Values per projected ellipsoid, float32: unlit colour and accent, map to the unit sphere, light directions."""

    colour: list[Values]
    accent: list[Values]
    affine: list[list[Values]]
    scale: Values
    texel: Values
    contrast: Values
    pattern: NDArray[np.uint8]
    sun: list[Values]
    up: list[Values]


def _ball_table(ellipsoids: Projected, parts: Parts, weather: Weather) -> _BallTable:
    material = parts.material[ellipsoids.source]
    texel = materials.TEXEL_M[material]

    def column(array: NDArray[np.floating], k: int) -> Values:
        return np.ascontiguousarray(array[:, k], np.float32)

    colour, accent = parts.colour[ellipsoids.source], parts.accent[ellipsoids.source]
    return _BallTable(
        [column(colour, k) for k in range(3)],
        [column(accent, k) for k in range(3)],
        [[column(ellipsoids.coordinates[:, i], k) for k in range(4)] for i in range(3)],
        (ellipsoids.size.mean(1) / texel).astype(np.float32),
        texel,
        materials.CONTRAST[material],
        materials.PATTERN[material],
        _toward(ellipsoids, weather.sun),
        _toward(ellipsoids, np.array([0.0, 0.0, 1.0])),
    )


def _shade_ellipsoids(
    ball: Places,
    x: Values,
    y: Values,
    depth: Values,
    pixel: float,
    table: _BallTable,
    weather: Weather,
    channels: list[Values],
) -> None:
    """Colour the pixels whose `ball` is an ellipsoid (0 or more); `pixel` is the width of one at 1 m."""
    where = np.flatnonzero(ball >= 0)
    if not len(where):
        return
    own = ball[where]
    x, y, depth = x[where], y[where], depth[where]
    unit = []
    for a, b, c, d in table.affine:
        value = a.take(own) * x
        value += b.take(own) * y
        value += c.take(own)
        value *= depth
        value += d.take(own)
        unit.append(np.clip(value, -1.05, 1.05, out=value))
    scale = table.scale.take(own)
    footprint = depth * np.float32(pixel) / table.texel.take(own)
    across, along, up = (value * scale for value in unit)
    noise = sample_volume(across, along, up, np.maximum(footprint, np.float32(1)))
    direct = sum(axis.take(own) * value for axis, value in zip(table.sun, unit))
    above = sum(axis.take(own) * value for axis, value in zip(table.up, unit))
    pattern = table.pattern.take(own)
    leafy = pattern == Pattern.FOLIAGE
    direct = np.where(leafy, 0.45 + 0.55 * direct, direct)
    np.maximum(direct, 0, out=direct)
    above = np.where(leafy, 0.62 + 0.42 * above, 0.72 + 0.28 * above)
    noise *= table.contrast.take(own)
    noise += 1
    tones = [colour.take(own) for colour in table.colour]
    wheel = np.flatnonzero(pattern == Pattern.WHEEL)
    if len(wheel):
        _rims(own[wheel], [value[wheel] for value in unit], wheel, table, tones)
    for k, channel in enumerate(channels):
        light = above * np.float32(weather.skylight[k]) + direct * np.float32(weather.sunlight[k])
        channel[where] = tones[k] * noise * light


def _toward(ellipsoids: Projected, direction: Points) -> list[Values]:
    """`direction` (world) in the unit-sphere coordinates of every ellipsoid, as normals transform, unit length."""
    axes = ellipsoids.normal
    local = np.einsum("nij,j->ni", axes / (axes**2).sum(2, keepdims=True), direction)
    local /= np.maximum(np.sqrt((local**2).sum(1, keepdims=True)), 1e-9)
    return [np.ascontiguousarray(local[:, k], np.float32) for k in range(3)]


def _rims(own: Places, unit: list[Values], wheel: Places, table: _BallTable, tones: list[Values]) -> None:
    """Rim with five openings inside the tyre."""
    radius = np.sqrt(unit[0] ** 2 + unit[2] ** 2)
    angle = np.arctan2(unit[2], unit[0]) * np.float32(5 / (2 * np.pi))
    spoke = np.abs(angle - np.round(angle)) > 0.22
    rim = (radius < 0.68) & ~((radius > 0.22) & (radius < 0.58) & spoke)
    for tone, accent in zip(tones, table.accent):
        tone[wheel] = np.where(rim, accent.take(own), tone[wheel])


def _haze(channels: list[Values], depth: Values, weather: Weather) -> None:
    """Veil what is far, and scale to display units."""
    gain, offset = weather.display
    clear = np.exp(depth * np.float32(-weather.haze))
    clear *= gain
    for channel, horizon in zip(channels, weather.horizon):
        veil = np.float32(horizon * 0.95)
        channel -= veil
        channel *= clear
        channel += veil * gain + offset
