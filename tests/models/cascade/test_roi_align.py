from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mbps_dataset.models.cascade import roi_align as module
from mbps_dataset.models.cascade.roi_align import averaging_weights, level_of_boxes, pool_boxes, roi_align
from tests.models.cascade.drawn_weights import cascade_vectors, levels, noise, tensor


@pytest.mark.parametrize("size", [7, 14])
def test_pooling_and_its_gradients_are_those_of_the_vector(size):
    vectors, meta = cascade_vectors("roi_align")
    maps = [level.requires_grad_() for level in levels(meta)]
    boxes = tensor(np.concatenate([vectors["boxes_image0"], vectors["boxes_image1"]]))
    assert level_of_boxes(boxes).tolist() == vectors["level"].tolist()
    pooled = pool_boxes(maps, boxes, torch.tensor([0] * 20 + [1] * 14), size)
    wanted = vectors[f"out{size}"]
    np.testing.assert_allclose(pooled.detach()[:, : wanted.shape[1]], wanted, atol=1e-4)
    pulled = pooled * noise(meta["cotangent"][str(size)][0], tuple(pooled.shape))
    gradients = torch.autograd.grad(pulled.sum(), maps, materialize_grads=True)
    for name, gradient in zip(("p2", "p3", "p4", "p5"), gradients):
        held = gradient[:, :1, ::2, ::2] if name in ("p2", "p3") else gradient
        np.testing.assert_allclose(held, vectors[f"grad{size}/{name}"], atol=1e-4)


def test_a_ramp_is_that_of_the_vector():
    vectors, _ = cascade_vectors("roi_align")
    rois, ramp = tensor(vectors["hand_rois"]), torch.arange(30.0).view(1, 1, 5, 6)
    found = roi_align(ramp, rois[:, 1:], rois[:, 0].long(), size=(2, 3), scale=1.0)
    np.testing.assert_allclose(found, vectors["hand_out"], atol=1e-5)


def sampled(features, box, size, scale):
    """RoIAlign one sample after the other, as its definition has it."""
    channels, height, width = features.shape
    x0, y0, x1, y1 = (value * scale - 0.5 for value in box)
    out = torch.zeros(channels, *size)
    counts = [max(math.ceil(length), 0) for length in ((y1 - y0) / size[0], (x1 - x0) / size[1])]
    for row in range(size[0]):
        for column in range(size[1]):
            for i in range(counts[0]):
                for j in range(counts[1]):
                    y = y0 + (row + (i + 0.5) / counts[0]) * (y1 - y0) / size[0]
                    x = x0 + (column + (j + 0.5) / counts[1]) * (x1 - x0) / size[1]
                    if -1 <= y <= height and -1 <= x <= width:
                        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
                        for v in (math.floor(y), math.floor(y) + 1):
                            for u in (math.floor(x), math.floor(x) + 1):
                                weight = (1 - abs(y - v)) * (1 - abs(x - u))
                                if weight > 0:
                                    out[:, row, column] += weight * features[:, v, u] / (counts[0] * counts[1])
    return out


BOXES = [[3, 5, 40, 20], [0, 0, 64, 48], [-9, -7, 12, 60], [10, 10, 10, 30], [30.5, 2.25, 31, 3], [70, 50, 90, 70]]


@pytest.mark.parametrize("limit", [module._MOST_NUMBERS, 1])
def test_it_is_the_mean_over_bilinear_samples_however_boxes_are_taken_together(limit, monkeypatch):
    monkeypatch.setattr(module, "_MOST_NUMBERS", limit)
    features, boxes = noise(3, (2, 3, 12, 16)), torch.tensor(BOXES)
    images = torch.tensor([0, 1, 0, 1, 0, 1])
    found = roi_align(features, boxes, images, size=(3, 2), scale=0.25)
    for index, box in enumerate(BOXES):
        wanted = sampled(features[images[index]], box, (3, 2), 0.25)
        torch.testing.assert_close(found[index], wanted, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_finite_differences():
    boxes = torch.tensor([[3.0, 5, 40, 20], [1, 1, 30, 9]])

    def pooled(features):
        return roi_align(features, boxes, torch.tensor([0, 1]), size=(2, 2), scale=0.25)

    features = noise(4, (2, 2, 6, 11)).double().requires_grad_()
    assert torch.autograd.gradcheck(pooled, features, atol=1e-4, rtol=1e-3)


def test_half_precision_is_averaged_in_single_precision():
    features, boxes, images = noise(6, (1, 2, 8, 8)), torch.tensor([[1.0, 1, 30, 25]]), torch.tensor([0])
    half = features.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = roi_align(half, boxes, images, size=(2, 2), scale=0.25)
        found.sum().backward()
    wanted = roi_align(half.detach().float(), boxes, images, size=(2, 2), scale=0.25)
    assert found.dtype == half.grad.dtype == torch.bfloat16 and torch.equal(found, wanted.bfloat16())


def test_boxes_that_are_no_numbers_and_no_boxes_give_nothing():
    features = noise(5, (1, 2, 8, 8))
    boxes = torch.tensor([[math.nan, 0, 4, 4], [0, 0, math.inf, 4]])
    assert level_of_boxes(boxes).tolist() == [2, 5]
    assert not roi_align(features, boxes, torch.zeros(2, dtype=torch.int64), size=(2, 2), scale=1.0).any()
    none = torch.zeros(0, 4)
    assert pool_boxes([features] * 4, none, none[:, 0].long(), 7).shape == (0, 2, 7, 7)


def test_weights_of_a_bin_sum_to_one_inside_the_map():
    starts, ends = torch.tensor([2.0]), torch.tensor([9.3])
    weights = averaging_weights(starts, ends, length=12, bins=3, first=torch.tensor([2]), window=9)
    assert weights.shape == (1, 3, 9) and weights.sum(dim=2)[0].tolist() == pytest.approx([1, 1, 1])
