"""Which object a box is matched to, and which matched boxes are drawn for a loss.

Source: Faster R-CNN (Ren et al., NeurIPS 2015) as detectron2 has it. One decision is ours: an object whose box has no
area overlaps nothing, and "the best anchors of it" would then be all anchors of the image, with infinite targets; it has none
here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mbps_dataset.models.cascade.boxes import box_iou


POSITIVE, NEGATIVE, IGNORED = 1, 0, -1
"""What a matched box is."""

Permutation = Callable[[int, torch.device], Tensor]
"""n, device → int64 [n]: in which order boxes are drawn."""


def random_order(count: int, device: torch.device) -> Tensor:
    """A random permutation int64 [count] of torch's own generator: what training draws by."""
    return torch.randperm(count, device=device)


@dataclass(frozen=True)
class Matches:
    """For each of N boxes: `objects` int64 [N], the object of largest IoU (0 where there is none), `labels` int8 [N]."""

    objects: Tensor
    labels: Tensor


def match_boxes(
    boxes: Tensor, objects: Tensor, *, negative_below: float, positive_from: float, best_of_each: bool = False
) -> Matches:
    """Match each of `boxes` [N, 4] to one of `objects` [M, 4] by IoU.

    Below `negative_below` a box is `NEGATIVE`, from `positive_from` on `POSITIVE`, between `IGNORED`. With `best_of_each` boxes
    that tie the largest IoU of some object are positive too, and stay matched to their own best object. Without objects all
    are negative.
    """
    if not len(objects):
        nothing = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return Matches(nothing, nothing.to(torch.int8))
    iou = box_iou(objects, boxes)
    best, indices = iou.max(dim=0)
    labels = torch.full_like(indices, IGNORED, dtype=torch.int8)
    labels[best < negative_below] = NEGATIVE
    labels[best >= positive_from] = POSITIVE
    if best_of_each and iou.shape[1]:
        largest = iou.amax(dim=1, keepdim=True)
        labels[((iou == largest) & (largest > 0)).any(dim=0)] = POSITIVE
    return Matches(indices, labels)


def draw(
    positive: Tensor, negative: Tensor, *, count: int, positive_share: float, order: Permutation = random_order
) -> tuple[Tensor, Tensor]:
    """Indices of the drawn positives and negatives, `count` together where there are so many.

    `positive`, `negative` bool [N]; at most ``int(count * positive_share)`` positives are drawn, the rest are negatives.
    """
    positives, negatives = positive.nonzero()[:, 0], negative.nonzero()[:, 0]
    wanted = min(int(count * positive_share), len(positives))
    drawn = positives[order(len(positives), positives.device)[:wanted]]
    rest = negatives[order(len(negatives), negatives.device)[: count - wanted]]
    return drawn, rest
