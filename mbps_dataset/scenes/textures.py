"""Tables of surface texture: tileable, made once per process, read at the resolution that the distance asks for.

Every texture is a luminance tile of 512x512 texels around 128, followed by its halvings (a mip pyramid), all tiles in
one flat array so that pixels of many materials are read in one go. Foliage and cloth read a tile of 128x128x128. The
spectra and patterns are ours.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


TILE = 512
LEVELS = 8
TILE_3D = 128
LEVELS_3D = 6

SMOOTH, ASPHALT, PLASTER, BRICK, STONE, PLANKS, SLABS, COBBLES, GRASS, METAL, TILES, LEAVES, CONCRETE = range(13)


def fractal_noise(shape: tuple[int, ...], slope: float, low: float, seed: int) -> NDArray[np.float32]:
    """Tileable noise with amplitude ``f ** -slope`` above the frequency `low` (cycles per tile); mean 0, deviation 1."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfftn(rng.standard_normal(shape))
    axes = [*(np.fft.fftfreq(n, 1 / n) for n in shape[:-1]), np.fft.rfftfreq(shape[-1], 1 / shape[-1])]
    grid = np.meshgrid(*axes, indexing="ij", sparse=True)
    frequency = np.sqrt(sum(axis**2 for axis in grid))
    weight = np.where(frequency >= low, np.maximum(frequency, 1e-6) ** -slope, 0.0)
    noise = np.fft.irfftn(spectrum * weight, shape, axes=range(len(shape)))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def _grooves(period: int, width: int, offset: NDArray[np.int64] | int = 0) -> NDArray[np.float32]:
    return (((np.arange(TILE)[None] + offset) % period) < width).astype(np.float32)


def _blocks(width: int, height: int, joint: int, shift: bool, seed: int) -> NDArray[np.float32]:
    """Rows of blocks with joints: deviation of each texel from the mean, about -3 … 2."""
    rows, columns = np.arange(TILE)[:, None], np.arange(TILE)[None]
    row = rows // height
    along = columns + (row % 2) * (width // 2 if shift else 0)
    tone = np.random.default_rng(seed).standard_normal((TILE // height + 1, TILE // width + 1)).astype(np.float32)
    block = tone[row, (along // width) % (TILE // width)]
    is_joint = ((rows % height) < joint) | ((along % width) < joint)
    return np.where(is_joint, -2.2, 0.7 * block).astype(np.float32)


def _tiles() -> list[NDArray[np.float32]]:
    """Deviation from the mean of each texture, in the order of the names above."""
    shape = (TILE, TILE)
    fine = fractal_noise(shape, 0.3, 4, 1)
    cloud = fractal_noise(shape, 1.4, 2, 2)
    rough = fractal_noise(shape, 0.8, 3, 3)
    crack = (np.abs(fractal_noise(shape, 1.7, 2, 4)) < 0.025).astype(np.float32)
    streak = np.repeat(fractal_noise((TILE, 64), 0.5, 2, 5), 8, axis=1)
    plank = np.random.default_rng(6).standard_normal(TILE // 32 + 1).astype(np.float32)[np.arange(TILE) // 32][None]
    return [
        0.3 * rough,
        0.75 * fine + 0.5 * rough - 1.6 * crack,
        0.4 * rough + 0.7 * cloud,
        _blocks(32, 16, 3, True, 7) + 0.45 * rough,
        _blocks(128, 64, 4, True, 8) + 0.8 * rough,
        0.6 * plank - 2.5 * _grooves(32, 3) + 0.6 * streak.T,
        _blocks(128, 128, 4, False, 9) + 0.6 * rough,
        _blocks(32, 32, 6, True, 10) + 0.5 * rough,
        1.3 * fractal_noise(shape, 0.6, 6, 11) + 0.5 * cloud,
        0.8 * streak.T + 0.4 * cloud,
        _blocks(32, 32, 5, True, 12) * 0.7 - 0.9 * (1 - (np.arange(TILE)[:, None] % 32) / 16) + 0.3 * rough,
        _leaves(),
        _blocks(256, 128, 2, False, 14) * 0.5 + 0.5 * cloud + 0.4 * rough,
    ]


def _leaves() -> NDArray[np.float32]:
    return 1.6 * fractal_noise((TILE, TILE), 0.75, 5, 13)


def _pyramid(tile: NDArray[np.float32], levels: int) -> NDArray[np.uint8]:
    """The tile and its halvings, flat. Contrast fades with the size of the texel, as it does in a lens."""
    parts = []
    for _ in range(levels):
        parts.append(np.clip(128 + 36 * tile, 0, 255).astype(np.uint8).ravel())
        for axis in range(tile.ndim):
            even = np.take(tile, np.arange(0, tile.shape[axis], 2), axis)
            tile = 0.5 * (even + np.take(tile, np.arange(1, tile.shape[axis], 2), axis))
    return np.concatenate(parts)


@lru_cache(maxsize=1)
def texture_table() -> tuple[NDArray[np.uint8], int]:
    """All tiles with their pyramids in one flat array, and the length of one pyramid."""
    pyramids = [_pyramid(tile, LEVELS) for tile in _tiles()]
    return np.concatenate(pyramids), len(pyramids[0])


@lru_cache(maxsize=1)
def leaf_table() -> NDArray[np.uint8]:
    """The pyramid of `LEAVES` alone: shapes need no other texture, so that truth without colours makes no other."""
    return _pyramid(_leaves(), LEVELS)


@lru_cache(maxsize=1)
def volume_table() -> NDArray[np.uint8]:
    """The 3-d tile (rough, for leaves and cloth) with its pyramid, flat."""
    shape = (TILE_3D,) * 3
    return _pyramid(1.15 * fractal_noise(shape, 1.35, 2, 21), LEVELS_3D)


def volume_level(level: int) -> tuple[NDArray[np.uint8], int]:
    """One level of the 3-d tile, flat in the order z, y, x, and the bits of its side (its side is 2 to that power)."""
    side = TILE_3D >> level
    start = int(_OFFSETS_3D[level])
    return volume_table()[start : start + side**3], side.bit_length() - 1


@lru_cache(maxsize=1)
def smooth_table() -> NDArray[np.float32]:
    """Slowly varying noise [512, 512] float32, mean 0, deviation 1: stains on the ground, clouds."""
    return fractal_noise((TILE, TILE), 2.2, 1, 22)


def _offsets(tile: int, levels: int, dimensions: int) -> NDArray[np.int32]:
    sizes = [(tile >> level) ** dimensions for level in range(levels)]
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)


_OFFSETS = _offsets(TILE, LEVELS, 2)
_OFFSETS_3D = _offsets(TILE_3D, LEVELS_3D, 3)


def level_of(footprint: NDArray[np.float32], levels: int) -> NDArray[np.int32]:
    """Pyramid level whose texel is about one pixel: floor(log2(footprint in texels)) within the pyramid, int32 [N]."""
    return np.clip((footprint.view(np.int32) >> 23) - 127, 0, levels - 1)


def _value(table: NDArray[np.uint8], index: NDArray[np.int32]) -> NDArray[np.float32]:
    """Entries of a table as deviations from the mean, about −1.8 … 1.8."""
    value = table.take(index.astype(np.intp)).astype(np.float32)
    value -= 128.0
    value *= np.float32(1 / 72)
    return value


def sample(
    texture: NDArray[np.int32] | int, u: NDArray[np.float32], v: NDArray[np.float32], footprint: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Read a texture: `u`, `v` and the width of a pixel `footprint` in texels, [N] float32; returns about -1 … 1."""
    table, stride = texture_table()
    place = _place(u, v, footprint)
    place += np.multiply(texture, stride, dtype=np.int32)
    return _value(table, place)


def sample_leaves(
    u: NDArray[np.float32], v: NDArray[np.float32], footprint: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`sample` of the texture `LEAVES`."""
    return _value(leaf_table(), _place(u, v, footprint))


def _place(u: NDArray[np.float32], v: NDArray[np.float32], footprint: NDArray[np.float32]) -> NDArray[np.int32]:
    """Where a pyramid holds the texels at `u`, `v`, int32 [N]."""
    level = level_of(footprint, LEVELS)
    column = ((u + 65536.0).astype(np.int32) & (TILE - 1)) >> level
    row = ((v + 65536.0).astype(np.int32) & (TILE - 1)) >> level
    row <<= 9 - level
    row += column
    row += _OFFSETS.take(level.astype(np.intp))
    return row


def sample_volume(
    u: NDArray[np.float32], v: NDArray[np.float32], w: NDArray[np.float32], footprint: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Read the 3-d tile: coordinates and pixel width in texels, [N] float32; returns about -1 … 1."""
    level = level_of(footprint, LEVELS_3D)
    mask, up = TILE_3D - 1, np.float32(4096.0)
    x = ((u + up).astype(np.int32) & mask) >> level
    y = ((v + up).astype(np.int32) & mask) >> level
    z = ((w + up).astype(np.int32) & mask) >> level
    shift = 7 - level
    index = (((z << shift) + y) << shift) + x + _OFFSETS_3D.take(level.astype(np.intp))
    return _value(volume_table(), index)
