from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.boxes import boxes_of_masks
from mbps_dataset.models.panoptic.network import PanopticPrediction
from mbps_dataset.training.panoptic import view_merging
from mbps_dataset.training.panoptic.cascade_views import find_in_views
from mbps_dataset.training.panoptic.scaled_views import View, views_of
from mbps_dataset.training.panoptic.self_labels import self_label
from mbps_dataset.training.panoptic.view_merging import TeacherSettings, predict_views
from tests.models.cascade.drawn_weights import masks
from tests.models.cascade.test_network import assert_merged, published
from tests.models.cascade.tiny_network import street, tiny_network
from tests.training.panoptic.batches import golden_target
from tests.vectors import load_vectors


@pytest.mark.skipif(
    not os.environ.get("MBPS_VECTORS"),
    reason="a whole ResNet-50 in six views takes its time; MBPS_VECTORS asks for it",
)
def test_a_teacher_in_six_views_and_the_label_it_gives_are_those_of_the_reference_vectors(monkeypatch):
    vectors = load_vectors("cascade/tta")
    meta = json.loads(str(vectors["meta_json"]))
    network = published("cups", meta["overrides"])
    image = torch.from_numpy(vectors["image"]).float() / 255
    found = find_in_views(network, image, views_of((128, 256)), above=0.7)
    np.testing.assert_allclose(found.detections.boxes, vectors["e2e/boxes"], atol=1e-2)
    np.testing.assert_allclose(found.detections.scores, vectors["e2e/scores"], atol=1e-4)
    assert found.detections.classes.tolist() == vectors["e2e/classes"].tolist()
    assert (found.instances.masks() == masks(vectors["e2e/masks_packed"], 128, 256).numpy()).mean() > 0.9999
    probabilities = found.semantic.softmax(0)
    np.testing.assert_allclose(probabilities[:, ::8, ::8], vectors["e2e/sem_prob_sub8"], atol=1e-4)
    assert (probabilities.argmax(0).numpy() == vectors["e2e/sem_argmax"]).mean() > 0.999

    monkeypatch.setattr(view_merging, "find_in_views", lambda *_, **__: found)
    settings = TeacherSettings(min_stuff_share=4096 / (128 * 256))
    prediction = predict_views(network, image, settings)
    assert_merged(prediction.panoptic, vectors, "e2e", 19)
    own = PanopticPrediction(prediction.panoptic, probabilities, found.instances)
    label, expected = self_label(own, (), reference=True), golden_target(vectors, "e2e_label", 0)
    assert (label.semantic == expected.semantic).float().mean() > 0.999
    assert (label.masks == expected.masks).float().mean() > 0.9999
    assert (label.class_ids - 19).tolist() == expected.class_ids.tolist()
    boxes = boxes_of_masks(label.masks, last_pixel=False)
    np.testing.assert_allclose(boxes, vectors["e2e_label/boxes_0"], atol=1)


def test_one_plain_view_of_the_image_is_the_networks_own_finding() -> None:
    network, (image, _) = tiny_network(), street()
    network.configure(box_score=0.2)
    (alone,) = network.find(image)
    found = find_in_views(network, image[0], [View(64, 96, False)], above=0.0)
    assert len(found.detections) == len(alone.detections) > 0
    torch.testing.assert_close(found.detections.boxes, alone.detections.boxes)
    np.testing.assert_array_equal(found.instances.masks(), alone.instances.masks())
    torch.testing.assert_close(found.semantic.softmax(0), alone.semantic.softmax(0))


@pytest.mark.parametrize("size", [(64, 96), (60, 90)])
def test_a_mirrored_image_gives_the_mirrored_finding(size: tuple[int, int]) -> None:
    network, (image, _) = tiny_network(), street(*size)
    network.configure(box_score=0.2)
    views = [View(*size, mirrored) for mirrored in (False, True)]
    one, other = (find_in_views(network, each, views, above=0.2) for each in (image[0], image[0].flip(2)))
    torch.testing.assert_close(one.semantic, other.semantic.flip(2), rtol=0, atol=1e-4)
    assert len(one.detections) == len(other.detections) > 0
    torch.testing.assert_close(one.detections.scores, other.detections.scores, rtol=0, atol=1e-4)


def test_the_label_of_a_cascade_has_the_classes_of_the_set() -> None:
    network, (image, _) = tiny_network(), street()
    network.configure(box_score=0.2)
    settings = TeacherSettings(scales=(1.0,), least_score=0.2, min_stuff_share=0.0)
    prediction = predict_views(network, image[0], settings)
    label = self_label(prediction, network.thing_ids)
    assert len(label.masks) > 0 and set(label.class_ids.tolist()) <= set(network.thing_ids)
    assert prediction.semantic_probabilities.shape == (4, 64, 96)
    assert bool((label.semantic[label.masks.any(0)] != 255).all()) and not network.training
    with pytest.raises(ValueError, match="at least one view"):
        find_in_views(network, image[0], [], above=0.5)
