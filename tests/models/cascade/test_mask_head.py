from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mbps_dataset.models.cascade.mask_head import MaskHead, mask_loss, mask_targets, of_class
from tests.models.cascade.drawn_weights import cascade_vectors, masks, noise, tensor, with_drawn_weights


@torch.no_grad()
def test_logits_are_those_of_the_vector():
    vectors, meta = cascade_vectors("mask_head")
    head = with_drawn_weights(MaskHead(256, 256, 8), "roi_heads.mask_head.")
    pooled = noise(*meta["inputs"]["x"])
    logits = head(pooled)
    np.testing.assert_allclose(logits[:, :, ::2, ::2], vectors["logits"], atol=1e-4)
    np.testing.assert_allclose(logits[:, 2], vectors["logits_class2"], atol=1e-4)
    classes = torch.tensor([2, 2, 5])
    torch.testing.assert_close(head.probabilities(pooled, classes)[2], logits[2, 5].sigmoid())


def test_targets_are_those_of_the_vector():
    vectors, _ = cascade_vectors("mask_head")
    objects, boxes = masks(vectors["target/masks_packed"], 60, 90), tensor(vectors["target/boxes"])
    for index in range(len(boxes)):
        found = mask_targets(objects, boxes[index : index + 1].expand(3, 4), torch.arange(3))
        assert torch.equal(found, masks(vectors[f"target/out_{index}"], 28, 28))


def test_soft_loss_is_that_of_the_vector():
    vectors, meta = cascade_vectors("cuvler_soft")
    objects, positive = tensor(vectors["gt_classes"]) == 0, tensor(vectors["mask/gt_index"])
    packed = masks(vectors["mask/gt_masks_packed"], meta["H"], meta["W"])
    seed, _, scale = meta["mask_logits"]
    logits = noise(seed, (len(positive), 1, 28, 28), scale).requires_grad_()
    targets = mask_targets(packed, tensor(vectors["boxes"])[objects], positive)
    classes, certainty = torch.zeros(len(positive), dtype=torch.int64), tensor(vectors["gt_scores"])[objects]
    loss = mask_loss(logits, classes, targets, certainty)
    loss.backward()
    assert loss.item() == pytest.approx(float(vectors["mask/loss"]), rel=1e-5)
    assert logits.grad.norm().item() == pytest.approx(float(vectors["mask/grad_norm"]), rel=1e-4)
    plain = mask_loss(logits.detach(), classes, targets)
    assert plain.item() == pytest.approx(float(vectors["mask/loss_unweighted"]), rel=1e-5)


def test_the_loss_is_the_mean_over_cells_of_each_ones_class():
    logits, classes = noise(1, (3, 2, 28, 28)), torch.tensor([1, 0, 1])
    targets = noise(2, (3, 28, 28)) > 0
    wanted = functional.binary_cross_entropy_with_logits(
        torch.stack([logits[0, 1], logits[1, 0], logits[2, 1]]), targets.float()
    )
    torch.testing.assert_close(mask_loss(logits, classes, targets), wanted)
    assert torch.equal(of_class(logits, classes)[1], logits[1, 0])


def test_without_objects_the_loss_is_zero_and_has_a_gradient():
    logits = torch.zeros(0, 2, 28, 28, requires_grad=True)
    loss = mask_loss(logits, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 28, 28, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
