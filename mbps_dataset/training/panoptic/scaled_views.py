"""One image at several sizes, each plain and mirrored, and what is found in them brought back to the image (CUPS, stage 3).

The pieces of a teacher with boxes: sizes of the views, their pixels, boxes there and back, boxes of all views merged, masks
and class probabilities averaged. `view_merging` puts views together for any panoptic network.

From the code: bilinear without antialiasing, since images are floats; the sides are rounded half up; 512, 768 and 1024
pixels for the short side of 1024 × 2048 (the paper's scales are 0.75, 1 and 1.25).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mbps_dataset.models.cascade.detections import Detections, select_detections


CUPS_SCALES = (0.5, 0.75, 1.0)
LONGEST_PX = 4000
"""Of the long side of a view (detectron2)."""


class View(NamedTuple):
    """An image at `height` × `width` pixels, `mirrored` or not."""

    height: int
    width: int
    mirrored: bool


def views_of(size_hw: tuple[int, int], scales: Sequence[float] = CUPS_SCALES, longest: int = LONGEST_PX) -> list[View]:
    """Each scale plain, then mirrored; a scale is that of the short side, lowered where the long one would be too long.

    Raises `ValueError` if there is no scale, or one leaves no pixel.
    """
    if not scales:
        raise ValueError("Expected at least one scale to look at an image in, but got none.")
    views = []
    for scale in scales:
        short = int(min(size_hw) * scale)
        factor = min(short / min(size_hw), longest / max(size_hw))
        height, width = (int(side * factor + 0.5) for side in size_hw)
        if min(height, width) < 1:
            raise ValueError(f"Scale {scale} leaves no pixel of an image of {size_hw[0]} × {size_hw[1]}.")
        views += [View(height, width, False), View(height, width, True)]
    return views


def view_pixels(image: Tensor, view: View) -> Tensor:
    """`image` float32 [3, H, W] as the view shows it: [3, height, width]."""
    pixels = F.interpolate(image[None], (view.height, view.width), mode="bilinear", align_corners=False)[0]
    return pixels.flip(2) if view.mirrored else pixels


def boxes_in_view(boxes: Tensor, size_hw: tuple[int, int], view: View) -> Tensor:
    """`boxes` [N, 4] (x0, y0, x1, y1) of an image of `size_hw` in the view's pixels."""
    scaled = boxes * boxes.new_tensor([view.width / size_hw[1], view.height / size_hw[0]]).repeat(2)
    return _mirrored(scaled, view.width) if view.mirrored else scaled


def boxes_from_view(boxes: Tensor, size_hw: tuple[int, int], view: View) -> Tensor:
    """The inverse of `boxes_in_view`."""
    plain = _mirrored(boxes, view.width) if view.mirrored else boxes
    return plain * boxes.new_tensor([size_hw[1] / view.width, size_hw[0] / view.height]).repeat(2)


def merge_boxes(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    size_hw: tuple[int, int],
    *,
    above: float = 0.7,
    max_iou: float = 0.5,
    most: int = 100,
) -> Detections:
    """Boxes of all views [N, 4] with `scores` [N] and `classes` int64 [N] as detections: the best of each object.

    See `select_detections`; scores are strictly above `above`.
    """
    table = scores.new_zeros(len(boxes), int(classes.max()) + 2 if len(classes) else 1)
    table[torch.arange(len(boxes)), classes] = scores
    return select_detections(boxes, table, size_hw, above=above, max_iou=max_iou, most=most)


def mean_masks(masks: Sequence[Tensor], views: Sequence[View]) -> Tensor:
    """Mean of the probabilities [N, m, m] that each view gives to masks in the same boxes, mirrored back."""
    return torch.stack(
        [each.flip(2) if view.mirrored else each for each, view in zip(masks, views, strict=True)]
    ).mean(0)


def mean_probabilities(logits: Sequence[Tensor], views: Sequence[View], size_hw: tuple[int, int]) -> Tensor:
    """Mean soft-max [K, H, W] of the class logits [K, h, w] of each view, mirrored back and resized bilinearly."""
    total = torch.zeros(())
    for each, view in zip(logits, views, strict=True):
        total = total + restored(each, view, size_hw).softmax(0)
    return total / len(views)


def restored(maps: Tensor, view: View, size_hw: tuple[int, int]) -> Tensor:
    """Maps [K, h, w] of a view at the image's size [K, H, W], mirrored back, bilinear."""
    plain = maps.flip(2) if view.mirrored else maps
    return F.interpolate(plain[None], size_hw, mode="bilinear", align_corners=False)[0]


def _mirrored(boxes: Tensor, width: int) -> Tensor:
    return torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
