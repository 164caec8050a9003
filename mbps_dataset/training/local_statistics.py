"""What a patch looks like, in numbers: the target that a masked patch is predicted by.

Predicting colour and gradient statistics of hidden patches teaches a small network in minutes what predicting pixels
does not in hours (Wei et al., "Masked Feature Prediction for Self-Supervised Visual Pre-Training", CVPR 2022, with
histograms of oriented gradients). Ours is plainer: mean and deviation of each colour channel and the mean gradient
strength in four directions, each over the patch and over its 3x3 neighbourhood.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


ORIENTATIONS = 4
CHANNELS = 2 * (3 + 3 + ORIENTATIONS)
"""Numbers per patch: mean and deviation per colour and gradient per direction, at two extents."""


def local_statistics(pixels: Tensor, patch_px: int) -> Tensor:
    """`pixels` [B, 3, H, W] in [0, 1], sides multiples of `patch_px` -> [B, P, CHANNELS], row by row.

    Gradients are compressed by a square root, so that contours do not drown texture.
    """
    mean = F.avg_pool2d(pixels, patch_px)
    square = F.avg_pool2d(pixels.square(), patch_px)
    gradient = F.avg_pool2d(_oriented_gradients(pixels), patch_px)
    fine = [mean, _deviation(mean, square), gradient.sqrt()]
    wide_mean, wide_square, wide_gradient = (_neighbourhood(item) for item in (mean, square, gradient))
    wide = [wide_mean, _deviation(wide_mean, wide_square), wide_gradient.sqrt()]
    return torch.cat(fine + wide, dim=1).flatten(2).transpose(1, 2)


def _oriented_gradients(pixels: Tensor) -> Tensor:
    """Strength of the grey-value gradient along 0, 90, 45 and 135 degrees: [B, ORIENTATIONS, H, W]."""
    grey = F.pad(pixels.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    down = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    return torch.cat([across, down, across + down, across - down], dim=1).abs() + 1e-6


def _deviation(mean: Tensor, square: Tensor) -> Tensor:
    return (square - mean.square()).clamp(min=1e-8).sqrt()


def _neighbourhood(maps: Tensor) -> Tensor:
    return F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)
