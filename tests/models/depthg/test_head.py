from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.depthg import DepthGHead, feature_map
from mbps_dataset.models.depthg.head import draw_kept_channels
from tests.models.published import tensors
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def vectors():
    return load_vectors("cups/depthg_head")


@pytest.fixture(scope="module")
def head(vectors):
    weights = tensors(vectors)
    dims = weights["cluster1.0.weight"].shape
    head = DepthGHead(feature_dim=dims[1], code_dim=dims[0])
    head.load_state_dict(weights)
    return head


@torch.no_grad()
def test_features_and_codes_are_those_of_the_vector(head, vectors):
    features = feature_map(torch.from_numpy(vectors["tokens"]), vectors["code"].shape[-2:])
    np.testing.assert_allclose(features, vectors["features"], atol=1e-5)
    np.testing.assert_allclose(head(features), vectors["code"], atol=1e-5)


@torch.no_grad()
def test_codes_and_signal_with_dropped_channels_are_those_of_the_vector(head, vectors):
    kept = torch.from_numpy(vectors["train/masks_linear_nonlinear_signal"])
    codes, signal = head.training_pass(torch.from_numpy(vectors["features"]), kept)
    np.testing.assert_allclose(codes, vectors["train/code"], atol=1e-5)
    np.testing.assert_allclose(signal, vectors["train/signal_features"], atol=1e-5)


def test_a_tenth_of_the_channels_is_dropped_three_times_independently():
    kept = draw_kept_channels(torch.zeros(40, 500, 1, 1), torch.Generator().manual_seed(0))
    assert kept.shape == (3, 40, 500) and set(kept.unique().tolist()) == {0, 1}
    assert abs(kept.mean() - 0.9) < 0.01
    dropped = 1 - kept
    assert (
        abs((dropped[0] * dropped[1]).mean() - 0.01) < 0.004 and abs((dropped[1] * dropped[2]).mean() - 0.01) < 0.004
    )


def test_shapes_that_do_not_fit_are_refused(head):
    with pytest.raises(ValueError, match=r"Expected tokens \[B, 43, D\] of 6x7 patches, but got \(1, 42, 24\)"):
        feature_map(torch.zeros(1, 42, 24), (6, 7))
    with pytest.raises(ValueError, match=r"`kept` to be \(3, 1, 24\), but got \(3, 24\)"):
        head.training_pass(torch.zeros(1, 24, 6, 7), torch.ones(3, 24))
