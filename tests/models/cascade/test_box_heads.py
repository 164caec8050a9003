from __future__ import annotations

import torch

from mbps_dataset.models.cascade.box_heads import STAGES, BoxHead, BoxPredictor, scale_gradient


def test_a_scaled_gradient_leaves_the_values():
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    scaled = scale_gradient(values, 1 / 3)
    assert torch.equal(scaled, values)
    (3 * scaled).sum().backward()
    assert values.grad.tolist() == [1.0, 1.0]


def test_names_and_sizes_are_those_of_published_files():
    head, predictor = BoxHead(16, 24), BoxPredictor(24, things=2)
    assert list(head.state_dict()) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    logits, codes = predictor(head(torch.randn(5, 16, 7, 7)))
    assert logits.shape == (5, 3) and codes.shape == (5, 4)
    assert [stage.iou for stage in STAGES] == [0.5, 0.6, 0.7]


def test_what_is_pooled_is_read_channel_by_channel():
    head, pooled = BoxHead(2, 3), torch.randn(1, 2, 7, 7)
    first = torch.relu(head.fc1.weight @ pooled.reshape(-1) + head.fc1.bias)
    torch.testing.assert_close(head(pooled)[0], torch.relu(head.fc2.weight @ first + head.fc2.bias))
