from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.box_heads import STAGES
from mbps_dataset.models.cascade.boxes import decode_boxes
from mbps_dataset.models.cascade.drop_loss import batch_drop_weights, boxes_as_coded, drop_weights
from tests.models.cascade.drawn_weights import cascade_vectors, tensor


FORMS = {"as-coded": "weights", "all-boxes": "weights_all_boxes"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("case", "iou"), [("drop04", 0.4), ("drop001", 0.01)])
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_weights_are_those_of_the_vector(form, case, iou, stage):
    vectors, _ = cascade_vectors("losses")
    boxes, deltas = tensor(vectors[f"stage{stage}/boxes"]), tensor(vectors[f"stage{stage}/deltas"])
    counts = vectors[f"stage{stage}/n"].tolist()
    found = batch_drop_weights(
        form,
        decode_boxes(boxes, deltas, STAGES[stage].weights).split(counts),
        tensor(vectors[f"stage{stage}/gt_boxes"]).split(counts),
        [tensor(vectors[f"gt_boxes_{image}"]) for image in range(2)],
        min_iou=iou,
        first_stage=stage == 0,
    )
    assert found.tolist() == vectors[f"{case}/{FORMS[form]}_{stage}"].tolist()


def test_as_coded_drops_proposals_of_real_objects_in_the_first_stage():
    """What the specification measured: 60 of 75 and 12 of 26 positives, with all boxes 48 and 1."""
    vectors, _ = cascade_vectors("losses")
    positive = vectors["stage0/gt_classes"] < 8
    dropped = {name: vectors[f"drop04/{name}_0"] == 0 for name in FORMS.values()}
    assert [(int(d.sum()), int(d[positive].sum())) for d in dropped.values()] == [(60, 12), (48, 1)]


BOXES = torch.tensor([[0.0, 0, 10, 10], [50, 0, 60, 10]])


def test_a_weight_is_one_above_the_iou():
    refined = torch.tensor([[0.0, 0, 10, 4], [0, 0, 10, 5], [20, 20, 30, 30]])
    assert drop_weights(refined, BOXES, min_iou=0.4).tolist() == [0, 1, 0]
    assert drop_weights(refined, BOXES[:0], min_iou=0.4).tolist() == [0, 0, 0]


def test_as_coded_counts_different_boxes_of_the_first_hundred():
    matched = BOXES[torch.tensor([0, 0, 0, 1])]
    assert torch.equal(boxes_as_coded(matched), BOXES[[0, 0]])
    late = torch.cat([BOXES[:1].expand(100, 4), BOXES[1:]])
    assert torch.equal(boxes_as_coded(late), BOXES[:1]) and boxes_as_coded(BOXES[:0]).shape == (0, 4)


def test_an_image_without_objects_switches_the_first_stage_off_as_coded():
    refined, matched = [BOXES, BOXES], [BOXES, torch.zeros(2, 4)]
    arguments = {"min_iou": 0.4}
    pseudo = [BOXES, BOXES[:0]]
    assert batch_drop_weights("as-coded", refined, matched, pseudo, first_stage=True, **arguments) is None
    later = batch_drop_weights("as-coded", refined, matched, pseudo, first_stage=False, **arguments)
    meant = batch_drop_weights("all-boxes", refined, matched, pseudo, first_stage=True, **arguments)
    assert later.tolist() == meant.tolist() == [1, 1, 0, 0]
    assert batch_drop_weights("off", refined, matched, pseudo, first_stage=False, **arguments) is None
    assert np.isclose(float(meant.mean()), 0.5)
