from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.raft import convex_upsampling
from mbps_dataset.models.raft.upsampling import MaskPredictor
from tests.vectors import load_vectors


def test_pixels_of_flow_are_those_of_the_vector():
    vectors = load_vectors("cups/raft_parts")
    found = convex_upsampling(torch.from_numpy(vectors["flow"]), torch.from_numpy(vectors["mask"]))
    np.testing.assert_allclose(found, vectors["upsampled"], atol=1e-5)


def test_a_mask_that_names_one_neighbour_copies_it():
    flow = torch.arange(24.0).reshape(1, 2, 3, 4)
    mask = torch.full((1, 9, 2, 2, 3, 4), -1e4)
    mask[:, 4], mask[:, 4, 0, 1], mask[:, 5, 0, 1] = (
        1e4,
        -1e4,
        1e4,
    )  # the pixel at row 0, column 1 of a cell looks right
    pixels = convex_upsampling(flow, mask.flatten(1, 3), factor=2)
    assert torch.equal(pixels[..., ::2, ::2], 2 * flow)
    assert torch.equal(pixels[..., ::2, 1:-1:2], 2 * flow[..., 1:]) and (pixels[..., ::2, -1] == 0).all()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"`mask` to be \(1, 576, 3, 4\) for a flow of \(1, 2, 3, 4\)"):
        convex_upsampling(torch.zeros(1, 2, 3, 4), torch.zeros(1, 9, 3, 4))


def test_a_mask_is_a_quarter_of_its_convolution():
    predictor = MaskPredictor(5, 6)
    torch.nn.init.zeros_(predictor.conv.weight)
    torch.nn.init.ones_(predictor.conv.bias)
    assert (predictor(torch.zeros(1, 5, 2, 2)) == 0.25).all()
