"""A panoptic network without weights: bright pixels that touch are a thing, the rest is class 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import label
from torch import Tensor

from mbps_dataset.models.panoptic.network import PanopticNetwork, PanopticPrediction, PanopticTarget
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic


THING = 1


class ThresholdNetwork(PanopticNetwork):
    """Sees what is brighter than a half, and is as sure of it as it is told to be."""

    def __init__(self, score: float = 0.9) -> None:
        super().__init__()
        self.score = score

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("road", "car")

    @property
    def thing_ids(self) -> frozenset[int]:
        return frozenset({THING})

    @property
    def supervision(self) -> str:
        return "none"

    def losses(self, images: Tensor, targets: Sequence[PanopticTarget]) -> dict[str, Tensor]:
        return {}

    def predict(self, images: Tensor) -> list[PanopticPrediction]:
        return [self._predicted(image) for image in images]

    def _predicted(self, image: Tensor) -> PanopticPrediction:
        bright = image.mean(0) > 0.5
        numbers, count = label(bright.numpy())
        masks = numbers == np.arange(1, count + 1)[:, None, None]
        found = Instances(masks, [THING] * count, [self.score] * count)
        classes = bright.long()
        panoptic = Panoptic.from_map(
            np.where(bright, numbers, count + 1), [*[THING] * count, 0], [*[True] * count, False], [1.0] * (count + 1)
        )
        probabilities = torch.nn.functional.one_hot(classes, 2).permute(2, 0, 1).float()
        return PanopticPrediction(panoptic, probabilities, found)
