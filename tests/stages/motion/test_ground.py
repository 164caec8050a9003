from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.motion.ground import height_above_ground
from tests.stages.motion.moving_boxes import BASELINE, HEIGHT, INTRINSICS, WIDTH, depth_map, rays


BOX = (slice(45, 75), slice(40, 85), 10.0)


def points(noise: float = 0.0, tilt: float = 0.0) -> np.ndarray:
    """The street of boxes, ground 1.5 m below the camera, with noisy disparities; rolled by `tilt` rad."""
    depth, _ = depth_map([BOX])
    disparity = INTRINSICS[0, 0] * BASELINE / depth + np.random.default_rng(3).normal(0, noise, depth.shape)
    placed = rays() * (INTRINSICS[0, 0] * BASELINE / disparity)[..., None]
    if tilt:
        down = rays()[..., 1] * np.cos(tilt) + rays()[..., 0] * np.sin(tilt)
        placed = rays() * np.minimum(25.0, np.where(down > 0.01, 1.5 / np.maximum(down, 0.01), 25.0))[..., None]
    return placed.astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_height_is_measured_from_the_ground(noise):
    height = height_above_ground(points(noise), INTRINSICS, BASELINE)
    assert height is not None and height.shape == (HEIGHT, WIDTH) and height.dtype == np.float32
    ground = height[85:, :]
    assert np.abs(np.median(ground)) < 0.01 and np.abs(ground).max() < 0.1
    top = 1.5 + points()[45, 60, 1] * -1
    np.testing.assert_allclose(np.median(height[45, 40:85]), top, atol=0.05)


def test_a_ground_that_leans_is_found():
    height = height_above_ground(points(tilt=0.08), INTRINSICS, BASELINE)
    assert height is not None and np.abs(height[100:]).max() < 0.02


def test_without_points_or_a_plane_below_the_camera_there_is_no_ground():
    seen = points()
    assert height_above_ground(np.zeros_like(seen), INTRINSICS, BASELINE) is None
    wall = (rays() * 10.0).astype(np.float32)
    assert height_above_ground(wall, INTRINSICS, BASELINE) is None
    scattered = (rays() * np.random.default_rng(0).uniform(4, 39, seen.shape[:2])[..., None]).astype(np.float32)
    assert height_above_ground(scattered, INTRINSICS, BASELINE) is None


def test_the_seed_fixes_the_plane():
    first, again = (height_above_ground(points(0.2), INTRINSICS, BASELINE, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first, again)
