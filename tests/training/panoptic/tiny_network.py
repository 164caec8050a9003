"""A panoptic network of a few hundred numbers: classes by a small convolution, things as connected pixels of a thing class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from mbps_dataset.models.panoptic import VOID, PanopticNetwork, PanopticPrediction, PanopticTarget
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic
from mbps_dataset.training.panoptic.samples import PanopticSample


@dataclass(frozen=True)
class TinyConfig:
    class_names: tuple[str, ...] = ("road", "car", "sky")
    thing_ids: tuple[int, ...] = (1,)
    supervision: str = "unknown"


class TinyPanoptic(PanopticNetwork):
    config_class: ClassVar[type] = TinyConfig

    def __init__(self, config: TinyConfig = TinyConfig()) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.1))
        self.classes = nn.Conv2d(8, len(config.class_names), 1)
        self.things = nn.Conv2d(8, 1, 1)

    def losses(self, images: Tensor, targets: Sequence[PanopticTarget]) -> dict[str, Tensor]:
        features = self.stem(images)
        semantic = torch.stack([target.semantic for target in targets])
        things = torch.stack([target.masks.any(0) for target in targets]).float()
        known = semantic != VOID
        classes = F.cross_entropy(self.classes(features), semantic, ignore_index=VOID, reduction="sum")
        thing = F.binary_cross_entropy_with_logits(self.things(features)[:, 0], things, reduction="none")
        pixels = known.sum().clamp(min=1)
        return {"classes": classes / pixels, "things": (thing * known).sum() / pixels}

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[PanopticPrediction]:
        self.eval()
        return [self._one(scores) for scores in self.classes(self.stem(images)).softmax(1)]

    def _one(self, probabilities: Tensor) -> PanopticPrediction:
        semantic = probabilities.argmax(0).cpu().numpy()
        ids, classes, masks = np.zeros(semantic.shape, np.int32), [], []
        for class_id in range(len(self.class_names)):
            parts, count = ndimage.label(semantic == class_id)
            if class_id not in self.thing_ids:
                parts, count = (semantic == class_id).astype(int), 1
            for number in range(1, count + 1):
                classes.append(class_id)
                ids[parts == number] = len(classes)
                if class_id in self.thing_ids:
                    masks.append(parts == number)
        isthing = [class_id in self.thing_ids for class_id in classes]
        panoptic = Panoptic.from_map(ids, classes, isthing, [0.5 if thing else 1.0 for thing in isthing])
        found = Instances(np.array(masks).reshape(-1, *semantic.shape), class_ids=[1] * len(masks))
        return PanopticPrediction(panoptic, probabilities, found)


def samples(count: int, height: int = 24, width: int = 40) -> list[PanopticSample]:
    """Grey roads below blue skies, with red cars; a strip is void."""
    made = []
    for number in range(count):
        draw = torch.Generator().manual_seed(number)
        semantic = torch.zeros(height, width, dtype=torch.uint8)
        semantic[: height // 3] = 2
        instance = torch.zeros(height, width, dtype=torch.int32)
        for k, left in enumerate((3, width // 2), start=1):
            top = height // 2 + int(torch.randint(0, 4, (), generator=draw))
            semantic[top : top + 5, left : left + 9], instance[top : top + 5, left : left + 9] = 1, k
        semantic[-2:] = VOID
        colours = torch.tensor([[110, 110, 110], [200, 30, 30], [90, 150, 230]])
        image = colours[semantic.clamp(max=2).long()].permute(2, 0, 1)
        noise = torch.randint(-20, 21, image.shape, generator=draw)
        made.append(
            PanopticSample(
                f"street_{number}", (image + noise).clamp(0, 255).byte(), semantic, instance, torch.tensor([1, 1])
            )
        )
    return made
