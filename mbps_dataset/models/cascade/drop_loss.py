"""DropLoss (CutLER, Wang et al., CVPR 2023): a region that no pseudo-object covers is not called background.

The class loss of a proposal counts 0 if its refined box meets every pseudo-box by an IoU of at most τ, else 1; dropped ones stay in
the divisor, and boxes and masks are learnt as ever. τ is 0.01 in CutLER and CuVLER, 0.4 in CUPS. Two forms, by name:

* ``all-boxes``: every pseudo-box of the image, as the paper has it;
* ``as-coded``: what the published code does. It takes as many boxes as there are different ones among those that the first
  100 proposals are matched to, but takes them from the beginning of the list of proposals, where the same box comes again and again;
  so boxes are missing and proposals of real objects are dropped (measured: 12 of 26 in the first stage, where the other form drops 1).
  An image without objects switches the first stage off for the whole batch, and all its proposals are dropped in later ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mbps_dataset.models.cascade.boxes import box_iou


_LOOKED_AT = 100


def drop_weights(refined: Tensor, pseudo_boxes: Tensor, *, min_iou: float) -> Tensor:
    """1 for each of `refined` boxes [R, 4] whose largest IoU with `pseudo_boxes` [G, 4] is above `min_iou`, else 0: [R]."""
    if not len(pseudo_boxes):
        return refined.new_zeros(len(refined))
    return (box_iou(refined, pseudo_boxes).amax(dim=1) > min_iou).to(refined.dtype)


def boxes_as_coded(matched: Tensor) -> Tensor:
    """The pseudo-boxes that published code looks at, [G, 4], of those its proposals are `matched` to, [R, 4] in their order."""
    different = len(torch.unique(matched[:_LOOKED_AT], dim=0)) if len(matched) else 0
    return matched[:different]


def batch_drop_weights(
    form: str,
    refined: Sequence[Tensor],
    matched: Sequence[Tensor],
    pseudo_boxes: Sequence[Tensor],
    *,
    min_iou: float,
    first_stage: bool,
) -> Tensor | None:
    """Weights [sum of R] of the proposals of a batch, None where none is dropped.

    `form` "off", "as-coded" or "all-boxes"; per image `refined` [R, 4] (not clipped), `matched` [R, 4] (zeros without objects) and
    `pseudo_boxes` [M, 4].
    """
    if form == "off" or (form == "as-coded" and first_stage and any(not len(boxes) for boxes in pseudo_boxes)):
        return None
    seen = [boxes_as_coded(boxes) for boxes in matched] if form == "as-coded" else pseudo_boxes
    return torch.cat([drop_weights(boxes, known, min_iou=min_iou) for boxes, known in zip(refined, seen)])
