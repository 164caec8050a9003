"""Self-distillation: balanced targets, masks, both kinds of transformer, one seed one result, resume, no collapse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

from mbps_dataset.training.self_distillation import (
    SelfDistillationSettings,
    balanced_assignment,
    draw_block_masks,
    train_self_distillation,
)
from tests.training.pictures import street_like_pictures


TINY = SelfDistillationSettings(steps=4, pictures_per_step=2, window_px=40, prototypes=16, bottleneck=8)


def _dinov2() -> torch.nn.Module:
    torch.manual_seed(0)
    return Dinov2Model(
        Dinov2Config(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, patch_size=8, image_size=40, mlp_ratio=2
        )
    )


def _dinov3() -> torch.nn.Module:
    torch.manual_seed(0)
    return DINOv3ViTModel(
        DINOv3ViTConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, patch_size=8, image_size=40,
            num_register_tokens=2,
        )
    )  # fmt: skip


def _train(network: torch.nn.Module, path: Path | None = None, **changes: object) -> dict[str, torch.Tensor]:
    trained = train_self_distillation(
        network, street_like_pictures(), replace(TINY, **changes), width=16, patch_px=8, checkpoint_path=path,
        show_progress=False,
    )  # fmt: skip
    return {name: tensor.clone() for name, tensor in trained.state_dict().items()}


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("network", [_dinov2, _dinov3])
@pytest.mark.parametrize("local_windows", [0, 2])
def test_trains_both_kinds_of_transformer(network: object, local_windows: int) -> None:
    before = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    after = _train(network(), local_windows=local_windows, local_px=24)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert not _equal(before, after)


def test_one_seed_gives_one_result() -> None:
    assert _equal(_train(_dinov2()), _train(_dinov2()))
    assert not _equal(_train(_dinov2()), _train(_dinov2(), seed=1))


def test_killed_training_continues_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mbps_dataset.training import self_distillation

    whole = _train(_dinov2())
    monkeypatch.setattr(self_distillation, "SAVE_EVERY", 1)
    follow, calls = self_distillation._follow, []

    def _killed(*args: object) -> None:
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        follow(*args)

    monkeypatch.setattr(self_distillation, "_follow", _killed)
    with pytest.raises(KeyboardInterrupt):
        _train(_dinov2(), tmp_path / "c.pt")
    monkeypatch.setattr(self_distillation, "_follow", follow)
    assert _equal(whole, _train(_dinov2(), tmp_path / "c.pt"))


def test_targets_of_different_tokens_stay_different() -> None:
    """Nothing collapses: after some steps, sky and ground fall on different prototypes."""
    torch.manual_seed(0)
    network = _dinov2()
    train_self_distillation(
        network, street_like_pictures(), replace(TINY, steps=30, learning_rate=3e-3), width=16, patch_px=8,
        show_progress=False,
    )  # fmt: skip
    picture = torch.from_numpy(street_like_pictures(1, 40, 40, seed=9)[0]).permute(2, 0, 1)[None].float() / 255
    tokens = network.eval()(pixel_values=(picture - 0.45) / 0.22).last_hidden_state[0, 1:].reshape(5, 5, 16)
    across = torch.cosine_similarity(tokens[0, 0], tokens[4, 0], dim=0)
    along = torch.cosine_similarity(tokens[0, 0], tokens[0, 1], dim=0)
    assert across < along


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(2, 8))
def test_assignments_are_balanced(seed: int, prototypes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(32 * prototypes, prototypes, generator=generator) * 0.4
    assigned = balanced_assignment(scores, 0.1, rounds=10)
    torch.testing.assert_close(assigned.sum(1), torch.ones(len(scores)))
    torch.testing.assert_close(assigned.sum(0), torch.full((prototypes,), 32.0), rtol=0.05, atol=0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(3, 16))
def test_masks_hide_at_least_their_share(seed: int, side: int) -> None:
    torch.manual_seed(seed)
    masks = draw_block_masks(3, side, (0.3, 0.5))
    hidden = masks.float().mean(1)
    assert masks.shape == (3, side * side) and (hidden >= 0.25).all() and (hidden < 0.75).all()


def test_windows_of_part_patches_are_refused() -> None:
    with pytest.raises(ValueError, match="`window_px` to be a multiple of the patch size 8, but got 42; 40 fits"):
        _train(_dinov2(), window_px=42)
    with pytest.raises(ValueError, match="`local_px` to be a multiple of the patch size 8, but got 20"):
        _train(_dinov2(), local_px=20, local_windows=1)
