"""The contrastive loss against the reference implementation; the bank's order, capacity and state."""

from __future__ import annotations

import pytest
import torch

from mbps_dataset.training.contrastive import TokenBank, contrastive_loss, nearest_codebook_index, pair_shares
from tests.vectors import load_vectors


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in load_vectors("cause_contrastive").items()}


@pytest.mark.parametrize("bank", ["empty_bank", "with_bank"])
def test_loss_and_gradient_match_the_reference_vectors(golden: dict[str, torch.Tensor], bank: str) -> None:
    student = golden["proj_feat"].clone().requires_grad_()
    given = {"bank_features": golden["bank_feat"], "bank_indices": golden["bank_index"].long()}
    loss = contrastive_loss(
        golden["feat"], student, golden["proj_feat_ema"], golden["codebook"], **(given if bank == "with_bank" else {})
    )
    loss.backward()
    torch.testing.assert_close(loss.detach(), golden[f"loss_{bank}"], rtol=1e-5, atol=0)
    torch.testing.assert_close(student.grad, golden[f"grad_{bank}"], rtol=0, atol=1e-5)


def test_only_the_student_learns(golden: dict[str, torch.Tensor]) -> None:
    tensors = [golden[name].clone().requires_grad_() for name in ("feat", "proj_feat", "proj_feat_ema", "codebook")]
    contrastive_loss(*tensors).backward()
    assert [tensor.grad is None for tensor in tensors] == [True, False, True, True]


def test_without_positive_pairs_the_loss_is_zero_and_finite() -> None:
    features = torch.eye(4)[None]
    student = torch.randn(1, 4, 8, requires_grad=True)
    loss = contrastive_loss(features, student, torch.randn(1, 4, 8), torch.eye(4))
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(student.grad).all()


def test_agreeing_projections_cost_less() -> None:
    features = torch.eye(2).repeat_interleave(4, dim=0)[None]
    agreeing = features.clone()
    mixed = features[:, [0, 4, 1, 5, 2, 6, 3, 7]]
    same = contrastive_loss(features, agreeing, agreeing, torch.eye(2))
    assert same < contrastive_loss(features, mixed, mixed, torch.eye(2)) - 1


def test_nearest_codebook_index_ignores_length() -> None:
    codebook = torch.tensor([[10.0, 0.0], [0.0, 0.1]])
    assert nearest_codebook_index(torch.tensor([[1.0, 2.0], [2.0, 1.0]]), codebook).tolist() == [1, 0]


def test_bank_keeps_the_newest_half_up_to_its_capacity() -> None:
    torch.manual_seed(0)
    bank = TokenBank(3, 1, capacity=4)
    assert bank.contents()[0].shape == (0, 1)
    for value in range(1, 6):
        bank.add(torch.full((4, 1), float(value)), torch.tensor([0, 0, 0, 2]))
    features, rows = bank.contents()
    assert rows.tolist() == [0] * 4 + [2] * 4
    assert sorted(features[rows == 0, 0].tolist()) == [4, 4, 5, 5]  # two of three per batch
    assert sorted(features[rows == 2, 0].tolist()) == [2, 3, 4, 5]  # one of one


def test_bank_state_goes_through_a_dictionary() -> None:
    bank, other = TokenBank(2, 3, capacity=5), TokenBank(2, 3, capacity=5)
    bank.add(torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 1, 1]))
    other.load_state_dict(bank.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(bank.contents(), other.contents()))
    bank.add(torch.randn(2, 3), torch.tensor([0, 1]))
    assert len(other.contents()[0]) == 3  # a copy, not a view


def test_shares_of_pairs_are_counted_without_a_token_and_itself() -> None:
    codebook = torch.eye(2)
    tokens = torch.tensor([[[1.0, 0.1], [1.0, 0.2], [0.1, 1.0]]])  # two of one row, one of the other
    shares = pair_shares(tokens, codebook)
    assert shares.positive == pytest.approx(2 / 6) and shares.negative == pytest.approx(4 / 6)
