"""The walls of houses: storeys of windows, doors, shops with a lettered board, a cornice (see `patterns`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.arrays import Places, Values
from mbps_dataset.scenes.pattern_pixels import HASH, Channels, Pixels, fraction, put


_BOARDS = np.array(
    [(0.6, 0.15, 0.12), (0.12, 0.2, 0.42), (0.1, 0.1, 0.11), (0.75, 0.72, 0.65), (0.15, 0.36, 0.24)], np.float32
)


class _Cells:
    """The grid of windows of façade pixels: cell `i`, `j`, position `x`, `y` in it (−0.5 … 0.5), a number per cell."""

    def __init__(self, p: Pixels) -> None:
        self.storey = p.parameter(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            across = p.per_part(lambda t: np.maximum(np.floor(t.width / t.parameters[0]), 1) / t.width)
            self.frame_x = p.per_part(lambda t: 0.07 / t.parameters[0])
            self.frame_y = p.per_part(lambda t: 0.07 / t.parameters[1])
        self.x, self.y = p.u * across, p.v / self.storey
        i, self.j = np.floor(self.x), np.floor(self.y)
        self.x -= i
        self.x -= np.float32(0.5)
        self.y -= self.j
        self.y -= np.float32(0.5)
        self.seed = p.parameter(5).astype(np.int32)
        self.dice = HASH.take((i.astype(np.int32) * 73 + self.j.astype(np.int32) * 151 + self.seed) & 4095)


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
    put(channels, (ledge | sill) & ~inside, p.accent, 0.95)
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
        put(glass, (dice < 260) & (ax > half_width * 0.45), (0.62, 0.6, 0.55), light * 0.8)
        put(glass, (dice > 860) & (y > 0), (0.7, 0.69, 0.66), light * 0.75)
    frame = (ax > half_width - frame_x) | (np.abs(y) > half_height - frame_y) | (ax < frame_x * 0.5)
    framed = np.flatnonzero(frame)
    for channel, value, accent in zip(channels, glass, p.accent):
        value[framed] = accent[where[framed]]
        channel[where] = value


def _shop_board(p: Pixels, channels: Channels, where: NDArray[np.intp], seed: NDArray[np.int32]) -> None:
    """A board with lettering above the shop windows, at pixels `where`."""
    u, v, light = p.u[where], p.v[where], p.light[where]
    board = (np.floor(u / 6.5).astype(np.int32) + seed) % len(_BOARDS)
    letter = HASH.take((np.floor(u / 0.13).astype(np.int32) * 7 + seed) & 4095) & 3
    middle = fraction(u / 6.5)
    text = (letter > 0) & (middle > 0.25) & (middle < 0.75) & (fraction(u / 0.26) > 0.2)
    text &= np.abs(v - p.parameter(1)[where] * 0.915) < 0.11
    for k, (channel, ink) in enumerate(zip(channels, (0.85, 0.84, 0.78))):
        channel[where] = np.where(text, np.float32(ink), _BOARDS[:, k].take(board)) * light
