from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from mbps_dataset.stages.motion.kabsch import align_rigidly
from tests.stages.motion.rigid_vectors import flat_points, load_parts


def test_transforms_are_those_of_the_vectors():
    golden = load_parts("sf_kabsch")
    points = flat_points(golden["points_1"]), flat_points(golden["points_2"])
    found = align_rigidly(*points, golden["masks"].reshape(len(golden["masks"]), -1))
    np.testing.assert_allclose(found, golden["se3"], rtol=0, atol=1e-4)


def test_a_known_motion_is_found_again():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 5, (30, 3))
    rotation = Rotation.from_rotvec([0.1, -0.3, 0.2]).as_matrix()
    moved = points @ rotation.T + (1, 2, 3)
    moved[20:] = rng.normal(0, 5, (10, 3))
    members = np.arange(30) < 20
    (found,) = align_rigidly(points, moved, members[None])
    np.testing.assert_allclose(found[:3, :3], rotation, atol=1e-5)
    np.testing.assert_allclose(found[:3, 3], (1, 2, 3), atol=1e-5)


def test_a_mirrored_set_still_gives_a_rotation():
    points = np.random.default_rng(1).normal(0, 1, (10, 3))
    (found,) = align_rigidly(points, points * (1, 1, -1), np.ones((1, 10)))
    assert np.linalg.det(found[:3, :3].astype(float)) > 0.999


def test_a_weight_of_two_is_a_point_twice():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 1, (2, 6, 3))
    twice = np.concatenate([np.arange(6), [0]])
    weighted = align_rigidly(first, second, np.array([[2, 1, 1, 1, 1, 1]]))
    np.testing.assert_allclose(weighted, align_rigidly(first[twice], second[twice], np.ones((1, 7))), atol=1e-5)


def test_no_member_gives_the_identity_and_no_cluster_nothing():
    points = np.ones((3, 3))
    np.testing.assert_array_equal(align_rigidly(points, points, np.zeros((1, 3)))[0, :3, 3], 0)
    assert align_rigidly(points, points, np.zeros((0, 3))).shape == (0, 4, 4)
