"""Points that keep their place on a face or an ellipsoid as it moves, turns and stretches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbps_dataset.scenes.correspondence import correspond, follow
from mbps_dataset.scenes.materials import Material
from mbps_dataset.scenes.primitives import Parts, PartsBuilder
from mbps_dataset.scenes.projection import Screen
from mbps_dataset.scenes.scene_settings import Intrinsics


SQUARE = [[(0.0, 5.0, 0.0), (2.0, 5.0, 0.0), (2.0, 5.0, 1.0), (0.0, 5.0, 1.0)]]
TRIANGLE = [[(0.0, 5.0, 0.0), (2.0, 5.0, 0.0), (1.0, 5.0, 1.0), (0.0, 5.0, 0.0)]]
BALL = [[(1.0, 4.0, 1.0), (0.5, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.2)]]


def parts(faces: list, ellipsoids: list) -> tuple[Parts, Parts]:
    builder = PartsBuilder()
    builder.quads(faces, Material.METAL, (0.5, 0.5, 0.5))
    builder.ellipsoids(ellipsoids, Material.CLOTH, (0.5, 0.5, 0.5))
    return builder.gather()


def moved(of: Parts, rotation: np.ndarray, shift: np.ndarray, *, positions: int) -> Parts:
    shape = of.shape @ rotation.T
    shape[:, :positions] += shift
    return replace(of, shape=shape)


def test_points_follow_faces_and_ellipsoids_that_turn_and_shift():
    before = parts(SQUARE + TRIANGLE, BALL)
    c, s = np.cos(0.3), np.sin(0.3)
    rotation, shift = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), np.array([1.0, -2.0, 0.5])
    after = moved(before[0], rotation, shift, positions=4), moved(before[1], rotation, shift, positions=1)
    points = np.array([[0.7, 5.0, 0.4], [0.9, 5.0, 0.2], [1.0, 3.7, 1.0], [9.0, 9.0, 9.0]])
    found = follow(points, np.array([0, 1, 2, -1]), before, after)
    np.testing.assert_allclose(found[:3], points[:3] @ rotation.T + shift, atol=1e-12)
    np.testing.assert_array_equal(found[3], points[3])


def test_a_limb_that_stretches_takes_its_surface_along():
    before = parts(SQUARE, BALL)
    stretched = before[1].shape.copy()
    stretched[:, 1] *= 2
    found = follow(
        np.array([[1.5, 4.0, 1.0]]), np.array([1]), before, (before[0], replace(before[1], shape=stretched))
    )
    np.testing.assert_allclose(found, [[2.0, 4.0, 1.0]])


def test_a_point_behind_the_camera_has_no_place_and_the_sky_turns_with_the_camera():
    forward = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # looks along y, z is up
    here = Screen(3, 5, Intrinsics(10.0, 10.0, 2.0, 1.0), forward)
    passed = forward.copy()
    passed[1, 3] = 6.0
    still = parts(SQUARE, BALL)
    wall = np.full((3, 5), 0.2, np.float32)
    gone = correspond(here, wall, np.zeros((3, 5), np.intp), (still, still), replace(here, pose=passed), wall)
    assert not gone.seen.any() and not gone.offset.any() and not gone.depth.any()
    sky, nothing = np.zeros((3, 5), np.float32), np.full((3, 5), -1)
    above = correspond(here, sky, nothing, (still, still), replace(here, pose=passed), sky)
    assert above.seen.all() and np.abs(above.offset).max() < 1e-6 and not above.depth.any()
    turned = forward.copy()
    turned[:3, :3] = (
        np.array([[np.cos(0.1), np.sin(0.1), 0], [-np.sin(0.1), np.cos(0.1), 0], [0, 0, 1]]) @ forward[:3, :3]
    )
    there = correspond(here, sky, nothing, (still, still), replace(here, pose=turned), sky)
    np.testing.assert_allclose(there.offset[:, 1, 2], [-10 * np.tan(0.1), 0], atol=1e-5)


def test_a_nearer_surface_hides_what_is_behind_it():
    pose = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    screen, still = Screen(3, 5, Intrinsics(10.0, 10.0, 2.0, 1.0), pose), parts(SQUARE, BALL)
    wall, part = np.full((3, 5), 0.2, np.float32), np.zeros((3, 5), np.intp)
    nearer = wall.copy()
    nearer[:, 3:] = 0.5
    seen = correspond(screen, wall, part, (still, still), screen, nearer).seen
    assert seen[:, :3].all() and not seen[:, 3:].any()
