"""Four views of a street, two eyes at two moments, with the true motion between them: what labels from motion are
measured with. Vehicles and people that have a velocity move by themselves, and so does the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.render import Scene
from mbps_dataset.scenes.scene_settings import RenderedView, SceneSettings


_DEFAULT = SceneSettings()


@dataclass(frozen=True)
class StereoVideoTruth:
    """True flow and disparity of a stereo pair and the next one, and where each has a counterpart.

    Flow is float32 [2, H, W] pixels (x, y) of the left eye: forward from a frame to the next, backward from the next one.
    Disparities are float32 [H, W] pixels, column in the left eye minus column in the right, 0 for the sky;
    `right_disparity` by the right eye's pixels; `next_` at the later moment. A `_seen` map, bool [H, W], says where
    the other view shows the point: inside the picture and not occluded. `moving_ids` are the instance ids, the same in all
    views, of what moves by itself and is in the left view.
    """

    flow: NDArray[np.float32]
    flow_seen: NDArray[np.bool_]
    backward_flow: NDArray[np.float32]
    backward_flow_seen: NDArray[np.bool_]
    disparity: NDArray[np.float32]
    disparity_seen: NDArray[np.bool_]
    right_disparity: NDArray[np.float32]
    right_disparity_seen: NDArray[np.bool_]
    next_disparity: NDArray[np.float32]
    next_disparity_seen: NDArray[np.bool_]
    next_right_disparity: NDArray[np.float32]
    next_right_disparity_seen: NDArray[np.bool_]
    moving_ids: frozenset[int]


@dataclass(frozen=True)
class StereoVideoView:
    """What both eyes see at a moment and one frame later, and what is true of it."""

    left: RenderedView
    right: RenderedView
    next_left: RenderedView
    next_right: RenderedView
    truth: StereoVideoTruth


def stereo_video_truth(scene: Scene, time: float = 0.0) -> StereoVideoTruth:
    """True motion from `time` to the next frame, without the pictures."""
    later = time + 1.0
    forward = scene.correspondence(time, other_time=later)
    backward = scene.correspondence(later, other_time=time)
    pairs = [
        scene.correspondence(moment, eye, other_time=moment, other_right=not eye)
        for moment in (time, later)
        for eye in (False, True)
    ]
    left, right, next_left, next_right = pairs
    _, instance_ids, _ = scene.truth(time)
    return StereoVideoTruth(
        flow=forward.offset,
        flow_seen=forward.seen,
        backward_flow=backward.offset,
        backward_flow_seen=backward.seen,
        disparity=-left.offset[0],
        disparity_seen=left.seen,
        right_disparity=right.offset[0],
        right_disparity_seen=right.seen,
        next_disparity=-next_left.offset[0],
        next_disparity_seen=next_left.seen,
        next_right_disparity=next_right.offset[0],
        next_right_disparity_seen=next_right.seen,
        moving_ids=scene.moving_ids() & frozenset(np.unique(instance_ids).tolist()),
    )


def render_stereo_video(
    seed: int, settings: SceneSettings = _DEFAULT, *, time: float = 0.0, things_move: bool = True
) -> StereoVideoView:
    """Render both eyes' views of the scene of `seed` at `time` and one frame later, with the true motion.

    The views are those of `render`. Without `things_move` everything but the camera stands still. Raises `ValueError`
    for a bad seed or time.
    """
    if not np.isfinite(time) or not -30 <= time <= 29:
        raise ValueError(f"Expected `time` to be from -30 to 29 frames, but got {time}; scenes are short.")
    scene = Scene.draw(seed, settings, things_move=things_move)
    return StereoVideoView(
        left=scene.view(time),
        right=scene.view(time, right=True),
        next_left=scene.view(time + 1.0),
        next_right=scene.view(time + 1.0, right=True),
        truth=stereo_video_truth(scene, time),
    )
