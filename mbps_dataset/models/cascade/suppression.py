"""Non-maximum suppression in plain torch, exact, on any device.

Greedy suppression keeps a box if no better kept box overlaps it. As a formula over boxes by falling score,
k_i = not any_{j < i} (k_j and IoU_ij > t), which has one solution. For a block of the best boxes it is reached by repeating the
formula on all of them at once, at most as often as the longest chain of boxes that decide about each other, in practice some ten
times. What the block keeps then ends what it overlaps, and the next block follows: no step per box and no compiled operator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mbps_dataset.models.cascade.boxes import box_iou


_MOST_PAIRS = 2**22
"""Pairs of boxes of the groups that are handled together: 16 MB a float."""
_BLOCK = 128
"""Boxes that are decided at once: few, so that what they end is compared no more; many, so that there are few steps."""


def suppress_boxes(boxes: Tensor, scores: Tensor, *, max_iou: float, groups: Tensor | None = None) -> Tensor:
    """Indices int64 [K] of the boxes that stay, by falling score; equal scores keep their order.

    `boxes` [N, 4], `scores` [N]. A box goes if its IoU with a better one that stays is above `max_iou` (0 to 1). Boxes of
    different `groups` int64 [N] (classes, levels) do not see each other.
    """
    ranking = torch.argsort(scores, descending=True, stable=True)
    if not len(ranking):
        return ranking
    numbers = torch.zeros_like(ranking) if groups is None else groups[ranking].unique(return_inverse=True)[1]
    order = torch.argsort(numbers, stable=True)
    sizes = torch.bincount(numbers)
    starts = sizes.cumsum(0) - sizes
    kept = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    by_size = torch.argsort(sizes, descending=True, stable=True)
    at = 0
    for largest in _chunks(sizes[by_size].tolist()):
        chosen = by_size[at : at + largest[1]]
        at += largest[1]
        places = torch.arange(largest[0], device=boxes.device)
        inside = places < sizes[chosen, None]
        rows = order[(starts[chosen, None] + places).clamp(max=len(order) - 1)]
        stays = _kept(boxes[ranking[rows]], max_iou) & inside
        kept[rows[stays]] = True
    return ranking[kept]


def _chunks(sizes: list[int]) -> list[tuple[int, int]]:
    """(size of the largest, number) of groups of falling size that are handled together."""
    chunks, at = [], 0
    while at < len(sizes):
        count = max(1, min(len(sizes) - at, _MOST_PAIRS // sizes[at] ** 2))
        chunks.append((sizes[at], count))
        at += count
    return chunks


def _kept(boxes: Tensor, max_iou: float) -> Tensor:
    """Which of `boxes` [G, n, 4], each group by falling score, greedy suppression keeps: bool [G, n]."""
    kept = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    for start in range(0, boxes.shape[1], _BLOCK):
        end = start + _BLOCK
        block = boxes[:, start:end]
        stays = _decided((box_iou(block, block) > max_iou).triu(diagonal=1), kept[:, start:end])
        kept[:, start:end] = stays
        rows, columns = (each.any(dim=0).nonzero()[:, 0] for each in (stays, kept[:, end:]))
        near = box_iou(block[:, rows], boxes[:, end + columns]) > max_iou
        kept[:, end + columns] &= ~(near & stays[:, rows, None]).any(dim=1)
    return kept


def _decided(overlaps: Tensor, alive: Tensor) -> Tensor:
    """Which of n boxes stay: bool [G, n]; `overlaps` bool [G, n, n] with worse boxes only, `alive` [G, n] not yet ended."""
    kept, factors = alive, overlaps.float()
    while True:
        found = alive & ((kept.float()[:, None] @ factors)[:, 0] == 0)
        if torch.equal(found, kept):
            return kept
        kept = found
