"""Windows lie where they say, tokens show the spots they say, colours stay colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.errors import InputError
from mbps_dataset.training.views import (
    draw_picture_indices,
    draw_windows,
    jitter_windows,
)
from tests.examples import examples


def _coordinates(height: int, width: int) -> np.ndarray:
    """A picture whose red is the row and green the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], -1).astype(np.uint8)


@examples(25)
@given(st.integers(0, 10_000))
def test_tokens_show_the_spots_they_say(seed: int) -> None:
    torch.manual_seed(seed)
    view = draw_windows([_coordinates(96, 160)], [0], 48, share=(0.4, 1.0))
    shown = torch.nn.functional.avg_pool2d(view.pixels * 255, 8).flatten(2)[0, :2].T + 0.5
    torch.testing.assert_close(shown, view.spots(6)[0] * torch.tensor([96.0, 160.0]), rtol=0, atol=1.5)


def test_window_without_choice_is_the_picture_itself() -> None:
    picture = _coordinates(32, 32)
    view = draw_windows([picture], [0], 32, share=(1.0, 1.0), mirror=False)
    assert torch.equal(view.pixels[0] * 255, torch.from_numpy(picture).permute(2, 0, 1).float())
    assert view.box.tolist() == [[0, 0, 32]]


def test_window_shares_are_kept() -> None:
    torch.manual_seed(0)
    view = draw_windows([_coordinates(100, 200)], [0] * 50, 10, share=(0.3, 0.6))
    side = view.box[:, 2]
    assert side.min() >= 30 and side.max() <= 60 and side.max() - side.min() > 15
    assert 10 < int(view.mirrored.sum()) < 40


def test_jitter_changes_colours_within_range() -> None:
    torch.manual_seed(0)
    pixels = torch.rand(4, 3, 8, 8)
    changed = jitter_windows(pixels)
    assert changed.shape == pixels.shape and 0 <= changed.min() and changed.max() <= 1
    assert (changed - pixels).abs().mean() > 0.02
    still = jitter_windows(pixels, brightness=0, contrast=0, saturation=0, hue_turn=0)
    torch.testing.assert_close(still, pixels, rtol=0, atol=1e-5)


def test_no_pictures_is_a_clear_error() -> None:
    with pytest.raises(InputError, match="no pictures to train on"):
        draw_picture_indices(2, [])
