"""Depth-gradient instances: every thing class is cut along depth edges into components (the report 2.3).

For each thing class: its pixels off the depth edges, 4-connected components of at least A_min pixels, and these grown
back over the edge by `dilation` steps inside the class. What the reference code adds to the report, kept here:

* a class with fewer than A_min pixels is skipped; A_min is compared before growing;
* components claim pixels in order of falling area (ties: raster order of the first pixel); a later component keeps its
  own pixels even where an earlier one claimed them, so masks may overlap by up to `dilation` pixels;
* growing steps over pixels of other classes: it is an L1 ball cut by the class, not a geodesic distance;
* instances are sorted by final area, ties staying in class order; score = area / largest area.

How it is computed (ours): a pixel is claimed by the first component that reaches it, so all claims of a class are one
minimum of component ranks over the L1 ball.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.stages.instances.components import (
    Components,
    class_keys,
    eligible_classes,
    label_components,
    largest_first,
    runs_of_owners,
)
from mbps_dataset.stages.instances.depth_edges import clear_depth_edges
from mbps_dataset.stages.instances.inputs import check_at_least_zero, depth_map, semantic_map, thing_ids
from mbps_dataset.stages.instances.runs import Runs, Value
from mbps_dataset.stages.instances.types import Instances


_STRIP_ROWS = 64
"""Rows worked on at a time while components claim pixels, so that a strip stays in the cache."""


def split_by_depth(
    semantic: ArrayLike,
    depth: ArrayLike,
    things: Iterable[int],
    *,
    grad_threshold: float = 0.10,
    min_area: int = 500,
    sigma: float = 1.0,
    dilation: int = 3,
) -> Instances:
    """Instances of the thing classes, cut where depth jumps.

    `semantic` [H, W] class ids; `depth` [H, W] normalised to [0, 1]; `things` class ids; `grad_threshold` tau on |∇D|
    (eight times the depth difference per pixel); `min_area` A_min in pixels; `sigma` smoothing in pixels, 0 for none;
    `dilation` pixels. Scores are area / largest area, in (0, 1], descending. Defaults: the report's headline run.

    Raises `ValueError` if the sizes differ, depth is not finite, or a setting is negative.

    Two cars, one behind the other, that touch in the image:

    >>> cars = np.full((8, 12), 13)
    >>> depth = np.where(np.arange(12) < 6, 0.2, 0.7) * np.ones((8, 1))
    >>> split_by_depth(cars, depth, [13], min_area=8, sigma=0, dilation=1).areas.tolist()
    [48, 48]
    """
    labels = semantic_map(semantic)
    values = depth_map(depth, labels.shape)
    check_at_least_zero(grad_threshold=grad_threshold, min_area=min_area, sigma=sigma, dilation=dilation)
    runs = Runs.of(labels)
    eligible = eligible_classes(runs, thing_ids(things), min_area)
    if not len(eligible):
        return Instances.empty(labels.shape)
    keys = class_keys(runs, eligible)
    clear_depth_edges(keys, values, grad_threshold, sigma)
    return _grow_components(label_components(keys), labels, eligible, min_area, dilation)


def _grow_components(
    components: Components,
    labels: NDArray[np.integer],
    classes: NDArray[np.int64],
    min_area: int,
    dilation: int,
) -> Instances:
    """Instances from components keyed by 1 + position in `classes`: those of at least `min_area`, grown and sorted."""
    order = _claim_order(components, min_area)
    dtype = np.min_scalar_type(len(order))
    nobody = np.iinfo(dtype).max
    ranks: NDArray[np.unsignedinteger] = np.full(len(components.areas), nobody, dtype=dtype)
    ranks[order] = np.arange(len(order))
    own = components.paint(ranks, nobody)
    claimed = own
    if dilation:
        claimed = np.full_like(own, nobody)
        for key in np.unique(components.keys[order]).tolist():
            window = components.runs.window(components.runs.values == key, margin=dilation)
            _claim_within(window, own, claimed, labels, classes[key - 1], dilation)
    return _collect(own, claimed, classes[components.keys[order] - 1])


def _claim_order(components: Components, min_area: int) -> NDArray[np.int64]:
    """Components of at least `min_area` pixels by class, then falling area, then raster order."""
    kept = np.flatnonzero(components.areas >= min_area)
    return kept[np.lexsort((-components.areas[kept], components.keys[kept]))]


def _claim_within(
    window: tuple[slice, slice],
    own: NDArray[np.unsignedinteger],
    claimed: NDArray[np.unsignedinteger],
    labels: NDArray[np.integer],
    class_id: int,
    dilation: int,
) -> None:
    """Write to `claimed`, at pixels of `class_id`, the lowest rank of that class within `dilation` L1 steps."""
    rows, columns = window
    nobody = own.dtype.type(np.iinfo(own.dtype).max)
    for top in range(rows.start, rows.stop, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, rows.stop)
        first, last = max(top - dilation, 0), min(bottom + dilation, rows.stop)
        inside = labels[first:last, columns] == class_id
        reached = minimum_over_diamond(np.where(inside, own[first:last, columns], nobody), dilation)
        core = slice(top - first, bottom - first)
        np.copyto(claimed[top:bottom, columns], reached[core], where=inside[core])


def minimum_over_diamond(values: NDArray[Value], radius: int) -> NDArray[Value]:
    """Minimum of `values` [H, W] over the L1 ball of `radius` pixels around each pixel, inside the frame."""
    for _ in range(radius):
        lowest = values.copy()
        np.minimum(lowest[1:], values[:-1], out=lowest[1:])
        np.minimum(lowest[:-1], values[1:], out=lowest[:-1])
        np.minimum(lowest[:, 1:], values[:, :-1], out=lowest[:, 1:])
        np.minimum(lowest[:, :-1], values[:, 1:], out=lowest[:, :-1])
        values = lowest
    return values


def _collect(
    own: NDArray[np.unsignedinteger], claimed: NDArray[np.unsignedinteger], class_ids: NDArray[np.int64]
) -> Instances:
    """Instance r = pixels claimed by rank r and its own pixels claimed by another; sorted by falling area."""
    nobody = np.iinfo(own.dtype).max
    starts, lengths, owners = runs_of_owners(claimed, nobody)
    shared = (own != claimed) & (own != nobody)
    if shared.any():
        extra = runs_of_owners(np.where(shared, own, own.dtype.type(nobody)), nobody)
        starts, lengths, owners = (np.concatenate(parts) for parts in zip((starts, lengths, owners), extra))
    return largest_first(own.shape, starts, lengths, owners, class_ids)
