"""What a patch looks like, in numbers: brightness, colour, texture, and how high it lies in the picture.

These numbers are what a network is first taught to recognise (`visual_words`), as oriented gradients are in masked
feature prediction (Wei et al., CVPR 2022). Decisions, ours, measured by k-means on rendered streets:

* the picture's exposure is divided out: what is left of brightness is relative to the picture;
* logarithms of brightness, of the ratios red to green and blue to green, of contrast and of gradient strength in four
  directions: differences then mean the same in sun and in shade (colours as they are: three quarters of the mean IoU);
* the height in the picture counts as much as two of them: nothing else tells road from wall so cheaply;
* each channel has zero mean and unit deviation over the pictures, so that none is loudest by its unit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


CHANNELS = 9
"""Relative brightness, two colour ratios, contrast, gradients across, down and along both diagonals, height."""

HEIGHT_WEIGHT = 2.0
EXPOSURE = 0.4  # mean that every picture is brought to, of the full range
_DARK = 0.02  # added before logarithms, of the full range
_FLAT = 0.004


def local_statistics(pixels: Tensor, patch_px: int) -> Tensor:
    """`pixels` [B, 3, H, W] in [0, 1], sides multiples of `patch_px` -> [B, CHANNELS, H / patch, W / patch].

    Not yet standardised; the last channel is the height of the patch, from -1 (top) to 1.
    """
    pixels = pixels * (EXPOSURE / pixels.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-3))
    mean = F.avg_pool2d(pixels, patch_px)
    variance = (F.avg_pool2d(pixels.square(), patch_px) - mean.square()).clamp(min=1e-6)
    red, green, blue = torch.log(mean + _DARK).split(1, dim=1)
    brightness = torch.log(mean.mean(dim=1, keepdim=True) + _DARK)
    contrast = torch.log(variance.sqrt().mean(dim=1, keepdim=True) + _FLAT)
    gradients = torch.log(F.avg_pool2d(_directed_gradients(pixels), patch_px) + _FLAT)
    rows, columns = mean.shape[2:]
    height = torch.linspace(-1, 1, rows).to(pixels).reshape(1, 1, rows, 1).expand(len(pixels), 1, rows, columns)
    return torch.cat([brightness, red - green, blue - green, contrast, gradients, height], dim=1)


def standardise(statistics: Tensor) -> Tensor:
    """Zero mean and unit deviation per channel over [N, CHANNELS] rows; the height counts `HEIGHT_WEIGHT`."""
    scaled = (statistics - statistics.mean(dim=0)) / (statistics.std(dim=0) + 1e-6)
    return torch.cat([scaled[:, :-1], HEIGHT_WEIGHT * scaled[:, -1:]], dim=1)


def _directed_gradients(pixels: Tensor) -> Tensor:
    """Strength of the grey-value gradient across, down and along both diagonals: [B, 4, H, W]."""
    grey = F.pad(pixels.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    down = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    return torch.cat([across, down, across + down, across - down], dim=1).abs()
