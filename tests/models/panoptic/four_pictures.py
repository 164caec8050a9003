"""Four pictures that every panoptic network must be able to learn by heart, and how much of them it knows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mbps_dataset.models.panoptic import VOID, PanopticNetwork, PanopticTarget


CLASS_NAMES = ("ground", "sky", "box", "ball")
THING_IDS = (2, 3)
HEIGHT, WIDTH = 64, 96


def four_pictures(seed: int = 0) -> tuple[Tensor, list[PanopticTarget]]:
    """Images float32 [4, 3, 64, 96] of boxes and balls before ground and sky, and their targets; a strip is void."""
    generator = np.random.default_rng(seed)
    pictures = [_picture(generator) for _ in range(4)]
    return torch.stack([image for image, _ in pictures]), [target for _, target in pictures]


def _picture(generator: np.random.Generator) -> tuple[Tensor, PanopticTarget]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    semantic = np.where(rows < 24, 1, 0)
    colours = np.array([[0.4, 0.4, 0.4], [0.6, 0.8, 1.0]])[semantic]
    masks, class_ids = [], []
    for number in range(4):
        middle = 24 + 20 * (number // 2) + generator.integers(0, 8), 14 + 44 * (number % 2) + generator.integers(0, 16)
        half = generator.integers(6, 10)
        down, right = np.abs(rows - middle[0]), np.abs(columns - middle[1])
        ball = number % 2 == 1
        mask = down**2 + right**2 <= half**2 if ball else (down <= half) & (right <= half)
        semantic[mask], colours[mask] = 2 + ball, generator.uniform(0, 1, 3)
        masks = [other & ~mask for other in masks] + [mask]
        class_ids.append(2 + ball)
    semantic[:, :4] = VOID
    image = np.clip(colours + generator.normal(0, 0.03, colours.shape), 0, 1)
    target = PanopticTarget(torch.from_numpy(semantic), torch.from_numpy(np.stack(masks)), torch.tensor(class_ids))
    return torch.from_numpy(image).permute(2, 0, 1).float(), target


def share_found(network: PanopticNetwork, images: Tensor, targets: list[PanopticTarget]) -> float:
    """Share of the targets' things that the network predicts with their class and an IoU above 0.5."""
    found = total = 0
    for prediction, target in zip(network.predict(images), targets):
        segments = [segment for segment in prediction.panoptic.segments if segment.isthing]
        known = (target.semantic != VOID).numpy()
        for mask, class_id in zip(target.masks.numpy(), target.class_ids.tolist()):
            predicted = [
                (prediction.panoptic.segment_map == segment.id) & known
                for segment in segments
                if segment.class_id == class_id
            ]
            overlaps = [(one & mask).sum() / (one | mask & known).sum() for one in predicted]
            found, total = found + (max(overlaps, default=0) > 0.5), total + 1
    return found / total


def learn_by_heart(
    network: PanopticNetwork, images: Tensor, targets: list[PanopticTarget], *, steps: int, rate: float
) -> None:
    """Train on these images alone, with AdamW and a rate that falls to nothing."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.stack(list(network.losses(images, targets).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    network.eval()
