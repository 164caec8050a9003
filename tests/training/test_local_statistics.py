"""Statistics tell colour, contrast and direction, sit at the right patch, and shrug at brightness."""

from __future__ import annotations

import torch

from mbps_dataset.training.local_statistics import CHANNELS, HEIGHT_WEIGHT, local_statistics, standardise


def test_flat_picture_has_its_colour_and_no_texture() -> None:
    pixels = torch.tensor([0.2, 0.5, 0.8]).reshape(1, 3, 1, 1).expand(1, 3, 16, 24)
    statistics = local_statistics(pixels, 8)
    assert statistics.shape == (1, CHANNELS, 2, 3)
    red, green, blue = 0.4 * torch.tensor([0.2, 0.5, 0.8]) / 0.5 + 0.02
    expected = torch.stack([torch.tensor(0.42), red / green, blue / green]).log()
    torch.testing.assert_close(statistics[0, :3, 1, 2], expected)
    assert statistics[0, 3:8].max() < -5
    assert statistics[0, 8].tolist() == [[-1.0] * 3, [1.0] * 3]


def test_stripes_are_told_by_direction_and_place() -> None:
    pixels = torch.zeros(1, 3, 16, 32)
    pixels[..., 16:] = (torch.arange(16) // 2 % 2).float()  # vertical stripes in the right half
    across, down = local_statistics(pixels, 8)[0, 4:6]
    assert (across[:, 3] > down[:, 3] + 2).all() and across[:, 0].max() < -5
    turned = local_statistics(pixels.transpose(2, 3), 8)[0, 5]
    torch.testing.assert_close(turned.T, across)


def test_exposure_changes_nothing_and_shade_mostly_brightness() -> None:
    torch.manual_seed(0)
    pixels = 0.5 + 0.5 * torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(local_statistics(0.5 * pixels, 8), local_statistics(pixels, 8), rtol=0, atol=1e-4)
    shaded = pixels.clone()
    shaded[..., 8:] *= 0.6
    apart = local_statistics(shaded, 8)[0].mean(1)
    change = (apart[:, 0] - apart[:, 1]).abs()
    assert change[0] > 0.4 and change[1:3].max() < 0.05


def test_standardised_channels_weigh_the_same_but_for_height() -> None:
    torch.manual_seed(0)
    rows = standardise(torch.randn(500, CHANNELS) * torch.arange(1, CHANNELS + 1) + 3)
    torch.testing.assert_close(rows.mean(0), torch.zeros(CHANNELS), rtol=0, atol=1e-4)
    torch.testing.assert_close(rows.std(0), torch.tensor([1.0] * (CHANNELS - 1) + [HEIGHT_WEIGHT]), rtol=0, atol=1e-3)
