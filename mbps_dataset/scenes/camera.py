"""Where the camera is: intrinsics for a picture size, and the path of the car that carries it.

The car drives a circular arc at constant speed. Heights, pitch and speed follow the ranges of the Cityscapes car; the
path itself is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.scene_settings import BASELINE_M, Intrinsics, SceneSettings


def intrinsics_of(settings: SceneSettings) -> Intrinsics:
    """Square pixels, focal length from the width, principal point in the middle of the picture."""
    focal = settings.focal_ratio * settings.width
    return Intrinsics(focal, focal, (settings.width - 1) / 2, (settings.height - 1) / 2)


@dataclass(frozen=True)
class EgoPath:
    """Circular arc of the camera: where it is at time 0, how it looks, how fast it drives and turns.

    Lengths in metres, angles in radians, time in frames. `heading` is clockwise from the y axis, `pitch` is downwards.
    """

    x: float
    y: float
    height: float
    heading: float
    pitch: float
    roll: float
    speed: float
    turn: float
    sway: float

    def pose(self, time: float, right: bool = False) -> NDArray[np.float64]:
        """Camera-to-world matrix [4, 4] float64 at `time`; of the right-hand camera if `right`."""
        middle = self.heading + 0.5 * self.turn * time
        half = 0.5 * self.turn * time
        chord = self.speed * time * (math.sin(half) / half if abs(half) > 1e-9 else 1.0)
        position = np.array([self.x + chord * math.sin(middle), self.y + chord * math.cos(middle), self.height])
        pitch = self.pitch + 0.0015 * math.sin(1.7 * time + self.sway)
        rotation = _rotation(self.heading + self.turn * time, pitch, self.roll)
        pose = np.eye(4)
        pose[:3, :3] = rotation
        pose[:3, 3] = position + (rotation[:, 0] * BASELINE_M if right else 0.0)
        return pose


def _rotation(heading: float, pitch: float, roll: float) -> NDArray[np.float64]:
    forward = np.array([math.sin(heading) * math.cos(pitch), math.cos(heading) * math.cos(pitch), -math.sin(pitch)])
    level = np.array([math.cos(heading), -math.sin(heading), 0.0])
    down = np.cross(forward, level)
    right = math.cos(roll) * level + math.sin(roll) * down
    return np.stack([right, np.cross(forward, right), forward], axis=1)
