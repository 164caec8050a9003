"""Inputs that several tests of motion share: a rendered plane in front of a moving camera, and the recorded case."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.motion.scene_flow import StereoMotion


INTRINSICS = np.array([[100.0, 0, 63.5], [0, 100.0, 31.5], [0, 0, 1]])
BASELINE = 0.5


def recorded_motion(golden: dict[str, NDArray]) -> StereoMotion:
    """The inputs of a recorded case: flows as (q + ½) / 64, disparities as q / 256."""
    flows = ((golden[f"flow_{way}_q64"].astype(np.float32) + np.float32(0.5)) / 64 for way in ("fw", "bw"))
    sides = ("t_l2r", "t_r2l", "t1_l2r", "t1_r2l")
    return StereoMotion(*flows, *(golden[f"disp_{side}_q256"].astype(np.float32) / 256 for side in sides))


def slanted_wall(shift: tuple[float, float] = (0.3, 0.4), towards: float = 0.6) -> StereoMotion:
    """True flow and disparity of a plane z = 8 + 0.01 x that the camera passes by `shift` px and nears by `towards` px."""
    rows, columns = np.mgrid[:64, :128].astype(np.float64)
    disparity = 5 + 0.02 * columns
    flow = np.stack([np.full(rows.shape, shift[0]), np.full(rows.shape, shift[1])])
    later = 5 + 0.02 * (columns - shift[0]) + towards
    # Seen from the right eye at x' = x − d(x), so that d(x') solves the same equation.
    right = (5 + 0.02 * columns) / (1 - 0.02)
    right_later = (5 + 0.02 * (columns - shift[0]) + towards) / (1 - 0.02)
    maps = (flow, -flow, disparity, right, later, right_later)
    return StereoMotion(*(np.asarray(values, dtype=np.float32) for values in maps))
