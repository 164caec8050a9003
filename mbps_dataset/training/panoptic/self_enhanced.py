"""Self-enhanced copy-paste: once the network is warm, the objects it found by itself are copied (CUPS, stage 2).

The sources are its own predictions in evaluation mode, of images before any change (`changes` says of which): things of the
panoptic map, so already without overlaps, that it is sure of and that the pseudo-label does not hold.

Decision made here: an object is known if a mask of the label overlaps it; ``reference=True`` compares boxes (which end at
their last pixel), so that an object behind a known one may count as known, and gives every thing the semantic value 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mbps_dataset.models.cascade.boxes import box_iou, boxes_of_masks
from mbps_dataset.models.panoptic.network import VOID, PanopticTarget
from mbps_dataset.settings import Settings, setting
from mbps_dataset.stages.panoptic import Panoptic


@dataclass(frozen=True)
class SelfEnhancedSettings(Settings, prefix="self_enhanced."):
    """Which predictions are copied. Raises `RecipeError` for a value out of range."""

    sure: float = setting(0.75, "score above which a prediction is copied", at_least=0, at_most=1)
    known: float = setting(0.5, "IoU with an object of the label from which it is nothing new", at_least=0, at_most=1)


def objects_found(
    prediction: Panoptic,
    label: PanopticTarget,
    settings: SelfEnhancedSettings | None = None,
    *,
    reference: bool = False,
) -> PanopticTarget:
    """What can be copied from an image: the sure and new things of `prediction`, as `labels_of` has them.

    `label` is what the image was trained with, at the prediction's size; else raises `ValueError`.
    """
    chosen = settings or SelfEnhancedSettings()
    return new_objects(
        labels_of(prediction, chosen.sure, reference=reference), label, chosen.known, reference=reference
    )


def labels_of(panoptic: Panoptic, above: float = -1.0, *, reference: bool = False) -> PanopticTarget:
    """A panoptic map as labels: its things with a score above `above`, all its stuff, and void where it says nothing else.

    With `reference` the semantic value of things is 0.
    """
    segment_map = torch.from_numpy(panoptic.segment_map.astype("int64"))
    things = [each for each in panoptic.segments if each.isthing and each.score > above]
    values = torch.full((len(panoptic.segments) + 1,), VOID)
    for segment in panoptic.segments:
        if not segment.isthing:
            values[segment.id] = segment.class_id
    for segment in things:
        values[segment.id] = 0 if reference else segment.class_id
    numbers = torch.tensor([each.id for each in things], dtype=torch.long)
    class_ids = torch.tensor([each.class_id for each in things], dtype=torch.long)
    return PanopticTarget(values[segment_map], segment_map == numbers[:, None, None], class_ids)


def new_objects(
    found: PanopticTarget, label: PanopticTarget, known: float = 0.5, *, reference: bool = False
) -> PanopticTarget:
    """`found` without the objects whose IoU with one of `label` is at least `known`; semantics as they are.

    Raises `ValueError` if the two are of different sizes.
    """
    if found.semantic.shape != label.semantic.shape:
        raise ValueError(
            f"Expected a prediction and a label of one size, but got {tuple(found.semantic.shape)} and "
            f"{tuple(label.semantic.shape)}; resize one of them."
        )
    if not len(found.masks) or not len(label.masks):
        return found
    if reference:
        boxes, known_boxes = (boxes_of_masks(each.masks, last_pixel=False) for each in (found, label))
        overlap = box_iou(boxes, known_boxes)
    else:
        overlap = _overlap(found.masks, label.masks)
    new = overlap.amax(1) < known
    return PanopticTarget(found.semantic, found.masks[new], found.class_ids[new])


def _overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union float32 [N, M] of bool [N, H, W] and [M, H, W]; 0 where both are empty."""
    one, other = first.flatten(1).float(), second.flatten(1).float()
    common = one @ other.T
    union = one.sum(1)[:, None] + other.sum(1)[None] - common
    return torch.where(union > 0, common / union, 0.0)
