"""From queries to segments, as published (Cheng et al., NeurIPS 2021, 3.4; its panoptic inference).

Every query whose class is probable enough claims the cells where probability times mask is highest among queries and its own mask
is at least ½; one that others take too much from is left out. Stuff of one class becomes one segment. Cells nobody claims are
void. Two things are ours: the score of a thing is the probability of its class times its mask's mean, where the published one is
the first alone; and probabilities are enlarged, not logits, since masks learn in cells, between which logits that have grown
large in one direction would move the border.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mbps_dataset.models.panoptic.network import PanopticPrediction
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic


def panoptic_prediction(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    size: tuple[int, int],
    padded: tuple[int, int],
    thing_ids: Iterable[int],
    query_threshold: float,
    overlap_threshold: float,
) -> PanopticPrediction:
    """One image: class_logits [Q, K + 1] and mask_logits [Q, h, w] of an image of `size` (H, W) within its `padded` one."""
    probabilities = class_logits.softmax(-1)
    highest, classes = probabilities.max(-1)
    chosen = torch.nonzero((classes < class_logits.shape[1] - 1) & (highest >= query_threshold))[:, 0]
    masks = _at_size(mask_logits[chosen].sigmoid(), size, padded)
    covered = masks >= 0.5
    areas = covered.flatten(1).sum(1)
    scores = highest[chosen] * (masks * covered).flatten(1).sum(1) / areas.clamp(min=1)
    class_ids, things = classes[chosen].cpu().numpy(), sorted(thing_ids)
    is_thing = np.isin(class_ids, things) & (areas > 0).cpu().numpy()
    instances = Instances(covered.cpu().numpy()[is_thing], class_ids[is_thing], scores.cpu().numpy()[is_thing])
    claimed = _claimed(highest[chosen], masks, covered, areas, overlap_threshold)
    panoptic = _segments(claimed, class_ids, np.isin(class_ids, things), scores.cpu().numpy(), size)
    return PanopticPrediction(panoptic, _semantic(probabilities, mask_logits, size, padded), instances)


def _at_size(maps: Tensor, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """Maps [N, h, w] of a padded image at the image's own `size`: [N, H, W]."""
    if not len(maps):
        return maps.new_zeros(0, *size)
    larger = functional.interpolate(maps[None], size=padded, mode="bilinear", align_corners=False)[0]
    return larger[:, : size[0], : size[1]]


def _claimed(highest: Tensor, masks: Tensor, covered: Tensor, areas: Tensor, overlap_threshold: float) -> np.ndarray:
    """Place, among the chosen queries, of the one that has each pixel: int64 [H, W], −1 for none."""
    owners = torch.full(masks.shape[1:], -1, dtype=torch.int64, device=masks.device)
    if len(masks):
        best = (masks * highest[:, None, None]).argmax(0)
        mine = covered & (best == torch.arange(len(masks), device=masks.device)[:, None, None])
        kept = mine.flatten(1).sum(1)
        strong = (kept > 0) & (kept >= overlap_threshold * areas)
        mine &= strong[:, None, None]
        owners = torch.where(mine.any(0), best, -1)
    return owners.cpu().numpy()


def _segments(
    owners: np.ndarray, class_ids: np.ndarray, is_thing: np.ndarray, scores: np.ndarray, size: tuple[int, int]
) -> Panoptic:
    """Things one by one, by place, then stuff by class."""
    things, stuff = np.flatnonzero(is_thing), np.unique(class_ids[~is_thing])
    numbers = np.zeros(len(class_ids) + 1, dtype=np.int32)  # the last is of −1, no owner
    numbers[things] = np.arange(1, len(things) + 1)
    numbers[:-1][~is_thing] = len(things) + 1 + np.searchsorted(stuff, class_ids[~is_thing])
    return Panoptic.from_map(
        numbers[owners].reshape(size),
        [*class_ids[things].tolist(), *stuff.tolist()],
        [True] * len(things) + [False] * len(stuff),
        [*scores[things].tolist(), *[1.0] * len(stuff)],
    )


def _semantic(probabilities: Tensor, mask_logits: Tensor, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """Class probabilities [K, H, W]: sum over queries of class times mask, made to sum to 1 at each pixel (ours)."""
    sums = torch.einsum("qk,qhw->khw", probabilities[:, :-1], mask_logits.sigmoid())
    larger = _at_size(sums, size, padded)
    return larger / larger.sum(0).clamp(min=1e-12)
