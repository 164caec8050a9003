"""Which part is seen at every pixel, and how far it is: a depth buffer over the bounding box of each part.

Parts are drawn from near to far, so that most of the work for hidden ones is a single comparison; the depth buffer
decides every pixel, whatever the order. Inverse depth is kept, because it is the closed form (see `projection`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.scenes import materials
from mbps_dataset.scenes.arrays import Points, Values
from mbps_dataset.scenes.cutouts import face_cutout, foliage_cutout
from mbps_dataset.scenes.materials import Cutout
from mbps_dataset.scenes.primitives import Parts
from mbps_dataset.scenes.projection import Projected, Screen


@dataclass(frozen=True)
class Visible:
    """`part` int32 [H, W]: −1 sky, else row of the faces, or number of faces + row of the ellipsoids, as projected;
    `inverse_depth` float32 [H, W], 1/m, 0 for sky."""

    part: NDArray[np.int32]
    inverse_depth: Values


SMALL_PIXELS = 250
"""Parts whose bounding box has at most this many pixels are drawn together: for them numpy's calls cost more than work."""


def rasterise(
    faces: Projected, face_parts: Parts, ellipsoids: Projected, ellipsoid_parts: Parts, screen: Screen
) -> Visible:
    """Draw all parts into a depth buffer."""
    shape = (screen.height, screen.width)
    visible = Visible(np.full(shape, -1, np.int32), np.zeros(shape, np.float32))
    spans = _Spans(faces)
    painter = _Painter(visible, faces, ellipsoids, spans, screen)
    count = len(faces.source)
    cuts = materials.CUTOUT[
        np.concatenate([face_parts.material[faces.source], ellipsoid_parts.material[ellipsoids.source]])
    ]
    bounds = np.concatenate([faces.bounds, ellipsoids.bounds])
    small = (bounds[:, 1] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 2]) <= SMALL_PIXELS
    small &= cuts == Cutout.NONE
    order = np.argsort(-np.concatenate([faces.nearest, ellipsoids.nearest]), kind="stable")
    with np.errstate(invalid="ignore"):
        for part in order[~small[order]].tolist():
            if part < count:
                painter.face(faces, part, int(cuts[part]))
            else:
                painter.ellipsoid(ellipsoids, part - count, part, bool(cuts[part]))
        _draw_small(
            visible, faces, np.flatnonzero(small[:count]), ellipsoids, np.flatnonzero(small[count:]), spans, screen
        )
    return visible


class _Spans:
    """First column and last column + 1 of every row of every face, float32, one face after the other."""

    def __init__(self, faces: Projected) -> None:
        top, heights = faces.bounds[:, 0], faces.bounds[:, 1] - faces.bounds[:, 0]
        ends = np.cumsum(heights)
        self.starts = ends - heights
        line = np.arange(heights.sum()) - np.repeat(self.starts - top, heights)
        owner = np.repeat(np.arange(len(heights)), heights)
        columns = []
        for side, limit in ((0, np.maximum), (1, np.minimum)):
            slope, base = faces.outline[:, side, 0], faces.outline[:, side, 1]
            best = slope[:, 0].take(owner) * line + base[:, 0].take(owner)
            for edge in range(1, slope.shape[1]):
                limit(best, slope[:, edge].take(owner) * line + base[:, edge].take(owner), out=best)
            columns.append(np.ceil(best).astype(np.float32))
        self.first, self.stop = columns
        self._slices = list(zip(self.starts.tolist(), ends.tolist()))

    def of(self, row: int) -> tuple[Values, Values]:
        """First and last + 1 column of a face, each [h, 1]."""
        a, b = self._slices[row]
        return self.first[a:b, None], self.stop[a:b, None]


class _Boxes:
    """The pixels of many bounding boxes in one flat list: which box, row and column in the picture, ray."""

    def __init__(self, bounds: NDArray[np.intp], screen: Screen) -> None:
        widths = bounds[:, 3] - bounds[:, 2]
        areas = widths * (bounds[:, 1] - bounds[:, 0])
        self.box = np.repeat(np.arange(len(bounds)), areas)
        offset = np.arange(len(self.box)) - np.repeat(np.cumsum(areas) - areas, areas)
        self.line = offset // widths.take(self.box)
        self.column = offset - self.line * widths.take(self.box) + bounds[:, 2].take(self.box)
        row = self.line + bounds[:, 0].take(self.box)
        self.pixel = row * screen.width + self.column
        x, y = screen.rays()
        self.x, self.y = x.take(self.column), y.take(row)

    def form(self, coefficients: NDArray[np.floating], terms: list[Values]) -> Values:
        """Sum of coefficient times term, with coefficients [boxes, terms] by box."""
        columns = np.ascontiguousarray(coefficients.T, np.float32)
        return sum(column.take(self.box) * term for column, term in zip(columns, terms))


def _draw_small(
    visible: Visible,
    faces: Projected,
    face_rows: NDArray[np.intp],
    ellipsoids: Projected,
    ball_rows: NDArray[np.intp],
    spans: _Spans,
    screen: Screen,
) -> None:
    """Draw the faces and ellipsoids of the given rows all at once, after everything larger."""
    boxes = _Boxes(faces.bounds[face_rows], screen)
    span = spans.starts[face_rows].take(boxes.box) + boxes.line
    inside = (boxes.column >= spans.first.take(span)) & (boxes.column < spans.stop.take(span))
    inverse = boxes.form(faces.linear[face_rows], [boxes.x, boxes.y, np.ones_like(boxes.x)])
    pixels, inverses, parts = [boxes.pixel[inside]], [inverse[inside]], [face_rows[boxes.box[inside]]]
    boxes = _Boxes(ellipsoids.bounds[ball_rows], screen)
    x, y, one = boxes.x, boxes.y, np.ones_like(boxes.x)
    root = np.sqrt(boxes.form(ellipsoids.quadratic[ball_rows], [x * x, x * y, y * y, x, y, one]))
    inverse = boxes.form(ellipsoids.linear[ball_rows], [x, y, one]) + root
    inside = inverse > 0
    pixels.append(boxes.pixel[inside])
    inverses.append(inverse[inside])
    parts.append(ball_rows[boxes.box[inside]] + len(faces.source))
    _keep_nearest(visible, np.concatenate(pixels), np.concatenate(inverses), np.concatenate(parts))


def _keep_nearest(visible: Visible, pixel: NDArray[np.intp], inverse: Values, part: NDArray[np.intp]) -> None:
    """Enter candidates into the depth buffer; of several for one pixel the nearest."""
    nearer = inverse > visible.inverse_depth.ravel().take(pixel)
    pixel, inverse, part = pixel[nearer], inverse[nearer], part[nearer]
    order = np.argsort(inverse, kind="stable")  # the last write to a pixel stays
    visible.inverse_depth.ravel()[pixel[order]] = inverse[order]
    visible.part.ravel()[pixel[order]] = part[order]


class _Painter:
    def __init__(
        self, visible: Visible, faces: Projected, ellipsoids: Projected, spans: _Spans, screen: Screen
    ) -> None:
        self.part, self.inverse = visible.part, visible.inverse_depth
        self.x, self.y = screen.rays()
        self.columns = np.arange(screen.width, dtype=np.float32)
        self.pixel = 1.0 / screen.intrinsics.fx
        self.spans = spans
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
        start, stop = self.spans.of(row)
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
            rim = root * (1 / max(float(np.fmax.reduce(root, axis=None)), 1e-12))
            radius, pixel_m = float(ellipsoids.size[row].mean()), float(self.pixel / ellipsoids.nearest[row])
            foliage_cutout(mask, rim, x, y[:, 0], inverse, ellipsoids.coordinates[row], radius, pixel_m)
        np.copyto(stored, inverse, where=mask)
        np.copyto(self.part[rows, columns], part, where=mask)


def _coordinates(affine: Points, x: Values, y: Values, inverse: Values) -> list[Values]:
    """Surface coordinates of a window: (row of `affine`) . (p, 1) with p = ray / inverse depth, float32 each."""
    depth = 1.0 / np.where(inverse > 1e-6, inverse, np.float32(1e-6))
    result = []
    for a, b, c, d in affine.astype(np.float32):
        result.append(((x * a)[None] + (y * b + c)[:, None]) * depth + d)
    return result
