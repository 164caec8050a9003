"""Whitened filters give every component the same voice; positions are told apart."""

from __future__ import annotations

import pytest
import torch

from mbps_dataset.stages.network_pixels import imagenet_normalised
from mbps_dataset.training.views import draw_windows
from mbps_dataset.training.whitening import sinusoidal_positions, whiten_patch_filters
from tests.training.pictures import street_like_pictures


def test_channels_are_centred_equally_strong_and_uncorrelated() -> None:
    torch.manual_seed(0)
    pictures, filters = street_like_pictures(), torch.nn.Conv2d(3, 16, 8, stride=8)
    whiten_patch_filters(filters, pictures, amplitude=0.5, patches=2000, window_px=40)
    view = draw_windows(pictures, [k % 6 for k in range(60)], 40, share=(0.6, 1.0))
    rows = filters(imagenet_normalised(view.pixels)).flatten(2).transpose(1, 2).flatten(0, 1)
    assert rows.mean(0).abs().max() < 0.1
    covariance = torch.cov(rows[:, :8].T) / 0.25
    torch.testing.assert_close(covariance, torch.eye(8), rtol=0, atol=0.35)
    torch.testing.assert_close(rows[:, 8:], -rows[:, :8], rtol=0, atol=1e-4)


def test_more_channels_than_components_leave_the_rest() -> None:
    torch.manual_seed(0)
    filters = torch.nn.Conv2d(3, 40, 2, stride=2)
    rest = filters.weight[24:].clone()
    whiten_patch_filters(filters, street_like_pictures(), patches=500, window_px=20)
    assert torch.equal(filters.weight[24:], rest) and torch.isfinite(filters.weight).all()


@pytest.mark.parametrize(("side", "width"), [(1, 4), (5, 16), (23, 30)])
def test_positions_differ_and_neighbours_are_alike(side: int, width: int) -> None:
    table = sinusoidal_positions(side, width)
    assert table.shape == (side * side, width) and table.abs().max() <= 0.3
    if side > 1:
        apart = torch.cdist(table, table) + torch.eye(side * side)
        assert apart.min() > 0.01
        assert apart[0, 1] < apart[0, -1]


def test_filters_need_a_bias() -> None:
    with pytest.raises(ValueError, match="with a bias, which takes the mean"):
        whiten_patch_filters(torch.nn.Conv2d(3, 4, kernel_size=5, stride=5, bias=False), street_like_pictures())
