from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cause import ClusterProbe
from tests.models.cause.cause_weights import drawn_state, noise, published_shapes
from tests.vectors import load_vectors


def test_the_numbers_of_the_vectors() -> None:
    vectors = load_vectors("cause_cluster_small")
    probe = ClusterProbe.from_reference({"cluster_probe": torch.from_numpy(vectors["cluster_probe"])})
    codes = torch.from_numpy(vectors["code"])
    with torch.no_grad():
        np.testing.assert_allclose(probe.log_probs(codes), vectors["logsoftmax_alpha3"], atol=1e-5)
        np.testing.assert_allclose(probe.log_probs(codes, alpha=9), vectors["logsoftmax_alpha9"], atol=1e-5)
        np.testing.assert_array_equal(probe.assign(codes), vectors["argmax"])
    loss = probe.loss(codes)
    loss.backward()
    np.testing.assert_allclose(loss.item(), vectors["cluster_loss"], atol=1e-5)
    np.testing.assert_allclose(probe.cluster_probe.grad, vectors["grad_cluster_probe"], atol=1e-5)


def test_the_published_file_at_full_size() -> None:
    state = drawn_state(published_shapes("cluster"), 202)
    probe = ClusterProbe.from_reference(state)
    assert torch.equal(probe.cluster_probe, state["cluster_probe"])
    scores = probe.log_probs(noise(1, (1, 529, 90)))
    assert scores.shape == (1, 27, 23, 23)
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(1, 23, 23))


def test_lengths_do_not_matter() -> None:
    probe, codes = ClusterProbe(clusters=5, code_dim=4).requires_grad_(False), noise(3, (2, 9, 4))
    torch.testing.assert_close(probe.log_probs(codes), probe.log_probs(7.5 * codes))
    assert float(probe.cosine(codes).abs().max()) <= 1 + 1e-6


def test_tokens_are_laid_out_row_by_row() -> None:
    probe = ClusterProbe.from_reference({"cluster_probe": torch.eye(4)})
    codes = torch.eye(4)[[0, 1, 2, 3]][None]
    assert probe.assign(codes).tolist() == [[[0, 1], [2, 3]]]


def test_bad_input() -> None:
    with pytest.raises(WeightsError, match=r"missing \(1\): cluster_probe"):
        ClusterProbe.from_reference({"codebook": torch.zeros(3, 2)})
    with pytest.raises(WeightsError, match=r"unexpected \(1\): bias"):
        ClusterProbe.from_reference({"cluster_probe": torch.zeros(3, 2), "bias": torch.zeros(3)})
    with pytest.raises(WeightsError, match=r"cluster_probe is \[3\]"):
        ClusterProbe.from_reference({"cluster_probe": torch.zeros(3)})
    with pytest.raises(ValueError, match="square number of tokens per window, but got 8"):
        ClusterProbe(clusters=3, code_dim=2).assign(torch.zeros(1, 8, 2))
