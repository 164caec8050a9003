"""Visual words: words lie where they should, rounds follow each other, one seed one result, resume, no labels."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

from mbps_dataset.training import visual_words
from mbps_dataset.training.views import draw_windows
from mbps_dataset.training.visual_words import VisualWordsSettings, surprising_words, train_visual_words
from tests.training.pictures import street_like_pictures


TINY = VisualWordsSettings(rounds=2, steps_per_round=3, words=6, windows_per_step=2, window_px=40)


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
            hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, patch_size=8,
            image_size=40, num_register_tokens=2,
        )
    )  # fmt: skip


def _train(network: torch.nn.Module, folder: Path | None = None, **changes: object) -> dict[str, torch.Tensor]:
    trained = train_visual_words(
        network, street_like_pictures(), replace(TINY, **changes), width=16, patch_px=8, checkpoint_folder=folder,
        show_progress=False,
    )  # fmt: skip
    return {name: tensor.clone() for name, tensor in trained.state_dict().items()}


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("network", [_dinov2, _dinov3])
@pytest.mark.parametrize("bag_weight", [0.0, 1.0])
def test_trains_both_kinds_of_transformer(network: object, bag_weight: float) -> None:
    before = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    after = _train(network(), bag_weight=bag_weight)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert not _equal(before, after)


def test_one_seed_gives_one_result() -> None:
    assert _equal(_train(_dinov2()), _train(_dinov2()))
    assert not _equal(_train(_dinov2()), _train(_dinov2(), seed=1))


@pytest.mark.parametrize("kill_at", [1, 3, 5])
def test_killed_training_continues_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> None:
    whole = _train(_dinov2())
    losses, calls = visual_words._Round._losses, []

    def _killed(self: object) -> object:
        calls.append(0)
        if len(calls) == kill_at:
            raise KeyboardInterrupt
        return losses(self)

    monkeypatch.setattr(visual_words, "SAVE_EVERY", 2)
    monkeypatch.setattr(visual_words._Round, "_losses", _killed)
    with pytest.raises(KeyboardInterrupt):
        _train(_dinov2(), tmp_path)
    monkeypatch.setattr(visual_words._Round, "_losses", losses)
    assert _equal(whole, _train(_dinov2(), tmp_path))


def test_words_are_learned() -> None:
    """After a short training, sky and ground of an unseen picture are told apart, neighbours in the sky are not."""
    network = _dinov2()
    train_visual_words(
        network, street_like_pictures(), replace(TINY, rounds=1, steps_per_round=40, learning_rate=3e-3), width=16,
        patch_px=8, show_progress=False,
    )  # fmt: skip
    picture = torch.from_numpy(street_like_pictures(1, 40, 40, seed=9)[0]).permute(2, 0, 1)[None].float() / 255
    tokens = network(pixel_values=(picture - 0.45) / 0.22).last_hidden_state[0, 1:].reshape(5, 5, 16)
    across = torch.cosine_similarity(tokens[0, 0], tokens[4, 0], dim=0)
    along = torch.cosine_similarity(tokens[0, 0], tokens[0, 1], dim=0)
    assert across + 0.2 < along


def test_words_of_a_window_are_those_under_it() -> None:
    maps = visual_words._WordMaps()
    words = [torch.arange(6 * 10), 100 + torch.arange(4 * 4)]
    maps.set(torch.cat(words), [(6, 10), (4, 4)])
    pictures = [np.zeros((60, 100, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)]
    view = draw_windows(pictures, [1], 40, share=(1.0, 1.0), mirror=False)
    assert torch.equal(maps.under(view, [1], 4)[0], words[1])
    torch.manual_seed(0)
    for _ in range(5):
        view = draw_windows(pictures, [0], 20, share=(0.3, 1.0))
        found = maps.under(view, [0], 2)[0]
        spots = view.spots(2)[0]
        assert found.tolist() == [int(row * 6) * 10 + int(column * 10) for row, column in spots.tolist()]


def test_surprising_words_are_rare_ones_that_occur() -> None:
    frequency = torch.tensor([0.7, 0.2, 0.1, 0.0])
    bags = surprising_words(torch.tensor([[0, 0, 0, 2], [0, 0, 0, 0]]), frequency)
    torch.testing.assert_close(bags.sum(1), torch.ones(2))
    assert bags[0].argmax() == 2 and bags[0, 1] == 0
    assert bags[1].tolist() == [1, 0, 0, 0]


def test_pictures_of_any_size_can_be_mixed() -> None:
    pictures = [street_like_pictures(1, *size)[0] for size in ((40, 40), (60, 100), (130, 70), (300, 200))]
    network = train_visual_words(_dinov2(), pictures, TINY, width=16, patch_px=8, show_progress=False)
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_part_patches_are_refused() -> None:
    with pytest.raises(ValueError, match="`window_px` to be a multiple of the patch size 8, but got 42; 40 fits"):
        _train(_dinov2(), window_px=42)


def test_there_is_no_parameter_for_labels() -> None:
    assert set(inspect.signature(train_visual_words).parameters) == {
        "network", "pictures", "settings", "width", "patch_px", "checkpoint_folder", "show_progress",
    }  # fmt: skip
