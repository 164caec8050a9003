"""VoteCut: objects that the normalised cuts of several networks agree on (CuVLER, Arica et al., CVPR 2024).

Each network gives one eigenvector; its values are clustered into two and into three groups; the connected parts of the
groups are candidates; candidates of all networks that resemble each other are averaged into one mask. Details as measured
on the reference implementation:

* a group that touches two or more corners of the grid is background; a group of more than 30 parts is noise; a part less
  than 5 patches wide *and* high is dropped;
* candidates are compared on a 60 × 60 grid. The one with most partners (IoU > 0.6) is the first pivot; up to five times
  the pivot moves to the member with the largest sum of IoU; the members are averaged and taken away;
* a mask is where more than 0.2 of the members agree; its score is the number of members; at most 10 masks.

Decided here (ours): one-dimensional k-means is solved exactly instead of from ten random starts; scores are divided by the
largest; with an image, a mask the CRF changes by more than half stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from mbps_dataset.resizing import resize_nearest
from mbps_dataset.stages.instances.class_vote import vote_classes
from mbps_dataset.stages.instances.inputs import thing_ids
from mbps_dataset.stages.instances.mask_refinement import refine_mask
from mbps_dataset.stages.instances.normalised_cut import Solver, affinity, feature_grid, second_eigenvector
from mbps_dataset.stages.instances.types import Instances


_GRID = 60
_MOST_PARTS = 30
_SMALLEST_SIDE = 5
_PIVOT_MOVES = 5


def agreed_objects(
    features: Sequence[ArrayLike],
    shape: tuple[int, int],
    *,
    image: NDArray[np.uint8] | None = None,
    threshold: float = 0.15,
    min_agreement: float = 0.2,
    min_resemblance: float = 0.6,
    max_masks: int = 10,
    solver: Solver = "lanczos",
) -> Instances:
    """Objects several networks agree on, of size `shape` (H, W); by falling score, members / most members.

    `features` one array [h, w, C] per network, each covering the same picture; `image` uint8 [H, W, 3] RGB for the CRF,
    none for no CRF; `threshold` tau on the cosine; `min_agreement` share of members above which a pixel belongs to the
    mask; `min_resemblance` IoU above which candidates are partners. `things_by_votes` gives them classes.
    This is the expensive half, and it depends on the picture alone. Classes are unknown.
    """
    candidates = [
        mask for grid in features for mask in candidate_masks(feature_grid(np.asarray(grid)), threshold, solver)
    ]
    voted = vote(candidates, min_agreement, min_resemblance)[:max_masks]
    if not voted:
        return Instances.empty(shape)
    masks = [resize_nearest(mask, *shape) for mask, _ in voted]
    if image is not None:
        refined = [refine_mask(mask, image) for mask in masks]
        masks = [old if new is None else new for old, new in zip(masks, refined)]
    return Instances(np.stack(masks), scores=np.array([members for _, members in voted]) / voted[0][1])


def things_by_votes(objects: Instances, semantic: NDArray[np.integer], things: Iterable[int]) -> Instances:
    """Objects of no known class as instances of their majority class, if that is a thing; order and scores stay."""
    voted = vote_classes(objects, semantic)
    return voted.select(np.isin(voted.class_ids, thing_ids(things)))


def candidate_masks(features: NDArray[np.floating], threshold: float, solver: Solver) -> list[NDArray[np.bool_]]:
    """Candidates of one network, bool [60, 60] each, from `features` [h, w, C]."""
    height, width, channels = features.shape
    vector = second_eigenvector(affinity(features.reshape(-1, channels), threshold), solver)
    if vector is None:
        return []
    found = []
    for groups in (2, 3):
        grouped = exact_kmeans_1d(vector, groups).reshape(height, width)
        for group in range(groups):
            found.extend(_parts(grouped == group))
    return [resize_nearest(mask, _GRID, _GRID) for mask in found]


def _parts(region: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Connected parts of a region, unless it looks like background or noise."""
    if region[[0, 0, -1, -1], [0, -1, 0, -1]].sum() >= 2:
        return []
    labels, count = ndimage.label(region)
    if count > _MOST_PARTS:
        return []
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    large = [number for number, box in boxes if max(side.stop - side.start for side in box) >= _SMALLEST_SIDE]
    return [labels == number for number in large]


def exact_kmeans_1d(values: NDArray[np.floating], groups: int) -> NDArray[np.int64]:
    """Group of each value, 0 … `groups` − 1 by rising value, with the least possible sum of squares; `groups` 2 or 3.

    Groups of values on a line are intervals, so the best boundaries can be found by trying all, with prefix sums.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order] - values.mean()
    sums, squares = (np.concatenate([[0.0], np.cumsum(ordered**power)]) for power in (1, 2))

    def spread(first: NDArray[np.int64] | int, last: NDArray[np.int64] | int) -> NDArray[np.float64]:
        total = sums[last] - sums[first]
        return squares[last] - squares[first] - total * total / np.maximum(np.subtract(last, first), 1)

    count = len(values)
    if groups == 2:
        cuts = np.arange(1, count)
        boundaries = [int(cuts[np.argmin(spread(0, cuts) + spread(cuts, count))])]
    else:
        best, boundaries = np.inf, [1, 2]
        for second in range(2, count):
            firsts = np.arange(1, second)
            costs = spread(0, firsts) + spread(firsts, second)
            least = int(np.argmin(costs))
            cost = costs[least] + spread(second, count)
            if cost < best:
                best, boundaries = cost, [int(firsts[least]), second]
    grouped = np.zeros(count, dtype=np.int64)
    grouped[order] = np.searchsorted(boundaries, np.arange(count), side="right")
    return grouped


def vote(
    candidates: Sequence[NDArray[np.bool_]], min_agreement: float, min_resemblance: float
) -> list[tuple[NDArray[np.bool_], int]]:
    """Masks agreed on and the number of candidates behind each, most first; `candidates` of one size."""
    if not candidates:
        return []
    flat = np.stack([mask.ravel() for mask in candidates]).astype(np.float64)
    shared, areas = flat @ flat.T, flat.sum(axis=1)
    overlap = shared / np.maximum(areas[:, None] + areas - shared, 1)
    left = np.ones(len(candidates), dtype=bool)
    found = []
    while left.any():
        partners = (overlap > min_resemblance) & left & left[:, None]
        pivot = int(np.argmax(partners.sum(axis=1)))
        for _ in range(_PIVOT_MOVES):
            members = np.flatnonzero(partners[pivot])
            moved = int(members[np.argmax(overlap[np.ix_(members, members)].sum(axis=1))])
            if moved == pivot:
                break
            pivot = moved
        members = np.flatnonzero(partners[pivot])
        mask = flat[members].mean(axis=0) > min_agreement
        found.append((mask.reshape(candidates[0].shape), len(members)))
        left[members] = False
    found.sort(key=lambda entry: -entry[1])
    return found
