"""From scored boxes to detections: thresholds, suppression class by class, the best ones; as detectron2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mbps_dataset.models.cascade.boxes import clip_boxes, has_sides
from mbps_dataset.models.cascade.suppression import suppress_boxes


@dataclass(frozen=True, eq=False)
class Detections:
    """n detections of one image by falling score.

    `boxes` float32 [n, 4] in its pixels, `scores` float32 [n], `classes` int64 [n] (place among the things), `rows` int64 [n]: which
    of the scored boxes each was; `masks` float32 [n, 28, 28], probabilities within the box, where they have been found.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    rows: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.boxes)


def select_detections(
    boxes: Tensor, scores: Tensor, size: tuple[int, int], *, above: float, max_iou: float, most: int
) -> Detections:
    """Detections in an image of `size` (height, width) from `boxes` [N, 4] and class `scores` [N, T + 1], background last.

    Rows with a number that is not finite are left out, boxes are clipped; a box may be detected as several classes. Scores are
    strictly above `above`; per class a box of IoU above `max_iou` with a better one goes; the `most` best of all classes stay.
    """
    usable = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
    rows, classes = ((scores[:, :-1] > above) & usable[:, None]).nonzero(as_tuple=True)
    chosen, score = clip_boxes(boxes[rows], *size), scores[rows, classes]
    kept = suppress_boxes(chosen, score, max_iou=max_iou, groups=classes)[:most]
    return Detections(chosen[kept], score[kept], classes[kept], rows[kept])


def rescale_detections(found: Detections, size: tuple[int, int], output: tuple[int, int]) -> tuple[Detections, Tensor]:
    """Detections of an image of `size` (height, width) in one of `output` (height, width), and which of them stay, int64 [k].

    Boxes are scaled and clipped; those that have no side left are taken out.
    """
    scale = found.boxes.new_tensor([output[1] / size[1], output[0] / size[0]]).repeat(2)
    boxes = clip_boxes(found.boxes * scale, *output)
    kept = has_sides(boxes).nonzero()[:, 0]
    masks = None if found.masks is None else found.masks[kept]
    return Detections(boxes[kept], found.scores[kept], found.classes[kept], found.rows[kept], masks), kept
