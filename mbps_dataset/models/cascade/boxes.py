"""Boxes in pixels: their areas, overlaps, clipping, and their code as differences to another box.

A box is (x0, y0, x1, y1) in continuous coordinates, pixel i reaching from i to i + 1. The code is that of R-CNN (Girshick et
al., CVPR 2014, appendix C) with the weights of Cascade R-CNN (Cai & Vasconcelos, CVPR 2018); growth is limited to
ln(1000 / 16) as in detectron2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


LARGEST_LOG_GROWTH = math.log(1000 / 16)
"""Upper limit of the decoded logarithms of width and height ratios."""

Weights = tuple[float, float, float, float]
"""Factors of (dx, dy, dw, dh) in a code."""


def box_areas(boxes: Tensor) -> Tensor:
    """Areas [...] in square pixels of `boxes` [..., 4]."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union [..., N, M] of `first` [..., N, 4] and `second` [..., M, 4]; 0 where they do not meet."""
    common = _shared(first, second, 0) * _shared(first, second, 1)
    union = box_areas(first)[..., :, None] + box_areas(second)[..., None, :] - common
    return torch.where(common > 0, common / union, 0.0)


def _shared(first: Tensor, second: Tensor, axis: int) -> Tensor:
    """Length of what boxes share of one axis, [..., N, M]: faster by half an axis at a time than with both in a last dimension."""
    low = torch.maximum(first[..., :, None, axis], second[..., None, :, axis])
    high = torch.minimum(first[..., :, None, axis + 2], second[..., None, :, axis + 2])
    return (high - low).clamp_(min=0)


def clip_boxes(boxes: Tensor, height: float, width: float) -> Tensor:
    """`boxes` [N, 4] cut to an image of `height` × `width` pixels."""
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def has_sides(boxes: Tensor, longer_than: float = 0) -> Tensor:
    """Whether both sides of each of `boxes` [N, 4] are longer than that many pixels: bool [N]."""
    return (boxes[:, 2] - boxes[:, 0] > longer_than) & (boxes[:, 3] - boxes[:, 1] > longer_than)


def boxes_of_masks(masks: Tensor, *, last_pixel: bool = True) -> Tensor:
    """The box around each of `masks` bool [N, H, W]: float32 [N, 4], zeros for an empty one.

    With ``last_pixel=False`` (CUPS) a box ends at the index of its last pixel, one pixel short: the object of one column
    has width 0.
    """
    return torch.cat([_extent(masks.any(dim=1), last_pixel), _extent(masks.any(dim=2), last_pixel)], dim=1)[
        :, [0, 2, 1, 3]
    ]


def _extent(occupied: Tensor, last_pixel: bool) -> Tensor:
    """First and last place of each row of bool [N, L], as float32 [N, 2]."""
    places = torch.arange(occupied.shape[1], device=occupied.device)
    first = torch.where(occupied, places, occupied.shape[1]).amin(dim=1)
    last = torch.where(occupied, places, -1).amax(dim=1) + int(last_pixel)
    found = occupied.any(dim=1)
    return torch.stack([first * found, last * found], dim=1).float()


def encode_boxes(boxes: Tensor, targets: Tensor, weights: Weights) -> Tensor:
    """Codes float32 [N, 4] that lead from `boxes` to `targets`, both [N, 4] with positive sides.

    dx = wx (x* − x) / w and dw = ww ln(w* / w), x the centre; likewise dy, dh.
    """
    (centres, sides), (goals, goal_sides) = _centres_and_sides(boxes), _centres_and_sides(targets)
    factors = boxes.new_tensor(weights)
    return torch.cat([(goals - centres) / sides, (goal_sides / sides).log()], dim=1) * factors


def decode_boxes(boxes: Tensor, codes: Tensor, weights: Weights) -> Tensor:
    """Boxes [N, 4] that `codes` [N, 4] lead to from `boxes` [N, 4]; not clipped to an image."""
    centres, sides = _centres_and_sides(boxes)
    steps = codes / codes.new_tensor(weights)
    new_centres = steps[:, :2] * sides + centres
    new_sides = steps[:, 2:].clamp(max=LARGEST_LOG_GROWTH).exp() * sides
    return torch.cat([new_centres - 0.5 * new_sides, new_centres + 0.5 * new_sides], dim=1)


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + 0.5 * sides, sides
