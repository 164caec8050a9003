from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.stages.motion.independent_motion import grow_labels, independent_motion
from mbps_dataset.stages.motion.moving_parts import IndependentMotionSettings
from mbps_dataset.stages.motion.photometric_test import StereoImages, StereoView
from tests.stages.motion.moving_boxes import EGO, street
from tests.stages.motion.rigid_vectors import ious, load_parts, recorded_flow


BOXES = [(0.4, 0, 0), (-0.3, 0, 0.2)]
DEFAULT = IndependentMotionSettings()


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_moving_boxes_are_found_whole(noise):
    flow, bodies = street(BOXES, noise=noise)
    found = independent_motion(flow)
    assert found.reason is None and len(found.scores) == 2
    assert min(ious(found.labels, bodies)) > 0.95 and (found.scores > 0.9).all()


def test_the_bodies_of_the_vectors_scene_are_found():
    scene = load_parts("sf_scene", "sf_scene_t1")
    found = independent_motion(recorded_flow(scene))
    assert len(found.scores) == 2 and min(ious(found.labels, scene["true_body"])) > 0.7


def test_the_seed_fixes_the_result():
    flow, _ = street(BOXES, noise=0.2)
    first, again = independent_motion(flow, seed=1), independent_motion(flow, seed=1)
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.scores, again.scores)


def test_a_still_street_has_no_object_and_a_reason():
    found = independent_motion(street([(0, 0, 0)], noise=0.2)[0])
    assert not found.labels.any() and not len(found.scores)
    assert str(found.reason).startswith("the camera's own motion explains all but")


def test_reasons_of_scene_flow_and_ego_motion_are_passed_on():
    flow, _ = street(BOXES)
    assert independent_motion(replace(flow, reason="only 3 pixels")).reason == "only 3 pixels"
    nothing = replace(flow, reliable=np.zeros_like(flow.reliable))
    assert independent_motion(nothing).reason == "0 reliable pixels, but a motion needs 3"


def test_flow_that_went_wrong_is_no_object_and_is_told_of():
    flow, _ = street([])
    wrong = np.random.default_rng(0).uniform(-30, 30, (2, 30, 60)).astype(np.float32)
    flow.flow[:, 40:70, 60:120] += wrong
    found = independent_motion(flow)
    assert not found.labels.any()
    assert "are not explained by the camera's motion, but no part of them moves as one body" in str(found.reason)


@pytest.mark.parametrize(
    "change",
    [
        {"largest_step_m": 0.1},
        {"least_step_m": 0.6},
        {"least_height_m": 5.0},
        {"least_motion_px": 50.0},
        {"least_part_px": 100000},
    ],
)
def test_what_does_not_move_like_a_thing_is_left_out(change):
    assert not independent_motion(street(BOXES)[0], replace(DEFAULT, **change)).labels.any()


def test_what_rises_is_left_out():
    flow, _ = street([(0.1, -0.4, 0)])
    assert not independent_motion(flow).labels.any()
    assert independent_motion(flow, replace(DEFAULT, largest_rise=1.0)).labels.any()


def test_the_ground_below_an_object_is_no_part_of_it():
    """The flow of a box reaches over the ground in front of it, as flow does where there is little texture."""
    flow, bodies = street([(0.4, 0, 0)])
    below = np.s_[75:85, 40:85]
    flow.flow[0][below] += 200 * 0.4 / flow.points_t[below][..., 2]
    flow.points_t1[below] += EGO[:3, :3].astype(np.float32) @ np.float32([0.4, 0, 0])
    alike = replace(DEFAULT, disparity_step=0.3)
    assert (independent_motion(flow, replace(alike, ground_m=0.0)).labels[below] > 0).mean() > 0.9
    found = independent_motion(flow, alike)
    assert not found.labels[below].any() and ious(found.labels, bodies)[0] > 0.9


def test_what_the_images_do_not_confirm_is_left_out_with_a_reason(monkeypatch):
    flow, bodies = street(BOXES)
    images = StereoImages(*[np.zeros((*bodies.shape, 3), dtype=np.uint8)] * 4)
    unconfirmed = independent_motion(flow, images=images)  # black images tell nothing
    assert unconfirmed.reason == "the camera's motion explains the images of every moving part as well"
    assert len(independent_motion(flow, replace(DEFAULT, least_gain=0.0), images=images).scores) == 2
    asked = []

    def gain(view, standing, moving, pixels, disparities):
        columns, rows = pixels.astype(int)
        (body,) = set(bodies[rows, columns].tolist())
        np.testing.assert_allclose(disparities, 200 * 0.5 / {1: 10, 2: 14}[body], rtol=1e-4)
        step = ((moving - standing) @ np.float32([0, 0, 10, 1]))[:3]
        np.testing.assert_allclose(step, EGO[:3, :3] @ BOXES[body - 1], atol=0.02)
        asked.append(body)
        return 1.59 if body == 1 else 1.61

    monkeypatch.setattr(StereoView, "gain", gain)
    found = independent_motion(flow, images=images)
    assert sorted(asked) == [1, 2] and len(found.scores) == 1
    assert ((found.labels > 0) == (bodies == 2)).mean() > 0.99


def test_images_of_another_size_are_refused():
    images = StereoImages(*[np.zeros((60, 120, 3), dtype=np.uint8)] * 4)
    with pytest.raises(ValueError, match=r"Expected images of the flow's size \(120, 240\), but got \(60, 120\)"):
        independent_motion(street(BOXES)[0], images=images)


def test_small_objects_are_left_out_with_a_reason():
    found = independent_motion(street([(0.4, 0, 0)])[0], replace(DEFAULT, least_object_px=5000))
    assert found.reason == "every moving part has fewer than 5000 pixels"


def test_objects_grow_over_pixels_of_unknown_motion_and_over_no_still_ones():
    flow, bodies = street([(0.4, 0, 0)])
    reliable = flow.reliable.copy()
    edge = np.zeros_like(reliable)
    edge[40:80, 35:55] = True
    reliable[edge] = False
    found = independent_motion(replace(flow, reliable=reliable))
    assert min(ious(found.labels, bodies)) > 0.9
    assert not (found.labels > 0)[reliable & (bodies == 0)].any()


def test_bodies_of_one_motion_are_two_objects_and_a_pole_in_front_parts_none():
    flow, bodies = street([(0.4, 0, 0), (0.4, 0, 0)])
    assert len(independent_motion(flow).scores) == 2
    gap = (bodies == 1) & (np.arange(bodies.shape[1]) // 3 == 20)
    points = flow.points_t.copy()
    points[gap] = 0
    parted = replace(flow, reliable=flow.reliable & ~gap, points_t=points)
    found = independent_motion(parted)
    assert len(found.scores) == 2 and ious(found.labels, bodies)[0] > 0.9


def test_a_body_of_which_both_ends_have_texture_is_found_whole():
    flow, bodies = street([(0.4, 0, 0)])
    smooth = (bodies == 1) & (np.arange(bodies.shape[1]) >= 55) & (np.arange(bodies.shape[1]) < 70)
    found = independent_motion(replace(flow, reliable=flow.reliable & ~smooth))
    assert len(found.scores) == 1 and ious(found.labels, bodies)[0] > 0.95


def test_labels_grow_within_a_depth_and_not_over_still_pixels():
    labels = np.zeros((1, 9), dtype=np.int32)
    labels[0, 4] = 2
    depth = np.float32([[5, 5, 5, 5, 5, 5, 5, 9, 9]])
    still = np.zeros((1, 9), dtype=bool)
    still[0, 2] = True
    assert grow_labels(labels, depth, still, replace(DEFAULT, growth_px=4)).tolist() == [[0, 0, 0, 2, 2, 2, 2, 0, 0]]
    assert grow_labels(labels, depth, still, replace(DEFAULT, growth_px=1)).tolist() == [[0, 0, 0, 2, 2, 2, 0, 0, 0]]


def test_a_setting_out_of_range_is_named():
    with pytest.raises(RecipeError, match="independent_motion.least_sigma_px must be at least 0.01"):
        IndependentMotionSettings(least_sigma_px=0.0)
