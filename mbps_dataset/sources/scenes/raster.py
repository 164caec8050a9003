"""Which part is seen at every pixel, and how far it is: a depth buffer over the bounding box of each part.

Parts are drawn from near to far, so that most of the work for hidden ones is a single comparison; the depth buffer
decides every pixel, whatever the order. Inverse depth is kept, because it is the closed form (see `projection`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.sources.scenes import materials
from mbps_dataset.sources.scenes.cutouts import face_cutout, foliage_cutout
from mbps_dataset.sources.scenes.primitives import Parts
from mbps_dataset.sources.scenes.projection import Projected, Screen


@dataclass(frozen=True)
class Visible:
    """`part` int32 [H, W]: −1 sky, else row of the faces, or number of faces + row of the ellipsoids, as projected;
    `inverse_depth` float32 [H, W], 1/m, 0 for sky."""

    part: NDArray[np.int32]
    inverse_depth: NDArray[np.float32]


def rasterise(
    faces: Projected, face_parts: Parts, ellipsoids: Projected, ellipsoid_parts: Parts, screen: Screen
) -> Visible:
    """Draw all parts into a depth buffer."""
    shape = (screen.height, screen.width)
    visible = Visible(np.full(shape, -1, np.int32), np.zeros(shape, np.float32))
    painter = _Painter(visible, screen)
    count = len(faces.source)
    face_cuts = materials.CUTOUT[face_parts.material[faces.source]]
    ball_cuts = materials.CUTOUT[ellipsoid_parts.material[ellipsoids.source]]
    for part in np.argsort(-np.concatenate([faces.nearest, ellipsoids.nearest]), kind="stable").tolist():
        if part < count:
            painter.face(faces, part, int(face_cuts[part]))
        else:
            painter.ellipsoid(ellipsoids, part - count, part, bool(ball_cuts[part - count]))
    return visible


class _Painter:
    def __init__(self, visible: Visible, screen: Screen) -> None:
        self.part, self.inverse = visible.part, visible.inverse_depth
        self.x, self.y = screen.rays()
        self.columns = np.arange(screen.width, dtype=np.float32)
        self.rows = np.arange(screen.height, dtype=np.float64)
        self.pixel = 1.0 / screen.intrinsics.fx

    def _window(self, projected: Projected, row: int):
        top, bottom, left, right = projected.bounds[row].tolist()
        inverse = self.inverse[top:bottom, left:right]
        if inverse.min() >= projected.nearest[row]:
            return None
        return slice(top, bottom), slice(left, right), inverse

    def face(self, faces: Projected, row: int, cutout: int) -> None:
        window = self._window(faces, row)
        if window is None:
            return
        rows, columns, stored = window
        a, b, c = faces.linear[row].tolist()
        inverse = (self.y[rows] * np.float32(b) + np.float32(c))[:, None] + self.x[columns] * np.float32(a)
        mask = inverse > stored
        (left_slope, left_base), (right_slope, right_base) = faces.outline[row]
        line = self.rows[rows, None]
        start = np.ceil((line * left_slope + left_base).max(1, keepdims=True)).astype(np.float32)
        stop = np.ceil((line * right_slope + right_base).min(1, keepdims=True)).astype(np.float32)
        column = self.columns[columns]
        mask &= column >= start
        mask &= column < stop
        if cutout:
            u, v = _coordinates(faces.coordinates[row, :2], self.x[columns], self.y[rows], inverse)
            face_cutout(cutout, mask, u, v, faces.size[row], self.pixel / float(faces.nearest[row]))
        np.copyto(stored, inverse, where=mask)
        np.copyto(self.part[rows, columns], row, where=mask)

    def ellipsoid(self, ellipsoids: Projected, row: int, part: int, leafy: bool) -> None:
        window = self._window(ellipsoids, row)
        if window is None:
            return
        rows, columns, stored = window
        x, y = self.x[columns], self.y[rows, None]
        xx, xy, yy, x1, y1, one = ellipsoids.quadratic[row]
        root = y * (x * xy + y1)
        root += x * (x * xx + x1)
        root += y * (y * yy) + one
        mask = root > 0
        np.maximum(root, 0, out=root)
        np.sqrt(root, out=root)
        a, b, c = ellipsoids.linear[row].astype(np.float32)
        inverse = root + (x * a + (y * b + c))
        mask &= inverse > stored
        if leafy:
            u, v, w = _coordinates(ellipsoids.coordinates[row], x, y[:, 0], np.where(mask, inverse, 1.0))
            rim = root / max(float(root.max()), 1e-12)
            foliage_cutout(
                mask, rim, u, v, w, float(ellipsoids.size[row].mean()), self.pixel / ellipsoids.nearest[row]
            )
        np.copyto(stored, inverse, where=mask)
        np.copyto(self.part[rows, columns], part, where=mask)


def _coordinates(affine, x, y, inverse):
    """Surface coordinates of a window: (row of `affine`) . (p, 1) with p = ray / inverse depth, float32 each."""
    depth = 1.0 / np.where(inverse > 1e-6, inverse, np.float32(1e-6))
    result = []
    for a, b, c, d in affine.astype(np.float32):
        result.append(((x * a)[None] + (y * b + c)[:, None]) * depth + d)
    return result
