"""Batches as panoptic networks take them: checked, padded to a size that fits, and predicted in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.panoptic.network import VOID, PanopticTarget


def require_batch(images: Tensor, targets: Sequence[PanopticTarget]) -> None:
    """Raises `ValueError` unless `images` are [B, 3, H, W] and `targets` are B of that size."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"Expected images [B, 3, H, W], but got {tuple(images.shape)}.")
    sizes = [tuple(target.semantic.shape) for target in targets]
    wanted = [tuple(images.shape[-2:])] * len(images)
    if sizes != wanted:
        raise ValueError(f"Expected targets of sizes {wanted}, as the images have, but got {sizes}.")


def padded_to_multiple(
    images: Tensor, targets: Sequence[PanopticTarget], multiple: int
) -> tuple[Tensor, list[PanopticTarget]]:
    """Images and targets with sides that are multiples of `multiple`: on the right and below the border is repeated, and
    nothing is known of it."""
    height, width = images.shape[-2:]
    border = (0, -width % multiple, 0, -height % multiple)
    if not any(border):
        return images, list(targets)
    return functional.pad(images, border, mode="replicate"), [
        PanopticTarget(
            functional.pad(target.semantic, border, value=VOID), functional.pad(target.masks, border), target.class_ids
        )
        for target in targets
    ]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and back into training if it was there."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
