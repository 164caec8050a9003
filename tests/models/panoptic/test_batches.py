from __future__ import annotations

import pytest
import torch

from mbps_dataset.models.panoptic import VOID, PanopticTarget
from mbps_dataset.models.panoptic.batches import evaluating, padded_to_multiple, require_batch


def target(height: int, width: int) -> PanopticTarget:
    masks = torch.ones(1, height, width, dtype=torch.bool)
    return PanopticTarget(torch.zeros(height, width, dtype=torch.int64), masks, torch.tensor([1]))


def test_padding_repeats_the_image_and_knows_nothing():
    images = torch.arange(2 * 3 * 5 * 6.0).reshape(2, 3, 5, 6)
    padded, (first, second) = padded_to_multiple(images, [target(5, 6), target(5, 6)], 4)
    assert padded.shape == (2, 3, 8, 8) and torch.equal(padded[..., :5, :6], images)
    assert torch.equal(padded[..., 7, :6], images[..., 4, :]) and torch.equal(padded[..., :5, 7], images[..., 5])
    for one in (first, second):
        assert (one.semantic[:5, :6] == 0).all() and (one.semantic == VOID).sum() == 64 - 30
        assert one.masks.sum() == 30 and one.masks[0, :5, :6].all() and one.class_ids.tolist() == [1]


def test_what_fits_is_not_padded():
    images = torch.zeros(1, 3, 8, 4)
    padded, targets = padded_to_multiple(images, [target(8, 4)], 4)
    assert padded is images and targets[0].semantic.shape == (8, 4)


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (torch.zeros(3, 8, 8), [], r"Expected images \[B, 3, H, W\], but got \(3, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8), [], r"but got \(1, 1, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8), [target(8, 8)], r"targets of sizes \[\(8, 8\), \(8, 8\)\].* but got \[\(8, 8\)\]"),
        (torch.zeros(1, 3, 8, 8), [target(8, 4)], r"but got \[\(8, 4\)\]"),
    ],
)
def test_batches_that_do_not_fit_are_refused(images, targets, message):
    with pytest.raises(ValueError, match=message):
        require_batch(images, targets)


def test_evaluation_ends_with_its_block():
    network = torch.nn.Sequential(torch.nn.Dropout()).train()
    with pytest.raises(KeyError), evaluating(network):
        assert not network.training and not network[0].training
        raise KeyError
    assert network.training and network[0].training
    with evaluating(network.eval()):
        pass
    assert not network.training
