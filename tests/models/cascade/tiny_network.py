"""A network small enough for tests: two kinds of stuff, two of things, 0.2 M parameters."""

from __future__ import annotations

import torch

from mbps_dataset.models.cascade import CascadeConfig, CascadeMaskRCNN
from mbps_dataset.models.panoptic.network import PanopticTarget


TINY = CascadeConfig(
    class_names=("road", "car", "sky", "person"),
    thing_ids=(1, 3),
    stem_channels=8,
    bottleneck_channels=8,
    stage_blocks=(1, 2, 1, 1),
    pyramid_channels=16,
    box_channels=24,
    mask_channels=12,
    semantic_channels=32,
    stuff_area=64,
    supervision="none: random",
    licence="none",
)


def tiny_network(config: CascadeConfig = TINY, seed: int = 0) -> CascadeMaskRCNN:
    """In evaluation mode; its heads are lively enough to find something."""
    torch.manual_seed(seed)
    network = CascadeMaskRCNN(config)
    with torch.no_grad():
        for predictor in network.roi_heads.box_predictor:
            predictor.cls_score.weight.mul_(60)
        network.roi_heads.mask_head.predictor.weight.mul_(400)
        network.proposal_generator.rpn_head.objectness_logits.weight.mul_(20)
    return network.eval()


def street(height: int = 64, width: int = 96) -> tuple[torch.Tensor, PanopticTarget]:
    """A picture [1, 3, H, W] of road and sky with a car and two people, and its target."""
    semantic = torch.zeros(height, width, dtype=torch.int64)
    semantic[: height // 2] = 2
    masks = torch.zeros(3, height, width, dtype=torch.bool)
    masks[0, 30:60, 10:50] = True
    masks[1, 20:58, 60:70] = True
    masks[2, 25:55, 78:90] = True
    class_ids = torch.tensor([1, 3, 3])
    for mask, class_id in zip(masks, class_ids):
        semantic[mask] = class_id
    semantic[-3:] = 255
    colours = torch.tensor([[0.3, 0.3, 0.3], [0.8, 0.1, 0.1], [0.5, 0.7, 1.0], [0.1, 0.6, 0.2]])
    image = colours[semantic.clamp(max=3)].permute(2, 0, 1)[None]
    return image, PanopticTarget(semantic, masks, class_ids)
