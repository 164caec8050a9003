"""Ensembling: the masks that several runs of the motion segmentation agree on become one instance map.

In the order of CUPS' code (section 3.2, equation 1):

1. the masks of all n runs are pooled, and those are kept on whose pixels at least 0.8 n pooled masks lie on average;
2. matrix non-maximum suppression, gaussian, σ = 2; a decayed score of 0.6 stays;
3. the smallest mask is painted first, so that a larger one covers a smaller one; holes are filled before painting;
4. the outermost 32 columns on both sides are cleared (there CUPS' code finds what only one eye sees);
5. objects of fewer than 64 px or 0.65 m² go, and the others are numbered 1 … n.

Decisions made here: with ``reference=True`` the columns are cleared last, which leaves gaps in the ids and remainders
of any size, holes are filled as in `hole_filling`, and the surface is that of `surface_area`'s hull. The counts are
those of the code: other masks of the same run count, too. Where nothing is left, a reason says at which step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.motion.hole_filling import Connectivity, fill_holes
from mbps_dataset.stages.motion.instance_maps import instances_of_map
from mbps_dataset.stages.motion.matrix_nms import matrix_nms
from mbps_dataset.stages.motion.surface_area import LEAST_AREA_M2, LEAST_PIXELS, keep_large_surfaces


AGREEMENT = 0.8
MARGIN_COLUMNS = 32


@dataclass(frozen=True)
class MovingObjects:
    """`labels` int32 [H, W], 0 where nothing moves by itself, k on object k; `scores` float64 [n] of objects 1 … n.

    `reason` why there is no object, else None.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float64]
    reason: str | None = None

    @classmethod
    def none(cls, shape: tuple[int, int], reason: str) -> MovingObjects:
        """No object in an image of `shape` (H, W), and why."""
        return cls(np.zeros(shape, dtype=np.int32), np.zeros(0), reason)

    def instances(self) -> Instances:
        """The objects as `Instances`, class unknown; an id that no pixel has any more is left out."""
        instances, ids = instances_of_map(self.labels)
        return instances.replace(scores=self.scores[ids - 1])


def agreement_counts(pooled: Instances) -> NDArray[np.float64]:
    """How many masks lie on a mask's pixels on average, itself included, float64 [N]; 0 for an empty mask.

    Equation 1 of CUPS without 1/n, as in its code.
    """
    counts = np.bincount(pooled.pixels(), minlength=pooled.shape[0] * pooled.shape[1])
    sums = np.bincount(pooled.owners(), weights=counts[pooled.pixels()], minlength=len(pooled))
    return sums / np.maximum(pooled.areas, 1)


def paint(
    instances: Instances, *, connectivity: Connectivity = 8, reference: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Masks on one map, the smallest first, holes filled; int32 [H, W], and the scores of ids 1 … n, float64 [n].

    A mask that later ones cover leaves a gap in the ids. Equal areas keep their order. See `hole_filling` for
    `connectivity` and `reference`.
    """
    labels = np.zeros(instances.shape, dtype=np.int32)
    scores: list[float] = []
    for index in np.argsort(instances.areas, kind="stable").tolist():
        filled = fill_holes(instances.mask(index), connectivity=connectivity, reference=reference)
        if filled.any():
            scores.append(float(instances.scores[index]))
            labels[filled] = len(scores)
    return labels, np.asarray(scores, dtype=np.float64)


def clear_margin(labels: ArrayLike, columns: int = MARGIN_COLUMNS) -> NDArray[np.int32]:
    """`labels` [H, W] without the outermost `columns` on the left and right, int32 [H, W]; ids stay as they are."""
    cleared = np.array(labels, dtype=np.int32)
    cleared[:, :columns] = 0
    cleared[:, max(cleared.shape[1] - columns, 0) :] = 0
    return cleared


def combine_runs(
    runs: Sequence[Instances],
    points: ArrayLike,
    *,
    agreement: float = AGREEMENT,
    min_score: float = 0.6,
    connectivity: Connectivity = 8,
    margin: int = MARGIN_COLUMNS,
    min_pixels: int = LEAST_PIXELS,
    min_area_m2: float = LEAST_AREA_M2,
    reference: bool = False,
) -> MovingObjects:
    """The objects that `runs` agree on; one `Instances` with scores a run, those that found nothing included.

    `points` [H, W, 3] m at t; `agreement` as a share of the number of runs; `margin` in columns; areas in pixels and
    m². See the module for the steps and for `reference`. Raises `ValueError` if there is no run or sizes differ.
    """
    pooled = Instances.concatenate(runs)
    if not len(pooled):
        return MovingObjects.none(pooled.shape, f"none of {len(runs)} runs found a moving object")
    # Float32, like the counts of CUPS' code: a mask of exactly 0.8 n stays.
    agreed = pooled.select(agreement_counts(pooled).astype(np.float32) >= np.float32(agreement * len(runs)))
    if not len(agreed):
        return MovingObjects.none(pooled.shape, f"{len(runs)} runs agree on none of their {len(pooled)} masks")
    scores, kept = matrix_nms(agreed, min_score=min_score)
    if not len(kept):
        return MovingObjects.none(pooled.shape, f"none of {len(agreed)} masks keeps a score of {min_score:g}")
    survivors = agreed.select(kept).replace(scores=scores)
    labels, scores = paint(survivors, connectivity=connectivity, reference=reference)
    if not reference:
        labels = clear_margin(labels, margin)
    large = keep_large_surfaces(labels, points, min_pixels=min_pixels, min_area_m2=min_area_m2, reference=reference)
    labels, reason = large.labels, large.reason
    if reference:
        labels = clear_margin(labels, margin)
    if reason is None and not labels.any():
        reason = f"every object lies within {margin} columns of the image's left or right edge"
    return MovingObjects(labels, scores[large.ids - 1], reason)
