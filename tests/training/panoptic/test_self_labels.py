from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.boxes import boxes_of_masks
from mbps_dataset.models.panoptic.network import VOID, PanopticPrediction
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic
from mbps_dataset.training.panoptic.self_labels import confident_classes, self_label
from tests.training.panoptic.batches import assert_same_labels, golden_panoptic
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden():
    return load_vectors("cascade/self_labels_ema")


@pytest.mark.parametrize("number", [0, 1])
def test_labels_are_those_of_the_reference_vectors(golden, number):
    probabilities = torch.from_numpy(golden[f"sem_prob_{number}"]).float()
    panoptic = golden_panoptic(golden, number)
    prediction = PanopticPrediction(panoptic, probabilities, Instances.empty(panoptic.segment_map.shape))
    share = json.loads(str(golden["meta_json"]))["threshold"]
    found = self_label(prediction, (), share=share, reference=True)
    assert_same_labels(found, golden, "out", number)
    boxes = boxes_of_masks(found.masks, last_pixel=False)
    np.testing.assert_array_equal(boxes, golden[f"out/boxes_{number}"])
    labelled = found.semantic != VOID
    assert (found.semantic[labelled].numpy() != golden[f"plain_argmax_{number}"][labelled.numpy()]).any()


def test_a_class_counts_above_half_of_its_own_highest_probability() -> None:
    probabilities = torch.tensor([[0.9, 0.6, 0.45, 0.5, 0.3], [0.1, 0.4, 0.55, 0.5, 0.2]])[:, None]
    assert confident_classes(probabilities).tolist() == [[0, 0, 1, 0, VOID]]
    assert confident_classes(probabilities, 0.0).tolist() == [[0, 0, 1, 0, 0]]
    assert confident_classes(probabilities, 1.0).tolist() == [[VOID] * 5]


def test_where_the_most_probable_class_fails_the_next_that_counts_is_taken() -> None:
    probabilities = torch.tensor([[0.99, 0.45], [0.01, 0.3], [0.0, 0.25]])[:, None]
    assert confident_classes(probabilities).tolist() == [[0, 1]]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="a share of the highest probability"):
        confident_classes(torch.ones(1, 2, 2), share)


def test_things_have_their_class_and_pixels_of_things_that_nothing_holds_are_void() -> None:
    numbers = np.ones((4, 10), dtype=np.int32)
    numbers[1:3, 2:4] = 2
    panoptic = Panoptic.from_map(numbers, [0, 2], [False, True], [1.0, 0.9])
    classes = torch.zeros(4, 10, dtype=torch.long)
    classes[1, 2] = 1
    classes[0, 7:] = 1
    probabilities = torch.nn.functional.one_hot(classes, 3).permute(2, 0, 1).float()
    prediction = PanopticPrediction(panoptic, probabilities, Instances.empty((4, 10)))
    label = self_label(prediction, {1, 2})
    assert label.class_ids.tolist() == [2] and label.semantic[1:3, 2:4].tolist() == [[2, 2], [2, 2]]
    assert label.semantic[0].tolist() == [0] * 7 + [VOID] * 3
    assert torch.equal(label.semantic == 2, label.masks[0])
    published = self_label(prediction, {1, 2}, reference=True)
    assert published.semantic[1, 2].item() == 1 and published.semantic[0, 8].item() == 1
