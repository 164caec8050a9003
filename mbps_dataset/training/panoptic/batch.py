"""`LabelledBatch`: images with what is known about each, as every change of a training batch takes and gives it.

Decisions made here:

* boxes are never kept beside masks, where they go stale: they are taken from the masks where one is needed;
* a mask of a few pixels is no object to learn. Its pixels become void (ours); CUPS leaves them their class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from mbps_dataset.models.panoptic.network import VOID, PanopticTarget


SMALLEST_AREA_PX = 5
"""Masks below this many pixels are dropped after a change of size (CUPS)."""


class LabelledBatch(NamedTuple):
    """`images` float32 [B, 3, H, W] in [0, 1] and B `targets` of the same size."""

    images: Tensor
    targets: tuple[PanopticTarget, ...]


def labelled_batch(images: Tensor, targets: Sequence[PanopticTarget]) -> LabelledBatch:
    """The two put together. Raises `ValueError` if there is not one target an image, or one is of another size."""
    sizes = {tuple(target.semantic.shape) for target in targets}
    if images.ndim != 4 or len(images) != len(targets) or not sizes <= {tuple(images.shape[-2:])}:
        raise ValueError(
            f"Expected images [B, 3, H, W] and B targets [H, W], but got {tuple(images.shape)} and {len(targets)} "
            f"targets of {sorted(sizes)}."
        )
    return LabelledBatch(images, tuple(targets))


def without_specks(target: PanopticTarget, *, reference: bool = False) -> PanopticTarget:
    """Drop masks below `SMALLEST_AREA_PX`; their pixels become void, or keep their class with `reference`."""
    kept = target.masks.flatten(1).sum(1) >= SMALLEST_AREA_PX
    if bool(kept.all()):
        return target
    specks = target.masks[~kept].any(0)
    semantic = target.semantic if reference else target.semantic.masked_fill(specks, VOID)
    return PanopticTarget(semantic, target.masks[kept], target.class_ids[kept])
