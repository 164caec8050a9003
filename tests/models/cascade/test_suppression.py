from __future__ import annotations

import pytest
import torch

from mbps_dataset.models.cascade import suppression
from mbps_dataset.models.cascade.boxes import box_iou
from mbps_dataset.models.cascade.suppression import suppress_boxes


def greedy(boxes, scores, max_iou, groups):
    """One box after the other, as the definition has it."""
    ranking = sorted(range(len(boxes)), key=lambda index: -float(scores[index]))
    iou, kept = box_iou(boxes, boxes), []
    for index in ranking:
        if all(groups[index] != groups[other] or iou[index, other] <= max_iou for other in kept):
            kept.append(index)
    return kept


def drawn_boxes(count, seed, side=60.0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * side
    boxes = torch.cat([corners, corners + 4 + 20 * torch.rand(count, 2, generator=generator)], dim=1)
    scores = (torch.rand(count, generator=generator) * 50).round() / 50  # with ties
    return boxes, scores, torch.randint(0, 3, (count,), generator=generator)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_iou", [0.1, 0.5, 0.65])
def test_it_is_greedy_suppression_also_of_equal_scores_and_in_groups(seed, max_iou):
    boxes, scores, groups = drawn_boxes(150, seed)
    assert suppress_boxes(boxes, scores, max_iou=max_iou, groups=groups).tolist() == greedy(
        boxes, scores, max_iou, groups.tolist()
    )
    assert suppress_boxes(boxes, scores, max_iou=max_iou).tolist() == greedy(boxes, scores, max_iou, [0] * 150)


def test_blocks_of_any_size_decide_the_same(monkeypatch):
    boxes, scores, groups = drawn_boxes(300, 5, side=30.0)
    wanted = [greedy(boxes, scores, 0.4, each) for each in ([0] * 300, groups.tolist())]
    for block in (1, 7, 299, 300, 1000):
        monkeypatch.setattr(suppression, "_BLOCK", block)
        found = [suppress_boxes(boxes, scores, max_iou=0.4, groups=each).tolist() for each in (None, groups)]
        assert found == wanted


def test_many_groups_in_parts_are_the_same(monkeypatch):
    boxes, scores, _ = drawn_boxes(200, 9)
    groups = torch.arange(200) % 37
    whole = suppress_boxes(boxes, scores, max_iou=0.3, groups=groups)
    monkeypatch.setattr(suppression, "_MOST_PAIRS", 80)
    assert suppress_boxes(boxes, scores, max_iou=0.3, groups=groups).tolist() == whole.tolist()


def test_a_chain_is_decided_from_its_beginning():
    """Each box overlaps the next alone, so every second one stays."""
    starts = torch.arange(0, 60, 4.0)
    boxes = torch.stack([starts, torch.zeros(15), starts + 6, torch.ones(15)], dim=1)
    assert suppress_boxes(boxes, -starts, max_iou=0.15).tolist() == list(range(0, 15, 2))


def test_an_iou_of_exactly_the_limit_stays_and_no_box_is_no_index():
    boxes = torch.tensor([[0.0, 0, 2, 1], [1, 0, 2, 1]])
    assert suppress_boxes(boxes, torch.tensor([1.0, 0.5]), max_iou=0.5).tolist() == [0, 1]
    assert suppress_boxes(boxes, torch.tensor([1.0, 0.5]), max_iou=0.49).tolist() == [0]
    assert suppress_boxes(boxes[:0], torch.zeros(0), max_iou=0.5).tolist() == []
