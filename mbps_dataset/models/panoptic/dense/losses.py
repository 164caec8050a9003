"""Losses of a dense panoptic network; a cell of which nothing is known takes part in none.

After Panoptic-DeepLab (Cheng et al., CVPR 2020, 3): cross-entropy of classes over the hardest cells, squared error of the
centre map, absolute error of offsets inside things. Where nothing at all is known a loss is 0, with a gradient of 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from mbps_dataset.models.panoptic.network import VOID


def class_loss(logits: Tensor, semantic: Tensor, *, hardest_share: float) -> Tensor:
    """Mean cross-entropy over the `hardest_share` of known cells: logits [B, K, h, w], semantic int64 [B, h, w] → scalar."""
    each = functional.cross_entropy(logits, semantic, ignore_index=VOID, reduction="none")
    known = each[semantic != VOID]
    if not len(known):
        return logits.sum() * 0
    count = max(1, math.ceil(hardest_share * len(known)))
    return (known if count == len(known) else torch.topk(known, count).values).mean()


def centre_loss(heights: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Mean squared error of a centre map over the cells where it is known: three maps [B, h, w] → scalar."""
    return ((heights - wanted) ** 2 * known).sum() / known.sum().clamp(min=1)


def offset_loss(offsets: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Mean of \\|Δrow\\| + \\|Δcolumn\\| in pixels over cells of things: two maps [B, 2, h, w], known [B, h, w] → scalar."""
    return ((offsets - wanted).abs().sum(1) * known).sum() / known.sum().clamp(min=1)
