"""Structure on surfaces: windows and doors, car glass and lamps, lettering, sign faces, wheels.

A pattern takes the pixels of one kind of surface and returns their colour. It works from surface coordinates in metres
alone, so that it is fixed to the object. All shapes and proportions are ours, by eye.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.arrays import Mask, Places, Values
from mbps_dataset.scenes.materials import Pattern


Channels = list[Values]

_HASH = np.random.default_rng(31).permutation(4096).astype(np.int32)
_BOARDS = np.array(
    [(0.6, 0.15, 0.12), (0.12, 0.2, 0.42), (0.1, 0.1, 0.11), (0.75, 0.72, 0.65), (0.15, 0.36, 0.24)], np.float32
)


class FaceTable(Protocol):
    """What patterns read about parts, one value per part (see `shading`)."""

    colour: list[Values]
    accent: list[Values]
    light: Values
    width: Values
    height: Values
    parameters: list[Values]


class Pixels:
    """Pixels [N] of one kind of surface, with what their part says about them, gathered when asked for.

    `u`, `v` metres from the first corner; `colour`, `accent` lit by the light on the part; `light` its brightness.
    """

    def __init__(self, part: NDArray[np.intp], u: Values, v: Values, grain: Values, table: FaceTable) -> None:
        self.part, self.u, self.v, self.grain, self._table = part, u, v, grain, table
        self._parameters: dict[int, Values] = {}

    @cached_property
    def colour(self) -> Channels:
        return [channel.take(self.part) * self.grain for channel in self._table.colour]

    @cached_property
    def accent(self) -> Channels:
        return [channel.take(self.part) for channel in self._table.accent]

    @cached_property
    def light(self) -> Values:
        return self._table.light.take(self.part)

    @cached_property
    def width(self) -> Values:
        return self._table.width.take(self.part)

    @cached_property
    def height(self) -> Values:
        return self._table.height.take(self.part)

    def parameter(self, k: int) -> Values:
        if k not in self._parameters:
            self._parameters[k] = self._table.parameters[k].take(self.part)
        return self._parameters[k]

    def per_part(self, formula: Callable[[FaceTable], Values]) -> Values:
        """A value worked out once per part, then gathered."""
        return formula(self._table).take(self.part)


def _put(channels: Channels, mask: Mask, colour: Sequence[Values | float], gain: Values | float = 1.0) -> None:
    """Where `mask`, set the channels to `colour` (three numbers or arrays) times `gain`."""
    where = np.flatnonzero(mask)
    for channel, value in zip(channels, colour):
        value = value[where] if isinstance(value, np.ndarray) else value
        channel[where] = value * (gain[where] if isinstance(gain, np.ndarray) else gain)


def _dim(channels: Channels, mask: Mask, gain: float) -> None:
    """Where `mask`, multiply the channels by `gain`."""
    where = np.flatnonzero(mask)
    for channel in channels:
        channel[where] *= np.float32(gain)


def _fraction(values: Values) -> Values:
    return values - np.floor(values)


class _Cells:
    """The grid of windows of façade pixels: cell `i`, `j`, position `x`, `y` in it (−0.5 … 0.5), a number per cell."""

    def __init__(self, p: Pixels) -> None:
        self.storey = p.parameter(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            across = p.per_part(lambda t: np.maximum(np.floor(t.width / t.parameters[0]), 1) / t.width)
            self.frame_x, self.frame_y = (p.per_part(lambda t, k=k: 0.07 / t.parameters[k]) for k in (0, 1))
        self.x, self.y = p.u * across, p.v / self.storey
        i, self.j = np.floor(self.x), np.floor(self.y)
        self.x -= i
        self.x -= np.float32(0.5)
        self.y -= self.j
        self.y -= np.float32(0.5)
        self.seed = p.parameter(5).astype(np.int32)
        self.dice = _HASH.take((i.astype(np.int32) * 73 + self.j.astype(np.int32) * 151 + self.seed) & 4095)


def facade(p: Pixels) -> Channels:
    """Storeys of windows with frames, sills and blinds; doors or shop windows below; a cornice on top.

    Parameters: window spacing, storey height, half width and half height of a window as a part of its cell, shop, seed.
    """
    cells, channels = _Cells(p), p.colour
    half_width, half_height = p.parameter(2), p.parameter(3)
    ground = cells.j < 0.5
    ax, y = np.abs(cells.x), cells.y - np.float32(0.02)
    frame_x, frame_y = cells.frame_x, cells.frame_y
    below_top = p.height - p.v - np.float32(0.75)
    inside = (ax < half_width) & (np.abs(y) < half_height) & (below_top > 0) & ~ground
    sill = (ax < half_width + frame_x) & (np.abs(y + half_height + frame_y * 0.8) < frame_y * 0.8) & ~ground
    ledge = (np.abs(below_top) < 0.12) | (ground & (p.v > cells.storey - 0.16))
    _put(channels, (ledge | sill) & ~inside, p.accent, 0.95)
    where = np.flatnonzero(inside)
    _windows(p, channels, where, cells, ax[where], y[where], half_width[where], half_height[where], upper=True)
    where = np.flatnonzero(ground)
    if len(where):
        _ground_floor(p, channels, where, cells)
    return channels


def _ground_floor(p: Pixels, channels: Channels, where: NDArray[np.intp], cells: _Cells) -> None:
    """The lowest storey at pixels `where`: shop windows under a board, or windows and doors."""
    shop = p.parameter(4)[where] > 0.5
    door = ~shop & (cells.dice[where] < 700)
    half_width = np.where(shop, np.float32(0.43), p.parameter(2)[where])
    half_height = np.where(shop, np.float32(0.4), np.where(door, np.float32(0.36), p.parameter(3)[where]))
    shift = np.where(shop, np.float32(0.06), np.where(door, np.float32(0.14), np.float32(-0.02)))
    ax, y = np.abs(cells.x[where]), cells.y[where] + shift
    inside = (ax < half_width) & (np.abs(y) < half_height)
    v, storey = p.v[where], cells.storey[where]
    outside = where[~inside & (v < storey - 0.16)]
    for channel in channels:
        channel[outside] *= np.float32(0.9)
    chosen = np.flatnonzero(inside)
    glass = where[chosen]
    _windows(p, channels, glass, cells, ax[chosen], y[chosen], half_width[chosen], half_height[chosen], upper=False)
    leaf = chosen[door[chosen] & (ax[chosen] < half_width[chosen] * 0.8)]
    tone = (cells.dice[where[leaf]] & 255).astype(np.float32) * (1 / 255)
    for channel, accent in zip(channels, p.accent):
        channel[where[leaf]] = accent[where[leaf]] * (0.45 + 0.4 * tone)
    board = where[shop & ~inside & (v > storey * 0.84) & (v < storey * 0.99)]
    if len(board):
        _shop_board(p, channels, board, cells.seed[board])


def _windows(
    p: Pixels,
    channels: Channels,
    where: Places,
    cells: _Cells,
    ax: Values,
    y: Values,
    half_width: Values,
    half_height: Values,
    *,
    upper: bool,
) -> None:
    """Glass that mirrors the sky, the shade of the lintel, curtains and blinds, frames; at pixels `where`."""
    dice, light = cells.dice[where], p.light[where]
    frame_x, frame_y = cells.frame_x[where], cells.frame_y[where]
    tone = (dice & 255).astype(np.float32) * np.float32(1 / 255)
    sky = np.clip(0.2 + 0.9 * y / half_height * tone, 0, 1) * 0.35 + 0.06 + 0.12 * tone * tone
    sky[y > half_height - 0.2 / cells.storey[where]] *= 0.55
    sky *= light
    glass = [sky * np.float32(tint) for tint in (0.92, 1.0, 1.1)]
    if upper:
        dice = dice & 1023
        _put(glass, (dice < 260) & (ax > half_width * 0.45), (0.62, 0.6, 0.55), light * 0.8)
        _put(glass, (dice > 860) & (y > 0), (0.7, 0.69, 0.66), light * 0.75)
    frame = (ax > half_width - frame_x) | (np.abs(y) > half_height - frame_y) | (ax < frame_x * 0.5)
    framed = np.flatnonzero(frame)
    for channel, value, accent in zip(channels, glass, p.accent):
        value[framed] = accent[where[framed]]
        channel[where] = value


def _shop_board(p: Pixels, channels: Channels, where: NDArray[np.intp], seed: NDArray[np.int32]) -> None:
    """A board with lettering above the shop windows, at pixels `where`."""
    u, v, light = p.u[where], p.v[where], p.light[where]
    board = (np.floor(u / 6.5).astype(np.int32) + seed) % len(_BOARDS)
    letter = _HASH.take((np.floor(u / 0.13).astype(np.int32) * 7 + seed) & 4095) & 3
    middle = _fraction(u / 6.5)
    text = (letter > 0) & (middle > 0.25) & (middle < 0.75) & (_fraction(u / 0.26) > 0.2)
    text &= np.abs(v - p.parameter(1)[where] * 0.915) < 0.11
    for k, (channel, ink) in enumerate(zip(channels, (0.85, 0.84, 0.78))):
        channel[where] = np.where(text, np.float32(ink), _BOARDS[:, k].take(board)) * light


def screen(p: Pixels) -> Channels:
    """Windscreen or rear window: glass with pillars, sky above, seats and dashboard below."""
    x, y = p.u / p.width, p.v / p.height
    glass = (np.abs(x - 0.5) < 0.455) & (y > 0.06) & (y < 0.93)
    sky = (0.12 + 0.5 * np.maximum(y - 0.25, 0) * (0.8 + 0.4 * x)) * p.light
    seat = ((np.abs(x - 0.5) - 0.2) * 14) ** 2 + ((y - 0.3) * 4.5) ** 2 < 1
    sky *= np.where(seat, np.float32(0.72), np.float32(1))
    channels = p.colour
    _put(channels, glass, (0.9, 1.0, 1.08), sky)
    _put(channels, glass & (y < 0.12), (0.05, 0.05, 0.05), 1.0)
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
    seat = (np.abs(_fraction(position * 2) - 0.6) < 0.11) & (y < 0.6)
    sky *= np.where(seat, np.float32(0.5), np.float32(1))
    channels = p.colour
    _put(channels, glass, (0.92, 1.0, 1.07), sky)
    _put(channels, glass & pillar, (0.05, 0.05, 0.05), p.light)
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
    _dim(channels, (seam < 0.014) & (y > 0.15), 0.5)
    handle = (np.abs(p.u - first - 0.5 * between) < 0.08) | (np.abs(p.u - first - 0.86 * between) < 0.08)
    _dim(channels, handle & (np.abs(y - 0.86) < 0.04), 0.45)
    _put(channels, y < 0.14, (0.06, 0.06, 0.065), p.light)
    radius = p.parameter(2) + 0.07
    centre = p.parameter(2) - 0.2
    distance = np.minimum((p.u - first) ** 2, (p.u - second) ** 2) + (p.v - centre) ** 2
    _put(channels, distance < radius**2, (0.025, 0.025, 0.028), p.light)
    return channels


def lamps(p: Pixels) -> Channels:
    """Head lamps and grille (parameter 1) or tail lamps (parameter 0) at the ends of a car."""
    x, y = np.abs(p.u / p.width - 0.5), p.v / p.height
    front = p.parameter(0) > 0.5
    channels = p.colour
    _put(channels, front & (x < 0.25) & (y < 0.75) & (y > 0.08), (0.07, 0.07, 0.075), p.light)
    _put(channels, front & (x < 0.23) & (_fraction(y * 4) < 0.3) & (y < 0.7), (0.3, 0.3, 0.31), p.light)
    lamp = (x > 0.31) & (x < 0.485) & (y > 0.12) & (y < 0.85)
    _put(channels, lamp, p.accent)
    glow = lamp & ((x - 0.4) ** 2 * 6 + (y - 0.5) ** 2 * 0.6 < 0.05)
    _put(channels, glow, p.accent, 1.25)
    return channels


def bumper(p: Pixels) -> Channels:
    """The lower end of a car: plate, air intake, apron."""
    x, y = np.abs(p.u / p.width - 0.5), p.v / p.height
    channels = p.colour
    _dim(channels, y < 0.45, 0.85)
    _put(channels, (y < 0.28) | ((x < 0.3) & (y < 0.42)), (0.07, 0.07, 0.075), p.light)
    plate = (np.abs(p.u - p.width / 2) < 0.26) & (np.abs(y - 0.66) < 0.13)
    _put(channels, plate, p.accent)
    text = plate & (np.abs(y - 0.66) < 0.07) & (_fraction(p.u / 0.06) < 0.55) & (np.abs(p.u - p.width / 2) < 0.21)
    _put(channels, text, (0.12, 0.12, 0.13), p.light)
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
    _put(channels, (style > 0.5) & (y < low - 0.06) & (y > low - 0.14), p.accent)
    _put(channels, (style > 1.5) & (y > high + 0.03), p.accent)
    band = (y > low) & (y < high) & (p.u > 0.25) & (p.u < p.width - 0.25)
    door = (style > 0.5) & (cell % 4 == 1) & (y < high) & (y > 0.05)
    glass = (band | door) & (np.abs(x - 0.5) < 0.46)
    sky = (0.08 + 0.3 * np.maximum(y - low, 0) + 0.05 * np.sin(p.u * 2.3)) * p.light
    _put(channels, band | door, (0.05, 0.05, 0.055), p.light)
    _put(channels, glass, (0.92, 1.0, 1.08), sky)
    _put(channels, y < 0.06, (0.06, 0.06, 0.06), p.light)
    return channels


def coach_front(p: Pixels) -> Channels:
    """The face of a bus or lorry: screen, destination board, lamps. Parameter: 0 lorry, 1 front, 2 rear."""
    style = p.parameter(0)
    x, y = np.abs(p.u / p.width - 0.5), p.v / p.height
    channels = p.colour
    low = np.where(style > 1.5, np.float32(0.55), np.float32(0.4))
    glass = (x < 0.45) & (y > low) & (y < 0.82)
    sky = (0.08 + 0.45 * np.maximum(y - low, 0)) * p.light
    _put(channels, glass, (0.92, 1.0, 1.08), sky)
    _put(channels, glass & (style < 1.5) & (np.abs(x) < 0.012), (0.05, 0.05, 0.05), p.light)
    board = (style > 0.5) & (x < 0.36) & (y > 0.86) & (y < 0.95)
    _put(channels, board, (0.05, 0.05, 0.05), p.light)
    _put(channels, board & (_fraction(p.u / 0.16) < 0.6) & (np.abs(y - 0.905) < 0.025), (0.95, 0.7, 0.2))
    lamp = (x > 0.34) & (x < 0.46) & (y > 0.13) & (y < 0.22)
    _put(channels, lamp & (style < 1.5), (0.88, 0.88, 0.84), p.light)
    _put(channels, lamp & (style > 1.5), (0.6, 0.06, 0.05), p.light)
    _put(channels, (x < 0.28) & (y > 0.12) & (y < 0.2), (0.08, 0.08, 0.085), p.light)
    _put(channels, y < 0.07, (0.06, 0.06, 0.06), p.light)
    return channels


def cargo(p: Pixels) -> Channels:
    """The load of a lorry. Parameter: 0 plain doors, 1 ribs, 2 a stripe with lettering, 3 tarpaulin."""
    style = p.parameter(0)
    y = p.v / p.height
    channels = p.colour
    rib = (style > 0.5) & (style < 1.5) & (_fraction(p.u / 0.3) < 0.25)
    _dim(channels, rib, 0.82)
    fold = (style > 2.5) & (_fraction(p.u / 0.75 + 0.1 * np.sin(3 * y)) < 0.18)
    _dim(channels, fold, 0.75)
    stripe = (style > 1.5) & (style < 2.5) & (np.abs(y - 0.55) < 0.2)
    _put(channels, stripe, p.accent)
    middle = np.abs(p.u / p.width - 0.5)
    letter = _HASH.take(np.floor(p.u / 0.22).astype(np.int32) & 4095) & 3
    text = stripe & (np.abs(y - 0.55) < 0.11) & (middle < 0.3) & (_fraction(p.u / 0.44) < 0.72) & (letter > 0)
    _put(channels, text, (0.9, 0.9, 0.88), p.light)
    edge = (p.u < 0.07) | (p.u > p.width - 0.07) | (p.v < 0.07) | (p.v > p.height - 0.07)
    _dim(channels, edge | ((p.width < 3) & (np.abs(p.u - p.width / 2) < 0.025)), 0.6)
    return channels


def sign(p: Pixels) -> Channels:
    """Faces of traffic signs. Parameter: 0 red ring, 1 blue disc, 2 bar, 3 warning, 4 square, 5 board, 6 priority."""
    style = np.round(p.parameter(0)).astype(np.int32)
    x, y = p.u / p.width * 2 - 1, p.v / p.height * 2 - 1
    radius = np.sqrt(x * x + y * y)
    edge = np.minimum(np.minimum(1 - np.abs(x), 1 - np.abs(y)) * 0.5, 1)
    channels = p.colour
    _put(channels, (style == 0) & (radius > 0.74), p.accent)
    _put(channels, (style == 0) & (np.abs(np.abs(x) - 0.22) < 0.12) & (np.abs(y) < 0.34), (0.1, 0.1, 0.1), p.light)
    _put(
        channels,
        (style == 1) & ((np.abs(x) < 0.12) & (np.abs(y) < 0.5) | (np.abs(np.abs(x) + y - 0.45) < 0.12) & (y > 0)),
        p.accent,
    )
    _put(channels, (style == 2) & (np.abs(x) < 0.68) & (np.abs(y) < 0.17), p.accent)
    inner = (np.abs(x) < (1 - y) * 0.5 - 0.24) & (y > -0.8)
    _put(channels, (style == 3) & ~inner, p.accent)
    _put(channels, (style == 3) & (np.abs(x) < 0.09) & (y > -0.62) & (y < 0.1), (0.1, 0.1, 0.1), p.light)
    _put(channels, (style == 4) & (np.abs(x) < 0.6) & (y < 0.45) & (np.abs(x) < (0.55 - y)), p.accent)
    _put(channels, (style == 5) & (edge < 0.04), p.accent)
    rows = (np.abs(np.abs(y) - 0.36) < 0.2) & (np.abs(x) < 0.8) & (_fraction(p.u / 0.11) < 0.6)
    _put(channels, (style == 5) & rows, p.accent)
    _put(channels, (style == 6) & (np.abs(x) + np.abs(y) > 0.72), p.accent)
    return channels


def signal(p: Pixels) -> Channels:
    """Three lamps, one lit. Parameter: 0 red, 1 amber, 2 green."""
    lit = np.round(p.parameter(0)).astype(np.int32)
    x, y = p.u / p.width - 0.5, p.v / p.height * 3
    row = 2 - np.clip(np.floor(y), 0, 2).astype(np.int32)
    lamp = (x * p.width) ** 2 + ((_fraction(y) - 0.5) * p.height / 3) ** 2 < 0.012
    channels = p.colour
    for k, hue in enumerate(((0.95, 0.16, 0.1), (0.98, 0.68, 0.1), (0.2, 0.9, 0.5))):
        _put(channels, lamp & (row == k) & (lit == k), hue, 1.0)
        _put(channels, lamp & (row == k) & (lit != k), hue, 0.16)
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
