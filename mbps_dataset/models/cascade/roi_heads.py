"""What happens in the boxes: three stages that refine them, then masks; in training, the losses of all of it.

Stage by stage: pool, score, refine. Boxes are clipped before the next stage and after the last, not in between; scores are the mean
of the three soft-maxes. In training every stage's gradient into the pooled features counts a third, because the losses are summed;
the first stage draws 512 proposals per image, at most a quarter of them objects', these first; later stages take all refined boxes
that have both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mbps_dataset.models.cascade.box_heads import POOLED, STAGES, BoxHead, BoxPredictor, Stage, scale_gradient
from mbps_dataset.models.cascade.box_losses import MatchedProposals, box_loss, class_loss
from mbps_dataset.models.cascade.boxes import clip_boxes, decode_boxes, has_sides
from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.detections import Detections, select_detections
from mbps_dataset.models.cascade.drop_loss import batch_drop_weights
from mbps_dataset.models.cascade.mask_head import POOLED as MASK_POOLED
from mbps_dataset.models.cascade.mask_head import MaskHead, mask_loss, mask_targets
from mbps_dataset.models.cascade.matching import POSITIVE, Permutation, draw, match_boxes, random_order
from mbps_dataset.models.cascade.roi_align import pool_boxes


DRAWN, OBJECT_SHARE = 512, 0.25


@dataclass(frozen=True, eq=False)
class Objects:
    """The M objects of one image: `boxes` float32 [M, 4], `classes` int64 [M] (place among the things), `masks` bool [M, H, W],
    and `certainty` float32 [M] in [0, 1] where pseudo-masks have scores (CuVLER)."""

    boxes: Tensor
    classes: Tensor
    masks: Tensor
    certainty: Tensor | None = None


@dataclass(frozen=True, eq=False)
class StageOutput:
    """What a stage says of N boxes, image after image: `boxes` [N, 4] that it was given, `logits` [N, T + 1], `codes` [N, 4], and
    `refined` boxes [N, 4] without gradient, not clipped."""

    boxes: Tensor
    logits: Tensor
    codes: Tensor
    refined: Tensor


class RoiHeads(nn.Module):
    """Box heads, box predictors and mask head, ``roi_heads`` in published files."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.config, self.things = config, len(config.thing_ids)
        channels = config.box_channels
        self.box_head = nn.ModuleList(BoxHead(config.pyramid_channels, channels) for _ in STAGES)
        self.box_predictor = nn.ModuleList(BoxPredictor(channels, self.things) for _ in STAGES)
        self.mask_head = MaskHead(config.pyramid_channels, config.mask_channels, self.things)

    def stage(self, number: int, levels: Sequence[Tensor], boxes: Sequence[Tensor]) -> StageOutput:
        """What stage `number` (from 0) says of the `boxes` [n, 4] of each image, on maps p2 to p5."""
        given = torch.cat(list(boxes))
        pooled = scale_gradient(pool_boxes(levels[:4], given, image_of(boxes), POOLED), 1 / len(STAGES))
        logits, codes = self.box_predictor[number](self.box_head[number](pooled))
        refined = decode_boxes(given, codes.detach().float(), STAGES[number].weights)
        return StageOutput(given, logits, codes, refined)

    def cascade(
        self, levels: Sequence[Tensor], proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[StageOutput]:
        """The three stages without targets, for `proposals` [n, 4] of images of `sizes` (height, width)."""
        boxes, counts, outputs = list(proposals), [len(one) for one in proposals], []
        for number in range(len(STAGES)):
            outputs.append(self.stage(number, levels, boxes))
            boxes = [clip_boxes(one, *size) for one, size in zip(outputs[-1].refined.split(counts), sizes)]
        return outputs

    def detect(
        self, levels: Sequence[Tensor], proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Detections of each image with their masks, by the thresholds of the configuration."""
        return self.with_masks(levels, self.detect_boxes(levels, proposals, sizes))

    def detect_boxes(
        self, levels: Sequence[Tensor], proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """The same detections without masks."""
        outputs, counts = self.cascade(levels, proposals, sizes), [len(one) for one in proposals]
        scores = torch.stack([output.logits.float().softmax(dim=1) for output in outputs]).mean(dim=0)
        config, found = self.config, []
        for box, score, size in zip(outputs[-1].refined.split(counts), scores.split(counts), sizes):
            found.append(
                select_detections(
                    box, score, size, above=config.box_score, max_iou=config.box_nms, most=config.detections
                )
            )
        return found

    def with_masks(self, levels: Sequence[Tensor], found: Sequence[Detections]) -> list[Detections]:
        """The same detections with probabilities of the mask head in their boxes."""
        boxes = [one.boxes for one in found]
        pooled = pool_boxes(levels[:4], torch.cat(boxes), image_of(boxes), MASK_POOLED)
        masks = self.mask_head.probabilities(pooled, torch.cat([one.classes for one in found]))
        return [replace(one, masks=mask) for one, mask in zip(found, masks.split([len(one) for one in found]))]

    def losses(
        self,
        levels: Sequence[Tensor],
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        objects: Sequence[Objects],
        *,
        order: Permutation = random_order,
    ) -> dict[str, Tensor]:
        """``loss_cls_stage{k}``, ``loss_box_reg_stage{k}`` and ``loss_mask``, scalars, of proposals [n, 4] of each image."""
        drawn = [
            draw_proposals(boxes, known, things=self.things, order=order) for boxes, known in zip(proposals, objects)
        ]
        matched = drawn
        losses: dict[str, Tensor] = {}
        for number in range(len(STAGES)):
            output = self.stage(number, levels, [one.boxes for one in matched])
            losses |= self.stage_losses(number, output, matched, objects)
            if number + 1 < len(STAGES):
                refined = output.refined.split([len(one.boxes) for one in matched])
                clipped = [clip_boxes(boxes, *size) for boxes, size in zip(refined, sizes)]
                matched = [
                    match_proposals(boxes[has_sides(boxes)], known, STAGES[number + 1], things=self.things)
                    for boxes, known in zip(clipped, objects)
                ]
        return losses | {"loss_mask": self.mask_losses(levels, drawn, objects)}

    def stage_losses(
        self, number: int, output: StageOutput, matched: list[MatchedProposals], objects: Sequence[Objects]
    ) -> dict[str, Tensor]:
        """Class and box loss of stage `number`, whose `output` is of the proposals `matched` in each image."""
        weights = batch_drop_weights(
            self.config.drop_loss,
            output.refined.split([len(one.boxes) for one in matched]),
            [one.object_boxes for one in matched],
            [known.boxes for known in objects],
            min_iou=self.config.drop_loss_iou,
            first_stage=number == 0,
        )
        all_of_them = MatchedProposals.joined(matched)
        of_class = class_loss(output.logits, all_of_them.classes, weights=weights, certainty=all_of_them.certainty)
        of_box = box_loss(output.codes, all_of_them, things=self.things, code_weights=STAGES[number].weights)
        return {f"loss_cls_stage{number}": of_class, f"loss_box_reg_stage{number}": of_box}

    def mask_losses(
        self, levels: Sequence[Tensor], drawn: Sequence[MatchedProposals], objects: Sequence[Objects]
    ) -> Tensor:
        """Loss of the masks in those of the `drawn` proposals that are an object's."""
        chosen = [one.classes < self.things for one in drawn]
        boxes = [one.boxes[which] for one, which in zip(drawn, chosen)]
        classes = torch.cat([one.classes[which] for one, which in zip(drawn, chosen)])
        logits = self.mask_head(pool_boxes(levels[:4], torch.cat(boxes), image_of(boxes), MASK_POOLED))
        targets = [
            mask_targets(known.masks, box, one.objects[which])
            for known, box, one, which in zip(objects, boxes, drawn, chosen)
            if len(box)
        ]
        certainties = [one.certainty[which] for one, which in zip(drawn, chosen) if one.certainty is not None]
        certainty = torch.cat(certainties) if len(certainties) == len(drawn) else None
        target = torch.cat(targets) if targets else torch.zeros(0, *logits.shape[2:], dtype=torch.bool)
        return mask_loss(logits.float(), classes, target, certainty)


def image_of(boxes: Sequence[Tensor]) -> Tensor:
    """The image of each box, int64 [sum of n], for boxes [n, 4] of each image."""
    counts = torch.tensor([len(one) for one in boxes], device=boxes[0].device)
    return torch.repeat_interleave(torch.arange(len(boxes), device=boxes[0].device), counts)


def match_proposals(boxes: Tensor, objects: Objects, stage: Stage, *, things: int) -> MatchedProposals:
    """Match `boxes` [R, 4] to the objects of their image by the IoU of a stage; below it they are background."""
    found = match_boxes(boxes, objects.boxes, negative_below=stage.iou, positive_from=stage.iou)
    if not len(objects.boxes):
        background = torch.full_like(found.objects, things)
        certainty = None if objects.certainty is None else boxes.new_ones(len(boxes))
        return MatchedProposals(boxes, background, found.objects, torch.zeros_like(boxes), certainty)
    classes = torch.where(found.labels == POSITIVE, objects.classes[found.objects], things)
    certainty = None if objects.certainty is None else objects.certainty[found.objects]
    return MatchedProposals(boxes, classes, found.objects, objects.boxes[found.objects], certainty)


def draw_proposals(
    proposals: Tensor, objects: Objects, *, things: int, order: Permutation = random_order
) -> MatchedProposals:
    """The proposals [n, 4] of one image that the first stage learns from, its objects' own boxes among them, objects' first."""
    boxes = torch.cat([proposals, objects.boxes.to(proposals)])
    matched = match_proposals(boxes, objects, STAGES[0], things=things)
    positive = matched.classes < things
    chosen = torch.cat(draw(positive, ~positive, count=DRAWN, positive_share=OBJECT_SHARE, order=order))
    return MatchedProposals(
        boxes[chosen],
        matched.classes[chosen],
        matched.objects[chosen],
        matched.object_boxes[chosen],
        None if matched.certainty is None else matched.certainty[chosen],
    )
