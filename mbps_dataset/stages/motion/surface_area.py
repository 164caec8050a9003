"""Surface area: how much of the world's surface an object shows, in m², and which objects show too little.

The object's pixels are cut into triangles in the image, and the triangles' areas are summed where their corners are in
space: A = ½ Σ |(p₁ − p₀) × (p₂ − p₀)|. Two ways to cut:

* ``mesh`` (ours, default): every 2 × 2 block of pixels that are all of the object gives two triangles, one of three
  gives one. Only what the object covers counts, and only where its depth is known (z > 0);
* ``hull`` (CUPS' code): Delaunay triangulation of all pixels, which is their convex hull: concave parts, gaps and
  pieces that another object hides are bridged with triangles that count, and an unknown depth is the point (0, 0, 0).
  On a grid the diagonals are arbitrary (about 2 % of the area).

Objects of fewer than 64 px or 0.65 m² go (CUPS' code; not in the paper). Pixels all on one line have no hull: in CUPS'
code the whole image becomes empty, which ``reference=True`` does with a reason; else such an object has an area of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import Delaunay

from mbps_dataset.arrays import InstanceMap


Surface = Literal["mesh", "hull"]

LEAST_PIXELS = 64
LEAST_AREA_M2 = 0.65


@dataclass(frozen=True)
class LargeSurfaces:
    """`labels` int32 [H, W], 0 none, the objects that are left 1 … n by rising id; `ids` int64 [n] what they were.

    `reason` why no object is left, else None (None too where there was none to begin with).
    """

    labels: NDArray[np.int32]
    ids: NDArray[np.int64]
    reason: str | None = None


def surface_area(points: ArrayLike, mask: ArrayLike, *, surface: Surface = "mesh") -> float:
    """Area in m² of what `mask` [H, W] covers; `points` [H, W, 3] m. 0.0 for pixels that all lie on one line.

    See the module for the two ways. Raises `ValueError` if the sizes differ or `surface` is unknown.
    """
    positions, covered = np.asarray(points, dtype=np.float64), np.asarray(mask, dtype=bool)
    _check_sizes(positions, covered)
    if surface == "mesh":
        return _mesh_area(positions, covered & (positions[..., 2] > 0))
    if surface != "hull":
        raise ValueError(f"Unknown surface {surface!r}; choose mesh or hull.")
    pixels = np.argwhere(covered)
    if on_one_line(pixels):
        return 0.0
    corners = positions[covered][Delaunay(pixels).simplices]
    return float(_triangle_areas(corners[:, 0], corners[:, 1], corners[:, 2]).sum())


def keep_large_surfaces(
    labels: ArrayLike,
    points: ArrayLike,
    *,
    min_pixels: int = LEAST_PIXELS,
    min_area_m2: float = LEAST_AREA_M2,
    reference: bool = False,
) -> LargeSurfaces:
    """The objects of `labels` [H, W] with at least `min_pixels` and `min_area_m2`, numbered anew.

    `points` [H, W, 3] m. With `reference` the surface is the hull, and one object of enough pixels on one line empties
    the image. Raises `ValueError` if the sizes differ.
    """
    numbers, positions = np.asarray(labels), np.asarray(points)
    _check_sizes(positions, numbers)
    way: Surface = "hull" if reference else "mesh"
    kept, nothing = np.zeros(numbers.shape, dtype=np.int32), np.zeros(0, dtype=np.int64)
    ids: list[int] = []
    boxes = ndimage.find_objects(numbers.astype(np.int64))
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        mask = numbers[box] == number
        if np.count_nonzero(mask) < min_pixels:
            continue
        if reference and on_one_line(np.argwhere(mask)):
            degenerate = f"object {number} has no surface: its {np.count_nonzero(mask)} pixels all lie on one line"
            return LargeSurfaces(np.zeros_like(kept), nothing, degenerate)
        if surface_area(positions[box], mask, surface=way) >= min_area_m2:
            ids.append(number)
            kept[box][mask] = len(ids)
    lost = bool(boxes) and not ids
    reason = f"no object has {min_pixels} pixels and shows {min_area_m2:g} m² of surface" if lost else None
    return LargeSurfaces(kept, np.asarray(ids, dtype=np.int64), reason)


def on_one_line(pixels: ArrayLike) -> bool:
    """Whether `pixels` [N, 2] (row, column) all lie on one straight line, so that they have no hull."""
    places = np.asarray(pixels, dtype=np.int64)
    if len(places) < 3:
        return True
    steps = places - places[0]
    far = steps[np.abs(steps).sum(axis=1).argmax()]
    return not (steps[:, 0] * far[1] - steps[:, 1] * far[0]).any()


def _mesh_area(positions: NDArray[np.float64], known: NDArray[np.bool_]) -> float:
    """Sum over 2 × 2 blocks: both triangles beside the falling diagonal, or the one triangle of a block of three."""
    corners = tuple(
        (slice(top, (top - 1) or None), slice(left, (left - 1) or None))
        for top, left in ((0, 0), (0, 1), (1, 1), (1, 0))
    )
    place, there = [positions[corner] for corner in corners], [known[corner] for corner in corners]
    whole = np.logical_and.reduce(there)
    area = 0.0
    for missing in range(4):
        first, second, third = ((missing + step) % 4 for step in (1, 2, 3))
        counted = there[first] & there[second] & there[third] & ~there[missing]
        if missing in (1, 3):
            counted |= whole
        area += float(_triangle_areas(place[first][counted], place[second][counted], place[third][counted]).sum())
    return area


def _triangle_areas(
    first: NDArray[np.float64], second: NDArray[np.float64], third: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.linalg.norm(np.cross(second - first, third - first), axis=-1) / 2


def _check_sizes(points: NDArray[np.floating], labels: InstanceMap) -> None:
    if labels.ndim != 2 or points.shape != (*labels.shape, 3):
        raise ValueError(
            f"Expected points (H, W, 3) and a map (H, W) of one size, but got {points.shape} and {labels.shape}."
        )
