"""MaskCut and TokenCut: instances from self-supervised features alone, the report's class-agnostic baselines.

MaskCut (CutLER, Wang et al., CVPR 2023) cuts up to three objects one after the other, taking the patches of each out of
play; TokenCut (Wang et al., CVPR 2022) cuts one. Details as measured on the reference implementation:

* from the second mask on, one that overlaps the mask before by more than half, or covers at most 1 % of the grid, is
  rejected, and since nothing changed then, so would be all further ones;
* masks are enlarged by nearest neighbour and earlier masks subtracted; with an image each is refined by a CRF.

Decided here (ours): the class is the majority of the semantic map and only things are kept; the score is area / largest
area, because the method gives none. Named options that are *not* in the publications: `tiles`, which cuts parts of a wide
picture on their own, because three masks are few for a street.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.resizing import resize_nearest
from mbps_dataset.stages.instances.class_vote import vote_classes
from mbps_dataset.stages.instances.inputs import thing_ids
from mbps_dataset.stages.instances.mask_refinement import refine_mask
from mbps_dataset.stages.instances.normalised_cut import (
    Solver,
    affinity,
    feature_grid,
    foreground,
    second_eigenvector,
)
from mbps_dataset.stages.instances.types import Instances


_LARGEST_REPEAT = 0.5
_SMALLEST_SHARE = 0.01


def cut_objects(
    features: ArrayLike,
    shape: tuple[int, int],
    *,
    image: NDArray[np.uint8] | None = None,
    threshold: float = 0.15,
    masks: int = 3,
    tiles: tuple[int, int] = (1, 1),
    solver: Solver = "lanczos",
    corner_rule: bool = True,
) -> Instances:
    """Objects of the image by repeated normalised cuts, of size `shape` (H, W), in the order found; see `things_by_area`.

    `features` [h, w, C] of the patches, covering the same picture; `image` uint8 [H, W, 3] RGB for the CRF, none for no
    CRF; `threshold` tau on the cosine (0.15 in the published annotations); `masks` at most this many per tile; `tiles`
    (rows, columns) cut on their own. TokenCut's one object is that of ``masks=1, corner_rule=False`` and tau 0.2.
    This is the expensive half, and it depends on the picture alone. Classes are unknown, scores 1.

    Raises `ValueError` if a size does not fit or features are not finite.
    """
    grid = feature_grid(np.asarray(features))
    if image is not None and image.shape[:2] != tuple(shape):
        raise ValueError(
            f"Expected `image` and `semantic` to share (H, W), but got {image.shape[:2]} and {tuple(shape)}."
        )
    found = []
    for part in _tiles(grid.shape[:2], tiles):
        for mask in mask_cut(grid[part], threshold, masks, solver=solver, corner_rule=corner_rule):
            full = np.zeros(grid.shape[:2], dtype=bool)
            full[part] = mask
            found.append(resize_nearest(full, *shape))
    if image is not None:
        found = [mask for mask in (refine_mask(mask, image) for mask in found) if mask is not None]
    return Instances(np.stack(found)) if found else Instances.empty(shape)


def mask_cut(
    features: NDArray[np.floating],
    threshold: float,
    masks: int,
    *,
    solver: Solver = "lanczos",
    corner_rule: bool = True,
) -> list[NDArray[np.bool_]]:
    """Up to `masks` disjoint objects on the grid of `features` [h, w, C], bool [h, w] each, in the order found."""
    height, width, channels = features.shape
    patches = features.reshape(-1, channels).copy()
    found: list[NDArray[np.bool_]] = []
    previous = used = np.zeros((height, width), dtype=bool)
    for number in range(masks):
        vector = second_eigenvector(affinity(patches, threshold), solver)
        if vector is None:
            break
        mask = foreground(vector, height, width, corner_rule=corner_rule)
        repeated = (mask & previous).sum() > _LARGEST_REPEAT * (mask | previous).sum()
        if number and (repeated or mask.sum() <= _SMALLEST_SHARE * mask.size):
            break
        found.append(mask & ~used)
        previous, used = mask, used | mask
        patches[used.ravel()] = 0
    return [mask for mask in found if mask.any()]


def things_by_area(objects: Instances, semantic: NDArray[np.integer], things: Iterable[int]) -> Instances:
    """Objects of no known class as instances of their majority class, if that is a thing; by falling area, score area /
    largest."""
    voted = vote_classes(objects, semantic)
    kept = voted.select(np.isin(voted.class_ids, thing_ids(things)) & (voted.areas > 0))
    kept = kept.select(np.argsort(-kept.areas, kind="stable"))
    return kept.replace(scores=kept.areas / kept.areas.max(initial=1))


def _tiles(grid: tuple[int, int], tiles: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Windows that part a grid into `tiles` (rows, columns) of nearly equal size."""
    if not (1 <= tiles[0] <= grid[0] and 1 <= tiles[1] <= grid[1]):
        raise ValueError(f"Expected `tiles` between (1, 1) and the grid's {grid}, but got {tiles}.")
    rows, columns = (np.linspace(0, size, count + 1).round().astype(int) for size, count in zip(grid, tiles))
    return [
        (slice(top, bottom), slice(left, right))
        for top, bottom in zip(rows, rows[1:])
        for left, right in zip(columns, columns[1:])
    ]
