"""Colours change alike in the three frames, only where asked, and stay in range."""

from __future__ import annotations

import pytest
import torch

from mbps_dataset.training import colour_jitter
from mbps_dataset.training.colour_jitter import jitter_triplets


def _jittered(frames: torch.Tensor, chosen: list[bool], seed: int = 0) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return jitter_triplets(frames, torch.tensor(chosen))


def test_only_chosen_triplets_change_and_their_frames_change_alike() -> None:
    frame = torch.rand(2, 1, 3, 6, 8, generator=torch.Generator().manual_seed(2))
    frames = frame.expand(2, 3, 3, 6, 8)
    out = _jittered(frames, [False, True])
    assert torch.equal(out[0], frames[0])
    assert (out[1] - frames[1]).abs().max() > 0.01
    torch.testing.assert_close(out[1, 0], out[1, 2])
    assert 0 <= out.min() and out.max() <= 1
    assert torch.equal(_jittered(frames, [False, False]), frames)
    assert not torch.equal(_jittered(frames, [True, True], 1), _jittered(frames, [True, True], 2))


def test_grey_stays_grey_under_hue_and_saturation(monkeypatch: pytest.MonkeyPatch) -> None:
    out = _jittered(torch.full((1, 3, 3, 4, 4), 0.5), [True])
    torch.testing.assert_close(out[:, :, 0], out[:, :, 2], rtol=0, atol=1e-3)
    monkeypatch.setattr(colour_jitter, "STRENGTH", 0.0)
    monkeypatch.setattr(colour_jitter, "HUE_TURNS", 0.0)
    frames = torch.rand(1, 3, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(_jittered(frames, [True]), frames, rtol=0, atol=1e-5)
