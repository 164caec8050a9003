"""Training batches for tests: drawn ones, and those that files of golden numbers hold."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from mbps_dataset.models.panoptic.network import VOID, PanopticTarget
from mbps_dataset.stages.panoptic import Panoptic
from mbps_dataset.training.panoptic.batch import LabelledBatch, labelled_batch


THING = 7
ROAD = 0


def drawn_batch(
    seed: int = 0, *, images: int = 2, height: int = 48, width: int = 96, things: int = 3
) -> LabelledBatch:
    """Noise with rectangles of class `THING` on `ROAD`, columns of void at the left; no pixel in two masks."""
    generator = np.random.default_rng(seed)
    targets = []
    for _ in range(images):
        semantic, masks = np.full((height, width), ROAD), []
        semantic[:, :3] = VOID
        taken = np.zeros((height, width), dtype=bool)
        for _ in range(things):
            mask = np.zeros((height, width), dtype=bool)
            tall, wide = generator.integers(8, height // 2), generator.integers(8, width // 2)
            top, left = generator.integers(0, height - tall), generator.integers(0, width - wide)
            mask[top : top + tall, left : left + wide] = True
            mask &= ~taken
            taken |= mask
            if mask.sum() >= 5:
                masks.append(mask)
                semantic[mask] = THING
        stack = np.stack(masks) if masks else np.zeros((0, height, width), dtype=bool)
        targets.append(
            PanopticTarget(
                torch.from_numpy(semantic).long(), torch.from_numpy(stack), torch.full((len(masks),), THING)
            )
        )
    pixels = generator.random((images, 3, height, width), dtype=np.float32)
    return labelled_batch(torch.from_numpy(pixels), targets)


def golden_masks(golden: Mapping[str, NDArray], name: str) -> NDArray[np.bool_]:
    """The masks ``name`` ("stage2/masks_packed_0") of a file of golden numbers, bool [N, H, W]."""
    count, height, width = golden[name.replace("masks_packed", "mask_shape")].tolist()
    bits = np.unpackbits(golden[name], axis=1)[:, : height * width] if count else np.zeros((0, height * width))
    return bits.reshape(count, height, width).astype(bool)


def golden_target(golden: Mapping[str, NDArray], case: str, number: int) -> PanopticTarget:
    """Labels of image `number` of a case."""
    return PanopticTarget(
        torch.from_numpy(golden[f"{case}/sem_{number}"]).long(),
        torch.from_numpy(golden_masks(golden, f"{case}/masks_packed_{number}")),
        torch.from_numpy(golden[f"{case}/classes_{number}"]),
    )


def golden_batch(golden: Mapping[str, NDArray]) -> LabelledBatch:
    """The batch that a file's changes start from, its images drawn from their seeds."""
    meta = json.loads(str(golden["meta_json"]))
    images = [
        np.random.RandomState(seed).randint(0, 256, (3, meta["H"], meta["W"])).astype(np.uint8)
        for seed in meta["image_seeds"]
    ]
    targets = [golden_target(golden, "in", number) for number in range(len(images))]
    return labelled_batch(torch.from_numpy(np.stack(images) / 255).float(), targets)


def assert_same_labels(found: PanopticTarget, golden: Mapping[str, NDArray], case: str, number: int) -> None:
    """Classes, masks and semantics of an image are those of a case, bit for bit."""
    expected = golden_target(golden, case, number)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_array_equal(found.masks, expected.masks)
    np.testing.assert_array_equal(found.semantic, expected.semantic)


def assert_same_pixels(found: NDArray[np.float32], golden: Mapping[str, NDArray], name: str) -> None:
    """Pixels of an image are the file's to 1e-5. The copies in ``tests/data`` leave pixels out and keep their sums."""
    if name in golden:
        np.testing.assert_allclose(found, golden[name], rtol=0, atol=1e-5)


def golden_panoptic(golden: Mapping[str, NDArray], number: int) -> Panoptic:
    """A panoptic map and its segments, whose ids may have gaps, as a file holds them."""
    segments = json.loads(str(golden[f"segments_json_{number}"]))
    numbers = golden[f"panoptic_{number}"]
    closed = np.zeros(numbers.shape, dtype=np.int32)
    for place, segment in enumerate(segments, start=1):
        closed[numbers == segment["id"]] = place
    classes, isthing = ([segment[key] for segment in segments] for key in ("category_id", "isthing"))
    return Panoptic.from_map(closed, classes, isthing, [segment.get("score", 1.0) for segment in segments])
