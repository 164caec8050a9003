"""Rendered stereo video: true flow and disparity take every view into every other, things that move by themselves too."""

from __future__ import annotations

from dataclasses import astuple
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from mbps_dataset.scenes import (
    BASELINE_M,
    Scene,
    SceneSettings,
    StereoVideoView,
    render,
    render_stereo_video,
    stereo_video_truth,
)


CLEAR = SceneSettings(height=192, width=384, noise=0.0)
SEEDS = (3_000_000, 3_000_003)


@cache
def video(seed: int, *, things_move: bool = True) -> StereoVideoView:
    return render_stereo_video(seed, CLEAR, things_move=things_move)


def read(values: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """`values` [H, W] at each pixel plus `offset` [2, H, W], bilinear."""
    rows, columns = np.indices(values.shape)
    return map_coordinates(values.astype(float), [rows + offset[1], columns + offset[0]], order=1, mode="nearest")


def sideways(columns: np.ndarray) -> np.ndarray:
    return np.stack([columns, np.zeros_like(columns)])


def pairs(seed: int):
    """View, the other view, offset into it, where it is seen; for all that is known of a moment."""
    view, true = video(seed), video(seed).truth
    return [
        (view.left, view.next_left, true.flow, true.flow_seen),
        (view.next_left, view.left, true.backward_flow, true.backward_flow_seen),
        (view.left, view.right, sideways(-true.disparity), true.disparity_seen),
        (view.right, view.left, sideways(true.right_disparity), true.right_disparity_seen),
        (view.next_left, view.next_right, sideways(-true.next_disparity), true.next_disparity_seen),
        (view.next_right, view.next_left, sideways(true.next_right_disparity), true.next_right_disparity_seen),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_view_warped_into_another_gives_it_where_it_is_seen(seed):
    for view, other, offset, seen in pairs(seed):
        warped = np.stack([read(other.image[..., k], offset) for k in range(3)], -1)
        error = np.abs(warped - view.image).mean(-1)
        unmoved = np.abs(other.image.astype(float) - view.image).mean(-1)
        moving = np.isin(view.instance_ids, list(video(seed).truth.moving_ids)) & seen
        for where in (seen, moving):
            assert (
                where.sum() > 1000 and error[where].mean() < 7 and error[where].mean() < 0.35 * unmoved[where].mean()
            )
        assert error[~seen].mean() > 3 * error[seen].mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_point_keeps_its_instance_and_comes_back_to_its_pixel(seed):
    view, true = video(seed), video(seed).truth
    rows, columns = np.indices(view.left.depth.shape)
    there = [
        np.clip(np.rint(base + shift).astype(int), 0, side - 1)
        for base, shift, side in zip((rows, columns), true.flow[::-1], view.left.depth.shape)
    ]
    same = view.next_left.instance_ids[tuple(there)] == view.left.instance_ids
    assert same[true.flow_seen].mean() > 0.98
    back = true.flow + np.stack([read(component, true.flow) for component in true.backward_flow])
    assert np.percentile(np.hypot(*back)[true.flow_seen], 90) < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_disparity_is_that_of_the_depth_in_all_four_views(seed):
    view, true = video(seed), video(seed).truth
    for rendered, disparity in (
        (view.left, true.disparity),
        (view.right, true.right_disparity),
        (view.next_left, true.next_disparity),
        (view.next_right, true.next_right_disparity),
    ):
        known = rendered.depth > 0
        expected = rendered.intrinsics.fx * BASELINE_M / rendered.depth[known]
        np.testing.assert_allclose(disparity[known], expected, rtol=1e-4, atol=1e-4)
        assert not disparity[~known].any() or np.abs(disparity[~known]).max() < 1e-4


def test_the_depth_of_the_other_view_is_that_of_the_point():
    scene = Scene.draw(SEEDS[0], CLEAR)
    found, after = scene.correspondence(0.0, other_time=1.0), video(SEEDS[0]).next_left
    known = found.seen & (found.depth > 0)
    there = 1 / read(1 / np.where(after.depth > 0, after.depth, 1e6), found.offset)
    assert np.median(np.abs(there / np.where(known, found.depth, 1) - 1)[known]) < 1e-4


def test_what_is_hidden_or_leaves_the_picture_is_not_seen():
    true = video(SEEDS[0]).truth
    rows, columns = np.indices(true.flow_seen.shape)
    outside = (columns + true.flow[0] < 0) | (rows + true.flow[1] > true.flow_seen.shape[0] - 1)
    assert outside.any() and not true.flow_seen[outside].any()
    assert (~true.disparity_seen[:, 60:]).any()  # behind the left edges of what is near
    assert not true.disparity_seen[columns - true.disparity < 0].any()


def test_without_moving_things_the_camera_explains_all_flow():
    view = video(SEEDS[0], things_move=False)
    assert view.truth.moving_ids == frozenset() and video(SEEDS[0]).truth.moving_ids
    k, left, after = view.left.intrinsics.matrix(), view.left, view.next_left
    rows, columns = np.indices(left.depth.shape)
    rays = np.stack([columns, rows, np.ones(left.depth.shape)], -1) @ np.linalg.inv(k).T
    points = np.concatenate([rays * left.depth[..., None], np.ones((*left.depth.shape, 1))], -1)
    moved = (points @ (np.linalg.inv(after.pose) @ left.pose).T)[..., :3] @ k.T
    known = (left.depth > 0) & (moved[..., 2] > 1)
    expected = moved[..., :2] / np.where(known, moved[..., 2], 1)[..., None] - np.stack([columns, rows], -1)
    np.testing.assert_allclose(np.moveaxis(view.truth.flow, 0, -1)[known], expected[known], rtol=1e-3, atol=2e-3)
    moving = video(SEEDS[0])
    np.testing.assert_array_equal(moving.left.image, left.image)
    assert (np.abs(moving.truth.flow - view.truth.flow).max(0) > 1).sum() > 200


def test_what_moves_is_named_and_seen():
    for seed in SEEDS:
        view, scene = video(seed), Scene.draw(seed, CLEAR)
        assert view.truth.moving_ids <= set(np.unique(view.left.instance_ids).tolist())
        assert view.truth.moving_ids <= scene.moving_ids()
        speeds = {
            26000 + t.number: t.velocity for t in scene.plan.things if t.kind in ("car", "van") and t.number >= 0
        }
        assert {i for i in scene.moving_ids() if i // 1000 == 26} == {i for i, v in speeds.items() if v != (0.0, 0.0)}
    riders = [t for t in Scene.draw(SEEDS[0], CLEAR).plan.things if t.kind == "cyclist" and t.velocity != (0.0, 0.0)]
    for rider in riders:
        assert {25000 + rider.number, 33000 + rider.second} <= Scene.draw(SEEDS[0], CLEAR).moving_ids()
    assert riders


def test_views_are_those_of_render_and_the_truth_needs_no_picture():
    small = SceneSettings(height=64, width=128)
    view = render_stereo_video(7, small, time=1.0)
    for seen, (time, right) in (
        (view.left, (1.0, False)), (view.right, (1.0, True)), (view.next_left, (2.0, False)), (view.next_right, (2.0, True))
    ):  # fmt: skip
        np.testing.assert_array_equal(seen.image, render(7, small, time=time, right=right).image)
        np.testing.assert_array_equal(seen.instance_ids, render(7, small, time=time, right=right).instance_ids)
    for alone, of_view in zip(astuple(stereo_video_truth(Scene.draw(7, small), 1.0)), astuple(view.truth)):
        np.testing.assert_array_equal(alone, of_view)


@pytest.mark.parametrize("time", [float("nan"), 29.5, -31.0])
def test_bad_times_are_named(time):
    with pytest.raises(ValueError, match="Expected `time` to be from -30 to 29 frames"):
        render_stereo_video(0, CLEAR, time=time)
