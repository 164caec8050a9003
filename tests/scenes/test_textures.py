"""Texture tables: tileable noise, pyramids, and reading them at the right level."""

from __future__ import annotations

import numpy as np

from mbps_dataset.scenes import textures


def grid(count: int, start: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    axis = (start + step * np.arange(count)).astype(np.float32)
    u, v = np.meshgrid(axis, axis)
    return u.ravel(), v.ravel()


def test_noise_is_normalised_and_repeats_without_a_seam():
    noise = textures.fractal_noise((128, 128), 1.5, 2, 3)
    assert abs(noise.mean()) < 1e-5 and abs(noise.std() - 1) < 1e-5
    inner, seam = np.abs(np.diff(noise, axis=1)).mean(), np.abs(noise[:, 0] - noise[:, -1]).mean()
    assert seam < 1.5 * inner
    np.testing.assert_array_equal(noise, textures.fractal_noise((128, 128), 1.5, 2, 3))


def test_every_texture_repeats_after_one_tile():
    u, v = grid(40, -700.0, 3.0)
    one = np.ones_like(u)
    for texture in range(13):
        index = np.full(len(u), texture, np.int32)
        values = textures.sample(index, u, v, one)
        np.testing.assert_array_equal(values, textures.sample(index, u + textures.TILE, v - textures.TILE, one))
        assert values.min() >= -1.8 and values.max() <= 1.8


def test_a_wider_pixel_reads_an_average():
    """The value read at a footprint of 2^k texels is the mean over a block of 2^k x 2^k texels, up to rounding."""
    u, v = grid(8, 0.5, 1.0)
    texture = np.full(len(u), textures.BRICK, np.int32)
    fine = textures.sample(texture, u, v, np.ones_like(u))
    coarse = textures.sample(texture, u, v, np.full_like(u, 8.0))
    assert np.ptp(coarse) == 0 and abs(coarse[0] - fine.mean()) < 0.05


def test_levels_follow_the_footprint():
    footprint = np.array([1.0, 1.9, 2.0, 3.9, 4.0, 1e6], np.float32)
    np.testing.assert_array_equal(textures.level_of(footprint, textures.LEVELS), [0, 0, 1, 1, 2, textures.LEVELS - 1])


def test_the_volume_repeats_after_one_tile():
    rng = np.random.default_rng(0)
    u, v, w = rng.uniform(-300, 300, (3, 200)).astype(np.float32)
    for footprint in (1.0, 5.0):
        wide = np.full_like(u, footprint)
        np.testing.assert_array_equal(
            textures.sample_volume(np.floor(u), np.floor(v), np.floor(w), wide),
            textures.sample_volume(np.floor(u) + textures.TILE_3D, np.floor(v), np.floor(w) - textures.TILE_3D, wide),
        )
