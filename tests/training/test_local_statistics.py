"""Statistics tell colour, contrast and direction, and sit at the right patch."""

from __future__ import annotations

import torch

from mbps_dataset.training.local_statistics import CHANNELS, local_statistics


def test_flat_picture_has_its_colour_and_nothing_else() -> None:
    pixels = torch.tensor([0.2, 0.5, 0.8]).reshape(1, 3, 1, 1).expand(1, 3, 16, 24)
    statistics = local_statistics(pixels, 8)
    assert statistics.shape == (1, 6, CHANNELS)
    torch.testing.assert_close(statistics[0, :, :3], torch.tensor([[0.2, 0.5, 0.8]]).expand(6, 3))
    assert statistics[0, :, 3:10].max() < 0.01


def test_stripes_are_told_by_direction_and_place() -> None:
    pixels = torch.zeros(1, 3, 16, 32)
    pixels[..., :16, 16:] = (torch.arange(16) // 2 % 2).float()  # vertical stripes in the two right patches
    gradient = local_statistics(pixels, 8)[0].reshape(2, 4, CHANNELS)[..., 6:10]
    across, down = gradient[:, 3, 0], gradient[:, 3, 1]
    assert (across > 3 * down).all()
    assert gradient[:, 0].max() < 0.01
    turned = local_statistics(pixels.transpose(2, 3), 8)[0].reshape(4, 2, CHANNELS)[..., 6:10]
    torch.testing.assert_close(turned[3, :, 1], across)
