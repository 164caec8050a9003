from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mbps_dataset.models.panoptic import PanopticPrediction
from mbps_dataset.models.panoptic.mask2former.postprocessing import panoptic_prediction


ROAD, CAR, NONE = range(3)


def logits(*classes: int, certainty: float = 8.0) -> Tensor:
    found = torch.zeros(len(classes), 3)
    found[range(len(classes)), list(classes)] = certainty
    return found


def masks(*columns: tuple[int, int]) -> Tensor:
    """Masks of 8 × 12 cells that cover these columns."""
    found = torch.full((len(columns), 8, 12), -9.0)
    for mask, (first, last) in zip(found, columns):
        mask[:, first:last] = 9.0
    return found


def predict(classes: Tensor, mask_logits: Tensor, size: tuple[int, int] = (8, 12)) -> PanopticPrediction:
    return panoptic_prediction(
        classes, mask_logits, size=size, padded=(8, 12), thing_ids=[CAR], query_threshold=0.8, overlap_threshold=0.8
    )


def test_things_stay_apart_and_stuff_of_a_class_is_one():
    found = predict(logits(ROAD, CAR, ROAD, CAR), masks((0, 3), (3, 6), (6, 8), (9, 12)))
    assert [(s.class_id, s.isthing, s.area) for s in found.panoptic.segments] == [
        (CAR, True, 24), (CAR, True, 24), (ROAD, False, 40)
    ]  # fmt: skip
    assert (found.panoptic.segment_map[:, 8] == 0).all() and found.panoptic.segments[0].score > 0.99
    assert found.instances.areas.tolist() == [24, 24]


def test_a_query_that_loses_most_of_its_mask_is_left_out_but_stays_an_instance():
    classes = logits(CAR, CAR)
    classes[0] *= 2
    found = predict(classes, masks((0, 6), (2, 8)))  # the second keeps a third
    assert [s.bbox for s in found.panoptic.segments] == [(0, 0, 6, 8)] and (
        found.panoptic.segment_map[:, 6:] == 0
    ).all()
    assert found.instances.areas.tolist() == [48, 48]


def test_unsure_queries_and_no_object_claim_nothing():
    found = predict(torch.cat([logits(NONE), logits(CAR, certainty=1.0)]), masks((0, 6), (6, 12)))
    assert found.panoptic.segments == () and len(found.instances) == 0
    assert not found.panoptic.segment_map.any()


def test_the_score_of_a_thing_falls_with_its_mask():
    mask = masks((0, 6))
    mask[mask > 0] = 1.0
    (segment,) = predict(logits(CAR), mask).panoptic.segments
    wanted = logits(CAR).softmax(-1)[0, CAR] * torch.tensor(1.0).sigmoid()
    assert np.isclose(segment.score, float(wanted))


def test_results_have_the_size_of_the_image_without_its_padding():
    found = predict(logits(ROAD, CAR), masks((0, 6), (6, 12)), size=(5, 9))
    assert found.panoptic.segment_map.shape == (5, 9) and found.semantic_probabilities.shape == (2, 5, 9)
    assert [s.area for s in found.panoptic.segments] == [15, 30]


def test_masks_are_enlarged_by_probability():
    """A border lies half way between cells, however sure one side is."""
    mask = torch.full((1, 4, 6), -90.0)
    mask[:, :, :3] = 5.0
    found = panoptic_prediction(
        logits(CAR), mask, size=(16, 24), padded=(16, 24), thing_ids=[CAR], query_threshold=0.8, overlap_threshold=0.8
    )
    assert found.panoptic.segments[0].bbox == (0, 0, 12, 16)


def test_semantics_are_probabilities():
    found = predict(logits(ROAD, CAR, NONE), masks((0, 6), (6, 12), (0, 12))).semantic_probabilities
    assert (
        torch.allclose(found.sum(0), torch.ones(8, 12))
        and (found.argmax(0)[0] == torch.tensor([0] * 6 + [1] * 6)).all()
    )
