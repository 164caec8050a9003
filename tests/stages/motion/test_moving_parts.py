from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.stages.motion.ego_motion import estimate_ego_motion
from mbps_dataset.stages.motion.moving_parts import IndependentMotionSettings, like_parts, moving_parts
from mbps_dataset.stages.motion.rigid_run import observe
from tests.stages.motion.moving_boxes import street


DEFAULT = IndependentMotionSettings()


def test_parts_touch_at_corners_and_end_where_depth_jumps():
    moving = np.zeros((6, 40), dtype=bool)
    moving[:3, :20] = moving[3:, 20:] = True
    depth = np.full(moving.shape, 10, dtype=np.float32)
    settings = replace(DEFAULT, least_part_px=30)
    assert [len(part) for part in like_parts(moving, depth, settings)] == [120]
    depth[:, 25:] = 12
    assert [len(part) for part in like_parts(moving, depth, settings)] == [75, 45]
    depth[:3, 19] = 13
    assert [len(part) for part in like_parts(moving, depth, settings)] == [57, 45]
    assert like_parts(np.zeros_like(moving), depth, settings) == []


def parts_of(steps, *, noise=0.1, moving=None, **settings):
    flow, bodies = street(steps, noise=noise)
    observed = replace(observe(flow), sigmas=np.full(3, 0.3, dtype=np.float32))
    ego = estimate_ego_motion(observed)
    inside = bodies > 0 if moving is None else moving(bodies)
    return moving_parts(inside, observed, ego, replace(DEFAULT, **settings), 0), ego, bodies.ravel()


def test_a_part_has_the_shift_of_its_body():
    (part,), ego, bodies = parts_of([(0.4, 0, 0.1)])
    assert (bodies[part.pixels] == 1).all() and part.score > 0.9
    np.testing.assert_allclose(part.transform[:3, :3], ego.transform[:3, :3], atol=1e-6)
    middle = np.array([0, 0.5, 10, 1], dtype=np.float32)
    turned = ego.transform[:3, :3] @ np.float32([0.4, 0, 0.1])
    np.testing.assert_allclose(((part.transform - ego.transform) @ middle)[:3], turned, atol=0.02)


def test_two_bodies_that_touch_are_two_parts():
    """One mask around both boxes and the wall between them, at depths that the settings take for one.

    A free motion explains most of all three, turning, so it is not allowed here.
    """
    around = np.s_[45:68, 40:190]

    def moving(bodies):
        mask = np.zeros(bodies.shape, dtype=bool)
        mask[around] = True
        return mask

    parts, _, bodies = parts_of([(0.4, 0, 0), (-0.3, 0, 0.2)], moving=moving, disparity_step=10.0, largest_turn=0.0)
    owners = [np.bincount(bodies[part.pixels], minlength=3) for part in parts]
    assert {int(counts.argmax()) for counts in owners} == {1, 2}
    assert all(counts.max() > 0.9 * counts.sum() for counts in owners)


def test_no_part_is_smaller_than_asked():
    assert parts_of([(0.4, 0, 0)], least_part_px=1400)[0] == []
    assert len(parts_of([(0.4, 0, 0)], least_part_px=1200)[0]) == 1


def test_a_setting_out_of_range_is_named():
    with pytest.raises(RecipeError, match="independent_motion.least_gain must be at least 0"):
        IndependentMotionSettings(least_gain=-1.0)
