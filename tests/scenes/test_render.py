"""Rendered street scenes: the same again from the same seed, true to their own depth, labels and motion."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from mbps_dataset.errors import RecipeError
from mbps_dataset.scenes import (
    APPEARANCE_VERSION,
    BASELINE_M,
    Intrinsics,
    RenderedView,
    Scene,
    SceneSettings,
    assembly,
    render,
    render_triplet,
)
from mbps_dataset.taxonomy import CITYSCAPES, LABEL_ID_TO_TRAIN_ID


SMALL = SceneSettings(height=128, width=256)
CLEAR = SceneSettings(height=192, width=384, noise=0.0)
THINGS = [row.label_id for row in CITYSCAPES if row.is_thing]


def digest(view: RenderedView) -> str:
    arrays = (view.image, view.label_ids, view.instance_ids, view.depth, view.pose)
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def seen_from(view: RenderedView, other: RenderedView):
    """Column, row and depth [H, W] in `other` of the points that `view` shows."""
    k, (height, width) = view.intrinsics, view.depth.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    depth = view.depth.astype(np.float64)
    points = np.stack([(columns - k.cx) / k.fx * depth, (rows - k.cy) / k.fy * depth, depth, np.ones_like(depth)], -1)
    points = points @ (np.linalg.inv(other.pose) @ view.pose).T
    z = np.maximum(points[..., 2], 1e-6)
    return k.fx * points[..., 0] / z + k.cx, k.fy * points[..., 1] / z + k.cy, points[..., 2]


def inside(view: RenderedView, column, row, depth):
    height, width = view.depth.shape
    return (view.depth > 0) & (depth > 0.5) & (column > 1) & (column < width - 2) & (row > 1) & (row < height - 2)


def seen_in_both(view: RenderedView, other: RenderedView):
    """Where a still point of `view` is also seen in `other`: its mask, and column and row there."""
    column, row, depth = seen_from(view, other)
    mask = inside(view, column, row, depth) & (view.instance_ids < 1000)
    at = np.clip(np.round(row), 0, None).astype(int) * mask, np.clip(np.round(column), 0, None).astype(int) * mask
    return mask & (np.abs(other.depth[at] - depth) < 0.02 * depth + 0.05), column, row


def test_the_appearance_is_numbered():
    assert APPEARANCE_VERSION == 1


def test_shapes_dtypes_and_ranges():
    view = render(3, SMALL)
    assert view.image.shape == (128, 256, 3) and view.image.dtype == np.uint8
    assert view.label_ids.shape == (128, 256) and view.label_ids.dtype == np.uint8 and view.label_ids.max() <= 33
    assert view.instance_ids.shape == (128, 256) and view.instance_ids.dtype == np.int32
    assert view.depth.shape == (128, 256) and view.depth.dtype == np.float32
    assert view.pose.shape == (4, 4) and view.pose.dtype == np.float64
    np.testing.assert_allclose(view.pose[:3, :3] @ view.pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert 1.2 <= view.pose[2, 3] <= 1.6
    np.testing.assert_array_equal(view.depth == 0, view.label_ids == 23)
    assert view.depth[view.depth > 0].min() > 0.25 and view.depth.max() < 500


def test_the_same_arguments_give_the_same_arrays():
    settings = SceneSettings(height=64, width=128)
    assert digest(render(5, settings, time=0.5)) == digest(render(5, settings, time=0.5))
    distinct = [
        render(5, settings),
        render(6, settings),
        render(5, settings, time=1.0),
        render(5, settings, right=True),
    ]
    assert len({digest(view) for view in distinct}) == 4


@pytest.mark.parametrize("time", [0.0, 1.0])
def test_truth_alone_is_that_of_the_picture(time):
    scene = Scene.draw(5, SMALL)
    for right in (False, True):
        view = scene.view(time, right)
        for alone, of_view in zip(scene.truth(time, right), (view.label_ids, view.instance_ids, view.depth)):
            assert alone.dtype == of_view.dtype and np.array_equal(alone, of_view)


def test_another_process_gives_the_same_arrays():
    program = (
        "from mbps_dataset.scenes import *; import hashlib;"
        "v = render(11, SceneSettings(height=64, width=128));"
        "print(hashlib.sha256(v.image.tobytes() + v.label_ids.tobytes() + v.depth.tobytes()).hexdigest())"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {"PYTHONPATH": str(root), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root, env=environment
    )
    view = render(11, SceneSettings(height=64, width=128))
    here = hashlib.sha256(view.image.tobytes() + view.label_ids.tobytes() + view.depth.tobytes()).hexdigest()
    assert other.stdout.strip() == here


def test_rendering_leaves_global_random_state_alone():
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    render(2, SceneSettings(height=32, width=64))
    assert np.random.random() == expected


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 128), (256, 96), (33, 71), (300, 1700)])
def test_any_size(height, width):
    view = render(1, SceneSettings(height=height, width=width))
    assert view.image.shape == (height, width, 3) and len(np.unique(view.label_ids)) > 3


def test_a_larger_picture_shows_the_same_scene():
    small, large = render(4, SMALL), render(4, SceneSettings(height=256, width=512))
    assert (large.label_ids[::2, ::2] == small.label_ids).mean() > 0.9
    assert large.intrinsics.fx == 2 * small.intrinsics.fx == pytest.approx(512 * 2262 / 2048)


def test_instance_ids_agree_with_labels():
    for seed in range(6):
        view = render(seed, SMALL)
        thing = np.isin(view.label_ids, THINGS)
        np.testing.assert_array_equal(view.instance_ids[thing] // 1000, view.label_ids[thing])
        np.testing.assert_array_equal(view.instance_ids[~thing], view.label_ids[~thing])
        assert thing.any()


def test_classes_and_counts_vary():
    seen, counts = set(), []
    for seed in range(36):
        view = render(seed, SceneSettings(height=96, width=192))
        seen |= set(LABEL_ID_TO_TRAIN_ID[view.label_ids].ravel().tolist())
        ids, areas = np.unique(view.instance_ids, return_counts=True)
        counts.append(((ids >= 1000) & (areas >= 12)).sum())
    assert set(range(19)) - seen <= {16}  # a tram is rare
    assert 5 <= np.median(counts) <= 20 and len(set(counts)) > 5


def test_vehicles_stand_side_by_side_and_one_behind_the_other():
    touching = 0
    for seed in range(8):
        ids = render(seed, SMALL).instance_ids
        a, b = ids[:, :-1].ravel(), ids[:, 1:].ravel()
        border = (a != b) & (a // 1000 == b // 1000) & (a >= 1000)
        touching += len(set(zip(a[border].tolist(), b[border].tolist())))
    assert touching >= 8


def test_colour_alone_does_not_tell_the_classes():
    """The nearest mean colour names few pixels rightly, or texture and shape would have nothing to add."""
    views = [render(seed, SceneSettings(height=64, width=128)) for seed in range(14)]
    colours = np.concatenate([view.image.reshape(-1, 3) for view in views]).astype(float)
    labels = np.concatenate([LABEL_ID_TO_TRAIN_ID[view.label_ids].ravel() for view in views])
    colours, labels = colours[labels != 255], labels[labels != 255]
    means = np.stack([colours[labels == c].mean(0) if (labels == c).any() else np.full(3, 1e3) for c in range(19)])
    guess = ((colours[:, None] - means) ** 2).sum(-1).argmin(1)
    recalls = [(guess[labels == c] == c).mean() for c in range(19) if (labels == c).any()]
    assert np.mean(recalls) < 0.4


def warped_error(view: RenderedView, other: RenderedView) -> tuple[float, float]:
    """Mean difference of `view` and `other` warped into it, and of the two as they are, over still points."""
    mask, column, row = seen_in_both(view, other)
    assert mask.mean() > 0.3
    channels = np.moveaxis(other.image.astype(float), 2, 0)
    warped = np.stack([map_coordinates(channel, [row, column], order=1, mode="nearest") for channel in channels], -1)
    return (
        np.abs(warped - view.image).mean(-1)[mask].mean(),
        np.abs(other.image.astype(float) - view.image).mean(-1)[mask].mean(),
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_next_frame_warped_by_depth_and_pose_gives_this_frame(seed):
    current, following = render(seed, CLEAR), render(seed, CLEAR, time=1.0)
    error, unmoved = warped_error(current, following)
    assert error < 9 and error < 0.6 * unmoved
    for scale in (0.9, 1.1):
        views = [replace(view, depth=view.depth * np.float32(scale)) for view in (current, following)]
        assert warped_error(*views)[0] > error


@pytest.mark.parametrize("seed", range(4))
def test_the_right_view_shows_every_point_at_its_disparity(seed):
    left, right = render(seed, CLEAR), render(seed, CLEAR, right=True)
    column, row, depth = seen_from(left, right)
    mask = left.depth > 0
    columns = np.broadcast_to(np.arange(left.depth.shape[1]), left.depth.shape)
    disparity = left.intrinsics.fx * BASELINE_M / left.depth[mask]
    np.testing.assert_allclose((columns - column)[mask], disparity, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(row[mask], np.indices(row.shape)[0][mask], atol=1e-6)
    both, _, _ = seen_in_both(left, right)
    still = inside(left, column, row, depth) & (left.instance_ids < 1000)
    assert both.sum() > 0.8 * still.sum()


def test_some_things_move_and_many_stay():
    moved, stayed = 0, 0
    for seed in range(6):
        things = Scene.draw(seed, CLEAR).plan.things
        moved += sum(thing.velocity != (0.0, 0.0) for thing in things if thing.number >= 0)
        stayed += sum(thing.velocity == (0.0, 0.0) for thing in things if thing.number >= 0)
    assert moved > 6 and stayed > moved


def test_a_moving_car_keeps_its_number_and_moves_as_planned():
    for seed in range(40):
        scene = Scene.draw(seed, CLEAR)
        cars = [t for t in scene.plan.things if t.kind == "car" and 9 < t.y < 30 and abs(t.velocity[1]) > 0.4]
        before, after = scene.view(-1.0), scene.view(1.0)
        for car in cars:
            number = 26000 + car.number
            if min((before.instance_ids == number).sum(), (after.instance_ids == number).sum()) > 300:
                shift = _middle(after, number) - _middle(before, number)
                np.testing.assert_allclose(shift, [2 * car.velocity[0], 2 * car.velocity[1]], atol=0.9)
                return
    pytest.fail("no moving car was seen")


def _middle(view: RenderedView, number: int):
    rows, columns = np.nonzero(view.instance_ids == number)
    depth, k = view.depth[rows, columns], view.intrinsics
    points = np.stack([(columns - k.cx) / k.fx * depth, (rows - k.cy) / k.fy * depth, depth, np.ones(len(depth))])
    return np.median((view.pose @ points)[:2], axis=1)


def test_a_triplet_is_three_views_of_one_drive():
    settings = SceneSettings(height=64, width=128)
    views = render_triplet(7, settings)
    assert [digest(view) for view in views] == [digest(render(7, settings, time=t)) for t in (-1.0, 0.0, 1.0)]
    steps = [np.linalg.norm(b.pose[:3, 3] - a.pose[:3, 3]) for a, b in zip(views[:-1], views[1:])]
    assert all(0.45 < step < 1.55 for step in steps)
    assert (np.linalg.inv(views[0].pose) @ views[1].pose)[2, 3] > 0.4


def test_sensor_noise_is_another_in_every_frame():
    noisy, clean = SceneSettings(height=64, width=128), SceneSettings(height=64, width=128, noise=0.0)
    grains = [
        render(9, noisy, time=t).image.astype(float) - render(9, clean, time=t).image for t in (0.0, 1.0)
    ]  # fmt: skip
    assert min(grain.std() for grain in grains) > 1
    assert abs(np.corrcoef(grains[0].ravel(), grains[1].ravel())[0, 1]) < 0.1


def test_haze_veils_what_is_far():
    """With ten times the haze, far pixels come much closer to the colour of the horizon."""
    gaps = []
    for haze in (0.0, 10.0):
        scene = Scene.draw(8, SceneSettings(height=64, width=128, haze=haze, noise=0.0))
        gain, offset = scene.weather.display
        view = scene.view()
        horizon = np.clip(0.95 * np.array(scene.weather.horizon) * gain + offset, 0, 255)
        gaps.append(np.abs(view.image[view.depth > 60] - horizon).mean())
    assert gaps[1] < 0.7 * gaps[0]


def test_traffic_sets_the_number_of_things():
    counts = [len(Scene.draw(12, SceneSettings(traffic=t)).plan.things) for t in (0.0, 1.0)]
    empty = Scene.draw(12, SceneSettings(traffic=0.0)).plan.things
    assert counts[0] < counts[1] and not any(thing.number >= 0 for thing in empty)


@pytest.mark.parametrize("seed", range(5))
def test_leaving_out_what_is_out_of_view_changes_nothing(seed, monkeypatch):
    short = render(seed, SMALL)
    monkeypatch.setattr(assembly, "_in_view", lambda *_: True)
    whole = render(seed, SMALL)  # matrix products of another size, so equal within rounding
    same = short.instance_ids == whole.instance_ids
    assert same.mean() > 0.999 and (np.abs(short.image[same].astype(int) - whole.image[same]) <= 1).mean() > 0.999
    assert np.isclose(short.depth[same], whole.depth[same], rtol=1e-4).mean() > 0.999


def test_things_do_not_stand_inside_each_other():
    for seed in range(20):
        things = [t for t in Scene.draw(seed).plan.things if t.kind in ("car", "van", "truck", "bus")]
        for k, a in enumerate(things):
            for b in things[:k]:
                assert np.hypot(a.x - b.x, a.y - b.y) > 1.7


def test_intrinsics_as_a_matrix():
    matrix = Intrinsics(2.0, 3.0, 4.0, 5.0).matrix()
    np.testing.assert_array_equal(matrix, [[2, 0, 4], [0, 3, 5], [0, 0, 1]])
    assert matrix.dtype == np.float64


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"height": 8}, "height must be between 16 and 8192, but is 8."),
        ({"width": 64.0}, "width must be of type int, but is 64.0."),
        ({"traffic": -1.0}, "traffic must be between 0.0 and 3.0, but is -1.0."),
        ({"haze": float("nan")}, "haze must be between 0.0 and 10.0, but is nan."),
        ({"noise": "much"}, "noise must be of type float, but is 'much'."),
        ({"focal_ratio": True}, "focal_ratio must be of type float, but is True."),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(RecipeError) as caught:
        SceneSettings(**setting)
    assert message in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_bad_seeds_are_named(seed):
    with pytest.raises(ValueError, match="Expected `seed` to be a whole number from 0, but got"):
        render(seed, SMALL)


@pytest.mark.parametrize("time", [float("nan"), 31.0])
def test_bad_times_are_named(time):
    with pytest.raises(ValueError, match="Expected `time` to be from -30 to 30 frames"):
        render(0, SMALL, time=time)
