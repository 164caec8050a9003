"""CAUSE training: what learns in which stage, resume, one seed one result, and no way in for labels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from mbps_dataset.training import cause
from mbps_dataset.training.cause import CauseTrainingSettings, describe_codes, train_cause
from mbps_dataset.training.visual_words import train_visual_words
from tests.training.pictures import street_like_pictures


TINY_NETWORK = CauseConfig(
    hidden_size=16, layers=1, heads=2, mlp_ratio=2, patch_size=4, position_grid=8, crop=32, code_dim=10,
    projection_dim=12, codebook_size=8, feed_forward_dim=16, clusters=5,
)  # fmt: skip
TINY = CauseTrainingSettings(
    codebook_steps=2, contrastive_steps=3, probe_steps=2, windows_per_step=2, kmeans_windows=8, bank_capacity=4
)


def _segmenter() -> CauseSegmenter:
    torch.manual_seed(0)
    return CauseSegmenter(TINY_NETWORK)


def _train(folder: Path | None = None, **changes: object) -> dict[str, torch.Tensor]:
    trained = train_cause(
        _segmenter(), street_like_pictures(), replace(TINY, **changes), checkpoint_folder=folder, show_progress=False
    )
    return {name: tensor.clone() for name, tensor in trained.state_dict().items()}


def _changed(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], prefix: str) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one if name.startswith(prefix))


PARTS = ("backbone", "segment.codebook", "segment.head.", "segment.head_ema.", "segment.projection_head.", "probe")


@pytest.mark.parametrize("start", [{"codebook_kmeans_start": True}, {"kmeans_start": False}])
def test_every_part_learns_but_the_backbone(start: dict[str, bool]) -> None:
    before, after = _segmenter().state_dict(), _train(**start)
    assert [_changed(before, after, part) for part in PARTS] == [False, True, True, True, True, True]
    assert all(torch.isfinite(tensor).all() for tensor in after.values())


def test_probe_stage_leaves_the_inference_head_alone() -> None:
    without, with_probe = _train(probe_steps=0), _train(probe_steps=4)
    assert not _changed(without, with_probe, "segment.")
    assert _changed(without, with_probe, "probe")


def test_one_seed_gives_one_result() -> None:
    assert not _changed(_train(), _train(), "")
    assert _changed(_train(), _train(seed=1), "")


@pytest.mark.parametrize("kill_at", [1, 2, 4, 6])
def test_killed_training_continues_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> None:
    whole = _train()
    descend, calls = cause._Trainer._descend, []

    def _killed(*args: object) -> None:
        calls.append(0)
        if len(calls) == kill_at:
            raise KeyboardInterrupt
        descend(*args)

    monkeypatch.setattr(cause, "SAVE_EVERY", 1)
    monkeypatch.setattr(cause._Trainer, "_descend", _killed)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path)
    monkeypatch.setattr(cause._Trainer, "_descend", descend)
    assert not _changed(whole, _train(tmp_path), "")


class _LabelledPictures:
    """Pictures that carry labels with them, as an object handed in by mistake might."""

    def __init__(self, labels: object) -> None:
        self._pictures, self.labels = street_like_pictures(), labels

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> object:
        return self._pictures[index]


@pytest.mark.parametrize("labels", [None, "true", "shuffled"])
def test_labels_shuffled_or_absent_give_the_same_weights(labels: str | None) -> None:
    maps = None
    if labels:
        maps = [torch.randint(0, 19, (60, 100)) for _ in range(6)]
        maps = maps[::-1] if labels == "shuffled" else maps
    trained = train_cause(_segmenter(), _LabelledPictures(maps), TINY, show_progress=False)
    assert not _changed(_train(), trained.state_dict(), "")


@pytest.mark.parametrize("train", [train_cause, train_visual_words])
def test_trainers_have_no_parameter_for_labels(train: Callable[..., object]) -> None:
    names = set(inspect.signature(train).parameters)
    assert names <= {
        "segmenter", "network", "pictures", "settings", "width", "patch_px", "checkpoint_folder",
        "show_progress", "processes",
    }  # fmt: skip


def test_every_probe_vector_wins_from_kmeans_centres() -> None:
    segmenter = train_cause(_segmenter(), street_like_pictures(), replace(TINY, probe_steps=0), show_progress=False)
    torch.manual_seed(1)
    windows = torch.randn(16, 3, 32, 32)
    winners = segmenter.probe.assign(segmenter.codes(windows)).unique()
    assert len(winners) >= 3


def test_what_is_told_changes_nothing_and_warns_of_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    plain = _train()
    monkeypatch.setattr(cause, "_TELL_EVERY", 1)
    monkeypatch.setattr(cause.TrainingProgress, "tell", lambda self, text: told.append(text))
    often = _train()
    assert all(torch.equal(plain[name], often[name]) for name in plain) and len(told) == TINY.contrastive_steps
    assert "effective dimensions, codes in" in told[0] and "of the pairs are positive" in told[0]
    generator = torch.Generator().manual_seed(0)
    tokens, codebook = (torch.randn(*shape, generator=generator) for shape in ((2, 50, 16), (8, 16)))
    assert "collapse" not in describe_codes(tokens, tokens, codebook)
    flat = tokens[..., :4] * torch.tensor([1, 0.1, 0.1, 0.1])
    assert describe_codes(tokens, flat, codebook).endswith("the codes collapse: take whitening (--method whitening)")
