from __future__ import annotations

import numpy as np
import torch

from mbps_dataset.models.cascade.detections import Detections, rescale_detections, select_detections
from tests.models.cascade.drawn_weights import cascade_vectors, tensor


def test_selection_with_ties_infinities_and_nans_is_that_of_the_vector():
    vectors, meta = cascade_vectors("cascade_boxes")
    boxes, scores, asked = tensor(vectors["pure/boxes"]), tensor(vectors["pure/scores"]), meta["pure"]
    found = select_detections(
        boxes, scores, tuple(asked["image"]), above=asked["score"], max_iou=asked["nms"], most=asked["topk"]
    )
    np.testing.assert_allclose(found.boxes, vectors["pure/out_boxes"], atol=1e-3)
    np.testing.assert_allclose(found.scores, vectors["pure/out_scores"], atol=1e-5)
    assert found.classes.tolist() == vectors["pure/out_classes"].tolist()
    finite = (torch.isfinite(boxes).all(1) & torch.isfinite(scores).all(1)).nonzero()[:, 0]
    assert found.rows.tolist() == finite[tensor(vectors["pure/kept_rows"])].tolist()


def test_rescaling_is_that_of_the_vector():
    vectors, _ = cascade_vectors("mask_head")
    boxes = tensor(vectors["post/in_boxes"])
    rows = torch.arange(len(boxes))
    found, kept = rescale_detections(Detections(boxes, rows / 10, rows, rows), (120, 180), (60, 90))
    np.testing.assert_allclose(found.boxes, vectors["post/boxes"], atol=1e-3)
    assert kept.tolist() == found.rows.tolist() == vectors["post/kept"].tolist() and found.masks is None


BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
SCORES = torch.tensor([[0.6, 0.1, 0.3], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6]])


def test_a_score_must_be_above_the_threshold_and_classes_do_not_see_each_other():
    found = select_detections(BOXES, SCORES, (40, 40), above=0.2, max_iou=0.5, most=10)
    assert found.rows.tolist() == [0, 1] and found.classes.tolist() == [0, 1] and len(found) == 2
    found = select_detections(BOXES, SCORES, (40, 40), above=0.1, max_iou=0.95, most=3)
    assert found.rows.tolist() == [0, 1, 1] and found.classes.tolist() == [0, 0, 1]


def test_nothing_is_found_in_nothing():
    found = select_detections(BOXES[:0], SCORES[:0], (40, 40), above=0.1, max_iou=0.5, most=3)
    assert len(found) == 0 and found.boxes.shape == (0, 4)
