from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mbps_dataset.models.cascade.preprocessing import network_input, network_size, padded, resized_images


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ((1024, 2048), (667, 1333)),
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((100, 100), (800, 800)),
        ((2048, 1024), (1333, 667)),
    ],
)
def test_the_short_side_is_800_and_the_long_one_at_most_1333(own, wanted):
    assert network_size(*own, short_side=800, longest_side=1333) == wanted


def test_without_a_short_side_an_image_stays_as_it_is():
    assert network_size(1024, 2048, short_side=0, longest_side=1333) == (1024, 2048)
    images = torch.rand(1, 3, 8, 9)
    assert resized_images(images, (8, 9)) is images


def test_resizing_is_pillows_on_bytes():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    wanted = np.array(Image.fromarray(pixels).resize((20, 15), Image.Resampling.BILINEAR))
    found = resized_images(images, (15, 20))
    assert np.array_equal((found[0].permute(1, 2, 0) * 255).round().numpy(), wanted)


def test_padding_comes_after_normalisation():
    images = torch.rand(2, 3, 30, 65)
    found = network_input(images)
    assert found.shape == (2, 3, 32, 96) and not found[:, :, 30:].any() and not found[..., 65:].any()
    assert found[0, 0, 0, 0].item() == pytest.approx((images[0, 0, 0, 0].item() - 0.485) / 0.229, abs=1e-5)
    assert padded(torch.zeros(1, 32, 64, dtype=torch.int64), 255).shape == (1, 32, 64)
    assert padded(torch.zeros(1, 31, 64, dtype=torch.int64), 255)[0, 31].tolist() == [255] * 64
