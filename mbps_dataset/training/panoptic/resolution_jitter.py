"""Resolution jitter: one of several sizes a batch, so that a network sees things large and small (CUPS, stages 2 and 3).

Images are resized bilinearly without antialiasing, labels by the nearest pixel, and masks that keep hardly a pixel are
dropped (`batch.without_specks`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mbps_dataset.models.panoptic.network import PanopticTarget
from mbps_dataset.stages.motion.draws import Draws, pick
from mbps_dataset.training.panoptic.batch import LabelledBatch, labelled_batch, without_specks


CUPS_SIZES_HW: tuple[tuple[int, int], ...] = tuple((height, 2 * height) for height in range(384, 705, 32))
"""The eleven sizes of CUPS' stage 2, height and width in pixels."""


def sizes_around(size_hw: tuple[int, int], *, multiple: int = 32) -> tuple[tuple[int, int], ...]:
    """Eleven sizes from 0.6 to 1.1 times `size_hw`, sides rounded to multiples, as CUPS' lie around 640 × 1280.

    Fewer where the image is so small that some are alike; ascending.
    """
    sides = [
        [max(multiple, round(side * (0.6 + 0.05 * step) / multiple) * multiple) for side in size_hw]
        for step in range(11)
    ]
    return tuple(sorted({(height, width) for height, width in sides}))


def draw_size(draws: Draws, sizes_hw: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """One of the sizes, each as likely. Raises `ValueError` if there is none."""
    if not sizes_hw:
        raise ValueError("Expected at least one size to resize a batch to, but got none.")
    return sizes_hw[int(pick(draws(1), len(sizes_hw))[0])]


def resize_batch(batch: LabelledBatch, size_hw: tuple[int, int], *, reference: bool = False) -> LabelledBatch:
    """The batch at (height, width). With `reference`, pixels of masks that became too small keep their class."""
    images = F.interpolate(batch.images, size_hw, mode="bilinear", align_corners=False)
    targets = [without_specks(_resized(target, size_hw), reference=reference) for target in batch.targets]
    return labelled_batch(images, targets)


def _resized(target: PanopticTarget, size_hw: tuple[int, int]) -> PanopticTarget:
    return PanopticTarget(
        _nearest(target.semantic[None], size_hw)[0], _nearest(target.masks, size_hw), target.class_ids
    )


def _nearest(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """`maps` [N, H, W] of any type at another size: source index floor(i · in / out) in float32, as torch's "nearest"."""
    rows, columns = (
        F.interpolate(torch.arange(before, dtype=torch.float32)[None, None], after)[0, 0].long().to(maps.device)
        for before, after in zip(maps.shape[1:], size_hw)
    )
    return maps[:, rows[:, None], columns]
