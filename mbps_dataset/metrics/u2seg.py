"""U2Seg's way of naming pseudo-classes: per-image votes instead of one assignment over the set.

From its public evaluator (Niu et al., "Unsupervised Universal Image Segmentation", CVPR 2024): a stuff pseudo-class
gives an image's vote to every stuff class its mask meets with IoU > 0.15; an instance with score >= 0.6 gives its
pseudo-class a vote for the class of every true instance whose *box* meets its box with IoU > 0.7; a pseudo-class takes
the class with most votes and is void without any. Despite the name "Hungarian" in the paper nothing is one-to-one.
Its evaluator also leaves stuff unmerged: pass ``merge_stuff=False`` for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.metrics.overlap import Int, OverlapTable, unique_rows
from mbps_dataset.metrics.segmentation import class_overlap


STUFF_MASK_IOU = 0.15
THING_BOX_IOU = 0.7
MIN_SCORE = 0.6

LabelMap = NDArray[np.integer]
"""[H, W] class or instance ids."""

Votes = NDArray[np.int64]
"""[V, 2]: pseudo-class, class."""


def stuff_votes(table: OverlapTable, pseudo_stuff: Sequence[int], stuff: Sequence[int]) -> Votes:
    """One vote per stuff pseudo-class and stuff class of one image whose whole masks meet with IoU > 0.15."""
    overlap = class_overlap(table, pseudo_stuff, stuff)
    pred_area = _class_areas(table.pred_segments, table.pairs[:, [1, 2]], pseudo_stuff)
    true_area = _class_areas(table.true_segments, table.pairs[:, [0, 2]], stuff)
    union = pred_area[:, None] + true_area - overlap
    rows, columns = np.nonzero(overlap > STUFF_MASK_IOU * union)
    return np.column_stack([np.asarray(pseudo_stuff, np.int64)[rows], np.asarray(stuff, np.int64)[columns]])


def thing_votes(
    pred: tuple[LabelMap, LabelMap], true: tuple[LabelMap, LabelMap], pseudo_things: Sequence[int], things: Sequence[int],
    scores: Mapping[int, float],
) -> Votes:  # fmt: skip
    """One vote per pair of a predicted and a true instance of one image whose boxes meet with IoU > 0.7.

    `pred` and `true` are (semantic, instance) maps [H, W]; `scores` maps predicted instance ids to scores, those it
    does not name count as certain.
    """
    pred_rows, pred_boxes = segment_boxes(*pred, pseudo_things)
    true_rows, true_boxes = segment_boxes(*true, things)
    sure = np.array([scores.get(int(instance), 1.0) >= MIN_SCORE for _, instance in pred_rows], bool)
    rows, columns = np.nonzero((box_iou(pred_boxes, true_boxes) > THING_BOX_IOU) & sure[:, None])
    return np.column_stack([pred_rows[rows, 0], true_rows[columns, 0]])


def count_votes(votes: Sequence[Votes], pseudo_ids: Sequence[int], class_ids: Sequence[int]) -> Int:
    """All votes as a matrix [K, C]."""
    counts = np.zeros((len(pseudo_ids), len(class_ids)), np.int64)
    row, column = ({int(k): n for n, k in enumerate(ids)} for ids in (pseudo_ids, class_ids))
    for pseudo, target in np.concatenate([np.zeros((0, 2), np.int64), *votes]).tolist():
        counts[row[pseudo], column[target]] += 1
    return counts


def segment_boxes(semantic: LabelMap, instance: LabelMap, classes: Sequence[int]) -> tuple[Int, Int]:
    """(class, instance) [S, 2] of all instances (id > 0) of `classes`, and their boxes [S, 4].

    A box is (top, left, bottom, right) in pixels, bottom and right exclusive.
    """
    from scipy.ndimage import find_objects  # here: its import takes longer than most scores

    inside = np.isin(semantic, classes) & (instance > 0)
    rows, which = unique_rows([semantic[inside].astype(np.int64), instance[inside].astype(np.int64)])
    labels = np.zeros(semantic.shape, np.int64)
    labels[inside] = which + 1
    boxes = [(y.start, x.start, y.stop, x.stop) for y, x in find_objects(labels, len(rows))]
    return rows.reshape(-1, 2), np.array(boxes, np.int64).reshape(-1, 4)


def box_iou(first: Int, second: Int) -> NDArray[np.float64]:
    """Intersection over union [A, B] of boxes [A, 4] and [B, 4]."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    area_first, area_second = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second))
    return common / (area_first[:, None] + area_second - common)


def _class_areas(segments: Int, pixels: Int, classes: Sequence[int]) -> Int:
    of_segment = np.bincount(pixels[:, 0], weights=pixels[:, 1], minlength=len(segments))
    return np.array([of_segment[segments[:, 1] == c].sum() for c in classes], np.int64)
