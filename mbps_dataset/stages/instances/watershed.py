"""Marker-controlled watershed on the depth gradient: the method the report calls formally equivalent to its own (4.3.2).

Markers are the components that depth splitting would keep: off the depth edges, at least A_min pixels. From them |∇D| is
flooded inside each class. Unlike growing by three steps, flooding takes back *all* pixels of the class that a marker can
reach inside the class, and no two instances overlap; how far the two agree is measured in the tests.

The flooding is a minimum spanning forest rooted in the markers (Cousty, Bertrand, Najman & Couprie, "Watershed cuts:
minimum spanning forests and the drop of water principle", PAMI 2009), with the larger gradient of two neighbours as the
weight of their edge. It is exact on float64 gradients and runs in compiled code (scipy.sparse.csgraph). Not used:
`scipy.ndimage.watershed_ift`, which takes only 8- or 16-bit images and weighs an edge by the *difference* of the two
values, which is another transform; scikit-image, which would be one more dependency for one function. Ties are broken by
the distance to the nearest marker, then in raster order.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

from mbps_dataset.stages.instances.components import (
    class_keys,
    eligible_classes,
    join_pairs,
    label_components,
    largest_first,
    runs_of_owners,
)
from mbps_dataset.stages.instances.depth_edges import gradient_magnitude
from mbps_dataset.stages.instances.inputs import check_at_least_zero, depth_map, semantic_map, thing_ids
from mbps_dataset.stages.instances.runs import Runs
from mbps_dataset.stages.instances.types import Instances


def watershed_by_depth(
    semantic: ArrayLike, depth: ArrayLike, things: Iterable[int], *, grad_threshold: float = 0.10, min_area: int = 500,
    sigma: float = 1.0,
) -> Instances:  # fmt: skip
    """Instances of the thing classes by flooding |∇D| from the smooth regions.

    `semantic` [H, W] class ids; `depth` [H, W] normalised to [0, 1]; settings as in `split_by_depth`, which see.
    Instances do not overlap; scores are area / largest area, descending. Pixels that no marker reaches inside their
    class belong to none.
    """
    labels = semantic_map(semantic)
    values = depth_map(depth, labels.shape)
    check_at_least_zero(min_area=min_area)
    runs = Runs.of(labels)
    classes = eligible_classes(runs, thing_ids(things), min_area)
    if not len(classes):
        return Instances.empty(labels.shape)
    keys = class_keys(runs, classes)
    gradient = gradient_magnitude(values, sigma)
    markers = label_components(np.where(gradient > grad_threshold, keys.dtype.type(0), keys))
    kept = np.flatnonzero(markers.areas >= min_area)
    kept = kept[np.argsort(markers.keys[kept], kind="stable")]
    numbers = np.zeros(len(markers.areas), dtype=np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    flooded = flood(markers.paint(numbers, 0), keys, gradient)
    starts, lengths, owners = runs_of_owners(flooded, 0)
    return largest_first(labels.shape, starts, lengths, owners - 1, classes[markers.keys[kept] - 1])


def flood(markers: NDArray[np.int32], regions: NDArray[np.integer], relief: NDArray[np.floating]) -> NDArray[np.int32]:
    """Watershed of `relief` [H, W] from `markers` [H, W] (1 … M, 0 = none) inside equal non-zero values of `regions`.

    Returns the marker that floods each pixel, 0 where none does.
    """
    count = int(markers.max(initial=0))
    free = np.flatnonzero((markers == 0) & (regions != 0))
    if not count or not len(free):
        return markers
    # Nodes of the graph: the root, the markers 1 … M, then the free pixels.
    node = markers.ravel().astype(np.int64)
    node[free] = np.arange(count + 1, count + 1 + len(free))
    first, second = _edges_by_height(markers, regions, relief)
    tree = _spanning_tree(node[first], node[second], count, count + 1 + len(free))
    basin = join_pairs(*tree, count + 1 + len(free))
    marker_of_basin = np.zeros(len(basin), dtype=np.int32)
    marker_of_basin[basin[1 : count + 1]] = np.arange(1, count + 1)
    flooded = markers.copy()
    flooded.ravel()[free] = marker_of_basin[basin[count + 1 :]]
    return flooded


def _edges_by_height(
    markers: NDArray[np.int32], regions: NDArray[np.integer], relief: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Neighbouring pixels of one region, at least one of them free: by height, then nearness to a marker, then raster."""
    width = markers.shape[1]
    region, free = regions.ravel(), markers.ravel() == 0
    ends = []
    for step in (1, width):
        linked = (region[:-step] == region[step:]) & (region[:-step] != 0) & (free[:-step] | free[step:])
        pixels = np.flatnonzero(linked)
        pixels = pixels[(pixels + 1) % width != 0] if step == 1 else pixels
        ends.append((pixels, pixels + step))
    first, second = (np.concatenate(parts) for parts in zip(*ends))
    distance = ndimage.distance_transform_cdt(markers == 0, metric="taxicab").ravel()
    height = np.maximum(relief.ravel()[first], relief.ravel()[second])
    order = np.lexsort((first, np.maximum(distance[first], distance[second]), height))
    return first[order], second[order]


def _spanning_tree(
    first: NDArray[np.int64], second: NDArray[np.int64], markers: int, nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges of the minimum spanning tree of edges given in rising order, without those that tie markers to the root."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    _, cheapest = np.unique(low * nodes + high, return_index=True)
    roots = np.arange(1, markers + 1)
    rows = np.concatenate([np.zeros(markers, dtype=np.int64), low[cheapest]])
    columns = np.concatenate([roots, high[cheapest]])
    ranks = np.concatenate([roots, cheapest + (markers + 1)]).astype(np.float64)
    tree = minimum_spanning_tree(csr_matrix((ranks, (rows, columns)), shape=(nodes, nodes))).tocoo()
    grown = tree.row != 0
    return tree.row[grown], tree.col[grown]
