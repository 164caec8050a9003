"""Merge neighbours of the same class at the same depth (the report 4.3.7; details as in the reference code).

Two instances are joined if they touch, are of the same thing class, and their mean depths differ by less than a gap.
Joining is transitive (union-find), with the means of the original instances. Details kept from the reference code:

* the class is the majority of the semantic map under the mask, void voting as a class of its own;
* instances of thing classes are painted in order, later over earlier; instance i touches j if a pixel next to i's mask,
  and outside it, shows j;
* a joined mask has the highest score of its members and is dropped below `min_area`; an instance that joined nothing
  is always kept;
* the result is sorted by score, equal scores in the order of their first members (there the sort is not stable).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.stages.instances.class_vote import check_same_frame, majority_classes
from mbps_dataset.stages.instances.components import join_pairs
from mbps_dataset.stages.instances.inputs import depth_map, semantic_map, thing_ids
from mbps_dataset.stages.instances.runs import union_by_owner
from mbps_dataset.stages.instances.types import UNKNOWN_CLASS, Instances


def merge_by_depth(
    instances: Instances,
    semantic: ArrayLike,
    depth: ArrayLike,
    things: Iterable[int],
    *,
    max_depth_gap: float = 0.05,
    min_area: int = 50,
) -> Instances:
    """Instances with touching neighbours of the same class and depth joined.

    `semantic` [H, W] class ids; `depth` [H, W] normalised to [0, 1]; `things` class ids; `max_depth_gap` on mean depths
    (strict); `min_area` of a joined mask in pixels.

    Raises `ValueError` if sizes differ or depth is not finite.
    """
    labels = semantic_map(semantic)
    check_same_frame(instances, labels)
    values = depth_map(depth, labels.shape)
    classes = majority_classes(instances, labels)
    means = _mean_depths(instances, values)

    def alike(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (classes[first] == classes[second]) & (np.abs(means[first] - means[second]) < max_depth_gap)

    pairs = _touching_pairs(instances, np.isin(classes, thing_ids(things)), alike)
    return _joined(instances, join_pairs(*pairs, len(instances)), classes, min_area)


def _mean_depths(instances: Instances, depth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean depth under each mask, float64 [N]; 0 for an empty one."""
    means = np.zeros(len(instances))
    areas = instances.areas
    filled = np.flatnonzero(areas)
    if len(filled):
        begins = (np.cumsum(areas) - areas)[filled]
        under = depth.ravel()[instances.pixels()].astype(np.float64)
        means[filled] = np.add.reduceat(under, begins) / areas[filled]
    return means


def _touching_pairs(
    instances: Instances,
    painted: NDArray[np.bool_],
    wanted: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (i, j) of `painted` and mutually `wanted` instances where a pixel beside mask i shows j; pairs may repeat."""
    chosen = instances.select(painted)
    pixels, owners = chosen.pixels(), chosen.owners()
    shown = np.full(instances.shape, len(chosen), dtype=np.min_scalar_type(len(chosen)))
    shown.ravel()[pixels] = owners
    hidden = np.flatnonzero(shown.ravel()[pixels] != owners)
    sights = zip(
        _pairs_in_sight(shown, len(chosen)),
        _pairs_of_hidden_pixels(shown, len(chosen), pixels[hidden], owners[hidden]),
    )
    first, second, beside = (np.concatenate(parts) for parts in sights)
    names = np.flatnonzero(painted)
    kept = np.flatnonzero(wanted(names[first], names[second]))
    # Where a later instance was painted over mask i, a pixel shows j but is not beside mask i.
    covered = owners[hidden] * shown.size + pixels[hidden]
    kept = kept[~np.isin(first[kept] * shown.size + beside[kept], covered)]
    return names[first[kept]], names[second[kept]]


Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Instance, the other instance, and the pixel where the other was seen."""


def _pairs_in_sight(shown: NDArray[np.unsignedinteger], nobody: int) -> Pairs:
    """For each two neighbouring pixels of the map that show different instances, the pair seen from both sides."""
    flat, width = shown.ravel(), shown.shape[1]
    found = []
    for step in (1, width):
        here, there = flat[:-step], flat[step:]
        pixels = np.flatnonzero((here != there) & (here != nobody) & (there != nobody))
        if step == 1:
            pixels = pixels[(pixels + 1) % width != 0]
        found.append((here[pixels], there[pixels], pixels + step))
        found.append((there[pixels], here[pixels], pixels))
    return _together(found)


def _pairs_of_hidden_pixels(
    shown: NDArray[np.unsignedinteger], nobody: int, pixels: NDArray[np.int64], owners: NDArray[np.int64]
) -> Pairs:
    """For each pixel that shows another instance than its owner, the owner and what is seen around the pixel."""
    height, width = shown.shape
    rows, columns = pixels // width, pixels % width
    found = []
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        row, column = rows + down, columns + across
        inside = np.flatnonzero((row >= 0) & (row < height) & (column >= 0) & (column < width))
        beside = row[inside] * width + column[inside]
        seen = shown.ravel()[beside]
        other = (seen != nobody) & (seen != owners[inside])
        found.append((owners[inside][other], seen[other], beside[other]))
    return _together(found)


def _together(found: Sequence[tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.int64]]]) -> Pairs:
    first, second, beside = (np.concatenate(parts).astype(np.int64) for parts in zip(*found))
    return first, second, beside


def _joined(instances: Instances, group_of: NDArray[np.int64], classes: NDArray[np.int64], min_area: int) -> Instances:
    """One instance per group, by falling score."""
    sizes = np.bincount(group_of)
    count = len(sizes)
    run_groups = np.repeat(group_of, np.diff(instances.offsets))
    runs = union_by_owner(instances.run_starts, instances.run_lengths, run_groups, count, instances.shape)
    scores = np.full(count, -np.inf)
    np.maximum.at(scores, group_of, instances.scores)
    first = np.unique(group_of, return_index=True)[1]
    class_ids = np.where(instances.class_ids == UNKNOWN_CLASS, classes, instances.class_ids)[first]
    groups = Instances.from_runs(instances.shape, *runs, class_ids, scores)
    kept = np.flatnonzero((sizes == 1) | (groups.areas >= min_area))
    return groups.select(kept[np.argsort(-scores[kept], kind="stable")])
