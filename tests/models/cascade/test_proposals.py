from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.matching import IGNORED, NEGATIVE, POSITIVE, match_boxes
from mbps_dataset.models.cascade.proposals import (
    AnchorTargets,
    ProposalNetwork,
    Selection,
    anchor_targets,
    anchors_of,
    proposal_losses,
    select_proposals,
)
from tests.models.cascade.drawn_weights import (
    assert_gradient_norms,
    cascade_vectors,
    first_come,
    levels,
    noise,
    tensor,
    with_drawn_weights,
)


@pytest.fixture(scope="module")
def network():
    return with_drawn_weights(ProposalNetwork(CascadeConfig()), "proposal_generator.")


@torch.no_grad()
def test_proposals_are_those_of_the_vector(network):
    vectors, meta = cascade_vectors("rpn")
    maps, sizes = levels(meta), [tuple(size) for size in meta["image_sizes"]]
    logits, codes = network.rpn_head(maps)
    np.testing.assert_allclose(torch.cat(logits, 1)[:, ::3], vectors["objectness"], atol=1e-4)
    np.testing.assert_allclose(torch.cat(codes, 1)[:, ::13], vectors["deltas_sub13"], atol=1e-4)
    selections = {
        "test": network.selection, "train": network.training_selection, "small": Selection(60, 25, 0.5, 12)
    }  # fmt: skip
    for name, selection in selections.items():
        found = select_proposals(logits, codes, anchors_of(maps), sizes, selection)
        for image, (boxes, scores) in enumerate(found):
            wanted = vectors[f"{name}/boxes_{image}"]
            np.testing.assert_allclose(boxes[:300], wanted, atol=1e-2)
            np.testing.assert_allclose(scores[:300], vectors[f"{name}/logits_{image}"], atol=1e-4)
            if name != "small":
                assert len(boxes) == vectors[f"{name}/count_{image}"]
                np.testing.assert_allclose(boxes.sum(0), vectors[f"{name}/box_sum_{image}"], rtol=1e-5, atol=1)
    for own, (boxes, _) in zip(
        network(maps, sizes), select_proposals(logits, codes, anchors_of(maps), sizes, network.selection)
    ):
        assert torch.equal(own, boxes)


def test_losses_and_gradients_are_those_of_the_vector(network):
    vectors, meta = cascade_vectors("losses")
    network.zero_grad()
    maps = [level.requires_grad_() for level in levels(meta)]
    anchors, targets = anchors_of(maps), []
    every = torch.cat(anchors)
    for image in range(2):
        objects = tensor(vectors[f"gt_boxes_{image}"])
        matches = match_boxes(every, objects, negative_below=0.3, positive_from=0.7, best_of_each=True)
        assert matches.labels.tolist() == vectors[f"rpn/match_label_{image}"].tolist()
        assert matches.objects.tolist() == vectors[f"rpn/match_idx_{image}"].tolist()
        targets.append(anchor_targets(every, objects, order=first_come))
        assert targets[-1].labels.tolist() == vectors[f"rpn/labels_firstk_{image}"].tolist()
    losses = proposal_losses(*network.rpn_head(maps), anchors, targets)
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(float(vectors[f"rpn/{name}"]), rel=1e-5)
    torch.stack(list(losses.values())).sum().backward()
    assert_gradient_norms(
        network, "proposal_generator.", vectors["rpn/grad_norm_keys"], vectors["rpn/grad_norms"], rtol=1e-3
    )
    for level, one in enumerate(maps, start=2):
        assert one.grad.norm().item() == pytest.approx(float(vectors[f"rpn/grad_feat_norm/p{level}"]), rel=1e-3)


def test_an_image_without_objects_teaches_background():
    anchors = torch.tensor([[0.0, 0, 8, 8], [0, 0, 16, 16]])
    target = anchor_targets(anchors, anchors[:0])
    assert target.labels.tolist() == [NEGATIVE, NEGATIVE]
    logits, codes = noise(1, (1, 2)).requires_grad_(), noise(2, (1, 2, 4)).requires_grad_()
    losses = proposal_losses([logits], [codes], [anchors], [target])
    assert losses["loss_rpn_loc"].item() == 0 and losses["loss_rpn_cls"].item() > 0


def test_losses_are_divided_by_256_anchors_an_image():
    anchors = torch.tensor([[0.0, 0, 8, 8], [0, 0, 16, 16], [4, 4, 9, 9]])
    target = AnchorTargets(torch.tensor([POSITIVE, NEGATIVE, IGNORED], dtype=torch.int8), anchors)
    losses = proposal_losses([torch.zeros(1, 3)], [torch.ones(1, 3, 4)], [anchors], [target])
    assert losses["loss_rpn_cls"].item() == pytest.approx(2 * np.log(2) / 256)
    assert losses["loss_rpn_loc"].item() == pytest.approx(4 / 256)


def test_what_is_not_finite_or_has_no_side_is_no_proposal():
    anchors = [torch.tensor([[0.0, 0, 8, 8], [2, 2, 9, 9], [50, 50, 60, 60], [1, 1, 5, 5]])]
    logits = [torch.tensor([[3.0, torch.inf, 2, 1]])]
    codes = [torch.zeros(1, 4, 4)]
    codes[0][0, 3, 0] = torch.nan
    ((boxes, scores),) = select_proposals(logits, codes, anchors, [(20, 30)], Selection(10, 10, 0.7))
    assert boxes.tolist() == [[0, 0, 8, 8]] and scores.tolist() == [3]
