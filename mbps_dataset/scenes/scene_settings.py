"""What is asked of the renderer and what it returns: settings, intrinsics, one rendered view.

Decisions made here, all ours:

* World axes are x right, y forward along the street, z up, in metres; camera axes are x right, y down, z forward
  (the OpenCV and Cityscapes convention). A pose maps camera coordinates to world coordinates.
* Pixel centres lie at integer coordinates: pixel (row i, column j) looks along ((j - cx) / fx, (i - cy) / fy, 1).
* The default focal length and the stereo baseline are those of the Cityscapes car: 2262 px at a width of 2048, 0.22 m.
* Instance numbers belong to an object, not to an image: the same car keeps its number over time and in both eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.settings import Settings, setting


APPEARANCE_VERSION = 1
"""Rises whenever the same seed gives another picture; networks trained on the pictures record it."""

BASELINE_M = 0.22
"""Distance between the left and the right camera in metres (Cityscapes: 0.209–0.222)."""


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera in pixels: focal lengths `fx`, `fy` and principal point `cx`, `cy`; pixel centres are integers."""

    fx: float
    fy: float
    cx: float
    cy: float

    def matrix(self) -> NDArray[np.float64]:
        """The 3x3 matrix K with pixel = K @ (X / Z, Y / Z, 1): [3, 3] float64."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class SceneSettings(Settings):
    """Size of the picture and how full and how clear the street is. Raises `RecipeError` for a value out of range."""

    height: int = setting(512, "of the picture", unit="pixels", at_least=16, at_most=8192)
    width: int = setting(1024, "of the picture", unit="pixels", at_least=16, at_most=8192)
    focal_ratio: float = setting(
        2262 / 2048, "focal length over width", source="Cityscapes", at_least=0.2, at_most=4.0
    )
    traffic: float = setting(
        1.0, "multiplies the number of vehicles, riders and pedestrians", source="ours", at_least=0.0, at_most=3.0
    )
    haze: float = setting(1.0, "multiplies the density of the haze", source="ours", at_least=0.0, at_most=10.0)
    noise: float = setting(
        1.0, "multiplies the sensor noise; 0 gives a noise-free picture", source="ours", at_least=0.0, at_most=10.0
    )


@dataclass(frozen=True)
class RenderedView:
    """One picture with everything that is true about it.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        label_ids: uint8 [H, W], Cityscapes label ids 0–33.
        instance_ids: int32 [H, W]; the label id for stuff, ``label_id * 1000 + k`` for things, k from 0.
        depth: float32 [H, W], metres along the optical axis; 0 where there is none (sky).
        intrinsics: the camera of this view.
        pose: float64 [4, 4], camera to world.
    """

    image: NDArray[np.uint8]
    label_ids: NDArray[np.uint8]
    instance_ids: NDArray[np.int32]
    depth: NDArray[np.float32]
    intrinsics: Intrinsics
    pose: NDArray[np.float64]
