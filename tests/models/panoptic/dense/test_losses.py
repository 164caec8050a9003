from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mbps_dataset.models.panoptic import VOID
from mbps_dataset.models.panoptic.dense.losses import centre_loss, class_loss, offset_loss


def test_the_hardest_cells_teach_classes():
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0] = torch.tensor([[3.0, 0.0, -2.0, 9.0]])
    semantic = torch.tensor([[[0, 0, 0, VOID]]])
    each = torch.log1p(torch.exp(-logits[0, 0, 0, :3]))
    assert torch.isclose(class_loss(logits, semantic, hardest_share=1.0), each.mean())
    assert torch.isclose(class_loss(logits, semantic, hardest_share=0.5), each[1:].mean())  # 2 of 3
    assert torch.isclose(class_loss(logits, semantic, hardest_share=0.01), each[2])


def test_means_are_over_what_is_known():
    known = torch.tensor([[[True, False]]])
    assert centre_loss(torch.tensor([[[0.5, 9.0]]]), torch.zeros(1, 1, 2), known) == 0.25
    offsets = torch.tensor([[[[3.0, 7.0]], [[-4.0, 7.0]]]])
    assert offset_loss(offsets, torch.zeros(1, 2, 1, 2), known) == 7


def gradients(known: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Each loss and its gradient, of outputs that are wrong everywhere; gradients as [B, channels, h, w]."""
    torch.manual_seed(0)
    outputs = {
        "class": torch.randn(2, 3, 4, 5, requires_grad=True),
        "centre": torch.randn(2, 4, 5, requires_grad=True),
        "offset": torch.randn(2, 2, 4, 5, requires_grad=True),
    }
    semantic = torch.where(known, torch.randint(0, 3, known.shape), VOID)
    losses = {
        "class": class_loss(outputs["class"], semantic, hardest_share=1.0),
        "centre": centre_loss(outputs["centre"], torch.rand(known.shape), known),
        "offset": offset_loss(outputs["offset"], 9 * torch.rand(2, 2, 4, 5), known),
    }
    found = {}
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, outputs[name])
        found[name] = loss.detach(), gradient.unsqueeze(1) if name == "centre" else gradient
    return found


@pytest.mark.parametrize("name", ["class", "centre", "offset"])
def test_void_has_no_gradient_and_the_rest_has(name):
    known = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(1)) < 0.5
    _, gradient = gradients(known)[name]
    taught = (gradient != 0).any(1)
    assert torch.equal(taught, known)


@pytest.mark.parametrize("name", ["class", "centre", "offset"])
def test_nothing_known_costs_nothing(name):
    loss, gradient = gradients(torch.zeros(2, 4, 5, dtype=torch.bool))[name]
    assert loss == 0 and not gradient.any()
