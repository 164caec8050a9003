"""Connected components of class maps: the labelling all methods share.

Runs of equal class that touch vertically are joined in a graph, whose components are those of the image. One pass serves
all classes and its cost hardly depends on how many components there are (ours). 4-connectivity and the numbering (raster
order of each component's first pixel) are those of the reference code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components as graph_components

from mbps_dataset.stages.instances.runs import Runs, Value, union_by_owner
from mbps_dataset.stages.instances.types import Instances


@dataclass(frozen=True, eq=False)
class Components:
    """4-connected regions of equal key, numbered by their first pixel in raster order.

    `runs` of the key map, background included; `of_run` component index per run, −1 for background, int64 [R]. Per
    component: `keys` and `areas` in pixels, both int64 [C].
    """

    runs: Runs
    of_run: NDArray[np.int64]
    keys: NDArray[np.int64]
    areas: NDArray[np.int64]

    def paint(self, values: NDArray[Value], background: int) -> NDArray[Value]:
        """A map [H, W] with `values` [C] at each component's pixels and `background` elsewhere."""
        return self.runs.paint(np.append(values, values.dtype.type(background))[self.of_run])


def eligible_classes(runs: Runs, things: NDArray[np.int64], min_area: float) -> NDArray[np.int64]:
    """Things with at least `min_area` pixels (and at least one) in the map of `runs`, ascending."""
    counts = runs.counts()
    present = things[things < len(counts)]
    return present[counts[present] >= max(min_area, 1)]


def class_keys(runs: Runs, classes: NDArray[np.int64]) -> NDArray[np.integer]:
    """1 + position in `classes` for pixels of these classes, 0 elsewhere; [H, W] of the smallest fitting type."""
    highest = max(int(runs.values.max(initial=0)), int(classes.max(initial=0)))
    table = np.zeros(highest + 1, dtype=np.min_scalar_type(len(classes)))
    table[classes] = np.arange(1, len(classes) + 1)
    return runs.paint(table[runs.values])


def label_components(keys: NDArray[np.integer]) -> Components:
    """4-connected regions of equal non-zero value of `keys` [H, W]; 0 is background."""
    runs = Runs.of(keys)
    foreground = np.flatnonzero(runs.values)
    of_run = np.full(len(runs.starts), -1, dtype=np.int64)
    if not len(foreground):
        return Components(runs, of_run, foreground, foreground)
    labels, first = _join_runs(keys, runs, foreground)
    of_run[foreground] = labels
    areas = np.bincount(labels, weights=runs.lengths[foreground]).astype(np.int64)
    return Components(runs, of_run, runs.values[foreground[first]].astype(np.int64), areas)


def _join_runs(
    keys: NDArray[np.integer], runs: Runs, foreground: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Component of each foreground run, numbered by first run, and the first run of each component.

    Two runs of one key overlap vertically in one stretch, which begins where the later of the two begins.
    """
    touching = runs.begins[1:] | runs.begins[:-1]
    touching &= keys[1:] == keys[:-1]
    touching &= keys[1:] != 0
    upper = np.flatnonzero(touching)
    starts = runs.starts[foreground]
    above = np.searchsorted(starts, upper, side="right") - 1
    below = np.searchsorted(starts, upper + keys.shape[1], side="right") - 1
    labels = join_pairs(above, below, len(foreground))
    first = np.empty(int(labels.max()) + 1, dtype=np.int64)
    first[labels[::-1]] = np.arange(len(labels))[::-1]
    return labels, first


def join_pairs(first: NDArray[np.integer], second: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Group of each of `count` things after joining all pairs (union-find), numbered by their first members."""
    edges = csr_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    groups, labels = graph_components(edges, directed=False)
    member = np.empty(groups, dtype=np.int64)
    member[labels[::-1]] = np.arange(count)[::-1]
    number = np.empty(groups, dtype=np.int64)
    number[np.argsort(member)] = np.arange(groups)
    return number[labels]


def runs_of_owners(
    owners: NDArray[np.integer], nobody: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer]]:
    """Starts, lengths and owners of the runs of a map of owners [H, W] that are not `nobody`'s."""
    runs = Runs.of(owners)
    taken = runs.values != nobody
    return runs.starts[taken], runs.lengths[taken], runs.values[taken]


def largest_first(
    shape: tuple[int, int],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    owners: NDArray[np.integer],
    class_ids: NDArray[np.int64],
) -> Instances:
    """Owner i's runs as an instance of ``class_ids[i]``, by falling area (ties: owner order); score area / largest."""
    areas = np.bincount(owners, weights=lengths, minlength=len(class_ids)).astype(np.int64)
    order = np.argsort(-areas, kind="stable")
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    runs = union_by_owner(starts, lengths, position[owners], len(order), shape)
    return Instances.from_runs(shape, *runs, class_ids[order], areas[order] / areas.max(initial=1))
