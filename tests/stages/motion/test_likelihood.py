from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mbps_dataset.stages.motion.grid import working_grid
from mbps_dataset.stages.motion.likelihood import (
    CUT_SIGMAS,
    IMPOSSIBLE,
    Observations,
    motion_likelihood,
    residual_sigmas,
    residuals,
    tail,
)
from mbps_dataset.stages.motion.rigid_run import observe
from tests.stages.motion.moving_boxes import EGO, street
from tests.stages.motion.rigid_vectors import flat_points, load_parts, unpacked


def recorded(noise: str) -> tuple[dict, Observations]:
    golden = load_parts("sf_motion")
    grid = working_grid(tuple(golden["image_size"]), 0.25)
    pixels = np.stack(np.meshgrid(grid.columns, grid.rows)).reshape(2, -1).astype(np.float32)
    return golden, Observations(
        flat_points(golden["points_t"]),
        flat_points(golden["points_t1"]),
        golden["flow"].reshape(2, -1),
        pixels,
        golden["reliable"].ravel() > 0,
        golden[f"{noise}/sigma_flow_x_y_disp"].astype(np.float32),
        golden["intrinsics"],
        float(golden["baseline"]),
    )


def few_observations() -> Observations:
    """Three points, the last of them unreliable, that go half a metre towards the camera."""
    intrinsics = np.array([[100, 0, 50], [0, 100, 40], [0, 0, 1]], dtype=np.float32)
    points = np.array([[0, 0, 10], [1, 1, 5], [2, 0, 8]], dtype=np.float32)
    later = points - np.float32([0, 0, 0.5])
    pixels, reached = ((p[:, :2] / p[:, 2:] * 100 + (50, 40)).T.astype(np.float32) for p in (points, later))
    sigmas = np.array([1, 2, 3], dtype=np.float32)
    return Observations(
        points, later, reached - pixels, pixels, np.array([True, True, False]), sigmas, intrinsics, 0.5
    )


TOWARDS = np.eye(4)
TOWARDS[2, 3] = -0.5


@pytest.mark.parametrize("noise", ["s2", "s355"])
def test_likelihoods_are_those_of_the_vectors(noise):
    golden, observed = recorded(noise)
    found = motion_likelihood(golden["se3"], observed, reference=True)
    shape = found.log.shape
    expected = golden[f"{noise}/log_likelihood"].reshape(shape)
    assert (np.abs(found.log - expected) <= 1e-4 * (1 + np.abs(expected))).all()
    np.testing.assert_allclose(found.soft, golden[f"{noise}/soft_inlier"].reshape(shape), rtol=0, atol=1e-4)
    np.testing.assert_array_equal(found.hard, unpacked(golden[f"{noise}/hard_inlier"], *shape))


def test_clean_rules_differ_from_the_vectors_only_behind_the_camera_and_where_unreliable():
    golden, observed = recorded("s2")
    clean, published = (motion_likelihood(golden["se3"], observed, reference=r) for r in (False, True))
    behind = np.stack([~residuals(transform, observed)[1] for transform in golden["se3"]]) & observed.reliable
    assert behind[-1].any() and (clean.log[behind] == np.float32(IMPOSSIBLE)).all() and not clean.soft[behind].any()
    same = observed.reliable & ~behind
    np.testing.assert_allclose(clean.log[same], published.log[same], rtol=1e-6)
    np.testing.assert_allclose(clean.soft[same], published.soft[same], rtol=0, atol=1e-6)


def test_the_true_motion_leaves_no_residual_and_the_densities_are_added():
    observed = few_observations()
    found = motion_likelihood([TOWARDS], observed)
    np.testing.assert_allclose(residuals(TOWARDS, observed)[0], 0, atol=1e-4)
    np.testing.assert_allclose(found.soft[0], [1, 1, 0], atol=1e-4)
    np.testing.assert_allclose(found.log[0], norm.logpdf(0, scale=[1, 2, 3]).sum(), atol=1e-5)


def test_a_residual_counts_by_its_standard_deviation():
    observed = few_observations()
    observed.flow[1, 0] += 3
    found = motion_likelihood([TOWARDS], observed)
    assert found.soft[0, 0] == pytest.approx(2 * norm.sf(1.5), abs=1e-4)
    assert found.log[0, 0] == pytest.approx(norm.logpdf([0, 3, 0], scale=[1, 2, 3]).sum(), abs=1e-3)


def test_unreliable_pixels_have_one_constant_which_the_reference_multiplies():
    x, y, disparity = norm.logpdf(0, scale=[1, 2, 3])
    found = motion_likelihood([TOWARDS, np.eye(4)], few_observations(), reference=True)
    np.testing.assert_allclose(found.log[:, 2], x * y + disparity, rtol=1e-6)


def test_the_tail_ends_where_float32_ends():
    ratios = np.array([0, 1, 2, 5, 5.34, 5.36, 9], dtype=np.float32)
    for reference in (False, True):
        found = tail(ratios, reference=reference)
        np.testing.assert_allclose(found, 2 * norm.sf(ratios), rtol=0, atol=1.2e-7)
        np.testing.assert_array_equal(found > 0, ratios < CUT_SIGMAS)


def test_points_at_depth_zero_of_the_next_frame_are_not_divided_by():
    observed = few_observations()
    observed.points_t1[2] = 0
    with np.errstate(all="raise"):
        found, _ = residuals(TOWARDS, observed)
    assert np.isfinite(found).all()


def test_standard_deviations_come_from_the_residuals_and_have_a_floor():
    observed = observe(street([(0.4, 0, 0), (-0.3, 0, 0.2)], noise=0.5)[0])
    found = residual_sigmas(EGO, observed.at(observed.reliable), 0.1)
    np.testing.assert_allclose(found[:2], 0.5, rtol=0.3)
    still = observe(street([])[0])
    assert residual_sigmas(EGO, still.at(still.reliable), 0.3).tolist() == pytest.approx([0.3] * 3)
