from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from mbps_dataset.stages.motion.ego_motion import estimate_ego_motion, unexplained
from mbps_dataset.stages.motion.rigid_run import observe
from tests.stages.motion.moving_boxes import EGO, street


BOXES = [(0.8, 0, 0), (-0.6, 0, 0.4)]


def test_the_cameras_motion_is_found_among_moving_things():
    flow, bodies = street(BOXES, noise=0.1)
    found = estimate_ego_motion(observe(flow, sigmas=(0.3, 0.3, 0.3)))
    np.testing.assert_allclose(found.transform, EGO, atol=2e-3)
    assert found.reason is None and found.explained == pytest.approx((bodies == 0).mean(), abs=0.03)


def test_the_seed_fixes_the_result():
    observed = observe(street(BOXES, noise=0.2)[0])
    first, again = estimate_ego_motion(observed, seed=4), estimate_ego_motion(observed, seed=4)
    np.testing.assert_array_equal(first.transform, again.transform)
    assert first.explained == again.explained


def test_unreliable_pixels_are_not_looked_at():
    flow, _ = street(BOXES)
    spoilt = flow.flow.copy()
    spoilt[:, :, 100:] = np.nan
    reliable = np.arange(flow.reliable.shape[1]) < 100
    observed = observe(replace(flow, flow=spoilt, reliable=flow.reliable & reliable))
    np.testing.assert_allclose(estimate_ego_motion(observed).transform, EGO, atol=2e-3)


def test_too_few_pixels_and_no_common_motion_are_reasons():
    flow, _ = street([])
    observed = observe(flow)
    few = replace(observed, reliable=np.arange(len(observed)) < 2)
    assert estimate_ego_motion(few).reason == "2 reliable pixels, but a motion needs 3"
    wild = np.random.default_rng(0).uniform(-90, 90, observed.flow.shape).astype(np.float32)
    assert "the best one explains" in str(estimate_ego_motion(replace(observed, flow=wild)).reason)
    line = replace(observed, reliable=np.arange(len(observed)) // flow.reliable.shape[1] == 0)
    column = line.reliable & (observed.pixels[0] < 3)
    found = estimate_ego_motion(replace(observed, reliable=column))
    assert found.reason == "the camera's motion is unknown: 3 points, but a pose needs 4"


def test_the_distance_is_that_of_noise_in_flow_and_in_both_disparities():
    flow, _ = street([], noise=0.3)
    observed = observe(flow, sigmas=(0.3, 0.3, 0.3))
    near = observed.points_t[:, 2] < 15
    distance = unexplained(EGO, observed)[near]
    for share in (0.5, 0.9, 0.99):
        assert (distance < chi2(3).ppf(share)).mean() == pytest.approx(share, abs=0.03)


def test_points_behind_the_camera_are_not_explained():
    backwards = np.eye(4)
    backwards[2, 3] = -100
    assert np.isinf(unexplained(backwards, observe(street([])[0]))).all()
