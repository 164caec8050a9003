from __future__ import annotations

import json

import numpy as np
import pytest

from mbps_dataset.stages.motion.draws import seeded_draws
from mbps_dataset.stages.motion.rigid_run import (
    RigidRun,
    cluster_rigid_motions,
    clustering_scene,
    observe,
    refine_robustly,
    with_rotation_of,
)
from mbps_dataset.stages.motion.rigid_settings import RigidMotionSettings
from tests.stages.motion.moving_boxes import EGO, street
from tests.stages.motion.rigid_vectors import flow_with_mask, load_parts, recorded_draws, unpacked


TRACES = {
    "sf_trace": (("sf_scene", "sf_scene_t1", "sf_trace"), 0.12),
    "sf_trace_b": (("sf_stat_b", "sf_stat_b_b", "sf_trace_b"), 0.12),
    "sf_trace_c": (("sf_trace_c",), 0.16),
}
SMALL = RigidMotionSettings(grid_share=0.12)


def same_event(own: list, recorded: list, after_split: bool) -> bool:
    """Whether two steps agree; which part a pick after a split is depends on scikit-learn's order of the parts."""
    if own[0] == "similarity":
        return abs(own[1] - recorded[1]) < 1e-4
    if own[0] == "select" and after_split:
        return [own[1] is None, *own[2:]] == [recorded[1] is None, *recorded[2:]]
    return own == recorded


@pytest.mark.parametrize("name", TRACES)
def test_a_run_from_recorded_draws_is_that_of_the_vectors(name):
    files, share = TRACES[name]
    golden = load_parts(*files)
    settings = RigidMotionSettings(grid_share=share, reference=True, corners_connect=False)
    scene = clustering_scene(flow_with_mask(golden), settings)
    assert scene.grid.shape == tuple(golden["grid_shape"])
    found = cluster_rigid_motions(scene, recorded_draws(golden["draws"]), settings)
    own, recorded = (json.loads(text) for text in (json.dumps(found.events), str(golden["events_json"])))
    assert len(own) == len(recorded)
    for number, (step, expected) in enumerate(zip(own, recorded)):
        since = [kind for kind, *_ in recorded[:number] if kind in ("split", "clusters", "refine")]
        assert same_event(step, expected, since[-1:] == ["split"]), (number, step, expected)
    np.testing.assert_allclose(found.bodies.transforms, golden["objects_se3"], rtol=0, atol=1e-4)
    assigned = unpacked(golden["objects_points_assigned"], *found.bodies.assigned.shape)
    assert (found.bodies.assigned == assigned).mean() >= 0.999
    assert (found.labels == golden["labels"]).mean() >= 0.999
    assert (found.masks == unpacked(golden["component_masks"], *found.masks.shape)).mean() >= 0.999
    np.testing.assert_allclose(found.scores, golden["component_scores"], rtol=0, atol=1e-3)


def clustered(steps: list, settings: RigidMotionSettings = SMALL, **more: float) -> tuple[RigidRun, np.ndarray]:
    flow, bodies = street(steps, **more)
    return cluster_rigid_motions(clustering_scene(flow, settings), seeded_draws(0, 0), settings), bodies


def test_the_first_motion_is_the_cameras_and_the_others_are_the_boxes():
    found, bodies = clustered([(0.4, 0, 0), (-0.3, 0, 0.2)], noise=0.1)
    np.testing.assert_allclose(found.bodies.transforms[0], EGO, atol=0.01)
    assert len(found.masks) == 2 and found.reason is None
    for body in (1, 2):
        assert max((mask == (bodies == body)).mean() for mask in found.masks) > 0.99


def test_a_street_where_nothing_moves_says_so():
    found, _ = clustered([(0, 0, 0), (0, 0, 0)], noise=0.1)
    assert not len(found.masks) and found.reason == "nothing moves against the background"


def test_what_moves_by_less_than_a_pixel_is_not_an_object():
    moving = [(0.4, 0, 0)]
    assert len(clustered(moving)[0].masks) == 1
    assert not len(clustered(moving, RigidMotionSettings(grid_share=0.12, least_motion_px=100))[0].masks)


def test_points_that_are_never_rigid_give_a_reason():
    flow, _ = street([])
    flow.points_t1[:] = np.random.default_rng(0).uniform(-50, 50, flow.points_t1.shape)
    found = cluster_rigid_motions(clustering_scene(flow, SMALL), seeded_draws(0, 0), SMALL)
    assert found.reason == "no points of the grid move as one rigid body" and not len(found.bodies.soft)
    assert found.events == (("clusters", 0),) * 6


def test_motions_that_flow_denies_give_a_reason_after_two_rounds():
    flow, _ = street([])
    flow.flow[:] += np.random.default_rng(0).uniform(-400, 400, flow.flow.shape).astype(np.float32)
    found = cluster_rigid_motions(clustering_scene(flow, SMALL), seeded_draws(0, 0), SMALL)
    assert found.reason == "no proposed motion explains enough of the image"
    assert [event[0] for event in found.events] == ["clusters", "select"] * 2


def test_observations_are_in_raster_order():
    flow, _ = street([(0.4, 0, 0)])
    observed = observe(flow, sigmas=(1, 2, 3))
    at = 7 * flow.reliable.shape[1] + 11
    assert observed.pixels[:, at].tolist() == [11, 7] and observed.sigmas.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(observed.points_t[at], flow.points_t[7, 11])
    np.testing.assert_array_equal(observed.flow[:, at], flow.flow[:, 7, 11])
    assert observe(flow).sigmas.tolist() == [2, 2, 2]


@pytest.mark.parametrize("turns", [True, False])
def test_a_pose_is_refined_past_points_that_are_not_of_the_body(turns):
    flow, bodies = street([(0.4, 0, 0)], noise=0.1)
    body, other = np.flatnonzero(bodies == 1)[::10], np.flatnonzero(bodies == 0)[-300::10]
    start = EGO.astype(np.float32)
    start[0, 3] += 0.3
    found = refine_robustly(start, observe(flow).at(np.concatenate([body, other])), turns=turns)
    middle = np.array([*flow.points_t[bodies == 1].mean(axis=0), 1])
    np.testing.assert_allclose(((found - EGO) @ middle)[:3], (0.4, 0, 0), atol=0.03)
    assert turns or (found[:3, :3] == start[:3, :3]).all()


def test_a_motion_with_another_rotation_takes_the_middle_to_the_same_place():
    points = np.random.default_rng(0).normal((0, 0, 10), 1, (20, 3)).astype(np.float32)
    motion = np.eye(4, dtype=np.float32)
    motion[:3, 3] = (1, 2, 3)
    found = with_rotation_of(EGO.astype(np.float32), motion, points)
    np.testing.assert_array_equal(found[:3, :3], EGO.astype(np.float32)[:3, :3])
    moved = points.mean(axis=0) @ found[:3, :3].T + found[:3, 3]
    np.testing.assert_allclose(moved, points.mean(axis=0) + (1, 2, 3), atol=1e-4)


def test_no_point_leaves_a_pose_as_it_is():
    flow, _ = street([])
    nothing = observe(flow).at(np.zeros(0, dtype=np.int64))
    np.testing.assert_array_equal(refine_robustly(np.eye(4, dtype=np.float32), nothing), np.eye(4))
