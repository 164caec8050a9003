from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mbps_dataset.errors import RecipeError
from mbps_dataset.stages.motion.draws import seeded_draws
from mbps_dataset.training.panoptic.appearance import AppearanceSettings, blurred, change_appearance


def images_of(seed: int = 0, *, size: int = 16) -> torch.Tensor:
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(seed))


def all_draws(value: float) -> Callable[[int], NDArray[np.float32]]:
    return lambda count: np.full(count, value, dtype=np.float32)


def test_one_seed_gives_one_picture_and_each_image_its_own_change() -> None:
    images = images_of()[:1].expand(3, -1, -1, -1)
    first, again = (change_appearance(images, seeded_draws(3, 0)) for _ in range(2))
    assert torch.equal(first, again) and first.shape == images.shape
    assert 0 <= float(first.min()) and float(first.max()) <= 1
    assert len({tuple(image.flatten().tolist()) for image in first}) == 3
    assert not torch.equal(first, change_appearance(images, seeded_draws(4, 0)))


def test_low_draws_make_grey_and_high_ones_only_blur() -> None:
    images = images_of()
    grey = change_appearance(images, all_draws(0.0))
    torch.testing.assert_close(grey[:, 0], grey[:, 2], rtol=0, atol=2e-3)
    soft = change_appearance(images, all_draws(0.99))
    torch.testing.assert_close(soft, blurred(images, torch.full((3,), 0.1 + 0.99 * 1.9)))


def test_colours_change_without_greying() -> None:
    settings = AppearanceSettings(blur_px=(0.01, 0.01), grey=0, recoloured=1)
    images = images_of()
    changed = change_appearance(images, all_draws(0.25), settings)
    assert float((changed - images).abs().mean()) > 0.02
    assert float((changed[:, 0] - changed[:, 2]).abs().mean()) > 0.02
    same = AppearanceSettings(blur_px=(0.01, 0.01), grey=0, recoloured=1, strength=0, hue_turns=0)
    torch.testing.assert_close(change_appearance(images, all_draws(0.25), same), images, rtol=0, atol=1e-4)


def test_a_blur_keeps_the_mean_of_a_spot_and_spreads_it_by_its_sigma() -> None:
    spot = torch.zeros(2, 1, 21, 21)
    spot[:, :, 10, 10] = 1
    soft = blurred(spot, torch.tensor([0.8, 1.0]))
    torch.testing.assert_close(soft.sum((1, 2, 3)), torch.ones(2))
    places = torch.arange(21.0) - 10
    variance = (soft[:, 0].sum(1) * places**2).sum(1)
    torch.testing.assert_close(variance, torch.tensor([0.64, 1.0]), rtol=0.03, atol=0.01)
    torch.testing.assert_close(soft, soft.transpose(2, 3))


def test_a_flat_picture_stays_flat_up_to_its_border() -> None:
    torch.testing.assert_close(
        blurred(torch.full((1, 3, 9, 7), 0.3), torch.tensor([2.0])), torch.full((1, 3, 9, 7), 0.3)
    )
    with pytest.raises(ValueError, match="at least 4 pixels a side"):
        blurred(torch.zeros(1, 3, 3, 9), torch.tensor([1.0]))


def test_settings_out_of_order_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"appearance.blur_px must be \(least, largest\)"):
        AppearanceSettings(blur_px=(2.0, 1.0))
