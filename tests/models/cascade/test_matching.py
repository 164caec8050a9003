from __future__ import annotations

import pytest
import torch

from mbps_dataset.models.cascade.matching import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    draw,
    match_boxes,
    random_order,
)
from tests.models.cascade.drawn_weights import cascade_vectors, first_come, tensor


@pytest.mark.parametrize(
    ("name", "low", "high"), [("rpn", 0.3, 0.7), ("c50", 0.5, 0.5), ("c60", 0.6, 0.6), ("c70", 0.7, 0.7)]
)
def test_matches_are_those_of_the_vector(name, low, high):
    vectors, _ = cascade_vectors("box_coding")
    boxes, objects = tensor(vectors["boxes"]), tensor(vectors["targets"])[:6]
    found = match_boxes(boxes, objects, negative_below=low, positive_from=high, best_of_each=name == "rpn")
    assert found.objects.tolist() == vectors[f"match_idx_{name}"].tolist()
    assert found.labels.tolist() == vectors[f"match_label_{name}"].tolist()


BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [40, 40, 50, 50], [0, 0, 10, 9]])


def test_between_the_two_thresholds_a_box_is_ignored():
    found = match_boxes(BOXES, BOXES[:1], negative_below=0.3, positive_from=0.7)
    assert found.labels.tolist() == [POSITIVE, IGNORED, NEGATIVE, POSITIVE]


def test_the_best_box_of_an_object_is_positive_but_an_object_without_area_has_none():
    objects = torch.tensor([[38.0, 38, 44, 44], [20, 20, 20, 30]])
    found = match_boxes(BOXES, objects, negative_below=0.3, positive_from=0.7, best_of_each=True)
    assert found.labels.tolist() == [NEGATIVE, NEGATIVE, POSITIVE, NEGATIVE]


def test_without_objects_all_is_background():
    found = match_boxes(BOXES, BOXES[:0], negative_below=0.3, positive_from=0.7, best_of_each=True)
    assert found.labels.tolist() == [NEGATIVE] * 4 and found.objects.tolist() == [0] * 4


def test_drawing_takes_a_share_of_positives_and_fills_up():
    positive = torch.tensor([True, False, True, True, False, False, False])
    drawn, rest = draw(positive, ~positive, count=4, positive_share=0.5, order=first_come)
    assert drawn.tolist() == [0, 2] and rest.tolist() == [1, 4]
    drawn, rest = draw(positive, ~positive, count=100, positive_share=0.02, order=first_come)
    assert drawn.tolist() == [0, 2] and len(rest) == 4
    torch.manual_seed(0)
    seen = {tuple(draw(positive, ~positive, count=2, positive_share=0.5)[0].tolist()) for _ in range(40)}
    assert seen == {(0,), (2,), (3,)}
    assert sorted(random_order(5, torch.device("cpu")).tolist()) == list(range(5))
