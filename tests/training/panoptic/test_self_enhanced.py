from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.boxes import boxes_of_masks
from mbps_dataset.models.panoptic.network import VOID, PanopticTarget
from mbps_dataset.stages.panoptic import Panoptic
from mbps_dataset.training.panoptic.self_enhanced import SelfEnhancedSettings, labels_of, new_objects, objects_found
from tests.training.panoptic.batches import ROAD, THING, assert_same_labels, golden_panoptic
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cascade/self_enhanced_source")


def target_of_boxes(boxes, height: int, width: int) -> PanopticTarget:
    """Rectangles that fill boxes (left, top, right, bottom), the last pixel included."""
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, np.asarray(boxes, dtype=int)):
        mask[top : bottom + 1, left : right + 1] = True
    return PanopticTarget(torch.full((height, width), VOID), masks, torch.zeros(len(boxes), dtype=torch.long))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_sources_are_those_of_the_reference_vectors(golden, number):
    meta = json.loads(str(golden["meta_json"]))
    prediction = golden_panoptic(golden, number)
    label = target_of_boxes(golden[f"pseudo_boxes_{number}"], meta["H"], meta["W"])
    settings = SelfEnhancedSettings(sure=meta["confidence"], known=meta["iou"])
    cases = {
        "source": labels_of(prediction, meta["confidence"], reference=True),
        "filtered": objects_found(prediction, label, settings, reference=True),
    }
    for case, found in cases.items():
        assert_same_labels(found, golden, case, number)
        boxes = boxes_of_masks(found.masks, last_pixel=False)
        np.testing.assert_array_equal(boxes, golden[f"{case}/boxes_{number}"])


def street() -> Panoptic:
    """Road with two things of scores 0.9 and 0.75, and void at the left."""
    numbers = np.full((20, 40), 1, dtype=np.int32)
    numbers[:, :4] = 0
    numbers[2:12, 6:16] = 2
    numbers[2:12, 20:30] = 3
    return Panoptic.from_map(numbers, [ROAD, THING, 11], [False, True, True], [1.0, 0.9, 0.75])


def test_only_sure_things_are_labels_and_the_unsure_are_void() -> None:
    found = labels_of(street(), 0.75)
    assert found.class_ids.tolist() == [THING] and found.masks.sum().item() == 100
    assert bool((found.semantic[found.masks[0]] == THING).all())
    assert bool((found.semantic[2:12, 20:30] == VOID).all()) and bool((found.semantic[:, :4] == VOID).all())
    assert int((found.semantic == ROAD).sum()) == 20 * 36 - 200
    everything = labels_of(street())
    assert everything.class_ids.tolist() == [THING, 11] and bool((everything.semantic[2:12, 20:30] == 11).all())


def test_known_objects_are_left_out_by_their_masks_or_by_their_boxes() -> None:
    found = labels_of(street())
    same = PanopticTarget(found.semantic, found.masks[:1], found.class_ids[:1])
    assert new_objects(found, same).class_ids.tolist() == [11]
    frame = found.masks[:1].clone()
    frame[0, 3:11, 7:15] = False
    around = PanopticTarget(found.semantic, frame, found.class_ids[:1])
    assert new_objects(found, around).class_ids.tolist() == [THING, 11]
    assert new_objects(found, around, reference=True).class_ids.tolist() == [11]


def test_an_overlap_of_exactly_the_limit_is_known() -> None:
    found = labels_of(street())
    half = found.masks[:1].clone()
    half[0, 7:] = False
    label = PanopticTarget(found.semantic, half, found.class_ids[:1])
    assert new_objects(found, label, 0.5).class_ids.tolist() == [11]
    assert new_objects(found, label, 0.51).class_ids.tolist() == [THING, 11]


def test_without_objects_on_one_side_everything_is_new() -> None:
    found, none = labels_of(street()), target_of_boxes([], 20, 40)
    assert new_objects(found, none) is found and len(new_objects(none, found).masks) == 0
    with pytest.raises(ValueError, match="a prediction and a label of one size"):
        objects_found(street(), target_of_boxes([], 20, 41))
