"""Pictures as networks take them: the published constants, one implementation for uint8 images and for batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.stages.network_pixels import imagenet_normalised, network_pixels


def test_normalisation() -> None:
    pixels = np.array([[[0, 128, 255]]], dtype=np.uint8)
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(network_pixels(pixels)[:, 0, 0], expected, rtol=1e-6)


def test_normalise_matches_the_published_constants() -> None:
    white = imagenet_normalised(torch.ones(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(white, torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]))


def test_images_and_batches_agree_bit_for_bit() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    batch = imagenet_normalised(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    assert batch.dtype == torch.float32 and torch.equal(
        batch, torch.stack([network_pixels(image) for image in images])
    )


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_anything_but_rgb_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"Expected `image` to be uint8 \[H, W, 3\], but got .* \(4, 4"):
        network_pixels(image)
