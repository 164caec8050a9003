"""Losses of a Mask2Former in which what is not known plays no part (Cheng et al., CVPR 2022, 3.3).

Decisions made here (ours), since transformers' losses read no `ignore_value`:

* matching, cross-entropy and dice of masks see known cells only;
* a query without a segment, most of whose mask lies where nothing is settled, may have found what nobody labelled: it is not
  told to be no object;
* an image of which nothing is known teaches nothing;
* all cells count in place of sampled points, so that nothing is random and a resumed training goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from mbps_dataset.models.panoptic.mask2former.config import Mask2FormerPanopticConfig
from mbps_dataset.models.panoptic.mask2former.segments import Segments


@dataclass(frozen=True, eq=False)
class Match:
    """`queries` and `segments` int64 [M]: which query is taught which segment."""

    queries: Tensor
    segments: Tensor


@torch.no_grad()
def match(class_logits: Tensor, mask_logits: Tensor, segments: Segments, config: Mask2FormerPanopticConfig) -> Match:
    """The cheapest pairs of one image: class_logits [Q, K + 1], mask_logits [Q, P] over known cells, float32."""
    device, cells = mask_logits.device, max(mask_logits.shape[1], 1)
    masks = segments.masks
    with torch.autocast(device.type, enabled=False):  # sums over all cells need more digits than bfloat16 has
        classes = -class_logits.softmax(-1)[:, segments.class_ids]
        crossed = (
            functional.softplus(mask_logits).sum(1, keepdim=True) - mask_logits @ masks.T
        )  # BCE = softplus(x) - x y
        probabilities = mask_logits.sigmoid()
        dice = 1 - (2 * probabilities @ masks.T + 1) / (probabilities.sum(1, keepdim=True) + masks.sum(1) + 1)
        costs = config.class_weight * classes + config.mask_weight * crossed / cells + config.dice_weight * dice
    finite = np.nan_to_num(costs.cpu().numpy(), nan=1e9, posinf=1e9, neginf=-1e9)
    queries, chosen = (torch.from_numpy(index).to(device) for index in linear_sum_assignment(finite))
    return Match(queries, chosen)


def set_losses(
    class_logits: Tensor, mask_logits: Tensor, segments: Sequence[Segments], config: Mask2FormerPanopticConfig
) -> dict[str, Tensor]:
    """``class``, ``mask`` and ``dice``, weighted, of one layer: class_logits [B, Q, K + 1], mask_logits [B, Q, h, w]."""
    flat = mask_logits.flatten(2)
    wanted = torch.full(class_logits.shape[:2], class_logits.shape[2] - 1, device=flat.device)
    taught = torch.zeros(class_logits.shape[:2], device=flat.device)
    crossed, dice = [flat.sum() * 0], [flat.sum() * 0]
    for number, known in enumerate(segments):
        if not known.known.any():
            continue
        inside = flat[number][:, known.known]
        pairs = match(class_logits[number], inside, known, config)
        taught[number] = config.no_object_weight * ~_in_the_unsettled(flat[number], known, config.unknown_share)
        taught[number, pairs.queries] = 1
        wanted[number, pairs.queries] = known.class_ids[pairs.segments]
        logits, masks = inside[pairs.queries], known.masks[pairs.segments]
        crossed.append(functional.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(1).sum())
        dice.append(_dice(logits, masks).sum())
    count = max(sum(len(each.class_ids) for each in segments), 1)
    each = functional.cross_entropy(class_logits.transpose(1, 2), wanted, reduction="none")
    return {
        "class": config.class_weight * (each * taught).sum() / taught.sum().clamp(min=1e-6),
        "mask": config.mask_weight * torch.stack(crossed).sum() / count,
        "dice": config.dice_weight * torch.stack(dice).sum() / count,
    }


def _in_the_unsettled(mask_logits: Tensor, segments: Segments, share: float) -> Tensor:
    """Which queries have more than `share` of their mask where nothing is settled: [Q, h · w] → bool [Q]."""
    masks = mask_logits.detach() > 0
    return (masks & segments.unsettled).sum(1) > share * masks.sum(1)


def _dice(logits: Tensor, masks: Tensor) -> Tensor:
    """1 − (2 |p · y| + 1) / (|p| + |y| + 1) of each pair: two [M, P] → [M]."""
    probabilities = logits.sigmoid()
    return 1 - (2 * (probabilities * masks).sum(1) + 1) / (probabilities.sum(1) + masks.sum(1) + 1)
