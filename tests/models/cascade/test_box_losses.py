from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mbps_dataset.models.cascade.box_heads import STAGES
from mbps_dataset.models.cascade.box_losses import MatchedProposals, box_loss, class_loss
from tests.models.cascade.drawn_weights import cascade_vectors, noise, tensor


def matched_of(vectors, certainty=True):
    classes = tensor(vectors["gt_classes"])
    return MatchedProposals(
        tensor(vectors["boxes"]),
        classes,
        torch.zeros_like(classes),
        tensor(vectors["gt_boxes"]),
        tensor(vectors["gt_scores"]) if certainty else None,
    )


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_soft_losses_are_those_of_the_vector(stage):
    vectors, _ = cascade_vectors("cuvler_soft")
    matched = matched_of(vectors)
    logits, deltas = (tensor(vectors[name]).requires_grad_() for name in ("logits", "deltas"))
    weights = tensor(vectors["drop_weights"])
    of_class = class_loss(logits, matched.classes, weights=weights, certainty=matched.certainty)
    of_box = box_loss(deltas, matched, things=1, code_weights=STAGES[stage].weights)
    (of_class + of_box).backward()
    assert of_class.item() == pytest.approx(float(vectors[f"stage{stage}/loss_cls"]), rel=1e-5)
    assert of_box.item() == pytest.approx(float(vectors[f"stage{stage}/loss_box_reg"]), rel=1e-5)
    np.testing.assert_allclose(logits.grad, vectors[f"stage{stage}/grad_logits"], atol=1e-7, rtol=1e-5)
    np.testing.assert_allclose(deltas.grad, vectors[f"stage{stage}/grad_deltas"], atol=1e-7, rtol=1e-5)
    without = class_loss(logits.detach(), matched.classes, certainty=matched.certainty)
    assert without.item() == pytest.approx(float(vectors[f"stage{stage}/loss_cls_nodrop"]), rel=1e-5)


def test_certainty_of_one_is_the_plain_loss():
    vectors, _ = cascade_vectors("cuvler_soft")
    logits, plain = tensor(vectors["logits"]), matched_of(vectors, certainty=False)
    sure = class_loss(logits, plain.classes, certainty=torch.ones(24))
    torch.testing.assert_close(sure, class_loss(logits, plain.classes))
    torch.testing.assert_close(sure, functional.cross_entropy(logits, plain.classes))


def test_dropped_proposals_stay_in_the_divisor():
    logits, classes = noise(1, (4, 3)), torch.tensor([0, 2, 1, 2])
    each = functional.cross_entropy(logits, classes, reduction="none")
    found = class_loss(logits, classes, weights=torch.tensor([1.0, 0, 0, 1]))
    torch.testing.assert_close(found, (each[0] + each[3]) / 4)


def test_no_proposal_is_no_loss():
    none = torch.zeros(0, 4)
    matched = MatchedProposals(none, none[:, 0].long(), none[:, 0].long(), none)
    assert class_loss(torch.zeros(0, 3), matched.classes).item() == 0
    assert box_loss(none, matched, things=2, code_weights=STAGES[0].weights).item() == 0


def test_proposals_of_images_are_joined_with_their_certainty_only_if_all_have_one():
    vectors, _ = cascade_vectors("cuvler_soft")
    sure, plain = matched_of(vectors), matched_of(vectors, certainty=False)
    assert MatchedProposals.joined([sure, sure]).certainty.shape == (48,)
    assert MatchedProposals.joined([sure, plain]).certainty is None
    assert MatchedProposals.joined([plain, sure]).boxes.shape == (48, 4)
