"""The colour of every visible pixel: texture, pattern, light, shadow, haze and sky.

Shading happens once per visible pixel, after visibility, for all parts together: what belongs to a part is looked up
from small tables by the part of the pixel. Only patterns and ellipsoids are handled in groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.sources.scenes import materials
from mbps_dataset.sources.scenes.materials import Pattern
from mbps_dataset.sources.scenes.patterns import FACES, Pixels
from mbps_dataset.sources.scenes.primitives import Parts
from mbps_dataset.sources.scenes.projection import Projected, Screen
from mbps_dataset.sources.scenes.raster import Visible
from mbps_dataset.sources.scenes.sky import sky_colour
from mbps_dataset.sources.scenes.textures import sample, sample_volume, smooth_table
from mbps_dataset.sources.scenes.weather import ShadowMap, Weather


@dataclass(frozen=True)
class _FaceTable:
    """Values per projected face, float32 rows: lit colour and accent, light, surface coordinates as linear forms."""

    colour: list[NDArray[np.float32]]
    accent: list[NDArray[np.float32]]
    light: NDArray[np.float32]
    width: NDArray[np.float32]
    height: NDArray[np.float32]
    parameters: list[NDArray[np.float32]]
    forms: list[NDArray[np.float32]]
    footprint: NDArray[np.float32]
    texture: NDArray[np.int32]
    texel: NDArray[np.float32]
    contrast: NDArray[np.float32]
    pattern: NDArray[np.uint8]
    ground: NDArray[np.bool_]


def _rows(array: NDArray, padding: int) -> NDArray:
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

    def pad(array, dtype=np.float32):
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


def _light(normal: NDArray[np.float64], weather: Weather) -> NDArray[np.float64]:
    """Light on surfaces with unit normals [N, 3]: [N, 3]. The sky lights from above, the ground a little from below."""
    sky = 0.72 + 0.28 * normal[:, 2:]
    sun = np.maximum(normal @ weather.sun, 0.0)[:, None]
    return sky * np.array(weather.skylight) + sun * np.array(weather.sunlight)


def shade(
    visible: Visible,
    faces: Projected,
    face_parts: Parts,
    ellipsoids: Projected,
    ellipsoid_parts: Parts,
    weather: Weather,
    shadows: ShadowMap,
    screen: Screen,
) -> list[NDArray[np.float32]]:
    """Red, green and blue, each [H * W] float32, about 0 … 1, before the camera."""
    count = len(faces.source)
    table = _face_table(faces, face_parts, len(ellipsoids.source) + 1, weather, screen)
    part = visible.part.ravel().astype(np.intp)
    inverse = np.maximum(visible.inverse_depth.ravel(), np.float32(1e-5))
    depth = 1.0 / inverse
    x, y = screen.rays()
    x_flat = np.broadcast_to(x, visible.part.shape).ravel()
    y_flat = np.broadcast_to(y[:, None], visible.part.shape).ravel()
    u, v = _surface(table.forms, part, x_flat, y_flat, depth)
    footprint = depth * np.sqrt(depth)
    footprint *= table.footprint.take(part)
    grain = sample(table.texture.take(part), u, v, np.maximum(footprint, np.float32(1)))
    grain *= table.contrast.take(part)
    grain += 1
    _ground(table, part, u, v, grain, shadows)
    channels = [channel.take(part) * grain for channel in table.colour]
    _apply_patterns(table, part, u, v, grain, channels)
    _shade_ellipsoids(part, count, ellipsoids, ellipsoid_parts, x_flat, y_flat, depth, weather, screen, channels)
    _haze(channels, depth, weather)
    sky = np.flatnonzero(part < 0)
    if len(sky):
        for channel, value in zip(channels, sky_colour(x_flat[sky], y_flat[sky], weather, screen)):
            channel[sky] = value
    return channels


def _surface(forms, part, x, y, depth):
    result = []
    for a, b, c in (forms[:3], forms[3:]):
        value = a.take(part)
        value *= x
        other = b.take(part)
        other *= y
        value += other
        value += c.take(part)
        value *= depth
        result.append(value)
    return result


def _ground(table: _FaceTable, part, u, v, grain, shadows: ShadowMap) -> None:
    """Stains and shadows; ground coordinates are world coordinates."""
    where = np.flatnonzero(table.ground.take(part))
    texel = table.texel.take(part[where])
    x, y = u[where] * texel, v[where] * texel
    stain = smooth_table().ravel()
    index = ((y * 16 + 8192).astype(np.int32) & 511) * 512 + ((x * 24 + 8192).astype(np.int32) & 511)
    grain[where] *= shadows.at(x, y) * (1 + np.float32(0.09) * stain.take(index))


def _apply_patterns(table: _FaceTable, part, u, v, grain, channels) -> None:
    kinds = table.pattern.take(part)
    patterned = np.flatnonzero(kinds)
    kinds = kinds[patterned]
    for kind, pattern in FACES.items():
        if not (table.pattern == kind).any():
            continue
        where = patterned[kinds == kind]
        if not len(where):
            continue
        own = part[where]
        texel = table.texel.take(own)
        pixels = Pixels(own, u[where] * texel, v[where] * texel, grain[where], table)
        for channel, value in zip(channels, pattern(pixels)):
            channel[where] = value


def _shade_ellipsoids(part, count, ellipsoids, parts, x, y, depth, weather, screen, channels) -> None:
    where = np.flatnonzero(part >= count)
    if not len(where):
        return
    own = part[where] - count
    x, y, depth = x[where], y[where], depth[where]
    source = ellipsoids.source
    material = parts.material[source]
    affine = ellipsoids.coordinates.astype(np.float32)
    unit = []
    for k in range(3):
        value = affine[:, k, 0].take(own) * x
        value += affine[:, k, 1].take(own) * y
        value += affine[:, k, 2].take(own)
        value *= depth
        value += affine[:, k, 3].take(own)
        unit.append(np.clip(value, -1.05, 1.05, out=value))
    scale = ellipsoids.size.mean(1) / materials.TEXEL_M[material]
    grain_scale = scale.astype(np.float32).take(own)
    pixel = depth * np.float32(1 / screen.intrinsics.fx) / materials.TEXEL_M[material].take(own)
    noise = sample_volume(*(value * grain_scale for value in unit), np.maximum(pixel, np.float32(1)))
    sun, up = _toward(ellipsoids, weather.sun), _toward(ellipsoids, np.array([0.0, 0.0, 1.0]))
    direct = sum(axis.take(own) * value for axis, value in zip(sun, unit))
    above = sum(axis.take(own) * value for axis, value in zip(up, unit))
    leafy = (materials.PATTERN[material] == Pattern.FOLIAGE).take(own)
    direct = np.where(leafy, 0.45 + 0.55 * direct, direct)
    np.maximum(direct, 0, out=direct)
    above = np.where(leafy, 0.62 + 0.42 * above, 0.72 + 0.28 * above)
    gain = 1 + materials.CONTRAST[material].take(own) * noise
    colour = parts.colour[source]
    wheel = np.flatnonzero((materials.PATTERN[material] == Pattern.WHEEL).take(own))
    tones = [np.ascontiguousarray(colour[:, k]).take(own) for k in range(3)]
    if len(wheel):
        _rims(own[wheel], [value[wheel] for value in unit], parts, source, wheel, tones)
    for k, channel in enumerate(channels):
        light = above * np.float32(weather.skylight[k]) + direct * np.float32(weather.sunlight[k])
        channel[where] = tones[k] * gain * light


def _toward(ellipsoids: Projected, direction: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    """`direction` (world) in the unit-sphere coordinates of every ellipsoid, as normals transform, unit length."""
    axes = ellipsoids.normal
    local = np.einsum("nij,j->ni", axes / (axes**2).sum(2, keepdims=True), direction)
    local /= np.maximum(np.sqrt((local**2).sum(1, keepdims=True)), 1e-9)
    return [np.ascontiguousarray(local[:, k], np.float32) for k in range(3)]


def _rims(own, unit, parts: Parts, source, wheel, tones) -> None:
    """Rim with five openings inside the tyre."""
    radius = np.sqrt(unit[0] ** 2 + unit[2] ** 2)
    angle = np.arctan2(unit[2], unit[0]) * np.float32(5 / (2 * np.pi))
    spoke = np.abs(angle - np.round(angle)) > 0.22
    rim = (radius < 0.68) & ~((radius > 0.22) & (radius < 0.58) & spoke)
    accent = parts.accent[source]
    for k in range(3):
        value = tones[k][wheel]
        tones[k][wheel] = np.where(rim, np.ascontiguousarray(accent[:, k]).take(own), value)


def _haze(channels, depth, weather: Weather) -> None:
    clear = np.exp(depth * np.float32(-weather.haze))
    for channel, horizon in zip(channels, weather.horizon):
        veil = np.float32(horizon * 0.95)
        channel -= veil
        channel *= clear
        channel += veil
