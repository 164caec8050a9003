"""The mask head (Mask R-CNN, He et al., ICCV 2017): 28 × 28 probabilities of an object within its box, and their loss.

Four 3 × 3 convolutions, one transposed convolution that doubles, one channel per thing class; no norm. In training masks are learnt
in the proposals of the first stage that are an object's (as CUPS and CutLER), not in the refined boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.cascade.roi_align import roi_align


POOLED, SIDE = 14, 28
"""Bins of a side that the head takes, and cells of a side that it gives."""


class MaskHead(nn.Module):
    """``roi_heads.mask_head`` in published files."""

    def __init__(self, inputs: int, channels: int, things: int) -> None:
        super().__init__()
        for number in range(1, 5):
            self.add_module(
                f"mask_fcn{number}", nn.Conv2d(inputs if number == 1 else channels, channels, 3, padding=1)
            )
        self.deconv = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.predictor = nn.Conv2d(channels, things, 1)
        for name, layer in self.named_children():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
                if name == "predictor":
                    nn.init.normal_(layer.weight, std=0.001)
                else:
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pooled: Tensor) -> Tensor:
        """[N, C, 14, 14] → logits [N, things, 28, 28]."""
        for number in range(1, 5):
            pooled = functional.relu(self.get_submodule(f"mask_fcn{number}")(pooled))
        return self.predictor(functional.relu(self.deconv(pooled)))

    def probabilities(self, pooled: Tensor, classes: Tensor) -> Tensor:
        """Probabilities [N, 28, 28] of the class `classes` int64 [N] of each."""
        return of_class(self(pooled), classes).sigmoid()


def of_class(logits: Tensor, classes: Tensor) -> Tensor:
    """The channel [N, 28, 28] of each one's class in logits [N, things, 28, 28]."""
    return logits[torch.arange(len(logits), device=logits.device), classes]


def mask_targets(masks: Tensor, boxes: Tensor, objects: Tensor) -> Tensor:
    """What a mask is within a box: bool [N, 28, 28], where its mean over a cell is at least one half.

    `masks` bool [M, H, W] of the objects of an image, `boxes` [N, 4] in its pixels, `objects` int64 [N]: the mask of each box.
    """
    inside = roi_align(masks[:, None].float(), boxes, objects, size=(SIDE, SIDE), scale=1.0)
    return inside[:, 0] >= 0.5


def mask_loss(logits: Tensor, classes: Tensor, targets: Tensor, certainty: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy over N objects and their 784 cells, a scalar; 0 without objects.

    `logits` [N, things, 28, 28], `classes` int64 [N], `targets` bool [N, 28, 28]. With `certainty` [N] (CuVLER: scores of the
    pseudo-masks) each object's part is multiplied by its own, and the mean is still over all cells.
    """
    if not len(logits):
        return logits.sum() * 0
    cells = functional.binary_cross_entropy_with_logits(of_class(logits, classes), targets.float(), reduction="none")
    return (cells if certainty is None else certainty[:, None, None] * cells).mean()
