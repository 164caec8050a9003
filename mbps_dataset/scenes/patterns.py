"""Structure on surfaces: windows and doors, car glass and lamps, lettering, sign faces, wheels.

A pattern takes the pixels of one kind of surface and returns their colour. It works from surface coordinates in metres
alone, so that it is fixed to the object. All shapes and proportions are ours, by eye.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbps_dataset.scenes.facade_pattern import facade
from mbps_dataset.scenes.materials import Pattern
from mbps_dataset.scenes.pattern_pixels import HASH, Channels, Pixels, dim, fraction, put


def screen(p: Pixels) -> Channels:
    """Windscreen or rear window: glass with pillars, sky above, seats and dashboard below."""
    x, y = p.u / p.width, p.v / p.height
    glass = (np.abs(x - 0.5) < 0.455) & (y > 0.06) & (y < 0.93)
    sky = (0.12 + 0.5 * np.maximum(y - 0.25, 0) * (0.8 + 0.4 * x)) * p.light
    seat = ((np.abs(x - 0.5) - 0.2) * 14) ** 2 + ((y - 0.3) * 4.5) ** 2 < 1
    sky *= np.where(seat, np.float32(0.72), np.float32(1))
    channels = p.colour
    put(channels, glass, (0.9, 1.0, 1.08), sky)
    put(channels, glass & (y < 0.12), (0.05, 0.05, 0.05), 1.0)
    return channels


def cabin(p: Pixels) -> Channels:
    """Side windows between pillars. Parameters: blind, lean at the start, lean at the end, length (sign: direction)."""
    blind, lean0, lean1 = p.parameter(0) > 0.5, p.parameter(1), p.parameter(2)
    length = np.abs(p.parameter(3))
    y = np.clip(p.v / p.height, 0, 1)
    left, right = lean0 * y, length - lean1 * y
    position = (p.u - left) / np.maximum(right - left, 0.1)
    glass = (y > 0.1) & (y < 0.88) & (p.u > left + 0.09) & (p.u < right - 0.09)
    pillar = (np.abs(position - 0.5) < 0.03) | (np.abs(position - 0.83) < 0.018) | (np.abs(position - 0.13) < 0.014)
    front = np.where(p.parameter(3) > 0, position < 0.42, position > 0.58)
    glass &= ~blind | front
    sky = (0.1 + 0.26 * y + 0.07 * np.sin(p.u * 3.1)) * p.light
    seat = (np.abs(fraction(position * 2) - 0.6) < 0.11) & (y < 0.6)
    sky *= np.where(seat, np.float32(0.5), np.float32(1))
    channels = p.colour
    put(channels, glass, (0.92, 1.0, 1.07), sky)
    put(channels, glass & pillar, (0.05, 0.05, 0.05), p.light)
    return channels


def car_side(p: Pixels) -> Channels:
    """Doors, handles, sill and wheel arches. Parameters: positions of the two axles, wheel radius, height."""
    y = p.v / p.height
    channels = p.colour
    gain = 0.72 + 0.42 * y
    for channel in channels:
        channel *= gain
    first, second = np.minimum(p.parameter(0), p.parameter(1)), np.maximum(p.parameter(0), p.parameter(1))
    between = second - first
    seam = np.minimum(np.abs(p.u - first - 0.42 * between), np.abs(p.u - first - 0.78 * between))
    seam = np.minimum(seam, np.abs(p.u - first - 0.12 * between))
    dim(channels, (seam < 0.014) & (y > 0.15), 0.5)
    handle = (np.abs(p.u - first - 0.5 * between) < 0.08) | (np.abs(p.u - first - 0.86 * between) < 0.08)
    dim(channels, handle & (np.abs(y - 0.86) < 0.04), 0.45)
    put(channels, y < 0.14, (0.06, 0.06, 0.065), p.light)
    radius = p.parameter(2) + 0.07
    centre = p.parameter(2) - 0.2
    distance = np.minimum((p.u - first) ** 2, (p.u - second) ** 2) + (p.v - centre) ** 2
    put(channels, distance < radius**2, (0.025, 0.025, 0.028), p.light)
    return channels


def lamps(p: Pixels) -> Channels:
    """Head lamps and grille (parameter 1) or tail lamps (parameter 0) at the ends of a car."""
    x, y = np.abs(p.u / p.width - 0.5), p.v / p.height
    front = p.parameter(0) > 0.5
    channels = p.colour
    put(channels, front & (x < 0.25) & (y < 0.75) & (y > 0.08), (0.07, 0.07, 0.075), p.light)
    put(channels, front & (x < 0.23) & (fraction(y * 4) < 0.3) & (y < 0.7), (0.3, 0.3, 0.31), p.light)
    lamp = (x > 0.31) & (x < 0.485) & (y > 0.12) & (y < 0.85)
    put(channels, lamp, p.accent)
    glow = lamp & ((x - 0.4) ** 2 * 6 + (y - 0.5) ** 2 * 0.6 < 0.05)
    put(channels, glow, p.accent, 1.25)
    return channels


def bumper(p: Pixels) -> Channels:
    """The lower end of a car: plate, air intake, apron."""
    x, y = np.abs(p.u / p.width - 0.5), p.v / p.height
    channels = p.colour
    dim(channels, y < 0.45, 0.85)
    put(channels, (y < 0.28) | ((x < 0.3) & (y < 0.42)), (0.07, 0.07, 0.075), p.light)
    plate = (np.abs(p.u - p.width / 2) < 0.26) & (np.abs(y - 0.66) < 0.13)
    put(channels, plate, p.accent)
    text = plate & (np.abs(y - 0.66) < 0.07) & (fraction(p.u / 0.06) < 0.55) & (np.abs(p.u - p.width / 2) < 0.21)
    put(channels, text, (0.12, 0.12, 0.13), p.light)
    return channels


def coach_side(p: Pixels) -> Channels:
    """A row of windows, doors, a stripe. Parameters: window spacing, lower and upper edge of the glass, style."""
    pitch, low, high, style = (p.parameter(k) for k in range(4))
    y = p.v / p.height
    cell = np.floor(p.u / pitch)
    x = p.u / pitch - cell
    channels = p.colour
    gain = 0.8 + 0.25 * y
    for channel in channels:
        channel *= gain
    put(channels, (style > 0.5) & (y < low - 0.06) & (y > low - 0.14), p.accent)
    put(channels, (style > 1.5) & (y > high + 0.03), p.accent)
    band = (y > low) & (y < high) & (p.u > 0.25) & (p.u < p.width - 0.25)
    door = (style > 0.5) & (cell % 4 == 1) & (y < high) & (y > 0.05)
    glass = (band | door) & (np.abs(x - 0.5) < 0.46)
    sky = (0.08 + 0.3 * np.maximum(y - low, 0) + 0.05 * np.sin(p.u * 2.3)) * p.light
    put(channels, band | door, (0.05, 0.05, 0.055), p.light)
    put(channels, glass, (0.92, 1.0, 1.08), sky)
    put(channels, y < 0.06, (0.06, 0.06, 0.06), p.light)
    return channels


def coach_front(p: Pixels) -> Channels:
    """The face of a bus or lorry: screen, destination board, lamps. Parameter: 0 lorry, 1 front, 2 rear."""
    style = p.parameter(0)
    x, y = np.abs(p.u / p.width - 0.5), p.v / p.height
    channels = p.colour
    low = np.where(style > 1.5, np.float32(0.55), np.float32(0.4))
    glass = (x < 0.45) & (y > low) & (y < 0.82)
    sky = (0.08 + 0.45 * np.maximum(y - low, 0)) * p.light
    put(channels, glass, (0.92, 1.0, 1.08), sky)
    put(channels, glass & (style < 1.5) & (np.abs(x) < 0.012), (0.05, 0.05, 0.05), p.light)
    board = (style > 0.5) & (x < 0.36) & (y > 0.86) & (y < 0.95)
    put(channels, board, (0.05, 0.05, 0.05), p.light)
    put(channels, board & (fraction(p.u / 0.16) < 0.6) & (np.abs(y - 0.905) < 0.025), (0.95, 0.7, 0.2))
    lamp = (x > 0.34) & (x < 0.46) & (y > 0.13) & (y < 0.22)
    put(channels, lamp & (style < 1.5), (0.88, 0.88, 0.84), p.light)
    put(channels, lamp & (style > 1.5), (0.6, 0.06, 0.05), p.light)
    put(channels, (x < 0.28) & (y > 0.12) & (y < 0.2), (0.08, 0.08, 0.085), p.light)
    put(channels, y < 0.07, (0.06, 0.06, 0.06), p.light)
    return channels


def cargo(p: Pixels) -> Channels:
    """The load of a lorry. Parameter: 0 plain doors, 1 ribs, 2 a stripe with lettering, 3 tarpaulin."""
    style = p.parameter(0)
    y = p.v / p.height
    channels = p.colour
    rib = (style > 0.5) & (style < 1.5) & (fraction(p.u / 0.3) < 0.25)
    dim(channels, rib, 0.82)
    fold = (style > 2.5) & (fraction(p.u / 0.75 + 0.1 * np.sin(3 * y)) < 0.18)
    dim(channels, fold, 0.75)
    stripe = (style > 1.5) & (style < 2.5) & (np.abs(y - 0.55) < 0.2)
    put(channels, stripe, p.accent)
    middle = np.abs(p.u / p.width - 0.5)
    letter = HASH.take(np.floor(p.u / 0.22).astype(np.int32) & 4095) & 3
    text = stripe & (np.abs(y - 0.55) < 0.11) & (middle < 0.3) & (fraction(p.u / 0.44) < 0.72) & (letter > 0)
    put(channels, text, (0.9, 0.9, 0.88), p.light)
    edge = (p.u < 0.07) | (p.u > p.width - 0.07) | (p.v < 0.07) | (p.v > p.height - 0.07)
    dim(channels, edge | ((p.width < 3) & (np.abs(p.u - p.width / 2) < 0.025)), 0.6)
    return channels


def sign(p: Pixels) -> Channels:
    """Faces of traffic signs. Parameter: 0 red ring, 1 blue disc, 2 bar, 3 warning, 4 square, 5 board, 6 priority."""
    style = np.round(p.parameter(0)).astype(np.int32)
    x, y = p.u / p.width * 2 - 1, p.v / p.height * 2 - 1
    radius = np.sqrt(x * x + y * y)
    edge = np.minimum(np.minimum(1 - np.abs(x), 1 - np.abs(y)) * 0.5, 1)
    channels = p.colour
    put(channels, (style == 0) & (radius > 0.74), p.accent)
    put(channels, (style == 0) & (np.abs(np.abs(x) - 0.22) < 0.12) & (np.abs(y) < 0.34), (0.1, 0.1, 0.1), p.light)
    put(
        channels,
        (style == 1) & ((np.abs(x) < 0.12) & (np.abs(y) < 0.5) | (np.abs(np.abs(x) + y - 0.45) < 0.12) & (y > 0)),
        p.accent,
    )
    put(channels, (style == 2) & (np.abs(x) < 0.68) & (np.abs(y) < 0.17), p.accent)
    inner = (np.abs(x) < (1 - y) * 0.5 - 0.24) & (y > -0.8)
    put(channels, (style == 3) & ~inner, p.accent)
    put(channels, (style == 3) & (np.abs(x) < 0.09) & (y > -0.62) & (y < 0.1), (0.1, 0.1, 0.1), p.light)
    put(channels, (style == 4) & (np.abs(x) < 0.6) & (y < 0.45) & (np.abs(x) < (0.55 - y)), p.accent)
    put(channels, (style == 5) & (edge < 0.04), p.accent)
    rows = (np.abs(np.abs(y) - 0.36) < 0.2) & (np.abs(x) < 0.8) & (fraction(p.u / 0.11) < 0.6)
    put(channels, (style == 5) & rows, p.accent)
    put(channels, (style == 6) & (np.abs(x) + np.abs(y) > 0.72), p.accent)
    return channels


def signal(p: Pixels) -> Channels:
    """Three lamps, one lit. Parameter: 0 red, 1 amber, 2 green."""
    lit = np.round(p.parameter(0)).astype(np.int32)
    x, y = p.u / p.width - 0.5, p.v / p.height * 3
    row = 2 - np.clip(np.floor(y), 0, 2).astype(np.int32)
    lamp = (x * p.width) ** 2 + ((fraction(y) - 0.5) * p.height / 3) ** 2 < 0.012
    channels = p.colour
    for k, hue in enumerate(((0.95, 0.16, 0.1), (0.98, 0.68, 0.1), (0.2, 0.9, 0.5))):
        put(channels, lamp & (row == k) & (lit == k), hue, 1.0)
        put(channels, lamp & (row == k) & (lit != k), hue, 0.16)
    return channels


FACES: dict[Pattern, Callable[[Pixels], Channels]] = {
    Pattern.FACADE: facade,
    Pattern.SCREEN: screen,
    Pattern.CABIN: cabin,
    Pattern.CAR_SIDE: car_side,
    Pattern.LAMPS: lamps,
    Pattern.BUMPER: bumper,
    Pattern.COACH_SIDE: coach_side,
    Pattern.COACH_FRONT: coach_front,
    Pattern.CARGO: cargo,
    Pattern.SIGN: sign,
    Pattern.SIGNAL: signal,
}
