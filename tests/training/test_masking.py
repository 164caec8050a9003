"""Masks hide about the share they should."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.training.masking import draw_block_masks
from tests.examples import examples


@examples(20)
@given(st.integers(0, 1000), st.integers(3, 16))
def test_masks_hide_at_least_their_share(seed: int, side: int) -> None:
    torch.manual_seed(seed)
    masks = draw_block_masks(3, side, (0.3, 0.5))
    hidden = masks.float().mean(1)
    assert masks.shape == (3, side * side) and (hidden >= 0.25).all() and (hidden < 0.75).all()


def test_masks_come_in_rectangles() -> None:
    torch.manual_seed(0)
    mask = draw_block_masks(1, 20, (0.2, 0.2)).reshape(20, 20)
    beside = torch.zeros_like(mask)
    beside[:, 1:] |= mask[:, :-1]
    beside[:, :-1] |= mask[:, 1:]
    beside[1:] |= mask[:-1]
    beside[:-1] |= mask[1:]
    assert (mask & beside).sum() > 0.8 * mask.sum()
