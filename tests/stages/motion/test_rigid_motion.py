from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset.stages.motion.rigid_motion import rigid_motion
from mbps_dataset.stages.motion.rigid_settings import RigidMotionSettings
from tests.stages.motion.moving_boxes import street
from tests.stages.motion.rigid_vectors import ious, load_parts, recorded_draws, recorded_flow
from tests.vectors import vector_path


AS_PUBLISHED = RigidMotionSettings(grid_share=0.12, reference=True, margin_columns=0, corners_connect=False)
SMALL = RigidMotionSettings(grid_share=0.12, margin_columns=0, runs=2)


def test_eight_runs_from_recorded_draws_give_the_map_of_the_vectors():
    scene, golden = load_parts("sf_scene", "sf_scene_t1"), load_parts("sf_full")
    calls = np.split(golden["n_draws"], np.cumsum(golden["draws_per_run"])[:-1])
    runs = np.split(golden["draws"], np.cumsum([run.sum() for run in calls])[:-1])
    found = rigid_motion(recorded_flow(scene), AS_PUBLISHED, draws=[recorded_draws(run) for run in runs])
    agreement = [
        max(((found.labels == k) == (golden["final"] == number)).mean() for k in range(1, len(found.scores) + 1))
        for number in np.unique(golden["final"])[1:]
    ]
    assert len(found.scores) == golden["final"].max() and min(agreement) >= 0.995
    np.testing.assert_allclose(sorted(found.scores), sorted(golden["nms_scores"]), atol=1e-4)


def test_own_draws_find_the_objects_of_the_vectors():
    scene, golden = load_parts("sf_scene", "sf_scene_t1"), load_parts("sf_full")
    found = rigid_motion(recorded_flow(scene), AS_PUBLISHED, seed=1)
    count, *expected = golden["n_objects_and_iou_per_seed"][1]
    assert len(found.scores) == count
    np.testing.assert_allclose(ious(found.labels, scene["true_body"]), expected, atol=0.02)


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("corners_connect", [True, False])
def test_harder_scenes_give_the_objects_of_the_vectors(name, corners_connect):
    scene = load_parts(f"sf_stat_{name}", f"sf_stat_{name}_b")
    settings = replace(AS_PUBLISHED, corners_connect=corners_connect)
    found = rigid_motion(recorded_flow(scene), settings, seed=0)
    expected = json.loads(vector_path("cups/sf_stat.json").read_text())[name][0]
    assert len(found.scores) == expected["objects"]
    np.testing.assert_allclose(ious(found.labels, scene["true_body"]), expected["iou_per_body"], atol=0.03)


def test_clean_geometry_finds_the_two_bodies_of_the_vectors_scene():
    scene = load_parts("sf_scene", "sf_scene_t1")
    found = rigid_motion(recorded_flow(scene), replace(SMALL, least_region_px=128))
    assert len(found.scores) == 2 and min(ious(found.labels, scene["true_body"])) > 0.7


def test_moving_boxes_are_found_and_the_seed_fixes_the_result():
    flow, bodies = street([(0.4, 0, 0), (-0.3, 0, 0.2)], noise=0.1)
    first, again = rigid_motion(flow, SMALL, seed=3), rigid_motion(flow, SMALL, seed=3)
    assert first.reason is None and min(ious(first.labels, bodies)) > 0.95
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.scores, again.scores)


def test_a_still_street_has_no_object_and_says_what_the_runs_said():
    flow, _ = street([(0, 0, 0)], noise=0.1)
    found = rigid_motion(flow, SMALL)
    assert not found.labels.any() and not len(found.scores)
    assert found.reason == "none of 2 runs found a moving object: nothing moves against the background"


def test_too_little_scene_flow_is_passed_on_as_the_reason():
    flow, _ = street([(0.4, 0, 0)], reason="only 3 pixels have a reliable scene flow, where 512 are needed")
    found = rigid_motion(flow, SMALL)
    assert found.reason == flow.reason and not found.labels.any() and found.labels.shape == flow.reliable.shape


@pytest.mark.parametrize("reference", [True, False])
def test_one_failed_run_empties_the_image_only_as_published(reference, monkeypatch):
    from mbps_dataset.stages.motion import rigid_motion as module

    flow, _ = street([(0.4, 0, 0)])
    clustered = module.cluster_rigid_motions

    def second_fails(scene, draws, settings):
        run = clustered(scene, draws, settings)
        if draws(1)[0] > 0.5:
            return run
        return replace(
            run,
            bodies=run.bodies.at(()),
            masks=run.masks[:0],
            scores=run.scores[:0],
            reason="no points of the grid move as one rigid body",
        )

    monkeypatch.setattr(module, "cluster_rigid_motions", second_fails)
    numbers = np.random.default_rng(0).random(3000, dtype=np.float32)
    sources = [_then(numbers, last) for last in (0.9, 0.1)]
    settings = replace(SMALL, reference=reference, agreement=0.5, least_motion_px=0.0)
    found = rigid_motion(flow, settings, draws=sources)
    if reference:
        assert found.reason == "run 2 of 2 failed: no points of the grid move as one rigid body"
        assert not found.labels.any()
    else:
        assert found.reason is None and len(found.scores) == 1


def _then(numbers: np.ndarray, last: float):
    """Draws as recorded, and `last` when a single one is asked for."""
    draw = recorded_draws(numbers)
    return lambda count: np.float32([last]) if count == 1 else draw(count)


def test_as_many_sources_of_draws_as_runs_are_needed():
    flow, _ = street([(0.4, 0, 0)])
    with pytest.raises(ValueError, match="draws for 2 runs, but got 1"):
        rigid_motion(flow, SMALL, draws=[recorded_draws([])])
