"""Pictures as the networks take them: ImageNet's mean and deviation taken off, as every published backbone expects."""

from __future__ import annotations

import numpy as np
import torch

from mbps_dataset.arrays import RGBImage


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_normalised(pixels: torch.Tensor) -> torch.Tensor:
    """(pixels − mean) / deviation per channel: float [..., 3, H, W] in [0, 1] -> the same shape and dtype, about N(0, 1)."""
    mean, deviation = (pixels.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels - mean) / deviation


def network_pixels(image: RGBImage) -> torch.Tensor:
    """An image as network input: uint8 [H, W, 3] -> float32 [3, H, W], divided by 255 and `imagenet_normalised`.

    Raises `ValueError` for anything but an RGB image of 8 bits.
    """
    require_rgb(image)
    return imagenet_normalised(torch.from_numpy(np.array(image, copy=True)).permute(2, 0, 1).float().div(255))


def require_rgb(image: RGBImage) -> None:
    """Raises `ValueError` unless `image` is uint8 [H, W, 3]."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"Expected `image` to be uint8 [H, W, 3], but got {image.dtype} {image.shape}.")
