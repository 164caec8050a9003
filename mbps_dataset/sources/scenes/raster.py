"""Which part is seen at every pixel, and how far it is: a depth buffer over the bounding box of each part.

Parts are drawn from near to far, so that most of the work for hidden ones is a single comparison; the depth buffer
decides every pixel, whatever the order. Inverse depth is kept, because it is the closed form (see `projection`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.sources.scenes import materials
from mbps_dataset.sources.scenes.arrays import Points, Values
from mbps_dataset.sources.scenes.cutouts import face_cutout, foliage_cutout
from mbps_dataset.sources.scenes.primitives import Parts
from mbps_dataset.sources.scenes.projection import Projected, Screen


@dataclass(frozen=True)
class Visible:
    """`part` int32 [H, W]: −1 sky, else row of the faces, or number of faces + row of the ellipsoids, as projected;
    `inverse_depth` float32 [H, W], 1/m, 0 for sky."""

    part: NDArray[np.int32]
    inverse_depth: Values


def rasterise(
    faces: Projected, face_parts: Parts, ellipsoids: Projected, ellipsoid_parts: Parts, screen: Screen
) -> Visible:
    """Draw all parts into a depth buffer."""
    shape = (screen.height, screen.width)
    visible = Visible(np.full(shape, -1, np.int32), np.zeros(shape, np.float32))
    painter = _Painter(visible, faces, ellipsoids, screen)
    count = len(faces.source)
    face_cuts = materials.CUTOUT[face_parts.material[faces.source]]
    ball_cuts = materials.CUTOUT[ellipsoid_parts.material[ellipsoids.source]]
    order = np.argsort(-np.concatenate([faces.nearest, ellipsoids.nearest]), kind="stable").tolist()
    with np.errstate(invalid="ignore"):
        for part in order:
            if part < count:
                painter.face(faces, part, int(face_cuts[part]))
            else:
                painter.ellipsoid(ellipsoids, part - count, part, bool(ball_cuts[part - count]))
    return visible


def _spans(faces: Projected) -> list[tuple[Values, Values]]:
    """First column and last column + 1 of every row of every face, each [h, 1] float32."""
    top, heights = faces.bounds[:, 0], faces.bounds[:, 1] - faces.bounds[:, 0]
    ends = np.cumsum(heights)
    starts = ends - heights
    line = np.arange(heights.sum()) - np.repeat(starts - top, heights)
    owner = np.repeat(np.arange(len(heights)), heights)
    columns = []
    for side, limit in ((0, np.maximum), (1, np.minimum)):
        slope, base = faces.outline[:, side, 0], faces.outline[:, side, 1]
        best = slope[:, 0].take(owner) * line + base[:, 0].take(owner)
        for edge in range(1, slope.shape[1]):
            limit(best, slope[:, edge].take(owner) * line + base[:, edge].take(owner), out=best)
        columns.append(np.ceil(best).astype(np.float32)[:, None])
    return [(columns[0][a:b], columns[1][a:b]) for a, b in zip(starts.tolist(), ends.tolist())]


class _Painter:
    def __init__(self, visible: Visible, faces: Projected, ellipsoids: Projected, screen: Screen) -> None:
        self.part, self.inverse = visible.part, visible.inverse_depth
        self.x, self.y = screen.rays()
        self.columns = np.arange(screen.width, dtype=np.float32)
        self.pixel = 1.0 / screen.intrinsics.fx
        self.spans = _spans(faces)
        self.face_forms, self.face_bounds = faces.linear.tolist(), faces.bounds.tolist()
        self.forms, self.quadratics = ellipsoids.linear.tolist(), ellipsoids.quadratic.tolist()
        self.bounds = ellipsoids.bounds.tolist()

    def _window(self, bounds: list[int], nearest: np.float32) -> tuple[slice, slice, Values] | None:
        """Rows, columns and stored inverse depths within `bounds`; None if all of them are nearer already."""
        top, bottom, left, right = bounds
        inverse = self.inverse[top:bottom, left:right]
        if np.minimum.reduce(inverse, axis=None) >= nearest:
            return None
        return slice(top, bottom), slice(left, right), inverse

    def face(self, faces: Projected, row: int, cutout: int) -> None:
        window = self._window(self.face_bounds[row], faces.nearest[row])
        if window is None:
            return
        rows, columns, stored = window
        a, b, c = self.face_forms[row]
        inverse = (self.y[rows] * b + c)[:, None] + self.x[columns] * a
        mask = inverse > stored
        start, stop = self.spans[row]
        column = self.columns[columns]
        mask &= column >= start
        mask &= column < stop
        if cutout:
            u, v = _coordinates(faces.coordinates[row, :2], self.x[columns], self.y[rows], inverse)
            face_cutout(cutout, mask, u, v, faces.size[row], self.pixel / float(faces.nearest[row]))
        np.copyto(stored, inverse, where=mask)
        np.copyto(self.part[rows, columns], row, where=mask)

    def ellipsoid(self, ellipsoids: Projected, row: int, part: int, leafy: bool) -> None:
        window = self._window(self.bounds[row], ellipsoids.nearest[row])
        if window is None:
            return
        rows, columns, stored = window
        x, y = self.x[columns], self.y[rows, None]
        xx, xy, yy, x1, y1, one = self.quadratics[row]
        root = y * (x * xy + y1)
        root += x * (x * xx + x1)
        root += y * (y * yy) + one
        np.sqrt(root, out=root)  # not a number off the ellipsoid, and then never nearer than what is stored
        a, b, c = self.forms[row]
        inverse = x * a + (y * b + c)
        inverse += root
        mask = inverse > stored
        if leafy:
            u, v, w = _coordinates(ellipsoids.coordinates[row], x, y[:, 0], inverse)
            rim = root * (1 / max(float(np.fmax.reduce(root, axis=None)), 1e-12))
            foliage_cutout(
                mask, rim, u, v, w, float(ellipsoids.size[row].mean()), self.pixel / ellipsoids.nearest[row]
            )
        np.copyto(stored, inverse, where=mask)
        np.copyto(self.part[rows, columns], part, where=mask)


def _coordinates(affine: Points, x: Values, y: Values, inverse: Values) -> list[Values]:
    """Surface coordinates of a window: (row of `affine`) . (p, 1) with p = ray / inverse depth, float32 each."""
    depth = 1.0 / np.where(inverse > 1e-6, inverse, np.float32(1e-6))
    result = []
    for a, b, c, d in affine.astype(np.float32):
        result.append(((x * a)[None] + (y * b + c)[:, None]) * depth + d)
    return result
