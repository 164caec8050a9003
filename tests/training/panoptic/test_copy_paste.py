from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.panoptic.network import VOID, PanopticTarget
from mbps_dataset.stages.motion.draws import seeded_draws
from mbps_dataset.training.panoptic.batch import LabelledBatch, labelled_batch
from mbps_dataset.training.panoptic.copy_paste import (
    CopyPasteSettings,
    Paste,
    SourceObject,
    copy_paste,
    draw_pastes,
    objects_to_copy,
    random_copy_paste,
)
from tests.examples import examples
from tests.training.panoptic.batches import (
    ROAD,
    THING,
    assert_same_labels,
    assert_same_pixels,
    drawn_batch,
    golden_batch,
    golden_target,
)
from tests.vectors import load_vectors


SMALL = CopyPasteSettings(small_side_px=7)


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cascade/copy_paste")


def golden_plan(golden, case: str, batch: LabelledBatch) -> list[list[Paste]]:
    objects = objects_to_copy(batch.targets, 12, reference=True)
    plans = json.loads(str(golden["meta_json"]))["plans"]
    return [[Paste(objects[number], *rest) for number, *rest in pastes] for pastes in plans[case]]


def copied(batch: LabelledBatch) -> LabelledBatch:
    return labelled_batch(batch.images.clone(), batch.targets)


@pytest.mark.parametrize("case", ["stage2", "big", "cover", "stage3_noalias", "stage3_alias"])
def test_pasted_batches_are_those_of_the_reference_vectors(golden, case):
    batch = golden_batch(golden)
    sources = None if case == "stage3_alias" else copied(batch)
    found, boxes = copy_paste(batch, golden_plan(golden, case, batch), sources=sources, reference=True)
    for number, (image, target) in enumerate(zip(found.images, found.targets)):
        assert_same_labels(target, golden, case, number)
        np.testing.assert_array_equal(boxes[number], golden[f"{case}/boxes_{number}"])
        assert_same_pixels(image[1, :, ::2].numpy(), golden, f"{case}/image_ch1_{number}")
        np.testing.assert_allclose(image.sum((1, 2)), golden[f"{case}/image_sum_{number}"], rtol=1e-6)


def test_pasting_into_the_batch_itself_cuts_masks_copied_later_as_in_the_reference_vectors(golden):
    areas = [
        [golden_target(golden, case, number).masks.sum() for number in (0, 1)]
        for case in ("stage3_noalias", "stage3_alias")
    ]
    assert areas[0] != areas[1]
    batch = golden_batch(golden)
    plan = golden_plan(golden, "stage3_alias", batch)
    clean, apart = copy_paste(batch, plan).batch, copy_paste(batch, plan, sources=copied(batch)).batch
    assert torch.equal(clean.images, apart.images)
    assert all(torch.equal(a.masks, b.masks) for a, b in zip(clean.targets, apart.targets))


def test_an_object_that_vanishes_leaves_the_whole_batch_as_it_was_as_in_the_reference_vectors(golden):
    batch = golden_batch(golden)
    thin = SourceObject(0, 0, (11, 23, 14, 51), 3)
    plan = [[Paste(thin, 0.25, False, 0.0, 0.0)], golden_plan(golden, "stage2", batch)[1]]
    found, boxes = copy_paste(batch, plan, reference=True)
    assert [len(target.masks) for target in found.targets] == golden["vanish/n"].tolist()
    assert torch.equal(found.images, batch.images) and golden["vanish/unchanged"].all()
    assert [box.tolist() for box in boxes] == [golden[f"in/boxes_{number}"].tolist() for number in (0, 1)]
    clean = copy_paste(batch, plan).batch
    assert torch.equal(clean.images[0], batch.images[0]) and not torch.equal(clean.images[1], batch.images[1])


def test_classes_are_shifted_by_objects_too_small_to_copy_only_with_reference(golden):
    targets = golden_batch(golden).targets
    own = [(0, 0, 3), (0, 2, 7), (1, 0, 2), (1, 1, 0), (1, 3, 5)]
    assert [(each.image, each.place, each.class_id) for each in objects_to_copy(targets, 12)] == own
    shifted = [each.class_id for each in objects_to_copy(targets, 12, reference=True)]
    assert shifted == [3, 7, 7, 2, 0]


def square(top: int, left: int, side: int, class_id: int = THING) -> PanopticTarget:
    mask = torch.zeros(1, 40, 60, dtype=torch.bool)
    mask[0, top : top + side, left : left + side] = True
    semantic = torch.where(mask[0], class_id, ROAD)
    semantic[:, :2] = VOID
    return PanopticTarget(semantic, mask, torch.tensor([class_id]))


def test_an_object_lands_whole_with_its_class_and_its_pixels() -> None:
    images = torch.stack([torch.full((3, 40, 60), 0.25), torch.full((3, 40, 60), 0.75)])
    batch = labelled_batch(images, [square(4, 5, 9, 11), square(0, 30, 6)])
    (source,) = objects_to_copy(batch.targets, 8)
    assert source == SourceObject(0, 0, (5, 4, 14, 13), 11)
    pasted, boxes = copy_paste(batch, [[], [Paste(source, 2.0, False, 0.99999, 0.99999)]])
    target = pasted.targets[1]
    assert target.class_ids.tolist() == [THING, 11]
    assert boxes[1].tolist() == [[30, 0, 36, 6], [42, 22, 60, 40]]
    assert bool((target.semantic[22:, 42:] == 11).all()) and int((target.semantic == 11).sum()) == 18 * 18
    assert bool((pasted.images[1, :, 22:, 42:] == 0.25).all())
    assert float(pasted.images[1].min()) == 0.25 and float((pasted.images[1] == 0.25).float().sum()) == 3 * 18 * 18
    assert torch.equal(pasted.images[0], batch.images[0]) and bool((batch.images[1] == 0.75).all())


def test_what_a_paste_covers_leaves_its_mask_and_goes_when_nothing_is_left() -> None:
    batch = labelled_batch(torch.zeros(1, 3, 40, 60), [square(0, 0, 12)])
    (source,) = objects_to_copy(batch.targets, 8)
    half = copy_paste(batch, [[Paste(source, 1.0, False, 6.5 / 49, 0.0)]])
    assert half.batch.targets[0].masks.flatten(1).sum(1).tolist() == [72, 144]
    assert half.boxes[0].tolist() == [[0, 0, 6, 12], [6, 0, 18, 12]]
    stale = copy_paste(batch, [[Paste(source, 1.0, False, 6.5 / 48, 0.0)]], sources=batch, reference=True)
    assert stale.boxes[0].tolist()[0] == [0, 0, 11, 11]
    whole = copy_paste(batch, [[Paste(source, 1.5, True, 0.0, 0.0)]]).batch.targets[0]
    assert whole.masks.flatten(1).sum(1).tolist() == [18 * 18]


def test_an_object_larger_than_the_image_loses_what_does_not_fit() -> None:
    batch = labelled_batch(torch.zeros(1, 3, 40, 60), [square(0, 0, 38)])
    plan = [[Paste(objects_to_copy(batch.targets)[0], 1.5, False, 0.0, 0.9)]]
    (target,) = copy_paste(batch, plan).batch.targets
    assert target.masks.flatten(1).sum(1).tolist() == [40 * 57] and int((target.semantic == THING).sum()) == 40 * 57


@given(seed=st.integers(0, 10_000))
@examples(25)
def test_labels_stay_a_partition_whatever_is_drawn(seed: int) -> None:
    batch = drawn_batch(seed, images=3, things=4)
    pasted = random_copy_paste(batch, seeded_draws(seed, 0), SMALL)
    for before, after in zip(batch.targets, pasted.targets):
        covered = after.masks.sum(0)
        assert bool((covered <= 1).all()) and bool(after.masks.flatten(1).any(1).all())
        assert torch.equal(covered > 0, after.semantic == THING)
        untouched = covered == 0
        assert torch.equal(after.semantic[untouched], before.semantic[untouched])
        assert bool((before.semantic == VOID)[after.semantic == VOID].all())
    changed = (pasted.images != batch.images).any(1)
    assert all(not bool(changed[i][~after.masks.any(0)].any()) for i, after in enumerate(pasted.targets))
    again = random_copy_paste(batch, seeded_draws(seed, 0), SMALL)
    assert torch.equal(pasted.images, again.images)


def test_a_batch_without_objects_is_left_as_it_is() -> None:
    batch = drawn_batch(things=0)
    assert random_copy_paste(batch, seeded_draws(0, 0)).targets[0].semantic is batch.targets[0].semantic
    with pytest.raises(ValueError, match="a plan for each of 2 images, but got 1"):
        copy_paste(batch, [[]])


def test_drawn_numbers_scales_and_mirrors_span_their_ranges() -> None:
    objects = [SourceObject(0, place, (0, 0, 40, 40), THING) for place in range(5)]
    plan = draw_pastes(seeded_draws(7, 0), 400, objects)
    assert {len(pastes) for pastes in plan} == set(range(1, 9))
    pastes = [paste for each in plan for paste in each]
    assert {paste.source.place for paste in pastes} == set(range(5))
    scales = [paste.scale for paste in pastes]
    assert 0.25 <= min(scales) < 0.27 and 1.48 < max(scales) <= 1.5
    assert 0.4 < np.mean([paste.mirrored for paste in pastes]) < 0.6
    assert plan == draw_pastes(seeded_draws(7, 0), 400, objects) != draw_pastes(seeded_draws(8, 0), 400, objects)


def test_objects_of_another_batch_can_be_pasted() -> None:
    batch, other = drawn_batch(1, images=1, things=0), drawn_batch(2, images=4)
    pasted = random_copy_paste(batch, seeded_draws(0, 0), SMALL, sources=other)
    assert len(pasted.targets[0].masks) > 0 and len(pasted.images) == 1


def test_scales_out_of_order_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"copy_paste.scale must be \(least, largest\)"):
        CopyPasteSettings(scale=(2.0, 1.0))
