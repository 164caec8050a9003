from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.stages.instances import Instances, split_by_detections


SEMANTIC = np.zeros((4, 30), np.uint8)
SEMANTIC[:, 5:15] = 13
SEMANTIC[:, 15:20] = 11


def detections() -> Instances:
    masks = np.zeros((4, 4, 30), dtype=bool)
    for mask, (left, right) in zip(masks, ((4, 14), (5, 15), (14, 20), (22, 30))):
        mask[:, left:right] = True
    return Instances(masks, scores=[0.5, 0.9, 0.3, 0.99])


def test_classes_come_from_the_majority_and_only_things_stay() -> None:
    found = split_by_detections(SEMANTIC, detections(), [11, 13])
    assert found.class_ids.tolist() == [13, 13, 11]
    assert found.scores.tolist() == [0.9, 0.5, 0.3]


def test_score_area_and_overlap_limits() -> None:
    assert split_by_detections(SEMANTIC, detections(), [11, 13], min_score=0.5).scores.tolist() == [0.9, 0.5]
    assert split_by_detections(SEMANTIC, detections(), [11, 13], min_area=25).scores.tolist() == [0.9, 0.5]
    assert split_by_detections(SEMANTIC, detections(), [11, 13], max_iou=0.3).scores.tolist() == [0.9, 0.3]


def test_nothing_found() -> None:
    assert len(split_by_detections(SEMANTIC, Instances.empty((4, 30)), [13])) == 0
    assert len(split_by_detections(SEMANTIC, detections(), [])) == 0


def test_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"share \(H, W\), but got \(4, 30\) and \(4, 31\)"):
        split_by_detections(np.zeros((4, 31), np.uint8), detections(), [13])
    with pytest.raises(ValueError, match="`max_iou` of at least 0"):
        split_by_detections(SEMANTIC, detections(), [13], max_iou=-0.1)
