"""Scene flow: where each point in front of the camera is now and one frame later, and which of them can be trusted.

With focal length f and baseline B a disparity d is a depth z = f B / d, and pixel (x, y) is the point z K⁻¹ (x, y,
1)ᵀ. The same point at t + 1 is what the flow (u, v) leads to. A pixel is reliable iff

    its depth is 5.5 to 70 m, it is near no disparity edge, flow and disparity are consistent, it stays in the image,
    and what it leads to has such a depth, is near no edge and has a consistent disparity, too

(CUPS, section 3.2, numbers of its code). Camera: x right, y down, z forward, in metres.

Decisions made here:

* the disparity at t + 1 is read at (x + u, y + v), bilinearly, and only where all that is read can be trusted; the
  point lies on the ray through that place. CUPS' code reads the nearest pixel and takes that pixel's ray: up to half a
  pixel beside the point, 1.5 cm at 30 m, where two points of a rigid body may differ by 3. ``reference=True`` does so
  too, with what it does at borders (`consistency`, `disparity_edges`);
* with fewer than 512 reliable pixels nothing can be said about motion: `SceneFlow.reason` tells so. CUPS' code writes
  an empty label file;
* depth 0 means unknown, here where the disparity is 0 or not finite. All numbers of a scene flow are finite; what was
  not is 0 and not reliable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.arrays import Mask
from mbps_dataset.stages.motion.consistency import (
    backward_warp,
    consistent_disparity,
    consistent_flow,
    flow_field,
    inside_frame,
)
from mbps_dataset.stages.motion.disparity_edges import near_disparity_edges
from mbps_dataset.stages.motion.noise import disparity_noise, flow_noise


NEAREST_M, FARTHEST_M = 5.5, 70.0
LEAST_RELIABLE_PX = 512
FULLY_TRUSTED = 0.999
"""Least weight of trusted pixels in a bilinear read."""


@dataclass(frozen=True)
class StereoMotion:
    """What two pairs of images say: flow of the left eye, float32 [2, H, W] px (x, y), and disparities [H, W] px.

    Disparities are positive in front of the cameras; `right_disparity_t` is seen from the right eye.
    """

    flow_forward: NDArray[np.float32]
    flow_backward: NDArray[np.float32]
    disparity_t: NDArray[np.float32]
    right_disparity_t: NDArray[np.float32]
    disparity_t1: NDArray[np.float32]
    right_disparity_t1: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = flow_field(self.flow_forward).shape[1:]
        flow_field(self.flow_backward)
        sizes = {name: np.shape(value)[-2:] for name, value in vars(self).items()}
        wrong = next((name for name, size in sizes.items() if size != shape), None)
        if wrong:
            raise ValueError(
                f"Expected `{wrong}` of the flow's size {shape}, but got {sizes[wrong]}; resize one of them."
            )


@dataclass(frozen=True)
class SceneFlow:
    """Points at t and t + 1, float32 [H, W, 3] m, by the pixels of t; and what their motion is judged by.

    `flow` float32 [2, H, W] px (x, y); `disparity_t1` float32 [H, W] px, at the place the flow leads to; `reliable`
    bool [H, W]; `sigma_flow` (x, y) and `sigma_disparity` px; `intrinsics` float [3, 3] px; `baseline` m; `reason` why
    too little is reliable to say anything, else None.
    """

    points_t: NDArray[np.float32]
    points_t1: NDArray[np.float32]
    flow: NDArray[np.float32]
    disparity_t1: NDArray[np.float32]
    reliable: Mask
    sigma_flow: tuple[float, float]
    sigma_disparity: float
    intrinsics: NDArray[np.floating]
    baseline: float
    reason: str | None = None


def depth_from_disparity(disparity: ArrayLike, focal_length: float, baseline: float) -> NDArray[np.float32]:
    """z = f B / (|d| + 10⁻¹⁰) · sign(d), float32 [H, W] m; 0 where `disparity` [H, W] px is 0 or not finite.

    `focal_length` px, `baseline` m. A negative disparity, which no point in front of the cameras has, gives a negative
    depth. Raises `ValueError` if `focal_length` or `baseline` is not positive.

    >>> depth_from_disparity([[0.0, 20.0]], focal_length=1000, baseline=0.5).tolist()
    [[0.0, 25.0]]
    """
    if not (focal_length > 0 and baseline > 0):
        raise ValueError(
            f"Expected a focal length and a baseline above 0, but got {focal_length} px and {baseline} m; "
            "check the camera's calibration."
        )
    values = np.asarray(disparity, dtype=np.float32)
    known = np.where(np.isfinite(values), values, np.float32(0))
    return np.float32(focal_length * baseline) / (np.abs(known) + np.float32(1e-10)) * np.sign(known)


def back_project(
    depth: ArrayLike, intrinsics: ArrayLike, *, shift: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """z K⁻¹ (x, y, 1)ᵀ of every pixel, float32 [H, W, 3] m.

    `depth` [H, W] m; `intrinsics` K [3, 3] px, pixel centres at whole numbers; `shift` [2, H, W] px moves each ray to
    (x + u, y + v); one that is not finite gives the point (0, 0, 0), as depth 0 does. Raises `ValueError` if a size is
    wrong.
    """
    z = np.asarray(depth, dtype=np.float32)
    camera = np.asarray(intrinsics, dtype=np.float64)
    if z.ndim != 2 or camera.shape != (3, 3):
        raise ValueError(f"Expected depth (H, W) and intrinsics (3, 3), but got {z.shape} and {camera.shape}.")
    height, width = z.shape
    places = np.ones((height, width, 3))
    places[..., 0], places[..., 1] = np.arange(width), np.arange(height)[:, None]
    if shift is not None:
        places[..., :2] += np.moveaxis(shift, 0, -1)
        z = np.where(np.isfinite(places).all(axis=-1), z, np.float32(0))
        places[~np.isfinite(places)] = 0
    return (places @ np.linalg.inv(camera).T * z[..., None]).astype(np.float32)


def read_nearest(values: ArrayLike, flow: ArrayLike) -> NDArray[np.generic]:
    """`values` [H, W, …] of the pixel (rint(x + u), rint(y + v)), 0 outside; a half goes to the even one."""
    grid, field = np.asarray(values), flow_field(flow)
    rows, columns = _nearest_pixels(field)
    inside = stays_inside(field)
    out = np.zeros(grid.shape, dtype=grid.dtype)
    out[inside] = grid[rows[inside], columns[inside]]
    return out


def stays_inside(flow: ArrayLike) -> Mask:
    """Where the pixel nearest to (x + u, y + v) is in the image, bool [H, W]; `flow` [2, H, W] px."""
    field = flow_field(flow)
    rows, columns = _nearest_pixels(field)
    height, width = field.shape[1:]
    return (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)


def within_margins(shape: tuple[int, int], *, columns: int = 96, top: float = 0.05, bottom: float = 0.20) -> Mask:
    """The middle of an image of `shape` (H, W), bool [H, W]: what CUPS looks at, without the car's own bonnet.

    `columns` px are cut left and right (Cityscapes 96, KITTI 0), and the shares `top` and `bottom` of the rows.
    """
    height, width = shape
    inside = np.zeros(shape, dtype=bool)
    inside[int(top * height) : height - int(bottom * height), columns : max(width - columns, columns)] = True
    return inside


def trusted_disparity(
    disparity: ArrayLike,
    right_disparity: ArrayLike,
    depth: ArrayLike,
    *,
    depth_range: tuple[float, float] = (NEAREST_M, FARTHEST_M),
    reference: bool = False,
) -> Mask:
    """Where the disparity is consistent, no edge is near, and `depth` [H, W] m is in `depth_range`; bool [H, W]."""
    z = np.asarray(depth)
    consistent = consistent_disparity(disparity, right_disparity, reference=reference)
    in_range = (z >= depth_range[0]) & (z <= depth_range[1])
    return in_range & consistent & ~near_disparity_edges(disparity, reference=reference)


def scene_flow(
    motion: StereoMotion,
    intrinsics: ArrayLike,
    baseline: float,
    *,
    valid_pixels: ArrayLike | None = None,
    depth_range: tuple[float, float] = (NEAREST_M, FARTHEST_M),
    least_reliable: int = LEAST_RELIABLE_PX,
    reference: bool = False,
) -> SceneFlow:
    """Scene flow of the left image at t, with the reason where fewer than `least_reliable` pixels can be trusted.

    `intrinsics` [3, 3] px of the images the maps were taken from; `baseline` m; `valid_pixels` bool [H, W] pixels to
    look at (see `within_margins`; default all); `depth_range` m, both ends included. See the module for the equations
    and for `reference`. Raises `ValueError` if the camera is impossible or a size is wrong.
    """
    camera = np.asarray(intrinsics, dtype=np.float64)
    flow, disparity_t1 = flow_field(motion.flow_forward), np.asarray(motion.disparity_t1, dtype=np.float32)
    depth_t, depth_t1 = (
        depth_from_disparity(disparity, float(camera[0, 0]), baseline)
        for disparity in (motion.disparity_t, disparity_t1)
    )
    trusted_t, trusted_t1 = (
        trusted_disparity(left, right, depth, depth_range=depth_range, reference=reference)
        for left, right, depth in (
            (motion.disparity_t, motion.right_disparity_t, depth_t),
            (disparity_t1, motion.right_disparity_t1, depth_t1),
        )
    )
    looked_at = np.ones(depth_t.shape, dtype=bool) if valid_pixels is None else np.asarray(valid_pixels, dtype=bool)
    if looked_at.shape != depth_t.shape:
        raise ValueError(f"Expected `valid_pixels` of the flow's size {depth_t.shape}, but got {looked_at.shape}.")
    reached = trusted_at_target(trusted_t1, flow, reference=reference)
    reliable = looked_at & trusted_t & reached & consistent_flow(flow, motion.flow_backward, reference=reference)
    points_t1, disparity_at_target = points_at_target(disparity_t1, flow, camera, baseline, reference=reference)
    of_flow = flow_noise(flow, motion.flow_backward, reference=reference).sigma
    of_disparity = disparity_noise(motion.disparity_t, motion.right_disparity_t, reference=reference).sigma
    return SceneFlow(
        points_t=back_project(depth_t, camera),
        points_t1=points_t1,
        flow=np.where(np.isfinite(flow), flow, np.float32(0)),
        disparity_t1=disparity_at_target,
        reliable=reliable,
        sigma_flow=(float(of_flow[0]), float(of_flow[1])),
        sigma_disparity=float(of_disparity[0]),
        intrinsics=camera,
        baseline=float(baseline),
        reason=_too_few(int(np.count_nonzero(reliable)), least_reliable),
    )


def trusted_at_target(trusted_t1: ArrayLike, flow: ArrayLike, *, reference: bool = False) -> Mask:
    """Where all that is read at (x + u, y + v) is trusted, bool [H, W]; with `reference` the nearest pixel alone."""
    trusted = np.asarray(trusted_t1, dtype=bool)
    if reference:
        return read_nearest(trusted, flow).astype(bool)
    share = backward_warp(trusted[None], flow, padding="zeros")[0]
    return (share >= FULLY_TRUSTED) & inside_frame(flow)


def points_at_target(
    disparity_t1: ArrayLike, flow: ArrayLike, intrinsics: ArrayLike, baseline: float, *, reference: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points [H, W, 3] m and disparities [H, W] px of t + 1 at (x + u, y + v); 0 outside the image.

    Bilinear, on the ray through that place; with `reference` those of the nearest pixel.
    """
    disparity, camera = np.asarray(disparity_t1, dtype=np.float32), np.asarray(intrinsics, dtype=np.float64)
    focal_length, field = float(camera[0, 0]), flow_field(flow)
    if reference:
        disparity = np.where(np.isfinite(disparity), disparity, np.float32(0))
        points = back_project(depth_from_disparity(disparity, focal_length, baseline), camera)
        return read_nearest(points, field).astype(np.float32), read_nearest(disparity, field).astype(np.float32)
    read = backward_warp(disparity[None], field, padding="zeros")[0]
    read = np.where(inside_frame(field) & np.isfinite(read), read, np.float32(0))
    return back_project(depth_from_disparity(read, focal_length, baseline), camera, shift=field), read


def _nearest_pixels(flow: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the pixel nearest to where the flow leads; −1 where it is not finite or far away."""
    height, width = flow.shape[1:]
    with np.errstate(invalid="ignore"):
        columns = np.rint(np.arange(width, dtype=np.float32) + flow[0])
        rows = np.rint(np.arange(height, dtype=np.float32)[:, None] + flow[1])
        known = np.isfinite(rows) & np.isfinite(columns)
    return (
        np.where(known, np.clip(rows, -1, height), -1).astype(np.int64),
        np.where(known, np.clip(columns, -1, width), -1).astype(np.int64),
    )


def _too_few(reliable: int, least: int) -> str | None:
    if reliable >= least:
        return None
    return f"only {reliable} pixels have a reliable scene flow, where {least} are needed"
