from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.boxes import boxes_of_masks
from mbps_dataset.models.panoptic.network import VOID
from mbps_dataset.stages.motion.draws import seeded_draws
from mbps_dataset.training.panoptic.resolution_jitter import CUPS_SIZES_HW, draw_size, resize_batch, sizes_around
from tests.training.panoptic.batches import THING, assert_same_labels, assert_same_pixels, drawn_batch, golden_batch
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cascade/jitter_crop")


@pytest.mark.parametrize("size", [(48, 96), (40, 80), (88, 176), (56, 112)])
def test_resized_batches_are_those_of_the_reference_vectors(golden, size):
    case = f"size{size[0]}x{size[1]}"
    found = resize_batch(golden_batch(golden), size, reference=True)
    for number, (image, target) in enumerate(zip(found.images, found.targets)):
        assert_same_labels(target, golden, case, number)
        boxes = boxes_of_masks(target.masks, last_pixel=False)
        np.testing.assert_array_equal(boxes, golden[f"{case}/boxes_{number}"])
        assert_same_pixels(image[1, ::3, ::3].numpy(), golden, f"{case}/image_ch1_{number}")
        np.testing.assert_allclose(image.sum((1, 2)), golden[f"{case}/image_sum_{number}"], rtol=1e-5)


def test_the_sizes_are_those_of_the_reference_vectors(golden):
    assert [list(size) for size in CUPS_SIZES_HW] == json.loads(str(golden["meta_json"]))["reference_sizes"]
    assert sizes_around((640, 1280)) == CUPS_SIZES_HW


def test_sizes_lie_around_the_images_own_and_are_multiples() -> None:
    sizes = sizes_around((192, 384))
    assert all(side % 32 == 0 for size in sizes for side in size) and (192, 384) in sizes
    assert len(set(sizes)) == len(sizes) and sizes == tuple(sorted(sizes))
    assert sizes_around((20, 20)) == ((32, 32),)


def test_every_size_is_drawn_and_the_same_seed_draws_the_same() -> None:
    draws, again = seeded_draws(1, 0), seeded_draws(1, 0)
    drawn = [draw_size(draws, CUPS_SIZES_HW) for _ in range(200)]
    assert set(drawn) == set(CUPS_SIZES_HW)
    assert drawn == [draw_size(again, CUPS_SIZES_HW) for _ in range(200)]
    with pytest.raises(ValueError, match="at least one size"):
        draw_size(draws, [])


@pytest.mark.parametrize("size", [(24, 48), (31, 70), (96, 192), (3, 5)])
def test_masks_stay_apart_and_agree_with_the_classes_at_every_size(size: tuple[int, int]) -> None:
    batch = drawn_batch(3)
    for before, after in zip(batch.targets, resize_batch(batch, size).targets):
        assert after.semantic.shape == size and after.semantic.dtype == torch.int64
        assert bool((after.masks.sum(0) <= 1).all())
        assert torch.equal(after.masks.any(0), after.semantic == THING)
        assert bool((after.semantic == VOID).any()) == bool((before.semantic == VOID).any())


def test_a_batch_at_its_own_size_is_unchanged() -> None:
    batch = drawn_batch(4)
    same = resize_batch(batch, (48, 96))
    torch.testing.assert_close(same.images, batch.images)
    assert all(torch.equal(a.semantic, b.semantic) for a, b in zip(same.targets, batch.targets))
