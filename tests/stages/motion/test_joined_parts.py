from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbps_dataset.stages.motion.ego_motion import EgoMotion
from mbps_dataset.stages.motion.joined_parts import joined_parts
from mbps_dataset.stages.motion.moving_parts import IndependentMotionSettings, Part
from mbps_dataset.stages.motion.rigid_run import observe
from mbps_dataset.stages.motion.scene_flow import SceneFlow
from tests.stages.motion.moving_boxes import BASELINE, EGO, INTRINSICS, rays


HEIGHT, WIDTH = 120, 240
DEFAULT = IndependentMotionSettings()
LEFT, RIGHT = (slice(45, 75), slice(40, 60)), (slice(45, 75), slice(90, 120))


def parts(step: float, *, between_m: float, others_step: float | None = None) -> tuple[list[Part], SceneFlow]:
    """Two parts at 10 m that move aside by `step` and `others_step` m, with depth `between_m` between them."""
    depth = np.full((HEIGHT, WIDTH), 25.0)
    depth[45:75, 60:90] = between_m
    made = []
    for (rows, columns), moved in ((RIGHT, step), (LEFT, step if others_step is None else others_step)):
        depth[rows, columns] = 10.0
        transform = EGO.astype(np.float32).copy()
        transform[0, 3] += moved
        pixels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)[rows, columns].ravel()
        made.append(Part(pixels, transform, 1.0))
    points = (rays() * depth[..., None]).astype(np.float32)
    flow = SceneFlow(
        points_t=points,
        points_t1=points,
        flow=np.zeros((2, HEIGHT, WIDTH), dtype=np.float32),
        disparity_t1=(INTRINSICS[0, 0] * BASELINE / depth).astype(np.float32),
        reliable=np.ones((HEIGHT, WIDTH), dtype=bool),
        sigma_flow=(0.3, 0.3),
        sigma_disparity=0.3,
        intrinsics=INTRINSICS,
        baseline=BASELINE,
    )
    return made, flow


def joined(made: list[Part], flow: SceneFlow, settings: IndependentMotionSettings = DEFAULT) -> list[int]:
    """How many parts each object has."""
    ego = EgoMotion(EGO.astype(np.float32), explained=1.0)
    return [len(pixels) for _, pixels in joined_parts(made, observe(flow), ego, (HEIGHT, WIDTH), settings, seed=0)]


def test_both_ends_of_a_smooth_body_are_one_object():
    assert joined(*parts(0.4, between_m=10.0)) == [2]


def test_what_hides_the_middle_parts_nothing():
    assert joined(*parts(0.4, between_m=4.0)) == [2]


def test_unknown_depth_between_parts_nothing():
    made, flow = parts(0.4, between_m=10.0)
    flow.points_t[45:75, 60:90] = 0
    assert joined(made, flow) == [2]


def test_bodies_between_which_the_background_is_seen_are_two():
    made, flow = parts(0.4, between_m=25.0)
    assert joined(made, flow) == [1, 1]
    assert joined(made, flow, replace(DEFAULT, seen_through=1.0)) == [2]


def test_parts_that_move_apart_are_two_objects():
    made, flow = parts(0.4, between_m=10.0, others_step=0.8)
    assert joined(made, flow) == [1, 1]
    assert joined(made, flow, replace(DEFAULT, alike_motion=1.0)) == [2]


def test_parts_that_are_far_from_each_other_are_two_objects():
    made, flow = parts(0.4, between_m=10.0)
    assert joined(made, flow, replace(DEFAULT, joined_within_m=1.0)) == [1, 1]
