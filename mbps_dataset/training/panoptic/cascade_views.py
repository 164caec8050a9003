"""What a Panoptic Cascade Mask R-CNN finds in several views of an image, merged as CUPS' teacher does (stage 3).

Boxes of all views are pooled, and of each object the best stays; every view is asked for the mask in the boxes that are
left, and the masks are averaged; so are class probabilities. The maps of a view are kept until then: a second pass through
the backbone would cost more than their memory.

Decision made here: class maps are cut to their view before they are mirrored. CUPS' code mirrors them with the padding,
which is right only for views whose sides are multiples of 32, as its own are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mbps_dataset.models.cascade.detections import Detections
from mbps_dataset.models.cascade.mask_pasting import paste_masks
from mbps_dataset.models.cascade.network import CascadeMaskRCNN, Found
from mbps_dataset.models.cascade.preprocessing import network_input
from mbps_dataset.models.cascade.semantic_head import enlarge
from mbps_dataset.models.panoptic.batches import evaluating
from mbps_dataset.training.panoptic.scaled_views import (
    View,
    boxes_from_view,
    boxes_in_view,
    mean_masks,
    mean_probabilities,
    merge_boxes,
    view_pixels,
)


def find_in_views(network: CascadeMaskRCNN, image: Tensor, views: Sequence[View], *, above: float) -> Found:
    """What is in `image` float32 [3, H, W] in [0, 1], at its size, with scores strictly above `above`.

    The `semantic` of the result holds logarithms of mean probabilities, whose soft-max they are. Thresholds within a view
    are the network's. Raises `ValueError` if there is no view.
    """
    if not views:
        raise ValueError("Expected at least one view of the image, but got none.")
    size_hw = (image.shape[1], image.shape[2])
    with evaluating(network), torch.no_grad():
        maps = [network.backbone(network_input(view_pixels(image, view)[None])) for view in views]
        boxes, scores, classes = _pooled(network, maps, views, size_hw)
        config = network.config
        merged = merge_boxes(
            boxes, scores, classes, size_hw, above=above, max_iou=config.box_nms, most=config.detections
        )
        masks = mean_masks([_masks(network, *each, merged, size_hw) for each in zip(maps, views, strict=True)], views)
        semantic = None
        if network.sem_seg_head is not None:
            logits = [
                enlarge(network.sem_seg_head(levels).float())[0, :, : view.height, : view.width]
                for levels, view in zip(maps, views, strict=True)
            ]
            semantic = mean_probabilities(logits, views, size_hw).log()
    class_ids = torch.tensor(config.thing_ids, device=merged.classes.device)[merged.classes]
    instances = paste_masks(masks, merged.boxes, size_hw, class_ids=class_ids, scores=merged.scores)
    return Found(Detections(merged.boxes, merged.scores, merged.classes, merged.rows, masks), instances, semantic)


def _pooled(
    network: CascadeMaskRCNN, maps: Sequence[Sequence[Tensor]], views: Sequence[View], size_hw: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes [N, 4] in the image's pixels, scores [N] and classes [N] of the detections of all views."""
    found = []
    for levels, view in zip(maps, views, strict=True):
        sizes = [(view.height, view.width)]
        (one,) = network.roi_heads.detect_boxes(levels, network.proposal_generator(levels, sizes), sizes)
        found.append((boxes_from_view(one.boxes, size_hw, view), one.scores, one.classes))
    boxes, scores, classes = (torch.cat(each) for each in zip(*found, strict=True))
    return boxes, scores, classes


def _masks(
    network: CascadeMaskRCNN, levels: Sequence[Tensor], view: View, merged: Detections, size_hw: tuple[int, int]
) -> Tensor:
    """Probabilities [n, m, m] that one view gives to the masks in the merged boxes, as the view shows them."""
    there = Detections(boxes_in_view(merged.boxes, size_hw, view), merged.scores, merged.classes, merged.rows)
    (with_masks,) = network.roi_heads.with_masks(levels, [there])
    assert with_masks.masks is not None  # `RoiHeads.with_masks` gives them
    return with_masks.masks
