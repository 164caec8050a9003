"""Coarser classes from a finished table: 19 classes to the 7 Cityscapes categories, without reading images again.

Decisions, as in CUPS' evaluation of PQ on 7 groups: the ground truth is grouped *before* matching; stuff of one group
becomes one segment per image; instances stay what they are, also when two classes of a group number theirs alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbps_dataset.metrics.overlap import Int, OverlapTable, unique_rows


_UNGROUPED = 1 << 32  # no class id: counts as void in the ground truth


def group_table(
    table: OverlapTable, true_groups: Mapping[int, int], pred_groups: Mapping[int, int] | None
) -> OverlapTable:
    """`table` with classes replaced by their groups; `pred_groups` None leaves predictions (pseudo-classes) alone."""
    true = _grouped(table.true_segments, true_groups)
    pred = table.pred_segments if pred_groups is None else _grouped(table.pred_segments, pred_groups)
    return OverlapTable(true, pred, table.pairs, table.images)


def _grouped(segments: Int, groups: Mapping[int, int]) -> Int:
    result = segments.copy()
    distinct, which = np.unique(segments[:, 1], return_inverse=True)
    result[:, 1] = np.array([groups.get(int(c), _UNGROUPED) for c in distinct], np.int64)[which]
    has_instance = segments[:, 2] > 0
    _, number = unique_rows([segments[has_instance, 1], segments[has_instance, 2]])
    result[has_instance, 2] = number + 1
    return result
