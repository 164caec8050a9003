from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.motion.consistency import consistent_disparity, consistent_flow
from mbps_dataset.stages.motion.scene_flow import (
    back_project,
    depth_from_disparity,
    points_at_target,
    read_nearest,
    scene_flow,
    stays_inside,
    trusted_at_target,
    trusted_disparity,
    within_margins,
)
from tests.examples import examples
from tests.stages.motion.scenes import BASELINE, INTRINSICS, recorded_motion, slanted_wall
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cups/depth_sceneflow")


def test_depth_and_consistency_are_those_of_the_reference_vectors(golden):
    motion, focal_length, baseline = recorded_motion(golden), golden["intrinsics"][0, 0], float(golden["baseline"])
    for time in ("t", "t1"):
        disparity, right = getattr(motion, f"disparity_{time}"), getattr(motion, f"right_disparity_{time}")
        expected = golden[f"depth_{time}"]
        depth = depth_from_disparity(disparity, focal_length, baseline)
        np.testing.assert_array_less(np.abs(depth - expected), 1e-5 * (1 + np.abs(expected)))
        consistent = consistent_disparity(disparity, right, reference=True)
        np.testing.assert_array_equal(consistent, golden[f"consistent_disp_{time}"])
    consistent = consistent_flow(motion.flow_forward, motion.flow_backward, reference=True)
    np.testing.assert_array_equal(consistent, golden["consistent_flow"])
    np.testing.assert_array_equal(stays_inside(motion.flow_forward), golden["inside_t1"])


def test_what_the_flow_leads_to_is_that_of_the_reference_vectors(golden):
    motion, focal_length, baseline = recorded_motion(golden), golden["intrinsics"][0, 0], float(golden["baseline"])
    depth = depth_from_disparity(motion.disparity_t1, focal_length, baseline)
    trusted = trusted_disparity(motion.disparity_t1, motion.right_disparity_t1, depth, reference=True)
    reached = trusted_at_target(trusted, motion.flow_forward, reference=True)
    np.testing.assert_array_equal(reached, golden["ok_t1_at_flow"])


def test_scene_flow_is_that_of_the_reference_vectors(golden):
    found = scene_flow(
        recorded_motion(golden),
        golden["intrinsics"],
        float(golden["baseline"]),
        valid_pixels=golden["valid_pixels"],
        reference=True,
    )
    np.testing.assert_array_equal(found.reliable, golden["reliable"])
    np.testing.assert_allclose(found.sigma_flow, golden["std_flow"], rtol=1e-3)
    np.testing.assert_allclose([found.sigma_disparity], golden["std_disp"], rtol=1e-3)
    for points, name in ((found.points_t, "points_t_sub3"), (found.points_t1, "points_t1_at_flow_sub3")):
        sampled, expected = np.moveaxis(points, -1, 0)[:, ::3, ::3], golden[name]
        np.testing.assert_array_less(np.abs(sampled - expected), 1e-5 * (1 + np.abs(expected)))
    assert found.reason is None and found.points_t.dtype == found.points_t1.dtype == np.float32


def test_too_few_pixels_of_the_reference_vectors_are_a_reason(golden):
    few = np.zeros(golden["valid_pixels"].shape, dtype=bool)
    few[20:40, 20:40] = True
    found = scene_flow(recorded_motion(golden), golden["intrinsics"], float(golden["baseline"]), valid_pixels=few)
    count = np.count_nonzero(found.reliable)
    assert golden["few_valid_returns_zero"][0] == 1 and count < 512
    assert found.reason == f"only {count} pixels have a reliable scene flow, where 512 are needed"
    again = scene_flow(
        recorded_motion(golden),
        golden["intrinsics"],
        float(golden["baseline"]),
        valid_pixels=few,
        least_reliable=count,
    )
    assert again.reason is None


def test_points_are_exact_between_pixels_and_rounded_in_the_reference():
    motion = slanted_wall()
    rows, columns = np.mgrid[:64, :128].astype(np.float64)
    depth = INTRINSICS[0, 0] * BASELINE / (5 + 0.02 * columns + 0.6)
    truth = np.stack([(columns + 0.3 - 63.5) / 100 * depth, (rows + 0.4 - 31.5) / 100 * depth, depth], axis=-1)
    exact, rounded = (scene_flow(motion, INTRINSICS, BASELINE, reference=reference) for reference in (False, True))
    assert exact.reason is None and exact.reliable.mean() > 0.8
    np.testing.assert_allclose(exact.points_t1[exact.reliable], truth[exact.reliable], atol=1e-4)
    beside = np.abs(rounded.points_t1 - truth)[rounded.reliable].max(axis=0)
    assert (beside[:2] > 0.02).all() and (beside < 0.06).all()
    np.testing.assert_allclose(
        exact.disparity_t1[exact.reliable], 100 * 0.5 / exact.points_t1[exact.reliable][:, 2], rtol=1e-5
    )


def test_reliable_pixels_stay_inside_and_in_range():
    motion = slanted_wall(shift=(20.3, -4.0))
    found = scene_flow(motion, INTRINSICS, BASELINE, depth_range=(5.5, 8.5))
    rows, columns = np.nonzero(found.reliable)
    assert len(rows) and columns.max() + 20.3 <= 127 and rows.min() >= 4
    assert found.points_t[found.reliable][:, 2].max() <= 8.5 and found.points_t1[found.reliable][:, 2].max() <= 8.5


def test_unknown_flow_and_disparity_are_never_reliable():
    motion = slanted_wall()
    flow, disparity = motion.flow_forward.copy(), motion.disparity_t1.copy()
    flow[0, 20, 30], disparity[40, 50] = np.nan, np.nan
    for reference in (False, True):
        broken = replace(motion, flow_forward=flow, disparity_t1=disparity)
        found = scene_flow(broken, INTRINSICS, BASELINE, reference=reference)
        assert not found.reliable[20, 30] and not found.reliable[40, 50] and found.reliable.any()
        assert np.isfinite(found.points_t).all() and np.isfinite(found.points_t1).all()
        assert np.isfinite(found.disparity_t1).all() and np.isfinite(found.flow).all()


@examples(40)
@given(st.floats(0.125, 200, width=32), st.floats(100, 3000), st.floats(0.05, 2))
def test_depth_and_disparity_are_inverse(disparity, focal_length, baseline):
    depth = depth_from_disparity([[disparity, 0, -disparity, np.nan]], focal_length, baseline)[0]
    assert depth[0] * disparity == pytest.approx(focal_length * baseline, rel=1e-5)
    assert depth[1] == depth[3] == 0 and depth[2] == -depth[0]


@examples(30)
@given(st.integers(0, 11), st.integers(0, 8), st.floats(1, 80), st.floats(50, 200), st.floats(50, 200))
def test_a_point_projects_to_its_pixel(column, row, depth, focal_x, focal_y):
    camera = np.array([[focal_x, 0.3, 5.2], [0, focal_y, 4.1], [0, 0, 1]])
    x, y, z = camera @ back_project(np.full((9, 12), depth), camera)[row, column].astype(np.float64)
    assert (x / z, y / z, z) == pytest.approx((column, row, depth), abs=1e-3)
    shift = np.full((2, 9, 12), 0.25, dtype=np.float32)
    x, y, z = camera @ back_project(np.full((9, 12), depth), camera, shift=shift)[row, column].astype(np.float64)
    assert (x / z, y / z) == pytest.approx((column + 0.25, row + 0.25), abs=1e-3)


def test_the_nearest_pixel_is_read_and_nothing_outside():
    values = np.arange(1, 13).reshape(3, 4)
    flow = np.zeros((2, 3, 4))
    flow[0] = 1.4
    np.testing.assert_array_equal(read_nearest(values, flow), [[2, 3, 4, 0], [6, 7, 8, 0], [10, 11, 12, 0]])
    flow[0], flow[1] = 0.5, np.array([[-1e30], [0], [np.nan]])
    np.testing.assert_array_equal(read_nearest(values, flow), [[0] * 4, [5, 7, 7, 0], [0] * 4])
    assert stays_inside(flow).sum() == 3


def test_trust_needs_all_that_is_read():
    trusted = np.ones((4, 5), dtype=bool)
    trusted[1, 2] = False
    flow = np.full((2, 4, 5), 0.25)
    reached = trusted_at_target(trusted, flow)
    assert {tuple(place) for place in np.argwhere(~reached[:3, :4])} == {(0, 1), (0, 2), (1, 1), (1, 2)}
    assert not reached[3].any() and not reached[:, 4].any()
    np.testing.assert_array_equal(trusted_at_target(trusted, flow, reference=True), trusted)


def test_points_outside_are_zero():
    flow = np.zeros((2, 4, 5))
    flow[0, :, 3:] = 7
    for reference in (False, True):
        points, disparity = points_at_target(np.full((4, 5), 8.0), flow, INTRINSICS, BASELINE, reference=reference)
        assert not points[:, 3:].any() and not disparity[:, 3:].any() and (disparity[:, :3] == 8).all()


def test_margins_are_those_of_the_data_sets():
    cityscapes = within_margins((640, 1280))
    assert cityscapes.sum() == (640 - 32 - 128) * (1280 - 192)
    assert cityscapes[32, 96] and not cityscapes[31, 96] and not cityscapes[32, 95] and not cityscapes[512, 96]
    kitti = within_margins((368, 1104), columns=0)
    assert kitti[18:295].all() and kitti.sum() == (368 - 18 - 73) * 1104
    assert not within_margins((40, 100)).any()


def test_wrong_inputs_are_named():
    motion = slanted_wall()
    with pytest.raises(
        ValueError, match=r"Expected `disparity_t1` of the flow's size \(64, 128\), but got \(64, 127\)"
    ):
        replace(motion, disparity_t1=motion.disparity_t1[:, 1:])
    with pytest.raises(
        ValueError, match=r"a baseline above 0, but got 100.0 px and 0 m; check the camera's calibration"
    ):
        scene_flow(motion, INTRINSICS, 0)
    with pytest.raises(ValueError, match=r"Expected `valid_pixels` of the flow's size \(64, 128\), but got \(2, 2\)"):
        scene_flow(motion, INTRINSICS, BASELINE, valid_pixels=np.ones((2, 2)))
    with pytest.raises(
        ValueError, match=r"Expected depth \(H, W\) and intrinsics \(3, 3\), but got \(4, 5\) and \(3, 4\)"
    ):
        back_project(np.ones((4, 5)), np.ones((3, 4)))
