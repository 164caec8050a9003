"""A start from which a short training gets somewhere: whitened patch filters and a smooth position table.

With random filters every channel of a patch token is mostly the patch's brightness, and texture, a hundred times
weaker, takes thousands of steps to surface. Principal components of the training patches, each scaled to the same
variance, give texture and colour the same voice from the first step (Coates, Ng and Lee, AISTATS 2011, found whitening
to matter more than the learning that follows). Each component comes with both signs, so that the half-rectifying layers
behind can tell its strength. Position tables start as two-dimensional sines and cosines instead of faint noise.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbps_dataset.stages.network_pixels import imagenet_normalised
from mbps_dataset.training.views import Pictures, draw_picture_indices, draw_windows


@torch.no_grad()
def whiten_patch_filters(
    filters: nn.Conv2d, pictures: Pictures, *, amplitude: float = 0.5, patches: int = 20_000, window_px: int = 224
) -> None:
    """Set `filters` (stride = kernel, D channels) to the D / 2 leading principal components of patches, and negatives.

    Patches are drawn from torch's default generator; each channel gets standard deviation `amplitude` over them. Raises `ValueError`
    for filters without a bias.
    """
    if filters.bias is None:
        raise ValueError(
            "Expected patch filters with a bias, which takes the mean of the patches away; pass bias=True."
        )
    patch = filters.kernel_size[0]
    size = window_px // patch * patch
    windows = -(-patches // (size // patch) ** 2)
    view = draw_windows(pictures, draw_picture_indices(windows, pictures), size, share=(0.6, 1.0))
    rows = F.unfold(imagenet_normalised(view.pixels), patch, stride=patch).transpose(1, 2).flatten(0, 1).double()
    mean = rows.mean(dim=0)
    variance, directions = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    count = min((filters.out_channels + 1) // 2, len(variance))
    leading = directions[:, -count:].flip(1).T
    leading = (
        leading * leading.gather(1, leading.abs().argmax(dim=1, keepdim=True)).sign()
    )  # eigenvectors have no sign
    scaled = amplitude * leading / variance[-count:].flip(0).clamp(min=1e-8).sqrt()[:, None]
    both = torch.cat([scaled, -scaled])[: filters.out_channels]
    filters.weight[: len(both)] = both.reshape(-1, *filters.weight.shape[1:]).to(filters.weight)
    filters.bias.zero_()
    filters.bias[: len(both)] = (-both @ mean).to(filters.bias)


def sinusoidal_positions(side: int, width: int, *, amplitude: float = 0.3) -> Tensor:
    """[side^2, width]: sines and cosines of row and of column at octave frequencies, cycling through the channels."""
    position = (torch.arange(side) + 0.5) / side
    per_axis = -(-width // 4)
    frequency = math.pi * 2.0 ** (torch.arange(per_axis) % max(1, int(math.log2(max(2, side)))))
    phase = position[:, None] * frequency + torch.arange(per_axis)[None] * 0.7
    table = torch.cat([phase.sin(), phase.cos()], dim=1)
    rows = table[:, None].expand(side, side, -1)
    columns = table[None].expand(side, side, -1)
    return amplitude * torch.cat([rows, columns], dim=-1)[..., :width].reshape(side * side, width)
