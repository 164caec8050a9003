"""Mean field against its equations written out with dense matrices, and the local filter against the global one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.stages.mean_field import GlobalTerm, LocalTerm, mean_field, reach
from mbps_dataset.stages.permutohedral import build_lattice
from mbps_dataset.stages.tiling import Tiling
from tests.examples import examples


def positions(tiling: Tiling, sxy: float) -> np.ndarray:
    y, x = np.mgrid[: tiling.height, : tiling.width].astype(np.float32) / np.float32(sxy)
    return np.stack([x, y])


def random_probs(tiling: Tiling, n_classes: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.softmax(torch.randn(tiling.height * tiling.width, n_classes, generator=random), dim=1)


def kernel(features: np.ndarray) -> np.ndarray:
    """n F n as a dense matrix."""
    matrix = build_lattice(features).filter(torch.eye(features.shape[1])).double().numpy()
    norm = 1 / np.sqrt(matrix.sum(axis=1))
    return norm[:, None] * matrix * norm


def test_equals_the_equations():
    tiling = Tiling(7, 9, side=4)
    features = [positions(tiling, 1.0), np.concatenate([positions(tiling, 5.0), np.random.rand(3, 7, 9) * 2])]
    features = [planes.astype(np.float32) for planes in features]
    weights = [3.0, 4.0]
    probs = random_probs(tiling, 3)
    expected = probs.double().numpy()
    matrices = [kernel(tiling.in_order(planes)) for planes in features]
    q = expected
    for _ in range(4):
        q = expected * np.exp(sum(w * matrix @ q for w, matrix in zip(weights, matrices)))
        q /= q.sum(axis=1, keepdims=True)
    terms = [GlobalTerm.build(planes, tiling, w) for planes, w in zip(features, weights)]
    np.testing.assert_allclose(mean_field(probs, terms, tiling, 4).numpy(), q, atol=2e-5)


@examples(20)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    side=st.integers(4, 30),
    sxy=st.sampled_from([0.2, 0.5, 0.8, 1.0, 1.7, 3.0]),
    compose=st.booleans(),
)
def test_filtering_tile_by_tile_equals_filtering_the_image(height, width, side, sxy, compose):
    tiling = Tiling(height, width, side)
    features, probs = positions(tiling, sxy), random_probs(tiling, 3)
    whole = torch.cat(list(GlobalTerm.build(features, tiling, 2.5).messages(probs)))
    tiles = torch.cat(list(LocalTerm.build(features, tiling, reach(sxy), 2.5, compose).messages(probs)))
    torch.testing.assert_close(tiles, whole, atol=1e-5, rtol=1e-5)


def test_a_margin_below_the_reach_would_be_wrong():
    tiling = Tiling(30, 30, side=10)
    features, probs = positions(tiling, 1.0), random_probs(tiling, 3)
    whole = torch.cat(list(GlobalTerm.build(features, tiling, 1.0).messages(probs)))
    tiles = torch.cat(list(LocalTerm.build(features, tiling, reach(1.0) - 1, 1.0, False).messages(probs)))
    assert (tiles - whole).abs().max() > 1e-4


@pytest.mark.parametrize("weight", [20.0, 90.0, 5000.0])
def test_strong_terms_do_not_overflow(weight):
    tiling = Tiling(6, 6, side=3)
    probs = random_probs(tiling, 4)
    q = mean_field(probs, [GlobalTerm.build(positions(tiling, 2.0), tiling, weight)], tiling, 3)
    assert torch.isfinite(q).all()
    torch.testing.assert_close(q.sum(dim=1), torch.ones(36))


def test_without_terms_or_iterations_probabilities_stay():
    tiling = Tiling(5, 4, side=3)
    probs = random_probs(tiling, 4)
    torch.testing.assert_close(mean_field(probs, [], tiling, 3), probs)
    term = GlobalTerm.build(positions(tiling, 1.0), tiling, 3.0)
    torch.testing.assert_close(mean_field(probs, [term], tiling, 0), probs)
