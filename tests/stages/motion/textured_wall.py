"""Both eyes' images of a textured wall that faces the camera, before and after a motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mbps_dataset.stages.motion.photometric_test import StereoImages


SIDE = 96
CAMERA = np.array([[100.0, 0, 47.5], [0, 100.0, 47.5], [0, 0, 1]])
EYES_M = 0.4
STILL = np.eye(4)


def shifted(x: float, y: float, z: float) -> NDArray[np.float64]:
    """A shift in metres as a motion [4, 4]."""
    motion = np.eye(4)
    motion[:3, 3] = x, y, z
    return motion


def images_of(
    motion: NDArray[np.float64], disparity: float, *, noise: float = 0.0, contrast: float = 40.0
) -> StereoImages:
    """The wall at the depth of `disparity` px, shifted by `motion`; grey levels spread by `contrast` and `noise`."""
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.normal(size=(300, 300, 3)), (1.5, 1.5, 0))
    texture *= contrast / texture.std()
    depth = CAMERA[0, 0] * EYES_M / disparity

    def view(eye: float, shift: NDArray[np.float64]) -> NDArray[np.uint8]:
        rows, columns = np.mgrid[:SIDE, :SIDE]
        later = depth + shift[2]
        x = (columns - CAMERA[0, 2]) / CAMERA[0, 0] * later + eye - shift[0]
        y = (rows - CAMERA[1, 2]) / CAMERA[1, 1] * later - shift[1]
        places = np.stack([y, x]) * CAMERA[0, 0] / depth + 150
        colours = [ndimage.map_coordinates(texture[..., band], places, order=3, mode="reflect") for band in range(3)]
        seen = 128 + np.stack(colours, axis=-1) + rng.normal(0, noise, (SIDE, SIDE, 3))
        return np.clip(seen.round(), 0, 255).astype(np.uint8)

    start, end = np.zeros(3), motion[:3, 3]
    return StereoImages(view(0.0, start), view(EYES_M, start), view(0.0, end), view(EYES_M, end))
