"""From parts in the world to what the rasteriser needs: depth as a closed form over the picture, bounds, outlines.

Along the ray d = (X, Y, 1) of a pixel the inverse depth of a plane is linear in (X, Y), and that of the near side of
an ellipsoid is a linear form plus the root of a quadratic one:

    plane n.p = k            1/z = (n.d) / k
    ellipsoid |M p + o| = 1  1/z = b.d + sqrt(d^T K d),  b = -M^T o / c,  K = (M^T o)(M^T o)^T / c^2 - M^T M / c,  c = o.o - 1

with p in camera coordinates. Surface coordinates are affine in p. Everything is taken for all parts at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes import materials
from mbps_dataset.scenes.arrays import Points
from mbps_dataset.scenes.primitives import Parts
from mbps_dataset.scenes.scene_settings import Intrinsics


NEAR_M = 0.25


@dataclass(frozen=True)
class Screen:
    """A picture of `height` x `width` pixels seen by a camera."""

    height: int
    width: int
    intrinsics: Intrinsics
    pose: NDArray[np.float64]

    def to_camera(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return (points - self.pose[:3, 3]) @ self.pose[:3, :3]

    def rays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """X of every column [W] and Y of every row [H], float32."""
        k = self.intrinsics
        return (
            ((np.arange(self.width) - k.cx) / k.fx).astype(np.float32),
            ((np.arange(self.height) - k.cy) / k.fy).astype(np.float32),
        )


@dataclass(frozen=True)
class Projected:
    """Visible parts of one shape, ready to draw; rows are parts.

    `source` is the row in `Parts`; `bounds` [N, 4] int rows and columns (first row, last row + 1, first column, last
    column + 1); `nearest` [N] largest inverse depth; `linear` [N, 3]; `quadratic` [N, 6] in the order XX, XY, YY, X, Y,
    1 (ellipsoids); `outline` [N, 2, 2, E] slope and intercept of the left and of the right edges as column over row
    (faces); `coordinates` [N, 3, 4] affine map from camera coordinates to surface coordinates; `normal` [N, 3] in the
    world (faces) or axes [N, 3, 3] for ellipsoids; `size` [N, 2] width and height in metres.
    """

    source: NDArray[np.intp]
    bounds: NDArray[np.intp]
    nearest: NDArray[np.float32]
    linear: NDArray[np.float64]
    quadratic: NDArray[np.float32]
    outline: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    normal: NDArray[np.float64]
    size: NDArray[np.float32]


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return (a * b).sum(-1, keepdims=True)


def project_faces(parts: Parts, screen: Screen) -> Projected:
    """Quadrilaterals that face the camera and touch the picture."""
    corners = screen.to_camera(parts.shape)
    first = corners[:, 0]
    right = corners[:, 1] - first
    # a triangle repeats a corner; the up direction then comes from the third one
    up = np.where(_dot(corners[:, 3] - first, corners[:, 3] - first) > 1e-12, corners[:, 3], corners[:, 2]) - first
    normal = np.cross(right, up)
    normal /= np.maximum(np.sqrt(_dot(normal, normal)), 1e-12)
    k = _dot(normal, first)[:, 0]
    seen = (k < -1e-4) | (materials.TWO_SIDED[parts.material] & (k > 1e-4))
    seen &= corners[:, :, 2].max(1) > NEAR_M
    seen &= _touches_view(corners, screen)
    rows = np.flatnonzero(seen)
    outline, bounds = _outlines(corners[rows], screen)
    inside = (bounds[:, 0] < bounds[:, 1]) & (bounds[:, 2] < bounds[:, 3])
    rows, outline, bounds = rows[inside], outline[inside], bounds[inside]
    first, right, up, normal, k = first[rows], right[rows], up[rows], normal[rows], k[rows]
    u_axis = right / np.maximum(np.sqrt(_dot(right, right)), 1e-9)
    v_axis = np.cross(normal, u_axis)
    axes = np.stack([u_axis, v_axis, np.zeros_like(u_axis)], axis=1)
    offset = -np.einsum("nij,nj->ni", axes, first)
    axes, offset = _world_coordinates(parts.material[rows], axes, offset, screen)
    size = np.stack([np.sqrt(_dot(right, right))[:, 0], _dot(up, v_axis)[:, 0]], 1)
    return Projected(
        rows,
        bounds,
        (1.0 / np.maximum(corners[rows, :, 2].min(1), NEAR_M)).astype(np.float32),
        normal / k[:, None] * np.where(materials.DECAL[parts.material[rows]], 1.0004, 1.0)[:, None],
        np.zeros((0, 6), np.float32),
        outline,
        np.concatenate([axes, offset[:, :, None]], 2),
        np.where(k[:, None] > 0, -normal, normal) @ screen.pose[:3, :3].T,
        size.astype(np.float32),
    )


def _world_coordinates(
    material: NDArray[np.int32], axes: Points, offset: Points, screen: Screen
) -> tuple[Points, Points]:
    """Ground keeps world x and y as its coordinates, so that its texture runs on from face to face."""
    ground = materials.GROUND[material]
    axes[ground] = np.array([screen.pose[0, :3], screen.pose[1, :3], np.zeros(3)])
    offset[ground] = np.array([screen.pose[0, 3], screen.pose[1, 3], 0.0])
    return axes, offset


def _touches_view(corners: NDArray[np.float64], screen: Screen) -> NDArray[np.bool_]:
    """False where all corners lie outside one side of the viewing pyramid."""
    k = screen.intrinsics
    x, y, z = np.moveaxis(corners, 2, 0)
    left, right = (0 - k.cx - 1) / k.fx, (screen.width - k.cx) / k.fx
    top, bottom = (0 - k.cy - 1) / k.fy, (screen.height - k.cy) / k.fy
    outside = (x < left * z).all(1) | (x > right * z).all(1) | (y < top * z).all(1) | (y > bottom * z).all(1)
    return ~outside


def _clip(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Polygon [5, 3]: the part of a quadrilateral in front of the camera, its last corner repeated to fill five."""
    points = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0)):
        if a[2] >= NEAR_M:
            points.append(a)
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            points.append(a + (b - a) * ((NEAR_M - a[2]) / (b[2] - a[2])))
    points += [points[-1]] * (5 - len(points))
    return np.array(points[:5])


def _outlines(corners: NDArray[np.float64], screen: Screen) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Edges as column = slope * row + intercept, and pixel bounds.

    An edge is always taken from its upper to its lower end, so that two faces that share it agree to the last bit and
    leave neither gap nor overlap.
    """
    k = screen.intrinsics
    polygons = np.concatenate([corners, corners[:, 3:]], axis=1)
    for row in np.flatnonzero((corners[:, :, 2] < NEAR_M).any(1)):
        polygons[row] = _clip(corners[row])
    column = k.fx * polygons[:, :, 0] / polygons[:, :, 2] + k.cx
    line = k.fy * polygons[:, :, 1] / polygons[:, :, 2] + k.cy
    next_column, next_line = np.roll(column, -1, 1), np.roll(line, -1, 1)
    area = (column * next_line - next_column * line).sum(1, keepdims=True)
    rises = next_line - line
    swap = rises < 0
    x0, x1 = np.where(swap, next_column, column), np.where(swap, column, next_column)
    y0, y1 = np.where(swap, next_line, line), np.where(swap, line, next_line)
    flat = np.abs(rises) < 1e-9
    slope = (x1 - x0) / np.where(flat, 1.0, y1 - y0)
    intercept = x0 - slope * y0
    is_left = ~flat & ((rises > 0) == (area < 0))
    is_right = ~flat & ~((rises > 0) == (area < 0))
    far = 1e7
    outline = np.stack(
        [
            np.stack([np.where(is_left, slope, 0.0), np.where(is_left, intercept, -far)], 1),
            np.stack([np.where(is_right, slope, 0.0), np.where(is_right, intercept, far)], 1),
        ],
        1,
    )
    return outline, _pixel_bounds(line.min(1), line.max(1), column.min(1), column.max(1), screen)


def _pixel_bounds(top: Points, bottom: Points, left: Points, right: Points, screen: Screen) -> NDArray[np.intp]:
    def limit(values: Points, size: int) -> NDArray[np.intp]:
        return np.clip(np.ceil(np.clip(values, -1e6, 1e6)), 0, size).astype(np.intp)

    return np.stack(
        [
            limit(top, screen.height),
            limit(bottom, screen.height),
            limit(left, screen.width),
            limit(right, screen.width),
        ],
        1,
    )


def project_ellipsoids(parts: Parts, screen: Screen) -> Projected:
    """Ellipsoids that lie wholly in front of the camera and touch the picture."""
    centre = screen.to_camera(parts.shape[:, 0])
    axes = parts.shape[:, 1:] @ screen.pose[:3, :3]
    spread = np.einsum("nki,nkj->nij", axes, axes)
    dual = spread - centre[:, :, None] * centre[:, None, :]
    ahead = centre[:, 2] - np.sqrt(spread[:, 2, 2]) > NEAR_M
    safe = np.where(ahead, dual[:, 2, 2], -1.0)
    k = screen.intrinsics

    def span(axis: int, focal: float, middle: float) -> tuple[Points, Points]:
        root = np.sqrt(np.maximum(dual[:, axis, 2] ** 2 - dual[:, axis, axis] * safe, 0.0))
        return focal * (dual[:, axis, 2] + root) / safe + middle, focal * (dual[:, axis, 2] - root) / safe + middle

    (top, bottom), (left, right) = span(1, k.fy, k.cy), span(0, k.fx, k.cx)
    bounds = _pixel_bounds(top, bottom, left, right, screen)
    rows = np.flatnonzero(ahead & (bounds[:, 0] < bounds[:, 1]) & (bounds[:, 2] < bounds[:, 3]))
    centre, axes = centre[rows], axes[rows]
    matrix = axes / (axes**2).sum(2, keepdims=True)
    offset = -np.einsum("nij,nj->ni", matrix, centre)
    c = (offset**2).sum(1) - 1.0
    b = -np.einsum("nji,nj->ni", matrix, offset) / c[:, None]
    form = b[:, :, None] * b[:, None, :] - np.einsum("nki,nkj->nij", matrix, matrix) / c[:, None, None]
    quadratic = np.stack(
        [form[:, 0, 0], 2 * form[:, 0, 1], form[:, 1, 1], 2 * form[:, 0, 2], 2 * form[:, 1, 2], form[:, 2, 2]], 1
    )
    return Projected(
        rows,
        bounds[rows],
        (1.0 / (centre[:, 2] - np.sqrt(spread[rows, 2, 2]))).astype(np.float32),
        b,
        quadratic.astype(np.float32),
        np.zeros((0, 2, 2, 5)),
        np.concatenate([matrix, offset[:, :, None]], 2),
        axes @ screen.pose[:3, :3].T,
        np.sqrt((axes**2).sum(2))[:, :2].astype(np.float32),
    )
