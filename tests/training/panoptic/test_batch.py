from __future__ import annotations

import pytest
import torch

from mbps_dataset.models.panoptic.network import VOID, PanopticTarget
from mbps_dataset.training.panoptic.batch import SMALLEST_AREA_PX, labelled_batch, without_specks
from tests.training.panoptic.batches import THING, drawn_batch


def target_of_areas(*areas: int) -> PanopticTarget:
    masks = torch.zeros(len(areas), 6, 20, dtype=torch.bool)
    for number, area in enumerate(areas):
        masks[number, number, :area] = True
    semantic = torch.where(masks.any(0), THING, 0)
    return PanopticTarget(semantic, masks, torch.full((len(areas),), THING))


def test_masks_of_a_few_pixels_go_and_their_pixels_become_void() -> None:
    target = target_of_areas(SMALLEST_AREA_PX - 1, SMALLEST_AREA_PX, 0)
    kept = without_specks(target)
    assert kept.masks.flatten(1).sum(1).tolist() == [SMALLEST_AREA_PX] and len(kept.class_ids) == 1
    assert torch.equal(kept.semantic == VOID, target.masks[0])
    assert int((kept.semantic == THING).sum()) == SMALLEST_AREA_PX


def test_their_pixels_keep_their_class_as_in_the_published_code() -> None:
    target = target_of_areas(SMALLEST_AREA_PX - 1, 9)
    kept = without_specks(target, reference=True)
    assert len(kept.masks) == 1 and torch.equal(kept.semantic, target.semantic)


def test_labels_of_large_objects_are_left_as_they_are() -> None:
    target = target_of_areas(9, 12)
    assert without_specks(target) is target
    assert len(without_specks(target_of_areas()).masks) == 0


def test_images_and_targets_of_other_sizes_are_refused() -> None:
    batch = drawn_batch()
    assert labelled_batch(*batch).targets == batch.targets
    with pytest.raises(ValueError, match=r"images \[B, 3, H, W\] and B targets"):
        labelled_batch(batch.images[:1], batch.targets)
    with pytest.raises(ValueError, match=r"but got \(2, 3, 47, 96\) and 2 targets of \[\(48, 96\)\]"):
        labelled_batch(batch.images[:, :, 1:], batch.targets)
