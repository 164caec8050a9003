from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.metrics.overlap import overlap_table
from mbps_dataset.metrics.u2seg import box_iou, count_votes, segment_boxes, stuff_votes, thing_votes


def scene() -> tuple[np.ndarray, ...]:
    """A car (class 2) at rows 2-7; pseudo-classes 11 (stuff) and 12 (thing)."""
    true = np.zeros((10, 20), int)
    true[2:8, 4:12] = 2
    true_instance = np.where(true == 2, 1, 0)
    pred = np.full((10, 20), 11)
    pred[2:8, 4:11] = 12
    return pred, np.where(pred == 12, 7, 0), true, true_instance


def test_boxes_and_their_iou() -> None:
    _, _, true, instance = scene()
    rows, boxes = segment_boxes(true, instance, (2,))
    assert rows.tolist() == [[2, 1]] and boxes.tolist() == [[2, 4, 8, 12]]
    assert box_iou(boxes, np.array([[2, 4, 8, 11], [8, 12, 9, 13]])).tolist() == [[7 / 8, 0.0]]
    rows, boxes = segment_boxes(true, np.zeros_like(true), (2,))
    assert rows.shape == (0, 2) and boxes.shape == (0, 4)


def test_stuff_votes_need_a_sixth_of_the_union() -> None:
    true = np.zeros((10, 10), int)
    for rows, votes in ((1, 0), (2, 1)):
        pred = np.full((10, 10), 5)
        pred[:rows] = 3
        table = overlap_table(pred, None, true, None)
        assert len(stuff_votes(table, (3,), (0,))) == votes


def test_thing_votes_need_boxes_and_score() -> None:
    pred, pred_instance, true, true_instance = scene()
    arguments = ((pred, pred_instance), (true, true_instance), (12,), (2,))
    assert thing_votes(*arguments, {}).tolist() == [[12, 2]]
    assert thing_votes(*arguments, {7: 0.6}).tolist() == [[12, 2]]
    assert thing_votes(*arguments, {7: 0.59}).tolist() == []
    pred_instance[:, 9:] = 0  # the box shrinks to 5 of 8 columns
    assert thing_votes(*arguments, {}).tolist() == []


def test_votes_add_up() -> None:
    votes = [np.array([[12, 2], [12, 2], [11, 0]]), np.zeros((0, 2), int), np.array([[12, 0]])]
    assert count_votes(votes, (11, 12), (0, 2)).tolist() == [[1, 0], [1, 2]]


def test_metric_names_pseudo_classes_by_votes_and_leaves_the_rest_void() -> None:
    pred, pred_instance, true, true_instance = scene()
    metric, again = (
        PanopticQuality((2,), (0, 1), matching="u2seg", pseudo_things=(12, 13), pseudo_stuff=(11,), merge_stuff=False)
        for _ in range(2)
    )
    metric.update(pred, pred_instance, true, true_instance, pred_scores={7: 0.9})
    metric.update(np.full((4, 4), 13), None, np.zeros((4, 4), int), None)
    for result in (metric.compute(), again.merge(metric).compute()):
        assert result.assignment == {11: 0, 12: 2}
        assert result.per_class[2]["tp"] == 1 and result.predicted_void_share == pytest.approx(16 / 216)


def test_tables_cannot_vote_on_boxes() -> None:
    metric = PanopticQuality((2,), (0,), matching="u2seg", pseudo_things=(12,), pseudo_stuff=(11,))
    with pytest.raises(ValueError, match="matching='u2seg' compares boxes, which a table does not hold"):
        metric.update_table(overlap_table([[11]], None, [[0]], None))
