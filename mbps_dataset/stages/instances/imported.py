"""Imported detections as an instance method: what a class-agnostic detector found, given the classes of the semantic map.

The report's CutLER and CuVLER rows: a score threshold (0.35, 0.15), overlaps between masks suppressed or kept, and the
class of each mask by majority vote.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from mbps_dataset.stages.instances.class_vote import vote_classes
from mbps_dataset.stages.instances.inputs import check_at_least_zero, semantic_map, thing_ids
from mbps_dataset.stages.instances.nms import suppress_overlaps
from mbps_dataset.stages.instances.types import Instances


def split_by_detections(
    semantic: ArrayLike,
    detections: Instances,
    things: Iterable[int],
    *,
    min_score: float = 0.0,
    min_area: int = 0,
    max_iou: float = 1.0,
) -> Instances:
    """The detections of thing classes, by falling score.

    `semantic` [H, W] class ids; `detections` of the same size; `things` class ids; `min_score` least score; `min_area`
    least area in pixels; `max_iou` above which the lower-scored of two overlapping masks goes (1: keep all).

    Raises `ValueError` if the sizes differ or a setting is negative.
    """
    labels = semantic_map(semantic)
    check_at_least_zero(min_area=min_area, max_iou=max_iou)
    chosen = detections.select((detections.scores >= min_score) & (detections.areas >= max(min_area, 1)))
    voted = vote_classes(suppress_overlaps(chosen, max_iou=max_iou), labels)
    return voted.select(np.isin(voted.class_ids, thing_ids(things)))
