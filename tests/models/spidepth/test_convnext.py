from __future__ import annotations

import numpy as np
import torch

from mbps_dataset.models.spidepth import DepthEncoder
from tests.vectors import COPIES

from .reference_weights import drawn_weights


def test_the_pyramid_of_the_atto_network_is_that_of_timm():
    encoder = DepthEncoder.from_reference(drawn_weights("atto_encoder", seed=606), size="atto").encoder
    image = np.random.RandomState(31).random_sample((1, 3, 64, 96)).astype(np.float32)
    with torch.no_grad():
        pyramid = encoder(torch.from_numpy(image))
    with np.load(COPIES / "convnextv2_atto_pyramid.npz") as stored:
        expected = dict(stored)
    assert len(pyramid) == len(expected) == 4
    for stage, features in enumerate(pyramid):
        np.testing.assert_allclose(features.numpy(), expected[f"stage{stage}"], rtol=1e-5, atol=5e-5)
