"""Where each point of one rendered view lies in another: true optical flow and disparity, by geometry.

Every pixel shows a point of a part, a flat face or an ellipsoid. The part at the other moment is the same one moved, and
the point keeps its place on it: with corners c and edges of a face, or centre c and semi-axes of an ellipsoid, as the
columns of M,

    P_b = M_b M_a^-1 (P_a - c_a) + c_b,   pixel_b = K (R_b^T (P_b - o_b)),

which follows limbs that swing as well as cars that drive. A point is seen in the other view if it lies inside it and the
surface found there is as far away as the point itself. The sky is infinitely far: it moves as the camera turns. All ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes.arrays import Points
from mbps_dataset.scenes.primitives import Parts
from mbps_dataset.scenes.projection import NEAR_M, Screen


SAME_DEPTH = 0.01
"""Relative difference of inverse depth up to which two points are on one surface."""
SAME_PIXEL_DEPTH = 0.03
"""The same between a point and the pixel nearest to it, which shows a point up to half a pixel away."""

ROUNDING_PX = 1e-3
"""By so much a point may lie outside the picture's outermost pixels, whose rays are rounded to single precision."""


@dataclass(frozen=True)
class Correspondence:
    """Where the points of one view lie in another of the same size.

    Attributes:
        offset: float32 [2, H, W] pixels (x, y) from each pixel to where its point lies in the other view; 0 where that is
            behind the camera.
        depth: float32 [H, W] metres of the point in the other camera; 0 for the sky and behind the camera.
        seen: bool [H, W], whether the other view shows the point: inside the picture and not occluded.
    """

    offset: NDArray[np.float32]
    depth: NDArray[np.float32]
    seen: NDArray[np.bool_]


def follow(points: Points, part: NDArray[np.intp], before: tuple[Parts, Parts], after: tuple[Parts, Parts]) -> Points:
    """World `points` [N, 3] on parts (`part` [N]: row of the faces, or number of faces + row of the ellipsoids) as the
    parts have moved; −1 stands for no part, and its point stays."""
    matrices, shifts = zip(_moved(before[0], after[0], _face_axes), _moved(before[1], after[1], _ellipsoid_axes))
    matrix = np.concatenate([*matrices, np.eye(3)[None]])
    shift = np.concatenate([*shifts, np.zeros((1, 3))])
    return np.einsum("nij,nj->ni", matrix[part], points) + shift[part]


def _moved(before: Parts, after: Parts, axes_of: Callable[[Points], Points]) -> tuple[Points, Points]:
    """Affine maps [M, 3, 3] and [M, 3] that take each part from where it was to where it is."""
    matrix = np.tile(np.eye(3), (len(before.shape), 1, 1))
    shift = np.zeros((len(before.shape), 3))
    rows = np.flatnonzero((before.shape != after.shape).any((1, 2)))
    old, new = before.shape[rows], after.shape[rows]
    matrix[rows] = axes_of(new) @ np.linalg.inv(axes_of(old))
    shift[rows] = new[:, 0] - np.einsum("nij,nj->ni", matrix[rows], old[:, 0])
    return matrix, shift


def _face_axes(corners: Points) -> Points:
    """Columns: the first edge, the way up, the unit normal; [M, 3, 3]."""
    first, right = corners[:, 0], corners[:, 1] - corners[:, 0]
    is_triangle = ((corners[:, 3] - first) ** 2).sum(1, keepdims=True) <= 1e-12
    up = np.where(is_triangle, corners[:, 2], corners[:, 3]) - first
    normal = np.cross(right, up)
    normal /= np.maximum(np.sqrt((normal**2).sum(1, keepdims=True)), 1e-12)
    return np.stack([right, up, normal], axis=2)


def _ellipsoid_axes(shape: Points) -> Points:
    return shape[:, 1:].transpose(0, 2, 1)


def correspond(
    here: Screen,
    inverse_depth: NDArray[np.float32],
    part: NDArray[np.intp],
    parts: tuple[tuple[Parts, Parts], tuple[Parts, Parts]],
    there: Screen,
    inverse_depth_there: NDArray[np.float32],
) -> Correspondence:
    """Follow what `here` shows to `there`.

    `inverse_depth` [H, W] 1/m (0 for the sky) and `part` [H, W] (as in `follow`) are of the first view; `parts` are the
    same parts at the moments of both views; `inverse_depth_there` [H, W] is what the other view shows.
    """
    shape = inverse_depth.shape
    x, y = (axis.astype(np.float64) for axis in here.rays())
    rays = np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.ones(shape)], axis=-1).reshape(-1, 3)
    near = inverse_depth.reshape(-1, 1).astype(np.float64)
    is_sky = near[:, 0] == 0
    directions = rays @ here.pose[:3, :3].T
    points = directions / np.where(near == 0, 1.0, near) + here.pose[:3, 3]
    moved = there.to_camera(follow(points, part.ravel(), *parts))
    moved[is_sky] = directions[is_sky] @ there.pose[:3, :3]
    is_ahead = moved[:, 2] > np.where(is_sky, 1e-6, NEAR_M)
    depth = np.where(is_ahead, moved[:, 2], 1.0)
    k = there.intrinsics
    column = (k.fx * moved[:, 0] / depth + k.cx).reshape(shape)
    row = (k.fy * moved[:, 1] / depth + k.cy).reshape(shape)
    rows, columns = np.indices(shape)
    known = np.where(is_sky, 0.0, 1.0 / depth).reshape(shape)
    seen = is_ahead.reshape(shape) & _is_shown(column, row, known, inverse_depth_there)
    offset = np.where(is_ahead.reshape(shape), np.stack([column - columns, row - rows]), 0.0)
    far = np.where(is_ahead & ~is_sky, moved[:, 2], 0.0).reshape(shape)
    return Correspondence(offset.astype(np.float32), far.astype(np.float32), seen)


def _is_shown(column: Points, row: Points, known: Points, shown: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether points of inverse depth `known` at (`column`, `row`) are what a view with inverse depth `shown` shows.

    Inverse depth is linear over a plane, so a bilinear read is exact on one; at its border the nearest pixel decides.
    """
    height, width = shown.shape
    inside = (np.abs(column - (width - 1) / 2) <= (width - 1) / 2 + ROUNDING_PX) & (
        np.abs(row - (height - 1) / 2) <= (height - 1) / 2 + ROUNDING_PX
    )
    column = np.clip(np.where(inside, column, 0.0), 0, width - 1)
    row = np.clip(np.where(inside, row, 0.0), 0, height - 1)
    left, top = np.minimum(column.astype(np.intp), width - 2), np.minimum(row.astype(np.intp), height - 2)
    a, b = column - left, row - top
    upper = shown[top, left] * (1 - a) + shown[top, left + 1] * a
    lower = shown[top + 1, left] * (1 - a) + shown[top + 1, left + 1] * a
    linear = upper * (1 - b) + lower * b
    nearest = shown[np.rint(row).astype(np.intp), np.rint(column).astype(np.intp)]
    on_surface = (np.abs(linear - known) <= SAME_DEPTH * known) | (np.abs(nearest - known) <= SAME_PIXEL_DEPTH * known)
    return inside & on_surface
