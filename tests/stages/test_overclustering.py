from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mbps_dataset.stages.overclustering import cluster_logits, collect_tokens, fit_kmeans, unit_rows
from tests.examples import examples


def blobs(count: int = 600, k: int = 6, channels: int = 8, spread: float = 0.15, seed: int = 0):
    generator = np.random.default_rng(seed)
    centres = unit_rows(generator.standard_normal((k, channels)))
    owner = generator.integers(k, size=count)
    return centres[owner] + spread * generator.standard_normal((count, channels)), owner, centres


def cost(tokens: np.ndarray, centres: np.ndarray) -> float:
    return float(np.sum(1 - (unit_rows(tokens) @ centres.T).max(axis=1)))


def test_two_fits_are_equal_to_the_bit() -> None:
    tokens, _, _ = blobs()
    first, second = (fit_kmeans(tokens, 20, seed=3, restarts=2) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.dtype == np.float64 and first.shape == (20, 8)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-12)
    assert not np.allclose(first, fit_kmeans(tokens, 20, seed=4, restarts=2))


def test_separate_groups_are_found() -> None:
    tokens, owner, centres = blobs()
    fitted = fit_kmeans(tokens, 6, seed=0)
    found = (unit_rows(tokens) @ fitted.T).argmax(axis=1)
    names = [np.bincount(owner[found == cluster], minlength=6).argmax() for cluster in range(6)]
    assert sorted(names) == list(range(6))
    assert (np.array(names)[found] == owner).mean() > 0.97
    assert cost(tokens, fitted) <= cost(tokens, centres)


def test_a_rare_group_keeps_its_cluster() -> None:
    common, _, centres = blobs(count=3000, k=5, spread=0.05)
    rare = unit_rows(np.random.default_rng(9).standard_normal((1, 8)))
    tokens = np.concatenate([common, rare + 0.05 * np.random.default_rng(8).standard_normal((6, 8))])
    for seed in range(4):
        fitted = fit_kmeans(tokens, 6, seed=seed, restarts=5)
        assert float((fitted @ rare.T).max()) > 0.99


def test_more_restarts_and_rounds_are_never_worse() -> None:
    tokens, _, _ = blobs(k=12, spread=0.5)
    costs = [cost(tokens, fit_kmeans(tokens, 12, seed=1, restarts=restarts)) for restarts in (1, 3, 6)]
    assert costs[0] >= costs[1] - 1e-9 >= costs[2] - 2e-9
    few, many = (cost(tokens, fit_kmeans(tokens, 12, seed=1, restarts=1, iterations=n)) for n in (1, 50))
    assert many < few


@examples(25)
@given(seed=st.integers(0, 1000), k=st.integers(1, 9), duplicates=st.integers(1, 5))
def test_every_cluster_has_a_token(seed: int, k: int, duplicates: int) -> None:
    distinct = np.random.default_rng(seed).standard_normal((9, 3))
    tokens = np.repeat(distinct, duplicates, axis=0)
    centres = fit_kmeans(tokens, k, seed=seed, restarts=1)
    owner = (unit_rows(tokens) @ centres.T).argmax(axis=1)
    assert len(np.unique(owner)) == k
    if k == 9:
        assert cost(tokens, centres) == pytest.approx(0, abs=1e-9)


def test_length_does_not_matter_and_tokens_without_length_are_left_out() -> None:
    tokens, _, _ = blobs(count=200)
    stretched = tokens * np.random.default_rng(1).uniform(0.5, 9, (200, 1))
    np.testing.assert_allclose(fit_kmeans(tokens, 5, seed=0), fit_kmeans(stretched, 5, seed=0), atol=1e-9)
    with_zeros = np.concatenate([tokens, np.zeros((3, 8))])
    np.testing.assert_allclose(fit_kmeans(tokens, 5, seed=0), fit_kmeans(with_zeros, 5, seed=0), atol=1e-9)


def test_tokens_are_cell_means_in_order() -> None:
    codes = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 6, 12)).astype(np.float32))
    tokens = collect_tokens(codes, grid_hw=(3, 6), limit=None)
    expected = functional.avg_pool2d(codes[None], 2)[0].flatten(1).T
    expected = expected / expected.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(tokens, expected, atol=1e-6)
    np.testing.assert_allclose(tokens, collect_tokens(codes.numpy(), grid_hw=(3, 6), limit=18), atol=1e-6)


def test_a_mask_and_a_limit_choose_tokens() -> None:
    codes = np.random.default_rng(0).standard_normal((4, 5, 5)).astype(np.float32)
    everything = collect_tokens(codes, grid_hw=(5, 5), limit=None)
    valid = np.zeros((5, 5), dtype=bool)
    valid[1, 2] = valid[3, 0] = True
    np.testing.assert_allclose(collect_tokens(codes, grid_hw=(5, 5), valid=valid), everything[[7, 15]], atol=1e-6)
    some = collect_tokens(codes, grid_hw=(5, 5), limit=7, seed=1)
    assert len(some) == 7 and all(np.isclose(everything, row, atol=1e-6).all(axis=1).any() for row in some)
    np.testing.assert_allclose(some, collect_tokens(codes, grid_hw=(5, 5), limit=7, seed=1), atol=1e-6)
    assert not np.allclose(some, collect_tokens(codes, grid_hw=(5, 5), limit=7, seed=2))


def test_scores_are_cosines_in_either_library() -> None:
    generator = np.random.default_rng(0)
    codes, centroids = generator.standard_normal((4, 2, 3)).astype(np.float32), generator.standard_normal((5, 4))
    scores = cluster_logits(codes, centroids)
    expected = np.einsum("kc,chw->khw", unit_rows(centroids), codes / np.linalg.norm(codes, axis=0))
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert isinstance(scores, np.ndarray) and scores.dtype == np.float32
    torch.testing.assert_close(cluster_logits(torch.from_numpy(codes), centroids), torch.from_numpy(scores))


def test_bad_input() -> None:
    tokens = np.random.default_rng(0).standard_normal((5, 3))
    with pytest.raises(ValueError, match="at least 6 distinct tokens for 6 clusters, but got 5"):
        fit_kmeans(tokens, 6)
    with pytest.raises(ValueError, match="at least 6 distinct tokens for 6 clusters, but got 5"):
        fit_kmeans(np.repeat(tokens, 4, axis=0), 6)
    with pytest.raises(ValueError, match=r"finite numbers \[N, C\]"):
        fit_kmeans(np.array([[1.0, np.nan]]), 1)
    with pytest.raises(ValueError, match="at least 1, but got 0"):
        fit_kmeans(tokens, 0)
    with pytest.raises(ValueError, match="with the same C"):
        cluster_logits(np.zeros((4, 2, 2), dtype=np.float32), tokens)
    with pytest.raises(ValueError, match="`valid` to have the shape of the cells"):
        collect_tokens(np.zeros((2, 4, 4), dtype=np.float32), grid_hw=(2, 2), valid=np.ones((4, 4), dtype=bool))
