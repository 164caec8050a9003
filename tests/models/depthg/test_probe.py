from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.models.depthg import DepthGProbe
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def vectors():
    return load_vectors("cups/depthg_head")


@pytest.fixture
def probe(vectors):
    probe = DepthGProbe(clusters=len(vectors["clusters"]), code_dim=vectors["clusters"].shape[1])
    probe.load_state_dict({"clusters": torch.from_numpy(vectors["clusters"])})
    return probe


@torch.no_grad()
def test_scores_are_those_of_the_vector(probe, vectors):
    codes = torch.from_numpy(vectors["code"])
    np.testing.assert_allclose(probe.log_probs(codes), vectors["probe_log_probs_alpha2"], atol=1e-5)
    np.testing.assert_array_equal(probe.assign(codes), vectors["probe_argmax"])
    np.testing.assert_allclose(probe.log_probs(codes, 3.0).exp(), vectors["probe_probs_alpha3"], atol=1e-5)


def test_loss_and_gradient_are_those_of_the_vector(probe, vectors):
    codes = torch.from_numpy(vectors["code"]).requires_grad_()
    loss = probe.loss(codes)
    loss.backward()
    assert loss.item() == pytest.approx(float(vectors["probe_loss"]), abs=1e-5)
    np.testing.assert_allclose(probe.clusters.grad, vectors["probe_grad"], atol=1e-5)
    assert codes.grad is None
    assert probe.loss(codes, factor=3.0).item() == pytest.approx(float(vectors["probe_loss_alpha3"]), abs=1e-5)
