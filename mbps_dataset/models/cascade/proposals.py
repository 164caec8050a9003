"""The proposal network (Faster R-CNN, Ren et al., NeurIPS 2015): where in the image objects may be, and its losses.

One 3 × 3 convolution and two 1 × 1 ones, shared by the levels p2 to p6, with an anchor of 32, 64, 128, 256, 512 pixels on each.
Selection, per image: the best of each level by logit, decoded, without what is not finite, clipped to the image (without its
padding), without boxes that have no side, suppressed level by level, and the best of all levels by logit.

Targets: an anchor of IoU ≥ 0.7 is an object, below 0.3 background, as is the best one of each object; 256 are drawn per image, at
most half of them objects. Both losses are sums divided by 256 · B. DropLoss plays no part here (as coded).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.cascade.anchors import RATIOS, level_anchors
from mbps_dataset.models.cascade.boxes import clip_boxes, decode_boxes, encode_boxes, has_sides
from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.feature_pyramid import STRIDES
from mbps_dataset.models.cascade.matching import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    Permutation,
    draw,
    match_boxes,
    random_order,
)
from mbps_dataset.models.cascade.suppression import suppress_boxes


SIZES = (32, 64, 128, 256, 512)
"""Side of the square anchor on the levels p2 to p6, pixels."""

DRAWN, OBJECT_SHARE, OBJECT_IOU, BACKGROUND_IOU = 256, 0.5, 0.7, 0.3
_WEIGHTS = (1.0, 1.0, 1.0, 1.0)


class ProposalHead(nn.Module):
    """The convolutions, ``rpn_head`` in published files."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness_logits = nn.Conv2d(channels, len(RATIOS), 1)
        self.anchor_deltas = nn.Conv2d(channels, 4 * len(RATIOS), 1)
        for layer in (self.conv, self.objectness_logits, self.anchor_deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # all of them have one

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps [B, C, h, w] of each level → logits [B, A] and codes [B, A, 4] of its A anchors (row, column, ratio)."""
        logits, codes = [], []
        for maps in levels:
            hidden = functional.relu(self.conv(maps))
            logits.append(self.objectness_logits(hidden).permute(0, 2, 3, 1).flatten(1))
            deltas = self.anchor_deltas(hidden).unflatten(1, (len(RATIOS), 4))
            codes.append(deltas.permute(0, 3, 4, 1, 2).reshape(len(maps), -1, 4))
        return logits, codes


@dataclass(frozen=True, eq=False)
class Selection:
    """How many proposals stay: `of_level` and `of_image` best ones, `max_iou` of suppression, sides above `longer_than` pixels."""

    of_level: int
    of_image: int
    max_iou: float
    longer_than: float = 0


class ProposalNetwork(nn.Module):
    """Head, anchors, selection and losses, ``proposal_generator`` in published files."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.config = config
        self.rpn_head = ProposalHead(config.pyramid_channels)

    @property
    def selection(self) -> Selection:
        """How proposals are selected where nothing is trained."""
        return Selection(self.config.level_proposals, self.config.proposals, self.config.proposal_nms)

    @property
    def training_selection(self) -> Selection:
        """How they are selected for the losses."""
        config = self.config
        return Selection(config.level_proposals_training, config.proposals_training, config.proposal_nms)

    def forward(self, levels: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Maps p2 to p6 and the (height, width) of each image without padding → proposals [n, 4] of each image."""
        logits, codes = self.rpn_head(levels)
        chosen = select_proposals(logits, codes, anchors_of(levels), sizes, self.selection)
        return [boxes for boxes, _ in chosen]


def anchors_of(levels: Sequence[Tensor]) -> list[Tensor]:
    """Anchors [A, 4] of each of the levels p2 to p6, for maps [..., h, w]."""
    return [
        level_anchors(maps.shape[-2], maps.shape[-1], stride=stride, size=size, device=maps.device)
        for maps, stride, size in zip(levels, STRIDES, SIZES)
    ]


def select_proposals(
    logits: Sequence[Tensor],
    codes: Sequence[Tensor],
    anchors: Sequence[Tensor],
    sizes: Sequence[tuple[int, int]],
    selection: Selection,
) -> list[tuple[Tensor, Tensor]]:
    """The proposals of each image, [n, 4] and their logits [n], by falling logit; no gradient passes.

    `logits`, `codes` as `ProposalHead` gives them, `anchors` [A, 4] of each level; `sizes` (height, width) of the images in pixels.
    """
    return [
        _select_of_image(
            [one[image].detach().float() for one in logits],
            [one[image].detach().float() for one in codes],
            anchors,
            size,
            selection,
        )
        for image, size in enumerate(sizes)
    ]


def _select_of_image(
    logits: Sequence[Tensor],
    codes: Sequence[Tensor],
    anchors: Sequence[Tensor],
    size: tuple[int, int],
    selection: Selection,
) -> tuple[Tensor, Tensor]:
    boxes, scores, levels = [], [], []
    for level, (logit, code, anchor) in enumerate(zip(logits, codes, anchors)):
        best, indices = logit.topk(min(selection.of_level, len(logit)))
        boxes.append(decode_boxes(anchor[indices], code[indices], _WEIGHTS))
        scores.append(best)
        levels.append(torch.full_like(indices, level))
    box, score, level_of = torch.cat(boxes), torch.cat(scores), torch.cat(levels)
    usable = torch.isfinite(box).all(dim=1) & torch.isfinite(score)
    clipped = clip_boxes(box, *size)
    usable &= has_sides(clipped, selection.longer_than)
    box, score, level_of = clipped[usable], score[usable], level_of[usable]
    kept = suppress_boxes(box, score, max_iou=selection.max_iou, groups=level_of)[: selection.of_image]
    return box[kept], score[kept]


@dataclass(frozen=True, eq=False)
class AnchorTargets:
    """What each of A anchors is to learn: `labels` int8 [A] (`matching.POSITIVE`, …) and `boxes` [A, 4], its object's box."""

    labels: Tensor
    boxes: Tensor


def anchor_targets(anchors: Tensor, objects: Tensor, *, order: Permutation = random_order) -> AnchorTargets:
    """Targets of `anchors` [A, 4] in an image with the boxes `objects` [M, 4]; those not drawn are ignored."""
    matches = match_boxes(anchors, objects, negative_below=BACKGROUND_IOU, positive_from=OBJECT_IOU, best_of_each=True)
    positive, negative = draw(
        matches.labels == POSITIVE, matches.labels == NEGATIVE, count=DRAWN, positive_share=OBJECT_SHARE, order=order
    )
    labels = torch.full_like(matches.labels, IGNORED)
    labels[positive], labels[negative] = POSITIVE, NEGATIVE
    boxes = objects[matches.objects] if len(objects) else torch.zeros_like(anchors)
    return AnchorTargets(labels, boxes)


def proposal_losses(
    logits: Sequence[Tensor], codes: Sequence[Tensor], anchors: Sequence[Tensor], targets: Sequence[AnchorTargets]
) -> dict[str, Tensor]:
    """``loss_rpn_cls`` (binary cross-entropy) and ``loss_rpn_loc`` (sum of absolute differences of codes), scalars.

    `logits`, `codes` as `ProposalHead` gives them, `anchors` per level, `targets` per image over all levels.
    """
    logit, code, anchor = torch.cat(list(logits), dim=1), torch.cat(list(codes), dim=1), torch.cat(list(anchors))
    labels = torch.stack([target.labels for target in targets])
    drawn, positive = labels != IGNORED, labels == POSITIVE
    entropy = functional.binary_cross_entropy_with_logits(logit[drawn], labels[drawn].to(logit.dtype), reduction="sum")
    wanted = [
        encode_boxes(anchor[chosen], target.boxes[chosen], _WEIGHTS) for chosen, target in zip(positive, targets)
    ]
    distance = (code[positive] - torch.cat(wanted)).abs().sum()
    drawn_in_all = DRAWN * len(targets)
    return {"loss_rpn_cls": entropy / drawn_in_all, "loss_rpn_loc": distance / drawn_in_all}
