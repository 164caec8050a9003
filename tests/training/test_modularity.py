"""The modularity loss and grid sampling against the reference implementation, and what makes them modularity."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.training.modularity import assignments, draw_grid_order, grid_sample, modularity_loss, token_graph
from tests.examples import examples
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in load_vectors("cause_modularity").items()}


def test_loss_and_gradient_match_the_reference_vectors(golden: dict[str, torch.Tensor]) -> None:
    codebook = golden["codebook"].clone().requires_grad_()
    loss = modularity_loss(golden["feat"], codebook)
    loss.backward()
    torch.testing.assert_close(loss.detach(), golden["loss"], rtol=1e-5, atol=0)
    torch.testing.assert_close(codebook.grad, golden["grad_codebook"], rtol=0, atol=1e-5)


def test_graph_and_assignments_match_the_reference_vectors(golden: dict[str, torch.Tensor]) -> None:
    graph = token_graph(golden["feat"])
    torch.testing.assert_close(graph.modularity, golden["W"], rtol=0, atol=1e-5)
    torch.testing.assert_close(graph.edge_sum, golden["edge_sum"], rtol=1e-5, atol=0)
    torch.testing.assert_close(assignments(golden["feat"], golden["codebook"]), golden["C"], rtol=0, atol=1e-5)


def test_grid_sampling_matches_the_reference_vectors(golden: dict[str, torch.Tensor]) -> None:
    assert torch.equal(grid_sample(golden["ss_in"], golden["ss_order"]), golden["ss_out"])


def test_no_gradient_reaches_the_tokens() -> None:
    tokens, vectors = torch.randn(1, 6, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    modularity_loss(tokens, vectors).backward()
    assert tokens.grad is None and vectors.grad is not None and vectors.grad.abs().sum() > 0


def test_true_groups_score_better_than_one_group_for_all() -> None:
    groups = torch.eye(2).repeat_interleave(5, dim=0)[None] + 0.01
    apart, together = torch.eye(2), torch.ones(1, 2)
    assert modularity_loss(groups, apart) < modularity_loss(groups, together) - 0.1


@examples(20)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 5))
def test_rows_of_modularity_sum_to_zero_and_loss_is_bounded(seed: int, tokens: int, vectors: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(2, tokens, 3, generator=generator) + 0.1  # non-negative, so that there are edges
    graph = token_graph(features)
    torch.testing.assert_close(graph.modularity.sum(2), torch.zeros(2, tokens), rtol=0, atol=1e-4)
    assert -1.0001 <= modularity_loss(features, torch.randn(vectors, 3, generator=generator)) <= 1.0001


@examples(20)
@given(st.integers(1, 3), st.integers(4, 13), st.integers(0, 1000))
def test_sampled_tokens_come_from_their_own_block(pictures: int, side: int, seed: int) -> None:
    position = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"), -1).float()
    tokens = position.reshape(1, side * side, 2).expand(pictures, -1, -1)
    torch.manual_seed(seed)
    chosen = grid_sample(tokens, draw_grid_order(pictures, side))
    blocks = side // 4
    expected = torch.stack(torch.meshgrid(torch.arange(blocks), torch.arange(blocks), indexing="ij"), -1)
    assert torch.equal((chosen // 4).long(), expected.reshape(1, -1, 2).expand(pictures, -1, -1))


def test_wrong_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="square number of tokens, but got 6"):
        grid_sample(torch.zeros(1, 6, 2), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ValueError, match="Expected 4 entries in `order`, but got 3"):
        grid_sample(torch.zeros(1, 64, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="at least 4x4, but got 3x3"):
        draw_grid_order(1, 3)
