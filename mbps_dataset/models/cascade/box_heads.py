"""One stage of the cascade: two fully connected layers, class scores and a code that refines the box; published names.

Background is the last class; the four numbers of the code are shared by all classes. Three stages follow each other (Cascade
R-CNN, Cai & Vasconcelos, CVPR 2018), each with the codes and the IoU of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.cascade.boxes import Weights


POOLED = 7
"""Bins of a side that a box head takes."""


@dataclass(frozen=True)
class Stage:
    """`iou` from which a box is an object's, and `weights` of its code."""

    iou: float
    weights: Weights


STAGES = (
    Stage(0.5, (10.0, 10.0, 5.0, 5.0)),
    Stage(0.6, (20.0, 20.0, 10.0, 10.0)),
    Stage(0.7, (30.0, 30.0, 15.0, 15.0)),
)


class BoxHead(nn.Module):
    """What is pooled from a box, as one vector: ``roi_heads.box_head.{stage}`` in published files."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs * POOLED * POOLED, channels)
        self.fc2 = nn.Linear(channels, channels)
        for layer in (self.fc1, self.fc2):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """[N, C, 7, 7], flattened channel by channel → [N, channels]."""
        return functional.relu(self.fc2(functional.relu(self.fc1(pooled.flatten(1)))))


class BoxPredictor(nn.Module):
    """Scores and code of a box: ``roi_heads.box_predictor.{stage}`` in published files."""

    def __init__(self, channels: int, things: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(channels, things + 1)
        self.bbox_pred = nn.Linear(channels, 4)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """[N, channels] → class logits [N, things + 1], background last, and codes [N, 4]."""
        return self.cls_score(hidden), self.bbox_pred(hidden)


def scale_gradient(values: Tensor, factor: float) -> Tensor:
    """`values` themselves; the gradient that comes back through them is multiplied by `factor`."""
    return _ScaleGradient.apply(values, factor)


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None
