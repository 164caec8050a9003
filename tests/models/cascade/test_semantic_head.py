from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mbps_dataset.models.cascade.semantic_head import SemanticHead, enlarge, fit_to_image, semantic_loss
from tests.models.cascade.drawn_weights import (
    assert_gradient_norms,
    cascade_vectors,
    levels,
    noise,
    tensor,
    with_drawn_weights,
)


@pytest.fixture(scope="module")
def vectors():
    return cascade_vectors("semantic_head")


@pytest.fixture(scope="module")
def head(vectors):
    return with_drawn_weights(SemanticHead(256, 128, 20), "sem_seg_head.")


@torch.no_grad()
def test_logits_are_those_of_the_vector(vectors, head):
    arrays, meta = vectors
    logits = head(levels(meta))
    full = enlarge(logits)
    np.testing.assert_allclose(logits[0], arrays["logits_s4"], atol=2e-4)
    np.testing.assert_allclose(logits[1, :, ::2, ::2], arrays["logits_s4_im1_sub2"], atol=2e-4)
    np.testing.assert_allclose(full[0, :, ::5, ::5], arrays["logits_full_sub5"], atol=2e-4)
    assert (full.argmax(dim=1) == tensor(arrays["argmax_full"])).float().mean() > 0.9999
    asked = meta["post"]
    fitted = fit_to_image(full[0], tuple(asked["image_size"]), tuple(asked["out"]))
    np.testing.assert_allclose(fitted[:, :: asked["sub"], :: asked["sub"]], arrays["post"], atol=2e-4)


def test_loss_and_gradients_are_those_of_the_vector(vectors, head):
    arrays, meta = vectors
    head.zero_grad()
    maps = [level.requires_grad_() for level in levels(meta)]
    logits, target = head(maps), tensor(arrays["target"]).long()
    loss = semantic_loss(logits, target, weight=meta["loss_weight"])
    loss.backward()
    assert loss.item() == pytest.approx(float(arrays["loss_sem_seg"]), rel=1e-5)
    assert_gradient_norms(head, "sem_seg_head.", arrays["grad_norm_keys"], arrays["grad_norms"], rtol=1e-3)
    for level in range(4):
        wanted = float(arrays[f"grad_feat_norm/p{level + 2}"])
        assert maps[level].grad.norm().item() == pytest.approx(wanted, rel=1e-3)
    every = maps[3].grad.shape[1] // len(arrays["grad_p5"])
    np.testing.assert_allclose(maps[3].grad[0, ::every], arrays["grad_p5"], atol=1e-6, rtol=1e-3)
    weighted = semantic_loss(logits.detach(), target, class_weights=torch.linspace(0.5, 2, 20))
    assert weighted.item() == pytest.approx(float(arrays["loss_sem_seg_weighted"]), rel=1e-5)


def test_the_loss_is_half_the_mean_over_known_pixels():
    logits, target = noise(1, (1, 3, 4, 5)), (noise(2, (1, 16, 20)) > 0).long()
    target[:, :3] = 255
    each = functional.cross_entropy(enlarge(logits), target, ignore_index=255, reduction="none")
    torch.testing.assert_close(semantic_loss(logits, target), each[:, 3:].mean() / 2)


def test_nothing_known_is_no_loss():
    logits = noise(1, (1, 3, 4, 5)).requires_grad_()
    loss = semantic_loss(logits, torch.full((1, 16, 20), 255))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_an_image_of_its_own_size_is_only_cut():
    full = noise(3, (2, 32, 32))
    assert torch.equal(fit_to_image(full, (20, 30), (20, 30)), full[:, :20, :30])
