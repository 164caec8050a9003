"""Rendered street scenes: pictures with exact labels, instances, depth, camera and motion, from a seed.

The scene is drawn as flat faces and ellipsoids into a depth buffer; texture is fixed to the surfaces, so that views of
the same scene agree wherever they see the same point. Nothing here is learned or downloaded.
"""

from __future__ import annotations

from mbps_dataset.scenes.camera import intrinsics_of
from mbps_dataset.scenes.render import Scene, render, render_triplet
from mbps_dataset.scenes.scene_settings import (
    APPEARANCE_VERSION,
    BASELINE_M,
    Intrinsics,
    RenderedView,
    SceneSettings,
)
from mbps_dataset.scenes.stereo_video import StereoVideoTruth, StereoVideoView, render_stereo_video, stereo_video_truth


__all__ = [
    "APPEARANCE_VERSION",
    "BASELINE_M",
    "Intrinsics",
    "RenderedView",
    "Scene",
    "SceneSettings",
    "StereoVideoTruth",
    "StereoVideoView",
    "intrinsics_of",
    "render",
    "render_stereo_video",
    "render_triplet",
    "stereo_video_truth",
]
