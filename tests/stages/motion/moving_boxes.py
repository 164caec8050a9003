"""A street with boxes that move: ground, an end wall, true points, flow and disparity, and noise where asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mbps_dataset.stages.motion.scene_flow import SceneFlow


HEIGHT, WIDTH = 120, 240
INTRINSICS = np.array([[200.0, 0, 119.5], [0, 200.0, 49.5], [0, 0, 1]])
BASELINE = 0.5
EGO = np.eye(4)
EGO[:3, :3] = Rotation.from_rotvec([0.001, -0.004, 0.0]).as_matrix()
EGO[:3, 3] = (0.02, 0.0, -0.6)


def rays() -> NDArray[np.float64]:
    """Directions with z = 1 of every pixel, [H, W, 3]."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(INTRINSICS).T


def depth_map(boxes: list[tuple[slice, slice, float]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Depth of ground 1.5 m below, a wall at 25 m and boxes (rows, columns, depth) facing the camera; which body is where."""
    down = rays()[..., 1]
    depth = np.minimum(25.0, np.where(down > 0.01, 1.5 / np.maximum(down, 0.01), 25.0))
    bodies = np.zeros(depth.shape, dtype=np.int64)
    for number, (rows, columns, z) in enumerate(boxes, start=1):
        depth[rows, columns], bodies[rows, columns] = z, number
    return depth, bodies


def street(
    steps: list[tuple[float, float, float]], *, noise: float = 0.0, reason: str | None = None
) -> tuple[SceneFlow, NDArray[np.int64]]:
    """Scene flow of a street with up to two boxes that move by `steps` metres (x, y, z), and the body of every pixel.

    `noise` standard deviation of flow and disparities in pixels, from a fixed seed.
    """
    places = [(slice(45, 75), slice(40, 85), 10.0), (slice(45, 68), slice(150, 190), 14.0)]
    depth, bodies = depth_map(places[: len(steps)])
    points = rays() * depth[..., None]
    moved = points.copy()
    for number, step in enumerate(steps, start=1):
        moved[bodies == number] += step
    moved = moved @ EGO[:3, :3].T + EGO[:3, 3]
    rng = np.random.default_rng(5)
    projected = moved @ INTRINSICS.T
    pixels = projected[..., :2] / projected[..., 2:]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    flow = np.stack([pixels[..., 0] - columns, pixels[..., 1] - rows]) + rng.normal(0, noise, (2, HEIGHT, WIDTH))
    bf = INTRINSICS[0, 0] * BASELINE
    disparity, later = (bf / z + rng.normal(0, noise, z.shape) for z in (depth, moved[..., 2]))
    reliable = (depth > 3) & (np.abs(flow) < 60).all(axis=0)
    target = np.stack([columns + flow[0], rows + flow[1], np.ones_like(depth)], axis=-1) @ np.linalg.inv(INTRINSICS).T
    return SceneFlow(
        points_t=(rays() * (bf / disparity)[..., None]).astype(np.float32),
        points_t1=(target * (bf / later)[..., None]).astype(np.float32),
        flow=flow.astype(np.float32),
        disparity_t1=later.astype(np.float32),
        reliable=reliable,
        sigma_flow=(2.0, 2.0),
        sigma_disparity=2.0,
        intrinsics=INTRINSICS,
        baseline=BASELINE,
        reason=reason,
    ), bodies
