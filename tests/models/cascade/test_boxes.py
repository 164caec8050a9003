from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.box_heads import STAGES
from mbps_dataset.models.cascade.boxes import (
    box_areas,
    box_iou,
    boxes_of_masks,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    has_sides,
)
from tests.models.cascade.drawn_weights import cascade_vectors, tensor


WEIGHTS = {"rpn": (1.0, 1.0, 1.0, 1.0)} | {f"stage{number}": stage.weights for number, stage in enumerate(STAGES)}


@pytest.mark.parametrize("name", WEIGHTS)
def test_codes_are_those_of_the_vector(name):
    vectors, _ = cascade_vectors("box_coding")
    boxes, targets, deltas = (tensor(vectors[key]) for key in ("boxes", "targets", "deltas"))
    decoded, encoded = decode_boxes(boxes, deltas, WEIGHTS[name]), encode_boxes(boxes, targets, WEIGHTS[name])
    np.testing.assert_allclose(decoded, vectors[f"apply_{name}"], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(encoded, vectors[f"get_{name}"], atol=1e-4)
    torch.testing.assert_close(decode_boxes(boxes, encoded, WEIGHTS[name]), targets, atol=1e-2, rtol=1e-4)


def test_iou_is_that_of_the_vector():
    vectors, _ = cascade_vectors("box_coding")
    found = box_iou(tensor(vectors["targets"])[:6], tensor(vectors["boxes"]))
    np.testing.assert_allclose(found, vectors["iou"], atol=1e-6)


def test_iou_by_hand_also_of_many_groups_and_of_boxes_without_area():
    boxes = torch.tensor([[0.0, 0, 4, 2], [2, 0, 6, 2], [1, 1, 1, 1], [9, 9, 10, 10]])
    found = box_iou(boxes, boxes)
    assert found.diagonal().tolist() == [1, 1, 0, 1] and found[0, 1] == pytest.approx(1 / 3) and found[0, 2] == 0
    torch.testing.assert_close(box_iou(boxes.expand(3, 4, 4), boxes.expand(3, 4, 4))[2], found)
    assert box_areas(boxes).tolist() == [8, 8, 0, 1] and box_iou(boxes[:0], boxes).shape == (0, 4)


def test_growth_is_limited():
    box, code = torch.tensor([[10.0, 10, 26, 26]]), torch.tensor([[0.0, 0, 100, -100]])
    assert decode_boxes(box, code, (1.0, 1.0, 1.0, 1.0))[0].tolist() == pytest.approx([-482, 18, 518, 18], abs=1e-3)
    assert math.exp(math.log(1000 / 16)) * 16 == pytest.approx(1000)


def test_clipping_and_sides():
    boxes = clip_boxes(torch.tensor([[-3.0, -2, 30, 40], [21, 5, 25, 6]]), 10, 20)
    assert boxes.tolist() == [[0, 0, 20, 10], [20, 5, 20, 6]]
    assert has_sides(boxes).tolist() == [True, False] and has_sides(boxes, 10).tolist() == [False, False]


def test_the_box_of_a_mask_ends_behind_its_last_pixel_or_at_it():
    masks = torch.zeros(3, 6, 8, dtype=torch.bool)
    masks[0, 1:4, 2:7] = True
    masks[1, 5, 7] = True
    assert boxes_of_masks(masks).tolist() == [[2, 1, 7, 4], [7, 5, 8, 6], [0, 0, 0, 0]]
    assert boxes_of_masks(masks, last_pixel=False).tolist() == [[2, 1, 6, 3], [7, 5, 7, 5], [0, 0, 0, 0]]
    assert boxes_of_masks(masks[:0]).shape == (0, 4)
