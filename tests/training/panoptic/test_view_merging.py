from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.errors import RecipeError
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.training.panoptic.scaled_views import View, views_of
from mbps_dataset.training.panoptic.view_merging import (
    TeacherSettings,
    instances_from_view,
    merge_instances,
    predict_views,
)
from tests.training.panoptic.threshold_network import THING, ThresholdNetwork


def rectangle(left: int, right: int, *, top: int = 2, bottom: int = 8) -> np.ndarray:
    mask = np.zeros((12, 40), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def instances(*masks: np.ndarray, scores: list[float], classes: list[int] | None = None) -> Instances:
    return Instances(np.stack(masks), classes or [1] * len(masks), scores)


def test_an_object_seen_in_several_views_is_one_and_its_mask_a_vote() -> None:
    parts = [
        instances(rectangle(0, 10), rectangle(30, 36), scores=[0.9, 0.8]),
        instances(rectangle(0, 9), scores=[0.75]),
        instances(rectangle(1, 9), scores=[0.2]),
    ]
    merged = merge_instances(parts, 0.7, 0.5)
    assert merged.scores.tolist() == [0.9, 0.8] and merged.class_ids.tolist() == [1, 1]
    np.testing.assert_array_equal(merged.masks(), [rectangle(0, 9), rectangle(30, 36)])


def test_two_classes_in_one_place_stay_two_and_a_low_score_is_no_object_of_its_own() -> None:
    parts = [
        instances(rectangle(0, 10), rectangle(0, 10), rectangle(20, 25), scores=[0.9, 0.8, 0.69], classes=[1, 2, 1])
    ]
    merged = merge_instances(parts, 0.7, 0.5)
    assert merged.class_ids.tolist() == [1, 2] and merged.areas.tolist() == [60, 60]


def test_the_order_of_the_views_does_not_matter_but_for_equal_scores() -> None:
    parts = [instances(rectangle(0, 10), scores=[0.8]), instances(rectangle(2, 11), scores=[0.9])]
    one, other = merge_instances(parts, 0.7, 0.5), merge_instances(parts[::-1], 0.7, 0.5)
    np.testing.assert_array_equal(one.masks(), other.masks())
    assert len(merge_instances([Instances.empty((12, 40))], 0.7, 0.5)) == 0


def test_an_instance_comes_back_from_every_view_to_where_it_was() -> None:
    whole = instances(rectangle(4, 12, top=4, bottom=8), scores=[0.9])
    for view in views_of((12, 40), (0.5, 1.0, 2.0)):
        seen = whole.resized(view.height, view.width)
        if view.mirrored:
            seen = Instances(seen.masks()[:, :, ::-1], seen.class_ids, seen.scores)
        np.testing.assert_array_equal(instances_from_view(seen, view, (12, 40)).masks(), whole.masks())
    assert instances_from_view(whole, View(12, 40, True), (24, 80)).shape == (24, 80)


def street(*lefts: int) -> torch.Tensor:
    """A dark picture with bright squares of 16 pixels."""
    image = torch.full((3, 64, 128), 0.1)
    for left in lefts:
        image[:, 24:40, left : left + 16] = 0.9
    return image


def test_a_prediction_over_views_is_that_of_the_image() -> None:
    image = street(8, 96)
    found = predict_views(ThresholdNetwork(), image)
    masks = found.instances.masks()
    assert len(masks) == 2 and found.panoptic.segment_map.shape == (64, 128)
    np.testing.assert_array_equal(masks.any(0), image[0].numpy() > 0.5)
    assert [(each.class_id, each.isthing) for each in found.panoptic.segments] == [
        (THING, True), (THING, True), (0, False)
    ]  # fmt: skip
    assert found.semantic_probabilities.shape == (2, 64, 128)
    torch.testing.assert_close(found.semantic_probabilities.sum(0), torch.ones(64, 128))


def test_a_mirrored_image_gives_the_mirrored_prediction() -> None:
    settings = TeacherSettings(scales=(0.5, 1.0))
    one = predict_views(ThresholdNetwork(), street(20), settings)
    other = predict_views(ThresholdNetwork(), street(20).flip(2), settings)
    np.testing.assert_array_equal(one.instances.masks()[0], other.instances.masks()[0][:, ::-1])
    torch.testing.assert_close(one.semantic_probabilities, other.semantic_probabilities.flip(2))


def test_settings_bound_what_counts() -> None:
    unsure = predict_views(ThresholdNetwork(score=0.6), street(20))
    assert len(unsure.instances) == 0 and [each.class_id for each in unsure.panoptic.segments] == [0]
    large = TeacherSettings(min_stuff_share=1.0)
    assert [each.isthing for each in predict_views(ThresholdNetwork(), street(20), large).panoptic.segments] == [True]
    with pytest.raises(RecipeError, match="teacher.least_score"):
        TeacherSettings(least_score=1.5)
