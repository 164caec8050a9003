"""Recorded scenes, traces and packed masks of rigid-motion clustering, as the functions take them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.stages.motion.draws import Draws
from mbps_dataset.stages.motion.scene_flow import (
    SceneFlow,
    back_project,
    depth_from_disparity,
    points_at_target,
    scene_flow,
)
from tests.stages.motion.scenes import recorded_motion
from tests.vectors import load_vectors, vector_path


Golden = dict[str, NDArray]


def load_parts(*names: str) -> Golden:
    """The arrays of several files as one; skips the test where one is not at hand."""
    if not all(vector_path(f"cups/{name}.npz").exists() for name in names):
        pytest.skip(f"{', '.join(names)} lie beside the checkout and are not among the copies in tests/data")
    return {key: value for name in names for key, value in load_vectors(f"cups/{name}").items()}


def unpacked(packed: NDArray, *shape: int) -> NDArray[np.bool_]:
    """Masks from packed bits."""
    return np.unpackbits(packed)[: int(np.prod(shape))].reshape(shape).astype(bool)


def flat_points(points: NDArray) -> NDArray[np.float32]:
    """[3, h, w] as [N, 3]."""
    return np.ascontiguousarray(points.reshape(3, -1).T)


def recorded_flow(golden: Golden) -> SceneFlow:
    """The scene flow of a recorded case from its whole inputs, as the reference makes it."""
    return scene_flow(recorded_motion(golden), golden["intrinsics"], float(golden["baseline"]), reference=True)


def flow_with_mask(golden: Golden) -> SceneFlow:
    """The scene flow of a recorded case that gives its reliable pixels and standard deviations."""
    flow = ((golden["flow_fw_q64"].astype(np.float32) + np.float32(0.5)) / 64).astype(np.float32)
    before, after = (golden[f"disp_{time}_l2r_q256"].astype(np.float32) / 256 for time in ("t", "t1"))
    camera, baseline = golden["intrinsics"], float(golden["baseline"])
    points_t1, disparity_t1 = points_at_target(after, flow, camera, baseline, reference=True)
    return SceneFlow(
        points_t=back_project(depth_from_disparity(before, float(camera[0, 0]), baseline), camera),
        points_t1=points_t1,
        flow=flow,
        disparity_t1=disparity_t1,
        reliable=unpacked(golden["reliable"], *before.shape),
        sigma_flow=(float(golden["sigma_flow"][0]), float(golden["sigma_flow"][1])),
        sigma_disparity=float(golden["sigma_disp"][0]),
        intrinsics=camera,
        baseline=baseline,
    )


def recorded_draws(values: ArrayLike) -> Draws:
    """A source of draws that hands out `values` [n] in order; asked for more than there are, it fails."""
    numbers = np.asarray(values, dtype=np.float32)
    used = 0

    def draw(count: int) -> NDArray[np.float32]:
        nonlocal used
        if used + count > len(numbers):
            raise ValueError(f"{count} more draws are needed, but of {len(numbers)} recorded ones {used} are used.")
        used += count
        return numbers[used - count : used]

    return draw


def ious(labels: NDArray, bodies: NDArray) -> list[float]:
    """For each moving body 1 … n its largest IoU with an object."""
    found = []
    for body in range(1, int(bodies.max()) + 1):
        there = bodies == body
        overlaps = [((labels == k) & there).sum() / ((labels == k) | there).sum() for k in np.unique(labels) if k]
        found.append(float(max(overlaps, default=0.0)))
    return found
