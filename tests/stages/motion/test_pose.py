from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mbps_dataset.stages.motion.likelihood import Observations
from mbps_dataset.stages.motion.pose import Projections, projections_of, refine_pose, reprojection_errors
from tests.stages.motion.rigid_vectors import load_parts


INTRINSICS = np.array([[200.0, 0, 100], [0, 190.0, 60], [0, 0, 1]])
TRUE = np.eye(4)
TRUE[:3, :3], TRUE[:3, 3] = Rotation.from_rotvec([0.01, -0.03, 0.02]).as_matrix(), (0.1, -0.05, -0.7)


def projections(count: int, *, noise: float = 0.0, disparity: bool = False) -> Projections:
    rng = np.random.default_rng(0)
    points = rng.uniform((-5, -2, 8), (5, 2, 30), (count, 3))
    moved = points @ TRUE[:3, :3].T + TRUE[:3, 3]
    pixels = (moved @ INTRINSICS.T / moved[:, 2:])[:, :2].T
    rows = [pixels, [200 * 0.5 / moved[:, 2]]] if disparity else [pixels]
    targets = np.concatenate(rows) + rng.normal(0, noise, (len(rows) + 1, count))
    return Projections(points, targets, np.ones(len(targets)), INTRINSICS, 0.5)


@pytest.mark.parametrize("case", range(5))
def test_poses_are_those_of_the_vectors(case):
    golden = load_parts("sf_pnp")
    members = golden["masks"][case].ravel() > 0
    reached = golden["pixel_rows_cols"][::-1].reshape(2, -1) + golden["flow"].reshape(2, -1)
    points = golden["points_t"].reshape(3, -1).T.astype(float)
    given = Projections(
        points[members], reached[:, members].astype(float), np.ones(2), golden["intrinsics"].astype(float)
    )
    found = refine_pose(given, golden["se3_start"][case], reference=True)
    np.testing.assert_allclose(found.transform, golden["se3_refined"][case], atol=2e-3 if case == 2 else 2e-4)
    assert (found.reason is None) == (members.sum() >= 4)


@pytest.mark.parametrize("disparity", [False, True])
def test_exact_projections_give_the_true_pose(disparity):
    found = refine_pose(projections(20, disparity=disparity), np.eye(4))
    np.testing.assert_allclose(found.transform, TRUE, atol=1e-8)
    assert found.reason is None


def test_the_result_is_a_minimum():
    given = projections(40, noise=0.3)
    found = refine_pose(given, np.eye(4)).transform
    least = np.square(reprojection_errors(found, given)).sum()
    for axis in range(6):
        for step in (1e-4, -1e-4):
            moved = found.copy()
            if axis < 3:
                moved[axis, 3] += step
            else:
                moved[:3, :3] = Rotation.from_rotvec(step * np.eye(3)[axis - 3]).as_matrix() @ moved[:3, :3]
            assert np.square(reprojection_errors(moved, given)).sum() > least


def test_the_biweight_does_not_see_outliers():
    given = projections(60, noise=0.1)
    given.targets[:, :15] += 8
    robust, plain = (refine_pose(given, TRUE, robust=c).transform for c in (4.0, None))
    assert np.abs(robust - TRUE).max() < 0.02 < np.abs(plain - TRUE).max()


def test_fewer_than_four_points_keep_the_pose_with_a_reason_and_lose_it_as_published():
    found = refine_pose(projections(3), TRUE)
    np.testing.assert_array_equal(found.transform, TRUE)
    assert found.reason == "3 points, but a pose needs 4"
    np.testing.assert_array_equal(refine_pose(projections(3), TRUE, reference=True).transform, np.eye(4))


def test_points_in_a_line_do_not_determine_a_pose():
    given = projections(8)
    line = Projections(np.outer(np.linspace(8, 20, 8), (0.1, 0.1, 1)), given.targets, given.sigmas, INTRINSICS)
    found = refine_pose(line, TRUE)
    assert found.reason == "the points do not determine a pose"
    np.testing.assert_array_equal(found.transform, TRUE)


def test_without_turning_only_the_shift_is_fitted():
    start = TRUE.copy()
    start[:3, 3] = 0
    given = projections(30)
    np.testing.assert_allclose(refine_pose(given, start, turns=False).transform, TRUE, atol=1e-8)
    found = refine_pose(given, np.eye(4), turns=False).transform
    np.testing.assert_array_equal(found[:3, :3], np.eye(3))
    assert np.abs(found[:3, 3]).max() > 0.1


def test_projections_are_where_flow_and_disparity_lead():
    points = np.float32([[0, 0, 10], [1, 0, 20]])
    seen = Observations(
        points,
        points / 2,
        np.float32([[1, 2], [3, 4]]),
        np.float32([[100, 110], [60, 60]]),
        np.ones(2, dtype=bool),
        np.float32([1, 2, 3]),
        INTRINSICS.astype(np.float32),
        0.5,
    )
    found = projections_of(seen)
    np.testing.assert_allclose(found.targets, [[101, 112], [63, 64], [20, 10]])
    assert found.sigmas.tolist() == [1, 2, 3]
    plain = projections_of(seen, with_disparity=False)
    np.testing.assert_allclose(plain.targets, [[101, 112], [63, 64]])
    assert plain.sigmas.tolist() == [1, 1]
