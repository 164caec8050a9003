"""Several sets of detections become one: mask-IoU non-maximum suppression.

Used to join the same detector at several scales or several detectors (the report's multi-scale and ensemble rows, IoU
0.3). Overlaps are counted on runs of pixels, never on full-frame masks (ours).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mbps_dataset.stages.instances.runs import pixels_of_runs
from mbps_dataset.stages.instances.types import Instances


def mask_iou(instances: Instances) -> NDArray[np.float64]:
    """Intersection over union of every two masks, [N, N] in [0, 1]; 0 where both are empty."""
    ends = instances.run_starts + instances.run_lengths
    edges = np.unique(np.concatenate([instances.run_starts, ends, [0]]))
    first, last = np.searchsorted(edges, instances.run_starts), np.searchsorted(edges, ends)
    # Between two edges all masks are constant, so a mask is a row of whole pieces.
    pieces = pixels_of_runs(first, last - first)
    rows = np.repeat(np.repeat(np.arange(len(instances)), np.diff(instances.offsets)), last - first)
    widths = np.diff(edges, append=edges[-1])
    held = csr_matrix((np.ones(len(pieces)), (rows, pieces)), shape=(len(instances), len(edges)))
    shared = (held.multiply(widths).tocsr() @ held.T).toarray()
    union = instances.areas[:, None] + instances.areas - shared
    return shared / np.where(union > 0, union, 1)


def suppress_overlaps(instances: Instances, *, max_iou: float = 0.3, per_class: bool = False) -> Instances:
    """Instances by falling score, each dropped that overlaps a kept one by more than `max_iou`.

    With `per_class` only instances of one class suppress each other. Equal scores keep their order.
    """
    ordered = instances.select(np.argsort(-instances.scores, kind="stable"))
    rivals = mask_iou(ordered) > max_iou
    if per_class:
        rivals &= ordered.class_ids[:, None] == ordered.class_ids
    kept = np.ones(len(ordered), dtype=bool)
    for index in range(len(ordered)):
        if kept[index]:
            kept[index + 1 :] &= ~rivals[index, index + 1 :]
    return ordered.select(kept)


def merge_detections(parts: Iterable[Instances], *, max_iou: float = 0.3, per_class: bool = False) -> Instances:
    """Several detectors or scales of one image as one set, overlaps suppressed; see `suppress_overlaps`."""
    return suppress_overlaps(Instances.concatenate(parts), max_iou=max_iou, per_class=per_class)
